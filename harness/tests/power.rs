//! What must hold across resets and power cuts. Each test starts from a card that was never booted.

mod stage;

use stayput_harness::{Machine, Result};
use std::process::ExitCode;

fn main() -> ExitCode {
    stage::run_alone(&[
        ("the_machine_id_is_the_same_after_a_reset_and_after_a_power_cut", same_machine_id),
        ("a_power_cut_in_the_middle_of_the_first_start_leaves_a_box_that_starts", cut_in_the_first_start),
    ])
}

fn assert_is_an_id(id: &str) {
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "no machine id: {id:?}");
    assert_ne!(id, "0".repeat(32));
}

fn same_machine_id() -> Result<()> {
    let mut machine = Machine::start(stage::virt())?;
    stage::assert_running(&mut machine)?;
    let first = machine.probe()?.machine_id()?;
    assert_is_an_id(&first);

    machine.reset()?;
    stage::assert_running(&mut machine)?;
    assert_eq!(machine.probe()?.machine_id()?, first, "after a reset");

    // Cut while the card is being written to: the journal of its file system has something to replay.
    machine.probe()?.create("/state/written-when-the-power-went", &vec![0x5a; 4 << 20])?;
    machine.power_cut();
    machine.power_on()?;
    stage::assert_running(&mut machine)?;
    assert_eq!(machine.probe()?.machine_id()?, first, "after a power cut");
    Ok(())
}

fn cut_in_the_first_start() -> Result<()> {
    let mut machine = Machine::start(stage::virt())?;
    // The probe is there as soon as systemd is: `state` has just been made, nothing has been flushed on purpose.
    machine.probe()?;
    machine.power_cut();
    machine.power_on()?;
    stage::assert_running(&mut machine)?;
    assert_is_an_id(&machine.probe()?.machine_id()?);
    Ok(())
}
