//! What a damaged card does. Each test damages a card of its own, and looks at what the box does and says.

mod stage;

use stage::card::Card;
use stayput_harness::{Machine, Mark, Result};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    stage::run_alone(&[
        ("a_damaged_root_super_block_leads_back_to_the_boot_loader", root_super_block),
        ("a_damaged_hash_tree_leads_back_to_the_boot_loader", hash_tree),
        ("a_wrong_root_hash_in_the_boot_script_leads_back_to_the_boot_loader", wrong_root_hash),
        ("a_root_that_nobody_told_how_to_check_is_not_started", no_root_hash),
        ("a_damaged_block_of_the_root_that_is_rarely_read_stops_the_box_when_it_is", rarely_read_block),
    ])
}

/// From power to whatever a damaged root leads to.
const START: Duration = Duration::from_secs(180);
/// From a panic to the boot loader: ten seconds, and U-Boot's own start.
const BACK: Duration = Duration::from_secs(90);

/// What the loader's script says when it has chosen a slot.
const LOADER: &str = "stayput: slot a";
/// The kernel's word when a block is not what the hash tree says.
const PANIC: &str = "Kernel panic - not syncing: dm-verity device corrupted";

/// The loader's script must run again after `mark`.
fn is_back_at_the_loader(machine: &mut Machine, mark: Mark) -> Result<()> {
    let deadline = machine.deadline(BACK);
    machine.console().wait_for(LOADER, mark, &deadline).map(drop)
}

/// Starts a card whose root must end in the kernel's panic before any program of the root has run.
fn assert_never_starts(card: &Card, corrupted: &str) -> Result<()> {
    let mut machine = Machine::start(card.virt())?;
    let deadline = machine.deadline(START);
    let seen = machine.console().wait_for("stayput-init: root: ", Mark::default(), &deadline)?;
    machine.console().wait_for(corrupted, seen, &deadline)?;
    let seen = machine.console().wait_for(PANIC, seen, &deadline)?;
    is_back_at_the_loader(&mut machine, seen)?;
    let text = machine.console().text();
    assert!(!text.contains("stayput-init: state: "), "it went on without its root:\n{text}");
    Ok(())
}

fn root_super_block() -> Result<()> {
    let card = Card::copy();
    card.flip("root-a", 40);
    assert_never_starts(&card, "data block 0 is corrupted")
}

fn hash_tree() -> Result<()> {
    let card = Card::copy();
    // Its first block is the top.
    card.flip("root-a", card.root_size() + 7);
    assert_never_starts(&card, "is corrupted")
}

fn wrong_root_hash() -> Result<()> {
    let card = Card::copy();
    let root = card.partition("root-a")["hash_tree"]["root"].as_str().unwrap_or_default().to_owned();
    let other: String = root.chars().rev().collect();
    card.edit_slot_script(|text| text.replace(&root, &other));
    assert_never_starts(&card, "is corrupted")
}

fn no_root_hash() -> Result<()> {
    let card = Card::copy();
    card.edit_slot_script(|text| text.replace("stayput.verity=", "stayput.verily="));
    let mut machine = Machine::start(card.virt())?;
    let deadline = machine.deadline(START);
    let failed = "FAILED INI-03 the boot argument stayput.verity= is missing";
    let seen = machine.console().wait_for(failed, Mark::default(), &deadline)?;
    is_back_at_the_loader(&mut machine, seen)
}

fn rarely_read_block() -> Result<()> {
    // A program that nothing starts by itself.
    const RARE: &str = "usr/bin/systemd-analyze";
    let card = Card::copy();
    card.flip("root-a", card.block_of(RARE) + 5000);
    let mut machine = Machine::start(card.virt())?;
    stage::assert_running(&mut machine)?;
    let mark = machine.console().mark();
    // It cannot be answered: the box is gone in the middle of it.
    let order = stayput_probe::Op::Read { path: format!("/{RARE}"), limit: 1 << 20 };
    machine.probe()?.begin(order).map(drop)?;
    let deadline = machine.deadline(START);
    machine.console().wait_for(PANIC, mark, &deadline)?;
    is_back_at_the_loader(&mut machine, mark)
}
