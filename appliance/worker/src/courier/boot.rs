//! Time by the boot clock: counts sleep, and cannot be set. Every deadline of a receipt is on it.

use std::time::Duration;

use stayput_health::Moment;

/// Milliseconds since the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Boot(u64);

impl Boot {
    /// Now.
    pub fn now() -> Self {
        Self(Moment::now().boot_ms)
    }

    /// The time `milliseconds` after the boot.
    pub const fn at(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// This much later.
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long from here until `later`; nothing when it is past.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}
