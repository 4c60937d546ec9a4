//! Someone else does something to the file before each call of the mover.

use stayput_worker::Outcome;

use crate::model::{DESTINATION, Model, SOURCE, State, Trouble};
use crate::scene::{B, MOVED, open, orders, settings, world};

/// What came of an order for `b`.
struct Seen<'a> {
    disk: &'a Model,
    outcome: Outcome,
    /// What is under its name in the source folder, and under its result's in the destination.
    here: Option<Vec<u8>>,
    there: Option<Vec<u8>>,
    what: &'a str,
}

/// Lets someone do something before each call of a mover that has one order for `b`, in one file system and between two, and shows
/// what came of it.
fn meddle(meddling: fn(&mut State), after: impl Fn(Seen<'_>)) {
    for apart in [false, true] {
        for call in 0.. {
            let disk = world(apart, true);
            let mut mover = open(&disk, &settings(u64::MAX)).unwrap();
            let start = disk.state().calls;
            disk.0.borrow_mut().trouble = Some((start + call, Trouble::Meddling(meddling)));
            let outcome = mover.carry_out(&orders()[1..2])[0];
            let Some(struck) = disk.state().struck else {
                assert!(call > 10, "the scenario shrank");
                break;
            };
            let what = &format!("before call {call} ({struck}), apart: {apart}, answered {outcome:?}");
            let here = disk.list(SOURCE).remove(&b"b"[..]);
            let there = disk.list(DESTINATION).remove(MOVED);
            after(Seen { disk: &disk, outcome, here, there, what });
            let hidden = |folder| disk.list(folder).keys().any(|name| name.starts_with(b".stayput-"));
            assert!(!hidden(SOURCE) && !hidden(DESTINATION), "{what}: leftovers");
            drop(mover);
            drop(open(&disk, &settings(u64::MAX)).unwrap());
        }
    }
}

#[test]
fn a_file_that_is_written_to_while_it_moves_is_moved_whole_or_stays_whole() {
    let whole = [B, b"+more"].concat();
    meddle(
        |state| state.write_to(SOURCE, b"b", b"+more"),
        |Seen { outcome, here, there, what, .. }| match outcome {
            Outcome::Done => {
                assert!(here.is_none() && there.is_some_and(|there| there == whole || there == B), "{what}");
            }
            _ => assert_eq!((here.as_ref(), there), (Some(&whole), None), "{what}"),
        },
    );
}

#[test]
fn a_file_that_shrinks_while_it_moves_is_moved_whole_or_stays_as_it_is() {
    let short = &B[..3];
    meddle(
        |state| state.shrink(SOURCE, b"b", 3),
        |Seen { outcome, here, there, what, .. }| match outcome {
            Outcome::Done => {
                assert!(here.is_none() && there.is_some_and(|there| there == short || there == B), "{what}");
            }
            _ => assert_eq!((here.as_deref(), there), (Some(short), None), "{what}"),
        },
    );
}

#[test]
fn a_file_that_takes_the_name_while_the_other_moves_is_not_lost() {
    let new = Some(b"new".to_vec());
    meddle(
        |state| state.replace(SOURCE, b"b", b"new"),
        |Seen { disk, outcome, here, there, what }| {
            if outcome != Outcome::Done {
                assert_eq!((here, there), (new.clone(), None), "{what}");
                return;
            }
            let is_moved = here.is_none() && there == new;
            assert!(is_moved || (here == new && there.as_deref() == Some(B)), "{what}");
            for cut in disk.state().cuts() {
                let kept = Model::of(cut).list(DESTINATION).remove(MOVED);
                assert_eq!(kept, there, "{what}: it was not looked at and synced before it was moved");
            }
        },
    );
}

#[test]
fn a_file_that_is_taken_away_while_it_moves_leaves_nothing_half_done() {
    meddle(
        |state| state.take_away(SOURCE, b"b"),
        |Seen { outcome, here, there, what, .. }| {
            assert_eq!(here, None, "{what}");
            assert_eq!(there.as_deref(), (outcome == Outcome::Done).then_some(B), "{what}");
        },
    );
}

#[test]
fn a_file_that_takes_the_destination_while_another_moves_there_is_not_replaced() {
    meddle(
        |state| state.add(DESTINATION, MOVED, b"someone's"),
        |Seen { outcome, here, there, what, .. }| {
            let expected = match outcome {
                Outcome::Done => (None, Some(B)),
                _ => (Some(B), Some(&b"someone's"[..])),
            };
            assert_eq!((here.as_deref(), there.as_deref()), expected, "{what}");
        },
    );
}

#[test]
fn a_done_file_that_was_collected_is_still_done() {
    meddle(
        |state| state.take_away(DESTINATION, MOVED),
        |Seen { outcome, here, what, .. }| assert_eq!((outcome, here), (Outcome::Done, None), "{what}"),
    );
}
