//! What must hold of a box that has just started, from one boot.

mod stage;

use stayput_harness::{Leds, Machine, Mark, Protocol, Result, Socket};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    stage::run_shared(&[
        ("the_box_reaches_running_with_no_failed_unit_in_512_mb", running),
        ("nothing_listens_on_an_address_that_others_can_reach", nothing_listens),
        ("the_console_offers_no_login_and_nobody_waits_for_one", no_login),
        ("the_image_has_no_shell", no_shell),
        ("the_root_is_read_only_and_state_is_on_the_card", mounts),
        ("a_light_that_the_box_switches_is_seen_from_outside", lights),
        ("a_key_pressed_outside_arrives_as_an_input_event", key),
        ("the_box_sees_its_network_plug_pulled_and_put_back", link),
    ])
}

fn running(machine: &mut Machine) -> Result<()> {
    stage::assert_running(machine)?;
    let memory = machine.probe()?.memory()?;
    assert!(memory.total_kib <= 512 * 1024, "{memory:?}");
    Ok(())
}

/// A DHCP client has to hear the answer to what it asked; these are no services.
fn is_a_client(socket: &Socket) -> bool {
    matches!((socket.protocol, socket.port), (Protocol::Udp, 68 | 546) | (Protocol::Raw, 58))
}

fn nothing_listens(machine: &mut Machine) -> Result<()> {
    let sockets = machine.probe()?.sockets()?;
    let exposed: Vec<_> = sockets.iter().filter(|s| s.is_exposed() && !is_a_client(s)).collect();
    assert!(exposed.is_empty(), "{exposed:#?}");
    Ok(())
}

fn no_login(machine: &mut Machine) -> Result<()> {
    let processes = machine.probe()?.processes()?;
    let waiting: Vec<_> = processes
        .iter()
        .filter(|process| ["agetty", "getty", "login", "sulogin", "sshd"].contains(&process.name.as_str()))
        .collect();
    assert!(waiting.is_empty(), "{waiting:#?}");
    // Somebody at the cable presses Return and waits for an answer.
    let mark = machine.console().mark();
    machine.console().send("\r\nroot\r\n")?;
    // The answer would come before the box has done this much.
    machine.probe()?.output(&["systemctl", "--version"])?;
    let answer = machine.console().since(mark);
    let whole = machine.console().since(Mark::default());
    for text in [&answer, &whole] {
        let asked = text.lines().find(|line| line.contains("login:") || line.contains("Password:"));
        assert_eq!(asked, None);
    }
    Ok(())
}

fn no_shell(machine: &mut Machine) -> Result<()> {
    const SHELLS: [&str; 14] = [
        "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "rbash", "sh", "tcsh", "toybox",
        "yash", "zsh",
    ];
    let probe = machine.probe()?;
    let mut found = BTreeSet::new();
    for directory in ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/sbin", "/opt"] {
        if !probe.exists(directory)? {
            continue;
        }
        for entry in probe.list(directory)? {
            if SHELLS.contains(&entry.name.as_str()) {
                found.insert(format!("{directory}/{}", entry.name));
            }
        }
    }
    assert!(found.is_empty(), "{found:?}");
    let ran = probe.run(&["/bin/sh", "-c", "exit 0"]);
    assert!(ran.is_err(), "{ran:?}");
    Ok(())
}

fn mounts(machine: &mut Machine) -> Result<()> {
    let mounts = machine.probe()?.mounts()?;
    let at = |target: &str| mounts.iter().rev().find(|mount| mount.target == target);
    let root = at("/").expect("every mount table has a root");
    assert_eq!((root.kind.as_str(), root.options[0].as_str()), ("squashfs", "ro"), "{root:?}");
    let state = at("/state").expect("init mounts state, or something in its place");
    assert_eq!((state.kind.as_str(), state.options[0].as_str()), ("ext4", "rw"), "{state:?}");
    Ok(())
}

fn lights(machine: &mut Machine) -> Result<()> {
    let dark = Leds::DARK;
    let colours = [
        ("green", Leds { green: true, ..dark }),
        ("yellow", Leds { yellow: true, ..dark }),
        ("red", Leds { red: true, ..dark }),
    ];
    let set = |machine: &mut Machine, colour: &str, what: &str, value: &[u8]| {
        machine.probe()?.write(&format!("/sys/class/leds/status:{colour}/{what}"), value)
    };
    for (colour, _) in colours {
        // Whatever the box shows by itself is silenced first.
        set(machine, colour, "trigger", b"none")?;
        set(machine, colour, "brightness", b"0")?;
    }
    machine.wait_for_leds(dark, Duration::from_secs(10))?;
    for (colour, lit) in colours {
        set(machine, colour, "brightness", b"1")?;
        machine.wait_for_leds(lit, Duration::from_secs(10))?;
        set(machine, colour, "brightness", b"0")?;
        machine.wait_for_leds(dark, Duration::from_secs(10))?;
    }
    Ok(())
}

/// A key event of the kernel's `struct input_event` on 64 bits: 16 bytes of time, type, code, value.
fn key_events(bytes: &[u8]) -> Vec<(u16, i32)> {
    const KEY: u16 = 1;
    bytes
        .chunks_exact(24)
        .filter(|event| u16::from_le_bytes([event[16], event[17]]) == KEY)
        .map(|event| {
            let code = u16::from_le_bytes([event[18], event[19]]);
            (code, i32::from_le_bytes([event[20], event[21], event[22], event[23]]))
        })
        .collect()
}

fn key(machine: &mut Machine) -> Result<()> {
    const KEY_POWER: u16 = 116;
    let probe = machine.probe()?;
    let devices = probe.text("/proc/bus/input/devices")?;
    let block = devices.split("\n\n").find(|block| block.contains("gpio-keys"));
    let block = block.unwrap_or_else(|| panic!("the box has no GPIO keys:\n{devices}"));
    let node = block.split_ascii_whitespace().map(|word| word.trim_start_matches("Handlers="));
    let node = node
        .clone()
        .find(|word| word.starts_with("event"))
        .unwrap_or_else(|| panic!("no event node: {block}"));
    let file = probe.open(&format!("/dev/input/{node}"))?;
    machine.press_power_key()?;
    let mut seen = Vec::new();
    while !(seen.contains(&(KEY_POWER, 1)) && seen.contains(&(KEY_POWER, 0))) {
        seen.extend(key_events(&machine.probe()?.await_bytes(file, Duration::from_secs(20))?));
    }
    Ok(())
}

/// What the network service says of the one card: its `CarrierState`-like word, from its own JSON.
fn operational_state(machine: &mut Machine, card: &str) -> Result<String> {
    let text = machine.probe()?.output(&["networkctl", "--json=short", "status", card])?;
    let status: serde_json::Value = serde_json::from_str(&text).expect("networkctl was asked for JSON");
    Ok(status["CarrierState"].as_str().unwrap_or_default().to_owned())
}

fn link(machine: &mut Machine) -> Result<()> {
    let cards = machine.probe()?.list("/sys/class/net")?;
    let mut real = Vec::new();
    for card in cards {
        // Only a card has a device behind it; bridges and loopback do not.
        if machine.probe()?.exists(&format!("/sys/class/net/{}/device", card.name))? {
            real.push(card.name);
        }
    }
    let [card] = real.as_slice() else { panic!("one network card was expected: {real:?}") };
    for (up, wanted) in [(true, "carrier"), (false, "no-carrier"), (true, "carrier")] {
        machine.link(up)?;
        let deadline = machine.deadline(Duration::from_secs(60));
        let mut last = String::new();
        let seen = deadline.poll(|| {
            last = operational_state(machine, card)?;
            Ok::<_, stayput_harness::Error>((last == wanted).then_some(()))
        })?;
        assert!(seen.is_some(), "{card} should be {wanted}, the network service says {last:?}");
    }
    Ok(())
}
