//! A real process with real files and real TLS, killed between every two of its system calls: while it registers, and while
//! it changes its key. Its successor goes on; at the end the region has one box, and the box knows who it is.
//!
//! Every few stops are tried, others on each run of a seed; `STAYPUT_TEST_KILLS=all` tries every one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod desk;
#[path = "../../worker/tests/process/trace.rs"]
mod trace;

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stayput_health::Code;
use stayput_identity::credentials::{self, Place};
use stayput_identity::https::Https;
use stayput_identity::plan::Wish;
use stayput_identity::store::{Shelf as _, Store};
use stayput_identity::wire::Token;
use stayput_identity::{Capsule, Error, Keeper, Key, Surroundings};
use stayput_region::simulator::{Activation, Repeat, Rule};
use stayput_region::{Plan, Region};
use tempfile::TempDir;

use desk::{KEYS, REGION, key};
use trace::{Stop, Traced};

/// Set in the process that is to be killed: the folder of its things.
const CHILD: &str = "STAYPUT_TEST_BOX";

/// Which stops are tried: `all`, or a number that is where every few begin.
const KILLS: &str = "STAYPUT_TEST_KILLS";

/// Of so many stops one is tried.
const FEW: usize = 11;

/// The box's end: the desk's clock, time that passes when it is told, and keys that were made before.
struct Here {
    folder: PathBuf,
    uptime: Rc<Cell<Duration>>,
}

impl Surroundings for Here {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Duration {
        self.uptime.get()
    }

    fn chance(&mut self) -> f64 {
        0.0
    }

    /// Another one each time, over all lives.
    fn key(&mut self) -> Result<Key, Error> {
        let texts = fs::read_to_string(self.folder.join("keys")).unwrap();
        // One byte each, so that no kill undoes an earlier draw.
        let mut drawn = File::options().create(true).append(true).open(self.folder.join("drawn")).unwrap();
        let number = usize::try_from(drawn.metadata().unwrap().len()).unwrap();
        drawn.write_all(b"x").unwrap();
        let texts: Vec<&str> = texts.lines().collect();
        Key::from_text(texts[number % texts.len()])
    }

    fn fingerprint(&mut self) -> Result<String, Error> {
        let bytes = fs::read("/proc/sys/kernel/random/uuid").unwrap();
        Ok(String::from_utf8(bytes).unwrap().trim().to_owned())
    }

    fn deliver(&mut self, token: &Token) -> Result<(), Error> {
        let folder = self.folder.join("credentials");
        credentials::write(&[Place { folder, owner: None }], token)
    }
}

/// In the child: says which thread it is, waits for a sign, and lives until it has credentials.
#[test]
fn the_box_that_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let folder = PathBuf::from(folder);
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let code = Some(text("code").parse().unwrap());
    let wish = Wish { region: REGION.to_owned(), activation: text("activation"), code };
    let region = Https::new(&text("url"), &folder.join("ca.pem"), None).unwrap();
    let uptime = Rc::new(Cell::new(Duration::ZERO));
    let around = Here { folder: folder.clone(), uptime: Rc::clone(&uptime) };
    println!("\nthread {}", rustix::thread::gettid().as_raw_nonzero());
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let mut keeper = Keeper::open(Store::new(folder.join("state")), region, around, wish, "here").unwrap();
    for _ in 0..40 {
        match keeper.step().unwrap() {
            Some(wait) if keeper.code() != Code::Running => uptime.set(uptime.get() + wait),
            _ => break,
        }
    }
    println!("end {}", keeper.code());
}

/// A box and its region.
struct Site {
    region: Region,
    folder: TempDir,
    activation: Activation,
}

fn site(repeat: Repeat) -> Site {
    let rule = Rule { repeat, ..Rule::default() };
    let region = Region::start(Plan { rule, ..Plan::on_loopback(REGION) }).unwrap();
    let activation = region.simulator().activate(9, Timestamp::now() + SignedDuration::from_hours(1));
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    let url = format!("https://localhost:{}", region.addresses().front.port());
    for (name, text) in [
        ("ca.pem", region.authority()),
        ("url", &url),
        ("code", &activation.code),
        ("activation", &activation.id),
        ("keys", &(0..KEYS).map(key).collect::<Vec<_>>().join("\n")),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    Site { region, folder, activation }
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// At its point.
    Killed,
    /// By itself, with this to show.
    Shown(String),
    /// This user may not stop other processes.
    NotAllowed,
}

impl Site {
    /// One life of the box, killed at a stop; `None` lets it live.
    fn live(&self, point: Option<usize>) -> End {
        let (mut child, mut out, thread) = begin(self.folder.path());
        let traced = point.map(|_| Traced::begin(thread));
        if matches!(traced, Some(Err(_))) {
            child.kill().unwrap();
            child.wait().unwrap();
            return End::NotAllowed;
        }
        child.stdin.take().unwrap().write_all(b"x").unwrap();
        if let (Some(point), Some(Ok(traced))) = (point, traced)
            && step(traced, point)
        {
            child.kill().unwrap();
            while traced.wait().is_ok_and(|stop| stop != Stop::Ended) {}
            let _ = child.wait();
            return End::Killed;
        }
        let mut said = String::new();
        out.read_to_string(&mut said).unwrap();
        let _ = child.wait();
        let end = said.lines().find_map(|line| line.strip_prefix("end "));
        End::Shown(end.unwrap_or_else(|| panic!("it died by itself: {said}")).to_owned())
    }

    fn capsule(&self) -> Capsule {
        Store::new(self.folder.path().join("state")).load().unwrap().unwrap()
    }

    /// The one thing that must not be: a box that is not who the region knows.
    fn check(&self, what: &str) {
        let simulator = self.region.simulator();
        assert_eq!(simulator.complaints(), Vec::<String>::new(), "{what}");
        let capsule = self.capsule();
        assert_eq!(capsule.pending, None, "{what}");
        assert!(capsule.used.contains(&self.activation.id), "{what}");
        let identity = capsule.identity.unwrap();
        let calls = self.region.recorder().exchanges();
        let calls: Vec<_> = calls.iter().map(|one| (one.stream, one.call.as_deref(), one.status)).collect();
        assert!(identity.next_key.is_none(), "{what}: {calls:?}, {:?}", simulator.tally());
        let known = simulator.instances();
        let known = known.iter().find(|known| known.id == identity.instance).unwrap();
        assert_eq!(known.fingerprint, identity.fingerprint, "{what}");
        let credentials = fs::read_to_string(self.folder.path().join("credentials/credentials")).unwrap();
        assert!(credentials.lines().count() == 4 && credentials.contains("aws_session_token = "), "{what}");
        for copy in ["capsule-1", "capsule-2"] {
            let bytes = fs::read(self.folder.path().join("state").join(copy)).unwrap();
            assert!(Capsule::parse(&bytes).is_ok(), "{what}: {copy}");
        }
    }
}

#[allow(
    clippy::zombie_processes,
    reason = "a child that ends before it begins fails the test, and all ends with that"
)]
fn begin(folder: &Path) -> (Child, BufReader<std::process::ChildStdout>, u32) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_box_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it began");
        if let Some(thread) = line.trim().strip_prefix("thread ") {
            return (child, out, thread.parse().unwrap());
        }
    }
}

/// Lets it run to a stop; `false` when it has ended before.
fn step(traced: Traced, point: usize) -> bool {
    let (mut signal, mut stops) = (0, 0);
    while stops < point {
        match traced.go_on(signal) {
            Ok(Stop::Call) => (stops, signal) = (stops + 1, 0),
            Ok(Stop::Signal(caught)) => signal = caught,
            Ok(Stop::Other) => signal = 0,
            Ok(Stop::Ended) | Err(_) => return false,
        }
    }
    true
}

/// The stops to try, and whether there is one beyond them.
fn points() -> Box<dyn Iterator<Item = usize>> {
    match std::env::var(KILLS).as_deref() {
        Ok("all") => Box::new(1..),
        Ok(number) => Box::new((1 + number.parse::<usize>().unwrap() % FEW..).step_by(FEW)),
        Err(_) => Box::new((1..).step_by(FEW)),
    }
}

/// Kills a box at each of the points; `prepare` brings it to where it is to be killed, `look` judges its successor.
fn kill_everywhere(repeat: Repeat, prepare: fn(&Site), look: fn(&Site, &str, &str)) -> usize {
    let mut kills = 0;
    for point in points() {
        let site = site(repeat);
        prepare(&site);
        let what = format!("{repeat:?}, stop {point}");
        match site.live(Some(point)) {
            End::NotAllowed => {
                eprintln!("this user may not stop other processes: nothing was tried");
                return usize::MAX;
            }
            End::Shown(shown) => {
                look(&site, &shown, &what);
                return kills;
            }
            End::Killed => kills += 1,
        }
        let End::Shown(shown) = site.live(None) else { unreachable!("nobody kills it") };
        look(&site, &shown, &what);
        // And once more: what it shows now, it shows after any restart.
        assert_eq!(site.live(None), End::Shown(shown), "{what}: after one more restart");
    }
    unreachable!("the points have no end")
}

/// The fewest stops that a registration can have.
const FEWEST: usize = 200;

#[test]
fn a_box_killed_anywhere_while_it_registers_costs_one_registration_more_at_most_and_is_one_box() {
    let kills = kill_everywhere(
        Repeat::Another,
        |_| {},
        |site, shown, what| {
            assert_eq!(shown, Code::Running.as_str(), "{what}");
            site.check(what);
            let made = site.region.simulator().instances();
            assert!((1..=2).contains(&made.len()), "{what}: {made:?}");
            assert!(
                made.iter().all(|one| one.key == made[0].key && one.fingerprint == made[0].fingerprint),
                "{what}"
            );
        },
    );
    assert!(kills >= FEWEST / FEW, "only {kills} kills");
    eprintln!("{kills} kills while registering");
}

#[test]
fn a_box_killed_anywhere_while_it_registers_with_a_region_that_knows_it_again_asks_for_a_new_activation_at_worst()
 {
    let kills = kill_everywhere(
        Repeat::Refused,
        |_| {},
        |site, shown, what| {
            assert_eq!(site.region.simulator().tally().registrations, 1, "{what}");
            match shown == Code::Running.as_str() {
                true => site.check(what),
                false => assert_eq!(shown, Code::ActivationUnclear.as_str(), "{what}"),
            }
        },
    );
    assert!(kills >= FEWEST / FEW, "only {kills} kills");
}

#[test]
fn a_box_killed_anywhere_while_it_changes_its_key_never_loses_the_one_that_the_region_knows() {
    let prepare = |site: &Site| {
        assert_eq!(site.live(None), End::Shown(Code::Running.to_string()));
        let simulator = site.region.simulator();
        simulator.ask_for_key(&simulator.instances()[0].id);
    };
    let kills = kill_everywhere(Repeat::Another, prepare, |site, shown, what| {
        assert_eq!(shown, Code::Running.as_str(), "{what}");
        site.check(what);
        let tally = site.region.simulator().tally();
        assert_eq!((tally.registrations, tally.keys), (1, 1), "{what}");
        assert!(site.capsule().identity.unwrap().key != key(0), "{what}: it is another key");
    });
    assert!(kills >= FEWEST / FEW, "only {kills} kills");
    eprintln!("{kills} kills while changing keys");
}
