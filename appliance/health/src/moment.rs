//! A point in time on two clocks: the wall's, which people read and which jumps, and the boot clock, which counts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point in time. Ages are differences of `boot_ms` only: a box without a clock battery starts in the past, and its
/// wall clock jumps by years when the network has told it the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Seconds since 1970 on the wall clock, for people and reports; never for arithmetic.
    pub unix: i64,
    /// Milliseconds of `CLOCK_BOOTTIME`: since this boot, sleep included, never set.
    pub boot_ms: u64,
}

impl Moment {
    /// Now, on both clocks.
    pub fn now() -> Self {
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        };
        let boot = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(boot.tv_nsec).unwrap_or(0);
        Self { unix: wall, boot_ms: seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000) }
    }

    /// How long ago `earlier` was, by the boot clock; `None` when it is not earlier.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.boot_ms.checked_sub(earlier.boot_ms).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_moves_forward_and_is_the_one_that_the_kernel_shows_as_uptime() {
        let before = Moment::now();
        let shown = std::fs::read_to_string("/proc/uptime").unwrap();
        let after = Moment::now();
        let uptime: f64 = shown.split(' ').next().unwrap().parse().unwrap();
        assert!(after.since(before).is_some());
        assert!(after.boot_ms as f64 / 1000.0 + 0.02 >= uptime, "{after:?} {uptime}");
        assert!(before.boot_ms as f64 / 1000.0 <= uptime + 1.0, "{before:?} {uptime}");
    }

    #[test]
    fn an_age_does_not_move_when_the_wall_clock_jumps() {
        let written = Moment { unix: 0, boot_ms: 5_000 };
        let now = Moment { unix: 1_795_000_000, boot_ms: 6_500 };
        assert_eq!(now.since(written), Some(Duration::from_millis(1_500)));
        assert_eq!(written.since(now), None);
    }
}
