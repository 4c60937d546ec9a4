//! The courier at work: one thread for the queue, one for the mover, and the desk between them.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{Id, JoinError, JoinSet};

use super::desk::{Action, Desk, Event, Trouble};
use super::inbound::Way;
use super::link::{self, Ask, Said};
use super::report::Reporter;
use super::state::{Situation, judge};
use super::store::Store;
use super::{Attributes, Boot, Error, Finding, Queue, Settings, findings};
use crate::client::PATIENCE;
use crate::credentials::{Provider, Stamp};
use crate::program::notify::Notifier;

/// How long a stop may take: shorter than the ten seconds that systemd's unit and ECS's 30 leave.
const STOP: Duration = Duration::from_secs(8);
/// How often the queue's rules are read, and how soon again when they could not be.
const RULES: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(60));
/// How often credentials are looked for while nothing else helps.
const LOOK: Duration = Duration::from_millis(500);
/// No clock that is right shows a time before this program was written.
const WRITTEN: Duration = Duration::from_secs(1_795_000_000);

/// Runs a courier until SIGTERM or SIGINT.
pub fn run(settings: &Settings, credentials: Provider) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Runtime { action: "start the event loop", source })?;
    let done = runtime.block_on(Courier::start(settings, credentials, std::io::stdout())?.work());
    // A name lookup may be under way in a thread of its own; it is not waited for.
    runtime.shutdown_background();
    done
}

/// What a task brings back.
enum Brought {
    Event(Event),
    Attributes(Result<Attributes, Trouble>),
}

/// What a task is for, so that one that panics ends what it was for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Receive(u64),
    Change(u64),
    Fetch(u64),
}

impl Purpose {
    fn failed(self) -> Event {
        let trouble = Trouble::Hung;
        match self {
            Self::Receive(call) => Event::Received { call, result: Err(trouble) },
            Self::Change(call) => Event::Called { call, result: Err(trouble) },
            Self::Fetch(slot) => Event::Fetched { slot, result: Err(trouble) },
        }
    }
}

struct Courier<W> {
    desk: Desk,
    queue: Queue,
    credentials: Provider,
    /// Which credentials were there at the last look; nothing before the first.
    seen: Option<Option<Stamp>>,
    reporter: Reporter<W>,
    situation: Situation,
    tasks: JoinSet<Brought>,
    /// What a task is for.
    calls: HashMap<Id, Purpose>,
    /// Where objects come from, where any may be fetched.
    store: Option<Arc<Store>>,
    /// How many were begun.
    transfers: Arc<AtomicU32>,
    /// The way to the mover that there is; it leads nowhere while there is none.
    asks: mpsc::Sender<Ask>,
    said: UnboundedReceiver<Said>,
    rules_at: Boot,
    /// What was wrong with the rules when they were read last.
    found: Vec<Finding>,
    notifier: Notifier,
}

impl<W: Write> Courier<W> {
    fn start(settings: &Settings, credentials: Provider, out: W) -> Result<Self, Error> {
        let now = Boot::now();
        let (sender, said) = unbounded_channel();
        let socket = settings.socket.clone();
        std::thread::Builder::new()
            .name("mover".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || link::serve(socket, PATIENCE, sender))
            .map_err(|source| Error::Runtime { action: "start a thread", source })?;
        let store = if settings.allowed.is_empty() {
            None
        } else {
            let (endpoint, authorities) = (settings.store.clone(), settings.authorities.as_deref());
            Some(Arc::new(Store::new(&settings.region, endpoint, authorities, credentials.clone())?))
        };
        Ok(Self {
            desk: Desk::new(now).allowing(settings.allowed.clone()),
            queue: Queue::new(settings, credentials.clone())?,
            credentials,
            seen: None,
            store,
            transfers: Arc::default(),
            reporter: Reporter::new(&settings.health, out, salt(), now),
            situation: Situation::default(),
            tasks: JoinSet::new(),
            calls: HashMap::new(),
            asks: nowhere(),
            said,
            rules_at: now,
            found: Vec::new(),
            notifier: Notifier::of_process(),
        })
    }

    async fn work(mut self) -> Result<(), Error> {
        let failed = |source| Error::Runtime { action: "listen for signals", source };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut stop_by: Option<Boot> = None;
        // Ready means at work, not connected: what is missing is a state, which the lights show.
        self.notifier.ready();
        loop {
            let now = Boot::now();
            self.desk.take(now, Event::Clock(is_clock_plausible()));
            self.look_for_credentials(now);
            if now >= self.rules_at && self.situation.met && stop_by.is_none() {
                self.rules_at = now.plus(RULES.0);
                let queue = self.queue.clone();
                self.tasks.spawn(async move { Brought::Attributes(queue.attributes().await) });
            }
            for action in self.desk.next(now) {
                self.act(action);
            }
            if self.reporter.state(&self.desk, judge(&self.desk, self.situation, now), now) {
                self.notifier.alive();
            }
            if self.desk.is_finished() || stop_by.is_some_and(|by| now >= by) {
                return Ok(());
            }
            let mut wake = self.reporter.due(now).max(Duration::from_millis(100));
            if let Some(idle) = self.desk.idle(now) {
                wake = wake.min(idle.max(Duration::from_millis(1)));
            }
            if self.desk.wants_credentials() {
                wake = wake.min(LOOK);
            }
            if let Some(by) = stop_by {
                wake = wake.min(now.until(by));
            }
            tokio::select! {
                Some(said) = self.said.recv() => self.heard(said),
                Some(joined) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.joined(joined),
                () = tokio::time::sleep(wake) => {}
                _ = terminate.recv() => stop_by = Some(self.stop(stop_by)),
                _ = interrupt.recv() => stop_by = Some(self.stop(stop_by)),
            }
            // What else is there already is taken in before anything is decided.
            while let Ok(said) = self.said.try_recv() {
                self.heard(said);
            }
            while let Some(joined) = self.tasks.try_join_next_with_id() {
                self.joined(joined);
            }
        }
    }

    fn look_for_credentials(&mut self, now: Boot) {
        let stamp = self.credentials.stamp();
        if self.seen != Some(stamp) {
            if stamp.is_none() {
                self.reporter.line(format_args!("no credentials yet"));
            }
            self.seen = Some(stamp);
            self.desk.take(now, Event::Credentials(stamp.is_some()));
        }
    }

    fn stop(&mut self, before: Option<Boot>) -> Boot {
        let now = Boot::now();
        self.desk.take(now, Event::Stop);
        before.unwrap_or_else(|| now.plus(STOP))
    }

    fn heard(&mut self, said: Said) {
        let event = match said {
            Said::Up(asks) => {
                (self.asks, self.situation.met) = (asks, true);
                Event::MoverUp
            }
            Said::Event(event) => event,
        };
        self.desk.take(Boot::now(), event);
        if !self.desk.has_mover() {
            // The link leaves a mover that nobody can ask, and connects again.
            self.asks = nowhere();
        }
    }

    fn joined(&mut self, joined: Result<(Id, Brought), JoinError>) {
        let now = Boot::now();
        match joined {
            Ok((id, Brought::Event(event))) => {
                self.calls.remove(&id);
                self.desk.take(now, event);
            }
            Ok((_, Brought::Attributes(Ok(attributes)))) => {
                self.desk.take(now, Event::Rules(attributes.rules()));
                self.find(findings(&attributes, None));
            }
            Ok((_, Brought::Attributes(Err(trouble)))) => {
                self.rules_at = now.plus(RULES.1);
                // Others may pass, and are seen at each call.
                if trouble == Trouble::Denied {
                    self.find(vec![Finding::Unread]);
                }
            }
            // A call that panicked: as if it had not been answered, so that another one takes its place.
            Err(error) => {
                if let Some(purpose) = self.calls.remove(&error.id()) {
                    self.desk.take(now, purpose.failed());
                }
            }
        }
    }

    /// Says what is wrong with the queue's rules, once for as long as it is the same.
    fn find(&mut self, found: Vec<Finding>) {
        self.situation.risky = !found.is_empty();
        for finding in found.iter().filter(|finding| !self.found.contains(finding)) {
            self.reporter.line(format_args!("{}: {finding}", stayput_health::Code::QueueRules));
        }
        self.found = found;
    }

    fn act(&mut self, action: Action) {
        let queue = self.queue.clone();
        let (purpose, task) = match action {
            Action::Note(note) => return self.reporter.note(&note),
            Action::Move { batch, orders } => return self.ask(Ask::Move { batch, orders }),
            Action::Deleted(keys) => return self.ask(Ask::Deleted(keys)),
            Action::Probe => return self.ask(Ask::Probe),
            Action::Receive { call, most, long } => {
                let task = self.tasks.spawn(async move {
                    Brought::Event(Event::Received { call, result: queue.receive(most, long).await })
                });
                (Purpose::Receive(call), task)
            }
            Action::Fetch { slot, objects } => {
                let Some(store) = self.store.clone() else { return };
                let way = Way { store, asks: self.asks.clone(), transfers: self.transfers.clone() };
                let task = self.tasks.spawn(async move {
                    Brought::Event(Event::Fetched { slot, result: way.fetch(objects).await })
                });
                (Purpose::Fetch(slot), task)
            }
            Action::Delete { call, entries } => {
                let task = self.tasks.spawn(async move {
                    Brought::Event(Event::Called { call, result: queue.delete(&entries).await })
                });
                (Purpose::Change(call), task)
            }
            Action::Hide { call, entries } => {
                let task = self.tasks.spawn(async move {
                    Brought::Event(Event::Called { call, result: queue.hide(&entries).await })
                });
                (Purpose::Change(call), task)
            }
        };
        self.calls.insert(task.id(), purpose);
    }

    fn ask(&mut self, ask: Ask) {
        if self.asks.send(ask).is_err() {
            // The connection has just ended; what it had is asked again of the next one.
            self.desk.take(Boot::now(), Event::MoverDown);
        }
    }
}

fn nowhere() -> mpsc::Sender<Ask> {
    mpsc::channel().0
}

fn is_clock_plausible() -> bool {
    SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|time| time >= WRITTEN)
}

/// Bytes that make ids meaningless elsewhere; when the kernel has none yet, the process and the time do.
fn salt() -> [u8; 16] {
    let mut salt = [0; 16];
    if rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::NONBLOCK) != Ok(salt.len()) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        salt = (time ^ u128::from(std::process::id()) << 64).to_le_bytes();
    }
    salt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    /// A courier with nobody around it, and what it says.
    fn courier<W: Write>(out: W) -> Courier<W> {
        let place = "/nowhere".to_owned();
        let variables = HashMap::from([
            ("SQS_QUEUE_URL", "http://127.0.0.1:1/1/orders"),
            ("AWS_REGION", "eu-central-1"),
            ("STAYPUT_SOCKET", &place),
            ("STAYPUT_HEALTH_FOLDER", &place),
        ]);
        let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        let settings = Settings::from_environment(variable).unwrap();
        Courier::start(&settings, Provider::from_file(&place, "default"), out).unwrap()
    }

    #[test]
    fn a_mover_that_answers_what_was_not_asked_is_left() {
        let mut courier = courier(std::io::sink());
        let (asks, asked) = mpsc::channel();
        courier.heard(Said::Up(asks));
        assert_eq!(asked.try_recv().unwrap_err(), mpsc::TryRecvError::Empty);
        courier.heard(Said::Event(Event::Moved { batch: 7, outcomes: vec![Outcome::Done] }));
        assert_eq!(asked.try_recv().unwrap_err(), mpsc::TryRecvError::Disconnected);
    }

    #[tokio::test]
    async fn rules_that_may_not_be_read_are_said_once_and_are_a_state_until_they_are() {
        let mut said = Vec::new();
        let mut courier = courier(&mut said);
        let good = Attributes {
            receives: Some(10),
            retention: Duration::from_secs(4 * 24 * 3600),
            ..Attributes::default()
        };
        let mut states = Vec::new();
        let denied = || Err(Trouble::Denied);
        for read in [Err(Trouble::Hung), denied(), denied(), Err(Trouble::Hung), Ok(good), denied()] {
            courier.tasks.spawn(async { Brought::Attributes(read) });
            let joined = courier.tasks.join_next_with_id().await.unwrap();
            courier.joined(joined);
            states.push(courier.situation.risky);
        }
        assert_eq!(states, [false, true, true, true, false, true]);
        drop(courier);
        let said = String::from_utf8(said).unwrap();
        let line = "courier: WRK-05: the queue's rules could not be read";
        assert_eq!(said.lines().filter(|said| said.starts_with(line)).count(), 2, "{said}");
    }
}
