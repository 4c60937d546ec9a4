//! Signatures, as the one who checks them sees them: what was signed, worked out from the request that came.
//!
//! Written from the wire (facts/ecs-anywhere.md B3) and from the published form of Signature Version 4. It shares nothing
//! with the box's client, and looks at RSA with another implementation than the client's.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use rsa::RsaPublicKey;
use rsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};

use crate::http::Request;

/// The label, for HMAC and for RSA.
pub const LABEL: &str = "AWS4-HMAC-SHA256";

/// How far a signature's date may be from the region's.
pub const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What is wrong with a signature; each is a sentence that the service could say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// There is none.
    #[error("the request has no single Authorization header")]
    Missing,
    /// It is not written as one is.
    #[error("the Authorization header is not in the form of {LABEL}: {0}")]
    Form(&'static str),
    /// A header that has to be signed is not, or is there twice, or not at all.
    #[error("the header {0} must be there once, and signed")]
    Unsigned(String),
    /// Headers are not named in small letters, each once, in order.
    #[error("SignedHeaders must be in small letters, in order, each once")]
    Order,
    /// The scope is another service's or region's.
    #[error("the credential is scoped to {0}, not to this service in this region")]
    Scope(String),
    /// The day in the scope is not the date's.
    #[error("the date in the credential scope does not match X-Amz-Date")]
    Day,
    /// The date cannot be read.
    #[error("X-Amz-Date is not in the form 20261120T170500Z")]
    Date,
    /// It is too old.
    #[error("Signature expired: {0} is now earlier than {1}")]
    Expired(String, String),
    /// It is from the future.
    #[error("Signature not yet current: {0} is still later than {1}")]
    Early(String, String),
    /// The body's hash that is told is not the body's.
    #[error("X-Amz-Content-Sha256 is not the hash of the body")]
    Body,
    /// It does not hold.
    #[error("The request signature we calculated does not match the signature you provided")]
    Mismatch,
}

/// An Authorization header, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Before the scope: an access key, or a managed instance.
    pub who: &'a str,
    /// `20261120`
    pub day: &'a str,
    /// The region's name.
    pub region: &'a str,
    /// The service's name.
    pub service: &'a str,
    /// What is signed.
    pub headers: Vec<&'a str>,
    /// Not decoded.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// The header of a request.
    pub fn of(request: &'a Request) -> Result<Self, Flaw> {
        Self::parse(request.header("authorization").ok_or(Flaw::Missing)?)
    }

    fn parse(text: &'a str) -> Result<Self, Flaw> {
        let rest = text
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(Flaw::Form("the label"))?;
        let mut parts = rest.split(',').map(str::trim);
        let mut part = |name: &'static str| {
            let value = parts.next().and_then(|part| part.strip_prefix(name)?.strip_prefix('='));
            value.filter(|value| !value.is_empty()).ok_or(Flaw::Form(name))
        };
        let (credential, headers, signature) =
            (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
        if parts.next().is_some() {
            return Err(Flaw::Form("something follows the signature"));
        }
        let scope: Vec<&str> = credential.split('/').collect();
        let [who, day, region, service, "aws4_request"] = scope[..] else {
            return Err(Flaw::Form("Credential"));
        };
        let headers: Vec<&str> = headers.split(';').collect();
        let in_order = headers.windows(2).all(|pair| pair[0] < pair[1]);
        let is_name = |name: &&str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
        };
        if !in_order || !headers.iter().all(is_name) {
            return Err(Flaw::Order);
        }
        Ok(Self { who, day, region, service, headers, signature })
    }

    /// Whether the scope, the signed headers, the date and the told hash are in order. What is left is the signature itself.
    pub fn check(&self, request: &Request, rules: &Rules<'_>, now: Timestamp) -> Result<(), Flaw> {
        if self.region != rules.region || self.service != rules.service {
            return Err(Flaw::Scope(format!("{} in {}", self.service, self.region)));
        }
        let signed: BTreeSet<&str> = self.headers.iter().copied().collect();
        // What is signed has to be there, and what has to be signed, too; once.
        for name in rules.signed.iter().copied().chain(signed.iter().copied()) {
            if !signed.contains(name) || request.header(name).is_none() {
                return Err(Flaw::Unsigned(name.to_owned()));
            }
        }
        let date = request.header("x-amz-date").ok_or(Flaw::Unsigned("x-amz-date".to_owned()))?;
        let at = date_of(date).ok_or(Flaw::Date)?;
        if !date.starts_with(self.day) || self.day.len() != 8 {
            return Err(Flaw::Day);
        }
        let (earliest, latest) = (now.saturating_sub(SKEW), now.saturating_add(SKEW));
        let (Ok(earliest), Ok(latest)) = (earliest, latest) else { return Err(Flaw::Date) };
        if at < earliest {
            return Err(Flaw::Expired(date.to_owned(), text_of(earliest)));
        }
        if at > latest {
            return Err(Flaw::Early(date.to_owned(), text_of(latest)));
        }
        match request.header("x-amz-content-sha256") {
            Some(hash) if hash == hex::encode(Sha256::digest(&request.body)) => Ok(()),
            // A body whose parts are signed one by one, or not at all: only the bucket service takes those.
            Some(hash)
                if rules.service == "s3"
                    && (hash == "UNSIGNED-PAYLOAD" || hash.starts_with("STREAMING-")) =>
            {
                Ok(())
            }
            None if !rules.told_hash => Ok(()),
            _ => Err(Flaw::Body),
        }
    }

    /// The four lines that are signed.
    pub fn text(&self, request: &Request) -> String {
        let canonical = hex::encode(Sha256::digest(canonical(request, &self.headers, self.service)));
        let date = request.header("x-amz-date").unwrap_or_default();
        format!("{LABEL}\n{date}\n{}/{}/{}/aws4_request\n{canonical}", self.day, self.region, self.service)
    }

    /// Whether the signature is RSASSA-PSS with SHA-256, a salt of 32 bytes, under this key, in base64.
    pub fn holds_for_key(&self, request: &Request, key: &RsaPublicKey) -> Result<(), Flaw> {
        let bytes = STANDARD.decode(self.signature).map_err(|_| Flaw::Form("Signature"))?;
        let signature =
            rsa::pss::Signature::try_from(bytes.as_slice()).map_err(|_| Flaw::Form("Signature"))?;
        let key = rsa::pss::VerifyingKey::<rsa::sha2::Sha256>::new(key.clone());
        key.verify(self.text(request).as_bytes(), &signature).map_err(|_| Flaw::Mismatch)
    }

    /// Whether the signature is an HMAC with this secret, in hexadecimal.
    pub fn holds_for_secret(&self, request: &Request, secret: &str) -> Result<(), Flaw> {
        let bytes = hex::decode(self.signature).map_err(|_| Flaw::Form("Signature"))?;
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [self.day, self.region, self.service, "aws4_request"] {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&key, self.text(request).as_bytes(), &bytes).map_err(|_| Flaw::Mismatch)
    }
}

/// What a service wants of a signature.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The region's name.
    pub region: &'a str,
    /// The service's name.
    pub service: &'a str,
    /// Headers that must be signed, in small letters.
    pub signed: &'a [&'a str],
    /// Whether the body's hash must be told in a header.
    pub told_hash: bool,
}

fn canonical(request: &Request, signed: &[&str], service: &str) -> String {
    let mut text =
        format!("{}\n{}\n{}\n", request.method, path(request.path(), service), query(request.query()));
    for name in signed {
        let value = request.header(name).unwrap_or_default();
        let value: Vec<&str> = value.split_ascii_whitespace().collect();
        text += &format!("{name}:{}\n", value.join(" "));
    }
    let told = request.header("x-amz-content-sha256").filter(|_| service == "s3").map(str::to_owned);
    let hash = told.unwrap_or_else(|| hex::encode(Sha256::digest(&request.body)));
    text + &format!("\n{}\n{hash}", signed.join(";"))
}

/// The path as it is signed: the bucket service's as it stands, every other's encoded once more.
fn path(path: &str, service: &str) -> String {
    if service == "s3" { path.to_owned() } else { path.split('/').map(encode).collect::<Vec<_>>().join("/") }
}

/// The query as it is signed: in order, each name with a value.
fn query(query: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// `20261120T170500Z`
fn date_of(text: &str) -> Option<Timestamp> {
    let plain = text.len() == 16 && text.is_ascii() && text.ends_with('Z') && text.as_bytes()[8] == b'T';
    let date = DateTime::strptime("%Y%m%dT%H%M%S", text.strip_suffix('Z').filter(|_| plain)?).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn text_of(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules<'_> =
        Rules { region: "us-east-1", service: "service", signed: &["host", "x-amz-date"], told_hash: false };

    fn get(target: &str, headers: &str, signature: &str) -> Request {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={headers}, Signature={signature}"
        );
        let headers = [
            ("Host", "example.amazonaws.com"),
            ("X-Amz-Date", "20150830T123600Z"),
            ("Authorization", &authorization),
        ];
        Request {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: Vec::new(),
        }
    }

    /// The published test suite's `get-vanilla`.
    const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    #[test]
    fn the_published_example_holds_and_one_bit_less_does_not() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let request = get("/", "host;x-amz-date", VANILLA);
        let authorization = Authorization::of(&request).unwrap();
        let now = date_of("20150830T123959Z").unwrap();
        assert_eq!(authorization.check(&request, &RULES, now), Ok(()));
        assert_eq!(authorization.holds_for_secret(&request, secret), Ok(()));
        for wrong in [
            get("/?x", "host;x-amz-date", VANILLA),
            get("/", "host;x-amz-date", &VANILLA.replace("5fa", "5fb")),
        ] {
            let authorization = Authorization::of(&wrong).unwrap();
            assert_eq!(authorization.holds_for_secret(&wrong, secret), Err(Flaw::Mismatch));
        }
    }

    #[test]
    fn a_date_five_minutes_off_passes_and_six_do_not() {
        let request = get("/", "host;x-amz-date", VANILLA);
        let authorization = Authorization::of(&request).unwrap();
        let at = |minutes| {
            let now = date_of("20150830T123600Z").unwrap() + SignedDuration::from_mins(minutes);
            authorization.check(&request, &RULES, now)
        };
        assert_eq!((at(5), at(-5)), (Ok(()), Ok(())));
        assert!(matches!(at(6), Err(Flaw::Expired(..))));
        assert!(matches!(at(-6), Err(Flaw::Early(..))));
    }

    #[test]
    fn headers_out_of_order_absent_unsigned_or_doubled_are_refused() {
        let now = date_of("20150830T123600Z").unwrap();
        let check = |request: &Request| Authorization::of(request)?.check(request, &RULES, now);
        assert_eq!(check(&get("/", "x-amz-date;host", "00")), Err(Flaw::Order));
        assert_eq!(check(&get("/", "Host;x-amz-date", "00")), Err(Flaw::Order));
        assert_eq!(check(&get("/", "host", "00")), Err(Flaw::Unsigned("x-amz-date".to_owned())));
        assert_eq!(
            check(&get("/", "host;x-amz-date;x-more", "00")),
            Err(Flaw::Unsigned("x-more".to_owned()))
        );
        let mut twice = get("/", "host;x-amz-date", "00");
        twice.headers.push(("x-amz-date".to_owned(), "20150830T123600Z".to_owned()));
        assert_eq!(check(&twice), Err(Flaw::Unsigned("x-amz-date".to_owned())));
        twice.headers.push(("authorization".to_owned(), "x".to_owned()));
        assert_eq!(check(&twice), Err(Flaw::Missing));
    }

    #[test]
    fn a_header_that_is_not_written_as_one_is_is_refused() {
        let whole = get("/", "host;x-amz-date", VANILLA).header("authorization").unwrap().to_owned();
        assert!(Authorization::parse(&whole).is_ok());
        for (what, with) in [
            ("AWS4-", "AWS5-"),
            ("Credential=", "Credentials="),
            ("/aws4_request", "/aws4"),
            ("/aws4_request", ""),
            ("SignedHeaders=host", "SignedHeaders="),
            (", Signature", "; Signature"),
            (VANILLA, ""),
            (VANILLA, "00, More=1"),
        ] {
            let text = whole.replacen(what, with, 1);
            assert!(Authorization::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_is_encoded_once_more_except_for_a_bucket() {
        assert_eq!(path("/a%20b/c+d", "sqs"), "/a%2520b/c%2Bd");
        assert_eq!(path("/a%20b/c+d", "s3"), "/a%20b/c+d");
        assert_eq!(query("b=2&a&c=x"), "a=&b=2&c=x");
    }

    #[test]
    fn dates_in_other_forms_are_no_dates() {
        for bad in [
            "",
            "20150830T123600",
            "2015-08-30T12:36:00Z",
            "20151330T123600Z",
            "20150830 123600Z",
            "2015083éT12360Z",
        ] {
            assert_eq!(date_of(bad), None, "{bad}");
        }
    }
}
