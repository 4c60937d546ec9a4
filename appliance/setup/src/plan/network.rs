//! networkd, resolved and timesyncd: addresses, names and time servers.

use std::fmt::{Display, Write};

use stayput_config::Addressing;

use crate::intake::Settings;

/// The firewall's sets of the networks that the box itself is in. networkd keeps them, and nobody else knows a lease in time.
pub(super) const HERE: &str = "here";
pub(super) const HERE_6: &str = "here6";

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
        Addressing::Static { gateway, .. } => {
            line("DHCP", &"no");
            line("IPv6AcceptRA", &"no");
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
    // Only a door that is open to them asks for them.
    let asked = settings.config.drop.is_open() && settings.config.drop.from.is_empty();
    let here = |set: &str| if asked { format!("NFTSet=prefix:inet:stayput:{set}\n") } else { String::new() };
    let (here, here_6) = (here(HERE), here(HERE_6));
    if let Addressing::Static { address, .. } = network.addressing {
        let set = if address.address().is_ipv4() { here } else { here_6 };
        let _ = write!(text, "\n[Address]\nAddress={address}\n{set}");
    } else {
        // Servers that the file names stand in the place of the network's, not beside them.
        let yes_without = |named: bool| if named { "no" } else { "yes" };
        let (names, time) = (yes_without(!network.dns.is_empty()), yes_without(!device.ntp.is_empty()));
        let _ = write!(
            text,
            "\n[DHCPv4]\nClientIdentifier=mac\nUseDNS={names}\nUseDomains=no\nUseHostname=no\nUseNTP={time}\n\
             UseTimezone=no\n{here}\n[DHCPv6]\nUseDNS={names}\nUseDomains=no\nUseHostname=no\nUseNTP={time}\n\n\
             [IPv6AcceptRA]\nUseDNS={names}\nUseDomains=no\n{here_6}"
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
