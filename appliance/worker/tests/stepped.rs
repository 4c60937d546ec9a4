//! A real, confined mover, killed between every two of its system calls, and its successor in the middle of recovering.
//!
//! Each point is hit once; `STAYPUT_TEST_KILLS=10000` asks for that many kills in all, spread over the points.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod oracle;
mod process;
#[path = "process/trace.rs"]
mod trace;

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use process::{Place, Running, order};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use stayput_worker::client::{receive, send};
use stayput_worker::disk::{Identity, Linux};
use stayput_worker::log::{Event, Log};
use stayput_worker::protocol::{Answer, Inbound, Request};
use stayput_worker::{FileName, Naming, Order, OrderKey, Outcome, Settings, book};
use tempfile::TempDir;
use trace::{Stop, Traced};

const FILES: [(&str, &str); 2] = [("a.csv", "the content of a"), ("b.csv", "what is in b")];
const INSIDE: &[u8] = b"what came in";
const FIRST_LOG: &str = "log-0000000000000001";

/// How many stops behind its answer a mover is still followed: until it has made its log durable and waits again.
const BEHIND: usize = 12;

/// What a mover is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Move,
    /// A move between file systems.
    Copy,
    TakeIn,
    /// What was moved in an earlier life has its messages deleted, and the log begins a new file.
    Acknowledge,
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

fn keys() -> Vec<OrderKey> {
    orders().into_iter().map(|order| order.key).collect()
}

/// A log that is as long as one becomes, in which the orders are done.
fn long_log() -> &'static [u8] {
    static LOG: OnceLock<Vec<u8>> = OnceLock::new();
    LOG.get_or_init(|| {
        let place = TempDir::new().unwrap();
        let (mut log, _) = Log::open(&Linux, Linux.folder(place.path()).unwrap(), |_| {}).unwrap();
        let identity = Identity { inode: 1, born: 1, size: 1, modified: 1 };
        let mut end = |order: &Order, end: fn(u64) -> Event| {
            let (key, naming) = (order.key.clone(), order.naming);
            let name = FileName::new(&order.name).unwrap();
            let target = name.clone();
            let intent = log.push(&Linux, Event::Intent { key, naming, name, target, identity });
            log.push(&Linux, end(intent));
            log.commit(&Linux).unwrap();
        };
        orders().iter().for_each(|order| end(order, |intent| Event::Done { intent }));
        let path = place.path().join(FIRST_LOG);
        while fs::metadata(&path).unwrap().len() < Settings::default().log_length {
            end(&order("other", &"x".repeat(255)), |intent| Event::Abandoned { intent, outcome: None });
        }
        fs::read(path).unwrap()
    })
}

/// The folders as the work finds them, and where the destination is, if not among them; `None` where this machine has none.
fn place_of(work: Work) -> Option<(Place, Option<TempDir>)> {
    let (place, disk) = if work == Work::Copy {
        let (disk, memory) = oracle::apart()?;
        let destination = disk.path().join("destination");
        (Place::with(memory, destination), Some(disk))
    } else {
        (Place::in_memory(), None)
    };
    for (name, content) in FILES {
        match work {
            Work::Move | Work::Copy => fs::write(place.source(name), content).unwrap(),
            Work::Acknowledge => {
                fs::create_dir_all(place.destination("")).unwrap();
                fs::create_dir_all(place.path("ledger")).unwrap();
                fs::write(place.destination(&format!("{name}_has_been_processed")), content).unwrap();
                fs::write(place.path("ledger").join(FIRST_LOG), long_log()).unwrap();
            }
            Work::TakeIn => {}
        }
    }
    Some((place, disk))
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
        Work::Move | Work::Copy => Request::Move { batch: 1, orders: orders() },
        Work::Acknowledge => Request::Deleted(keys()),
        Work::TakeIn => Request::Complete { transfer: 1 },
    }
}

fn outcomes(answer: Answer) -> Vec<Outcome> {
    match answer {
        Answer::Moved { outcomes, .. } => outcomes,
        Answer::Ended { outcome, .. } => vec![outcome],
        Answer::Counted(_) => vec![Outcome::Done; FILES.len()],
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
    /// This user may not stop other processes, or there is no place for the work.
    NotAllowed,
}

/// One life, killed at stop `point` of its work; then perhaps another, killed at stop `second` of its start.
fn live(work: Work, point: usize, second: Option<usize>) -> Life {
    let what = format!("{work:?}, stop {point}, second {second:?}");
    let Some((place, _disk)) = place_of(work) else { return Life::NotAllowed };
    let running = place.start();
    let connection = dial(&place);
    prepare(&connection, work);
    let Some(stepped) = Stepped::take(running) else {
        oracle::missing("right to stop other processes (ptrace)");
        return Life::NotAllowed;
    };
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

/// What must hold at any moment: everything somewhere and, but for a copy, in exactly one place, whole, and where it was answered to be.
fn check(place: &Place, work: Work, answered: Option<&[Outcome]>, what: &str) {
    assert!(
        answered.is_none_or(|answered| answered.iter().all(|outcome| *outcome == Outcome::Done)),
        "{what}: {answered:?}"
    );
    let whole = |path: std::path::PathBuf| fs::read(path).ok();
    match work {
        Work::Move | Work::Copy | Work::Acknowledge => {
            for (name, content) in FILES {
                let here = whole(place.source(name));
                let there = whole(place.destination(&format!("{name}_has_been_processed")));
                // A copy has its name for a moment before its source goes; the next start takes the source away.
                let is_copied = work == Work::Copy && answered.is_none() && here == there;
                assert!(here.is_some() != there.is_some() || is_copied, "{what}: {name}: {here:?} {there:?}");
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
        Work::Move | Work::Copy | Work::Acknowledge => {
            let allowed = if answered.is_some() || work == Work::Acknowledge {
                &[Outcome::AlreadyDone][..]
            } else {
                &[Outcome::Done, Outcome::AlreadyDone]
            };
            let outcomes = client.carry_out(orders()).unwrap();
            assert!(outcomes.iter().all(|outcome| allowed.contains(outcome)), "{what}: {outcomes:?}");
            client.deleted(keys()).unwrap();
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
    let expected = if work == Work::TakeIn { 1 } else { FILES.len() };
    assert_eq!((count(place.path("source")), count(place.destination(""))), (0, expected), "{what}");
    assert_eq!(count(place.path("ledger")), if work == Work::Acknowledge { 2 } else { 1 }, "{what}");
    let mut done = 0;
    let summary = book::read(&place.path("ledger"), None, |record| {
        done += usize::from(matches!(record.event, Event::Done { .. }));
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
            Life::NotAllowed => return,
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
fn a_mover_killed_between_any_two_system_calls_of_a_copy_between_file_systems_loses_nothing() {
    step_through(Work::Copy, 100);
}

#[test]
fn a_mover_killed_between_any_two_system_calls_while_its_log_begins_a_new_file_forgets_nothing() {
    step_through(Work::Acknowledge, 30);
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
