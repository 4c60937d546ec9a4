//! A disk without room: for one file, for those that come in beside each other, for everything.

use rustix::io::Errno;
use stayput_worker::protocol::Inbound;
use stayput_worker::{Outcome, Settings};

use crate::model::{Model, SOURCE, Trouble};
use crate::scene::{inbound, open, order, orders, settings, take_in, world};

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
