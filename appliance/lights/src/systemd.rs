//! What systemd says: asked once over the system bus, then told by signals. On a thread of its own, because PID 1 may take
//! its time to answer and the lights must not wait.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustbus::connection::Timeout;
use rustbus::message_builder::{MarshalledMessage, MessageBuilder, MessageType};
use rustbus::wire::unmarshal::traits::{Unmarshal, Variant};
use rustbus::{DuplexConn, RpcConn, connection, get_system_bus_path, standard_messages};
use stayput_health::Part;
use stayput_status::Phase;

use crate::units::{self, Properties};
use crate::{Error, Result};

/// How long one answer may take: PID 1 is busy while the box comes up.
const ANSWER: Duration = Duration::from_secs(20);
/// How often the system's state is asked for all the same: no signal tells that a unit of the base failed long after its
/// start. (Parts have their own signals.) Each look is a few wake-ups.
const LOOK: Duration = Duration::from_secs(180);
/// Between two tries to reach the bus, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: (&str, &str) = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Everything that systemd has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How far the system is.
    pub phase: Phase,
    /// Whether a unit has failed, any unit.
    pub degraded: bool,
    /// The parts' units.
    pub units: BTreeMap<Part, Properties>,
}

/// The ear at systemd's door.
#[derive(Debug)]
pub struct Systemd {
    told: Receiver<Result<Told>>,
    bell: UnixStream,
}

impl Systemd {
    /// Listens from now on.
    pub fn listen() -> std::io::Result<Self> {
        let (sender, told) = channel();
        let (bell, ring) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ring.set_nonblocking(true)?;
        let ear = Ear { sender, ring };
        // The thread ends with the process.
        thread::Builder::new().name("systemd".into()).stack_size(128 * 1024).spawn(move || ear.listen())?;
        Ok(Self { told, bell })
    }

    /// Readable when there is something to hear.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// What was said since the last call, the last of it.
    pub fn hear(&mut self) -> Option<Result<Told>> {
        // Emptied first: what is said after that rings again.
        let mut rings = [0; 64];
        while matches!(std::io::Read::read(&mut &self.bell, &mut rings), Ok(1..)) {}
        self.told.try_iter().last()
    }
}

struct Ear {
    sender: Sender<Result<Told>>,
    ring: UnixStream,
}

impl Ear {
    fn say(&self, what: Result<Told>) {
        if self.sender.send(what).is_ok() {
            // A full bell rings already.
            let _ = std::io::Write::write(&mut &self.ring, &[1]);
        }
    }

    fn listen(&self) {
        let mut wait = FIRST_WAIT;
        loop {
            let began = Instant::now();
            if let Err(error) = self.follow() {
                self.say(Err(error));
            }
            if began.elapsed() > LONGEST_WAIT {
                wait = FIRST_WAIT;
            }
            thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Asks for everything, then for what signals point at. Ends when the bus does.
    fn follow(&self) -> Result<()> {
        let mut bus = Bus::connect()?;
        let parts: Vec<(Part, String)> =
            Part::ALL.iter().filter_map(|part| Some((*part, units::path(&units::name(*part)?)))).collect();
        bus.subscribe(parts.iter().map(|(_, path)| path.as_str()))?;
        let mut told = Told { phase: Phase::ComingUp, degraded: false, units: BTreeMap::new() };
        let mut changed: BTreeSet<Part> = parts.iter().map(|(part, _)| *part).collect();
        let mut look = Instant::now();
        let mut before = None;
        loop {
            if look <= Instant::now() {
                let state: String = bus.property(MANAGER.0, MANAGER.1, "SystemState")?;
                (told.phase, told.degraded) = (units::phase(&state), state == "degraded");
                look = Instant::now() + LOOK;
            }
            for (part, path) in parts.iter().filter(|(part, _)| changed.contains(part)) {
                told.units.insert(*part, bus.unit(path)?);
            }
            changed.clear();
            if before.as_ref() != Some(&told) {
                self.say(Ok(told.clone()));
                before = Some(told.clone());
            }
            for signal in bus.signals(look.saturating_duration_since(Instant::now()))? {
                match signal {
                    Signal::Unit(path) => {
                        changed.extend(parts.iter().filter(|(_, own)| *own == path).map(|(part, _)| *part));
                    }
                    // The job is queued before systemd calls its state "stopping".
                    Signal::Stopping => {
                        told.phase = Phase::Stopping;
                        look = Instant::now() + LOOK;
                    }
                    Signal::Ended => look = Instant::now(),
                }
            }
        }
    }
}

/// What a signal of systemd's is about.
enum Signal {
    /// The unit at this path has changed.
    Unit(String),
    /// The system has finished starting, or a start of a unit has failed: the system's state may be another.
    Ended,
    /// The system is about to stop.
    Stopping,
}

struct Bus(RpcConn);

impl Bus {
    fn connect() -> Result<Self> {
        let failed = |source| Error::Bus { what: "connecting to the system bus".to_owned(), source };
        let socket = get_system_bus_path().map_err(failed)?;
        let mut bus = Self(RpcConn::new(DuplexConn::connect_to_bus(socket, false).map_err(failed)?));
        bus.call("the greeting", &mut standard_messages::hello())?;
        Ok(bus)
    }

    fn subscribe<'a>(&mut self, paths: impl Iterator<Item = &'a str>) -> Result<()> {
        let manager = format!("type='signal',sender='{SYSTEMD}',interface='{}'", MANAGER.1);
        let mut rules = vec![
            format!("{manager},member='StartupFinished'"),
            // Restart, power off and halt all go through it.
            format!("{manager},member='JobNew',arg2='shutdown.target'"),
            // A unit that could not be started: from then on the system is "degraded".
            format!("{manager},member='JobRemoved',arg3='failed'"),
        ];
        let of_unit = |path| {
            format!(
                "type='signal',sender='{SYSTEMD}',interface='{PROPERTIES}',member='PropertiesChanged',path='{path}'"
            )
        };
        rules.extend(paths.map(of_unit));
        for rule in rules {
            self.call("a subscription", &mut standard_messages::add_match(&rule))?;
        }
        let mut subscribe = MessageBuilder::new()
            .call("Subscribe")
            .on(MANAGER.0)
            .with_interface(MANAGER.1)
            .at(SYSTEMD)
            .build();
        self.call("Subscribe", &mut subscribe).map(drop)
    }

    fn unit(&mut self, path: &str) -> Result<Properties> {
        let load: String = self.property(path, UNIT, "LoadState")?;
        if load != "loaded" {
            return Ok(Properties { load, ..Properties::default() });
        }
        let conditions: u64 = self.property(path, UNIT, "ConditionTimestampMonotonic")?;
        Ok(Properties {
            load,
            file: self.property(path, UNIT, "UnitFileState")?,
            active: self.property(path, UNIT, "ActiveState")?,
            sub: self.property(path, UNIT, "SubState")?,
            condition_failed: conditions > 0 && !self.property::<bool>(path, UNIT, "ConditionResult")?,
            restarts: self.property(path, SERVICE, "NRestarts")?,
            started_us: self.property(path, SERVICE, "ExecMainStartTimestampMonotonic")?,
            ended_us: self.property(path, SERVICE, "ExecMainExitTimestampMonotonic")?,
        })
    }

    fn property<T>(&mut self, path: &str, interface: &str, name: &str) -> Result<T>
    where
        T: for<'buf, 'fds> Unmarshal<'buf, 'fds>,
    {
        let what = || format!("{name} of {path}");
        let odd = |answer: String| Error::Answer { what: what(), answer, expected: "a value of its type" };
        let mut get =
            MessageBuilder::new().call("Get").on(path).with_interface(PROPERTIES).at(SYSTEMD).build();
        get.body.push_param2(interface, name).map_err(|error| odd(error.to_string()))?;
        let answer = self.call(&what(), &mut get)?;
        let value = answer.body.parser().get::<Variant<'_, '_>>().and_then(|variant| variant.get::<T>());
        value.map_err(|error| odd(error.to_string()))
    }

    fn call(&mut self, what: &str, message: &mut MarshalledMessage) -> Result<MarshalledMessage> {
        let timeout = Timeout::Duration(ANSWER);
        let failed = |source| Error::Bus { what: what.to_owned(), source };
        let sent = self.0.send_message(message).map_err(failed)?.write(timeout);
        let serial = sent.map_err(connection::ll_conn::force_finish_on_error).map_err(failed)?;
        let answer = self.0.wait_response(serial, timeout).map_err(failed)?;
        if answer.typ == MessageType::Error {
            let answer = answer.dynheader.error_name.unwrap_or_default();
            return Err(Error::Answer { what: what.to_owned(), answer, expected: "no error" });
        }
        Ok(answer)
    }

    /// Waits until a signal comes, at most for `longest`; all that are there.
    fn signals(&mut self, longest: Duration) -> Result<Vec<Signal>> {
        let mut wait = Timeout::Duration(longest.max(Duration::from_millis(1)));
        let mut signals = Vec::new();
        loop {
            match self.0.wait_signal(wait) {
                Ok(message) => signals.extend(Self::signal(message)),
                Err(connection::Error::TimedOut) => return Ok(signals),
                Err(source) => return Err(Error::Bus { what: "listening".into(), source }),
            }
            wait = Timeout::Duration(Duration::from_millis(1));
        }
    }

    fn signal(message: MarshalledMessage) -> Option<Signal> {
        match message.dynheader.member.as_deref()? {
            "PropertiesChanged" => message.dynheader.object.map(Signal::Unit),
            "JobNew" => Some(Signal::Stopping),
            "StartupFinished" | "JobRemoved" => Some(Signal::Ended),
            _ => None,
        }
    }
}
