//! The ledger as people ask it: exported, searched, verified; and every change to it found that can be found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod process;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use process::{Place, order};
use stayput_worker::book::{self, Fault, Noted};
use stayput_worker::disk::Linux;
use stayput_worker::page::hex;
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};
use tempfile::TempDir;

/// Runs `worker ledger` with these words: exit code, output, errors.
fn ledger(place: &Place, words: &[&str]) -> (Option<i32>, String, String) {
    let output = place.command("ledger").args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A log of many small files in a folder of its own.
fn log_of(files: usize) -> (TempDir, PathBuf) {
    let place = TempDir::new().unwrap();
    let folder = |name: &str| {
        fs::create_dir(place.path().join(name)).unwrap();
        Linux.folder(&place.path().join(name)).unwrap()
    };
    let settings = Settings {
        quiet: Duration::ZERO,
        reserve: 0,
        log_length: 2_000,
        ledger_window: 4,
        ..Settings::default()
    };
    let mut mover =
        Mover::open(Linux, folder("source"), folder("destination"), folder("log"), settings).unwrap();
    let mut number = 0;
    while fs::read_dir(place.path().join("log")).unwrap().count() < files {
        number += 1;
        fs::write(place.path().join(format!("source/{number}")), "x").unwrap();
        let key = OrderKey::new(format!("key-{number}").as_bytes()).unwrap();
        let name = number.to_string().into_bytes();
        let order = Order { key: key.clone(), naming: Naming::Suffixed, name };
        assert_eq!(mover.carry_out(&[order]), [Outcome::Done]);
        mover.acknowledge([&key]);
    }
    mover.settle();
    let log = place.path().join("log");
    (place, log)
}

fn files(log: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_mover_at_work_can_be_asked_what_happened_to_a_file() {
    let place = Place::new();
    let _running = place.start();
    let mut client = place.client();
    let names: [&[u8]; 4] = [b"a.csv", b"new\nline", b"=1+1", b"\xff.pdf"];
    for name in names {
        fs::write(place.path("source").join(std::ffi::OsStr::from_bytes(name)), "content").unwrap();
        let key = OrderKey::new(&[b"key of ", name].concat()).unwrap();
        let order = Order { key: key.clone(), naming: Naming::Suffixed, name: name.to_vec() };
        assert_eq!(client.carry_out(vec![order]).unwrap(), [Outcome::Done]);
        client.deleted(vec![key]).unwrap();
    }
    assert_eq!(client.carry_out(vec![order("none", "none")]).unwrap(), [Outcome::Waiting]);

    let (code, csv, errors) = ledger(&place, &["export"]);
    assert_eq!(code, Some(0), "{errors}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(columns[..6], ["sequence", "time", "event", "intent", "key", "name"]);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let told: Vec<_> = rows.iter().filter(|row| &row[2] == "done").map(|row| row[5].to_owned()).collect();
    assert_eq!(told, ["a.csv", "new\\x0aline", "\\x3d1+1", "\\xff.pdf"]);
    assert_eq!(rows.iter().filter(|row| &row[2] == "deleted").count(), 4);

    let (code, json, _) = ledger(&place, &["export", "--json", "--from", "2020-01-01"]);
    assert_eq!((code, json.lines().count()), (Some(0), rows.len()));
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let (code, none, _) = ledger(&place, &["export", "--json", "--to", "2020-01-01T00:00:00Z"]);
    assert_eq!((code, none.as_str()), (Some(0), ""));

    let (code, found, _) = ledger(&place, &["find", "a.csv"]);
    assert_eq!((code, found.lines().count()), (Some(0), 3), "{found}");
    let (code, found, _) = ledger(&place, &["find", "new\nline_has_been_processed"]);
    assert_eq!((code, found.lines().count()), (Some(0), 3), "{found}");
    let (code, _, errors) = ledger(&place, &["find", "b.csv"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("no file of that name"), "{errors}");

    let (code, said, errors) = ledger(&place, &["verify"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("every record fits") && said.contains("cannot detect"), "{said}");
    let head = said.lines().find_map(|line| line.strip_prefix("head ")).unwrap();
    assert_eq!(ledger(&place, &["verify", "--head", head]).0, Some(0));
}

#[test]
fn a_command_that_asks_for_nothing_known_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("ledger")).unwrap();
    for words in [
        &[][..],
        &["burn"],
        &["find"],
        &["find", "a", "b"],
        &["export", "--from", "yesterday"],
        &["verify", "--head", "7:abc"],
        &["verify", "--from", "2020-01-01"],
    ] {
        let (code, _, errors) = ledger(&place, words);
        assert_eq!(code, Some(64), "{words:?}: {errors}");
    }
    let (code, _, errors) = ledger(&Place::new(), &["verify"]);
    assert_eq!(code, Some(73), "{errors}");
}

#[test]
fn a_log_in_order_is_found_in_order_over_all_its_files() {
    let (_place, log) = log_of(4);
    let mut records = 0;
    let summary = book::read(&log, None, |_| records += 1).unwrap();
    assert_eq!((summary.faults.as_slice(), summary.files, summary.rest), (&[][..], 4, 0));
    assert_eq!((summary.records, summary.first), (records, 1));
    assert_eq!(summary.last, records);
    // A head that was noted in the middle is found again.
    let mut heads = Vec::new();
    for file in 1..=4 {
        let part = TempDir::new().unwrap();
        for path in &files(&log)[..file] {
            fs::copy(path, part.path().join(path.file_name().unwrap())).unwrap();
        }
        let summary = book::read(part.path(), None, |_| {}).unwrap();
        heads.push(Noted { sequence: summary.last, head: summary.head });
    }
    for noted in heads {
        assert!(book::read(&log, Some(noted), |_| {}).unwrap().faults.is_empty());
        let text = format!("{}:{}", noted.sequence, hex(&noted.head));
        assert_eq!(Noted::parse(&text), Some(noted));
    }
}

#[test]
fn every_change_of_one_byte_and_every_missing_file_is_found() {
    let (_place, log) = log_of(3);
    let whole = book::read(&log, None, |_| {}).unwrap();
    let all = files(&log);
    for (index, path) in all.iter().enumerate() {
        let good = fs::read(path).unwrap();
        for at in (0..good.len()).step_by(13) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(path, &bad).unwrap();
            let found = book::read(&log, None, |_| {}).unwrap();
            // At the very end it is what an interrupted write leaves, and is told as such.
            let told = !found.faults.is_empty() || (index == 2 && found.rest > 0);
            assert!(told, "file {index}, byte {at}");
            assert!(found.records < whole.records, "file {index}, byte {at}");
        }
        fs::remove_file(path).unwrap();
        let found = book::read(&log, Some(Noted { sequence: whole.last, head: whole.head }), |_| {}).unwrap();
        // The oldest may be removed, as the mover does it; then the log begins later.
        let told = !found.faults.is_empty() || (index == 0 && found.first > 1);
        assert!(told, "file {index} removed: {found:?}");
        fs::write(path, &good).unwrap();
    }
    assert!(book::read(&log, None, |_| {}).unwrap().faults.is_empty());
}

#[test]
fn files_that_the_mover_removes_while_they_are_read_are_no_gap() {
    let (_place, log) = log_of(4);
    let all = files(&log);
    let last = book::read(&log, None, |_| {}).unwrap().last;
    // The mover removes from the oldest on.
    let summary =
        book::read(&log, None, |_| all[..3].iter().for_each(|path| drop(fs::remove_file(path)))).unwrap();
    assert_eq!((summary.faults.as_slice(), summary.files, summary.last), (&[][..], 2, last));
    // Whoever removes another does not hide it by being quick.
    let (_place, log) = log_of(4);
    let all = files(&log);
    let summary = book::read(&log, None, |_| drop(fs::remove_file(&all[1]))).unwrap();
    assert!(matches!(summary.faults[..], [Fault::Gap { .. }]), "{:?}", summary.faults);
}

#[test]
fn an_old_copy_is_found_by_the_head_that_was_noted_later() {
    let (_place, log) = log_of(2);
    let old = book::read(&log, None, |_| {}).unwrap();
    let (_other, newer) = log_of(3);
    let new = book::read(&newer, None, |_| {}).unwrap();
    let noted = Noted { sequence: new.last, head: new.head };
    let faults = book::read(&log, Some(noted), |_| {}).unwrap().faults;
    assert_eq!(faults, [Fault::TooShort { sequence: new.last, last: old.last }]);
    // The same number in another log has another hash: their times differ.
    let noted = Noted { sequence: old.last, head: new.head };
    let faults = book::read(&log, Some(noted), |_| {}).unwrap().faults;
    assert_eq!(faults, [Fault::OtherHead { sequence: old.last }]);
}
