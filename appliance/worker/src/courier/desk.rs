//! The courier's desk: which orders are held, and what is to be done next. No socket and no clock in here: events and the time
//! come in, actions go out.
//!
//! A message is held from its delivery until one of these:
//!
//! * its file is durably moved: deleted, and the mover is told;
//! * it cannot be carried out as it is: put back for a while, so that the queue's redrive policy counts and sets it aside;
//! * its file has not come by the end of its step of the [`Ladder`]: left to come again. Until then the mover is asked every
//!   two seconds, and its receipt is renewed for a few minutes at a time, so that after a power cut it comes back soon. A move
//!   that failed is tried once a minute.
//!
//! Times run from the moment in which a call was *sent*: the service may have counted from then.

mod calls;
mod end;
mod next;
mod tally;
mod view;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::boot::Boot;
use super::inbound::{Allowed, Fetched};
use super::ladder::{Ladder, Rules};
use crate::orders::{Asked, Object};
use crate::{Disposition, Order, OrderKey, Outcome};

pub use calls::{Action, Entry, Event, Fault, Note, Received, Trouble};
pub use tally::Tally;

/// For how long a receive asks messages to be hidden.
pub const VISIBILITY: Duration = Duration::from_secs(120);
/// For how long a receipt is renewed.
const LEASE: Duration = Duration::from_secs(300);
/// How long before its end a receipt is renewed: longer than failures hold calls back.
const MARGIN: Duration = Duration::from_secs(60);
/// How often the mover is asked again for a file that has not come.
const WATCH: Duration = Duration::from_secs(2);
/// How soon the mover is asked again for a file that it could not move: what fails is in its log each time, and synced.
const RETRY: Duration = Duration::from_secs(60);
/// How soon an object is fetched again when it could not be.
const REFETCH: Duration = Duration::from_secs(15);
/// How many messages' objects are fetched at the same time.
const FETCHES: usize = 2;
/// How often a mover that cannot work is asked whether it can.
const PROBE: Duration = Duration::from_secs(5);
/// How often one that can is asked, so that its end is noticed when there is no work.
const ALIVE: Duration = Duration::from_secs(15);
/// How long orders are kept for a mover that is not there.
const PATIENCE: Duration = Duration::from_secs(60);
/// For how long an order that cannot be carried out is hidden at most, when the queue sets such orders aside.
const ASIDE: Duration = Duration::from_secs(300);
/// How often held orders are looked through.
const TICK: Duration = Duration::from_millis(250);

/// The most orders that are held for the mover or for deletion; no receive is sent that could bring more.
pub const HELD: usize = 96;
/// The most orders that are watched for their files; further ones wait on the queue.
pub const WATCHED: usize = 1024;
/// The most bytes that these may take up: a notification can have 32 objects with long keys and versions.
pub const WATCHED_BYTES: usize = 4 << 20;
/// The most messages that one call carries.
pub const CALL: usize = 10;
/// The most receives in flight.
pub const POLLERS: usize = 3;
/// The most calls in flight that hide messages, to keep them or to give them back: a thousand messages at once would be a
/// hundred connections, and a stop would be over before they stood.
pub const HIDES: usize = 8;

/// One message that is held.
#[derive(Debug)]
struct Held {
    receipt: String,
    /// The message's own id, or its order's key.
    id: OrderKey,
    order: Option<Order>,
    objects: Vec<Object>,
    /// About how many bytes of memory it takes up.
    bytes: usize,
    /// The keys of its objects that are done.
    fetched: Vec<OrderKey>,
    receives: u32,
    /// When the receipt ends.
    deadline: Boot,
    /// When the order is left to come again.
    until: Boot,
    renewing: bool,
    /// Whether the mover has answered that its file is not there yet.
    waits: bool,
    /// For how long the last call hid it.
    seconds: u32,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// In the queue to the mover, as new or once more.
    Ready,
    /// The mover has it.
    Asked,
    /// Its objects are being fetched.
    Fetching,
    /// Its file has not come; ask again at this time.
    Watching(Boot),
    /// To be deleted.
    Doomed,
    /// To be hidden for so many seconds, and forgotten.
    Returned(u32),
    /// In a call that deletes or hides it.
    Called,
}

/// What kind of call is under way, for which messages.
#[derive(Debug)]
struct Call {
    kind: Kind,
    sent: Boot,
    slots: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At most so many messages, with a short or a long wait.
    Receive {
        most: usize,
        long: bool,
    },
    Delete,
    /// Hide and forget.
    Return,
    /// Hide and go on.
    Renew,
}

/// How the mover does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mover {
    Down { since: Boot },
    Idle,
    Busy { since: Boot },
}

/// Whether the mover can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    Unknown,
    Fit,
    /// Every order would be answered with this.
    Unfit(Outcome),
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    ladder: Ladder,
    rules: Option<Rules>,
    held: HashMap<u64, Held>,
    next_slot: u64,
    /// New orders for the mover, and those to ask for once more.
    fresh: VecDeque<u64>,
    again: VecDeque<u64>,
    /// Messages whose objects are to be fetched, and how many are.
    to_fetch: VecDeque<u64>,
    fetching: usize,
    allowed: Allowed,
    /// The batch that the mover has.
    asked: Vec<u64>,
    batch: u32,
    doomed: VecDeque<u64>,
    /// When the first of the doomed came.
    doomed_since: Boot,
    returned: VecDeque<u64>,
    /// Keys of deleted messages that the mover is to hear of.
    deleted: VecDeque<OrderKey>,
    calls: HashMap<u64, Call>,
    next_call: u64,
    mover: Mover,
    fitness: Fitness,
    /// When the mover is asked again whether it can work.
    probe_at: Boot,
    clock: bool,
    /// Since when there are no credentials, where there are none.
    without: Option<Boot>,
    pollers: usize,
    /// How many messages are asked for at once: fewer when they are large.
    most: usize,
    not_before: Boot,
    failures: u32,
    trouble: Option<Trouble>,
    next_tick: Boot,
    stopping: bool,
    parked_until: Boot,
    conflict_until: Boot,
    last_done: Boot,
    notes: Vec<Note>,
    tally: Tally,
}

impl Desk {
    /// An empty desk, without a mover and with the ladder for a queue of unknown rules.
    pub fn new(now: Boot) -> Self {
        let guess = Rules { receives: Some(5), retention: Duration::from_secs(4 * 24 * 3600) };
        Self {
            ladder: Ladder::new(&guess),
            rules: None,
            held: HashMap::new(),
            next_slot: 0,
            fresh: VecDeque::new(),
            again: VecDeque::new(),
            to_fetch: VecDeque::new(),
            fetching: 0,
            allowed: Allowed::default(),
            asked: Vec::new(),
            batch: 0,
            doomed: VecDeque::new(),
            doomed_since: now,
            returned: VecDeque::new(),
            deleted: VecDeque::new(),
            calls: HashMap::new(),
            next_call: 0,
            mover: Mover::Down { since: now },
            fitness: Fitness::Unknown,
            probe_at: now,
            clock: true,
            without: None,
            pollers: 1,
            most: CALL,
            not_before: now,
            failures: 0,
            trouble: None,
            next_tick: now,
            stopping: false,
            parked_until: Boot::default(),
            conflict_until: Boot::default(),
            last_done: Boot::default(),
            notes: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// The same, with these objects allowed to be fetched.
    pub fn allowing(self, allowed: Allowed) -> Self {
        Self { allowed, ..self }
    }

    /// Takes an event in.
    pub fn take(&mut self, now: Boot, event: Event) {
        match event {
            Event::Rules(rules) => {
                self.ladder = Ladder::new(&rules);
                self.rules = Some(rules);
            }
            Event::MoverUp => {
                self.mover = Mover::Idle;
                // It may be another one.
                (self.fitness, self.probe_at) = (Fitness::Unknown, now);
            }
            Event::MoverDown => self.lose_mover(now),
            Event::Moved { batch, outcomes } => self.moved(now, batch, &outcomes),
            Event::Noted => self.free_mover(),
            Event::Obstacle(obstacle) => {
                self.free_mover();
                self.fitness = obstacle.map_or(Fitness::Fit, Fitness::Unfit);
            }
            Event::Clock(right) => self.clock = right,
            Event::Credentials(there) => self.credentials(now, there),
            Event::Stop => self.stop(),
            Event::Fetched { slot, result } => self.fetched(now, slot, result),
            Event::Received { call, result } => self.received(now, call, result),
            Event::Called { call, result } => self.called(now, call, result),
        }
    }

    fn received(&mut self, now: Boot, call: u64, result: Result<Vec<Received>, Trouble>) {
        let Some(Call { kind: Kind::Receive { most, long }, sent, .. }) = self.calls.remove(&call) else {
            return;
        };
        let messages = match result {
            Ok(messages) => messages,
            Err(trouble) => return self.fail(now, trouble),
        };
        self.failures = 0;
        self.tally.received += messages.len() as u64;
        self.pace(now, most, long, &messages);
        for message in messages {
            self.place(now, sent, message);
        }
    }

    /// How many receives from now on, and of how many messages.
    fn pace(&mut self, now: Boot, most: usize, long: bool, messages: &[Received]) {
        let bytes: usize = messages.iter().map(|message| message.bytes).sum();
        // Bodies are as large as their sender likes. What is in flight at once is kept to a few large ones.
        self.most = match bytes / messages.len().max(1) {
            0..=16_384 => CALL,
            16_385..=131_072 => 5,
            _ => 1,
        };
        if messages.is_empty() {
            self.tally.empty += 1;
            self.pollers = if long { 1 } else { (self.pollers - 1).max(1) };
            // Three long polls a minute, and a little less.
            self.not_before = now.plus(TICK);
        } else if self.most < CALL {
            self.pollers = 1;
        } else if messages.len() >= most {
            self.pollers = (self.pollers + 1).min(POLLERS);
        }
    }

    fn place(&mut self, now: Boot, sent: Boot, message: Received) {
        let bytes = message.kept();
        let Received { receipt, receives, asked, .. } = message;
        let until = sent.plus(self.ladder.delay(receives).max(VISIBILITY));
        let deadline = sent.plus(VISIBILITY);
        let (slot, id) = (self.next_slot, message.message);
        self.next_slot += 1;
        let (order, renewing, waits, seconds, step) = (None, false, false, 0, Step::Ready);
        let (objects, fetched) = (Vec::new(), Vec::new());
        let held = Held {
            id: id.clone(),
            objects,
            bytes,
            fetched,
            receipt,
            order,
            receives,
            deadline,
            until,
            renewing,
            waits,
            seconds,
            step,
        };
        self.held.insert(slot, held);
        if self.stopping || self.paused().is_some() {
            return self.give_back(slot, 0);
        }
        match asked {
            Ok(Asked::Move(order)) => {
                if let Some(held) = self.held.get_mut(&slot) {
                    held.id = order.key.clone();
                    held.order = Some(order);
                }
                self.fresh.push_back(slot);
            }
            Ok(Asked::Nothing) => {
                self.tally.nothing += 1;
                self.doom(now, slot);
            }
            Ok(Asked::Fetch(objects)) if objects.iter().all(|object| self.allowed.allows(object)) => {
                if let Some(held) = self.held.get_mut(&slot) {
                    held.objects = objects;
                }
                self.to_fetch.push_back(slot);
            }
            Ok(Asked::Fetch(_)) => {
                self.tally.unfetched += 1;
                self.park(now, slot, Note::Unfetched { message: id, receives });
            }
            Err(poison) => {
                self.tally.poison += 1;
                self.park(now, slot, Note::Poison { message: id, receives, poison });
            }
        }
    }

    fn moved(&mut self, now: Boot, batch: u32, outcomes: &[Outcome]) {
        if !matches!(self.mover, Mover::Busy { .. })
            || batch != self.batch
            || outcomes.len() != self.asked.len()
        {
            // Not an answer to what was asked. Such a mover is left, and the orders are asked of the next one.
            return self.lose_mover(now);
        }
        self.mover = Mover::Idle;
        let asked = std::mem::take(&mut self.asked);
        for (slot, outcome) in asked.into_iter().zip(outcomes) {
            self.answered(now, slot, *outcome);
        }
    }

    fn answered(&mut self, now: Boot, slot: u64, outcome: Outcome) {
        let Some(held) = self.held.get(&slot) else { return };
        self.tally.outcomes.add(outcome);
        self.tally.last = Some(outcome);
        let disposition = outcome.disposition();
        match disposition {
            Disposition::Delete => {
                self.last_done = now;
                self.tally.done += 1;
                self.doom(now, slot);
            }
            Disposition::Later if self.stopping => self.give_back(slot, 0),
            Disposition::Later if !held.objects.is_empty() => self.watch(now, slot, REFETCH),
            Disposition::Later if outcome == Outcome::Failed => self.watch(now, slot, RETRY),
            Disposition::Later => self.watch(now, slot, WATCH),
            Disposition::Leave => {
                let (receives, message) = (held.receives, held.id.clone());
                if outcome == Outcome::Conflict {
                    self.conflict_until = now.plus(2 * ASIDE);
                }
                self.park(now, slot, Note::Left { message, receives, outcome });
            }
            Disposition::Pause => self.pause(now, slot, outcome),
        }
    }

    /// Keeps a message whose file has not come and asks for it so much `later`, or leaves it to the queue for its step when
    /// too much is kept already.
    fn watch(&mut self, now: Boot, slot: u64, later: Duration) {
        let Some(held) = self.held.get_mut(&slot) else { return };
        held.step = Step::Watching(now.plus(later));
        held.waits = true;
        let left = now.until(held.until).as_secs();
        let (count, bytes) =
            self.watched().fold((0, 0), |(count, bytes), held| (count + 1, bytes + held.bytes));
        if count > WATCHED || bytes > WATCHED_BYTES {
            self.give_back(slot, u32::try_from(left).unwrap_or(0));
        }
    }

    /// The mover cannot work at all: what it has not moved goes back, and it is asked from time to time whether it can.
    fn pause(&mut self, now: Boot, slot: u64, outcome: Outcome) {
        self.fitness = Fitness::Unfit(outcome);
        self.probe_at = now.plus(PROBE);
        self.give_back(slot, 0);
        let unasked = [std::mem::take(&mut self.fresh), std::mem::take(&mut self.to_fetch)];
        for other in unasked.into_iter().flatten() {
            self.give_back(other, 0);
        }
    }

    fn free_mover(&mut self) {
        if matches!(self.mover, Mover::Busy { .. }) {
            self.mover = Mover::Idle;
        }
    }

    fn fetched(&mut self, now: Boot, slot: u64, result: Result<Fetched, Trouble>) {
        self.fetching = self.fetching.saturating_sub(1);
        let Some(held) = self.held.get_mut(&slot).filter(|held| held.step == Step::Fetching) else { return };
        held.until = now.plus(self.ladder.delay(held.receives).max(VISIBILITY));
        match result {
            Ok((outcome, done)) => {
                held.fetched = done;
                self.answered(now, slot, outcome);
            }
            Err(Trouble::Denied) => {
                let (message, receives) = (held.id.clone(), held.receives);
                self.tally.unfetched += 1;
                self.park(now, slot, Note::Unfetched { message, receives });
            }
            Err(trouble) => {
                self.tally.trouble(trouble);
                self.notes.push(Note::Trouble(trouble));
                self.watch(now, slot, REFETCH);
            }
        }
    }

    /// There are other credentials, or none: what failed for the old ones' sake need not wait any longer.
    fn credentials(&mut self, now: Boot, there: bool) {
        if there && self.wants_credentials() {
            self.not_before = now;
        }
        self.without = if there { None } else { self.without.or(Some(now)) };
    }

    fn lose_mover(&mut self, now: Boot) {
        if self.has_mover() {
            self.mover = Mover::Down { since: now };
        }
        for slot in std::mem::take(&mut self.asked) {
            if let Some(held) = self.held.get_mut(&slot) {
                held.step = Step::Ready;
                self.fresh.push_back(slot);
            }
        }
    }

    fn fail(&mut self, now: Boot, trouble: Trouble) {
        self.tally.trouble(trouble);
        self.pollers = 1;
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(trouble);
        let longest = Duration::from_secs(30);
        let wait = Duration::from_millis(250u64 << self.failures.min(8)).min(longest);
        // Not all boxes of a fleet at once.
        let share = 3 + self.next_call.wrapping_mul(0x9e37_79b9) % 3;
        self.not_before = now.plus(wait * u32::try_from(share).unwrap_or(4) / 4);
        self.notes.push(Note::Trouble(trouble));
    }
}
