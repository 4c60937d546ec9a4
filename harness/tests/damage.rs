//! What a damaged root file system does: the slot stops, the other one starts and says why, and the files are untouched.
//! Damage to the rest of a slot and to the boot state is in `slots`, to `state` and `data` in `card`.

mod stage;

use stage::damage::{block_of, copy_slot, edit_slot_script, flip, hash_tree, set_boot_state};
use stage::health::{fact, health};
use stayput_harness::{Card, Machine, Mark, Options, Result, Worn};
use stayput_health::{Code, Part};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

fn main() -> ExitCode {
    stage::run_alone(&[
        ("a_damaged_root_super_block_leads_to_the_other_slot_after_three_tries", root_super_block),
        ("a_damaged_hash_tree_leads_to_the_other_slot", tree),
        ("a_wrong_root_hash_in_the_boot_script_leads_to_the_other_slot", wrong_root_hash),
        ("a_root_that_nobody_told_how_to_check_is_not_started", no_root_hash),
        ("a_damaged_block_of_the_root_that_is_rarely_read_stops_the_slot_when_it_is", rarely_read_block),
        (
            "a_block_of_the_root_that_the_card_cannot_read_stops_the_slot_when_it_is_asked_for",
            unreadable_block,
        ),
    ])
}

/// From power to whatever a damaged slot leads to.
const START: Duration = Duration::from_secs(180);
/// The kernel's word when a block is not what the hash tree says.
const CORRUPTED: &str = "Kernel panic - not syncing: dm-verity device corrupted";
/// And when the card cannot read one.
const UNREADABLE: &str = "Kernel panic - not syncing: dm-verity device has I/O error";
/// A program that nothing starts by itself.
const RARE: &str = "usr/bin/systemd-analyze";
/// A file that came through the door, and what is in it.
const FILE: &str = "/data/source/kept.txt";
const CONTENT: &[u8] = b"personal data\n";

/// A card to damage, in a folder of its own.
struct Patient {
    folder: tempfile::TempDir,
    card: Card,
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").expect("a folder for cards")
}

/// A card with two slots that has never started.
fn new() -> Result<Patient> {
    let folder = scratch();
    let image = stage::input("STAYPUT_IMAGE");
    let card = Card::flash(&folder.path().join("card.img"), image.as_ref(), 4 << 30)?;
    copy_slot(&card, folder.path())?;
    Ok(Patient { folder, card })
}

/// A copy of one that has started once and was given a file.
fn used() -> Result<Patient> {
    static USED: Mutex<Option<Patient>> = Mutex::new(None);
    let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    if used.is_none() {
        let patient = new()?;
        let mut machine = start(&patient)?;
        let probe = machine.probe()?;
        probe.create(FILE, CONTENT)?;
        probe.sync()?;
        machine.power_cut();
        // Its first start may have gone on to prove and to copy slots.
        copy_slot(&patient.card, patient.folder.path())?;
        *used = Some(patient);
    }
    let folder = scratch();
    let used = &used.as_ref().expect("set above").card;
    Ok(Patient { card: used.copy(&folder.path().join("card.img"))?, folder })
}

/// Leaves slot A one try instead of three: how they are counted is seen where a test takes them all.
fn one_try(card: &Card) -> Result<()> {
    set_boot_state(card, &[("stayput_a_tries", "1")])
}

fn start(patient: &Patient) -> Result<Machine> {
    assert!(patient.card.path().starts_with(patient.folder.path()));
    Machine::start(stage::virt().with_card(patient.card.path()))
}

/// Waits for texts on the console, one after the other.
fn sees(machine: &mut Machine, texts: &[&str]) -> Result<()> {
    let mut mark = Mark::default();
    for text in texts {
        let deadline = machine.deadline(START);
        mark = machine.console().wait_for(text, mark, &deadline)?;
    }
    Ok(())
}

/// The box runs from slot B, says why in init's health file, and the file is as it was.
fn is_up_from_b(machine: &mut Machine, why: &str, stage: &str) -> Result<()> {
    let report = health(machine, Part::Init)?;
    let said = ["slot", "why", "other-stage", "state", "data"].map(|name| fact(&report, name));
    assert_eq!((report.code, said), (Code::OtherSlot, ["b", why, stage, "kept", "kept"]), "{report:?}");
    assert_eq!(machine.probe()?.read(FILE)?, CONTENT);
    Ok(())
}

/// Starts a card whose root must end in the kernel's panic before any program of the root has run.
fn never_starts_from_a(patient: &Patient, corrupted: &str, tries: usize) -> Result<Machine> {
    let mut machine = start(patient)?;
    let mut expected = Vec::new();
    for _ in 0..tries {
        expected.extend(["stayput: slot a (first)", "stayput-init: root: ", corrupted, CORRUPTED]);
    }
    expected.push("stayput: slot b (tries)");
    sees(&mut machine, &expected)?;
    let text = machine.console().text();
    let before = text.split("stayput: slot b").next().unwrap_or_default();
    assert!(!before.contains("stayput-init: state: "), "it went on without its root:\n{before}");
    Ok(machine)
}

fn root_super_block() -> Result<()> {
    let patient = used()?;
    flip(&patient.card, "root-a", 40)?;
    let mut machine =
        never_starts_from_a(&patient, "data block 0 is corrupted", stayput_slots::TRIES.into())?;
    is_up_from_b(&mut machine, "tries", "root")?;
    stage::assert_running(&mut machine)
}

fn tree() -> Result<()> {
    let patient = new()?;
    one_try(&patient.card)?;
    // Its first block is the top.
    let top = hash_tree()["data_size"].as_u64().expect("a number");
    flip(&patient.card, "root-a", top + 7)?;
    never_starts_from_a(&patient, "is corrupted", 1).map(drop)
}

fn wrong_root_hash() -> Result<()> {
    let patient = new()?;
    one_try(&patient.card)?;
    let tree = hash_tree();
    let root = tree["root"].as_str().expect("a text");
    let other: String = root.chars().rev().collect();
    edit_slot_script(&patient.card, |text| text.replace(root, &other))?;
    never_starts_from_a(&patient, "is corrupted", 1).map(drop)
}

fn no_root_hash() -> Result<()> {
    let patient = new()?;
    one_try(&patient.card)?;
    edit_slot_script(&patient.card, |text| text.replace("stayput.verity=", "stayput.verily="))?;
    let mut machine = start(&patient)?;
    let failed = "FAILED INI-03 the boot argument stayput.verity= is missing";
    sees(&mut machine, &["stayput: slot a (first)", failed, "stayput: slot b (tries)"])
}

/// Starts slot A whole, has it read the file that nothing reads, and sees it stop with `panic`.
fn stops_when_it_is_read(mut machine: Machine, panic: &str) -> Result<()> {
    sees(&mut machine, &["stayput: slot a (first)"])?;
    // It cannot be answered: the box is gone in the middle of it.
    let order = stayput_probe::Op::Read { path: format!("/{RARE}"), limit: 1 << 20 };
    machine.probe()?.begin(order).map(drop)?;
    sees(&mut machine, &[panic, "stayput: slot b (tries)"])
}

fn rarely_read_block() -> Result<()> {
    let patient = new()?;
    one_try(&patient.card)?;
    flip(&patient.card, "root-a", block_of(&patient.card, RARE) + 5000)?;
    stops_when_it_is_read(start(&patient)?, CORRUPTED)
}

fn unreadable_block() -> Result<()> {
    let patient = new()?;
    one_try(&patient.card)?;
    let at = stage::partition::place(&patient.card, "root-a").0 + block_of(&patient.card, RARE) + 8192;
    let options =
        Options { worn: Some(Worn::Unreadable(at)), ..stage::virt().with_card(patient.card.path()) };
    stops_when_it_is_read(Machine::start(options)?, UNREADABLE)
}
