//! The daemon turned by hand: a clock of our own, health files, and a LED class made of plain files.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::fs;
use std::path::{Path, PathBuf};

use stayput_health::board::LedRole;
use stayput_health::{Code, Moment, Part, State, Writer};
use stayput_lights::daemon::{Daemon, Places};
use stayput_lights::light::{Class, Driver, Panel};
use stayput_lights::verdict::Document;
use stayput_lights::wiring::{Via, Wire};
use stayput_status::row;

/// A box in a folder.
struct Bench {
    root: tempfile::TempDir,
    places: Places,
    writers: Vec<Writer>,
}

const LIGHTS: [(&str, LedRole); 3] =
    [("green", LedRole::Ok), ("yellow", LedRole::Busy), ("red", LedRole::Fault)];

fn at(ms: u64) -> Moment {
    Moment { unix: 1_795_000_000, boot_ms: ms }
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["health", "ask", "own", "class"] {
            fs::create_dir(at(folder)).unwrap();
        }
        for (name, _) in LIGHTS {
            let light = at("class").join(name);
            fs::create_dir(&light).unwrap();
            let files = [("trigger", "[pattern]"), ("max_brightness", "1"), ("pattern", ""), ("repeat", "")];
            for (file, content) in files {
                fs::write(light.join(file), content).unwrap();
            }
        }
        let places =
            Places { health: at("health"), ask: at("ask"), own: at("own"), verdict: at("own/verdict.json") };
        Self { root, places, writers: Vec::new() }
    }

    fn class(&self) -> PathBuf {
        self.root.path().join("class")
    }

    fn daemon(&self, now: u64) -> Daemon {
        let wire = |(name, role): (&str, LedRole)| Wire { name: name.to_owned(), role, via: Via::Class };
        let class = self.class();
        let open = move |wire: &Wire| Ok(Box::new(Class::open(&class, &wire.name)?) as Box<dyn Driver>);
        let panel = Panel::new(LIGHTS.map(wire).to_vec(), Box::new(open));
        Daemon::new(self.places.clone(), panel, None, at(now))
    }

    fn say(&mut self, part: Part, state: State, code: Code, now: u64) {
        let known = self.writers.iter().position(|writer| writer.path().ends_with(part.file_name()));
        let index = known.unwrap_or_else(|| {
            self.writers.push(Writer::in_directory(part, &self.places.health));
            self.writers.len() - 1
        });
        self.writers[index].write(state, code, at(now)).unwrap();
    }

    fn verdict(&self) -> Code {
        Document::read(&self.places.verdict).unwrap().state.code
    }

    /// Asserts that verdict and lights say `code`.
    fn assert_shows(&self, code: Code) {
        assert_eq!(self.verdict(), code);
        for (name, role) in LIGHTS {
            let program = row(code).program(role).unwrap();
            let played = fs::read_to_string(self.class().join(name).join("pattern")).unwrap();
            if program.is_dark() {
                assert!(!played.contains('1') || played == "0 100 0 100", "{code} {name}: {played}");
            } else {
                assert_eq!(played, program.to_kernel_pattern(1), "{code} {name}");
            }
        }
    }
}

/// Turns from `from` to `to` as the daemon itself would after some news at `from`; how often it wakes.
fn turn(daemon: &mut Daemon, from: u64, to: u64) -> usize {
    let (mut now, mut turns) = (from, 0);
    while now <= to {
        let next = if turns == 0 { daemon.turn(at(now)) } else { daemon.tick(at(now)) };
        turns += 1;
        assert!(next > now, "it would turn at {now} for ever");
        now = next;
    }
    turns
}

#[test]
fn at_power_on_the_lamps_are_tried_for_two_seconds_and_then_the_box_is_shown() {
    let mut it = Bench::new();
    it.say(Part::Init, State::Done, Code::Running, 5_000);
    let mut daemon = it.daemon(130_000);
    daemon.turn(at(130_000));
    it.assert_shows(Code::LampTest);
    turn(&mut daemon, 130_000, 132_500);
    it.assert_shows(Code::Running);
}

#[test]
fn a_status_part_that_was_killed_says_so_when_it_is_back_and_calms_down() {
    let mut it = Bench::new();
    it.say(Part::Init, State::Done, Code::Running, 5_000);
    let mut daemon = it.daemon(130_000);
    turn(&mut daemon, 130_000, 160_000);
    // Dropped without an end: that is what a kill is.
    drop(daemon);
    let mut daemon = it.daemon(161_000);
    daemon.turn(at(161_000));
    it.assert_shows(Code::PartDead);
    turn(&mut daemon, 161_000, 185_000);
    it.assert_shows(Code::Running);
}

#[test]
fn a_part_that_falls_silent_is_dead_when_its_time_is_over_and_not_a_turn_later() {
    let mut it = Bench::new();
    it.say(Part::Mover, State::Running, Code::Running, 200_000);
    let mut daemon = it.daemon(200_000);
    turn(&mut daemon, 200_000, 259_900);
    it.assert_shows(Code::Running);
    turn(&mut daemon, 259_901, 260_100);
    it.assert_shows(Code::PartDead);
    it.say(Part::Mover, State::Running, Code::Running, 261_000);
    turn(&mut daemon, 261_000, 275_000);
    it.assert_shows(Code::Running);
}

#[test]
fn a_fault_shows_in_the_turn_in_which_it_is_said_and_stays_for_its_hold() {
    let mut it = Bench::new();
    it.say(Part::Setup, State::Done, Code::Running, 200_000);
    let mut daemon = it.daemon(200_000);
    turn(&mut daemon, 200_000, 300_000);
    it.say(Part::Setup, State::Failed, Code::NoLink, 300_500);
    daemon.turn(at(300_500));
    it.assert_shows(Code::NoLink);
    // True for a minute, so the hold begins when it ends.
    turn(&mut daemon, 300_600, 360_000);
    it.say(Part::Setup, State::Done, Code::Running, 360_500);
    turn(&mut daemon, 360_500, 370_400);
    it.assert_shows(Code::NoLink);
    turn(&mut daemon, 370_401, 374_000);
    it.assert_shows(Code::Running);
}

#[test]
fn a_box_that_is_well_is_looked_at_less_than_twenty_times_a_minute() {
    let mut it = Bench::new();
    it.say(Part::Init, State::Done, Code::Running, 5_000);
    let mut daemon = it.daemon(200_000);
    turn(&mut daemon, 200_000, 230_000);
    let turns = turn(&mut daemon, 230_001, 830_000);
    assert!(turns < 200, "{turns} turns in ten minutes");
}

#[test]
fn a_wake_for_the_lights_alone_arms_them_and_touches_nothing_else() {
    let mut it = Bench::new();
    it.say(Part::Init, State::Done, Code::Running, 5_000);
    let mut daemon = it.daemon(200_000);
    turn(&mut daemon, 200_000, 260_000);
    let own = it.places.health.join(Part::Status.file_name());
    let repeat = it.class().join("green/repeat");
    let (mut now, mut alone, mut both) = (daemon.turn(at(260_001)), 0, 0);
    while now < 400_000 {
        fs::write(&own, "").unwrap();
        fs::write(&repeat, "").unwrap();
        now = daemon.tick(at(now));
        let armed = !fs::read(&repeat).unwrap().is_empty();
        match (armed, fs::read(&own).unwrap().is_empty()) {
            (true, true) => alone += 1,
            (true, false) => both += 1,
            other => panic!("woken at {now} for {other:?}"),
        }
    }
    assert!(alone >= 5 && both >= 5, "{alone} times for the lights alone, {both} times for all");
    // The daemon is rung for news; a wake for the lights does not look for any.
    fs::write(&own, "").unwrap();
    while fs::read(&own).unwrap().is_empty() {
        now = daemon.tick(at(now));
    }
    it.say(Part::Setup, State::Failed, Code::NoLink, now);
    let next = daemon.tick(at(now));
    it.assert_shows(Code::Running);
    daemon.turn(at(next));
    it.assert_shows(Code::NoLink);
}

#[test]
fn a_box_without_any_light_turns_as_calmly() {
    let mut it = Bench::new();
    it.say(Part::Init, State::Done, Code::Running, 5_000);
    fs::remove_dir_all(it.class()).unwrap();
    let mut daemon = it.daemon(200_000);
    let turns = turn(&mut daemon, 200_000, 800_000);
    assert!(turns < 200, "{turns} turns in ten minutes");
    assert_eq!(it.verdict(), Code::Running);
}

#[test]
fn requests_are_answered_and_the_worst_waits_behind_them() {
    let mut it = Bench::new();
    it.say(Part::Setup, State::Failed, Code::NoLink, 200_000);
    let mut daemon = it.daemon(200_000);
    turn(&mut daemon, 200_000, 210_000);
    fs::write(it.places.ask.join("locate"), "").unwrap();
    daemon.turn(at(210_100));
    it.assert_shows(Code::Locate);
    turn(&mut daemon, 210_101, 270_200);
    it.assert_shows(Code::NoLink);
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_verdict_and_not_the_lights() {
    let mut it = Bench::new();
    it.say(Part::Setup, State::Failed, Code::NoLink, 200_000);
    let mut daemon = it.daemon(200_000);
    fs::remove_dir_all(&it.places.own).unwrap();
    turn(&mut daemon, 200_000, 210_000);
    let red = fs::read_to_string(it.class().join("red/pattern")).unwrap();
    assert_eq!(red, row(Code::NoLink).program(LedRole::Fault).unwrap().to_kernel_pattern(1));
    assert!(!Path::new(&it.places.verdict).exists());
}

#[test]
fn told_to_end_it_leaves_the_lights_dark_or_where_the_system_goes_down_in_that_rhythm() {
    for (word, code) in [(false, Code::StatusDark), (true, Code::ShuttingDown)] {
        let mut it = Bench::new();
        it.say(Part::Init, State::Done, Code::Running, 5_000);
        let mut daemon = it.daemon(130_000);
        turn(&mut daemon, 130_000, 140_000);
        if word {
            fs::write(it.places.leaving(), "").unwrap();
        }
        let (stop, mut signal) = std::os::unix::net::UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut signal, &[1]).unwrap();
        daemon.run(&stop).unwrap();
        for (name, role) in LIGHTS {
            let left = fs::read_to_string(it.class().join(name).join("pattern")).unwrap();
            let program = row(code).program(role).unwrap();
            if program.is_dark() {
                assert!(!left.contains('1') || left == "0 100 0 100", "{code} {name}: {left}");
            } else {
                assert_eq!(left, program.to_kernel_pattern(1), "{code} {name}");
            }
        }
    }
}
