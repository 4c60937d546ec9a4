//! HTTP as the mirror needs it: GET from an offset on, the environment's proxy, no surprise waits.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::mirror::{Body, Refusal};

/// A connection pool; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Client(Agent);

impl Client {
    pub(crate) fn new() -> Client {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            // The machine's own store: a mirror in the house is often signed by the house.
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .user_agent(concat!("stayput/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(15)))
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            // A slow mirror may take its time; a silent one may not.
            .timeout_per_read(Some(Duration::from_secs(30)))
            .max_idle_connections_per_host(8)
            .build();
        Client(config.new_agent())
    }

    /// Starts a download; a mirror that does not resume answers from the start, and the body says so.
    pub(crate) fn get(&self, url: &str, offset: u64) -> Result<Body, Refusal> {
        let mut request = self.0.get(url);
        if offset > 0 {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        let response = request.call().map_err(classify)?;
        let status = response.status().as_u16();
        let range =
            response.headers().get("content-range").and_then(|value| value.to_str().ok()).map(str::to_string);
        let reader = Box::new(response.into_body().into_reader());
        match status {
            200 => Ok(Body { reader, offset: 0 }),
            206 if range.as_deref().and_then(range_start) == Some(offset) => Ok(Body { reader, offset }),
            206 => Err(Refusal::Lasting(
                "it answered with another part of the file than the one asked for".into(),
            )),
            // Nothing left from there on: the part we have is longer than the file.
            416 if offset > 0 => self.get(url, 0),
            404 | 410 => Err(Refusal::Missing(format!("HTTP {status}"))),
            408 | 425 | 429 | 500..=599 => Err(Refusal::Passing(format!("HTTP {status}"))),
            _ => Err(Refusal::Lasting(format!("HTTP {status}"))),
        }
    }
}

/// `bytes 100-199/200` starts at 100.
fn range_start(value: &str) -> Option<u64> {
    value.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn classify(error: ureq::Error) -> Refusal {
    use ureq::Error as E;
    match error {
        E::Io(_) | E::Timeout(_) | E::HostNotFound | E::ConnectionFailed | E::Protocol(_) => {
            Refusal::Passing(error.to_string())
        }
        _ => Refusal::Lasting(error.to_string()),
    }
}
