//! What the harness promises about its own machine: alone on its network, gone with its parent, loud when refused.

mod stage;

use stayput_harness::{Machine, Options, Patience, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Tells this very program to be the parent that gets killed.
const HOLD: &str = "STAYPUT_TEST_HOLD";

fn main() -> ExitCode {
    if std::env::var_os(HOLD).is_some() {
        return hold();
    }
    stage::run_alone(&[
        ("the_machine_has_no_network_but_its_own_loopback", no_network),
        ("the_machine_ends_when_its_parent_is_killed", ends_with_its_parent),
        ("a_machine_that_qemu_refuses_says_why_in_qemus_words", refused),
    ])
}

fn virt() -> Options {
    Options::new(stage::input("STAYPUT_IMAGE"), stage::input("STAYPUT_UBOOT"))
}

fn no_network() -> Result<()> {
    let machine = Machine::start(virt())?;
    let output = machine.beside("cat")?.arg("/proc/net/dev").output().expect("nsenter is where unshare is");
    let text = String::from_utf8_lossy(&output.stdout);
    let cards: Vec<_> =
        text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert_eq!(cards, ["lo"], "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn hold() -> ExitCode {
    match Machine::start(virt()) {
        Ok(machine) => {
            println!("{}", machine.process_id().unwrap_or_default());
            // Until it is killed; a parent that has gone away without doing so closes this.
            let _ = std::io::stdin().lines().next();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn ends_with_its_parent() -> Result<()> {
    let me = std::env::current_exe().expect("a running program has a path");
    let mut parent = Command::new(me)
        .env(HOLD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts once more");
    let mut line = String::new();
    BufReader::new(parent.stdout.take().expect("piped above"))
        .read_line(&mut line)
        .expect("it says a number");
    let pid: u32 = line.trim().parse().unwrap_or_else(|_| panic!("no process id: {line:?}"));
    let runs = || {
        // A zombie has ended; nobody may be there to collect it.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
    };
    assert!(runs(), "QEMU runs before its parent is killed");
    parent.kill().expect("it is our child");
    parent.wait().expect("it is our child");
    let deadline = Patience::from_env().deadline(Duration::from_secs(20));
    let gone = deadline.poll(|| Ok::<_, stayput_harness::Error>((!runs()).then_some(())))?;
    assert!(gone.is_some(), "QEMU {pid} outlived its parent");
    Ok(())
}

fn refused() -> Result<()> {
    let options = Options { clock: Some("yesterday".into()), ..virt() };
    let error = Machine::start(options).expect_err("QEMU takes no such date").to_string();
    assert!(error.contains("QEMU ended") && error.contains("invalid datetime"), "{error}");
    Ok(())
}
