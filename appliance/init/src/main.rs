//! The initramfs program: finds the slot, mounts root, state and data, hands over to systemd.
//!
//! The kernel starts it as process 1 with nothing but the initramfs. It goes through the [`stage::Stage`]s in order and
//! ends by becoming systemd. Two kinds of trouble are told apart: without devices, disk or root file system there is no
//! box, so it says why, waits so that a person can read it, and restarts; anything wrong with *state* or *data* must not keep the
//! box from coming up, so it goes on without and says so in its health file.
//! `docs/health.md` has the whole story.

mod check;
mod cmdline;
mod content;
mod data;
mod devices;
mod disk;
mod dm;
mod error;
mod findings;
mod format;
mod growth;
mod hand_over;
mod log;
mod machine_id;
mod mark;
mod mbr;
mod modules;
mod notes;
mod persist;
mod program;
mod random;
mod requests;
mod sector;
mod signature;
mod stage;
mod state;
mod store;
mod superblock;
mod verity;

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;

use stayput_health::{PersistTable, RESTART_AFTER};

use crate::cmdline::Arguments;
use crate::error::Error;
use crate::findings::Findings;
use crate::log::Log;
use crate::program::Programs;
use crate::stage::Stage;

/// Where the root file system is prepared.
const ROOT: &str = "/sysroot";

/// The table of persistent paths, in the root file system.
const PERSIST: &str = "usr/share/stayput/persist.toml";

fn main() -> ExitCode {
    if !devices::is_first_program() {
        eprintln!(
            "stayput-init is the box's first program; the kernel starts it, from its initramfs, and no one else"
        );
        return ExitCode::from(64);
    }
    let mut log = Log::open();
    let Err(error) = boot(&mut log);
    fail(&mut log, &error)
}

fn boot(log: &mut Log) -> Result<Infallible, Error> {
    let mut findings = Findings::default();

    log.enter(Stage::Devices);
    devices::mount_own()?;
    log.kernel_is_there();

    log.enter(Stage::Arguments);
    let arguments = Arguments::parse(&devices::command_line()?)?;
    findings.slot(arguments.slot);
    log.info(&format!("slot {}, disk {}", arguments.slot, arguments.disk));

    log.enter(Stage::Modules);
    let loaded = modules::load(Path::new("/modules"), log);
    findings.modules(loaded);
    log.info(&loaded.to_string());

    log.enter(Stage::Disk);
    let disk = disk::find(&disk::System::of_the_box(), &arguments, log)?;
    findings.same_disks(disk.others);
    log.info(&disk.to_string());
    findings.not_the_first_slot(notes::begin(&devices::command_line()?, disk.marks.as_deref(), log));

    log.enter(Stage::Root);
    let checked = verity::open(&disk.root, &arguments.verity)?;
    log.info(&format!("{} is checked as {}", disk.root.display(), checked.display()));
    devices::mount_root(&checked, Path::new(ROOT))?;
    log.info(&format!("{} is mounted read-only", checked.display()));

    log.enter(Stage::State);
    let programs = Programs::under(Path::new(ROOT));
    let outcome = state::prepare(&disk, Path::new(ROOT), &programs, log)?;
    if outcome.is_good() {
        log.info(&outcome.to_string());
    } else {
        log.warn(&outcome.to_string());
    }
    findings.state(&outcome);

    log.enter(Stage::Persist);
    devices::mount_var(Path::new(ROOT))?;
    let table = PersistTable::load(&Path::new(ROOT).join(PERSIST));
    let table = table.inspect_err(|error| log.warn(&error.to_string())).ok();
    let placed = match &table {
        Some(table) => persist::place(&persist::plan(table, Path::new(ROOT)), log),
        None => persist::Placed::no_table(),
    };
    log.info(&placed.to_string());
    findings.placed(placed);

    log.enter(Stage::MachineId);
    let origin = machine_id::settle(Path::new(ROOT), log);
    log.info(origin.sentence());
    findings.machine_id(origin, &outcome);
    state::settle(&outcome, origin, &disk, log);

    log.enter(Stage::Data);
    let data = data::prepare(&disk, Path::new(ROOT), table.as_ref(), &programs, log);
    if data.is_good() {
        log.info(&data.to_string());
    } else {
        log.warn(&data.to_string());
    }
    findings.data(&data);
    findings.room(Path::new(ROOT), &outcome, &data);

    log.enter(Stage::HandOver);
    findings.report(log);
    hand_over::become_systemd(Path::new(ROOT), log)
}

/// Says what is wrong, leaves time to read it, and restarts.
///
/// The restart is asked for, not left to `panic=`: a boot argument that is missing or mistyped may be the very
/// failure. Should it be refused, the process ends, which makes the kernel panic, and `panic=` is the second way.
fn fail(log: &mut Log, error: &Error) -> ExitCode {
    log.failure(error.code(), &error.to_string());
    log.failure(error.code(), &format!("the box restarts in {} s", RESTART_AFTER.as_secs()));
    std::thread::sleep(RESTART_AFTER);
    rustix::fs::sync();
    let refused = rustix::system::reboot(rustix::system::RebootCommand::Restart);
    log.failure(error.code(), &format!("the restart was refused: {refused:?}"));
    ExitCode::FAILURE
}
