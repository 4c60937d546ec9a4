//! One object out of a bucket: a signed GET, and the checksum that the store keeps of the object. The SDK's client for the store
//! is left out: it is by far the largest crate of all, for this one call.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use super::desk::Trouble;
use super::{Error, queue, wire};
use crate::checksum::{Algorithm, Checksum};
use crate::credentials::Provider;
use crate::{Naming, Order, OrderKey};

/// How long the store may take to begin its answer, and to send each piece of it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the mover may take to read each piece: a card may be slow.
const SLOW: Duration = Duration::from_secs(120);
/// The most of an error's text that is read.
const ERROR: usize = 16 * 1024;

/// Which header holds which checksum.
const CHECKSUMS: &[(&str, Algorithm)] = &[
    ("x-amz-checksum-crc64nvme", Algorithm::Crc64Nvme),
    ("x-amz-checksum-sha256", Algorithm::Sha256),
    ("x-amz-checksum-crc32c", Algorithm::Crc32c),
    ("x-amz-checksum-crc32", Algorithm::Crc32),
    ("x-amz-checksum-sha1", Algorithm::Sha1),
];

/// The objects of a region.
#[derive(Debug)]
pub struct Store {
    connector: Connector,
    region: String,
    endpoint: Option<String>,
    credentials: Provider,
}

/// An object whose bytes are about to come.
#[derive(Debug)]
pub struct Object {
    /// How many bytes.
    pub length: u64,
    /// The checksum over all of them, if the store has one: that of an object of several parts is one over checksums.
    pub checksum: Option<Checksum>,
    /// Its version, if the bucket keeps versions.
    pub version: String,
    /// What tells this content from another under the same key.
    pub tag: String,
    body: ByteStream,
}

impl Store {
    /// The store of `region`, or the one at `endpoint`.
    pub fn new(
        region: &str,
        endpoint: Option<String>,
        authorities: Option<&Path>,
        credentials: Provider,
    ) -> Result<Self, Error> {
        let connector = wire::connector(authorities)?;
        Ok(Self { connector, region: region.to_owned(), endpoint, credentials })
    }

    /// Asks for an object, or for one version of it.
    pub async fn get(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Object, Trouble> {
        let request = self.request(bucket, key, version).await?;
        let call = tokio::time::timeout(PATIENCE, self.connector.call(request));
        let response = call.await.map_err(|_| Trouble::Hung)?.map_err(|_| Trouble::Unreachable)?;
        if response.status().as_u16() == 200 {
            return read(response);
        }
        let trouble = refused(response).await;
        if trouble == Trouble::Credentials {
            self.credentials.distrust();
        }
        Err(trouble)
    }

    async fn request(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<HttpRequest, Trouble> {
        let credentials = self.credentials.current().await.map_err(|_| Trouble::Credentials)?;
        let mut url = url(self.endpoint.as_deref(), &self.region, bucket, key);
        if let Some(version) = version {
            url.push_str("?versionId=");
            url.push_str(&encoded(version).replace('/', "%2F"));
        }
        let mut settings = SigningSettings::default();
        // The store's own rules: a path is signed as it is sent, and the hash of the empty body goes along.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = credentials.into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|_| Trouble::Answer)?
            .into();
        let asked = [("x-amz-checksum-mode", "ENABLED")];
        let signable = SignableRequest::new("GET", &url, asked.into_iter(), SignableBody::Bytes(&[]));
        let signed = sign(signable.map_err(|_| Trouble::Answer)?, &parameters);
        let (instructions, _) = signed.map_err(|_| Trouble::Answer)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(url).map_err(|_| Trouble::Answer)?;
        for (name, value) in asked {
            request.headers_mut().insert(name, value);
        }
        for header in instructions.into_parts().0 {
            request
                .headers_mut()
                .try_insert(header.name(), header.value().to_owned())
                .map_err(|_| Trouble::Answer)?;
        }
        Ok(request)
    }
}

impl Object {
    /// The order to take it in: the same for the same content, so that what is asked for twice is fetched once. Its key is the
    /// name that is ordered; whether a slash may be in it is the mover's rule.
    pub fn order(&self, bucket: &str, key: &str) -> Order {
        let mut hash = Sha256::new();
        for part in [bucket, key, &self.version, &self.tag] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let text: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = OrderKey::new(text.as_bytes()).expect("64 digits are a key");
        Order { key: tag, naming: Naming::Unchanged, name: key.as_bytes().to_vec() }
    }

    /// Writes the object into `pipe`, which is closed at the end.
    pub async fn pour(mut self, pipe: OwnedFd) -> Result<(), Trouble> {
        let mut pipe = pipe::Sender::from_owned_fd(pipe).map_err(|_| Trouble::Answer)?;
        loop {
            let next =
                tokio::time::timeout(PATIENCE, self.body.try_next()).await.map_err(|_| Trouble::Hung)?;
            let Some(bytes) = next.map_err(|_| Trouble::Unreachable)? else { return Ok(()) };
            match tokio::time::timeout(SLOW, pipe.write_all(&bytes)).await {
                Ok(Ok(())) => {}
                // The mover reads no further; its answer says why.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(Trouble::Hung),
            }
        }
    }
}

/// Where an object is. A bucket with dots in its name fits no certificate as a host.
fn url(endpoint: Option<&str>, region: &str, bucket: &str, key: &str) -> String {
    let path = encoded(key);
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    match endpoint {
        Some(endpoint) => format!("{}/{bucket}/{path}", endpoint.trim_end_matches('/')),
        None if bucket.contains('.') => format!("https://s3.{region}.{suffix}/{bucket}/{path}"),
        None => format!("https://{bucket}.s3.{region}.{suffix}/{path}"),
    }
}

/// A key as a path: every byte that could mean something else is written in hexadecimal.
fn encoded(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                path.push(char::from(byte))
            }
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

fn read(response: HttpResponse) -> Result<Object, Trouble> {
    let header = |name: &str| response.headers().get(name).map(str::to_owned);
    let length = header("content-length").and_then(|length| length.parse().ok()).ok_or(Trouble::Answer)?;
    let is_composite =
        header("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("COMPOSITE"));
    let checksum = CHECKSUMS.iter().find_map(|(name, algorithm)| {
        // One over the parts' checksums ends with their number: "…==-3".
        let digest = aws_smithy_types::base64::decode(header(name)?).ok()?;
        Checksum::new(*algorithm, &digest)
    });
    Ok(Object {
        length,
        checksum: checksum.filter(|_| !is_composite),
        version: header("x-amz-version-id").filter(|version| version != "null").unwrap_or_default(),
        tag: header("etag").unwrap_or_default(),
        body: ByteStream::new(response.into_body()),
    })
}

async fn refused(response: HttpResponse) -> Trouble {
    let status = response.status().as_u16();
    let mut body = ByteStream::new(response.into_body());
    let mut text = Vec::new();
    while let Ok(Ok(Some(bytes))) = tokio::time::timeout(PATIENCE, body.try_next()).await {
        text.extend_from_slice(&bytes);
        if text.len() > ERROR {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code);
    match queue::of_code(status, code, "") {
        Trouble::Answer if matches!(status, 403 | 404) => Trouble::Denied,
        trouble => trouble,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_path_in_which_nothing_means_anything_else() {
        let key = "in/a b+c?d#e%f&ä.csv";
        assert_eq!(
            url(None, "eu-central-1", "inbox", key),
            "https://inbox.s3.eu-central-1.amazonaws.com/in/a%20b%2Bc%3Fd%23e%25f%26%C3%A4.csv"
        );
        assert_eq!(url(None, "eu-central-1", "a.b", "k"), "https://s3.eu-central-1.amazonaws.com/a.b/k");
        assert_eq!(url(None, "cn-north-1", "b", "k"), "https://b.s3.cn-north-1.amazonaws.com.cn/k");
        assert_eq!(url(Some("http://127.0.0.1:4566/"), "x", "b", "k"), "http://127.0.0.1:4566/b/k");
    }

    fn response(headers: &[(&'static str, &'static str)]) -> HttpResponse {
        let mut response = HttpResponse::new(200.try_into().unwrap(), SdkBody::empty());
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    #[test]
    fn a_checksum_over_the_whole_object_is_taken_and_one_over_its_parts_is_not() {
        let length = ("content-length", "5");
        let crc = ("x-amz-checksum-crc32", "y/Q5Jg==");
        let whole = read(response(&[length, crc, ("x-amz-version-id", "v1")])).unwrap();
        assert_eq!(whole.checksum, Checksum::new(Algorithm::Crc32, &[0xcb, 0xf4, 0x39, 0x26]));
        assert_eq!((whole.length, whole.version.as_str()), (5, "v1"));
        let composite = read(response(&[length, crc, ("x-amz-checksum-type", "COMPOSITE")])).unwrap();
        assert_eq!(composite.checksum, None);
        let parts = read(response(&[length, ("x-amz-checksum-crc32", "y/Q5Jg==-3")])).unwrap();
        assert_eq!(parts.checksum, None);
        assert!(matches!(read(response(&[crc])), Err(Trouble::Answer)), "a length is needed");
    }
}
