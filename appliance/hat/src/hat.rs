//! The hat as the status part uses it: one thread that owns screen, port and keys.
//!
//! The status part hands over what is to be shown and goes on at once; it is woken when a key asks for something. A
//! screen that hangs, a port that nobody reads and a key that is stuck stay on this thread.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use stayput_health::board::Board;
use stayput_health::{Code, Moment, Report};
use stayput_status::{Facts, Verdict};

use crate::buttons::{Buttons, DIRECTORY, Map, Motion};
use crate::panel::{Panel, Picture, Screen, Wired};
use crate::port::{Port, place};
use crate::press::{Press, Presses};
use crate::view::Today;
use crate::{Care, Frame, Gauges, Glow, Page, Result, Tour, View, Work, countdown, draw};

/// What a person asks for with the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Try all lights.
    LampTest,
    /// Switch the box off, in good order.
    PowerOff,
}

/// A port that does not take a picture is tried again after this long.
const PORT_AGAIN: Duration = Duration::from_secs(2);
/// How often the gauges are read while someone looks at them.
const GAUGES: Duration = Duration::from_secs(5);
/// An age on the screen changes each minute at most.
const MINUTE: u64 = 60_000;
/// Enough for a picture, a line of the port and some text.
const STACK: usize = 128 * 1024;

/// The hat. It works for as long as this is kept.
#[derive(Debug)]
pub struct Hat {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// Readable: there is something on the desk for the hat.
    to_hat: OwnedFd,
    /// Readable: there is something on the desk for the status part.
    to_status: OwnedFd,
}

/// What lies between both threads.
#[derive(Debug, Default)]
struct Desk {
    view: Option<View>,
    today: Today,
    fresh: bool,
    asked: VecDeque<Action>,
    over: bool,
}

/// The hardware, or what stands for it in a test.
struct Rim {
    screen: Option<Box<dyn Panel>>,
    port: PathBuf,
    keys: Map,
    inputs: PathBuf,
    brightness: u8,
    log: Box<dyn FnMut(String) + Send>,
}

impl Hat {
    /// Starts the hat of `board`, its screen as bright as so many percent. Whatever is missing is logged once and looked
    /// for again; nothing here fails but the making of a thread.
    pub fn start(board: Option<&Board>, brightness: u8) -> std::io::Result<Self> {
        let keys = board.map(|board| board.keys.as_slice()).unwrap_or_default();
        let screen = board.and_then(|board| board.oled.clone());
        if screen.is_none() {
            eprintln!("<6>the hat's screen: this board has none; keys and lights work without it");
        }
        Self::with(Rim {
            screen: screen.map(|place| Box::new(Wired::new(place)) as Box<dyn Panel>),
            port: place(),
            keys: Map::new(keys),
            inputs: PathBuf::from(DIRECTORY),
            brightness,
            log: Box::new(|line| eprintln!("{line}")),
        })
    }

    fn with(rim: Rim) -> std::io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let shared = Arc::new(Shared {
            desk: Mutex::default(),
            to_hat: eventfd(0, flags)?,
            to_status: eventfd(0, flags)?,
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hat".to_owned()).stack_size(STACK);
        let thread = thread.spawn(move || Worn::new(theirs, rim).run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What is to be shown from now on. Costs next to nothing while it stays the same.
    pub fn show<'a>(
        &self,
        verdict: &Verdict,
        facts: &Facts,
        reports: impl IntoIterator<Item = &'a Report> + Clone,
    ) {
        let mut work = Work::of(reports.clone());
        let mut desk = self.shared.desk();
        work.today = desk.today.of(reports, Moment::now());
        let same = desk
            .view
            .as_ref()
            .is_some_and(|view| view.verdict == *verdict && view.facts == *facts && view.work == work);
        if same {
            return;
        }
        let (verdict, facts) = (verdict.clone(), facts.clone());
        desk.view = Some(View { verdict, facts, work, gauges: Gauges::default(), now: Moment::now() });
        desk.fresh = true;
        drop(desk);
        ring(&self.shared.to_hat);
    }

    /// Readable when [`Hat::asked`] has something.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.shared.to_status.as_fd()
    }

    /// What a person has asked for since, one thing at a time.
    pub fn asked(&self) -> Option<Action> {
        let mut desk = self.shared.desk();
        let action = desk.asked.pop_front();
        if desk.asked.is_empty() {
            hush(&self.shared.to_status);
        }
        action
    }
}

impl Drop for Hat {
    fn drop(&mut self) {
        self.shared.desk().over = true;
        ring(&self.shared.to_hat);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// No one panics with the desk in hand; and if, what lies on it is whole.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter that is full is readable all the same, so no write here can be missed.
fn ring(bell: &OwnedFd) {
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

fn hush(bell: &OwnedFd) {
    let _ = rustix::io::read(bell, &mut [0; 8]);
}

/// The hat on its own thread.
struct Worn {
    shared: Arc<Shared>,
    screen: Option<Screen>,
    port: Port,
    port_waits: bool,
    buttons: Buttons,
    presses: Presses,
    tour: Tour,
    care: Care,
    view: Option<View>,
    gauged: Option<Duration>,
    holding: Option<Duration>,
    /// The press that woke the screen does nothing else.
    woken: bool,
    brightness: u8,
    log: Box<dyn FnMut(String) + Send>,
}

impl Worn {
    fn new(shared: Arc<Shared>, rim: Rim) -> Self {
        let mut care = Care::default();
        care.stir(now());
        Self {
            shared,
            screen: rim.screen.map(Screen::new),
            port: Port::new(rim.port),
            port_waits: false,
            buttons: Buttons::new(rim.keys, rim.inputs),
            presses: Presses::default(),
            tour: Tour::default(),
            care,
            view: None,
            gauged: None,
            holding: None,
            woken: false,
            brightness: rim.brightness,
            log: rim.log,
        }
    }

    fn run(mut self) {
        while self.turn() {}
    }

    /// Everything once: look, show, wait. `false` at the end.
    fn turn(&mut self) -> bool {
        let begun = now();
        if !self.take(begun) {
            return false;
        }
        for motion in self.buttons.scan(begun, &mut self.log) {
            self.moved(motion, begun);
        }
        for motion in self.buttons.read(begun) {
            self.moved(motion, begun);
        }
        if let Some(press) = self.presses.look(begun) {
            self.pressed(press, begun);
        }
        let picture = self.picture(begun);
        if let Some(picture) = &picture {
            self.port_waits = self.port.show(picture);
            if let Some(screen) = &mut self.screen {
                screen.show(picture, begun, &mut self.log);
            }
        }
        // A screen that hung took its time.
        self.wait(picture.as_ref(), now());
        true
    }

    /// Takes what lies on the desk.
    fn take(&mut self, now: Duration) -> bool {
        hush(&self.shared.to_hat);
        let mut desk = self.shared.desk();
        if desk.over {
            return false;
        }
        if !std::mem::take(&mut desk.fresh) {
            return true;
        }
        let Some(fresh) = desk.view.clone() else { return true };
        drop(desk);
        let code = |view: &View| view.verdict.state.code;
        if self.view.as_ref().map(code) != Some(code(&fresh)) {
            self.care.stir(now);
            self.tour.changed(now);
        }
        let gauges = self.view.as_ref().map(|view| view.gauges).unwrap_or_default();
        self.view = Some(View { gauges, ..fresh });
        true
    }

    fn moved(&mut self, motion: Motion, now: Duration) {
        let press = match motion {
            Motion::Down(key) => self.presses.press(key, now),
            Motion::Up(key) => self.presses.release(key, now),
            Motion::Lost => self.presses.lost(),
            Motion::Found(key) => self.presses.stuck(key),
        };
        if let Some(press) = press {
            self.pressed(press, now);
        }
    }

    fn pressed(&mut self, press: Press, now: Duration) {
        match press {
            Press::Touched => self.woken = self.glow(now) == Glow::Asleep,
            Press::Short(key) => {
                if let Some(view) = &self.view
                    && !self.woken
                    && let Some(action) = self.tour.press(key, view, now)
                {
                    self.ask(action);
                }
            }
            Press::Holding { left } => self.holding = Some(left),
            Press::Spared => self.holding = None,
            Press::PowerOff => {
                self.holding = None;
                self.ask(Action::PowerOff);
            }
        }
        self.care.stir(now);
    }

    fn ask(&self, action: Action) {
        self.shared.desk().asked.push_back(action);
        ring(&self.shared.to_status);
    }

    fn glow(&self, now: Duration) -> Glow {
        match &self.view {
            Some(view) => self.care.glow(view.verdict.state.severity(), now),
            None => Glow::Bright,
        }
    }

    /// What is to be seen now; nothing before the first verdict.
    fn picture(&mut self, now: Duration) -> Option<Picture> {
        let view = self.view.as_mut()?;
        self.tour.look(view, now);
        if self.tour.page() == Page::Machine
            && self.gauged.is_none_or(|read| now.saturating_sub(read) >= GAUGES)
        {
            self.gauged = Some(now);
            view.gauges = Gauges::read();
        }
        view.now.boot_ms = milliseconds(now);
        let glow = self.care.glow(view.verdict.state.severity(), now);
        let contrast = glow.contrast(self.brightness);
        let frame = match (glow, self.holding) {
            (Glow::Asleep, _) => Frame::dark(),
            (_, Some(left)) => countdown(left),
            _ => draw(self.tour.page(), self.tour.screenful(), view),
        };
        let (right, down) = Care::place(now);
        Some(Picture { frame: frame.moved(right, down), contrast })
    }

    /// Sleeps until something moves, or time alone changes something.
    fn wait(&self, picture: Option<&Picture>, now: Duration) {
        let mut waits = vec![Some(self.buttons.wait(now)), self.presses.look_again(now)];
        if let (Some(view), Some(picture)) = (&self.view, picture) {
            waits.push(self.care.look_again(view.verdict.state.severity(), now));
            waits.push(self.tour.look_again(view, now));
            waits.push(self.screen.as_ref().map(|screen| screen.wait(picture, now)));
            waits.push(self.port_waits.then_some(PORT_AGAIN));
            let age = milliseconds(now).saturating_sub(view.verdict.state.since.boot_ms);
            let minute = Duration::from_millis(MINUTE - age % MINUTE);
            waits.push((picture.contrast > 0).then_some(minute));
            waits.push((self.tour.page() == Page::Machine).then_some(GAUGES));
        }
        let wait = waits.into_iter().flatten().min().unwrap_or(Duration::MAX);
        let mut watched = vec![PollFd::from_borrowed_fd(self.shared.to_hat.as_fd(), PollFlags::IN)];
        let buttons = self.buttons.descriptors();
        watched.extend(buttons.into_iter().map(|key| PollFd::from_borrowed_fd(key, PollFlags::IN)));
        // An hour is as good as for ever, and fits every clock. A millisecond more than due, so that it is due then.
        let wait = wait.min(Duration::from_secs(3600)) + Duration::from_millis(1);
        let timeout = Timespec::try_from(wait).ok();
        // Interrupted or not: everything is looked at again.
        let _ = poll(&mut watched, timeout.as_ref());
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The boot clock's time.
fn now() -> Duration {
    Duration::from_millis(Moment::now().boot_ms)
}

/// Shows the state `code` on `board`'s screen, once and at once: for the moment when no daemon is left, as after the
/// shutdown. Without a screen it does nothing.
pub fn last_words(board: &Board, brightness: u8, code: Code) -> Result<()> {
    let frame = draw(Page::Verdict, 0, &View::of_state(code));
    let picture = Picture { frame, contrast: Glow::Dim.contrast(brightness) };
    board.oled.clone().map_or(Ok(()), |place| Wired::new(place).show(&picture))
}

#[cfg(test)]
#[path = "hat_tests.rs"]
mod tests;
