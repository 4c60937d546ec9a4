//! Two slots: how often one may try, what the box does and says when one is damaged, and how the second comes to be.
//!
//! One machine and one card for all tests: the first start makes slot B, each test begins with that card, powered off.

mod stage;

use stage::damage::place_of;
use stage::health::{boot_ok, fact, health};
use stage::partition::layout;
use stayput_card::MIB;
use stayput_harness::{Error, Machine, Mark, Result};
use stayput_health::{Code, Part, Report, State};
use stayput_slots::{Copies, Origin, SECTOR, Slot, Standing, Tries};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    stage::run_with::<Copied>(&[
        ("a_new_card_makes_slot_b_a_copy_of_slot_a_and_says_so", made_copy),
        ("one_torn_copy_of_the_boot_state_changes_nothing_and_two_make_a_new_cards", torn_state),
        ("power_cuts_in_a_row_go_through_both_slots_and_begin_again", power_cuts),
        ("a_damaged_kernel_or_script_leads_to_slot_b_which_repairs_slot_a", damaged_kernel_and_script),
        ("with_damage_in_both_slots_each_is_started_in_turn_all_the_same", damaged_everywhere),
        ("a_process_1_that_stands_still_is_reset_and_uses_up_the_try", frozen),
    ])
}

/// From power to what the boot script says.
const LOADER: Duration = Duration::from_secs(90);
/// From power to a panic and back to the boot script.
const PANIC: Duration = Duration::from_secs(180);
/// The watchdog counts 14 s and QEMU's has two stages of it.
const WATCHDOG: Duration = Duration::from_secs(120);

/// The card after its first start, kept under this name.
const KEPT: &str = "copied";

/// The machine with a card whose slot B is a copy of slot A.
#[derive(Default)]
struct Copied {
    machine: Option<Machine>,
    broken: bool,
    /// What boot-ok said at the end of the first start.
    said: Option<Report>,
}

impl Copied {
    /// The machine, off, its card as the first start left it.
    fn machine(&mut self) -> Result<&mut Machine> {
        assert!(!self.broken, "the first start failed in an earlier test");
        if self.machine.is_none() {
            self.broken = true;
            let (machine, said) = first_start()?;
            (self.machine, self.said, self.broken) = (Some(machine), Some(said), false);
        }
        let Some(machine) = self.machine.as_mut() else { unreachable!("set above") };
        machine.power_cut();
        machine.restore_card(KEPT)?;
        Ok(machine)
    }
}

fn first_start() -> Result<(Machine, Report)> {
    let mut machine = Machine::start(stage::virt())?;
    stage::assert_running(&mut machine)?;
    let said = boot_ok(&mut machine)?;
    machine.power_cut();
    machine.keep_card(KEPT)?;
    Ok((machine, said))
}

fn start_of(partition: &str) -> u64 {
    layout().partition(partition).expect("a partition of the table").start
}

/// Where the copies of the boot state are on the card.
fn copies() -> [u64; 2] {
    layout().boot_state().copies.map(|copy| start_of("boot-state") + copy)
}

fn boot_state(machine: &Machine) -> Result<Copies> {
    let [first, second] = copies();
    let read = |at| machine.read_card(at, SECTOR as u64);
    Ok(Copies::read([&read(first)?, &read(second)?]))
}

/// Changes one byte of a file in a boot partition; slot B's is a copy of slot A's.
fn damage(machine: &mut Machine, partition: &str, file: &str, at: u64) -> Result<()> {
    let place = place_of(file) - start_of("boot-a") + start_of(partition) + at;
    let sector = place / SECTOR as u64 * SECTOR as u64;
    let mut bytes = machine.read_card(sector, SECTOR as u64)?;
    bytes[(place - sector) as usize] ^= 0x10;
    machine.write_card(sector, &bytes)
}

/// Switches it on and waits for the boot script's word; answers the slot and the reason.
fn choice(machine: &mut Machine, from: &mut Mark) -> Result<(String, String)> {
    let deadline = machine.deadline(LOADER);
    let begun = machine.console().wait_for("stayput: starting slot ", *from, &deadline)?;
    let said = machine.console().since(*from);
    *from = begun;
    let line = said.lines().rfind(|line| line.contains("stayput: slot ") && line.contains("generation"));
    let line = line.unwrap_or_default();
    let slot = line.split("stayput: slot ").nth(1).unwrap_or_default().chars().take(1).collect();
    let why = line.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
    Ok((slot, why))
}

fn started(machine: &mut Machine) -> Result<(String, String)> {
    let mut mark = machine.console().mark();
    machine.power_on()?;
    choice(machine, &mut mark)
}

fn pair(slot: &str, why: &str) -> (String, String) {
    (slot.to_owned(), why.to_owned())
}

fn made_copy(copied: &mut Copied) -> Result<()> {
    let machine = copied.machine()?;
    let layout = layout();
    for (a, b) in [("boot-a", "boot-b"), ("root-a", "root-b")] {
        // The root's own length is in its script; the image ends after it.
        let length = match a {
            "boot-a" => layout.partition(a).expect("boot-a").size,
            _ => (stage::damage::image_size() - start_of(a)) / MIB * MIB,
        };
        let (here, there) =
            (machine.read_card(start_of(a), length)?, machine.read_card(start_of(b), length)?);
        assert!(here == there, "{b} is not what {a} is");
    }
    let read = boot_state(machine)?;
    assert_eq!(read.origin, Origin::Both);
    assert_eq!(read.state.slot(Slot::A).standing, Standing::Good);
    assert_eq!(read.state.slot(Slot::B).standing, Standing::Whole);
    assert_eq!((read.state.slot(Slot::A).tries, read.state.slot(Slot::B).tries), (Tries::ALL, Tries::ALL));
    let said = copied.said.as_ref().expect("the first start was made");
    assert_eq!((said.state, said.code), (State::Done, Code::Running), "{said:?}");
    assert_eq!((fact(said, "verdict"), fact(said, "spare")), ("good", "whole"), "{said:?}");
    println!("boot-ok of the first start: {said:?}");
    Ok(())
}

fn torn_state(copied: &mut Copied) -> Result<()> {
    let machine = copied.machine()?;
    for torn in copies() {
        machine.power_cut();
        machine.restore_card(KEPT)?;
        machine.write_card(torn, &[0x5a; SECTOR])?;
        assert_eq!(started(machine)?, pair("a", "first"));
        machine.power_cut();
        let read = boot_state(machine)?;
        // The script has counted, and written over the torn one.
        assert_eq!(read.origin, Origin::Both);
        assert_eq!(read.state.slot(Slot::A).tries.left(), 2);
        // What the newest copy alone knew may be gone, but never that slot A is the one.
        assert_eq!(read.state.first, Slot::A);
    }
    for torn in copies() {
        machine.write_card(torn, &[0x5a; SECTOR])?;
    }
    assert_eq!(started(machine)?, pair("a", "first"));
    machine.power_cut();
    let read = boot_state(machine)?;
    assert_eq!(read.origin, Origin::One);
    assert!(!read.state.slot(Slot::B).standing.is_usable());
    Ok(())
}

fn power_cuts(copied: &mut Copied) -> Result<()> {
    let machine = copied.machine()?;
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(started(machine)?);
        machine.power_cut();
    }
    let [a, b] = [pair("a", "first"), pair("b", "tries")];
    let expected = [a.clone(), a.clone(), a.clone(), b.clone(), b.clone(), b, pair("a", "last"), a];
    assert_eq!(seen, expected);
    Ok(())
}

fn damaged_kernel_and_script(copied: &mut Copied) -> Result<()> {
    let machine = copied.machine()?;
    // What U-Boot loads has its checksum in the script, so that no try is lost on it.
    for (file, at) in [("Image.gz", 5_000_000), ("initrd.zst", 300_000)] {
        damage(machine, "boot-a", file, at)?;
        assert_eq!(started(machine)?, pair("b", "load"));
        let said = machine.console().text();
        assert!(said.contains("stayput: a file of slot a is damaged"), "{said}");
        machine.power_cut();
        machine.restore_card(KEPT)?;
    }

    damage(machine, "boot-a", "slot.scr", 500)?;
    assert_eq!(started(machine)?, pair("b", "load"));
    stage::assert_running(machine)?;
    let init = health(machine, Part::Init)?;
    assert_eq!(
        (fact(&init, "slot"), fact(&init, "why"), init.code),
        ("b", "load", Code::OtherSlot),
        "{init:?}"
    );
    let mounts = machine.probe()?.mounts()?;
    assert!(mounts.iter().any(|mount| mount.target == "/state" && mount.kind == "ext4"), "{mounts:?}");
    // Slot B proves itself, and makes slot A whole again.
    let said = boot_ok(machine)?;
    assert_eq!(
        (fact(&said, "slot"), fact(&said, "spare"), said.state),
        ("b", "whole", State::Done),
        "{said:?}"
    );
    machine.power_cut();
    let read = boot_state(machine)?.state;
    assert_eq!(read.slot(Slot::A).tries, Tries::ALL);
    assert_eq!(read.slot(Slot::B).standing, Standing::Good);
    assert_eq!(started(machine)?, pair("a", "first"));
    Ok(())
}

fn damaged_everywhere(copied: &mut Copied) -> Result<()> {
    let machine = copied.machine()?;
    // Its first bytes: the kernel unpacks what it can of an initramfs, and finds nothing.
    for boot in ["boot-a", "boot-b"] {
        damage(machine, boot, "initrd.zst", 1)?;
    }
    let mut mark = machine.console().mark();
    machine.power_on()?;
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(choice(machine, &mut mark)?);
        let deadline = machine.deadline(PANIC);
        mark = machine.console().wait_for("Kernel panic - not syncing", mark, &deadline)?;
    }
    seen.sort();
    assert_eq!(seen, [pair("a", "last"), pair("b", "last")]);
    Ok(())
}

fn frozen(copied: &mut Copied) -> Result<()> {
    let machine = copied.machine()?;
    // Two of the three tries are used up; this start takes the last.
    for _ in 0..2 {
        started(machine)?;
        machine.power_cut();
    }
    let mut mark = machine.console().mark();
    machine.power_on()?;
    assert_eq!(choice(machine, &mut mark)?, pair("a", "first"));
    // Else it would give the tries back before the box stands still.
    machine.probe()?.output(&["systemctl", "mask", "--runtime", "stayput-boot-ok.service"])?;
    let deadline = machine.deadline(Duration::from_secs(240));
    let watched = deadline.poll(|| {
        let state = machine.probe()?.text("/sys/class/watchdog/watchdog0/state").unwrap_or_default();
        std::thread::sleep(Duration::from_millis(500));
        Ok::<_, Error>((state.trim() == "active").then_some(()))
    })?;
    watched.expect("systemd opens the watchdog");
    machine.qmp()?.forget_events()?;
    machine.probe()?.write("/sys/fs/cgroup/init.scope/cgroup.freeze", b"1")?;
    machine.wait_for_restart(WATCHDOG)?;
    assert_eq!(choice(machine, &mut mark)?, pair("b", "tries"));
    let init = health(machine, Part::Init)?;
    let why = (fact(&init, "slot"), fact(&init, "why"), fact(&init, "other-stage"));
    assert_eq!(why, ("b", "tries", "hand-over"), "{init:?}");
    Ok(())
}
