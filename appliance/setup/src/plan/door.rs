//! The SFTP door: whose keys open it, from where, and which folders are behind it.
//!
//! All of it follows from keys. Without one there is no rule in the firewall, and without that rule the door's socket does not
//! listen (`ConditionPathExists=`).

use std::fmt::Write;

use ipnet::IpNet;
use stayput_config::SshKey;

use super::{Link, network};
use crate::intake::Settings;

/// The door's port.
const PORT: u16 = 22;

/// Where the door finds the folders, whatever they are called.
const SOURCE: &str = "stayput/door/source";
const DESTINATION: &str = "stayput/door/destination";

/// Whoever may add files.
pub(super) fn adding(settings: &Settings) -> Option<String> {
    keys(&settings.config.drop.keys)
}

/// Whoever may collect results.
pub(super) fn collecting(settings: &Settings) -> Option<String> {
    keys(&settings.config.drop.collect_keys)
}

/// For sshd, which gives each key the least by its own configuration; said here once more.
fn keys(keys: &[SshKey]) -> Option<String> {
    let lines: String = keys.iter().map(|key| format!("restrict {key}\n")).collect();
    (!lines.is_empty()).then_some(lines)
}

/// From where the door may be reached. A rule for each network: in a set, two that overlap would cost the box its firewall.
pub(super) fn firewall(settings: &Settings) -> Option<String> {
    let drop = &settings.config.drop;
    if !drop.is_open() {
        return None;
    }
    let mut rules = String::new();
    let mut rule = |from: &str| {
        // Memory is the only thing written to.
        let _ = writeln!(rules, "{from} tcp dport {PORT} accept");
    };
    if drop.from.is_empty() {
        rule(&format!("ip saddr @{}", network::HERE));
        rule(&format!("ip6 saddr @{}", network::HERE_6));
        rule("ip6 saddr fe80::/10");
    }
    for network in drop.from.iter().map(|cidr| cidr.net()) {
        match network {
            IpNet::V4(_) if network.prefix_len() == 0 => rule("meta nfproto ipv4"),
            IpNet::V6(_) if network.prefix_len() == 0 => rule("meta nfproto ipv6"),
            IpNet::V4(_) => rule(&format!("ip saddr {}", network.trunc())),
            IpNet::V6(_) => rule(&format!("ip6 saddr {}", network.trunc())),
        }
    }
    Some(rules)
}

/// The folders behind it.
pub(super) fn links(settings: &Settings) -> Vec<Link> {
    if !settings.config.drop.is_open() {
        return Vec::new();
    }
    let worker = &settings.config.worker;
    let link = |path, to: &str| Link { path, to: to.to_owned() };
    vec![link(SOURCE, worker.source.as_str()), link(DESTINATION, worker.destination.as_str())]
}
