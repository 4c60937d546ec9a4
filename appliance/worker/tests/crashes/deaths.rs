//! Every crash point, with every combination of what a power cut may take.

use std::collections::{BTreeMap, HashSet};

use stayput_worker::{Outcome, Settings};

use crate::model::{DESTINATION, Model, State, Trouble};
use crate::scene::{MOVED, check_disk, finish, life, open, orders, settings, world};

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
