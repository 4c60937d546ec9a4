//! The desk against a made-up queue, mover and clock: no order is deleted undone, none is forgotten, and calls stay few.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use stayput_worker::courier::Boot;
use stayput_worker::courier::desk::{
    Action, Desk, Entry, Event, HIDES, Note, Received, Trouble, WATCHED, WATCHED_BYTES,
};
use stayput_worker::orders::Asked;
use stayput_worker::{OrderKey, Outcome};
use world::{Message, World, created};

#[test]
fn an_idle_queue_costs_at_most_three_calls_a_minute() {
    let mut world = World::new();
    world.pass(30 * 60_000);
    assert!(world.receives.len() <= 90, "{}", world.receives.len());
    assert_eq!(world.desk.tally().calls, world.receives.len() as u64);
}

#[test]
fn under_load_an_order_costs_at_most_a_quarter_of_a_call() {
    let mut world = World::new();
    world.send_done(2000);
    world.pass(10_000);
    assert_eq!(world.deleted.len(), 2000);
    assert!(world.desk.tally().calls <= 500, "{} calls", world.desk.tally().calls);
    assert_eq!(world.acknowledged, 2000);
    assert_eq!(world.desk.holding(), 0);
}

#[test]
fn a_file_that_comes_after_its_order_is_taken_within_five_seconds() {
    let mut world = World::new();
    world.send("late");
    world.pass(2 * 3_600_000);
    world.outcomes.insert("late".to_owned(), Outcome::Done);
    let came = world.now;
    world.pass(5_000);
    assert_eq!(world.deleted.len(), 1, "asked last at {:?}, came at {came}", world.asked_at("late").last());
}

#[test]
fn a_move_that_failed_is_tried_once_a_minute_for_each_try_is_written_down() {
    let mut world = World::new();
    world.send("large");
    world.outcomes.insert("large".to_owned(), Outcome::Failed);
    world.pass(600_000);
    let tries = world.asked_at("large").len();
    assert!((9..=11).contains(&tries), "{tries} tries in ten minutes");
    world.outcomes.insert("large".to_owned(), Outcome::Done);
    world.pass(62_000);
    assert_eq!(world.deleted.len(), 1);
}

#[test]
fn more_waiting_orders_than_can_be_watched_wait_on_the_queue_and_hold_nothing_up() {
    let mut world = World::new();
    for number in 0..WATCHED + 300 {
        world.send(&format!("late{number}"));
    }
    world.pass(60_000);
    assert_eq!(world.desk.watching(), WATCHED);
    world.send_done(50);
    world.pass(10_000);
    assert_eq!(world.deleted.len(), 50);
    let shown = world.queue.values().filter(|message| message.visible <= world.now).count();
    assert_eq!(shown, 0, "each is hidden for its step of the ladder");
}

#[test]
fn renewals_that_fail_are_tried_again_less_and_less_often() {
    let mut world = World::new();
    for number in 0..500 {
        world.send(&format!("late{number}"));
    }
    world.pass(150_000);
    assert_eq!((world.desk.watching(), world.hides.len()), (500, 0));
    // The second receipts are about to end, which are to be renewed, and no call goes through any more.
    world.every = 1;
    world.pass(80_000);
    assert!((HIDES..100).contains(&world.hides.len()), "{} calls", world.hides.len());
    world.every = u64::MAX;
    world.pass(600_000);
    assert_eq!(world.desk.watching(), 500);
}

#[test]
fn a_waiting_order_uses_the_deliveries_that_there_are_for_the_time_that_there_is() {
    let mut world = World::new();
    world.rules(10, 4);
    let id = world.send("never");
    world.pass(3 * 24 * 3_600_000);
    let receives = world.queue[&id].receives;
    assert!((8..=10).contains(&receives), "{receives} deliveries in three of four days");
}

#[test]
fn a_waiting_order_comes_back_soon_after_a_power_cut() {
    let mut world = World::new();
    let id = world.send("late");
    world.pass(6 * 3_600_000 + 1234);
    let hidden = world.queue[&id].visible.saturating_sub(world.now);
    assert!(hidden <= 5 * 60_000, "hidden for {hidden} ms");
}

#[test]
fn an_order_that_cannot_be_carried_out_is_left_to_the_redrive_policy() {
    let mut world = World::new();
    let conflict = world.send("taken");
    world.outcomes.insert("taken".to_owned(), Outcome::Conflict);
    let poison = world.send("{\"unknown\": 1}");
    world.pass(20 * 60_000);
    assert!(world.deleted.is_empty());
    for id in [conflict, poison] {
        assert!((4..=12).contains(&world.queue[&id].receives), "{:?}", world.queue[&id]);
    }
    assert!(world.desk.has_parked(Boot::at(world.now)) && world.desk.has_conflict(Boot::at(world.now)));
    assert!(world.notes.iter().any(|note| matches!(note, Note::Left { outcome: Outcome::Conflict, .. })));
    assert!(world.notes.iter().any(|note| matches!(note, Note::Poison { .. })));
}

#[test]
fn a_test_event_is_acknowledged() {
    let mut world = World::new();
    world.send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#);
    world.pass(5_000);
    assert_eq!((world.deleted.len(), world.acknowledged), (1, 0));
}

#[test]
fn an_object_is_fetched_for_as_long_as_it_takes_and_then_its_message_is_deleted() {
    let mut world = World::new();
    world.rules(10, 14);
    let fetched = world.notify("in/a");
    world.outcomes.insert("in/a".to_owned(), Outcome::Done);
    world.pass(500_000);
    assert_eq!((world.fetches.len(), world.acknowledged), (1, 1));
    assert!(world.deleted.contains(&fetched));
}

#[test]
fn what_waits_for_a_slow_batch_or_for_its_turn_to_be_fetched_is_delivered_once() {
    let mut world = World::new();
    world.move_time = 700_000;
    world.send_done(70);
    for number in 0..8 {
        let key = format!("in/{number}");
        world.notify(&key);
        world.outcomes.insert(key, Outcome::Done);
    }
    world.pass(4 * 700_000);
    assert_eq!((world.deleted.len(), world.desk.tally().received), (78, 78));
}

#[test]
fn an_object_that_no_rule_names_or_that_is_gone_is_left_to_the_redrive_policy() {
    let mut world = World::new();
    let elsewhere = world.notify("out/a");
    let gone = world.notify("in/gone");
    world.pass(1_000_000);
    assert_eq!(world.fetches.iter().map(|(_, objects)| objects).max(), Some(&1));
    assert!(world.queue.contains_key(&elsewhere) && world.queue.contains_key(&gone));
    assert!(world.desk.tally().unfetched >= 2);
}

#[test]
fn a_transfer_that_broke_is_begun_again() {
    let mut world = World::new();
    world.notify("in/a");
    world.outcomes.insert("in/a".to_owned(), Outcome::Incomplete);
    world.pass(410_000);
    world.outcomes.insert("in/a".to_owned(), Outcome::Done);
    world.pass(900_000);
    assert!(world.fetches.len() >= 2);
    assert_eq!((world.deleted.len(), world.desk.tally().received), (1, 1), "kept while it is fetched again");
}

#[test]
fn a_store_that_fails_leaves_more_than_can_be_watched_to_the_queue() {
    let mut world = World::new();
    (world.store, world.fetch_time) = (Some(Trouble::Answer), 20);
    for number in 0..WATCHED + 300 {
        world.notify(&format!("in/{number}"));
    }
    // What is held is counted at every step.
    world.pass(60_000);
    assert_eq!(world.desk.watching(), WATCHED);
    let shown = world.queue.values().filter(|message| message.visible <= world.now).count();
    assert_eq!(shown, 0, "each is hidden for its step of the ladder");
}

#[test]
fn of_large_notifications_fewer_are_watched() {
    let mut world = World::new();
    (world.store, world.fetch_time) = (Some(Trouble::Service), 20);
    let key = |number: usize| format!("in/{number:0>1000}");
    let record = |number: usize| {
        let body = created("inbox", &key(number));
        body[r#"{"Records":["#.len()..body.len() - "]}".len()].to_owned()
    };
    for number in 0..300 {
        let records: Vec<_> = (0..32).map(|index| record(number * 32 + index)).collect();
        world.send(&format!(r#"{{"Records":[{}]}}"#, records.join(",")));
    }
    world.pass(60_000);
    assert!(world.desk.tally().received >= 300);
    let bytes = world.desk.watching() * 32 * key(0).len();
    assert!((WATCHED_BYTES / 2..WATCHED_BYTES).contains(&bytes), "{bytes} bytes of keys");
}

#[test]
fn nothing_is_received_while_the_mover_cannot_work() {
    let mut world = World::new();
    world.pass(1_000);
    world.paused = Some(Outcome::DiskFull);
    world.send_done(30);
    world.pass(2 * 3_600_000);
    assert_eq!(world.desk.paused(), Some(Outcome::DiskFull));
    let receives = world.receives.len();
    assert!(receives <= 3, "{receives} receives");
    assert_eq!(world.desk.holding(), 0);
    let worst = world.queue.values().map(|message| message.receives).max();
    assert!(worst <= Some(2), "{worst:?} deliveries");
    world.paused = None;
    world.pass(10_000);
    assert_eq!(world.deleted.len(), 30);
}

#[test]
fn while_the_mover_cannot_work_what_it_was_asked_goes_back_and_what_waits_stays_held() {
    let mut world = World::new();
    for number in 0..100 {
        world.send(&format!("late{number}"));
    }
    world.pass(3_000);
    world.paused = Some(Outcome::DiskFull);
    world.pass(60_000);
    // All but one batch.
    assert_eq!((world.desk.watching(), world.desk.holding()), (68, 68));
    world.paused = None;
    world.outcomes.extend((0..100).map(|number| (format!("late{number}"), Outcome::Done)));
    world.pass(10_000);
    assert_eq!(world.deleted.len(), 100);
}

#[test]
fn nothing_is_received_without_a_mover_or_with_a_wrong_clock() {
    let mut world = World::new();
    world.stop_mover();
    world.send_done(5);
    world.pass(60_000);
    assert!(world.receives.is_empty());
    world.start_mover();
    world.take(Event::Clock(false));
    world.pass(60_000);
    assert!(world.receives.is_empty());
    world.take(Event::Clock(true));
    world.pass(1_000);
    assert_eq!(world.deleted.len(), 5);
}

#[test]
fn without_credentials_nothing_is_asked_for_and_new_ones_are_tried_at_once() {
    let mut world = World::new();
    world.take(Event::Credentials(false));
    world.send_done(3);
    world.pass(60_000);
    assert!(world.receives.is_empty());
    world.take(Event::Credentials(true));
    world.pass(1_000);
    assert_eq!(world.deleted.len(), 3);
    // Refused again and again, so that the next try is far away; then others come.
    world.send_done(3);
    (world.every, world.trouble) = (1, Trouble::Credentials);
    world.pass(120_000);
    let tries = world.receives.len();
    world.pass(1_000);
    assert_eq!(world.receives.len(), tries, "the next try is not far away");
    world.every = u64::MAX;
    world.take(Event::Credentials(true));
    world.pass(1_000);
    assert_eq!(world.deleted.len(), 6);
}

#[test]
fn a_mover_that_dies_with_a_batch_is_asked_again_when_it_is_back() {
    let mut world = World::new();
    world.pass(100);
    world.send_done(5);
    world.act();
    world.now += 5;
    world.answer();
    world.act();
    assert_eq!(world.asked.len(), 5);
    world.stop_mover();
    world.pass(10_000);
    world.start_mover();
    world.pass(1_000);
    assert_eq!((world.asked.len(), world.deleted.len()), (10, 5));
}

#[test]
fn a_mover_that_answers_something_else_is_not_believed_and_is_asked_again() {
    let mut world = World::new();
    world.pass(100);
    world.garbles = true;
    world.send_done(5);
    world.pass(1_000);
    assert_eq!((world.asked.len(), world.deleted.len()), (10, 5));
}

#[test]
fn orders_for_a_mover_that_stays_away_go_back_to_the_queue() {
    let mut world = World::new();
    world.pass(100);
    world.send_done(5);
    world.act();
    world.now += 5;
    world.stop_mover();
    world.answer();
    world.pass(62_000);
    assert_eq!(world.desk.holding(), 0);
    assert!(world.queue.values().all(|message| message.visible <= world.now));
}

#[test]
fn a_stop_finishes_what_the_mover_has_and_gives_the_rest_back_at_once() {
    let mut world = World::new();
    world.send_done(5);
    let late = world.send("late");
    world.pass(3_000);
    world.send_done(3);
    world.act();
    world.now += 5;
    world.answer();
    world.act();
    world.take(Event::Stop);
    world.pass(100);
    assert!(world.desk.is_finished());
    assert_eq!(world.deleted.len(), 8);
    assert!(world.queue[&late].visible <= world.now);
}

#[test]
fn a_stop_gives_back_first_what_another_could_do_and_a_few_calls_at_a_time() {
    let mut world = World::new();
    let late: Vec<_> = (0..300).map(|number| world.send(&format!("late{number}"))).collect();
    world.pass(5_000);
    assert_eq!(world.desk.watching(), 300);
    // Ten more have come, and the mover has not been asked for them yet.
    world.send_done(10);
    world.act();
    world.now += 5;
    world.answer();
    world.take(Event::Stop);
    let now = Boot::at(world.now);
    let given = |actions: Vec<Action>| -> Vec<Vec<String>> {
        let receipts = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.receipt).collect();
        let hidden =
            |action| if let Action::Hide { entries, .. } = action { Some(receipts(entries)) } else { None };
        actions.into_iter().filter_map(hidden).collect()
    };
    let calls = given(world.desk.next(now));
    assert_eq!(calls.len(), HIDES);
    let receipt = |id: &u64| format!("{id}/{}", world.queue[id].receipt);
    let ready: BTreeSet<_> = world.queue.keys().filter(|id| !late.contains(id)).map(receipt).collect();
    assert_eq!(ready.len(), 10);
    assert_eq!(calls[0].iter().cloned().collect::<BTreeSet<_>>(), ready);
    // No more until one of these has come back.
    assert_eq!(given(world.desk.next(now)), Vec::<Vec<String>>::new());
}

#[test]
fn large_bodies_are_received_one_by_one() {
    let mut desk = Desk::new(Boot::at(0));
    desk.take(Boot::at(0), Event::MoverUp);
    desk.next(Boot::at(0));
    desk.take(Boot::at(0), Event::Obstacle(None));
    let Some(Action::Receive { call, most: 10, .. }) = desk.next(Boot::at(0)).pop() else { panic!() };
    let key = OrderKey::new(b"m").unwrap();
    let asked = Asked::read(&key, &"x".repeat(1 << 20));
    let message = Received { receipt: "r".to_owned(), message: key, receives: 1, bytes: 1 << 20, asked };
    desk.take(Boot::at(9), Event::Received { call, result: Ok(vec![message]) });
    let next = desk.next(Boot::at(9));
    assert!(next.iter().any(|action| matches!(action, Action::Receive { most: 1, .. })), "{next:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever goes wrong in between: nothing undone is deleted (checked at each delete), and once all is well all that can
    /// be done is done.
    #[test]
    fn whatever_happens_all_that_can_be_done_is_done_in_the_end(
        steps in prop::collection::vec((0..11u8, 1..90_000u64), 1..25),
        every in 2..20u64,
    ) {
        let mut world = World::new();
        world.rules(50, 14);
        world.every = every;
        let mut good = 0;
        for (what, time) in steps {
            match what {
                0 => {
                    for _ in 0..time % 40 {
                        good += 1;
                        let name = format!("g{good}");
                        world.send(&name);
                        world.outcomes.insert(name, Outcome::Done);
                    }
                }
                1 => world.stop_mover(),
                2 => world.start_mover(),
                3 => world.paused = Some(Outcome::DiskFull),
                4 => world.paused = None,
                5 => drop(world.send("{}")),
                6 => {
                    for _ in 0..time % 10 {
                        good += 1;
                        let key = format!("in/g{good}");
                        world.notify(&key);
                        world.outcomes.insert(key, Outcome::Done);
                    }
                }
                7 => {
                    world.fetch_time = time;
                    world.store = Some(Trouble::ALL[time as usize % Trouble::ALL.len()]);
                }
                8 => world.store = None,
                9 => world.garbles = true,
                _ => drop(world.send("never")),
            }
            world.pass(time);
        }
        world.every = u64::MAX;
        world.paused = None;
        (world.store, world.fetch_time) = (None, 1_000);
        world.start_mover();
        world.pass(3_600_000);
        let is_good = |message: &&Message| message.body.starts_with('g') || message.body.contains("in/g");
        let left: Vec<_> = world.queue.values().filter(is_good).collect();
        prop_assert!(left.is_empty(), "{left:?}");
    }
}
