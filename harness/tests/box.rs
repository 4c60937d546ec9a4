//! What must hold of a box that has just started, from one boot.

mod network;
mod stage;

use stayput_harness::{Leds, Machine, Mark, Result};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    if let Some(code) = stage::peer::play() {
        return code;
    }
    stage::run_shared(&[
        ("the_box_reaches_running_with_no_failed_unit_in_512_mb", running),
        ("the_console_offers_no_login_and_nobody_waits_for_one", no_login),
        ("the_image_has_no_shell", no_shell),
        ("the_root_is_read_only_and_state_is_on_the_card", mounts),
        ("the_root_is_read_through_its_hash_tree", checked_root),
        ("a_light_that_the_box_switches_is_seen_from_outside", lights),
        ("a_key_pressed_outside_arrives_as_an_input_event", key),
        ("the_box_gets_an_address_by_dhcp", network::lease),
        ("the_box_gets_an_ipv6_address_from_a_router_and_finds_its_neighbour", network::router),
        ("the_box_reaches_a_peer_and_hears_its_answer", network::peer),
        ("a_call_that_the_box_did_not_ask_for_is_dropped", network::uninvited),
        ("a_box_whose_network_plug_was_pulled_gets_its_address_back", network::plug),
        ("nothing_listens_on_an_address_that_others_can_reach", network::nothing_listens),
        ("nothing_listens_with_the_container_engine_on_either", network::nothing_listens_with_the_engine),
    ])
}

fn running(machine: &mut Machine) -> Result<()> {
    stage::assert_running(machine)?;
    let memory = machine.probe()?.memory()?;
    assert!(memory.total_kib <= 512 * 1024, "{memory:?}");
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

fn checked_root(machine: &mut Machine) -> Result<()> {
    let probe = machine.probe()?;
    let source =
        probe.mounts()?.into_iter().rev().find(|mount| mount.target == "/").map(|mount| mount.source);
    assert_eq!(source.as_deref(), Some("/dev/dm-0"));
    assert_eq!(probe.text("/sys/block/dm-0/dm/name")?.trim(), "stayput-root");
    assert!(probe.text("/sys/block/dm-0/dm/uuid")?.starts_with("CRYPT-VERITY-"));
    assert_eq!(probe.text("/sys/block/dm-0/ro")?.trim(), "1");
    let below: Vec<_> = probe.list("/sys/block/dm-0/slaves")?.into_iter().map(|entry| entry.name).collect();
    assert_eq!(below, ["vda7"]);
    // The processor's own SHA-256, several times as fast as the generic one.
    assert!(machine.console().text().contains("sha256 using shash \"sha256-ce\""));
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
    machine.probe()?.output(&["systemctl", "stop", "stayput-status.service"])?;
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
