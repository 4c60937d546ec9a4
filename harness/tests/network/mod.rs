//! The network as the box sees it, past its firewall: addresses, a peer, the plug, and nobody who listens.
//!
//! QEMU's user network is 10.0.2.0/24 and fec0::/64. Its one machine, 10.0.2.2 and fec0::2, gives addresses and
//! leads on to the loopback of the namespace in which QEMU runs.

use crate::stage::peer::{Peer, answer};
use serde_json::Value;
use stayput_harness::{Error, Machine, Protocol, Result, Socket, protocol::Op};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The user network's machine, as the box calls it.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));
const HOST_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 2));

/// An address comes after the box is up: it waits for nobody's network.
const ADDRESS: Duration = Duration::from_secs(60);

/// The name of the one real card.
fn card(machine: &mut Machine) -> Result<String> {
    let mut real = Vec::new();
    for card in machine.probe()?.list("/sys/class/net")? {
        // Only a card has a device behind it; bridges and loopback do not.
        if machine.probe()?.exists(&format!("/sys/class/net/{}/device", card.name))? {
            real.push(card.name);
        }
    }
    match <[String; 1]>::try_from(real) {
        Ok([card]) => Ok(card),
        Err(real) => panic!("one network card was expected: {real:?}"),
    }
}

/// What the network service says of the card, in its own JSON.
fn status(machine: &mut Machine, card: &str) -> Result<Value> {
    let text = machine.probe()?.output(&["networkctl", "--json=short", "status", card])?;
    Ok(serde_json::from_str(&text).expect("networkctl was asked for JSON"))
}

/// The addresses that came from `source` and are usable.
fn addresses(status: &Value, source: &str) -> Vec<IpAddr> {
    let bytes = |address: &Value| -> Option<Vec<u8>> {
        address["Address"].as_array()?.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
    };
    let ip = |bytes: Vec<u8>| {
        let four = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
        four.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from)).ok()
    };
    let all = status["Addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .filter(|address| address["ConfigSource"] == source && address["ConfigState"] == "configured")
        .filter_map(|address| ip(bytes(address)?))
        .collect()
}

/// Waits until the card's status is as `is_so` wants it.
fn wait_for(machine: &mut Machine, card: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    let deadline = machine.deadline(ADDRESS);
    let mut last = Value::Null;
    let seen = deadline.poll(|| {
        last = status(machine, card)?;
        Ok::<_, Error>(is_so(&last).then_some(()))
    })?;
    assert!(seen.is_some(), "{card}: no {what}; the network service says {last:#}");
    Ok(())
}

fn has_lease(status: &Value) -> bool {
    let ours = |ip: &IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[..3] == [10, 0, 2]);
    addresses(status, "DHCPv4").iter().any(ours)
}

fn has_announced_address(status: &Value) -> bool {
    let ours = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.segments()[..4] == [0xfec0, 0, 0, 0]);
    addresses(status, "NDisc").iter().any(ours)
}

pub fn lease(machine: &mut Machine) -> Result<()> {
    let card = card(machine)?;
    wait_for(machine, &card, "lease", has_lease)
}

pub fn router(machine: &mut Machine) -> Result<()> {
    let card = card(machine)?;
    wait_for(machine, &card, "address that a router announced", has_announced_address)?;
    // With loopback alone the host still refuses: an answer from the neighbour, who was found.
    let closed = SocketAddr::new(HOST_6, 9);
    let said = machine.probe()?.connect(closed, b"", Duration::from_secs(20));
    assert!(matches!(&said, Err(Error::OnTheBox(why)) if why.contains("refused")), "{said:?}");
    Ok(())
}

pub fn peer(machine: &mut Machine) -> Result<()> {
    let card = card(machine)?;
    wait_for(machine, &card, "lease", has_lease)?;
    let peer = Peer::listen(machine, Ipv4Addr::LOCALHOST.into())?;
    let to = SocketAddr::new(HOST, peer.port);
    let said = machine.probe()?.connect(to, b"a question\n", Duration::from_secs(20))?;
    assert_eq!(String::from_utf8_lossy(&said), answer("a question"));
    Ok(())
}

/// What the firewall's last rule has counted.
fn dropped(machine: &mut Machine) -> Result<u64> {
    let text = machine.probe()?.output(&["nft", "--json", "list", "chain", "inet", "stayput", "input"])?;
    let chain: Value = serde_json::from_str(&text).expect("nft was asked for JSON");
    let rules = chain["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rule = rules.iter().filter_map(|entry| entry.get("rule")).find(|rule| rule["comment"] == "dropped");
    let packets = rule.and_then(|rule| rule["expr"][0]["counter"]["packets"].as_u64());
    Ok(packets.unwrap_or_else(|| panic!("no rule counts what is dropped: {chain:#}")))
}

pub fn uninvited(machine: &mut Machine) -> Result<()> {
    let card = card(machine)?;
    wait_for(machine, &card, "lease", has_lease)?;
    // The address of the first lease.
    knocks_in_vain(machine, "")
}

/// A stranger knocks at port 22 of the box, which has that address, and the firewall counts him and lets nothing through.
pub fn knocks_in_vain(machine: &mut Machine, address: &str) -> Result<()> {
    let before = dropped(machine)?;
    // A door in the user network that leads back to the box: whoever knocks there is a stranger to it.
    let door = SocketAddr::new(HOST, 8022);
    let way = format!("tcp:127.0.0.1:8022-{address}:22");
    let silence = machine.qmp()?.monitor(&format!("hostfwd_add network {way}"))?;
    assert_eq!(silence.trim(), "");
    let knock = Op::Connect { to: door, data: Vec::new(), timeout_ms: 30_000, limit: 1 };
    let knock = machine.probe()?.begin(knock)?;
    let deadline = machine.deadline(Duration::from_secs(30));
    let counted = deadline.poll(|| Ok::<_, Error>((dropped(machine)? > before).then_some(())))?;
    assert!(counted.is_some(), "{:?}", machine.probe()?.finish(knock, Duration::from_secs(30)));
    Ok(())
}

/// A DHCP client has to hear the answer to what it asked; these are no services.
fn is_a_client(socket: &Socket) -> bool {
    matches!((socket.protocol, socket.port), (Protocol::Udp, 68 | 546) | (Protocol::Raw, 58))
}

pub fn nothing_listens(machine: &mut Machine) -> Result<()> {
    let sockets = machine.probe()?.sockets()?;
    let exposed: Vec<_> = sockets.iter().filter(|s| s.is_exposed() && !is_a_client(s)).collect();
    assert!(exposed.is_empty(), "{exposed:#?}");
    Ok(())
}

pub fn nothing_listens_with_the_engine(machine: &mut Machine) -> Result<()> {
    // The first start makes the engine's folders and keys.
    const FIRST_START: Duration = Duration::from_secs(240);
    for unit in ["containerd.service", "docker.service"] {
        let ran = machine.probe()?.run_for(&["systemctl", "start", unit], FIRST_START)?;
        assert_eq!(ran.code, Some(0), "{unit}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    crate::stage::assert_running(machine)?;
    // The firewall is still the box's own: the engine adds its tables and takes none away.
    dropped(machine)?;
    nothing_listens(machine)
}

pub fn plug(machine: &mut Machine) -> Result<()> {
    let card = card(machine)?;
    let carrier = |status: &Value, word: &str| status["CarrierState"] == word;
    wait_for(machine, &card, "lease", has_lease)?;
    machine.link(false)?;
    wait_for(machine, &card, "loss of carrier and lease", |now| {
        carrier(now, "no-carrier") && !has_lease(now)
    })?;
    machine.link(true)?;
    wait_for(machine, &card, "lease again", |now| carrier(now, "carrier") && has_lease(now))
}
