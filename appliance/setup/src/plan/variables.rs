//! A file of variables for systemd.

use std::fmt::Write;

use stayput_config::Network;

/// A file for `EnvironmentFile=`.
#[derive(Debug, Default)]
pub(super) struct Variables(String);

impl Variables {
    /// In double quotation marks systemd takes everything as it is but these four.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let mut quoted = String::new();
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '`' | '$') {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        // Memory is the only thing written to.
        let _ = writeln!(self.0, "{name}=\"{quoted}\"");
    }

    /// The proxy, and what is reached without it: what the settings say, and `own` of the program itself.
    pub(super) fn set_proxy(&mut self, network: &Network, own: &[&str]) {
        let Some(proxy) = &network.proxy else { return };
        for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
            self.set(name, &proxy.expose());
        }
        let said = network.no_proxy.iter().map(ToString::to_string);
        let without: Vec<_> = said.chain(own.iter().map(ToString::to_string)).collect();
        if !without.is_empty() {
            self.set("NO_PROXY", &without.join(","));
        }
    }

    /// The file.
    pub(super) fn text(self) -> String {
        self.0
    }
}
