//! What must hold across resets and power cuts. Two boxes live through it, each from a card that was never booted.

mod stage;

use stage::health::{fact, health};
use stayput_harness::{Machine, Mark, Result};
use stayput_health::Part;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let alone = stage::run_alone(&[(
        "a_power_cut_while_state_is_being_formatted_leaves_a_box_that_starts",
        cut_while_formatting,
    )]);
    let together = stage::run_with::<Lived>(&[
        ("a_power_cut_in_the_middle_of_the_first_start_leaves_a_box_that_starts", |it| {
            it.through(start_after_a_cut)
        }),
        ("a_box_that_restarts_by_itself_has_unmounted_its_state_and_is_the_same_box", |it| {
            it.through(clean_restart)
        }),
        ("the_machine_id_is_the_same_after_a_reset_and_after_a_power_cut", |it| it.through(same_machine_id)),
    ]);
    if alone == ExitCode::SUCCESS { together } else { alone }
}

/// A box whose first start was cut short, and that goes on living; a new one after a test has failed.
#[derive(Default)]
struct Lived(Option<Machine>);

impl Lived {
    fn through(&mut self, test: fn(&mut Machine) -> Result<()>) -> Result<()> {
        let mut machine = match self.0.take() {
            Some(machine) => machine,
            None => {
                let mut machine = Machine::start(stage::virt())?;
                // The probe is there as soon as systemd is: `state` has just been made, nothing has been flushed on purpose.
                machine.probe()?;
                machine.power_cut();
                machine.power_on()?;
                machine
            }
        };
        test(&mut machine)?;
        self.0 = Some(machine);
        Ok(())
    }
}

fn assert_is_an_id(id: &str) {
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "no machine id: {id:?}");
    assert_ne!(id, "0".repeat(32));
}

/// Started, and not with a state in memory that only looks like one.
fn assert_started_with_state(machine: &mut Machine) -> Result<()> {
    stage::assert_running(machine)?;
    let mounts = machine.probe()?.mounts()?;
    let state = mounts.iter().rfind(|mount| mount.target == "/state").map(|mount| mount.kind.as_str());
    assert_eq!(state, Some("ext4"));
    assert_is_an_id(&machine.probe()?.machine_id()?);
    Ok(())
}

/// What e2fsck says of a file system that was still mounted when the power went. A start that follows a cut must
/// say it, or its absence elsewhere means nothing.
const REPLAYED: &str = "recovering journal";

/// What init found out about the state partition: `new`, `kept`, `repaired`, `volatile`.
fn state_found(machine: &mut Machine) -> Result<String> {
    let report = health(machine, Part::Init)?;
    Ok(fact(&report, "state").to_owned())
}

fn start_after_a_cut(machine: &mut Machine) -> Result<()> {
    assert_started_with_state(machine)
}

fn same_machine_id(machine: &mut Machine) -> Result<()> {
    assert_started_with_state(machine)?;
    let first = machine.probe()?.machine_id()?;

    machine.reset()?;
    assert_started_with_state(machine)?;
    assert_eq!(machine.probe()?.machine_id()?, first, "after a reset");

    // Cut while the card is being written to: the journal of its file system has something to replay.
    machine.probe()?.create("/state/written-when-the-power-went", &vec![0x5a; 4 << 20])?;
    machine.power_cut();
    let mark = machine.console().mark();
    machine.power_on()?;
    assert_started_with_state(machine)?;
    assert_eq!(machine.probe()?.machine_id()?, first, "after a power cut");
    let said = machine.console().since(mark);
    assert!(said.contains(REPLAYED), "{said}");
    Ok(())
}

fn clean_restart(machine: &mut Machine) -> Result<()> {
    assert_started_with_state(machine)?;
    let first = machine.probe()?.machine_id()?;
    // Not synced: to bring it to the card is the restart's business.
    const KEPT: &str = "/state/written-before-the-restart";
    machine.probe()?.create(KEPT, b"x")?;

    let mark = machine.console().mark();
    machine.reboot()?;
    assert_started_with_state(machine)?;
    assert_eq!(machine.probe()?.machine_id()?, first);
    assert_eq!(machine.probe()?.read(KEPT)?, b"x");
    assert_eq!(state_found(machine)?, "kept");
    let said = machine.console().since(mark);
    assert!(!said.contains(REPLAYED), "{said}");
    // systemd begins with /var, which is memory, and with the journal's folder on it in the same moment; where it is too early
    // for /var, its last step does it, and says that nothing is left.
    let early = |line: &&str| line.contains("Failed unmounting var.mount");
    let failed: Vec<_> = said.lines().filter(|line| line.contains("FAILED") && !early(line)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(said.contains("All filesystems unmounted"), "{said}");
    // What proves that the end was on the console at all.
    assert!(said.contains("Reached target") && said.contains("reboot.target"), "{said}");
    Ok(())
}

fn cut_while_formatting() -> Result<()> {
    let mut machine = Machine::start(stage::virt())?;
    let deadline = machine.deadline(Duration::from_secs(180));
    machine.console().wait_for("formatting the state partition", Mark::default(), &deadline)?;
    machine.power_cut();
    machine.power_on()?;
    assert_started_with_state(&mut machine)
}
