//! The region over HTTPS: one connection a call, trusted authorities from a file, and a strict view of what never left.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use rustls::CertificateError;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy, Timeout};

use crate::Error;
use crate::region::{Obstacle, Region, Reply, Request, Sent};
use crate::wire::{CONTENT_TYPE, LONGEST_REPLY};

/// The service at an endpoint.
#[derive(Debug)]
pub struct Https {
    agent: Agent,
    url: String,
    host: String,
}

impl Https {
    /// A client of the service at `url` (`https://HOST[:PORT]`), which trusts the authorities in the PEM file
    /// `authorities` and no others.
    pub fn new(url: &str, authorities: &Path, proxy: Option<&str>) -> Result<Self, Error> {
        let bad = |reason: String| Error::Authorities { path: authorities.to_owned(), reason };
        let pem = std::fs::read(authorities).map_err(|error| bad(error.to_string()))?;
        let roots: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if roots.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        let proxy = proxy.map(Proxy::new).transpose().map_err(|error| bad(error.to_string()))?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A kept connection may be dead, and then nobody knows whether the request arrived.
            .max_idle_connections(0)
            .user_agent(concat!("stayput/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(15)))
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_global(Some(Duration::from_secs(90)))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Names::default());
        let host = url.split_once("://").map_or(url, |(_, host)| host).to_owned();
        Ok(Self { agent, url: format!("{url}/"), host })
    }
}

impl Region for Https {
    fn host(&self) -> &str {
        &self.host
    }

    fn reach(&mut self) -> Result<(), Obstacle> {
        match self.agent.get(&self.url).call() {
            Ok(_) => Ok(()),
            // Something answered; whether it is the region, the real call finds out.
            Err(ureq::Error::Protocol(_)) => Ok(()),
            Err(error) => Err(obstacle(&error)),
        }
    }

    fn send(&mut self, request: &Request) -> Sent {
        let mut post = self
            .agent
            .post(&self.url)
            .header("Content-Type", CONTENT_TYPE)
            .header("X-Amz-Target", request.call.target());
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        match post.send(&request.body) {
            Ok(response) => read(response),
            Err(error) if never_left(&error) => Sent::Never(obstacle(&error)),
            Err(error) => Sent::Unanswered(obstacle(&error)),
        }
    }
}

/// Names as the system looks them up. A name without an answer is said as such: the client on its own takes it for a
/// broken connection, which would show the wrong remedy.
#[derive(Debug, Default)]
struct Names(DefaultResolver);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0.resolve(uri, config, timeout).map_err(|error| match error {
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        })
    }
}

fn read(response: ureq::http::Response<ureq::Body>) -> Sent {
    let (parts, body) = response.into_parts();
    let date = parts.headers.get("date").and_then(|value| value.to_str().ok()).and_then(date);
    let mut bytes = Vec::new();
    match body.into_reader().take(LONGEST_REPLY as u64).read_to_end(&mut bytes) {
        Ok(_) => Sent::Answered(Reply { status: parts.status.as_u16(), date, body: bytes }),
        Err(_) => Sent::Unanswered(Obstacle::Connection),
    }
}

/// `Date: Fri, 20 Nov 2026 17:05:00 GMT`
fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// Whether not one byte of the request can have left: only what happens before a connection stands.
fn never_left(error: &ureq::Error) -> bool {
    use ureq::Error as E;
    match error {
        E::HostNotFound
        | E::ConnectionFailed
        | E::ConnectProxyFailed(_)
        | E::InvalidProxyUrl
        | E::BadUri(_) => true,
        E::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        E::Io(error) => is_unconnected(error.kind()) || certificate(error).is_some(),
        E::Rustls(rustls::Error::InvalidCertificate(_)) => true,
        _ => false,
    }
}

fn is_unconnected(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
    )
}

/// What rustls says of the certificate, which comes wrapped in an I/O error when the handshake reads it.
fn certificate(error: &io::Error) -> Option<&CertificateError> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(error) => Some(error),
        _ => None,
    }
}

fn obstacle(error: &ureq::Error) -> Obstacle {
    use ureq::Error as E;
    let of_certificate = |error: &CertificateError| match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Obstacle::Dates,
        _ => Obstacle::Stranger,
    };
    match error {
        E::HostNotFound | E::Timeout(Timeout::Resolve) => Obstacle::Name,
        E::ConnectProxyFailed(_) | E::InvalidProxyUrl => Obstacle::Proxy,
        E::Rustls(rustls::Error::InvalidCertificate(error)) => of_certificate(error),
        E::Io(error) => certificate(error).map_or(Obstacle::Connection, of_certificate),
        _ => Obstacle::Connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_servers_write_it() {
        assert_eq!(date("Fri, 20 Nov 2026 17:05:00 GMT").unwrap().as_second(), 1_795_194_300);
        for bad in ["", "yesterday", "2026-11-20"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_what_comes_before_a_connection_counts_as_never_left() {
        let io = |kind| ureq::Error::Io(io::Error::from(kind));
        for early in [
            ureq::Error::HostNotFound,
            io(ErrorKind::ConnectionRefused),
            ureq::Error::Timeout(Timeout::Connect),
        ] {
            assert!(never_left(&early), "{early}");
        }
        let late = [
            io(ErrorKind::ConnectionReset),
            io(ErrorKind::UnexpectedEof),
            ureq::Error::Timeout(Timeout::RecvResponse),
        ];
        for late in late {
            assert!(!never_left(&late), "{late}");
        }
    }
}
