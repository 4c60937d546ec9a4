//! What is known about the box beside its verdict: facts for the screen and for `STATUS.txt`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use stayput_health::{Board, Part, Registration, Report, registration};
use stayput_status::{Fact, Facts};

/// The kernel's table of routes to itself, where every IPv4 address of the box stands.
const IPV4: &str = "/proc/net/fib_trie";
/// The kernel's list of IPv6 addresses.
const IPV6: &str = "/proc/net/if_inet6";

/// The SFTP door's key, as anybody may know it.
const DOOR_KEY: &str = "/run/stayput/door/key";

/// How many addresses are told.
const MOST: usize = 4;

/// What can be known of this box now.
pub fn facts<'a>(board: Option<&Board>, reports: impl IntoIterator<Item = &'a Report>) -> Facts {
    let mut facts = Facts::default();
    // What breaks a fact's rule is left out: a wrong fact helps less than none.
    let mut set = |fact, value: Option<&str>| drop(value.map(|value| facts.set(fact, value)));
    set(Fact::Name, rustix::system::uname().nodename().to_str().ok());
    set(Fact::Board, board.map(|board| board.title.as_str()));
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    set(Fact::Version, version(&release));
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let addresses: Vec<_> = addresses(&read(IPV4), &read(IPV6)).iter().map(IpAddr::to_string).collect();
    set(Fact::Addresses, Some(addresses.join(", ").as_str()).filter(|text| !text.is_empty()));
    // The set-up leaves it where there is a door: the fingerprint, and a line for known_hosts.
    set(Fact::DoorKey, read(DOOR_KEY).lines().next());
    // What cannot be read is not known; the identity says what is wrong.
    let registered = Registration::read(Path::new(registration::DIRECTORY)).ok().flatten();
    if let Some(registered) = registered {
        set(Fact::Instance, registered.instance.as_deref());
        set(Fact::Region, registered.region.as_deref());
    }
    for report in reports {
        let fact =
            |name: &str| report.facts.iter().find(|(key, _)| key.as_str() == name).map(|(_, it)| it.as_str());
        let count =
            |name: &str| report.counters.iter().find(|(key, _)| key.as_str() == name).map(|(_, it)| *it);
        match report.part {
            Part::Init => set(Fact::Slot, fact("slot").map(|slot| if slot == "b" { "B" } else { "A" })),
            Part::Drive => set(
                Fact::Code,
                fact("code").and_then(|code| match code {
                    "overwritten" => Some("overwritten"),
                    "left" => Some("still on the card"),
                    _ => None,
                }),
            ),
            Part::Courier => {
                for (name, fact) in
                    [("orders", Fact::Processed), ("waiting", Fact::Waiting), ("parked", Fact::Parked)]
                {
                    set(fact, count(name).map(|number| number.to_string()).as_deref());
                }
            }
            Part::Mover => {
                set(Fact::LedgerLength, count("ledger-records").map(|number| number.to_string()).as_deref());
                set(Fact::LedgerHead, ledger_head(count).as_deref());
            }
            _ => {}
        }
    }
    facts
}

/// The ledger's head, which the mover's health file has in four numbers.
fn ledger_head(count: impl Fn(&str) -> Option<u64>) -> Option<String> {
    let pieces = ["ledger-head-0", "ledger-head-1", "ledger-head-2", "ledger-head-3"];
    pieces.into_iter().map(|name| count(name).map(|piece| format!("{piece:016x}"))).collect()
}

/// The image's version in `/etc/os-release`.
fn version(release: &str) -> Option<&str> {
    let field = |name| release.lines().find_map(|line| line.strip_prefix(name));
    let value = field("IMAGE_VERSION=").or_else(|| field("VERSION_ID="))?;
    Some(value.trim().trim_matches('"'))
}

/// The addresses under which others reach the box: not itself, and not what ends at the next switch.
fn addresses(fib_trie: &str, if_inet6: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut last = None;
    for line in fib_trie.lines().map(str::trim_start) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.trim().parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            // The address is on the line before; the table lists each twice.
            let address = last.filter(|it| !it.is_loopback() && !it.is_link_local()).map(IpAddr::V4);
            found.extend(address.filter(|it| !found.contains(it)));
        }
    }
    for line in if_inet6.lines() {
        let bits = line.get(..32).and_then(|digits| u128::from_str_radix(digits, 16).ok());
        let address = bits.map(Ipv6Addr::from).filter(|it| !it.is_loopback() && !it.is_unicast_link_local());
        found.extend(address.map(IpAddr::V6));
    }
    // The engine's own bridge is no way to the box; it comes after the cable in both tables.
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
        \x20    +-- 10.0.2.0/24 2 0 2\n           |-- 10.0.2.15\n              /32 host LOCAL\n\
        \x20          |-- 10.0.2.255\n              /32 link BROADCAST\nLocal:\n           |-- 10.0.2.15\n\
        \x20             /32 host LOCAL\n           |-- 127.0.0.1\n              /32 host LOCAL\n";
    const INET6: &str = "fec0000000000000505400fffe123456 02 40 40 00     eth0\n\
        fe80000000000000505400fffe123456 02 40 20 80     eth0\n\
        00000000000000000000000000000001 01 80 10 80       lo\n";

    #[test]
    fn addresses_that_others_can_use_are_told_once() {
        let told: Vec<_> = addresses(TRIE, INET6).iter().map(IpAddr::to_string).collect();
        assert_eq!(told, ["10.0.2.15", "fec0::5054:ff:fe12:3456"]);
        assert!(addresses("", "").is_empty());
        for odd in ["|-- \n/32 host LOCAL", "|-- x\n/32 host LOCAL\n", "/32 host LOCAL", "\u{e4}\u{e4}"] {
            assert!(addresses(odd, odd).is_empty(), "{odd}");
        }
    }

    #[test]
    fn the_images_version_is_read_with_and_without_quotes() {
        assert_eq!(version("NAME=x\nIMAGE_VERSION=\"1.2.3\"\n"), Some("1.2.3"));
        assert_eq!(version("VERSION_ID=13\n"), Some("13"));
        assert_eq!(version(""), None);
    }

    #[test]
    fn the_ledgers_head_is_told_as_its_own_program_takes_it_and_a_part_of_it_is_not() {
        let numbers = |name: &str| match name {
            "ledger-head-0" => Some(0xff),
            "ledger-head-3" => Some(u64::MAX),
            _ => Some(0),
        };
        let head = ledger_head(numbers).unwrap();
        assert_eq!(head, format!("{:0>16}{:0>32}{:f>16}", "ff", "", ""));
        let mut facts = Facts::default();
        facts.set(Fact::LedgerHead, &head).unwrap();
        assert_eq!(ledger_head(|name| numbers(name).filter(|_| name != "ledger-head-2")), None);
    }

    #[test]
    fn this_machine_has_a_name_and_nothing_that_breaks_a_rule() {
        let facts = facts(None, &[]);
        assert!(facts.get(Fact::Board).is_none());
        assert!(facts.iter().count() <= 4);
    }
}
