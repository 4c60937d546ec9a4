//! What QEMU's own board does not cover of the NEO2's path: boot ROM, SPL at 8 KiB, distro_bootcmd, `mmc`, the watchdog.
//!
//! QEMU has no H5, but its 32-bit sibling H3. The image's loader area is replaced by the sibling's in the
//! throw-away layer; all else is the image. It ends where a 32-bit loader meets a 64-bit kernel.

mod stage;

use stayput_card::{Layout, fat, script};
use stayput_harness::{Machine, Mark, Options, Result};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    stage::run_alone(&[
        ("the_boot_script_runs_from_the_sd_card_up_to_the_kernel", up_to_the_kernel),
        ("a_slot_that_hangs_in_the_loader_is_reset_by_the_watchdog_and_has_used_up_a_try", hangs),
    ])
}

fn sibling() -> Result<Machine> {
    Machine::start(Options::orange_pi_pc(stage::input("STAYPUT_IMAGE"), stage::input("STAYPUT_H3_SPL")))
}

fn up_to_the_kernel() -> Result<()> {
    let mut machine = sibling()?;
    let deadline = machine.deadline(Duration::from_secs(120));
    let mut mark = Mark::default();
    for line in [
        "U-Boot SPL",
        "MMC",
        "stayput: slot a (first), generation 1",
        "stayput: starting slot a",
        "Unknown command 'booti'",
        // What comes back makes room for the other slot, then for another round.
        "stayput: slot b is empty",
        "stayput: slot a (last), generation 2",
    ] {
        mark = machine.console().wait_for(line, mark, &deadline)?;
    }
    Ok(())
}

/// The same registers as on the H5, so the NEO2's own commands are what is tried here.
fn hangs() -> Result<()> {
    const HANGS: &str = "stayput-test: hangs";
    let layout = Layout::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/card.toml"));
    let layout = layout.expect("the card's table");
    let boot = layout.partition("boot-a").expect("slot A's boot partition");
    let scr = script::image("slot", &format!("echo {HANGS}\nsleep 600\n")).expect("a script");
    let file = fat::File { name: "slot.scr", bytes: &scr };
    let fat = boot.fat.as_ref().expect("a FAT");
    let partition = fat::image(fat, boot.size, &[file]).expect("a partition with one file");

    let mut machine = sibling()?;
    // QEMU has this watchdog from version 8 on; Debian 12's 7.2 lets the registers be written and does nothing.
    if !machine.qmp()?.monitor("info mtree")?.contains("allwinner-wdt") {
        println!("NOT CHECKED: this QEMU has no watchdog for the H3; take version 8 or later");
        return Ok(());
    }
    machine.power_cut();
    machine.write_card(boot.start, &partition)?;
    let mut mark = machine.console().mark();
    machine.power_on()?;
    for generation in ["generation 1", "generation 2"] {
        let deadline = machine.deadline(Duration::from_secs(120));
        mark = machine.console().wait_for(generation, mark, &deadline)?;
        mark = machine.console().wait_for(HANGS, mark, &deadline)?;
    }
    // U-Boot's own reset announces itself.
    let said = machine.console().text();
    assert!(!said.contains("resetting ...") && !said.contains("trying again"), "{said}");
    Ok(())
}
