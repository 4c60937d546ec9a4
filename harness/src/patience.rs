//! Deadlines that stretch on a slow machine: `STAYPUT_PATIENCE=3` triples every one of them.
//!
//! Nothing here waits a fixed time for something to have happened. A wait asks for the state itself in
//! short steps; the deadline only says when to stop believing.

use std::time::{Duration, Instant};

/// Between two looks at a state that is asked for, not announced: at first, and at most. On an emulated processor a look may cost
/// more than what is waited for, so they come further apart the longer it takes.
const STEP: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));

/// The environment variable with the factor.
pub const VARIABLE: &str = "STAYPUT_PATIENCE";

/// How much longer than on a quiet machine everything may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience(f64);

impl Default for Patience {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Patience {
    /// From `STAYPUT_PATIENCE`; 1 where it is unset. A value that is no number from 0.1 to 100 stops the run,
    /// because a test that silently waits for too short a time says something untrue.
    pub fn from_env() -> Self {
        match std::env::var(VARIABLE) {
            Err(_) => Self::default(),
            Ok(text) => Self::parse(&text).unwrap_or_else(|| {
                panic!(
                    "{VARIABLE}={text:?} is no number from 0.1 to 100; leave it out or say e.g. {VARIABLE}=3"
                )
            }),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().filter(|factor| (0.1..=100.0).contains(factor)).map(Self)
    }

    /// `base`, stretched.
    pub fn stretch(self, base: Duration) -> Duration {
        base.mul_f64(self.0)
    }

    /// The moment `base` (stretched) from now.
    pub fn deadline(self, base: Duration) -> Deadline {
        let allowed = self.stretch(base);
        Deadline { end: Instant::now() + allowed, allowed }
    }
}

/// A moment after which waiting is given up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
    /// How long it was from the start, for the message.
    pub allowed: Duration,
}

impl Deadline {
    /// What is left; zero when it has passed.
    pub fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Asks `look` in short steps until it has something or the deadline passes; looks once more at the end,
    /// so that a test process that was stopped for a while does not call an event late that did happen.
    pub fn poll<T, E>(&self, mut look: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
        let begun = Instant::now();
        loop {
            let last = self.passed();
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if last {
                return Ok(None);
            }
            let step = (begun.elapsed() / 20).clamp(STEP.0, STEP.1);
            std::thread::sleep(step.min(self.remaining()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_stretches_and_nonsense_is_refused() {
        assert_eq!(Patience::parse("2.5").unwrap().stretch(Duration::from_secs(2)), Duration::from_secs(5));
        for nonsense in ["", "fast", "0", "-1", "NaN", "inf", "1000"] {
            assert_eq!(Patience::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_state_reached_exactly_at_the_deadline_counts() {
        let deadline = Patience::default().deadline(Duration::ZERO);
        assert_eq!(deadline.poll(|| Ok::<_, ()>(Some(1))), Ok(Some(1)));
    }

    #[test]
    fn a_state_never_reached_ends_the_wait() {
        let mut looks = 0;
        let found = Patience::default().deadline(Duration::from_millis(60)).poll(|| {
            looks += 1;
            Ok::<Option<()>, ()>(None)
        });
        assert_eq!(found, Ok(None));
        assert!(looks >= 2, "{looks}");
    }
}
