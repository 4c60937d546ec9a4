//! HTTP as the mirror needs it: GET from an offset on, the environment's proxy, no surprise waits.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

use crate::forward;
use crate::mirror::{Body, Refusal};

/// Connection pools and the ways to use them.
#[derive(Debug)]
pub(crate) struct Client {
    /// For https://, through the environment's proxy if there is one.
    secure: Agent,
    /// For http://, without a proxy: those that go through one go another way.
    plain: Agent,
    /// The proxy for http://, if the environment names one.
    proxy: Option<Uri>,
}

/// One answer, whichever way it came.
struct Answer {
    status: u16,
    location: Option<String>,
    range: Option<String>,
    body: Box<dyn Read + Send>,
}

const REDIRECTS: u32 = 5;

impl Client {
    pub(crate) fn new() -> Client {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            // The machine's own store: a mirror in the house is often signed by the house.
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = || {
            Agent::config_builder()
                .tls_config(tls.clone())
                .http_status_as_error(false)
                // Each step of a redirection takes the way that fits its own address.
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("stayput/", env!("CARGO_PKG_VERSION")))
                .timeout_resolve(Some(Duration::from_secs(15)))
                .timeout_connect(Some(Duration::from_secs(15)))
                .timeout_recv_response(Some(Duration::from_secs(30)))
                // A slow mirror may take its time; a silent one may not.
                .timeout_per_read(Some(Duration::from_secs(30)))
                .max_idle_connections_per_host(8)
        };
        let secure = config().build().new_agent();
        Client { secure, plain: config().proxy(None).build().new_agent(), proxy: http_proxy() }
    }

    /// Starts a download; a mirror that does not resume answers from the start, and the body says so.
    pub(crate) fn get(&self, url: &str, offset: u64) -> Result<Body, Refusal> {
        let mut url = url.to_string();
        for _ in 0..=REDIRECTS {
            let answer = self.ask(&url, offset)?;
            let location = match answer.status {
                301 | 302 | 303 | 307 | 308 => answer.location.as_deref(),
                _ => return judge(answer, offset).or_else(|refusal| self.again(&url, offset, refusal)),
            };
            url = location
                .and_then(|location| resolved(&url, location))
                .ok_or_else(|| Refusal::Lasting("it redirects to an address that is none".into()))?;
        }
        Err(Refusal::Lasting(format!("more than {REDIRECTS} redirections")))
    }

    /// 416: the part we have is longer than the file. From the start, then.
    fn again(&self, url: &str, offset: u64, refusal: Refusal) -> Result<Body, Refusal> {
        match refusal {
            Refusal::Lasting(reason) if offset > 0 && reason == "HTTP 416" => {
                let answer = self.ask(url, 0)?;
                judge(answer, 0)
            }
            other => Err(other),
        }
    }

    fn ask(&self, url: &str, offset: u64) -> Result<Answer, Refusal> {
        if let Some(proxy) = self.proxy.as_ref().filter(|_| url.starts_with("http://") && !is_excepted(url)) {
            let answer =
                forward::get(proxy, url, offset).map_err(|error| Refusal::Passing(error.to_string()))?;
            let (status, location, range) = (answer.status, answer.location, answer.content_range);
            return Ok(Answer { status, location, range, body: answer.body });
        }
        let agent = if url.starts_with("http://") { &self.plain } else { &self.secure };
        let mut request = agent.get(url);
        if offset > 0 {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        let response = request.call().map_err(classify)?;
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_string)
        };
        let (status, location, range) =
            (response.status().as_u16(), header("location"), header("content-range"));
        Ok(Answer { status, location, range, body: Box::new(response.into_body().into_reader()) })
    }
}

fn judge(answer: Answer, offset: u64) -> Result<Body, Refusal> {
    let Answer { status, range, body, .. } = answer;
    match status {
        200 => Ok(Body { reader: body, offset: 0 }),
        206 if range.as_deref().and_then(range_start) == Some(offset) => Ok(Body { reader: body, offset }),
        206 => {
            Err(Refusal::Lasting("it answered with another part of the file than the one asked for".into()))
        }
        404 | 410 => Err(Refusal::Missing(format!("HTTP {status}"))),
        407 => Err(Refusal::Lasting("the proxy asks for a password (HTTP 407)".into())),
        408 | 425 | 429 | 500..=599 => Err(Refusal::Passing(format!("HTTP {status}"))),
        _ => Err(Refusal::Lasting(format!("HTTP {status}"))),
    }
}

/// `bytes 100-199/200` starts at 100.
fn range_start(value: &str) -> Option<u64> {
    value.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Where a redirection leads: another address, or another path of the same host.
fn resolved(from: &str, location: &str) -> Option<String> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return Some(location.to_string());
    }
    // From https to a path of the same host it stays https.
    let host_end = from.find("://")? + 3;
    let host_end = from[host_end..].find('/').map_or(from.len(), |slash| host_end + slash);
    location.starts_with('/').then(|| format!("{}{location}", &from[..host_end]))
}

/// The proxy for http:// as other tools read it; one that speaks SOCKS is none for this purpose.
fn http_proxy() -> Option<Uri> {
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let named = names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    let named = if named.contains("://") { named } else { format!("http://{named}") };
    named.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http"))
}

/// Whether NO_PROXY names the host.
fn is_excepted(url: &str) -> bool {
    match (Proxy::try_from_env(), url.parse::<Uri>()) {
        (Some(proxy), Ok(uri)) => proxy.is_no_proxy(&uri),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_leads_to_an_address_or_a_path() {
        assert_eq!(
            resolved("http://a.example/x/y", "https://b.example/z").as_deref(),
            Some("https://b.example/z")
        );
        assert_eq!(resolved("https://a.example:8/x/y", "/z").as_deref(), Some("https://a.example:8/z"));
        assert_eq!(resolved("http://a.example", "/z").as_deref(), Some("http://a.example/z"));
        for bad in ["", "file:///etc/passwd", "z", "gopher://x"] {
            assert_eq!(resolved("http://a.example/x", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_that_is_none_is_not_believed() {
        assert_eq!(range_start("bytes 100-199/200"), Some(100));
        for bad in ["", "bytes */200", "bytes -5", "items 1-2/3", "bytes x-y/z"] {
            assert_eq!(range_start(bad), None, "{bad}");
        }
    }
}
