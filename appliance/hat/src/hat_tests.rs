//! The hat's thread, with a screen and a port that are only pretended.
#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use stayput_health::{Part, State, Writer};
use stayput_status::Finding;

use super::*;
use crate::{Error, Published, greeting};

const SOON: Duration = Duration::from_secs(20);

/// A screen that tells of each picture, or hangs, or is not there.
enum Pretended {
    Works(Sender<Picture>),
    Hangs(Receiver<()>),
    Missing,
}

impl Panel for Pretended {
    fn show(&mut self, picture: &Picture) -> Result<()> {
        let gone = || Error::NoAnswer { path: "/dev/i2c-0".into(), address: 0x3c };
        match self {
            Self::Works(pictures) => pictures.send(picture.clone()).map_err(|_| gone()),
            Self::Hangs(end) => end.recv().map_err(|_| gone()),
            Self::Missing => Err(gone()),
        }
    }
}

fn hat(screen: Option<Pretended>, port: PathBuf) -> (Hat, Receiver<String>) {
    let (log, lines) = channel();
    let rim = Rim {
        screen: screen.map(|screen| Box::new(screen) as Box<dyn Panel>),
        port,
        keys: Map::new(&[]),
        inputs: PathBuf::from("/nonexistent"),
        brightness: 100,
        log: Box::new(move |line| drop(log.send(line))),
    };
    (Hat::with(rim).unwrap(), lines)
}

fn verdict(code: Code) -> Verdict {
    let state = Finding { code, part: None, since: Moment::now(), detail: None };
    Verdict { state, others: Vec::new() }
}

fn unmoved(picture: &Picture, code: Code) -> bool {
    let places = (0..9).map(|step| Care::place(Duration::from_secs(120 * step)));
    places.into_iter().any(|(right, down)| picture.frame == greeting(code).moved(right, down))
}

#[test]
fn a_verdict_is_on_the_screen_and_on_the_port_and_the_same_again_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let port = home.path().join("port");
    std::fs::write(&port, "").unwrap();
    let (pictures, shown) = channel();
    let (hat, _log) = hat(Some(Pretended::Works(pictures)), port.clone());
    let said = verdict(Code::NoLink);
    hat.show(&said, &Facts::default(), []);
    let picture = shown.recv_timeout(SOON).unwrap();
    assert!(unmoved(&picture, Code::NoLink), "{:?}", picture.frame);
    hat.show(&said, &Facts::default(), []);
    hat.show(&verdict(Code::Running), &Facts::default(), []);
    assert!(unmoved(&shown.recv_timeout(SOON).unwrap(), Code::Running));
    drop(hat);
    let lines = std::fs::read_to_string(&port).unwrap();
    let published: Vec<Published> = lines.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(published.len(), 2);
    assert_eq!(published[0].frame, picture.frame);
}

#[test]
fn a_screen_that_hangs_does_not_keep_the_status_part_waiting() {
    let (_end, hanging) = channel();
    let (hat, _log) = hat(Some(Pretended::Hangs(hanging)), PathBuf::from("/nonexistent"));
    let begun = Instant::now();
    for _ in 0..100 {
        hat.show(&verdict(Code::NoLink), &Facts::default(), []);
        hat.show(&verdict(Code::Running), &Facts::default(), []);
        assert_eq!(hat.asked(), None);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(_end);
}

#[test]
fn a_screen_that_is_not_there_is_logged_once() {
    let (hat, log) = hat(Some(Pretended::Missing), PathBuf::from("/nonexistent"));
    for _ in 0..5 {
        hat.show(&verdict(Code::NoLink), &Facts::default(), []);
        hat.show(&verdict(Code::Running), &Facts::default(), []);
        std::thread::sleep(Duration::from_millis(30));
    }
    drop(hat);
    let lines: Vec<_> = log.try_iter().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_long_press_wakes_the_status_part_which_finds_what_was_asked() {
    let (hat, _log) = hat(None, PathBuf::from("/nonexistent"));
    let readable = |hat: &Hat| {
        let bell = hat.wake();
        let mut watched = [PollFd::new(&bell, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    assert!(!readable(&hat));
    for action in [Action::LampTest, Action::PowerOff] {
        hat.shared.desk().asked.push_back(action);
        ring(&hat.shared.to_status);
    }
    assert!(readable(&hat));
    assert_eq!(hat.asked(), Some(Action::LampTest));
    assert!(readable(&hat), "there is one more");
    assert_eq!((hat.asked(), hat.asked()), (Some(Action::PowerOff), None));
    assert!(!readable(&hat));
}

/// The hat without its thread, so that a test has the keys in its own hand.
fn worn(pictures: Sender<Picture>) -> Worn {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let bell = || eventfd(0, flags).unwrap();
    let shared = Arc::new(Shared { desk: Mutex::default(), to_hat: bell(), to_status: bell() });
    let mut worn = Worn::new(
        shared,
        Rim {
            screen: Some(Box::new(Pretended::Works(pictures))),
            port: PathBuf::from("/nonexistent"),
            keys: Map::new(&[]),
            inputs: PathBuf::from("/nonexistent"),
            brightness: 100,
            log: Box::new(|line| panic!("{line}")),
        },
    );
    worn.view = Some(View::of_state(Code::Running));
    worn
}

#[test]
fn a_sleeping_screen_is_dark_and_the_press_that_wakes_it_does_nothing_else() {
    let mut worn = worn(channel().0);
    let late = now() + Duration::from_secs(3600);
    let asleep = worn.picture(late).unwrap();
    assert_eq!((asleep.contrast, asleep.frame.lit_dots()), (0, 0));
    let press = |worn: &mut Worn| {
        worn.moved(Motion::Down(crate::Key::K1), late);
        worn.moved(Motion::Up(crate::Key::K1), late);
    };
    press(&mut worn);
    assert_eq!(worn.tour.page(), Page::Verdict);
    assert!(worn.picture(late).unwrap().contrast > 0);
    press(&mut worn);
    assert_eq!(worn.tour.page(), Page::Help);
}

#[test]
fn the_countdown_is_shown_while_a_key_is_held_and_gone_when_it_is_let_go() {
    let mut worn = worn(channel().0);
    let now = now();
    let plain = worn.picture(now).unwrap();
    worn.pressed(Press::Holding { left: Duration::from_secs(2) }, now);
    assert_ne!(worn.picture(now).unwrap(), plain);
    worn.pressed(Press::Spared, now);
    assert_eq!(worn.picture(now).unwrap(), plain);
    worn.pressed(Press::PowerOff, now);
    assert_eq!(worn.shared.desk().asked, [Action::PowerOff]);
}

#[test]
fn what_the_worker_says_is_taken_from_its_two_halves() {
    let home = tempfile::tempdir().unwrap();
    let report = |part, counter| {
        let mut writer = Writer::in_directory(part, home.path());
        writer.count(counter, 7);
        writer.write(State::Running, Code::Running, Moment::now()).unwrap();
        match stayput_health::read_in(home.path(), part, Moment::now()) {
            stayput_health::Reading::Fresh(report) => report,
            other => panic!("{other:?}"),
        }
    };
    let (courier, mover) = (report(Part::Courier, "waiting"), report(Part::Mover, "parked"));
    let work = Work::of([&mover, &courier]);
    assert_eq!((work.waiting, work.parked, work.last), (Some(7), Some(7), None));
}
