//! A real, confined mover, killed between every two of its system calls, and its successor in the middle of recovering.
//!
//! Each point is hit once; `STAYPUT_TEST_KILLS=10000` asks for that many kills in all, spread over the points.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod process;
#[path = "process/trace.rs"]
mod trace;

use std::fs;
use std::os::fd::OwnedFd;

use process::{Place, Running, order};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use stayput_worker::client::{receive, send};
use stayput_worker::protocol::{Answer, Inbound, Request};
use stayput_worker::{Naming, Order, Outcome, book};
use trace::{Stop, Traced};

const FILES: [(&str, &str); 2] = [("a.csv", "the content of a"), ("b.csv", "what is in b")];
const INSIDE: &[u8] = b"what came in";

/// How many stops behind its answer a mover is still followed: until it has made its log durable and waits again.
const BEHIND: usize = 12;

/// What a mover is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Move,
    TakeIn,
}

/// A mover's process, stopped at each entry to and exit from a system call.
struct Stepped {
    running: Running,
    traced: Traced,
}

impl Stepped {
    /// Begins to step a mover; `None` where this user may not.
    fn take(running: Running) -> Option<Self> {
        let traced = Traced::begin(running.child.id()).ok()?;
        Some(Self { running, traced })
    }

    /// Lets it run to its next stop at a system call; `false` when it has ended.
    fn step(&self) -> bool {
        let mut signal = 0;
        loop {
            match self.traced.go_on(signal).unwrap() {
                Stop::Call => return true,
                Stop::Signal(caught) => signal = caught,
                Stop::Other => signal = 0,
                Stop::Ended => return false,
            }
        }
    }

    fn kill(mut self) {
        self.running.child.kill().unwrap();
        while self.traced.wait().unwrap() != Stop::Ended {}
    }
}

fn dial(place: &Place) -> OwnedFd {
    // Waits until somebody listens.
    drop(place.client());
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let connection = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::connect(&connection, &SocketAddrUnix::new(place.path("socket")).unwrap()).unwrap();
    send(&connection, &Request::Hello).unwrap();
    receive(&connection).unwrap();
    connection
}

fn has_answer(connection: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(connection, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).unwrap() > 0 && polled[0].revents().contains(PollFlags::IN)
}

fn orders() -> Vec<Order> {
    FILES.iter().enumerate().map(|(number, (name, _))| order(&format!("key-{number}"), name)).collect()
}

fn inbound() -> Inbound {
    let order = Order { naming: Naming::Unchanged, ..order("in-key", "in.csv") };
    Inbound { transfer: 1, order, length: INSIDE.len() as u64, checksum: None, version: b"v".to_vec() }
}

/// Asks for the work up to the request whose calls are to be stepped.
fn prepare(connection: &OwnedFd, work: Work) {
    if work == Work::TakeIn {
        send(connection, &Request::Inbound(inbound())).unwrap();
        let (answer, pipe) = receive(connection).unwrap();
        match (answer, pipe) {
            (Answer::Open { .. }, Some(pipe)) => {
                rustix::io::write(&pipe, INSIDE).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

fn request(work: Work) -> Request {
    match work {
        Work::Move => Request::Move { batch: 1, orders: orders() },
        Work::TakeIn => Request::Complete { transfer: 1 },
    }
}

fn outcomes(answer: Answer) -> Vec<Outcome> {
    match answer {
        Answer::Moved { outcomes, .. } => outcomes,
        Answer::Ended { outcome, .. } => vec![outcome],
        other => panic!("{other:?}"),
    }
}

/// How one life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It was killed at its point.
    Killed,
    /// It came to the end of its work before.
    Lived,
    /// This user may not stop other processes.
    NotAllowed,
}

/// One life, killed at stop `point` of its work; then perhaps another, killed at stop `second` of its start.
fn live(work: Work, point: usize, second: Option<usize>) -> Life {
    let what = format!("{work:?}, stop {point}, second {second:?}");
    let place = Place::in_memory();
    if work == Work::Move {
        for (name, content) in FILES {
            fs::write(place.source(name), content).unwrap();
        }
    }
    let running = place.start();
    let connection = dial(&place);
    prepare(&connection, work);
    let Some(stepped) = Stepped::take(running) else { return Life::NotAllowed };
    send(&connection, &request(work)).unwrap();
    let (mut stops, mut behind) = (0, 0);
    while stops < point && behind < BEHIND {
        assert!(stepped.step(), "{what}: it ended by itself");
        stops += 1;
        behind += usize::from(behind > 0 || has_answer(&connection));
    }
    let life = if stops == point { Life::Killed } else { Life::Lived };
    stepped.kill();
    let answered = has_answer(&connection).then(|| receive(&connection)).and_then(Result::ok);
    let answered = answered.map(|(answer, _)| outcomes(answer));
    check(&place, work, answered.as_deref(), &what);
    // What the first life said of itself.
    let _ = fs::remove_file(place.path("health/mover.json"));
    if let Some(second) = second
        && let Some(stepped) = Stepped::take(place.start())
    {
        for _ in 0..second {
            // Once it serves it waits; its start is over.
            if place.health().contains("RUN-00") || !stepped.step() {
                break;
            }
        }
        stepped.kill();
        check(&place, work, answered.as_deref(), &what);
    }
    finish(&place, work, answered.as_deref(), &what);
    life
}

/// What must hold at any moment: everything in exactly one place, whole, and where it was answered to be.
fn check(place: &Place, work: Work, answered: Option<&[Outcome]>, what: &str) {
    assert!(
        answered.is_none_or(|answered| answered.iter().all(|outcome| *outcome == Outcome::Done)),
        "{what}: {answered:?}"
    );
    let whole = |path: std::path::PathBuf| fs::read(path).ok();
    match work {
        Work::Move => {
            for (name, content) in FILES {
                let here = whole(place.source(name));
                let there = whole(place.destination(&format!("{name}_has_been_processed")));
                assert!(here.is_some() != there.is_some(), "{what}: {name}: {here:?} {there:?}");
                assert!(answered.is_none() || there.is_some(), "{what}: {name} was answered done");
                assert_eq!(here.or(there).as_deref(), Some(content.as_bytes()), "{what}: {name}");
            }
        }
        Work::TakeIn => {
            let there = whole(place.destination("in.csv"));
            assert!(there.is_none() == answered.is_none() || there.is_some(), "{what}");
            assert!(there.as_deref().is_none_or(|there| there == INSIDE), "{what}: it is torn");
        }
    }
}

/// A life that nobody disturbs ends it: all is done once, nothing is left over, the log is in order.
fn finish(place: &Place, work: Work, answered: Option<&[Outcome]>, what: &str) {
    let running = place.start();
    let mut client = place.client();
    match work {
        Work::Move => {
            let allowed = if answered.is_some() {
                &[Outcome::AlreadyDone][..]
            } else {
                &[Outcome::Done, Outcome::AlreadyDone]
            };
            let outcomes = client.carry_out(orders()).unwrap();
            assert!(outcomes.iter().all(|outcome| allowed.contains(outcome)), "{what}: {outcomes:?}");
        }
        Work::TakeIn => match client.send_in(inbound()).unwrap() {
            Ok(pipe) => {
                assert_eq!(answered, None, "{what}: it was answered done");
                rustix::io::write(&pipe, INSIDE).unwrap();
                drop(pipe);
                assert_eq!(client.complete(1).unwrap(), Outcome::Done, "{what}");
            }
            Err(outcome) => assert_eq!(outcome, Outcome::AlreadyDone, "{what}"),
        },
    }
    drop(client);
    assert!(running.terminate().success(), "{what}");
    let count = |folder: std::path::PathBuf| fs::read_dir(folder).unwrap().count();
    let expected = if work == Work::Move { FILES.len() } else { 1 };
    assert_eq!((count(place.path("source")), count(place.path("destination"))), (0, expected), "{what}");
    let mut done = 0;
    let summary = book::read(&place.path("ledger"), None, |record| {
        done += usize::from(matches!(record.event, stayput_worker::log::Event::Done { .. }));
    });
    assert_eq!(summary.unwrap().faults, [], "{what}");
    assert_eq!(done, expected, "{what}: each is in the ledger once");
}

fn step_through(work: Work, least: usize) {
    let wanted = std::env::var("STAYPUT_TEST_KILLS").ok().map(|text| text.parse::<usize>().unwrap());
    let mut points = 0;
    loop {
        match live(work, points + 1, None) {
            Life::Killed => points += 1,
            Life::Lived => break,
            Life::NotAllowed => {
                println!("skipped: this user may not stop other processes");
                return;
            }
        }
        assert!(points < 2_000, "it does not come to an end");
    }
    let mut kills = points;
    // Rounds over all points; each second life ends at another stop of its start.
    let mut random = 0x5eed_u64;
    while wanted.is_some_and(|wanted| kills < wanted / 2) {
        for point in 1..=points {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let second = usize::try_from(random >> 33).unwrap() % 260;
            live(work, point, Some(second));
            kills += 2;
        }
    }
    println!("{work:?}: {points} points between system calls, {kills} kills");
    assert!(points > least, "{points} points: the work shrank");
}

#[test]
fn a_mover_killed_between_any_two_system_calls_of_a_move_loses_nothing() {
    step_through(Work::Move, 60);
}

#[test]
fn a_mover_killed_between_any_two_system_calls_while_a_file_comes_in_loses_nothing() {
    step_through(Work::TakeIn, 30);
}

#[test]
fn a_start_killed_at_any_system_call_is_made_good_by_the_next() {
    // Far into a move: its intents are in the log, and its files on their way.
    for second in (0..260).step_by(7) {
        if live(Work::Move, 60, Some(second)) == Life::NotAllowed {
            return;
        }
    }
}
