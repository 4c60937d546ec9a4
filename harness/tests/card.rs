//! What a card keeps: the box makes `state` and `data` once, and finds them again whatever has happened to the card.

mod stage;

use stage::health::{fact, health};
use stage::partition::{assert_sound, debugfs, place, take_out, tool};
use stayput_harness::{Card, Machine, Result};
use stayput_health::{Code, Part, Report};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};

fn main() -> ExitCode {
    stage::run_alone(&[
        ("a_new_card_gets_state_and_data_and_the_next_start_keeps_them", kept),
        ("a_reflashed_card_keeps_state_and_data_and_data_fills_a_larger_one", reflashed),
        ("a_reflashed_card_without_room_starts_keeps_all_and_says_so", full),
        ("super_blocks_that_are_gone_are_brought_back_from_their_copies_and_told", beheaded),
        ("what_a_stranger_left_where_the_files_belong_can_be_read_is_told_and_is_not_touched", stranger),
    ])
}

const MIB: u64 = 1 << 20;
const CARD: u64 = 4096 * MIB;

/// A file that came through the door, and what is in it.
const FILE: &str = "/data/source/kept.txt";
const CONTENT: &[u8] = b"personal data\n";

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").expect("a folder for cards")
}

fn image() -> PathBuf {
    stage::input("STAYPUT_IMAGE").into()
}

fn counter(report: &Report, name: &str) -> u64 {
    let found = report.counters.iter().find(|(key, _)| key.as_str() == name);
    found.map_or(0, |(_, value)| *value)
}

/// A card that was new, has started once, was given a file, and lost its power.
fn used(folder: &Path) -> Result<Card> {
    static USED: Mutex<Option<(tempfile::TempDir, Card)>> = Mutex::new(None);
    let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    if used.is_none() {
        let folder = scratch();
        let card = Card::flash(&folder.path().join("card.img"), &image(), CARD)?;
        first_start(&card)?;
        *used = Some((folder, card));
    }
    let (_, card) = used.as_ref().expect("set above");
    card.copy(&folder.join("card.img"))
}

fn first_start(card: &Card) -> Result<()> {
    let mut machine = Machine::start(stage::virt().with_card(card.path()))?;
    let report = health(&mut machine, Part::Init)?;
    let probe = machine.probe()?;
    assert_eq!((report.code, fact(&report, "state"), fact(&report, "data")), (Code::Running, "new", "new"));
    let free = counter(&report, "data-free-mib");
    assert!((2450..2632).contains(&free), "{free} MiB are free of the 2632 that follow the other partitions");
    let mounts = probe.mounts()?;
    let data = mounts.iter().rfind(|mount| mount.target == "/data").expect("/data is mounted");
    assert_eq!(data.kind, "ext4");
    for option in ["rw", "nosuid", "nodev", "noexec", "noatime", "errors=remount-ro"] {
        assert!(data.options.iter().any(|had| had == option), "{option}: {:?}", data.options);
    }
    probe.create(FILE, CONTENT)?;
    probe.sync()?;
    machine.power_cut();
    Ok(())
}

/// Starts it and asserts that all that was kept is still there; gives what init found.
fn start(card: &Card, then: impl FnOnce(&mut Machine, &Report) -> Result<()>) -> Result<()> {
    let mut machine = Machine::start(stage::virt().with_card(card.path()))?;
    let report = health(&mut machine, Part::Init)?;
    then(&mut machine, &report)?;
    machine.probe()?.sync()?;
    machine.power_cut();
    Ok(())
}

fn assert_file_is_there(machine: &mut Machine) -> Result<()> {
    assert_eq!(machine.probe()?.read(FILE)?, CONTENT);
    Ok(())
}

fn kept() -> Result<()> {
    let folder = scratch();
    let card = used(folder.path())?;
    let (state, data) = (take_out(&card, "state", folder.path()), take_out(&card, "data", folder.path()));
    assert_sound(&state);
    assert_sound(&data);
    // Owners and permissions are those of the accounts: mover, and the doors' groups.
    for (name, mode, group) in [("source", "1730", 803), ("destination", "2770", 804)] {
        let stat = debugfs("-c", &format!("stat /{name}"), &data);
        let words: Vec<_> = stat.split_whitespace().collect();
        let given = words.windows(2).find(|two| two[0] == "Mode:").map(|two| two[1].trim_start_matches('0'));
        assert_eq!(given, Some(mode), "{stat}");
        let owned = words.windows(4).any(|four| four == ["User:", "802", "Group:", &group.to_string()]);
        assert!(owned, "{stat}");
    }
    let (at, length) = place(&card, "data");
    assert_eq!(at + length, CARD);
    let table = card.read(0, 512)?;
    start(&card, |machine, report| {
        assert_eq!(
            (report.code, fact(report, "state"), fact(report, "data")),
            (Code::Running, "kept", "kept")
        );
        assert_file_is_there(machine)
    })?;
    assert_eq!(card.read(0, 512)?, table, "the table is written once");
    Ok(())
}

fn machine_id(card: &Card, folder: &Path) -> String {
    let state = take_out(card, "state", folder);
    assert_sound(&state);
    debugfs("-c", "cat /machine-id", &state)
}

fn reflashed() -> Result<()> {
    let folder = scratch();
    let card = used(folder.path())?;
    let id = machine_id(&card, folder.path());
    assert_eq!(id.trim().len(), 32, "{id:?}");
    card.enlarge(2 * CARD)?;
    card.flash_again(&image())?;
    assert_eq!(place(&card, "data").1, 256 * MIB, "the image brings its own table along");
    start(&card, |machine, report| {
        assert_eq!(
            (report.code, fact(report, "state"), fact(report, "data")),
            (Code::Running, "kept", "kept")
        );
        let free = counter(report, "data-free-mib");
        assert!((6450..6728).contains(&free), "{free} MiB are free of 6728");
        let said = machine.console().text();
        assert!(!said.contains("formatting the"), "{said}");
        assert_file_is_there(machine)
    })?;
    assert_eq!(machine_id(&card, folder.path()), id);
    assert_sound(&take_out(&card, "data", folder.path()));
    Ok(())
}

/// Takes nearly all free room of a file system.
fn fill_up(card: &Card, name: &str, folder: &Path) -> Result<()> {
    let part = take_out(card, name, folder);
    assert_sound(&part);
    let free: u64 = debugfs("-c", "stats", &part)
        .lines()
        .find_map(|line| line.trim().strip_prefix("Free blocks:")?.trim().parse().ok())
        .expect("a number of free blocks");
    debugfs("-w", "write /dev/null filler", &part);
    debugfs("-w", &format!("fallocate filler 0 {}", free - 300), &part);
    debugfs("-w", &format!("sif filler size {}", (free - 300) * 4096), &part);
    assert_sound(&part);
    card.write_file(place(card, name).0, &part)
}

fn full() -> Result<()> {
    let folder = scratch();
    let card = used(folder.path())?;
    for name in ["state", "data"] {
        fill_up(&card, name, folder.path())?;
    }
    card.flash_again(&image())?;
    start(&card, |machine, report| {
        assert_eq!((fact(report, "state"), fact(report, "data")), ("kept", "kept"));
        assert_eq!(report.code, Code::StateFull);
        assert!(counter(report, "data-free-mib") < 2);
        stage::assert_running(machine)?;
        assert_file_is_there(machine)?;
        // What says how the box is lies in memory and has room.
        machine.probe()?.create("/run/stayput/health/test", b"x")
    })
}

fn beheaded() -> Result<()> {
    let folder = scratch();
    let card = used(folder.path())?;
    let id = machine_id(&card, folder.path());
    for name in ["state", "data"] {
        card.write(place(&card, name).0 + 1024, &[0xa5; 1024])?;
    }
    start(&card, |machine, report| {
        assert_eq!((fact(report, "state"), fact(report, "data")), ("repaired", "repaired"));
        assert_eq!(report.code, Code::DataRepaired);
        assert_file_is_there(machine)?;
        assert_eq!(machine.probe()?.machine_id()?, id.trim());
        Ok(())
    })?;
    assert_sound(&take_out(&card, "data", folder.path()));
    Ok(())
}

fn stranger() -> Result<()> {
    let folder = scratch();
    let card = Card::flash(&folder.path().join("card.img"), &image(), CARD)?;
    let theirs = folder.path().join("theirs");
    std::fs::File::create(&theirs).and_then(|file| file.set_len(2000 * MIB)).expect("a file");
    let made = tool("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "holiday"], &theirs);
    assert!(made.status.success(), "{made:?}");
    let note = folder.path().join("note");
    std::fs::write(&note, CONTENT).expect("a note");
    debugfs("-w", &format!("write {} note", note.display()), &theirs);
    let (at, _) = place(&card, "data");
    card.write_file(at, &theirs)?;
    start(&card, |machine, report| {
        assert_eq!((report.code, fact(report, "data")), (Code::DataUnrecognised, "readonly"));
        assert_eq!(fact(report, "state"), "new");
        assert_eq!(machine.probe()?.read("/data/note")?, CONTENT);
        let refused =
            machine.probe()?.create("/data/written", b"x").expect_err("nobody writes there").to_string();
        assert!(refused.contains("Read-only"), "{refused}");
        let said = machine.console().text();
        assert!(said.contains("labelled 'holiday'") && said.contains("save what is needed"), "{said}");
        stage::assert_running(machine)
    })?;
    let after = folder.path().join("after");
    card.extract(at, 2000 * MIB, &after)?;
    let same = Command::new("cmp").args([&theirs, &after]).output().expect("cmp of diffutils");
    assert!(same.status.success(), "not a byte of it may change: {same:?}");
    Ok(())
}
