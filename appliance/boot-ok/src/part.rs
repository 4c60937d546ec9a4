//! The part itself: what is done in which order, and what of it is told.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use stayput_health::verity::ARGUMENT;
use stayput_health::{Code, Moment, Part, State, Verity, Writer};
use stayput_slots::{Arguments, Device, Record, Standing, words};

use crate::disk::{Disk, System};
use crate::medium::{Buffer, Direct, Medium, PIECE, pieces};
use crate::spare::{Ledger, Outcome, Pair, equalise};
use crate::{Error, Pace, Result, units};

/// Between two looks at units that are not active yet.
const STEP: Duration = Duration::from_secs(5);

/// Between two words on how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// EX_USAGE: the unit file is wrong, and a restart will not help.
const USAGE: u8 = 64;

/// What boot-ok notes in its slot's sector when it begins.
const RUNNING: &str = "running";

/// Gives the verdict and makes the copy. What it finds is in the health file; the exit code says only whether it could
/// say it.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let required = match required(&arguments) {
        Ok(required) => required,
        Err(error) => {
            eprintln!("boot-ok: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let mut health = Health::new();
    match run(&required, &mut health) {
        Ok(()) => {}
        Err((code, error)) => {
            eprintln!("boot-ok: {code}: {error}");
            health.end(State::Degraded, code);
        }
    }
    if health.unsaid { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn required(arguments: &[OsString]) -> Result<Vec<String>> {
    let mut required = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word != "--require" {
            return Err(Error::Usage(format!("{word:?} is not known")));
        }
        match words.next().and_then(|unit| unit.to_str()) {
            Some(unit) if unit.contains('.') && !unit.starts_with('-') => required.push(unit.to_owned()),
            other => return Err(Error::Usage(format!("--require wants the name of a unit, not {other:?}"))),
        }
    }
    Ok(required)
}

/// The slots as this boot has them.
struct Slots {
    arguments: Arguments,
    verity: Verity,
    disk: Disk,
    device: Device,
}

fn run(required: &[String], health: &mut Health) -> Result<(), (Code, Error)> {
    let unproven = |error| (Code::PartDegraded, error);
    let slots = slots().map_err(unproven)?;
    health.writer.fact("slot", slots.arguments.slot.as_str());
    note(&slots);
    await_units(required, health);

    health.say("verdict", "reading");
    read_root(&slots, health).map_err(unproven)?;
    // Once more: what came up may have gone down again.
    await_units(required, health);
    let good = |state: stayput_slots::BootState| state.with(slots.arguments.slot, Standing::Good);
    slots.device.change(good).map_err(|error| unproven(error.into()))?;
    health.say("verdict", "good");

    health.say("spare", "comparing");
    let outcome = spare(&slots, health);
    match outcome {
        Ok(outcome) => {
            if let Outcome::Copied(bytes) = outcome {
                health.writer.count("copied-kib", bytes >> 10);
            }
            health.writer.fact("spare", "whole");
            health.end(State::Done, Code::Running);
            Ok(())
        }
        Err(error) => {
            health.writer.fact("spare", "none");
            Err((without_spare(&error), error))
        }
    }
}

/// A card that refuses or forgets what is written to it is worn; anything else is this part's own trouble.
fn without_spare(error: &Error) -> Code {
    match error {
        Error::NotKept | Error::Io { .. } => Code::CardWorn,
        Error::Slots(stayput_slots::Error::Io { .. } | stayput_slots::Error::NotKept { .. }) => {
            Code::CardWorn
        }
        _ => Code::PartDegraded,
    }
}

fn slots() -> Result<Slots> {
    let path = Path::new("/proc/cmdline");
    let line = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let arguments = Arguments::parse(&line)?;
    let words = words(&line);
    let verity = words.iter().rev().find_map(|word| word.strip_prefix(ARGUMENT)?.strip_prefix('='));
    let verity = verity.and_then(|text| text.parse().ok()).ok_or(Error::Argument(ARGUMENT))?;
    let disk = Disk::under(&System::of_the_box(), Path::new("/"))?;
    let device = Device::new(disk.partition(arguments.partition)?, &arguments);
    Ok(Slots { arguments, verity, disk, device })
}

/// A note is worth a line in the journal and no more.
fn note(slots: &Slots) {
    let record = Record::new(slots.arguments.generation, RUNNING);
    let taken = record.and_then(|record| slots.device.take_note(slots.arguments.slot, &record));
    if let Err(error) = taken {
        eprintln!("boot-ok: no note was taken that this slot runs: {error}");
    }
}

/// Waits, for as long as it takes, until all required units are active: a unit that is down may be up again tomorrow.
fn await_units(required: &[String], health: &mut Health) {
    let mut told = None;
    loop {
        let idle = match units::not_active(required) {
            Ok(idle) if idle.is_empty() => return,
            Ok(idle) => format!("{} not active", idle.join(", ")),
            Err(error) => error.to_string(),
        };
        if told.as_ref() != Some(&idle) {
            eprintln!("boot-ok: {}: {idle}", Code::PartDegraded);
            told = Some(idle);
        }
        health.writer.fact("verdict", "waiting");
        health.write(State::Degraded, Code::PartDegraded);
        std::thread::sleep(STEP);
    }
}

/// Reads all of the root file system through the kernel's checks.
fn read_root(slots: &Slots, health: &mut Health) -> Result<()> {
    let mut root = Direct::open(&slots.disk.root)?;
    let length = slots.verity.data_size().min(root.size());
    health.writer.count("root-kib", length >> 10);
    let mut said = |bytes: u64| health.progress("root-read-kib", bytes);
    let mut pace = Pace::new(&std::thread::sleep, &mut said);
    let mut buffer = Buffer::new(PIECE);
    for (at, length) in pieces(length) {
        root.read(at, &mut buffer[..length])?;
        pace.piece(length);
    }
    health.writer.count("root-read-kib", length >> 10);
    Ok(())
}

/// The boot state as the ledger of the copy.
struct Book<'a> {
    slots: &'a Slots,
}

impl Ledger for Book<'_> {
    fn piece(&mut self) -> Result<()> {
        eprintln!("boot-ok: the other slot is not the same; copying");
        let other = self.slots.arguments.slot.other();
        self.slots.device.change(|state| state.with(other, Standing::Copying))?;
        Ok(())
    }

    fn whole(&mut self) -> Result<()> {
        let other = self.slots.arguments.slot.other();
        self.slots.device.change(|state| {
            let standing = match state.slot(other).standing {
                Standing::Good => Standing::Good,
                Standing::Empty | Standing::Copying | Standing::Whole => Standing::Whole,
            };
            state.with(other, standing)
        })?;
        Ok(())
    }
}

fn spare(slots: &Slots, health: &mut Health) -> Result<Outcome> {
    let open = |partition, write: bool| {
        let path = slots.disk.partition(partition)?;
        if write { Direct::open_to_write(&path) } else { Direct::open(&path) }
    };
    let slot = slots.arguments.slot;
    let (here, there) = (slots.arguments.partitions(slot), slots.arguments.partitions(slot.other()));
    let (mut boot, mut boot_copy) = (open(here.boot, false)?, open(there.boot, true)?);
    let (mut root, mut root_copy) = (open(here.root, false)?, open(there.root, true)?);
    for (target, needs) in [(&boot_copy, boot.size()), (&root_copy, slots.verity.size())] {
        if target.size() < needs {
            let path = target.path().to_owned();
            return Err(Error::TooSmall { path, has: target.size(), needs });
        }
    }
    let mut said = |bytes: u64| health.progress("spare-handled-kib", bytes);
    let mut pace = Pace::new(&std::thread::sleep, &mut said);
    let mut boot = Pair { source: &mut boot, target: &mut boot_copy };
    let mut root = Pair { source: &mut root, target: &mut root_copy };
    equalise(&mut boot, &mut root, &slots.verity, &mut Book { slots }, &mut pace)
}

/// The health file, written often enough and not too often.
struct Health {
    writer: Writer,
    told: Instant,
    unsaid: bool,
}

impl Health {
    fn new() -> Self {
        Self { writer: Writer::new(Part::BootOk), told: Instant::now(), unsaid: false }
    }

    fn write(&mut self, state: State, code: Code) {
        self.told = Instant::now();
        let written = self.writer.write(state, code, Moment::now());
        self.unsaid = written.is_err();
        if let Err(error) = written {
            eprintln!("boot-ok: {error}");
        }
    }

    fn say(&mut self, name: &'static str, fact: &'static str) {
        self.writer.fact(name, fact);
        eprintln!("boot-ok: {name} {fact}");
        self.write(State::Running, Code::Running);
    }

    fn progress(&mut self, name: &'static str, bytes: u64) {
        self.writer.count(name, bytes >> 10);
        if self.told.elapsed() >= TELL_EVERY {
            self.write(State::Running, Code::Running);
        }
    }

    fn end(&mut self, state: State, code: Code) {
        eprintln!("boot-ok: {} {code}", state.as_str());
        self.write(state, code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_units_are_named_on_the_command_line() {
        let read = required(&words(&["--require", "a.service", "--require", "b.socket"])).unwrap();
        assert_eq!(read, ["a.service", "b.socket"]);
        assert!(required(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_card_that_does_not_keep_the_copy_is_called_worn() {
        let io = Error::io("write", "/dev/vda8")(std::io::Error::other("I/O error"));
        assert_eq!(without_spare(&io), Code::CardWorn);
        assert_eq!(without_spare(&Error::NotKept), Code::CardWorn);
        let table = Error::NoPartition { disk: "vda".into(), number: 8 };
        assert_eq!(without_spare(&table), Code::PartDegraded);
    }

    #[test]
    fn anything_else_on_the_command_line_is_refused() {
        for wrong in [&["--require"][..], &["--require", "--host=x.y"], &["a.service"], &["--require", "a"]] {
            assert!(matches!(required(&words(wrong)), Err(Error::Usage(_))), "{wrong:?}");
        }
    }
}
