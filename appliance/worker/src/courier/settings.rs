//! What the courier is started with: the original's variables, and a few of our own.

use std::path::PathBuf;

use super::{Allowed, Error};
use crate::variables;

/// The settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The queue's URL.
    pub queue: String,
    /// The region that signatures name.
    pub region: String,
    /// Where calls go: the queue's own host, unless it is overridden.
    pub endpoint: String,
    /// The mover's socket.
    pub socket: PathBuf,
    /// Where the health file goes.
    pub health: PathBuf,
    /// Where objects are fetched from, if not from the region.
    pub store: Option<String>,
    /// Which objects may be.
    pub allowed: Allowed,
    /// A file of further certificate authorities.
    pub authorities: Option<PathBuf>,
}

impl Settings {
    /// The settings in the environment; `variable` looks a variable up.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let queue = variable(variables::QUEUE_URL.name).ok_or(Error::NoQueue)?;
        let (host, path) = parts(&queue).ok_or_else(|| Error::QueueUrl(queue.clone()))?;
        if !path.contains('/') || path.ends_with('/') {
            return Err(Error::QueueUrl(queue));
        }
        if queue.ends_with(".fifo") {
            return Err(Error::Fifo(queue));
        }
        let region = variable(variables::REGION.name)
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| region_of(host).map(str::to_owned))
            .ok_or(Error::NoRegion)?;
        let origin = queue[..queue.len() - path.len() - 1].to_owned();
        let endpoint = variable("AWS_ENDPOINT_URL_SQS").or_else(|| variable("AWS_ENDPOINT_URL"));
        if let Some(endpoint) = &endpoint
            && !endpoint.starts_with("https://")
            && !endpoint.starts_with("http://")
        {
            return Err(Error::Endpoint(endpoint.clone()));
        }
        let allowed = variable(variables::BUCKETS.name).unwrap_or_default();
        Ok(Self {
            allowed: Allowed::read(&allowed).ok_or(Error::Buckets)?,
            store: variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")),
            queue,
            region,
            endpoint: endpoint.unwrap_or(origin),
            socket: variable(variables::SOCKET.name)
                .map_or_else(|| variables::SOCKET.default.into(), PathBuf::from),
            health: variable("STAYPUT_HEALTH_FOLDER")
                .unwrap_or_else(|| stayput_health::DIRECTORY.to_owned())
                .into(),
            authorities: variable("AWS_CA_BUNDLE").map(PathBuf::from),
        })
    }
}

/// The host and the path of a queue's URL.
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@'));
    (!host.is_empty() && !path.is_empty() && plain(host) && plain(path)).then_some((host, path))
}

/// The region in the name of a queue's host.
fn region_of(host: &str) -> Option<&str> {
    let region = host.strip_prefix("sqs.")?.split('.').next()?;
    (region.contains('-') && host.contains(".amazonaws.com")).then_some(region)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Settings::from_environment(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_originals_variables_are_enough() {
        let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders";
        let found = settings(&[("SQS_QUEUE_URL", url), ("AWS_REGION", "eu-central-1")]).unwrap();
        assert_eq!(found.endpoint, "https://sqs.eu-central-1.amazonaws.com");
        assert_eq!(found.socket, PathBuf::from(variables::SOCKET.default));
        assert_eq!(settings(&[("SQS_QUEUE_URL", url)]).unwrap().region, "eu-central-1");
    }

    #[test]
    fn calls_go_to_the_queues_own_host_unless_told_otherwise() {
        let queue = ("SQS_QUEUE_URL", "http://127.0.0.1:4566/000000000000/orders");
        let region = ("AWS_REGION", "eu-central-1");
        assert_eq!(settings(&[queue, region]).unwrap().endpoint, "http://127.0.0.1:4566");
        let other = ("AWS_ENDPOINT_URL_SQS", "https://vpce-1.sqs.eu-central-1.vpce.amazonaws.com");
        assert_eq!(settings(&[queue, region, other]).unwrap().endpoint, other.1);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let region = ("AWS_REGION", "eu-central-1");
        let queue = |url| settings(&[("SQS_QUEUE_URL", url), region]).unwrap_err();
        assert!(matches!(settings(&[region]).unwrap_err(), Error::NoQueue));
        assert!(matches!(queue("https://sqs.eu-central-1.amazonaws.com/1/orders.fifo"), Error::Fifo(_)));
        for wrong in [
            "orders",
            "arn:aws:sqs:eu-central-1:1:orders",
            "https://host",
            "https://host/",
            "https:///1/q",
            "https://host/1/",
            "https://host/1/q\n",
            "https://me@host/1/q",
            "ftp://host/1/q",
            "https://host/q",
        ] {
            assert!(matches!(queue(wrong), Error::QueueUrl(_)), "{wrong}");
        }
        assert!(matches!(settings(&[("SQS_QUEUE_URL", "https://host/1/q")]).unwrap_err(), Error::NoRegion));
    }
}
