//! What belongs to the region's services: endpoints, queues, buckets.

use std::fmt;
use std::str::FromStr;

use super::network::host_and_port;
use super::{Region, Server, plain, text_type};
use crate::finding::Flaw;

/// The address of a service: scheme, host, port. A path belongs to the single call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: Server,
    port: Option<u16>,
}

impl Endpoint {
    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Its host.
    pub fn host(&self) -> &Server {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 443 } else { 80 })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.tls { "https://" } else { "http://" })?;
        match &self.host {
            Server::Address(address) if address.address().is_ipv6() => write!(out, "[{address}]")?,
            other => write!(out, "{other}")?,
        }
        self.port.map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

/// Splits a URL into its endpoint and what follows.
fn split(text: &str) -> Result<(Endpoint, &str), Flaw> {
    let form = "write https://HOST, with :PORT behind it if it is not 443";
    let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(Flaw::new("does not begin with https://", form)),
    };
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if place.contains('@') {
        return Err(Flaw::new("holds a name or password", "leave it out: the box signs its calls"));
    }
    let (host, port) =
        host_and_port(place).ok_or_else(|| Flaw::new("has no host, or a port that is no number", form))?;
    let host =
        host.parse().map_err(|flaw: Flaw| Flaw::new(format!("has a host that {}", flaw.what), form))?;
    Ok((Endpoint { tls, host, port }, path))
}

impl FromStr for Endpoint {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let (endpoint, path) = split(plain(text, 512)?)?;
        if !matches!(path, "" | "/") {
            return Err(Flaw::new("has a path", "leave out everything behind the host and its port"));
        }
        Ok(endpoint)
    }
}

/// The URL of an SQS queue: an endpoint, an account, a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl {
    endpoint: Endpoint,
    account: String,
    name: String,
}

impl QueueUrl {
    /// Where the queue answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The account that owns it.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it keeps the order of its messages.
    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }

    /// The region that the host names, if it is one of the service's own names: `sqs.REGION.amazonaws.com`,
    /// `REGION.queue.amazonaws.com`, `vpce-....sqs.REGION.vpce.amazonaws.com`.
    pub fn region(&self) -> Option<Region> {
        let Server::Name(name) = &self.endpoint.host else { return None };
        let labels: Vec<&str> = name.as_str().split('.').collect();
        let own = ["amazonaws", "sgov", "ic"].iter().any(|mark| labels.contains(mark));
        let at = |index: usize| labels.get(index).and_then(|label| label.parse().ok());
        match labels.iter().position(|&label| label == "sqs" || label == "sqs-fips") {
            Some(index) if own => at(index + 1),
            None if own && labels.get(1) == Some(&"queue") => at(0),
            _ => None,
        }
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.endpoint, self.account, self.name)
    }
}

impl FromStr for QueueUrl {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 512)?;
        let remedy =
            "copy the queue's URL from the SQS console: https://sqs.REGION.amazonaws.com/ACCOUNT/NAME";
        if text.starts_with("arn:") {
            return Err(Flaw::new("is the queue's ARN", remedy));
        }
        let (endpoint, path) = split(text).map_err(|flaw| Flaw::new(flaw.what, remedy))?;
        let mut steps = path.strip_prefix('/').unwrap_or(path).split('/');
        let (account, name) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Flaw::new("has no account number of 12 digits behind the host", remedy));
        }
        let plain_name = name.strip_suffix(".fifo").unwrap_or(name);
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if plain_name.is_empty() || name.len() > 80 || !plain_name.chars().all(good) {
            return Err(Flaw::new("has no queue's name behind the account number", remedy));
        }
        if steps.next().is_some() {
            return Err(Flaw::new("goes on behind the queue's name", remedy));
        }
        Ok(Self { endpoint, account: account.to_owned(), name: name.to_owned() })
    }
}

text_type!(
    /// The name of an S3 bucket.
    BucketName
);
text_type!(
    /// How the keys of a bucket's objects must begin; empty for all.
    KeyPrefix
);

impl FromStr for BucketName {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 255)?;
        if text.starts_with("s3://") || text.starts_with("arn:") || text.contains('/') {
            return Err(Flaw::new(
                "is more than the bucket's name",
                "write only the name; what objects begin with goes into prefix",
            ));
        }
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let ends = |c: char| c == '-' || c == '.';
        let remedy = "copy it from the S3 console: 3 to 63 of a-z, 0-9, - and .";
        if !(3..=63).contains(&text.len()) || !text.chars().all(good) {
            return Err(Flaw::new("is no bucket's name", remedy));
        }
        if text.starts_with(ends) || text.ends_with(ends) || text.contains("..") {
            return Err(Flaw::new("has a dot or hyphen where a bucket's name has none", remedy));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for KeyPrefix {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        if text.is_empty() {
            return Ok(Self(String::new()));
        }
        let text = plain(text, 1024)?;
        if text.starts_with('/') {
            return Err(Flaw::new("begins with a slash, as objects' keys do not", "take the slash out"));
        }
        Ok(Self(text.to_owned()))
    }
}
