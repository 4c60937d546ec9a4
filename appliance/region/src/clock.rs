//! The region's clock: the desk's own, or one that only a test moves; and how far it is off.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A clock that several hold.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where it stands, in milliseconds; `None` runs with the desk's.
    stands: Option<AtomicI64>,
    /// How far it is ahead, in milliseconds.
    skew: AtomicI64,
}

impl Clock {
    /// The desk's clock.
    pub fn of_the_desk() -> Self {
        Self(Arc::new(Inner { stands: None, skew: AtomicI64::new(0) }))
    }

    /// A clock that stands still between two [`Clock::advance`].
    pub fn standing_at(at: Timestamp) -> Self {
        let stands = Some(AtomicI64::new(at.as_millisecond()));
        Self(Arc::new(Inner { stands, skew: AtomicI64::new(0) }))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        let base = match &self.0.stands {
            Some(stands) => stands.load(Ordering::Relaxed),
            None => Timestamp::now().as_millisecond(),
        };
        let shown = base.saturating_add(self.0.skew.load(Ordering::Relaxed));
        Timestamp::from_millisecond(shown).unwrap_or(Timestamp::MAX)
    }

    /// Moves a standing clock; the desk's own is put ahead.
    pub fn advance(&self, by: SignedDuration) {
        let hand = self.0.stands.as_ref().unwrap_or(&self.0.skew);
        hand.fetch_add(millis(by), Ordering::Relaxed);
    }

    /// Sets how far it is ahead of what it should show, or behind.
    pub fn skew(&self, ahead: SignedDuration) {
        self.0.skew.store(millis(ahead), Ordering::Relaxed);
    }
}

fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(if duration.is_negative() { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_when_told_and_its_skew_is_no_part_of_that() {
        let clock = Clock::standing_at(Timestamp::UNIX_EPOCH);
        clock.advance(SignedDuration::from_hours(1));
        clock.skew(SignedDuration::from_mins(-10));
        assert_eq!(clock.now().as_second(), 3000);
        clock.skew(SignedDuration::ZERO);
        assert_eq!(clock.clone().now().as_second(), 3600);
    }

    #[test]
    fn a_skew_beyond_all_time_shows_the_last_moment_and_no_panic() {
        let clock = Clock::of_the_desk();
        clock.skew(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
