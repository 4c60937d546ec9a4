//! The worker's halves under systemd, as the box runs them with `runtime = "host"`: what each can do, and what it cannot.

mod stage;

use std::process::ExitCode;
use std::time::Duration;

use stage::worker::{journal, start_courier, start_mover};
use stayput_harness::{Machine, Result};

const COURIER: u32 = 801;
const MOVER: u32 = 802;
const SOCKET: &str = "/run/stayput-mover/socket";

fn main() -> ExitCode {
    stage::run_shared(&[
        ("the_worker_is_off_until_it_is_turned_on", off),
        ("the_mover_answers_an_order_over_its_socket", answers),
        ("the_mover_has_no_network_and_refuses_every_forbidden_act", confined),
        ("nobody_but_the_courier_is_heard_and_the_courier_does_not_see_the_files", apart),
    ])
}

/// What the courier says (docs/worker.md): hello, and one order under a key for a name.
const HELLO: &[u8] = &[1, 1, 0, 0];

fn order(key: &[u8], name: &[u8]) -> Vec<u8> {
    let mut body = vec![9, 0, 0, 0, 1, 0, u8::try_from(key.len()).unwrap_or(0)];
    body.extend_from_slice(key);
    body.extend_from_slice(&u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
    body.extend_from_slice(name);
    let length = u16::try_from(body.len()).unwrap_or(0).to_le_bytes();
    [&[1, 2, length[0], length[1]][..], &body].concat()
}

/// The answer to [`order`] with one outcome.
fn answered(outcome: u8) -> Vec<u8> {
    vec![1, 130, 6, 0, 9, 0, 0, 0, 1, outcome]
}

const DONE: u8 = 1;
const WAITING: u8 = 3;

fn off(machine: &mut Machine) -> Result<()> {
    let probe = machine.probe()?;
    for unit in ["stayput-mover.socket", "stayput-mover.service", "stayput-courier.service"] {
        let state = probe.properties(Some(unit), &["LoadState", "ActiveState"])?;
        assert_eq!(
            (state["LoadState"].as_str(), state["ActiveState"].as_str()),
            ("loaded", "inactive"),
            "{unit}"
        );
    }
    Ok(())
}

fn answers(machine: &mut Machine) -> Result<()> {
    let probe = machine.probe()?;
    start_mover(probe)?;
    probe.create("/data/source/a.csv", b"content")?;
    let orders = [HELLO, &order(b"k1", b"a.csv"), &order(b"k2", b"b.csv")];
    let said = probe.packets(SOCKET, COURIER, &orders);
    let said = said.unwrap_or_else(|error| panic!("{error}: {}", journal(probe, "stayput-mover.service")));
    assert_eq!(said.get(1..), Some(&[answered(DONE), answered(WAITING)][..]), "{said:?}");
    assert_eq!(probe.read("/data/destination/a.csv_has_been_processed")?, b"content");
    assert!(!probe.exists("/data/source/a.csv")?);
    let health = probe.text("/run/stayput/health/mover.json")?;
    assert!(health.contains("\"network\":\"none\"") && health.contains("\"paths\":\"full\""), "{health}");
    // It is alive to the service manager, too, and dies and comes back without forgetting.
    let state = probe.properties(Some("stayput-mover.service"), &["ActiveState", "MemoryPeak"])?;
    assert_eq!(state["ActiveState"], "active");
    println!("the mover's peak: {} bytes", state["MemoryPeak"]);
    probe.output(&["systemctl", "kill", "--signal=KILL", "stayput-mover.service"])?;
    let said = probe.packets(SOCKET, COURIER, &[HELLO, &order(b"k1", b"a.csv")])?;
    assert_eq!(said.get(1), Some(&vec![1, 130, 6, 0, 9, 0, 0, 0, 1, 2]), "{said:?}");
    Ok(())
}

fn confined(machine: &mut Machine) -> Result<()> {
    let probe = machine.probe()?;
    start_mover(probe)?;
    probe.packets(SOCKET, COURIER, &[HELLO])?;
    let mover = probe.properties(Some("stayput-mover.service"), &["MainPID"])?["MainPID"].clone();
    let status = probe.text(&format!("/proc/{mover}/status"))?;
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".to_owned(), "2".to_owned()), "{status}");
    assert!(field("Uid:").starts_with(&MOVER.to_string()), "{status}");
    // CAP_LEASE is number 28.
    assert_eq!(field("CapEff:"), "0000000010000000", "{status}");
    let network = probe.text(&format!("/proc/{mover}/net/dev"))?;
    let cards: Vec<_> =
        network.lines().skip(2).filter(|line| !line.trim_start().starts_with("lo:")).collect();
    assert!(cards.is_empty(), "{network}");
    // The same on this processor as on the desk: every act, tried.
    let tried = probe.run_for(
        &["/usr/lib/stayput/box", "worker", "mover", "--explain-confinement"],
        Duration::from_secs(300),
    )?;
    let table = String::from_utf8_lossy(&tried.stdout);
    assert_eq!(tried.code, Some(0), "{table}{}", String::from_utf8_lossy(&tried.stderr));
    assert!(table.contains(" 0 not refused"), "{table}");
    Ok(())
}

fn apart(machine: &mut Machine) -> Result<()> {
    let probe = machine.probe()?;
    start_mover(probe)?;
    // Root may open the socket's file, and is no courier all the same.
    assert_eq!(probe.packets(SOCKET, 0, &[HELLO])?, Vec::<Vec<u8>>::new());
    for user in [MOVER, 803, 804, 65534] {
        let refused = probe.packets(SOCKET, user, &[HELLO]);
        assert!(refused.as_ref().is_ok_and(Vec::is_empty) || refused.is_err(), "user {user}: {refused:?}");
    }
    // A courier at work, whose region does not answer. What it sees of the file system is below its process's root.
    start_courier(probe)?;
    let found = probe.properties(Some("stayput-courier.service"), &["MainPID", "ActiveState"])?;
    assert_eq!(found["ActiveState"], "active", "{found:?}");
    let courier = &found["MainPID"];
    let status = probe.text(&format!("/proc/{courier}/status"))?;
    assert!(status.contains(&format!("Uid:\t{COURIER}")), "{status}");
    probe.create("/data/source/a.csv", b"content")?;
    assert!(probe.exists("/data/source/a.csv")?);
    assert_eq!(probe.list(&format!("/proc/{courier}/root/data"))?.len(), 0, "the courier sees the files");
    Ok(())
}
