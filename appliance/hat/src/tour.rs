//! Which page is shown: what short presses do, and what happens when nobody presses anything.

use std::time::Duration;

use crate::press::Key;
use crate::{Action, Page, View};

/// How long one screenful of a longer page stands before the next one follows by itself.
const TURN: Duration = Duration::from_secs(6);
/// When nobody has pressed anything for so long, the verdict is shown again.
const HOME: Duration = Duration::from_secs(90);
/// Whoever pressed a key within so long is reading: a change of state does not take the page away.
const READING: Duration = Duration::from_secs(15);

/// Where a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tour {
    page: Page,
    screenful: usize,
    /// When the screenful came up.
    turned: Duration,
    /// When a key was pressed last.
    pressed: Option<Duration>,
}

impl Default for Tour {
    fn default() -> Self {
        Self { page: Page::Verdict, screenful: 0, turned: Duration::ZERO, pressed: None }
    }
}

impl Tour {
    /// The page.
    pub fn page(&self) -> Page {
        self.page
    }

    /// Which of its screenfuls, from 0.
    pub fn screenful(&self) -> usize {
        self.screenful
    }

    /// `key` was pressed for a short time.
    pub fn press(&mut self, key: Key, view: &View, now: Duration) -> Option<Action> {
        self.pressed = Some(now);
        match (key, self.page) {
            (Key::K1, page) => self.go(page.next(), now),
            (Key::K2, Page::Verdict) => self.go(Page::Help, now),
            (Key::K2, _) => self.turn(view, now),
            (Key::K3, Page::Verdict) => return Some(Action::LampTest),
            (Key::K3, _) => self.go(Page::Verdict, now),
        }
        None
    }

    /// The state of the box is another one now.
    pub fn changed(&mut self, now: Duration) {
        let reading = self.pressed.is_some_and(|pressed| now.saturating_sub(pressed) < READING);
        if !reading {
            self.go(Page::Verdict, now);
        }
    }

    /// Time has passed.
    pub fn look(&mut self, view: &View, now: Duration) {
        if self.page != Page::Verdict && now.saturating_sub(self.pressed.unwrap_or_default()) >= HOME {
            self.go(Page::Verdict, now);
        } else if self.page.screenfuls(view) > 1 && now.saturating_sub(self.turned) >= TURN {
            self.turn(view, now);
        }
    }

    /// In how long time alone changes something.
    pub fn look_again(&self, view: &View, now: Duration) -> Option<Duration> {
        if self.page == Page::Verdict {
            return None;
        }
        let home = HOME.saturating_sub(now.saturating_sub(self.pressed.unwrap_or_default()));
        let turn = TURN.saturating_sub(now.saturating_sub(self.turned));
        Some(if self.page.screenfuls(view) > 1 { home.min(turn) } else { home })
    }

    fn go(&mut self, page: Page, now: Duration) {
        (self.page, self.screenful, self.turned) = (page, 0, now);
    }

    fn turn(&mut self, view: &View, now: Duration) {
        self.screenful = (self.screenful + 1) % self.page.screenfuls(view);
        self.turned = now;
    }
}
