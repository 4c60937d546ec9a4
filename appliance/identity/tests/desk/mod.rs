//! The real capsule on a real folder, the stand-in region in memory, and clocks that a test moves.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use stayput_health::Code;
use stayput_identity::plan::Wish;
use stayput_identity::region::{Obstacle, Region, Reply, Request, Sent};
use stayput_identity::store::{Shelf as _, Store};
use stayput_identity::wire::{CONTENT_TYPE, Token};
use stayput_identity::{Capsule, Error, Keeper, Key, Surroundings};
use stayput_region::fault::Outcome;
use stayput_region::service::serve;
use stayput_region::simulator::{Activation, Rule};
use stayput_region::{Clock, Fault, Script, Simulator, http};
use tempfile::TempDir;

pub const REGION: &str = "eu-central-1";
pub const HOST: &str = "ssm.eu-central-1.amazonaws.com";

/// So many keys there are.
pub const KEYS: usize = 4;

/// A key, made when it is first wanted: each takes a good part of a second.
pub fn key(number: usize) -> &'static str {
    static MADE: [OnceLock<String>; KEYS] = [const { OnceLock::new() }; KEYS];
    MADE[number % KEYS].get_or_init(|| Key::generate().unwrap().to_text().to_owned())
}

/// Everything outside the keeper.
pub struct Desk {
    pub card: TempDir,
    pub simulator: Simulator,
    pub script: Script,
    /// The region's.
    pub clock: Clock,
    pub activation: Activation,
    around: Rc<Around>,
}

/// What a box has around it.
#[derive(Debug)]
struct Around {
    clock: Clock,
    uptime: Cell<Duration>,
    drawn: Cell<usize>,
    delivered: RefCell<Vec<Token>>,
}

/// A region with one activation for `boxes` boxes, and a card without an identity.
pub fn desk(boxes: u32, rule: Rule) -> Desk {
    let start = Timestamp::from_second(1_795_000_000).unwrap();
    let (clock, own) = (Clock::standing_at(start), Clock::standing_at(start));
    let simulator = Simulator::new(REGION, rule, 3);
    let activation = simulator.activate(boxes, start + SignedDuration::from_hours(24));
    let around =
        Around { clock: own, uptime: Cell::default(), drawn: Cell::default(), delivered: RefCell::default() };
    let card = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    Desk { card, simulator, script: Script::default(), clock, activation, around: Rc::new(around) }
}

pub type TestKeeper = Keeper<Store, Near, Here>;

impl Desk {
    pub fn wish(&self) -> Wish {
        let code = Some(self.activation.code.parse().unwrap());
        Wish { region: REGION.to_owned(), activation: self.activation.id.clone(), code }
    }

    /// A box that has just started.
    pub fn keeper(&self) -> TestKeeper {
        self.keeper_for(self.wish())
    }

    pub fn keeper_for(&self, wish: Wish) -> TestKeeper {
        self.keeper_on("here", wish)
    }

    pub fn keeper_on(&self, board: &str, wish: Wish) -> TestKeeper {
        let near = Near {
            simulator: self.simulator.clone(),
            script: self.script.clone(),
            clock: self.clock.clone(),
        };
        Keeper::open(Store::new(self.card.path()), near, Here(Rc::clone(&self.around)), wish, board).unwrap()
    }

    /// Lets time pass, for the box and for the region.
    pub fn pass(&self, time: Duration) {
        let signed = SignedDuration::try_from(time).unwrap();
        self.clock.advance(signed);
        self.around.clock.advance(signed);
        self.around.uptime.set(self.around.uptime.get() + time);
    }

    /// Sets how far the box's clock is ahead.
    pub fn skew_box(&self, ahead: SignedDuration) {
        self.around.clock.skew(ahead);
    }

    /// The box's clock.
    pub fn now(&self) -> Timestamp {
        self.around.clock.now()
    }

    pub fn uptime(&self) -> Duration {
        self.around.uptime.get()
    }

    /// Steps until credentials are out or nothing more is due, for sixty steps at most; time passes as it must.
    pub fn settle(&self, keeper: &mut TestKeeper) -> Code {
        for _ in 0..60 {
            match keeper.step().unwrap() {
                Some(wait) if keeper.code() != Code::Running => self.pass(wait),
                _ => break,
            }
        }
        keeper.code()
    }

    /// A box that has registered and runs.
    pub fn running(&self) -> TestKeeper {
        let mut keeper = self.keeper();
        assert_eq!(self.settle(&mut keeper), Code::Running);
        keeper
    }

    pub fn capsule(&self) -> Capsule {
        Store::new(self.card.path()).load().unwrap().unwrap()
    }

    /// The instance that the box believes to be.
    pub fn instance(&self) -> String {
        self.capsule().identity.unwrap().instance
    }

    /// When the credentials end that were handed out last.
    pub fn expires(&self) -> Timestamp {
        self.around.delivered.borrow().last().map_or(Timestamp::MIN, |token| token.expires)
    }

    pub fn delivered(&self) -> usize {
        self.around.delivered.borrow().len()
    }

    /// What must hold after anything at all: no request was out of form, and who the box is, the region knows.
    pub fn check(&self, what: &str) {
        assert_eq!(self.simulator.complaints(), Vec::<String>::new(), "{what}");
        if let Some(identity) =
            Store::new(self.card.path()).load().unwrap().and_then(|capsule| capsule.identity)
        {
            let known = self.simulator.instances();
            let known = known.iter().find(|instance| instance.id == identity.instance);
            assert_eq!(known.map(|known| &known.fingerprint), Some(&identity.fingerprint), "{what}");
        }
    }
}

/// The region's end, without a network.
#[derive(Debug)]
pub struct Near {
    simulator: Simulator,
    script: Script,
    clock: Clock,
}

impl Region for Near {
    fn host(&self) -> &str {
        HOST
    }

    fn reach(&mut self) -> Result<(), Obstacle> {
        Ok(())
    }

    fn send(&mut self, request: &Request) -> Sent {
        let own = [("Host", HOST), ("Content-Type", CONTENT_TYPE), ("X-Amz-Target", request.call.target())];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let more = request.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let request = http::Request {
            method: "POST".to_owned(),
            target: "/".to_owned(),
            headers: own.into_iter().chain(more).collect(),
            body: request.body.clone(),
        };
        let served = serve(&self.simulator, &self.script, &request, self.clock.now());
        let Outcome::Reply(reply) = served.outcome else { return Sent::Unanswered(Obstacle::Connection) };
        let date = reply.headers.iter().find(|(name, _)| name == "Date").map(|(_, value)| value.as_str());
        let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        assert!(date.is_some(), "every reply has a date");
        Sent::Answered(Reply { status: reply.status, date, body: reply.body })
    }
}

/// The box's end.
#[derive(Debug)]
pub struct Here(Rc<Around>);

impl Surroundings for Here {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn uptime(&self) -> Duration {
        self.0.uptime.get()
    }

    fn chance(&mut self) -> f64 {
        0.5
    }

    fn key(&mut self) -> Result<Key, Error> {
        let drawn = self.0.drawn.replace(self.0.drawn.get() + 1);
        Key::from_text(key(drawn))
    }

    fn fingerprint(&mut self) -> Result<String, Error> {
        Ok(format!("0c1d2e3f-4a5b-4c6d-8e7f-{:012}", self.0.drawn.get()))
    }

    fn deliver(&mut self, token: &Token) -> Result<(), Error> {
        self.0.delivered.borrow_mut().push(token.clone());
        Ok(())
    }
}

/// Whether a fault leaves the client without an answer that it can read.
pub fn leaves_no_answer(fault: &Fault) -> bool {
    matches!(fault, Fault::LostBefore | Fault::LostAfter | Fault::Torn | Fault::Reset | Fault::Garbled)
}
