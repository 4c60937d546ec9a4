//! networkd, resolved and timesyncd: addresses, names and time servers.

use std::fmt::{Display, Write};

use stayput_config::Addressing;

use crate::intake::Settings;

/// The one link of the box. It comes before the image's `80-wired.network` by its name and says all of it anew: networkd takes
/// the first file that fits and no other.
pub(super) fn link(settings: &Settings) -> Option<String> {
    let (network, device) = (&settings.config.network, &settings.config.device);
    let mut text = String::from("[Match]\nType=ether\nKind=!*\n\n[Network]\n");
    let mut line = |name: &str, value: &dyn Display| {
        // Memory is the only thing written to.
        let _ = writeln!(text, "{name}={value}");
    };
    match network.addressing {
        Addressing::Dhcp => {
            line("DHCP", &"yes");
            line("IPv6AcceptRA", &"yes");
        }
        // The address is the file's alone: no router may add another.
        Addressing::Static { address, gateway } => {
            line("DHCP", &"no");
            line("IPv6AcceptRA", &"no");
            line("Address", &address);
            line("Gateway", &gateway);
        }
    }
    for server in &network.dns {
        line("DNS", server);
    }
    line("LLMNR", &"no");
    line("MulticastDNS", &if network.mdns { "yes" } else { "no" });
    line("LLDP", &"no");
    line("EmitLLDP", &"no");
    if network.addressing == Addressing::Dhcp {
        // Servers that the file names stand in the place of the network's, not beside them.
        let yes_without = |named: bool| if named { "no" } else { "yes" };
        let (names, time) = (yes_without(!network.dns.is_empty()), yes_without(!device.ntp.is_empty()));
        let _ = write!(
            text,
            "\n[DHCPv4]\nClientIdentifier=mac\nUseDNS={names}\nUseDomains=no\nUseHostname=no\nUseNTP={time}\n\
             UseTimezone=no\n\n[DHCPv6]\nUseDNS={names}\nUseDomains=no\nUseHostname=no\nUseNTP={time}\n\n\
             [IPv6AcceptRA]\nUseDNS={names}\nUseDomains=no\n"
        );
    }
    Some(text)
}

/// The resolver answers to the box's name on the local network only where the file says so; the image says no to it.
pub(super) fn names(settings: &Settings) -> Option<String> {
    settings.config.network.mdns.then(|| "[Resolve]\nMulticastDNS=yes\n".to_owned())
}

/// The file's time servers.
pub(super) fn time(settings: &Settings) -> Option<String> {
    let servers: Vec<_> = settings.config.device.ntp.iter().map(ToString::to_string).collect();
    (!servers.is_empty()).then(|| format!("[Time]\nNTP={}\n", servers.join(" ")))
}
