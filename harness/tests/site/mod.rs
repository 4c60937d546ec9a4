//! A box at work, from outside: what is put before it, what becomes of that, and what it says meanwhile.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use stayput_desk::{Depth, Desk, Plan, Worker};
use stayput_harness::{Error, Machine};
use stayput_health::Code;

use crate::stage;

/// The tests' own result: a desk has more that can fail than a machine.
pub type Result<T> = std::result::Result<T, stayput_desk::Error>;

/// What every test waits for at most: a batch of a thousand on an emulated processor.
pub const LONG: Duration = Duration::from_secs(600);

const SOURCE: &str = "/data/source";
const DESTINATION: &str = "/data/destination";
/// The bucket from which the box takes what comes in.
pub const BUCKET: &str = "inbound-files";

/// What tests share around a box.
pub trait Start: Sized {
    /// Makes it, the box included.
    fn start() -> Result<Self>;

    /// The box.
    fn site(&mut self) -> &mut Site;
}

impl Start for Site {
    fn start() -> Result<Self> {
        Self::open(|_| {})
    }

    fn site(&mut self) -> &mut Site {
        self
    }
}

/// A box that works, once somebody needs it; a new one after a test has failed.
pub struct Shared<T = Site>(Option<T>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Start> Shared<T> {
    /// Runs a test on the box. One that fails takes the box away with it.
    pub fn run(&mut self, test: fn(&mut T) -> Result<()>) -> stayput_harness::Result<()> {
        let mut shared = match self.0.take() {
            Some(shared) => shared,
            None => T::start().map_err(told)?,
        };
        telling(&mut shared, |shared| shared.site(), test).map_err(told)?;
        self.0 = Some(shared);
        Ok(())
    }
}

/// Does something to a box. If it fails, what there is to be seen of the box is shown.
fn telling<T>(
    shared: &mut T,
    site: fn(&mut T) -> &mut Site,
    work: impl FnOnce(&mut T) -> Result<()>,
) -> Result<()> {
    let ended = catch_unwind(AssertUnwindSafe(|| work(shared)));
    if !matches!(ended, Ok(Ok(()))) {
        site(shared).tell();
    }
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

fn told(error: stayput_desk::Error) -> Error {
    match error {
        stayput_desk::Error::Machine(error) => error,
        other => Error::OnTheBox(other.to_string()),
    }
}

/// A box at work.
pub struct Site {
    pub desk: Desk,
    /// Every file that was put before the box, by its name.
    files: BTreeMap<String, Vec<u8>>,
    /// Results that stood in the way, and stay.
    taken: BTreeSet<String>,
    /// What came in from the store, by its name.
    brought: BTreeMap<String, Vec<u8>>,
    /// What was put behind processed files' names so far; the last of them still is.
    suffixes: Vec<String>,
    /// From power on to the first file processed.
    pub first: Duration,
}

/// The file that every new box gets first.
pub const FIRST: &str = "first.csv";

impl Site {
    /// Flashes a card, switches the box on, and waits until it has processed its first file.
    pub fn open(change: impl FnOnce(&mut Plan)) -> Result<Self> {
        let place =
            std::env::var_os("STAYPUT_SCRATCH").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let mut plan = Plan {
            options: stage::virt(),
            layout: stage::partition::layout(),
            emulator: stage::input("STAYPUT_MINISTACK").into(),
            door: None,
            worker: Worker { suffix: None, buckets: vec![BUCKET.to_owned()] },
            folder: place.join("stayput-desk"),
        };
        // So that a test that fails can show its screen.
        plan.options.hat = true;
        change(&mut plan);
        let suffix = plan.worker.suffix.clone().unwrap_or_else(|| "_has_been_processed".to_owned());
        let began = Instant::now();
        let mut site = Self {
            desk: Desk::start(plan)?,
            files: BTreeMap::new(),
            taken: BTreeSet::new(),
            brought: BTreeMap::new(),
            suffixes: vec![suffix],
            first: Duration::ZERO,
        };
        telling(&mut site, |site| site, |site| site.await_first(began))?;
        Ok(site)
    }

    fn await_first(&mut self, began: Instant) -> Result<()> {
        self.order([FIRST])?;
        let machine = self.desk.machine();
        let deadline = machine.deadline(LONG);
        let probe = machine.probe()?;
        let ready = deadline.poll(|| Ok::<_, Error>(probe.exists(SOURCE)?.then_some(())))?;
        assert!(ready.is_some(), "the box made no {SOURCE}");
        self.put(FIRST)?;
        self.until("the first file is processed", |site| Ok(site.moved()?.contains(FIRST)))?;
        self.first = began.elapsed();
        Ok(())
    }

    /// Puts a file into the source folder.
    pub fn put(&mut self, name: &str) -> Result<()> {
        self.put_all([(name.to_owned(), content(name))])
    }

    /// Puts files there, each with a content of its own.
    pub fn put_all(&mut self, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<()> {
        let files: Vec<_> = files.into_iter().collect();
        let borrowed = files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
        self.desk.machine().probe()?.create_all(SOURCE, borrowed)?;
        self.files.extend(files);
        Ok(())
    }

    /// Says that somebody else puts a file there.
    pub fn expect(&mut self, name: &str, content: Vec<u8>) {
        self.files.insert(name.to_owned(), content);
    }

    /// Sends orders.
    pub fn order<T: AsRef<str>>(&mut self, bodies: impl IntoIterator<Item = T>) -> Result<()> {
        self.desk.open()?.send(bodies)
    }

    /// The names of the files that were processed.
    pub fn moved(&mut self) -> Result<BTreeSet<String>> {
        let names = self.names(DESTINATION)?;
        Ok(names.iter().filter_map(|name| self.ordered(name)).map(str::to_owned).collect())
    }

    /// The name of the file that this is the result of.
    fn ordered<'a>(&self, result: &'a str) -> Option<&'a str> {
        self.suffixes.iter().find_map(|suffix| result.strip_suffix(suffix.as_str()))
    }

    /// The names of the results, as they are.
    pub fn results(&mut self) -> Result<Vec<String>> {
        self.names(DESTINATION)
    }

    /// Says that the store has sent a file.
    pub fn await_inbound(&mut self, name: &str, content: Vec<u8>) {
        self.brought.insert(name.to_owned(), content);
    }

    /// Puts something else behind the names of processed files, on the card of a box that is off.
    pub fn change_suffix(&mut self, suffix: &str) -> Result<()> {
        self.desk.settings().worker.suffix = Some(suffix.to_owned());
        self.suffixes.push(suffix.to_owned());
        self.desk.settle()
    }

    fn names(&mut self, folder: &str) -> Result<Vec<String>> {
        let entries = self.desk.machine().probe()?.list(folder)?;
        Ok(entries.into_iter().map(|entry| entry.name).filter(|name| !name.starts_with('.')).collect())
    }

    /// How many messages the queue has.
    pub fn depth(&mut self) -> Result<Depth> {
        self.desk.open()?.depth()
    }

    /// Waits until all of these are processed and no order is left.
    pub fn until_done(&mut self, names: &[String]) -> Result<()> {
        self.until("every order is done", |site| {
            let moved = site.moved()?;
            Ok(names.iter().all(|name| moved.contains(name)) && site.depth()? == Depth::EMPTY)
        })
    }

    /// Waits for something.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let deadline = self.desk.machine().deadline(LONG);
        let done = deadline.poll(|| match is_so(self) {
            Ok(so) => Ok(so.then_some(())),
            // While it restarts, nobody answers.
            Err(error) => Err(error),
        })?;
        if done.is_none() {
            let (moved, depth, verdict) = (self.moved()?.len(), self.depth()?, self.verdict()?);
            let seen = format!(
                "{moved} of {} files are processed, {depth:?}, the verdict is {verdict}",
                self.files.len()
            );
            return Err(Error::Late { what: what.to_owned(), allowed: deadline.allowed, seen }.into());
        }
        Ok(())
    }

    /// What the box is, as a code, by its own word.
    pub fn verdict(&mut self) -> Result<String> {
        let path = "/run/stayput/status/verdict.json";
        let probe = self.desk.machine().probe()?;
        if !probe.exists(path)? {
            return Ok(String::new());
        }
        let json: serde_json::Value = serde_json::from_slice(&probe.read(path)?).unwrap();
        Ok(json["state"]["code"].as_str().unwrap_or_default().to_owned())
    }

    /// How often the box has called so.
    pub fn calls(&self, call: &str) -> usize {
        let exchanges = self.desk.region().recorder().exchanges();
        exchanges.iter().filter(|exchange| exchange.call.as_deref() == Some(call)).count()
    }

    /// Asserts that the box is the instance that it became at its first start, and no other.
    pub fn assert_same_instance(&self) {
        let tally = self.desk.region().simulator().tally();
        assert_eq!((tally.registrations, tally.instances), (1, 1), "the box has registered again: {tally:?}");
    }

    /// Waits until the box says this of itself.
    pub fn until_shown(&mut self, code: Code) -> Result<()> {
        let wanted = code.to_string();
        self.until(&format!("the box says {code}"), |site| Ok(site.verdict()? == wanted))
    }

    /// The invariant: every file is in exactly one place, whole; none came from nowhere.
    pub fn check(&mut self) -> Result<()> {
        let mut here = self.desk.machine().probe()?.read_all(SOURCE)?;
        here.retain(|name, _| !name.starts_with('.'));
        let mut there = self.desk.machine().probe()?.read_all(DESTINATION)?;
        there.retain(|name, _| !name.starts_with('.'));
        let mut moved = BTreeMap::new();
        for (result, content) in &there {
            if let Some(sent) = self.brought.get(result) {
                assert!(content == sent, "{result} is not what was sent");
                continue;
            }
            let name = self.ordered(result).unwrap_or_else(|| panic!("{result} has no suffix"));
            if !self.taken.contains(name) {
                let before = moved.insert(name.to_owned(), content);
                assert_eq!(before, None, "{name} has two results");
            }
        }
        for name in self.brought.keys() {
            assert!(there.contains_key(name), "{name} came, and is gone");
        }
        for (name, content) in &self.files {
            let found = match (here.get(name), moved.get(name)) {
                (Some(found), None) => found,
                (None, Some(found)) => *found,
                (both, _) => {
                    panic!("{name} is in {}", if both.is_some() { "both places" } else { "no place" })
                }
            };
            assert!(found == content, "{name} has changed");
        }
        assert_eq!(
            here.len() + moved.len(),
            self.files.len(),
            "a file came from nowhere: {:?}, {:?}",
            here.keys(),
            moved.keys()
        );
        let complaints = self.desk.region().simulator().complaints();
        assert!(complaints.is_empty(), "the region complains: {complaints:?}");
        Ok(())
    }

    /// Puts a taken destination before an order of this name.
    pub fn take(&mut self, name: &str) -> Result<()> {
        let suffix = self.suffixes.last().map(String::as_str).unwrap_or_default();
        let path = format!("{DESTINATION}/{name}{suffix}");
        self.taken.insert(name.to_owned());
        Ok(self.desk.machine().probe()?.create(&path, b"was here before")?)
    }

    /// The started box.
    pub fn machine(&mut self) -> &mut Machine {
        self.desk.machine()
    }

    /// What a person would look at: console, journal, region, screen.
    fn tell(&mut self) {
        let exchanges = self.desk.region().recorder().exchanges();
        let from = exchanges.len().saturating_sub(25);
        eprintln!("== the region's last calls");
        for exchange in &exchanges[from..] {
            eprintln!("{} {} {:?} {:?}", exchange.at, exchange.host, exchange.call, exchange.status);
        }
        eprintln!("== the console's last lines\n{}", self.desk.machine().console().last(30).join("\n"));
        let journal =
            ["journalctl", "--no-pager", "--lines=60", "--output=short-monotonic", "--unit=stayput-*"];
        let journal = self.desk.machine().probe().and_then(|probe| probe.output(&journal));
        eprintln!("== the journal\n{}", journal.unwrap_or_else(|error| error.to_string()));
        if let Some(screen) = self.desk.machine().screen().now() {
            eprintln!("== the screen\n{:?}", screen.frame);
        }
    }
}

/// What is in a file of this name.
pub fn content(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(1 + name.len() * 7 % 3000).collect()
}
