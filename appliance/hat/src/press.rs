//! What a person does with the keys: a short press, or a long one that switches the box off.
//!
//! A key acts when it comes up, so that the beginning of a long press turns no page. After a second of holding a
//! countdown shows; whoever lets go before its end has done nothing. Pure: times come in, presses come out.

use std::time::Duration;

/// How long a key must be held until the box switches itself off.
pub const HOLD: Duration = Duration::from_secs(5);

/// A press that is longer is not short any more: the countdown shows.
const SHORT: Duration = Duration::from_secs(1);

/// One of the hat's keys, as printed beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The next page.
    K1,
    /// Act on this page.
    K2,
    /// Back to the verdict.
    K3,
}

impl Key {
    /// All three.
    pub const ALL: [Self; 3] = [Self::K1, Self::K2, Self::K3];

    /// Its name on the hat.
    pub const fn name(self) -> &'static str {
        match self {
            Self::K1 => "K1",
            Self::K2 => "K2",
            Self::K3 => "K3",
        }
    }
}

/// What a person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Press {
    /// A key went down. It wakes the screen and does nothing else yet.
    Touched,
    /// A key was pressed and let go.
    Short(Key),
    /// A key is held: in so long the box switches itself off.
    Holding {
        /// How long it must still be held.
        left: Duration,
    },
    /// It was let go in time.
    Spared,
    /// It was held to the end.
    PowerOff,
}

/// The keys as they are. Times are on any clock that never goes back.
#[derive(Debug, Clone, Default)]
pub struct Presses {
    down: Vec<(Key, Hold)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Since then, and nothing else is down.
    Since(Duration),
    /// Down with another key, or down before anyone looked, or already acted on: it means nothing until it comes up.
    Void,
}

impl Presses {
    /// Keys of which `stuck` are down already: they mean nothing until they have come up. A box whose key is jammed
    /// must not switch itself off at each start.
    pub fn new(stuck: impl IntoIterator<Item = Key>) -> Self {
        let mut presses = Self::default();
        for key in stuck {
            presses.stuck(key);
        }
        presses
    }

    /// `key` was found down without having been seen going down.
    pub fn stuck(&mut self, key: Key) -> Option<Press> {
        self.down.retain(|(down, _)| *down != key);
        self.and_another(key)
    }

    /// All keys are up, because nobody can see them any more.
    pub fn lost(&mut self) -> Option<Press> {
        let held = self.held().is_some();
        self.down.clear();
        held.then_some(Press::Spared)
    }

    /// `key` went down.
    pub fn press(&mut self, key: Key, now: Duration) -> Option<Press> {
        if self.down.iter().any(|(down, _)| *down == key) {
            return None;
        }
        if self.down.is_empty() {
            self.down.push((key, Hold::Since(now)));
            return Some(Press::Touched);
        }
        self.and_another(key)
    }

    /// Two at once are no long press: whoever grips the box means nothing by it.
    fn and_another(&mut self, key: Key) -> Option<Press> {
        let held = self.held().is_some();
        self.down.iter_mut().for_each(|(_, hold)| *hold = Hold::Void);
        self.down.push((key, Hold::Void));
        held.then_some(Press::Spared)
    }

    /// `key` came up.
    pub fn release(&mut self, key: Key, now: Duration) -> Option<Press> {
        let at = self.down.iter().position(|(down, _)| *down == key)?;
        match self.down.remove(at).1 {
            Hold::Void => None,
            // It came up after its time, and nobody had looked in between: what was not shown does not count.
            Hold::Since(since) if now.saturating_sub(since) >= SHORT => Some(Press::Spared),
            Hold::Since(_) => Some(Press::Short(key)),
        }
    }

    /// What holding means by now. Ask again after [`Presses::look_again`].
    pub fn look(&mut self, now: Duration) -> Option<Press> {
        let since = self.held()?;
        let held = now.saturating_sub(since);
        if held >= HOLD {
            self.down.iter_mut().for_each(|(_, hold)| *hold = Hold::Void);
            return Some(Press::PowerOff);
        }
        (held >= SHORT).then(|| Press::Holding { left: HOLD.saturating_sub(held) })
    }

    /// In how long holding means something else; `None` while nothing is held.
    pub fn look_again(&self, now: Duration) -> Option<Duration> {
        const STEP: Duration = Duration::from_millis(250);
        let held = now.saturating_sub(self.held()?);
        let next = if held < SHORT { SHORT } else { (held + STEP).min(HOLD) };
        Some(next.saturating_sub(held).max(Duration::from_millis(1)))
    }

    fn held(&self) -> Option<Duration> {
        match self.down.as_slice() {
            [(_, Hold::Since(since))] => Some(*since),
            _ => None,
        }
    }
}
