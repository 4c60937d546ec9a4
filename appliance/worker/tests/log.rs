//! The log on a real disk: torn ends are cut, damage is refused, and new files forget nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stayput_worker::disk::Linux;
use stayput_worker::log::{Event, Record};
use stayput_worker::{Error, Mover, Naming, Order, OrderKey, Outcome, Settings};
use tempfile::TempDir;

fn place() -> TempDir {
    let place = TempDir::new().unwrap();
    for name in ["source", "destination", "log"] {
        fs::create_dir(place.path().join(name)).unwrap();
    }
    place
}

fn settings() -> Settings {
    Settings { quiet: Duration::ZERO, reserve: 0, ..Settings::default() }
}

fn open(place: &TempDir, settings: Settings) -> Result<Mover<Linux>, Error> {
    let folder = |name| Linux.folder(&place.path().join(name)).unwrap();
    Mover::open(Linux, folder("source"), folder("destination"), folder("log"), settings)
}

fn key(number: u32) -> OrderKey {
    OrderKey::new(format!("key-{number}").as_bytes()).unwrap()
}

/// Moves a new file and answers how that went.
fn move_one(place: &TempDir, mover: &mut Mover<Linux>, number: u32) -> Outcome {
    fs::write(place.path().join(format!("source/file-{number}")), "x").unwrap();
    again(mover, number)
}

fn again(mover: &mut Mover<Linux>, number: u32) -> Outcome {
    let name = format!("file-{number}").into_bytes();
    mover.carry_out(&[Order { key: key(number), naming: Naming::Suffixed, name }])[0]
}

fn logs(place: &TempDir) -> Vec<PathBuf> {
    let mut logs: Vec<_> =
        fs::read_dir(place.path().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    logs.sort();
    logs
}

fn newest(place: &TempDir) -> PathBuf {
    logs(place).pop().unwrap()
}

fn append(path: &Path, bytes: &[u8]) {
    fs::File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// A log with ten done orders.
fn ten(place: &TempDir) {
    let mut mover = open(place, settings()).unwrap();
    for number in 0..10 {
        assert_eq!(move_one(place, &mut mover, number), Outcome::Done);
    }
}

#[test]
fn a_torn_end_is_cut_said_and_costs_no_done_order() {
    for torn in [&[0; 700][..], b"half a record", &[0xff; 60_000], &[60, 0, 5]] {
        let place = place();
        ten(&place);
        append(&newest(&place), torn);
        let mut mover = open(&place, settings()).unwrap();
        assert_eq!(mover.recovery().cut, torn.len() as u64);
        assert!((0..10).all(|number| again(&mut mover, number) == Outcome::AlreadyDone));
        assert_eq!(move_one(&place, &mut mover, 10), Outcome::Done);
        drop(mover);
        // It was cut for good.
        assert_eq!(open(&place, settings()).unwrap().recovery().cut, 0);
    }
}

#[test]
fn an_end_cut_anywhere_leaves_a_log_that_starts() {
    let place = place();
    ten(&place);
    let whole = fs::read(newest(&place)).unwrap();
    for length in (whole.len() - 225..whole.len()).step_by(7) {
        fs::write(newest(&place), &whole[..length]).unwrap();
        let mut mover = open(&place, settings()).unwrap_or_else(|error| panic!("{length}: {error}"));
        // Whatever of the tenth order is left in the log: its file is at its destination and is not moved twice.
        assert!((0..9).all(|number| again(&mut mover, number) == Outcome::AlreadyDone), "{length}");
    }
}

#[test]
fn damage_in_the_middle_is_refused_with_its_place() {
    let place = place();
    {
        let mut mover = open(&place, settings()).unwrap();
        let numbers: Vec<u32> = (0..500).collect();
        for number in &numbers {
            fs::write(place.path().join(format!("source/file-{number}")), "x").unwrap();
        }
        for batch in numbers.chunks(32) {
            let order = |number: &u32| {
                let name = format!("file-{number}").into_bytes();
                Order { key: key(*number), naming: Naming::Suffixed, name }
            };
            mover.carry_out(&batch.iter().map(order).collect::<Vec<_>>());
        }
    }
    let path = newest(&place);
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 80_000, "the log is too short for this test: {}", bytes.len());
    bytes[5_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = open(&place, settings()).unwrap_err();
    assert!(matches!(error, Error::Damaged { file: 1, offset: 4_000..=5_000, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "a damaged log is not touched");
}

#[test]
fn one_changed_bit_anywhere_but_in_the_last_order_is_refused_and_never_costs_a_done_order() {
    let place = place();
    ten(&place);
    let whole = fs::read(newest(&place)).unwrap();
    for at in (0..whole.len()).step_by(23) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(newest(&place), &bytes).unwrap();
        match open(&place, settings()) {
            Err(Error::Damaged { offset, .. }) => assert!(offset <= at as u64),
            Ok(mut mover) => {
                // As far as anyone can know, the last writes were torn: the move is known by its intent or its file.
                assert!(at > whole.len() - 300, "a changed bit at {at} of {} was not seen", whole.len());
                assert!((0..9).all(|number| again(&mut mover, number) == Outcome::AlreadyDone), "{at}");
            }
            Err(error) => panic!("{at}: {error}"),
        }
    }
}

#[test]
fn a_log_file_that_was_complete_and_is_empty_or_other_bytes_now_is_damage() {
    for content in [&b""[..], b"log\r\n", &[0; 4096], "\u{feff}{}".as_bytes()] {
        let place = place();
        ten(&place);
        fs::write(newest(&place), content).unwrap();
        assert!(matches!(open(&place, settings()), Err(Error::Damaged { offset: 0, .. })));
    }
}

#[test]
fn a_log_of_another_version_is_refused_by_its_number() {
    let place = place();
    let mut bytes = Vec::new();
    let event = Event::Opened { version: 2, head: [0; 32] };
    Record { sequence: 1, synced: 0, time: 0, event }.write(&[0; 32], &mut bytes);
    fs::write(place.path().join("log/log-0000000000000001"), bytes).unwrap();
    let error = open(&place, settings()).unwrap_err();
    assert!(matches!(error, Error::LogVersion { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn new_files_are_begun_old_ones_removed_and_every_done_order_is_still_known() {
    let place = place();
    let settings = Settings { log_length: 2_000, log_files: 3, ledger_window: 5, ..settings() };
    let mut mover = open(&place, settings.clone()).unwrap();
    for number in 0..100 {
        assert_eq!(move_one(&place, &mut mover, number), Outcome::Done);
        if number % 2 == 0 {
            mover.acknowledge([&key(number)]);
        }
    }
    assert_eq!(logs(&place).len(), 3);
    let (sequence, hash) = mover.head();
    drop(mover);
    let mut mover = open(&place, settings).unwrap();
    assert_eq!(mover.head(), (sequence, hash), "a start that finds nothing to do writes nothing");
    assert_eq!(mover.unacknowledged(), 50);
    for number in 0..100 {
        // Open ones are all known; of the acknowledged ones, the latest five.
        let known = number % 2 == 1 || number >= 90;
        let expected = if known { Outcome::AlreadyDone } else { Outcome::Waiting };
        assert_eq!(again(&mut mover, number), expected, "{number}");
    }
}

#[test]
fn files_chain_into_each_other() {
    let place = place();
    let mut mover = open(&place, Settings { log_length: 2_000, ..settings() }).unwrap();
    (0..30).for_each(|number| assert_eq!(move_one(&place, &mut mover, number), Outcome::Done));
    let logs = logs(&place);
    assert!(logs.len() > 2);
    let mut end = [0; 32];
    let mut next = 1;
    for path in logs {
        let bytes = fs::read(&path).unwrap();
        let mut at = 0;
        while let Some((record, length, chain)) = Record::read(Some(&end), &bytes[at..]) {
            if let Event::Opened { head, .. } = record.event {
                assert_eq!((head, at), (end, 0));
            }
            assert_eq!(record.sequence, next);
            (at, end, next) = (at + length, chain, next + 1);
        }
        assert_eq!(at, bytes.len(), "{}", path.display());
    }
    assert_eq!(mover.head(), (next - 1, end));
}

#[test]
fn what_is_no_file_of_the_log_is_left_alone_and_an_unfinished_one_is_replaced() {
    let place = place();
    let notes = place.path().join("log/log-notes");
    fs::write(&notes, "mine").unwrap();
    fs::write(place.path().join("log/log-00000000000000FF"), "mine").unwrap();
    fs::write(place.path().join("log/log.new"), "half").unwrap();
    ten(&place);
    assert_eq!(open(&place, settings()).unwrap().recovery().cut, 0);
    assert_eq!(fs::read(&notes).unwrap(), b"mine");
    assert!(!place.path().join("log/log.new").exists());
}
