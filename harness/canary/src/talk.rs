//! Who talks to whom in a capture: a table of what a box may say and hear, and everything that is not in it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::capture::Packet;
use crate::tcp::{Connections, Said, Segment};

/// What a box may take part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Whose an address is, in IPv4.
    Arp,
    /// The same in IPv6, with routers, and with the group messages that belong to it.
    Neighbours,
    /// An address of its own.
    Dhcp,
    /// Names, asked of the region's server.
    Names,
    /// The time, asked of the region's server.
    Time,
    /// TLS with the region.
    Tls,
    /// SSH at the door.
    Door,
}

/// With whom.
#[derive(Debug, Clone, Copy)]
pub struct Parties {
    /// The region, its names and its time; whoever calls at the door has this address as well.
    pub region: Ipv4Addr,
    /// The box.
    pub box_: Ipv4Addr,
    /// The port of the door, where there is one.
    pub door: Option<u16>,
}

/// What was talked.
#[derive(Debug, Default)]
pub struct Talks {
    /// How many packets and bytes of each.
    pub tally: BTreeMap<Talk, (usize, usize)>,
    /// What was said in each, without the headers: each datagram, each direction of a connection.
    pub records: BTreeMap<Talk, Vec<Vec<u8>>>,
    /// The names that were asked for, as they were written.
    pub names: Vec<String>,
    /// Whatever may not be, each in a line.
    pub strangers: Vec<String>,
}

/// What a packet is, as far as the table asks.
enum Kind<'a> {
    Arp,
    /// With its type.
    Icmp6(u8),
    Udp(SocketAddr, SocketAddr, &'a [u8]),
    Tcp(SocketAddr, SocketAddr),
    Other,
}

/// Neighbours and routers (133 to 136), redirects (137), and the groups that a neighbour has to be in to be asked (130 to 132, 143).
const NEIGHBOURS: [u8; 9] = [130, 131, 132, 133, 134, 135, 136, 137, 143];
/// Where a client's and a server's DHCP are, and what every message of it holds at byte 236.
const DHCP: [u16; 2] = [68, 67];
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];

/// What a talk is, and which packets are of it.
type Row = (Talk, fn(&Kind<'_>, &Parties) -> bool);

/// The table: a packet is the first that it fits.
const ROWS: &[Row] = &[
    (Talk::Arp, |kind, _| matches!(kind, Kind::Arp)),
    (Talk::Neighbours, |kind, _| matches!(kind, Kind::Icmp6(number) if NEIGHBOURS.contains(number))),
    (Talk::Dhcp, |kind, _| {
        let is_one = |payload: &[u8]| payload.get(236..240) == Some(&COOKIE);
        matches!(kind, Kind::Udp(from, to, payload)
            if DHCP.contains(&from.port()) && DHCP.contains(&to.port()) && is_one(payload))
    }),
    (
        Talk::Names,
        |kind, parties| matches!(kind, Kind::Udp(from, to, payload) if with(from, to, parties, 53) && payload.len() >= 12),
    ),
    (
        Talk::Time,
        |kind, parties| matches!(kind, Kind::Udp(from, to, payload) if with(from, to, parties, 123) && payload.len() == 48),
    ),
    (Talk::Tls, |kind, parties| matches!(kind, Kind::Tcp(from, to) if with(from, to, parties, 443))),
    (
        Talk::Door,
        |kind, parties| matches!((kind, parties.door), (Kind::Tcp(from, to), Some(port)) if at_door(from, to, parties, port)),
    ),
];

/// Between the box and a port of the region's.
fn with(from: &SocketAddr, to: &SocketAddr, parties: &Parties, port: u16) -> bool {
    let region = SocketAddr::from((parties.region, port));
    let is_box = |address: &SocketAddr| address.ip() == IpAddr::V4(parties.box_);
    (*to == region && is_box(from)) || (*from == region && is_box(to))
}

/// Between the region's side and a port of the box's.
fn at_door(from: &SocketAddr, to: &SocketAddr, parties: &Parties, port: u16) -> bool {
    let door = SocketAddr::from((parties.box_, port));
    let is_beside = |address: &SocketAddr| address.ip() == IpAddr::V4(parties.region);
    (*to == door && is_beside(from)) || (*from == door && is_beside(to))
}

/// Looks at every packet of a capture.
pub fn talks(packets: &[Packet<'_>], parties: &Parties) -> Talks {
    let mut talks = Talks::default();
    let mut connections = Connections::default();
    for (number, packet) in (1..).zip(packets) {
        let sliced = SlicedPacket::from_ethernet(packet.bytes);
        let kind = sliced.as_ref().map_or(Kind::Other, kind_of);
        let Some((talk, _)) = ROWS.iter().find(|(_, fits)| fits(&kind, parties)) else {
            talks.strangers.push(format!(
                "packet {number}, {:.3} s: {kind}, {}",
                packet.at.as_secs_f64(),
                start(packet.bytes)
            ));
            continue;
        };
        let (count, bytes) = talks.tally.entry(*talk).or_default();
        (*count, *bytes) = (*count + 1, *bytes + packet.bytes.len());
        match kind {
            Kind::Udp(_, _, payload) => {
                if *talk == Talk::Names {
                    talks.names.extend(question(payload));
                }
                talks.records.entry(*talk).or_default().push(payload.to_vec());
            }
            Kind::Tcp(from, to) => {
                if let Ok(SlicedPacket { transport: Some(TransportSlice::Tcp(tcp)), .. }) = &sliced {
                    let (number_, opens, payload) = (tcp.sequence_number(), tcp.syn(), tcp.payload());
                    connections.take(&Segment { from, to, packet: number, number: number_, opens, payload });
                }
            }
            // Headers all of it: it is searched with the file.
            Kind::Arp | Kind::Icmp6(_) | Kind::Other => {}
        }
    }
    for said in connections.end() {
        let is_door = parties.door.is_some_and(|door| at_door(&said.from, &said.to, parties, door));
        let (talk, flaw) = if is_door { (Talk::Door, ssh_flaw(&said)) } else { (Talk::Tls, tls_flaw(&said)) };
        if let Some(flaw) = flaw {
            let Said { packet, from, to, .. } = said;
            talks.strangers.push(format!("connection of packet {packet}, {from} -> {to}: {flaw}"));
        }
        talks.records.entry(talk).or_default().push(said.bytes);
    }
    talks
}

fn kind_of<'a>(packet: &SlicedPacket<'a>) -> Kind<'a> {
    let (source, destination) = match &packet.net {
        Some(NetSlice::Arp(_)) => return Kind::Arp,
        Some(NetSlice::Ipv4(ip)) => {
            (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
        }
        Some(NetSlice::Ipv6(ip)) => {
            (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
        }
        None => return Kind::Other,
    };
    match &packet.transport {
        Some(TransportSlice::Icmpv6(icmp)) => Kind::Icmp6(icmp.type_u8()),
        Some(TransportSlice::Udp(udp)) => Kind::Udp(
            (source, udp.source_port()).into(),
            (destination, udp.destination_port()).into(),
            udp.payload(),
        ),
        Some(TransportSlice::Tcp(tcp)) => {
            Kind::Tcp((source, tcp.source_port()).into(), (destination, tcp.destination_port()).into())
        }
        _ => Kind::Other,
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arp => out.write_str("ARP"),
            Self::Icmp6(kind) => write!(out, "ICMPv6 of type {kind}"),
            Self::Udp(from, to, payload) => write!(out, "UDP {from} -> {to}, {} bytes", payload.len()),
            Self::Tcp(from, to) => write!(out, "TCP {from} -> {to}"),
            Self::Other => out.write_str("neither ARP nor UDP, TCP or ICMPv6"),
        }
    }
}

/// The beginning of a packet, for whoever has to find out what it is.
fn start(bytes: &[u8]) -> String {
    bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect()
}

/// The name that a question asks for.
fn question(payload: &[u8]) -> Option<String> {
    let (mut at, mut name) = (12, String::new());
    loop {
        let length = usize::from(*payload.get(at)?);
        if length == 0 || length > 63 {
            return (length == 0).then_some(name);
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(payload.get(at + 1..at + 1 + length)?));
        at += 1 + length;
    }
}

/// Why this is no TLS: it has to be records from the first byte on, and to begin with a handshake.
fn tls_flaw(said: &Said) -> Option<String> {
    if said.has_gap {
        return Some("segments are missing".to_owned());
    }
    let (bytes, mut at) = (&said.bytes, 0);
    while let Some(header) = bytes.get(at..at + 5) {
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let first = at == 0 && header[0] != 22 && header[0] != 21;
        if first || !(20..=23).contains(&header[0]) || header[1] != 3 || length > 16_384 + 256 {
            return Some(format!("no TLS at byte {at}: {}", start(&bytes[at..])));
        }
        at += 5 + length;
    }
    // The rest is a record that had not come to its end.
    None
}

/// Why this is no SSH: each side begins with its name.
fn ssh_flaw(said: &Said) -> Option<String> {
    let begins = said.bytes.is_empty() || said.bytes.starts_with(b"SSH-2.0-");
    (!begins).then(|| format!("no SSH: {}", start(&said.bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;
    use std::time::Duration;

    const BOX: [u8; 4] = [10, 0, 2, 15];
    const REGION: [u8; 4] = [10, 0, 2, 2];
    const OTHER: [u8; 4] = [10, 0, 2, 3];
    const CARDS: ([u8; 6], [u8; 6]) = ([2; 6], [4; 6]);

    fn udp(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(CARDS.0, CARDS.1).ipv4(from.0, to.0, 64).udp(from.1, to.1);
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        packet
    }

    fn tcp(from: ([u8; 4], u16), to: ([u8; 4], u16), number: u32, payload: &[u8]) -> Vec<u8> {
        let builder =
            PacketBuilder::ethernet2(CARDS.0, CARDS.1).ipv4(from.0, to.0, 64).tcp(from.1, to.1, number, 1000);
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        packet
    }

    fn icmp6(kind: u8) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(CARDS.0, CARDS.1).ipv6([0xfe; 16], [0xff; 16], 255);
        let mut packet = Vec::new();
        builder.icmpv6_raw(kind, 0, [0; 4]).write(&mut packet, &[0; 16]).unwrap();
        packet
    }

    fn arp() -> Vec<u8> {
        let mut packet = [[0xff; 6], CARDS.0].concat();
        packet.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        packet.extend([&CARDS.0[..], &BOX, &[0; 6], &REGION].concat());
        packet
    }

    fn look(packets: &[Vec<u8>]) -> Talks {
        let packets: Vec<_> =
            packets.iter().map(|bytes| Packet { at: Duration::from_millis(1_500), bytes }).collect();
        let parties = Parties { region: REGION.into(), box_: BOX.into(), door: Some(22) };
        talks(&packets, &parties)
    }

    fn dhcp() -> Vec<u8> {
        [&[1; 236][..], &COOKIE, b"options"].concat()
    }

    const QUESTION: &[u8] = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03ssm\x07Example\0\0\x01\0\x01";
    const TLS: &[u8] = b"\x16\x03\x01\0\x02hi\x17\x03\x03\0\x05";

    #[test]
    fn what_a_box_may_say_and_hear_is_in_the_table_both_ways() {
        let packets = [
            arp(),
            icmp6(135),
            icmp6(143),
            udp(([0; 4], 68), ([255; 4], 67), &dhcp()),
            udp((OTHER, 67), (BOX, 68), &dhcp()),
            udp((BOX, 5000), (REGION, 53), QUESTION),
            udp((REGION, 53), (BOX, 5000), QUESTION),
            udp((BOX, 123), (REGION, 123), &[0x23; 48]),
            tcp((BOX, 4000), (REGION, 443), 1, TLS),
            tcp((REGION, 443), (BOX, 4000), 1, TLS),
            tcp((REGION, 5000), (BOX, 22), 1, b"SSH-2.0-a\r\n\0\0"),
            tcp((BOX, 22), (REGION, 5000), 1, b"SSH-2.0-b\r\n"),
        ];
        let talks = look(&packets);
        assert_eq!(talks.strangers, [""; 0]);
        let counts: Vec<_> = talks.tally.iter().map(|(talk, (count, _))| (*talk, *count)).collect();
        let expected = [
            (Talk::Arp, 1),
            (Talk::Neighbours, 2),
            (Talk::Dhcp, 2),
            (Talk::Names, 2),
            (Talk::Time, 1),
            (Talk::Tls, 2),
            (Talk::Door, 2),
        ];
        assert_eq!(counts, expected);
        assert_eq!(talks.names, ["ssm.Example", "ssm.Example"]);
        assert_eq!(talks.records[&Talk::Tls], [TLS, TLS]);
        let bytes: usize = talks.tally.values().map(|(_, bytes)| bytes).sum();
        assert_eq!(bytes, packets.iter().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn whatever_else_there_is_is_a_stranger() {
        let wrong = [
            ("another's names", udp((BOX, 5000), (OTHER, 53), QUESTION)),
            ("no question", udp((BOX, 5000), (REGION, 53), b"short")),
            ("another's time", udp((BOX, 123), (OTHER, 123), &[0x23; 48])),
            ("a time that is too long", udp((BOX, 123), (REGION, 123), &[0x23; 56])),
            ("mDNS", udp((BOX, 5353), ([224, 0, 0, 251], 5353), QUESTION)),
            ("DHCP that is none", udp((BOX, 68), (REGION, 67), b"something else")),
            ("another's TLS", tcp((BOX, 4000), (OTHER, 443), 1, TLS)),
            ("another port", tcp((BOX, 4000), (REGION, 80), 1, b"")),
            ("the door the other way", tcp((BOX, 4000), (REGION, 22), 1, b"SSH-2.0-a\r\n")),
            ("not even TLS", tcp((BOX, 4000), (REGION, 443), 1, b"GET / HTTP/1.1\r\n")),
            ("TLS that begins with data", tcp((BOX, 4000), (REGION, 443), 1, b"\x17\x03\x03\0\0")),
            ("TLS and then something", tcp((BOX, 4000), (REGION, 443), 1, b"\x16\x03\x01\0\0hello")),
            ("no SSH", tcp((REGION, 5000), (BOX, 22), 1, b"hello there")),
            ("an echo", icmp6(128)),
            ("a frame of another kind", [&CARDS.0[..], &CARDS.1, &[0x88, 0xcc], &[0; 40]].concat()),
            ("half a header", vec![0; 9]),
        ];
        for (what, packet) in wrong {
            assert_eq!(look(&[packet]).strangers.len(), 1, "{what}");
        }
        // A segment is missing.
        let gap = [tcp((BOX, 1), (REGION, 443), 1, TLS), tcp((BOX, 1), (REGION, 443), 100, TLS)];
        assert!(look(&gap).strangers[0].contains("missing"));
    }

    proptest::proptest! {
        #[test]
        fn any_packet_is_looked_at_without_a_panic(bytes: Vec<u8>, payload: Vec<u8>) {
            look(&[bytes, udp((BOX, 5000), (REGION, 53), &payload), tcp((BOX, 4), (REGION, 443), 1, &payload)]);
        }
    }
}
