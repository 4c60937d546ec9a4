//! One machine around one image: started, looked at, disturbed, cut off, started again.

use crate::console::Console;
use crate::credentials;
use crate::disk;
use crate::error::{Error, Result, file};
use crate::hat::{Screen, qcode};
use crate::home::Home;
use crate::leds::{self, Leds};
use crate::options::{Board, ConsoleEnd, Files, Options, arguments};
use crate::patience::Deadline;
use crate::probe::Probe;
use crate::process::{Process, Streams};
use crate::qmp::Qmp;
use serde_json::{Value, json};
use stayput_hat::Key;
use stayput_probe::Op;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// QEMU opens its sockets in its first second.
const APPEAR: Duration = Duration::from_secs(30);
/// From power to the probe's first answer: 15 to 60 s on two busy cores, emulated.
const PROBE: Duration = Duration::from_secs(240);
/// From power to `running`: 60 to 80 s on two busy cores with the container engine.
const START: Duration = Duration::from_secs(480);
/// A reset is an event of QEMU's own.
const RESET: Duration = Duration::from_secs(30);
/// An orderly shutdown stops every service first; systemd gives one of them 90 s.
const STOP: Duration = Duration::from_secs(180);

/// A machine. Dropping it ends its QEMU and removes its disk layer; the image was never touched.
#[derive(Debug)]
pub struct Machine {
    // Before `home`: the process goes first, then the right to have one.
    on: Option<On>,
    console: Console,
    screen: Screen,
    options: Options,
    files: Files,
    sockets: Sockets,
    snapshots: BTreeSet<String>,
    home: Home,
}

#[derive(Debug)]
struct On {
    qmp: Qmp,
    probe: Option<Probe>,
    greeted: bool,
    process: Process,
}

/// QEMU connects to us, not we to it: then there is no moment at which it is not listening yet.
#[derive(Debug)]
struct Sockets {
    console: UnixListener,
    control: UnixListener,
    probe: UnixListener,
    hat: UnixListener,
}

impl Machine {
    /// Waits for its turn, lays a fresh layer over the image and switches the machine on. The box is not up
    /// yet when this returns: see [`Machine::wait_until_started`].
    pub fn start(options: Options) -> Result<Self> {
        let home = Home::take(options.patience)?;
        let files = prepare(&home, &options)?;
        let sockets = Sockets {
            console: listen(&files.console)?,
            control: listen(&files.control)?,
            probe: listen(&files.probe_port)?,
            hat: listen(&files.hat_port)?,
        };
        let console = Console::new(&home.path("console.log"))?;
        let mut machine = Self {
            on: None,
            console,
            screen: Screen::default(),
            options,
            files,
            sockets,
            snapshots: BTreeSet::new(),
            home,
        };
        machine.power_on()?;
        Ok(machine)
    }

    /// Switches it on again, on the card as the last run left it.
    pub fn power_on(&mut self) -> Result<()> {
        if self.on.is_some() {
            return Ok(());
        }
        let line = arguments(&self.options, &self.files, ConsoleEnd::Socket);
        tracing::debug!(?line, "QEMU");
        let log = self.log();
        let process = Process::start(&self.options.qemu, &line, &Streams::Log(&log))?;
        // In the order of the arguments; a QEMU that does not get so far says why in its log.
        if self.options.hat {
            self.screen.attach(self.accept(&self.sockets.hat, &process)?);
        }
        let probe = match self.options.probe {
            Some(_) => Some(Probe::new(self.accept(&self.sockets.probe, &process)?, self.options.patience)),
            None => None,
        };
        let console = self.accept(&self.sockets.console, &process)?;
        self.console.attach(console)?;
        let control = self.accept(&self.sockets.control, &process)?;
        let qmp = Qmp::open(control, self.options.patience)?;
        self.on = Some(On { qmp, probe, greeted: false, process });
        Ok(())
    }

    fn accept(&self, listener: &UnixListener, process: &Process) -> Result<UnixStream> {
        let deadline = self.options.patience.deadline(APPEAR);
        let accepted = deadline.poll(|| match listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => match process.ended() {
                Some(status) => Err(self.ended(status, "starting")),
                None => Ok(None),
            },
            Err(error) => Err(file("accept on", self.home.path("*.sock"))(error)),
        })?;
        let stream = accepted.ok_or_else(|| Error::Late {
            what: "QEMU's start".into(),
            allowed: deadline.allowed,
            seen: self.said(),
        })?;
        stream.set_nonblocking(false).map_err(file("set up", "QEMU's socket"))?;
        Ok(stream)
    }

    fn log(&self) -> PathBuf {
        self.home.path("qemu.log")
    }

    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        format!("{}\n{}", log.trim(), self.console.tail()).trim().to_owned()
    }

    fn ended(&self, status: ExitStatus, during: &str) -> Error {
        Error::Ended { status: status.to_string(), during: during.to_owned(), said: self.said() }
    }

    /// An error of the probe or the control socket is half the story: the other half is on the console.
    fn explain(&self, error: Error) -> Error {
        let more = || {
            format!(
                "\nThe console ends with:\n{}\n(all of it: {})",
                self.said(),
                self.console_log().display()
            )
        };
        match error {
            Error::Late { what, allowed, seen } => Error::Late { what, allowed, seen: seen + &more() },
            Error::Ended { status, during, said } => Error::Ended { status, during, said: said + &more() },
            other => other,
        }
    }

    fn on(&mut self, what: &'static str) -> Result<&mut On> {
        self.on.as_mut().ok_or(Error::Off { what })
    }

    /// The serial console.
    pub fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// Where the console's bytes are kept, also after a failure.
    pub fn console_log(&self) -> PathBuf {
        self.home.path("console.log")
    }

    /// QEMU's control socket, for what has no method here.
    pub fn qmp(&mut self) -> Result<&mut Qmp> {
        Ok(&mut self.on("QEMU's control socket")?.qmp)
    }

    /// The probe, waiting for its first answer after a start, reset or restore.
    pub fn probe(&mut self) -> Result<&mut Probe> {
        let deadline = self.options.patience.deadline(PROBE);
        let on = self.on("the probe")?;
        let Some(probe) = &mut on.probe else {
            return Err(Error::Without {
                part: "probe",
                remedy: "give Options::probe the cross-built stayput-probe",
            });
        };
        let greeted = if on.greeted { Ok(()) } else { probe.greet(&deadline) };
        match greeted {
            Ok(()) => on.greeted = true,
            Err(error) => return Err(self.explain(error)),
        }
        self.on("the probe")?.probe.as_mut().ok_or(Error::Off { what: "the probe" })
    }

    /// Waits until the box has finished starting; answers systemd's word for its state (`running` is good).
    pub fn wait_until_started(&mut self) -> Result<String> {
        let deadline = self.options.patience.deadline(START);
        let state = self.probe()?.wait_until_started(&deadline);
        state.map_err(|error| self.explain(error))
    }

    /// A deadline that this machine's patience stretches.
    pub fn deadline(&self, base: Duration) -> Deadline {
        self.options.patience.deadline(base)
    }

    /// The lights at this moment, read from the GPIO registers behind the kernel's back.
    pub fn leds(&mut self) -> Result<Leds> {
        if !matches!(self.options.board, Board::Virt { .. }) {
            return Err(Error::Without { part: "known lights", remedy: "only the virt board's are wired" });
        }
        let qmp = self.qmp()?;
        let mut word = |address| {
            let answer = qmp.monitor(&format!("xp /1xw {address:#010x}"))?;
            leds::parse_word(&answer, address)
        };
        Ok(Leds::decode(word(leds::DATA)?, word(leds::DIRECTION)?))
    }

    /// Waits until the lights show exactly this.
    pub fn wait_for_leds(&mut self, wanted: Leds, longest: Duration) -> Result<()> {
        let deadline = self.deadline(longest);
        let mut last = Leds::DARK;
        let seen = deadline.poll(|| {
            last = self.leds()?;
            Ok::<_, Error>((last == wanted).then_some(()))
        })?;
        seen.ok_or_else(|| Error::Late {
            what: format!("{wanted:?}"),
            allowed: deadline.allowed,
            seen: format!("The lights show {last:?}."),
        })
    }

    /// Presses the board's own power key, which hangs on the GPIO chip: the box's K1.
    pub fn press_power_key(&mut self) -> Result<()> {
        self.qmp()?.execute("system_powerdown", Value::Null).map(drop)
    }

    /// The hat's screen, as the box publishes it; dark without [`Options::hat`].
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Pushes a key of the hat down, or lets it go.
    pub fn key(&mut self, key: Key, down: bool) -> Result<()> {
        let code = json!({ "type": "qcode", "data": qcode(key) });
        let event = json!({ "type": "key", "data": { "down": down, "key": code } });
        self.qmp()?.execute("input-send-event", json!({ "events": [event] })).map(drop)
    }

    /// How QEMU ended, if it has by itself.
    pub fn ended_by_itself(&self) -> Option<ExitStatus> {
        self.on.as_ref().and_then(|on| on.process.ended())
    }

    /// Changes what a machine that is off is made of, from the next time it is switched on: another network, another board.
    pub fn rebuild(&mut self, change: impl FnOnce(&mut Options)) -> Result<()> {
        self.off("another machine")?;
        change(&mut self.options);
        Ok(())
    }

    /// Makes a network of it in which nobody answers, though the plug is in; or lets those who are there speak again.
    pub fn hush(&mut self, hushed: bool) -> Result<()> {
        let qmp = self.qmp()?;
        if hushed {
            // Every frame goes into a hole, in both directions.
            let hole = json!({ "id": "hole", "backend": { "type": "null", "data": {} } });
            qmp.execute("chardev-add", hole)?;
            let hush = json!({ "qom-type": "filter-redirector", "id": "hush", "netdev": "network", "outdev": "hole" });
            return qmp.execute("object-add", hush).map(drop);
        }
        qmp.execute("object-del", json!({ "id": "hush" }))?;
        qmp.execute("chardev-remove", json!({ "id": "hole" })).map(drop)
    }

    /// Pulls the network plug, or puts it back.
    pub fn link(&mut self, up: bool) -> Result<()> {
        self.qmp()?.execute("set_link", json!({ "name": "nic", "up": up })).map(drop)
    }

    /// The reset button. Returns when the machine has restarted; the box is not up yet.
    pub fn reset(&mut self) -> Result<()> {
        let deadline = self.deadline(RESET);
        let on = self.on("a reset")?;
        on.qmp.forget_events()?;
        on.qmp.execute("system_reset", Value::Null)?;
        on.qmp.wait_for_event("RESET", &deadline)?;
        on.greeted = false;
        Ok(())
    }

    /// Pulls the power: nothing is flushed, nobody is told. What the box had not asked the card to keep is lost.
    pub fn power_cut(&mut self) {
        if let Some(mut on) = self.on.take() {
            on.process.kill();
        }
    }

    /// Changes the card of a machine that is off, in whole sectors.
    pub fn write_card(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.off("writing to the card")?;
        disk::write(&self.files.card, at, bytes, &self.home.path("card.part"))
    }

    /// Reads the card of a machine that is off, in whole sectors.
    pub fn read_card(&self, at: u64, length: u64) -> Result<Vec<u8>> {
        self.off("reading the card")?;
        disk::read(&self.files.card, at, length, &self.home.path("card.part"))
    }

    /// Keeps the card of a machine that is off under a name.
    pub fn keep_card(&mut self, name: &str) -> Result<()> {
        self.off("keeping the card")?;
        disk::snapshot(&self.files.card, disk::Keep::As(name))
    }

    /// Makes the card of a machine that is off what it was when it was kept.
    pub fn restore_card(&mut self, name: &str) -> Result<()> {
        self.off("going back to a card")?;
        disk::snapshot(&self.files.card, disk::Keep::BackTo(name))
    }

    fn off(&self, what: &'static str) -> Result<()> {
        if self.on.is_some() { Err(Error::On { what }) } else { Ok(()) }
    }

    /// Waits until the machine restarts for a reason of its own: a watchdog, a panic, the boot loader.
    pub fn wait_for_restart(&mut self, longest: Duration) -> Result<()> {
        let deadline = self.deadline(longest);
        let on = self.on("a restart")?;
        on.greeted = false;
        let restarted = on.qmp.wait_for_event("RESET", &deadline).map(drop);
        restarted.map_err(|error| self.explain(error))
    }

    /// Tells the box to restart by itself: services end, file systems are unmounted. Returns when the machine
    /// has restarted; the box is not up yet.
    pub fn reboot(&mut self) -> Result<()> {
        self.probe()?;
        self.qmp()?.forget_events()?;
        let deadline = self.deadline(STOP);
        let order = Op::Run {
            argv: vec!["systemctl".into(), "reboot".into()],
            env: BTreeMap::new(),
            stdin: Vec::new(),
            timeout_ms: u64::try_from(deadline.allowed.as_millis()).unwrap_or(u64::MAX),
        };
        // The answer is not waited for: the probe may be ended before it can give one.
        self.probe()?.begin(order).map(drop)?;
        let on = self.on("a restart")?;
        on.greeted = false;
        let restarted = on.qmp.wait_for_event("RESET", &deadline).map(drop);
        restarted.map_err(|error| self.explain(error))
    }

    /// Stops the processors. Time stands still for the box.
    pub fn pause(&mut self) -> Result<()> {
        self.qmp()?.execute("stop", Value::Null).map(drop)
    }

    /// Lets them run on.
    pub fn resume(&mut self) -> Result<()> {
        self.qmp()?.execute("cont", Value::Null).map(drop)
    }

    /// Keeps the machine's whole state (memory, devices, card) under a name, inside the throw-away layer.
    pub fn snapshot(&mut self, name: &str) -> Result<()> {
        if self.options.probe.is_some() {
            // So that the state holds no half order.
            self.probe()?;
        }
        self.say(&format!("savevm {name}"))?;
        self.snapshots.insert(name.to_owned());
        Ok(())
    }

    /// Goes back to it. The box's clocks go back too: they run on from the moment of the snapshot, so that the
    /// box's date is behind the host's by the time since then. Files, lights and the link are as they were.
    pub fn restore(&mut self, name: &str) -> Result<()> {
        if !self.snapshots.contains(name) {
            return Err(Error::NoSnapshot(name.to_owned()));
        }
        self.say(&format!("loadvm {name}"))?;
        self.resume()?;
        self.on("a snapshot")?.greeted = false;
        if self.options.probe.is_some() {
            self.probe()?;
        }
        Ok(())
    }

    /// These two monitor commands are silent when all is well.
    fn say(&mut self, line: &str) -> Result<()> {
        let answer = self.qmp()?.monitor(line)?;
        match answer.trim() {
            "" => Ok(()),
            reason => Err(Error::Refused { command: line.to_owned(), reason: reason.to_owned() }),
        }
    }

    /// QEMU's process id, while it is on.
    pub fn process_id(&self) -> Option<u32> {
        self.on.as_ref().map(|on| on.process.pid())
    }

    /// A host program inside the machine's network namespace, where the box reaches it at 10.0.2.2: the place
    /// for stand-in servers. The caller starts it and ends it.
    pub fn beside(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let on = self.on.as_ref().ok_or(Error::Off { what: "its network namespace" })?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", on.process.pid())).arg("--net");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        Ok(command)
    }
}

fn listen(path: &std::path::Path) -> Result<UnixListener> {
    let listener = UnixListener::bind(path).map_err(file("make the socket", path))?;
    listener.set_nonblocking(true).map_err(file("set up", path))?;
    Ok(listener)
}

/// Lays out the machine's files: the layer over the card, the probe's disk, the credentials.
pub(crate) fn prepare(home: &Home, options: &Options) -> Result<Files> {
    let mut files = Files {
        card: home.path("card.qcow2"),
        console: home.path("console.sock"),
        control: home.path("control.sock"),
        probe_port: home.path("probe.sock"),
        probe_disk: home.path("probe.squashfs"),
        hat_port: home.path("hat.sock"),
        credentials: Vec::new(),
    };
    if options.card.is_none() {
        disk::overlay(&options.image, &files.card)?;
    }
    if let Some(record) = &options.record {
        // QEMU writes into it and does not make it.
        std::fs::File::create(record).map_err(file("make", record))?;
    }
    match &options.board {
        Board::Virt { uboot } => drop(std::fs::File::open(uboot).map_err(file("open U-Boot", uboot))?),
        Board::OrangePiPc { spl } => disk::replace_loader(&files.card, spl, &home.path("spl.bin"))?,
    }
    let mut credentials = options.credentials.clone();
    if let Some(program) = &options.probe {
        disk::probe(program, &files.probe_disk)?;
        credentials.extend(credentials::for_the_probe());
    }
    for credential in &credentials {
        let path = home.write(&format!("credential.{}", credential.name()), &credential.content)?;
        files.credentials.push((credential.firmware_name(), path));
    }
    Ok(files)
}
