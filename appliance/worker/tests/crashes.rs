//! Every crash point of small scenarios, with every combination of what a power cut may take, explored to the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod model;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use model::{DESTINATION, LOG, Model, SOURCE, State, Trouble};
use rustix::io::Errno;
use stayput_worker::protocol::Inbound;
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};

/// Long enough to be torn in the middle.
const A: &[u8] = b"the file a, which nobody synced";
const B: &[u8] = b"the file b, synced";
const C: &[u8] = b"the file c, whose place is taken";
const OLD: &[u8] = b"an older file that has c's place";

fn settings(log_length: u64) -> Settings {
    Settings { quiet: Duration::ZERO, log_length, ..Settings::default() }
}

fn order(key: &str, name: &str) -> Order {
    Order {
        key: OrderKey::new(key.as_bytes()).unwrap(),
        naming: Naming::Suffixed,
        name: name.as_bytes().to_vec(),
    }
}

/// Two that can be done, one in conflict, one that waits, and a repeat.
fn orders() -> Vec<Order> {
    vec![order("1", "a"), order("2", "b"), order("3", "c"), order("4", "missing"), order("1", "a")]
}

fn world(apart: bool, births: bool) -> Model {
    let disk = Model::new(apart, births);
    disk.put(SOURCE, b"a", A, false);
    disk.put(SOURCE, b"b", B, true);
    disk.put(SOURCE, b"c", C, true);
    disk.put(DESTINATION, b"c_has_been_processed", OLD, true);
    disk
}

fn open(disk: &Model, settings: &Settings) -> Result<Mover<Model>, stayput_worker::Error> {
    Mover::open(disk.clone(), SOURCE, DESTINATION, LOG, settings.clone())
}

/// One life of a mover: the answers that it got out, by key.
fn life(disk: &Model, settings: &Settings) -> BTreeMap<Vec<u8>, Outcome> {
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

fn is_done(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Done | Outcome::AlreadyDone))
}

/// What must hold on the disk as it is, whatever happened: nothing lost, nothing replaced, answered means there.
fn check_disk(disk: &Model, answers: &BTreeMap<Vec<u8>, Outcome>, what: &str) {
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
fn finish(disk: &Model, settings: &Settings, before: &BTreeMap<Vec<u8>, Outcome>, what: &str) {
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

/// Lives one life up to each of its calls, then shows the dead disk and the answers to `after`.
fn each_death(
    world: &State,
    settings: &Settings,
    mut after: impl FnMut(State, &BTreeMap<Vec<u8>, Outcome>, &str),
) -> usize {
    for call in 0.. {
        let disk = Model::of(world.clone());
        disk.0.borrow_mut().trouble = Some((call, Trouble::Death));
        let answers = life(&disk, settings);
        let state = disk.state();
        let what = format!("died before call {call} ({:?})", state.struck);
        let alive = !state.dead;
        // What a stopped mover answers came from after its death.
        let answers = answers.into_iter().filter(|(_, outcome)| *outcome != Outcome::Stopped).collect();
        after(state, &answers, &what);
        if alive {
            return call;
        }
    }
    unreachable!("a life has an end")
}

/// All deaths, power cuts after them, deaths in the next start, and power cuts after those.
fn explore(apart: bool, births: bool, log_length: u64) {
    let settings = settings(log_length);
    let world = world(apart, births).state();
    let mut disks = 0;
    // Many deaths leave the same disk behind; one look at each is enough.
    let mut seen = HashSet::new();
    let mut is_new = |state: &State, answers: &BTreeMap<Vec<u8>, Outcome>| {
        seen.insert((state.fingerprint(), answers.clone()))
    };
    let calls = each_death(&world, &settings, |state, answers, what| {
        let mut after_cut = state.cuts();
        after_cut.retain(|state| is_new(state, answers));
        // A kill without a power cut: nothing is lost, and nothing more is durable than before.
        after_cut.push(state);
        for (cut, state) in after_cut.into_iter().enumerate() {
            let what = format!("{what}, disk {cut}");
            check_disk(&Model::of(state.clone()), answers, &what);
            finish(&Model::of(state.clone()), &settings, answers, &what);
            disks += 1;
            // The next start dies as well, anywhere in its recovery, and the power goes with it.
            for call in 0.. {
                let disk = Model::of(state.clone());
                disk.0.borrow_mut().trouble = Some((call, Trouble::Death));
                drop(open(&disk, &settings));
                let dead = disk.state();
                if !dead.dead {
                    break;
                }
                let what = format!("{what}, then in recovery before call {call} ({:?})", dead.struck);
                for (cut, state) in dead.cuts().into_iter().enumerate() {
                    if !is_new(&state, answers) {
                        continue;
                    }
                    let what = format!("{what}, disk {cut}");
                    check_disk(&Model::of(state.clone()), answers, &what);
                    finish(&Model::of(state), &settings, answers, &what);
                    disks += 1;
                }
            }
        }
    });
    println!("{calls} calls, {disks} disks");
    assert!(calls > 30 && disks > 150, "{calls} calls and {disks} disks: the scenario shrank");
}

#[test]
fn no_crash_loses_or_replaces_a_file_in_one_file_system() {
    explore(false, true, u64::MAX);
}

#[test]
fn no_crash_loses_or_replaces_a_file_where_files_have_no_birth_time() {
    explore(false, false, u64::MAX);
}

#[test]
fn no_crash_loses_or_replaces_a_file_between_file_systems() {
    explore(true, true, u64::MAX);
}

#[test]
fn no_crash_loses_a_done_order_while_the_log_begins_new_files() {
    explore(false, true, 1);
}

#[test]
fn no_power_cut_takes_what_a_whole_life_after_a_bare_kill_has_done() {
    let mut disks = 0;
    // The first life dies while it begins new files of the log; the second begins none, so it has no reason to sync for one.
    each_death(&world(false, true).state(), &settings(1), |state, answers, what| {
        let disk = Model::of(state);
        let mut answers = answers.clone();
        for (key, outcome) in life(&disk, &settings(u64::MAX)) {
            answers.entry(key).or_insert(outcome);
        }
        for (cut, state) in disk.state().cuts().into_iter().enumerate() {
            let what = format!("{what}, then a whole life, disk {cut}");
            check_disk(&Model::of(state.clone()), &answers, &what);
            finish(&Model::of(state), &settings(u64::MAX), &answers, &what);
            disks += 1;
        }
    });
    assert!(disks > 60, "{disks} disks: the scenario shrank");
}

const INSIDE: &[u8] = b"the file that came in";

fn inbound(key: &str) -> Inbound {
    let order = Order { naming: Naming::Unchanged, ..order(key, "in") };
    let (length, version) = (INSIDE.len() as u64, b"v1".to_vec());
    Inbound { transfer: 1, order, length, checksum: None, version }
}

/// Takes one file in, in two pieces.
fn take_in(disk: &Model, key: &str) -> Option<Outcome> {
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

#[test]
fn no_crash_and_no_failing_call_loses_or_tears_a_file_that_comes_in() {
    let troubles = [Trouble::Death, Trouble::Failure(Errno::IO), Trouble::Lasting(Errno::NOSPC)];
    let mut disks = 0;
    for trouble in troubles {
        for call in 0.. {
            let disk = world(false, true);
            disk.0.borrow_mut().trouble = Some((call, trouble));
            let outcome = take_in(&disk, "9");
            let state = disk.state();
            let Some(struck) = state.struck else { break };
            for (cut, state) in state.cuts().into_iter().chain([state.clone()]).enumerate() {
                let what = format!("{struck} (call {call}), {trouble:?}, disk {cut}, {outcome:?}");
                let disk = Model::of(state);
                // Under its name it is whole, or it is not there.
                let there = disk.list(DESTINATION).remove(&b"in"[..]);
                assert!(there.as_deref().is_none_or(|there| there == INSIDE), "{what}");
                let is_done = outcome == Some(Outcome::Done);
                assert!(!is_done || there.is_some(), "{what}");
                let again = take_in(&disk, "9");
                let allowed = if is_done {
                    &[Outcome::AlreadyDone][..]
                } else {
                    &[Outcome::Done, Outcome::AlreadyDone]
                };
                assert!(again.is_some_and(|again| allowed.contains(&again)), "{what}: then {again:?}");
                assert_eq!(disk.list(DESTINATION).remove(&b"in"[..]).as_deref(), Some(INSIDE), "{what}");
                assert_eq!(take_in(&disk, "10"), Some(Outcome::Conflict), "{what}");
                assert!(disk.list(DESTINATION).keys().all(|name| !name.starts_with(b".stayput-")), "{what}");
                disks += 1;
            }
        }
    }
    assert!(disks > 60, "{disks} disks: the scenario shrank");
}

#[test]
fn the_end_of_a_batch_is_synced_when_no_order_comes_for_a_moment() {
    let disk = world(false, true);
    let mut mover = open(&disk, &settings(u64::MAX)).unwrap();
    assert!(!mover.is_unsettled());
    assert_eq!(mover.carry_out(&orders()[1..2]), [Outcome::Done]);
    assert!(mover.is_unsettled());
    mover.settle();
    assert!(!mover.is_unsettled());
    // Someone collects the file, and then the power goes: only the log knows by now.
    disk.0.borrow_mut().take_away(DESTINATION, MOVED);
    drop(mover);
    for state in disk.state().cuts() {
        let mut mover = open(&Model::of(state), &settings(u64::MAX)).unwrap();
        assert_eq!(mover.carry_out(&orders()[1..2]), [Outcome::AlreadyDone]);
    }
}

/// Strikes each call in turn, with each trouble; afterwards the power is cut, and the disk works again.
fn strike_each_call(troubles: &[Trouble]) {
    for apart in [false, true] {
        let world = world(apart, true).state();
        let settings = settings(1);
        for trouble in troubles {
            let mut seen = HashSet::new();
            for call in 0.. {
                let disk = Model::of(world.clone());
                disk.0.borrow_mut().trouble = Some((call, *trouble));
                let answers = life(&disk, &settings);
                let state = disk.state();
                let Some(struck) = state.struck else { break };
                let what = format!("{struck} (call {call}), {trouble:?}, apart: {apart}");
                check_disk(&disk, &answers, &what);
                for (cut, state) in state.cuts().into_iter().enumerate() {
                    let what = format!("{what}, disk {cut}");
                    check_disk(&Model::of(state.clone()), &answers, &what);
                    if seen.insert((state.fingerprint(), answers.clone())) {
                        finish(&Model::of(state), &settings, &answers, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn no_failing_call_makes_the_mover_lie() {
    strike_each_call(&[Errno::IO, Errno::NOSPC, Errno::ACCESS].map(Trouble::Failure));
}

#[test]
fn no_disk_that_fails_for_good_makes_the_mover_lie() {
    strike_each_call(&[Errno::IO, Errno::NOSPC, Errno::ROFS].map(Trouble::Lasting));
}

#[test]
fn after_a_failed_sync_nothing_is_answered_done_until_a_restart() {
    // In one file system: the file, the intent, both folders; one sync of the log for the whole batch. Between two: the copy,
    // its record and its folder once more. A new file of the log: the old one, the new one, the folder.
    for (apart, log_length, syncs) in
        [(false, u64::MAX, 4), (true, u64::MAX, 7), (false, 1, 7), (true, 1, 10)]
    {
        let world = world(apart, true).state();
        let mut seen = 0;
        for call in 0.. {
            let disk = Model::of(world.clone());
            disk.0.borrow_mut().trouble = Some((call, Trouble::Failure(Errno::IO)));
            let Ok(mut mover) = open(&disk, &settings(log_length)) else { continue };
            let first = mover.carry_out(&orders()[..1])[0];
            let Some(struck) = disk.state().struck else { break };
            if struck.starts_with("sync") {
                seen += 1;
                let what = format!("{struck} (call {call}), apart: {apart}, log of {log_length}");
                // What was done before the log began a new file is done.
                let is_done = log_length == 1 && first == Outcome::Done;
                assert!(is_done || first == Outcome::Stopped, "{what}: {first:?}");
                assert!(mover.is_stopped(), "{what}");
                assert!(
                    mover.carry_out(&orders()).iter().all(|outcome| *outcome == Outcome::Stopped),
                    "{what}"
                );
            }
        }
        assert_eq!(seen, syncs, "apart: {apart}, log of {log_length}");
    }
}

#[test]
fn each_error_of_a_rename_has_its_outcome_and_the_file_stays() {
    let table = [
        (Errno::ACCESS, Outcome::Denied),
        (Errno::PERM, Outcome::Denied),
        // Not a full disk: there is room for others.
        (Errno::NOSPC, Outcome::Failed),
        (Errno::DQUOT, Outcome::Failed),
        (Errno::ROFS, Outcome::ReadOnly),
        (Errno::NAMETOOLONG, Outcome::NameTooLong),
        (Errno::EXIST, Outcome::Conflict),
        (Errno::NOENT, Outcome::Waiting),
        (Errno::IO, Outcome::Failed),
    ];
    for (error, outcome) in table {
        // Each call in turn, until the one that moves the file has been met.
        for call in 0.. {
            let disk = world(false, true);
            let mut mover = open(&disk, &settings(u64::MAX)).unwrap();
            let trouble = Some((disk.state().calls + call, Trouble::Failure(error)));
            disk.0.borrow_mut().trouble = trouble;
            let answer = mover.carry_out(&orders()[..1])[0];
            if disk.state().struck == Some("rename") {
                assert_eq!(answer, outcome, "{error:?}");
                assert!(disk.list(SOURCE).contains_key(&b"a"[..]), "{error:?}");
                assert_eq!(mover.carry_out(&orders()[..1]), [Outcome::Done], "{error:?}");
                break;
            }
        }
    }
}

#[test]
fn a_file_that_is_too_large_for_the_room_hinders_no_other() {
    let disk = world(true, true);
    let mut mover = open(&disk, &Settings { reserve: 1_000, ..settings(u64::MAX) }).unwrap();
    disk.put(SOURCE, b"large", &[b'x'; 5_000], true);
    disk.0.borrow_mut().free = Some(4_000);
    assert_eq!(mover.carry_out(&[order("5", "large"), order("2", "b")]), [Outcome::Failed, Outcome::Done]);
    assert_eq!(mover.begin(&Inbound { length: 5_000, ..inbound("6") }).unwrap_err(), Outcome::Failed);
    assert_eq!(mover.obstacle(), None);
    disk.0.borrow_mut().free = Some(900);
    assert_eq!(mover.carry_out(&[order("1", "a")]), [Outcome::DiskFull]);
    assert_eq!(mover.begin(&inbound("6")).unwrap_err(), Outcome::DiskFull);
    assert_eq!(mover.obstacle(), Some(Outcome::DiskFull));
    assert!(disk.list(SOURCE).contains_key(&b"large"[..]));
}

#[test]
fn files_that_come_in_beside_each_other_have_their_room_promised_and_none_gets_the_reserve() {
    let disk = world(true, true);
    let mut mover = open(&disk, &Settings { reserve: 1_000, ..settings(u64::MAX) }).unwrap();
    disk.put(SOURCE, b"large", &[b'x'; 1_500], true);
    disk.0.borrow_mut().free = Some(4_000);
    let inbound = |key: &str, length| Inbound { length, order: order(key, key), ..inbound(key) };
    let mut first = mover.begin(&inbound("6", 2_000)).unwrap();
    assert_eq!(mover.begin(&inbound("7", 1_500)).unwrap_err(), Outcome::Failed);
    assert_eq!(mover.carry_out(&[order("5", "large")]), [Outcome::Failed]);
    // What has come is on the disk, and its room is not kept a second time.
    mover.take(&mut first, &[b'x'; 1_200]).unwrap();
    disk.0.borrow_mut().free = Some(2_800);
    let second = mover.begin(&inbound("7", 1_000)).unwrap();
    assert_eq!(mover.begin(&inbound("8", 1)).unwrap_err(), Outcome::Failed);
    assert_eq!(mover.obstacle(), None);
    for incoming in [first, second] {
        mover.abort(incoming, Outcome::Incomplete);
    }
    assert_eq!(mover.carry_out(&[order("5", "large")]), [Outcome::Done]);
}

#[test]
fn no_order_is_answered_that_the_disk_is_full_while_there_is_room_for_the_next() {
    // A move in one file system, one between two, and a file that comes in.
    let works: [fn(&Model) -> Outcome; 3] = [
        |disk| {
            open(disk, &settings(u64::MAX))
                .map_or(Outcome::Stopped, |mut mover| mover.carry_out(&orders()[..1])[0])
        },
        |disk| {
            disk.0.borrow_mut().apart = true;
            open(disk, &settings(u64::MAX))
                .map_or(Outcome::Stopped, |mut mover| mover.carry_out(&orders()[..1])[0])
        },
        |disk| take_in(disk, "9").unwrap_or(Outcome::Stopped),
    ];
    for work in works {
        for call in 0.. {
            let disk = world(false, true);
            disk.0.borrow_mut().trouble = Some((call, Trouble::Failure(Errno::NOSPC)));
            let outcome = work(&disk);
            let Some(struck) = disk.state().struck else {
                assert!(call > 20, "{call} calls: the scenario shrank");
                break;
            };
            assert_ne!(outcome, Outcome::DiskFull, "{struck} (call {call})");
        }
    }
}

/// Lets someone do something before each call of a mover that has one order for `b`, and shows what came of it.
fn meddle(apart: bool, meddling: fn(&mut State), mut after: impl FnMut(&Model, Outcome, &str)) {
    for call in 0.. {
        let disk = world(apart, true);
        let mut mover = open(&disk, &settings(u64::MAX)).unwrap();
        let start = disk.state().calls;
        disk.0.borrow_mut().trouble = Some((start + call, Trouble::Meddling(meddling)));
        let outcome = mover.carry_out(&orders()[1..2])[0];
        let Some(struck) = disk.state().struck else {
            assert!(call > 10, "the scenario shrank");
            return;
        };
        after(
            &disk,
            outcome,
            &format!("before call {call} ({struck}), apart: {apart}, answered {outcome:?}"),
        );
        let hidden = |folder| disk.list(folder).keys().any(|name| name.starts_with(b".stayput-"));
        assert!(!hidden(SOURCE) && !hidden(DESTINATION), "before call {call} ({struck}): leftovers");
        drop(mover);
        drop(open(&disk, &settings(u64::MAX)).unwrap());
    }
}

const MOVED: &[u8] = b"b_has_been_processed";

#[test]
fn a_file_that_is_written_to_while_it_moves_is_moved_whole_or_stays_whole() {
    for apart in [false, true] {
        meddle(
            apart,
            |state| state.write_to(SOURCE, b"b", b"+more"),
            |disk, outcome, what| {
                let (here, there) =
                    (disk.list(SOURCE).remove(&b"b"[..]), disk.list(DESTINATION).remove(MOVED));
                let whole = [B, b"+more"].concat();
                match outcome {
                    Outcome::Done => assert!(here.is_none(), "{what}"),
                    _ => assert_eq!((here.as_ref(), &there), (Some(&whole), &None), "{what}"),
                }
                assert!(
                    outcome != Outcome::Done || there == Some(whole) || there == Some(B.to_vec()),
                    "{what}"
                );
            },
        );
    }
}

#[test]
fn a_file_that_shrinks_while_it_moves_is_moved_whole_or_stays_as_it_is() {
    for apart in [false, true] {
        meddle(
            apart,
            |state| state.shrink(SOURCE, b"b", 3),
            |disk, outcome, what| {
                let (here, there) =
                    (disk.list(SOURCE).remove(&b"b"[..]), disk.list(DESTINATION).remove(MOVED));
                let short = Some(B[..3].to_vec());
                match outcome {
                    Outcome::Done => {
                        assert!(here.is_none() && (there == short || there.as_deref() == Some(B)), "{what}")
                    }
                    _ => assert_eq!((here, there), (short, None), "{what}"),
                }
            },
        );
    }
}

#[test]
fn a_file_that_takes_the_name_while_the_other_moves_is_not_lost() {
    for apart in [false, true] {
        meddle(
            apart,
            |state| state.replace(SOURCE, b"b", b"new"),
            |disk, outcome, what| {
                let (here, there) =
                    (disk.list(SOURCE).remove(&b"b"[..]), disk.list(DESTINATION).remove(MOVED));
                let new = Some(b"new".to_vec());
                match outcome {
                    Outcome::Done => assert!(
                        (here.is_none() && there == new) || (here == new && there == Some(B.to_vec())),
                        "{what}"
                    ),
                    _ => assert_eq!((here, there), (new, None), "{what}"),
                }
                let moved = disk.list(DESTINATION).remove(MOVED);
                for cut in disk.state().cuts().into_iter().filter(|_| outcome == Outcome::Done) {
                    let kept = Model::of(cut).list(DESTINATION).remove(MOVED);
                    assert_eq!(kept, moved, "{what}: it was not looked at and synced before it was moved");
                }
            },
        );
    }
}

#[test]
fn a_file_that_is_taken_away_while_it_moves_leaves_nothing_half_done() {
    for apart in [false, true] {
        meddle(
            apart,
            |state| state.take_away(SOURCE, b"b"),
            |disk, outcome, what| {
                let (here, there) =
                    (disk.list(SOURCE).remove(&b"b"[..]), disk.list(DESTINATION).remove(MOVED));
                assert_eq!(here, None, "{what}");
                assert_eq!(there, (outcome == Outcome::Done).then(|| B.to_vec()), "{what}");
            },
        );
    }
}

#[test]
fn a_file_that_takes_the_destination_while_another_moves_there_is_not_replaced() {
    for apart in [false, true] {
        meddle(
            apart,
            |state| state.add(DESTINATION, MOVED, b"someone's"),
            |disk, outcome, what| {
                let (here, there) =
                    (disk.list(SOURCE).remove(&b"b"[..]), disk.list(DESTINATION).remove(MOVED));
                match outcome {
                    Outcome::Done => assert_eq!((here, there), (None, Some(B.to_vec())), "{what}"),
                    _ => assert_eq!((here, there), (Some(B.to_vec()), Some(b"someone's".to_vec())), "{what}"),
                }
            },
        );
    }
}

#[test]
fn a_done_file_that_was_collected_is_still_done() {
    for apart in [false, true] {
        meddle(
            apart,
            |state| state.take_away(DESTINATION, MOVED),
            |disk, outcome, what| {
                assert_eq!(outcome, Outcome::Done, "{what}");
                assert_eq!(disk.list(SOURCE).remove(&b"b"[..]), None, "{what}");
            },
        );
    }
}
