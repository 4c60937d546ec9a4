//! The daemon: hears systemd and the parts, folds, settles, and keeps lights and verdict as they should be.
//!
//! One thread and one wait. It wakes when a health file changes, when systemd says something, when someone asks for a
//! light, and when a light has to be armed again; between those nothing runs.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stayput_hat::{Action, Hat};
use stayput_health::{Board, Code, Moment, Part, Reading, State, Writer};
use stayput_status::{
    Asked, Facts, Finding, PartView, Phase, Settler, Severity, System, Unit, Verdict, fold,
};

use crate::ask::{self, Desk};
use crate::known;
use crate::light::Panel;
use crate::parts::Parts;
use crate::said::Said;
use crate::systemd::{Systemd, Told};
use crate::verdict::{self, Document};
use crate::{Error, Result};

/// How often the part says that it lives: in its health file, and to systemd's watchdog. A third of its silence at most.
const BEAT: u64 = 20_000;

/// A sign of life that is due as soon as this is given at once when the part is awake for something else: each time that
/// it wakes costs more than what it does then.
const EARLY: u64 = 4_000;

/// How often names, addresses and figures are looked up, while nothing changes.
const KNOWN: u64 = 60_000;

/// How often it looks while something is about to change by time alone.
const TICK: u64 = 1_000;

/// How long it may know nothing from systemd before it says so itself: the bus comes up late on a slow card.
const DEAF: u64 = 120_000;

/// Where the daemon finds and leaves things.
#[derive(Debug, Clone)]
pub struct Places {
    /// The health files.
    pub health: PathBuf,
    /// The requests.
    pub ask: PathBuf,
    /// The part's own folder, which outlives the process and not the boot.
    pub own: PathBuf,
    /// The verdict.
    pub verdict: PathBuf,
}

impl Places {
    /// The file that says that the system is going down.
    pub fn leaving(&self) -> PathBuf {
        self.own.join("leaving")
    }
}

impl Default for Places {
    /// On the box.
    fn default() -> Self {
        let verdict = PathBuf::from(verdict::PATH);
        let own = verdict.parent().map(PathBuf::from).unwrap_or_default();
        Self { health: stayput_health::DIRECTORY.into(), ask: ask::DIRECTORY.into(), own, verdict }
    }
}

/// What ended a wait.
enum Woken {
    ToStop,
    ByNews,
    ByTime,
}

/// The daemon between two turns.
pub struct Daemon {
    places: Places,
    panel: Panel,
    parts: Parts,
    desk: Desk,
    systemd: Option<Systemd>,
    told: Option<Told>,
    hat: Option<Hat>,
    board: Option<Board>,
    facts: Facts,
    writer: Writer,
    itself: PartView,
    settler: Settler,
    folded: Option<Verdict>,
    shown: Option<Verdict>,
    beat: u64,
    /// Until when nothing but the lights needs looking after, as long as nothing happens.
    calm: u64,
    /// When the facts are looked up again.
    known: u64,
    said: Said,
}

impl Daemon {
    /// Ready to turn. `systemd` may be missing (in a test): then the health files alone count.
    pub fn new(places: Places, panel: Panel, systemd: Option<Systemd>, now: Moment) -> Self {
        let mut desk = Desk::in_directory(&places.ask);
        let mut said = Said::default();
        // It lies there when this part died: an orderly end takes it away.
        let alive = places.own.join("alive");
        let died = alive.exists().then_some(now);
        let tested = places.own.join("lamps-tested");
        if !tested.exists() {
            desk.ask(Asked::LampTest, now);
        }
        for flag in [alive, tested] {
            if let Err(error) = fs::write(&flag, "").map_err(Error::io("write", &flag)) {
                said.trouble("own folder", &error);
            }
        }
        let itself = PartView { part: Part::Status, reading: Reading::Absent, unit: Unit::Active, died };
        let mut parts = Parts::in_directory(&places.health, now);
        if systemd.is_none() {
            parts.expect_nothing();
        }
        Self {
            panel,
            parts,
            desk,
            systemd,
            told: None,
            hat: None,
            board: None,
            facts: Facts::default(),
            writer: Writer::in_directory(Part::Status, &places.health),
            itself,
            settler: Settler::default(),
            folded: None,
            shown: None,
            beat: 0,
            calm: 0,
            known: 0,
            said,
            places,
        }
    }

    /// With the hat of this box, and the board that it sits on.
    pub fn with_hat(mut self, hat: Hat, board: Option<Board>) -> Self {
        (self.hat, self.board) = (Some(hat), board);
        self
    }

    /// Turns until `stop` is readable, which is when systemd wants it to end.
    pub fn run(mut self, stop: &UnixStream) -> Result<()> {
        let mut next = self.turn(Moment::now());
        loop {
            next = match self.wait(stop, next)? {
                Woken::ToStop => {
                    self.end();
                    return Ok(());
                }
                Woken::ByNews => self.turn(Moment::now()),
                Woken::ByTime => self.tick(Moment::now()),
            };
        }
    }

    /// Time has passed and nothing has happened: mostly a light has to be armed again, and that is all. Answers as
    /// [`Daemon::turn`] does.
    pub fn tick(&mut self, now: Moment) -> u64 {
        if self.calm <= now.boot_ms + EARLY {
            return self.turn(now);
        }
        let light = self.panel.keep(now.boot_ms, &mut self.said);
        light.map_or(self.calm, |light| light.min(self.calm))
    }

    /// Does everything that is due; answers when the next turn is, in milliseconds of the boot clock.
    pub fn turn(&mut self, now: Moment) -> u64 {
        self.hear();
        // Before the look, which takes in the notice of the part's own file with the others.
        if self.beat <= now.boot_ms + EARLY {
            self.speak(now);
        }
        self.parts.look(now);
        if let Some(trouble) = self.parts.trouble() {
            self.said.trouble("health files", &trouble);
        }
        self.desk.look(now);
        self.attend(now);
        let asked = self.desk.asked(now);
        let fresh = self.fold(asked.map(|(asked, _)| asked), now);
        let settled = self.settle(fresh.clone(), now);
        self.know(settled.state.code, now);
        self.panel.show(settled.state.code, now.boot_ms, &mut self.said);
        if let Some(hat) = &self.hat {
            hat.show(&settled, &self.facts, self.parts.reports().collect::<Vec<_>>());
        }
        self.publish(settled, now);

        let light = self.panel.keep(now.boot_ms, &mut self.said);
        let soon = self.about_to_change(&fresh, now).then(|| now.boot_ms + TICK);
        let due = [soon, asked.map(|(_, until)| until), self.parts.next_silence()];
        self.calm = due.into_iter().flatten().fold(self.beat, u64::min);
        light.map_or(self.calm, |light| light.min(self.calm))
    }

    fn hear(&mut self) {
        match self.systemd.as_mut().and_then(Systemd::hear) {
            Some(Ok(told)) => {
                self.parts.told(&told.units);
                self.told = Some(told);
                self.said.well("systemd");
            }
            // What it said last stays true as far as anyone knows.
            Some(Err(error)) => self.said.trouble("systemd", &error),
            None => {}
        }
    }

    /// What a person at the keys has asked for.
    fn attend(&mut self, now: Moment) {
        while let Some(action) = self.hat.as_ref().and_then(Hat::asked) {
            match action {
                Action::LampTest => self.desk.ask(Asked::LampTest, now),
                // A path unit waits for it, so that this part needs no right to switch anything off.
                Action::PowerOff => {
                    let path = self.places.own.join("power-off");
                    match fs::write(&path, "").map_err(Error::io("write", &path)) {
                        Ok(()) => eprintln!("<5>power off: asked for at the keys"),
                        Err(error) => self.said.trouble("power off", &error),
                    }
                }
            }
        }
    }

    /// The part's own health, and the sign of life for systemd.
    fn speak(&mut self, now: Moment) {
        self.beat = now.boot_ms + BEAT;
        let deaf = self.systemd.is_some() && self.told.is_none() && now.boot_ms > DEAF;
        if deaf {
            // Which parts are wanted is not known, so a missing one cannot be called dead; this part says that it limps.
            self.parts.expect_nothing();
        }
        let (state, code) =
            if deaf { (State::Degraded, Code::PartDegraded) } else { (State::Running, Code::Running) };
        match self.writer.write(state, code, now) {
            Ok(report) => {
                self.itself.reading = Reading::Fresh(report);
                self.said.well("own health file");
            }
            Err(error) => {
                self.said.trouble("own health file", &error);
                self.itself.reading = Reading::Unreadable(error);
            }
        }
        // Without systemd (in a test) there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }

    /// Looks up what is known beside the verdict `code`: when that is new, and now and then.
    fn know(&mut self, code: Code, now: Moment) {
        let new = self.shown.as_ref().is_none_or(|shown| shown.state.code != code);
        if new || self.known <= now.boot_ms {
            self.known = now.boot_ms + KNOWN;
            self.facts = known::facts(self.board.as_ref(), self.parts.reports());
        }
    }

    fn fold(&self, asked: Option<Asked>, now: Moment) -> Verdict {
        let phase = self.told.as_ref().map_or(Phase::ComingUp, |told| told.phase);
        // A box that cannot ask systemd has come up all the same.
        let phase = if self.told.is_none() && (self.systemd.is_none() || now.boot_ms > DEAF) {
            Phase::Up
        } else {
            phase
        };
        let degraded = self.told.as_ref().is_some_and(|told| told.degraded);
        fold(self.parts.views().iter().chain([&self.itself]), System { phase, asked, degraded }, now)
    }

    fn settle(&mut self, fresh: Verdict, now: Moment) -> Verdict {
        // What was found last was true until this moment, for nothing has woken the loop since.
        if let Some(before) = self.folded.take().filter(|before| before.state.code != fresh.state.code) {
            let _ = self.settler.settle(before, now);
        }
        self.folded = Some(fresh.clone());
        self.settler.settle(fresh, now)
    }

    /// Whether the passing of time alone will soon change what is shown.
    fn about_to_change(&self, fresh: &Verdict, now: Moment) -> bool {
        let shown = self.panel.shown();
        let mourned = |view: &PartView| {
            let ago = view.died.and_then(|died| now.since(died));
            ago.is_some_and(|ago| ago <= Duration::from_secs(11))
        };
        shown != fresh.state.code
            || fresh.state.code == Code::Starting
            || self.parts.views().iter().chain([&self.itself]).any(mourned)
    }

    /// Tells the world, when there is something new to tell.
    fn publish(&mut self, verdict: Verdict, now: Moment) {
        let same = |one: &Verdict, other: &Verdict| {
            let what = |finding: &Finding| (finding.code, finding.part, finding.detail.clone());
            let all =
                |it: &Verdict| -> Vec<_> { [&it.state].into_iter().chain(&it.others).map(what).collect() };
            all(one) == all(other)
        };
        let shown = self.shown.replace(verdict);
        let Some(verdict) = &self.shown else { return };
        if shown.as_ref().is_some_and(|shown| same(shown, verdict)) {
            return;
        }
        if shown.is_none_or(|shown| shown.state.code != verdict.state.code) {
            eprintln!("<{}>{}", level(verdict.state.severity()), verdict.state);
        }
        match Document::of(verdict, now).write(&self.places.verdict) {
            Ok(()) => self.said.well("verdict"),
            Err(error) => self.said.trouble("verdict", &error),
        }
    }

    /// Sleeps until `next`, or until something happens.
    fn wait(&self, stop: &UnixStream, next: u64) -> Result<Woken> {
        let systemd = self.systemd.as_ref().map(Systemd::bell);
        let hat = self.hat.as_ref().map(Hat::wake);
        let bells: Vec<BorrowedFd<'_>> =
            [Some(stop.as_fd()), systemd, self.parts.bell(), self.desk.bell(), hat]
                .into_iter()
                .flatten()
                .collect();
        let mut fds: Vec<_> =
            bells.iter().map(|bell| PollFd::from_borrowed_fd(*bell, PollFlags::IN)).collect();
        // A millisecond more than a whole one, so that what is due then is due.
        let left = Duration::from_millis(next.saturating_sub(Moment::now().boot_ms) + 1);
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(Woken::ByTime),
            Ok(_) if fds.first().is_some_and(|stop| !stop.revents().is_empty()) => Ok(Woken::ToStop),
            Ok(_) => Ok(Woken::ByNews),
            Err(errno) => Err(Error::io("wait for", "everything")(errno.into())),
        }
    }

    /// The last thing it does: while the system stops, "leave the power on" is for the kernel to go on saying.
    fn end(&mut self) {
        self.hear();
        let told = self.told.as_ref().is_some_and(|told| told.phase == Phase::Stopping);
        let stopping = told || self.places.leaving().exists();
        self.panel.leave(if stopping { Code::ShuttingDown } else { Code::StatusDark }, &mut self.said);
        let _ = fs::remove_file(self.places.own.join("alive"));
        if let Err(error) = self.writer.write(State::Stopped, Code::Stopped, Moment::now()) {
            self.said.trouble("own health file", &error);
        }
    }
}

/// The level of a state in the log, as syslog counts.
fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Good | Severity::Passing => 6,
        Severity::Command => 5,
        Severity::Warning => 4,
        Severity::Fault => 3,
    }
}
