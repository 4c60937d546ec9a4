//! Every call fails in turn, once or for good; then the power goes.

use std::collections::HashSet;

use rustix::io::Errno;
use stayput_worker::Outcome;

use crate::model::{DESTINATION, Model, SOURCE, Trouble};
use crate::scene::{INSIDE, check_disk, finish, life, open, orders, settings, take_in, world};

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
