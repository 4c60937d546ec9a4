//! The scene of every story: four orders and what they meet, and what must hold of it at any moment.

use std::collections::BTreeMap;
use std::time::Duration;

use stayput_worker::protocol::Inbound;
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};

use crate::model::{DESTINATION, LOG, Model, SOURCE};

/// Long enough to be torn in the middle.
pub const A: &[u8] = b"the file a, which nobody synced";
pub const B: &[u8] = b"the file b, synced";
pub const C: &[u8] = b"the file c, whose place is taken";
pub const OLD: &[u8] = b"an older file that has c's place";
/// What becomes of b.
pub const MOVED: &[u8] = b"b_has_been_processed";
/// What comes in.
pub const INSIDE: &[u8] = b"the file that came in";

pub fn settings(log_length: u64) -> Settings {
    Settings { quiet: Duration::ZERO, log_length, ..Settings::default() }
}

pub fn order(key: &str, name: &str) -> Order {
    Order {
        key: OrderKey::new(key.as_bytes()).unwrap(),
        naming: Naming::Suffixed,
        name: name.as_bytes().to_vec(),
    }
}

/// Two that can be done, one in conflict, one that waits, and a repeat.
pub fn orders() -> Vec<Order> {
    vec![order("1", "a"), order("2", "b"), order("3", "c"), order("4", "missing"), order("1", "a")]
}

pub fn world(apart: bool, births: bool) -> Model {
    let disk = Model::new(apart, births);
    disk.put(SOURCE, b"a", A, false);
    disk.put(SOURCE, b"b", B, true);
    disk.put(SOURCE, b"c", C, true);
    disk.put(DESTINATION, b"c_has_been_processed", OLD, true);
    disk
}

pub fn open(disk: &Model, settings: &Settings) -> Result<Mover<Model>, stayput_worker::Error> {
    Mover::open(disk.clone(), SOURCE, DESTINATION, LOG, settings.clone())
}

/// One life of a mover: the answers that it got out, by key.
pub fn life(disk: &Model, settings: &Settings) -> BTreeMap<Vec<u8>, Outcome> {
    let mut answers = BTreeMap::new();
    let Ok(mut mover) = open(disk, settings) else { return answers };
    // Two batches, so that the second meets what the first one left.
    for batch in [&orders()[..1], &orders()[1..]] {
        for (order, outcome) in batch.iter().zip(mover.carry_out(batch)) {
            answers.entry(order.key.as_bytes().to_vec()).or_insert(outcome);
        }
        let done = answers.iter().find(|(_, outcome)| **outcome == Outcome::Done);
        if let Some((key, _)) = done {
            mover.acknowledge([&OrderKey::new(key).unwrap()]);
        }
        // A pause in which the log is synced comes after the first batch or not at all.
        if settings.log_length == u64::MAX {
            mover.settle();
        }
    }
    answers
}

pub fn is_done(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Done | Outcome::AlreadyDone))
}

/// What must hold on the disk as it is, whatever happened: nothing lost, nothing replaced, answered means there.
pub fn check_disk(disk: &Model, answers: &BTreeMap<Vec<u8>, Outcome>, what: &str) {
    let (source, destination) = (disk.list(SOURCE), disk.list(DESTINATION));
    assert_eq!(destination.get(&b"c_has_been_processed"[..]).map(Vec::as_slice), Some(OLD), "{what}");
    assert_eq!(source.get(&b"c"[..]).map(Vec::as_slice), Some(C), "{what}");
    for (key, name, content) in [("1", "a", A), ("2", "b", B)] {
        let here = source.get(name.as_bytes());
        let there = destination.get(format!("{name}_has_been_processed").as_bytes());
        assert!(here.is_some() || there.is_some(), "{what}: {name} is lost");
        if is_done(answers.get(key.as_bytes())) {
            assert!(here.is_none(), "{what}: {name} was answered done and is still in the source folder");
            assert_eq!(there.map(Vec::as_slice), Some(content), "{what}: {name} was answered done");
        }
        // The one whose writer did not sync may be torn until it was answered done; the other never.
        for found in here.into_iter().chain(there) {
            assert!(name == "a" || found == content, "{what}: {name} is damaged");
        }
    }
}

/// Another life that nothing disturbs: afterwards everything is done, and each file is in exactly one place.
pub fn finish(disk: &Model, settings: &Settings, before: &BTreeMap<Vec<u8>, Outcome>, what: &str) {
    let mut mover = open(disk, settings).unwrap_or_else(|error| panic!("{what}: {error}"));
    let outcomes = mover.carry_out(&orders());
    for (index, key) in [(0, b"1"), (1, b"2")] {
        assert!(is_done(Some(&outcomes[index])), "{what}: {outcomes:?}");
        if is_done(before.get(&key[..])) {
            assert_eq!(outcomes[index], Outcome::AlreadyDone, "{what}");
        }
    }
    assert_eq!(outcomes[2..], [Outcome::Conflict, Outcome::Waiting, Outcome::AlreadyDone], "{what}");
    assert!(disk.list(SOURCE).keys().eq([b"c"]), "{what}: {:?}", disk.list(SOURCE).keys());
    let names = [&b"a_has_been_processed"[..], b"b_has_been_processed", b"c_has_been_processed"];
    assert!(disk.list(DESTINATION).keys().eq(names), "{what}: {:?}", disk.list(DESTINATION).keys());
    check_disk(disk, before, what);
}

pub fn inbound(key: &str) -> Inbound {
    let order = Order { naming: Naming::Unchanged, ..order(key, "in") };
    let (length, version) = (INSIDE.len() as u64, b"v1".to_vec());
    Inbound { transfer: 1, order, length, checksum: None, version }
}

/// Takes one file in, in two pieces.
pub fn take_in(disk: &Model, key: &str) -> Option<Outcome> {
    let mut mover = open(disk, &settings(u64::MAX)).ok()?;
    let mut incoming = match mover.begin(&inbound(key)) {
        Ok(incoming) => incoming,
        Err(outcome) => return Some(outcome),
    };
    for piece in INSIDE.chunks(11) {
        if let Err(outcome) = mover.take(&mut incoming, piece) {
            return Some(mover.abort(incoming, outcome));
        }
    }
    Some(mover.complete(incoming))
}
