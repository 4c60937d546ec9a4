//! Whom the part `clock` asks: the region's own endpoint, on the way that the settings say.

use stayput_config::Config;

use crate::clock::ask::{Place, Proxy};
use crate::intake::Settings;

/// `None` where the endpoint has no TLS, as on a test desk: then nobody can prove to be the region.
pub(super) fn region(settings: &Settings) -> Option<String> {
    let config = &settings.config;
    let region = &config.activation.region;
    let (host, port) = match &config.endpoints.ssm {
        Some(endpoint) if !endpoint.is_tls() => return None,
        Some(endpoint) => (endpoint.host().to_string(), endpoint.port()),
        None => (format!("ssm.{region}.{}", region.domain()), 443),
    };
    let place = Place { proxy: proxy(config, &host), host, port };
    serde_json::to_string(&place).ok().map(|text| text + "\n")
}

fn proxy(config: &Config, host: &str) -> Option<Proxy> {
    let proxy = config.network.proxy_to(host)?;
    let exposed = proxy.expose();
    let user =
        exposed.strip_prefix("http://").and_then(|rest| rest.rsplit_once('@')).map(|(user, _)| decoded(user));
    Some(Proxy { host: proxy.server().to_string(), port: proxy.port(), user })
}

/// Name and password as they are meant: in the URL, `%` and two digits stand for what a URL cannot hold.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        bytes.push(match byte {
            b'%' => digit()
                .zip(digit())
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
                .unwrap_or(b'%'),
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_told_as_it_is_meant() {
        assert_eq!(decoded("robot:pa%40ss%3a"), "robot:pa@ss:");
        assert_eq!(decoded("robot:"), "robot:");
    }
}
