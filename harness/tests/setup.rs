//! The person's file on the card: applied, outlived, missed. Each start has another file on the partition STAYPUT.

#[allow(dead_code)] // this theme only knocks
mod network;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use stage::settings::{card, put};
use stayput_harness::{Error, Machine, Probe, Result};
use stayput_health::{Code, Part, Report, State};

fn main() -> ExitCode {
    stage::run_alone(&[
        ("a_box_without_a_file_comes_up_says_so_and_starts_nothing", without),
        ("a_good_file_is_applied_and_outlives_a_mistake_and_its_own_loss_and_so_does_its_door", applied),
    ])
}

const MIB: u64 = 1 << 20;

const GOOD: &str = r#"version = 1

[device]
name = "box-7"
time_zone = "Europe/Berlin"
ntp = ["10.0.2.2"]

[network]
method = "static"
address = "10.0.2.77/24"
gateway = "10.0.2.2"
dns = ["10.0.2.3"]
mdns = true

[activation]
region = "eu-central-1"
id = "01234567-89ab-cdef-0123-456789abcdef"
code = "EXAMPLE/CodeOf20Char"

[worker]
runtime = "host"
queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"
source = "/data/in/files"
suffix = "_$done"
"#;

/// A door for another network than the caller's.
const DOOR: &str = "\n[drop]\nfrom = [\"192.0.2.0/24\", \"192.0.2.0/25\"]\nkeys = [\"ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f front-desk\"]\n";

/// The parts of a box that has settings.
const PARTS: [&str; 4] =
    ["stayput-clock.service", "stayput-identity.service", "stayput-courier.service", "stayput-mover.socket"];

/// The last time that the region confirmed.
const CONFIRMED: &str = "/var/lib/stayput/clock/confirmed";

/// What anybody may know of the door's key.
const KEY: &str = "/run/stayput/door/key";

/// Where the box's name is that programs see.
const NAME: &str = "/proc/sys/kernel/hostname";

fn report(probe: &mut Probe) -> Result<Report> {
    let path = format!("{}/{}", stayput_health::DIRECTORY, Part::Setup.file_name());
    Ok(stayput_health::parse(&probe.read(&path)?, &path).expect("the set-up's health file"))
}

fn said(report: &Report) -> (State, Code, &str) {
    let from = report.facts.iter().find(|(name, _)| name.as_str() == "settings");
    (report.state, report.code, from.map(|(_, word)| word.as_str()).unwrap_or_default())
}

fn active(probe: &mut Probe, unit: &str) -> Result<String> {
    Ok(probe.properties(Some(unit), &["ActiveState"])?["ActiveState"].clone())
}

/// What the lights show, once they show it.
fn wait_for_verdict(machine: &mut Machine, code: Code) -> Result<()> {
    let deadline = machine.deadline(Duration::from_secs(120));
    let probe = machine.probe()?;
    let wanted = format!("\"{code}\"");
    let mut last = String::new();
    deadline
        .poll(|| {
            last = probe.text("/run/stayput/status/verdict.json")?;
            Ok::<_, Error>(last.contains(&wanted).then_some(()))
        })?
        .unwrap_or_else(|| panic!("the verdict never held {code}: {last}"));
    Ok(())
}

fn without() -> Result<()> {
    let mut machine = Machine::start(stage::virt())?;
    stage::assert_running(&mut machine)?;
    let probe = machine.probe()?;
    assert_eq!(said(&report(probe)?), (State::Failed, Code::ConfigMissing, "none"));
    assert_eq!(probe.text(NAME)?.trim(), "stayput");
    for unit in PARTS {
        assert_eq!(active(probe, unit)?, "inactive", "{unit}");
    }
    assert!(!probe.exists("/var/lib/stayput/door/host")?, "a door's key, and no door");
    // The time zone's link leads somewhere on every box.
    assert_eq!(probe.read("/etc/localtime")?, probe.read("/usr/share/zoneinfo/Etc/UTC")?);
    assert!(!probe.mounts()?.iter().any(|mount| mount.kind == "vfat"), "the card is still mounted");
    wait_for_verdict(&mut machine, Code::ConfigMissing)
}

/// What the set-up and those that it sets up have said, and what it left.
fn log(probe: &mut Probe) -> String {
    let units = [
        "--unit=stayput-setup.service",
        "--unit=systemd-networkd.service",
        "--unit=systemd-timesyncd.service",
    ];
    let journal =
        [&["journalctl", "--no-pager", "--lines=80", "--output=short-monotonic"], &units[..]].concat();
    let left = probe.list("/run/systemd/network");
    format!("{}\n{left:?}", probe.output(&journal).unwrap_or_default())
}

fn assert_applied(machine: &mut Machine) -> Result<()> {
    stage::assert_running(machine)?;
    let deadline = machine.deadline(Duration::from_secs(60));
    let probe = machine.probe()?;
    assert_eq!(probe.text(NAME)?.trim(), "box-7");
    assert_eq!(probe.read("/etc/localtime")?, probe.read("/usr/share/zoneinfo/Europe/Berlin")?);
    let mut last = String::new();
    deadline
        .poll(|| {
            last = probe.text("/proc/net/fib_trie")? + &probe.text("/run/systemd/resolve/resolv.conf")?;
            Ok::<_, Error>((last.contains("10.0.2.77") && last.contains("nameserver 10.0.2.3")).then_some(()))
        })?
        .unwrap_or_else(|| panic!("the address or the name server never came: {last}\n{}", log(probe)));
    assert!(!last.contains("10.0.2.15"), "DHCP is still asked: {last}");
    let rules = probe.output(&["nft", "list", "chain", "inet", "stayput", "input"])?;
    assert!(rules.contains("224.0.0.251"), "{rules}");
    for unit in PARTS {
        assert_eq!(active(probe, unit)?, "active", "{unit}");
    }
    // As systemd read them, the mover's half included: it is there once the courier has come to it.
    let courier = probe.properties(Some("stayput-courier.service"), &["MainPID"])?["MainPID"].clone();
    let told = probe.text(&format!("/proc/{courier}/environ"))?;
    for variable in ["AWS_REGION=eu-central-1\0", "SQS_QUEUE_URL=https://sqs.eu-central-1.amazonaws.com/"] {
        assert!(told.contains(variable), "{told:?}");
    }
    let files = probe.list("/run/stayput")?;
    for (name, mode) in [("worker.env", 0o600), ("courier.env", 0o600), ("setup", 0o755)] {
        assert!(
            files.iter().any(|entry| (entry.name.as_str(), entry.mode & 0o777) == (name, mode)),
            "{files:?}"
        );
    }
    assert!(probe.exists("/data/in/files")? && probe.exists("/data/ledger")?);
    Ok(())
}

/// The public half of the door's key, which stays what it is. Others are outside.
fn assert_door(machine: &mut Machine) -> Result<String> {
    let probe = machine.probe()?;
    assert_eq!(active(probe, "stayput-door.socket")?, "active");
    assert!(listens(probe)?);
    let key = probe.text(KEY)?;
    network::knocks_in_vain(machine, "10.0.2.77")?;
    let processes = machine.probe()?.processes()?;
    assert!(!processes.iter().any(|it| it.name.starts_with("sshd")), "somebody was let in: {processes:?}");
    Ok(key)
}

fn listens(probe: &mut Probe) -> Result<bool> {
    Ok(probe.sockets()?.iter().any(|socket| socket.is_open() && socket.port == 22))
}

/// Without a key nothing listens and nothing may come in, whatever there was before.
fn assert_no_door(probe: &mut Probe) -> Result<()> {
    assert_eq!(active(probe, "stayput-door.socket")?, "inactive");
    assert!(!listens(probe)? && !probe.exists(KEY)?);
    let rules = probe.output(&["nft", "list", "chain", "inet", "stayput", "input"])?;
    assert!(!rules.contains("dport 22") && !rules.contains("dport ssh"), "{rules}");
    Ok(())
}

fn applied() -> Result<()> {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder for cards");
    let card = card(folder.path())?;
    let good = format!("{GOOD}{DOOR}");
    put(&card, Some(&good))?;
    let mut machine = Machine::start(stage::virt().with_card(card.path()))?;
    assert_applied(&mut machine)?;
    let key = assert_door(&mut machine)?;
    let probe = machine.probe()?;
    assert_eq!(said(&report(probe)?), (State::Done, Code::Running, "card"));
    let identity = probe.properties(Some("stayput-identity.service"), &["MemoryCurrent", "MemoryPeak"])?;
    let setup = probe.properties(Some("stayput-setup.service"), &["MemoryCurrent", "MemoryPeak"])?;
    println!("identity: {identity:?}, set-up: {setup:?}");
    let bytes = |found: &str| found.parse::<u64>().unwrap_or(0);
    let both = bytes(&identity["MemoryCurrent"]) + bytes(&setup["MemoryCurrent"]);
    assert!((1..=8 * MIB).contains(&both), "identity and set-up use {both} bytes");

    // The power goes: the good copy is on the card all the same. The card comes back with a mistake in its file.
    machine.power_cut();
    let spoilt = good.replace("box-7", "box-8").replace("suffix", "sufix");
    let line = 1 + spoilt.lines().position(|line| line.contains("sufix")).expect("the mistake") as u64;
    put(&card, Some(&spoilt))?;
    machine.power_on()?;
    assert_applied(&mut machine)?;
    let report_now = report(machine.probe()?)?;
    assert_eq!(said(&report_now), (State::Degraded, Code::ConfigIgnored, "kept"));
    let told = report_now.counters.iter().find(|(name, _)| name.as_str() == "line").map(|(_, line)| *line);
    assert_eq!(told, Some(line));
    wait_for_verdict(&mut machine, Code::ConfigIgnored)?;
    assert_eq!(assert_door(&mut machine)?, key);

    machine.power_cut();
    put(&card, None)?;
    machine.power_on()?;
    assert_applied(&mut machine)?;
    assert_eq!(said(&report(machine.probe()?)?), (State::Degraded, Code::ConfigKept, "kept"));

    // And a file that is right again is in force again, and it has no door. Beside it, a clock that was right tomorrow.
    let tomorrow = report(machine.probe()?)?.written.unix + 86_400;
    machine.probe()?.create(CONFIRMED, format!("{tomorrow}\n").as_bytes())?;
    machine.probe()?.sync()?;
    machine.power_cut();
    put(&card, Some(&GOOD.replace("box-7", "box-9")))?;
    machine.power_on()?;
    stage::assert_running(&mut machine)?;
    let probe = machine.probe()?;
    assert_eq!(probe.text(NAME)?.trim(), "box-9");
    assert_no_door(probe)?;
    let now = report(probe)?.written.unix;
    assert!((tomorrow..tomorrow + 3600).contains(&now), "it is {now}, and was {tomorrow}");
    assert!(!probe.exists("/var/lib/systemd/timesync/clock")?, "a time server's word outlives the start");
    Ok(())
}
