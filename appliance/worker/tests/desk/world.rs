//! The world around a desk: a made-up queue, mover and clock, and calls that fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stayput_worker::courier::desk::{
    Action, Desk, Entry, Event, Fault, HELD, HIDES, Note, POLLERS, Received, Trouble, VISIBILITY, WATCHED,
};
use stayput_worker::courier::{Allowed, Boot, Rules};
use stayput_worker::orders::Asked;
use stayput_worker::{OrderKey, Outcome};

/// A message on the made-up queue.
#[derive(Debug, Clone)]
pub struct Message {
    pub body: String,
    pub visible: u64,
    pub receives: u32,
    pub receipt: u64,
}

/// The world around a desk. Time is in milliseconds.
pub struct World {
    pub now: u64,
    pub desk: Desk,
    pub queue: BTreeMap<u64, Message>,
    next: u64,
    /// Answers on their way: when, and what.
    answers: Vec<(u64, Event)>,
    /// What the mover answers for a name; anything else is `Waiting`.
    pub outcomes: BTreeMap<String, Outcome>,
    pub mover: bool,
    /// How long it takes for a batch.
    pub move_time: u64,
    /// Whether its next answer is to something else.
    pub garbles: bool,
    pub paused: Option<Outcome>,
    /// What goes wrong with calls: every n-th one fails.
    pub every: u64,
    /// What a receive that fails meets.
    pub trouble: Trouble,
    pub deleted: BTreeSet<u64>,
    pub asked: Vec<(u64, String)>,
    pub receives: Vec<u64>,
    /// When calls were made that hide messages.
    pub hides: Vec<u64>,
    /// Those that are not answered yet.
    hiding: BTreeSet<u64>,
    flying: usize,
    calls: u64,
    pub acknowledged: usize,
    pub fetches: Vec<(u64, usize)>,
    /// What every fetch meets instead of its object, and how long any takes.
    pub store: Option<Trouble>,
    pub fetch_time: u64,
    /// The keys of the objects that were fetched.
    fetched: BTreeSet<String>,
    pub notes: Vec<Note>,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            now: 1_000,
            desk: Desk::new(Boot::at(1_000)).allowing(Allowed::read("inbox/in/").unwrap()),
            queue: BTreeMap::new(),
            next: 0,
            answers: Vec::new(),
            outcomes: BTreeMap::new(),
            mover: false,
            move_time: 2,
            garbles: false,
            paused: None,
            every: u64::MAX,
            trouble: Trouble::Service,
            deleted: BTreeSet::new(),
            asked: Vec::new(),
            receives: Vec::new(),
            hides: Vec::new(),
            hiding: BTreeSet::new(),
            flying: 0,
            calls: 0,
            acknowledged: 0,
            fetches: Vec::new(),
            store: None,
            // Longer than a receipt holds by itself.
            fetch_time: 400_000,
            fetched: BTreeSet::new(),
            notes: Vec::new(),
        };
        world.rules(5, 4);
        world.start_mover();
        world
    }

    pub fn rules(&mut self, receives: u32, days: u64) {
        let rules = Rules { receives: Some(receives), retention: Duration::from_secs(days * 24 * 3600) };
        self.take(Event::Rules(rules));
    }

    pub fn start_mover(&mut self) {
        self.mover = true;
        self.take(Event::MoverUp);
    }

    /// The mover dies, and with it what it was asked.
    pub fn stop_mover(&mut self) {
        self.mover = false;
        let is_movers =
            |event: &Event| matches!(event, Event::Moved { .. } | Event::Noted | Event::Obstacle(_));
        self.answers.retain(|(_, event)| !is_movers(event));
        for (_, event) in &mut self.answers {
            if let Event::Fetched { result, .. } = event {
                *result = Ok((Outcome::Incomplete, Vec::new()));
            }
        }
        self.take(Event::MoverDown);
    }

    pub fn take(&mut self, event: Event) {
        self.desk.take(Boot::at(self.now), event);
    }

    pub fn send(&mut self, body: &str) -> u64 {
        self.next += 1;
        let message = Message { body: body.to_owned(), visible: 0, receives: 0, receipt: 0 };
        self.queue.insert(self.next, message);
        self.next
    }

    pub fn send_done(&mut self, count: usize) {
        for number in 0..count {
            let name = format!("f{number}");
            self.send(&name);
            self.outcomes.insert(name, Outcome::Done);
        }
    }

    /// Sends a notification of this object.
    pub fn notify(&mut self, key: &str) -> u64 {
        self.send(&created("inbox", key))
    }

    /// Lets `milliseconds` pass.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        loop {
            self.act();
            let idle = self.desk.idle(Boot::at(self.now)).map(|idle| self.now + idle.as_millis() as u64);
            let answer = self.answers.iter().map(|(at, _)| *at).min();
            let visible =
                self.queue.values().map(|message| message.visible).filter(|at| *at > self.now).min();
            let next = [idle, answer, visible].into_iter().flatten().min().unwrap_or(end).max(self.now + 1);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            self.answer();
        }
    }

    pub fn answer(&mut self) {
        let (due, later) = std::mem::take(&mut self.answers).into_iter().partition(|(at, _)| *at <= self.now);
        self.answers = later;
        let mut due: Vec<_> = due;
        due.sort_by_key(|(at, _)| *at);
        for (_, event) in due {
            match event {
                // What the queue has is seen when the answer leaves, so it is filled in now.
                Event::Received { call, result: Ok(empty) } => {
                    self.flying -= 1;
                    let result = Ok(if empty.is_empty() { self.deliver() } else { empty });
                    self.take(Event::Received { call, result });
                }
                Event::Received { call, result } => {
                    self.flying -= 1;
                    self.take(Event::Received { call, result });
                }
                Event::Fetched { slot, result: Ok((Outcome::Done, keys)) } => {
                    let names = keys.iter().map(|key| String::from_utf8(key.as_bytes().to_vec()).unwrap());
                    self.fetched.extend(names);
                    self.take(Event::Fetched { slot, result: Ok((Outcome::Done, keys)) });
                }
                Event::Called { call, result } => {
                    self.hiding.remove(&call);
                    self.take(Event::Called { call, result });
                }
                other => self.take(other),
            }
        }
        if self.mover && !self.desk.has_mover() {
            // Nobody asks it any more, so the link connects again.
            self.stop_mover();
            self.start_mover();
        }
    }

    fn deliver(&mut self) -> Vec<Received> {
        let now = self.now;
        let mut out = Vec::new();
        for (id, message) in self.queue.iter_mut().filter(|(_, message)| message.visible <= now).take(10) {
            message.visible = now + VISIBILITY.as_millis() as u64;
            message.receives += 1;
            message.receipt += 1;
            let key = OrderKey::new(format!("m{id}").as_bytes()).unwrap();
            out.push(Received {
                receipt: format!("{id}/{}", message.receipt),
                asked: Asked::read(&key, &message.body),
                message: key,
                receives: message.receives,
                bytes: message.body.len(),
            });
        }
        out
    }

    fn fails(&mut self) -> bool {
        self.calls += 1;
        self.calls.is_multiple_of(self.every)
    }

    pub fn act(&mut self) {
        if self.queue.values().any(|message| message.visible <= self.now) {
            for (at, event) in &mut self.answers {
                if matches!(event, Event::Received { .. }) {
                    *at = (*at).min(self.now + 5);
                }
            }
        }
        for action in self.desk.next(Boot::at(self.now)) {
            match action {
                Action::Receive { call, most, long } => {
                    assert!((1..=10).contains(&most));
                    assert!(self.mover, "a receive without a mover");
                    self.receives.push(self.now);
                    self.flying += 1;
                    assert!(self.flying <= POLLERS);
                    let ready = self.queue.values().any(|message| message.visible <= self.now);
                    let wait = if ready {
                        5
                    } else if long {
                        20_000
                    } else {
                        1_000
                    };
                    let result = if self.fails() { Err(self.trouble) } else { Ok(Vec::new()) };
                    self.answers.push((self.now + wait, Event::Received { call, result }));
                }
                Action::Move { batch, orders } => {
                    let names = orders.iter().map(|order| String::from_utf8(order.name.clone()).unwrap());
                    let names: Vec<_> = names.collect();
                    let outcome = |name: &String| {
                        self.paused.or(self.outcomes.get(name).copied()).unwrap_or(Outcome::Waiting)
                    };
                    let mut outcomes: Vec<_> = names.iter().map(outcome).collect();
                    if std::mem::take(&mut self.garbles) {
                        outcomes.push(Outcome::Done);
                    }
                    self.asked.extend(names.into_iter().map(|name| (self.now, name)));
                    self.answers.push((self.now + self.move_time, Event::Moved { batch, outcomes }));
                }
                Action::Fetch { slot, objects } => {
                    self.fetches.push((self.now, objects.len()));
                    let outcome = self.outcomes.get(&objects[0].key).copied();
                    let result = match (self.store, outcome) {
                        (Some(trouble), _) => Err(trouble),
                        (None, Some(outcome)) => {
                            Ok((outcome, vec![OrderKey::new(objects[0].key.as_bytes()).unwrap()]))
                        }
                        (None, None) => Err(Trouble::Denied),
                    };
                    self.answers.push((self.now + self.fetch_time, Event::Fetched { slot, result }));
                }
                Action::Probe => self.answers.push((self.now + 1, Event::Obstacle(self.paused))),
                Action::Deleted(keys) => {
                    self.acknowledged += keys.len();
                    self.answers.push((self.now + 1, Event::Noted));
                }
                Action::Delete { call, entries } => {
                    let failed = self.change(&entries, |world, id, _| {
                        let message = world.queue.remove(&id).unwrap();
                        assert!(world.is_done(&message), "{message:?} was deleted undone");
                        assert!(world.deleted.insert(id), "deleted twice");
                    });
                    self.answers.push((self.now + 5, Event::Called { call, result: failed }));
                }
                Action::Hide { call, entries } => {
                    let failed = self.change(&entries, |world, id, entry| {
                        let visible = world.now + u64::from(entry.seconds) * 1000;
                        world.queue.get_mut(&id).unwrap().visible = visible;
                    });
                    self.hides.push(self.now);
                    self.hiding.insert(call);
                    assert!(self.hiding.len() <= HIDES);
                    self.answers.push((self.now + 5, Event::Called { call, result: failed }));
                }
                Action::Note(note) => self.notes.push(note),
            }
        }
        assert!(self.desk.holding() <= HELD + WATCHED, "{} held", self.desk.holding());
    }

    fn is_done(&self, message: &Message) -> bool {
        match Asked::read(&OrderKey::new(b"m").unwrap(), &message.body) {
            Ok(Asked::Move(_)) => self.outcomes.get(&message.body) == Some(&Outcome::Done),
            Ok(Asked::Fetch(objects)) => objects.iter().all(|object| self.fetched.contains(&object.key)),
            Ok(Asked::Nothing) => true,
            Err(_) => false,
        }
    }

    fn change(
        &mut self,
        entries: &[Entry],
        mut apply: impl FnMut(&mut Self, u64, &Entry),
    ) -> Result<Vec<(u64, Fault)>, Trouble> {
        assert!((1..=10).contains(&entries.len()));
        let slots: BTreeSet<_> = entries.iter().map(|entry| entry.slot).collect();
        assert_eq!(slots.len(), entries.len(), "an entry twice in one call");
        if self.fails() {
            return Err(Trouble::Unreachable);
        }
        let mut failed = Vec::new();
        for entry in entries {
            let (id, receipt) = entry.receipt.split_once('/').unwrap();
            let (id, receipt): (u64, u64) = (id.parse().unwrap(), receipt.parse().unwrap());
            let holds = self
                .queue
                .get(&id)
                .is_some_and(|message| message.receipt == receipt && message.visible > self.now);
            if !holds {
                failed.push((entry.slot, Fault::Receipt));
            } else if self.fails() {
                failed.push((entry.slot, Fault::Other));
            } else {
                apply(self, id, entry);
            }
        }
        Ok(failed)
    }

    pub fn asked_at(&self, name: &str) -> Vec<u64> {
        self.asked.iter().filter(|(_, other)| other == name).map(|(at, _)| *at).collect()
    }
}

/// A notification as S3 sends it.
pub fn created(bucket: &str, key: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"{bucket}"}},"object":{{"key":"{key}"}}}}}}]}}"#
    )
}
