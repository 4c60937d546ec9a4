//! Who listens: the kernel's tables `/proc/net/{tcp,udp,raw}{,6}`, read and judged.

use crate::error::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The tables to read on the box. `icmp` and `packet` have another form and nothing that "listens".
pub const TABLES: [(Protocol, &str); 8] = [
    (Protocol::Tcp, "/proc/net/tcp"),
    (Protocol::Tcp, "/proc/net/tcp6"),
    (Protocol::Udp, "/proc/net/udp"),
    (Protocol::Udp, "/proc/net/udp6"),
    (Protocol::Udp, "/proc/net/udplite"),
    (Protocol::Udp, "/proc/net/udplite6"),
    (Protocol::Raw, "/proc/net/raw"),
    (Protocol::Raw, "/proc/net/raw6"),
];

/// What kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
    /// Packets of one IP protocol; the port is its number.
    Raw,
}

/// One socket of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    /// What kind.
    pub protocol: Protocol,
    /// Bound to.
    pub address: IpAddr,
    /// Bound to.
    pub port: u16,
    /// Connected to somebody, or waiting for anybody.
    pub connected: bool,
    /// The kernel's state number (`0A` is LISTEN for TCP).
    pub state: u8,
    /// The owner's uid.
    pub uid: u32,
}

impl Socket {
    /// Takes what anybody sends: a listening TCP socket, a bound datagram socket without a peer, a raw socket.
    pub fn is_open(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => self.state == 0x0a,
            Protocol::Udp => !self.connected && self.port != 0,
            Protocol::Raw => true,
        }
    }

    /// Takes it from outside the box, too.
    pub fn is_exposed(&self) -> bool {
        let loopback = match self.address {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => {
                address.is_loopback() || address.to_ipv4_mapped().is_some_and(|mapped| mapped.is_loopback())
            }
        };
        self.is_open() && !loopback
    }
}

/// One table, as read from the box.
pub fn parse(protocol: Protocol, text: &str) -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    // The first line is the heading.
    for (number, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let socket = parse_line(protocol, line).ok_or_else(|| Error::Text {
            what: "a table of sockets",
            line: number + 1,
            text: line.chars().take(200).collect(),
        })?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn parse_line(protocol: Protocol, line: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let [_slot, local, remote, state, _queues, _timer, _retransmits, uid, ..] = fields.as_slice() else {
        return None;
    };
    let (address, port) = parse_end(local)?;
    let (peer, peer_port) = parse_end(remote)?;
    Some(Socket {
        protocol,
        address,
        port,
        connected: !peer.is_unspecified() || peer_port != 0,
        state: u8::from_str_radix(state, 16).ok()?,
        uid: uid.parse().ok()?,
    })
}

/// `0100007F:0035`: each 32-bit word of the address as the box's (little-endian) number, the port as it is.
fn parse_end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_le_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (at, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADING: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn one(protocol: Protocol, line: &str) -> Socket {
        parse(protocol, &format!("{HEADING}{line}\n")).unwrap().remove(0)
    }

    #[test]
    fn a_listener_on_loopback_is_open_but_not_exposed() {
        let line = "   0: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 23 1 0";
        let socket = one(Protocol::Tcp, line);
        assert_eq!((socket.address, socket.port, socket.uid), ("127.0.0.53".parse().unwrap(), 53, 101));
        assert!(socket.is_open() && !socket.is_exposed());
    }

    #[test]
    fn a_listener_on_every_address_is_exposed() {
        let v4 = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23 1 0";
        let v6 = "   1: 00000000000000000000000000000000:14EB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1 0";
        assert!(one(Protocol::Tcp, v4).is_exposed());
        let socket = one(Protocol::Tcp, v6);
        assert!(socket.is_exposed());
        assert_eq!((socket.address, socket.port), ("::".parse().unwrap(), 5355));
    }

    #[test]
    fn loopback_is_known_in_all_its_spellings() {
        let end = |text| parse_end(text).unwrap().0;
        assert_eq!(end("00000000000000000000000001000000:0001"), "::1".parse::<IpAddr>().unwrap());
        let mapped = "0: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1";
        assert!(!one(Protocol::Tcp, mapped).is_exposed());
    }

    #[test]
    fn a_connection_is_not_a_listener() {
        let line = "   2: 0F02000A:9C40 0202000A:0050 01 00000000:00000000 00:00000000 00000000     0        0 5 1 0";
        assert!(!one(Protocol::Tcp, line).is_exposed());
        assert!(!one(Protocol::Udp, line).is_exposed(), "a datagram socket with a peer hears only that peer");
    }

    #[test]
    fn a_dhcp_client_and_a_raw_socket_are_exposed() {
        let dhcp = "  7: 0F02000A:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000   998        0 8 2 0 0";
        let icmp6 = " 58: 00000000000000000000000000000000:003A 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   998        0 3 2 0 0";
        assert!(one(Protocol::Udp, dhcp).is_exposed());
        assert!(one(Protocol::Raw, icmp6).is_exposed());
    }

    #[test]
    fn a_cut_or_foreign_line_is_named_with_its_number() {
        for bad in [
            "   0: 0100007F",
            "x",
            "   0: 0100007F:zz 00000000:0000 0A 0:0 0:0 0 0 0",
            "0: +100007F:0001 00000000:0000 0A 0:0 0:0 0 0 0",
        ] {
            let error = parse(Protocol::Tcp, &format!("{HEADING}{bad}\n")).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{error}");
        }
        assert_eq!(parse(Protocol::Tcp, "").unwrap(), []);
        assert_eq!(parse(Protocol::Tcp, &format!("{HEADING}\r\n")).unwrap(), []);
    }

    proptest! {
        #[test]
        fn no_table_panics(text in "(.*\n){0,4}") {
            let _ = parse(Protocol::Udp, &text);
        }
    }
}
