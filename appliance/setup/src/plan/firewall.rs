//! What the firewall lets in beyond the image's own rules, as lines of its chain `input`.

use crate::intake::Settings;

/// Questions for the box's name, of the local network: they come to a group's address and from port to port.
pub(super) fn mdns(settings: &Settings) -> Option<String> {
    let rules = "udp sport 5353 udp dport 5353 ip daddr 224.0.0.251 accept\n\
                 udp sport 5353 udp dport 5353 ip6 daddr ff02::fb accept\n";
    settings.config.network.mdns.then(|| rules.to_owned())
}
