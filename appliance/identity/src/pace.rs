//! When to call again: half of a token's life, or longer and longer after a failure.

use std::time::Duration;

use crate::fault::Ruling;

/// The longest wait between two attempts; what the original agent does (facts/ecs-anywhere.md B4).
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How much of [`LONGEST`] chance may take away, so that a fleet does not call at once after an outage.
const SPREAD: Duration = Duration::from_secs(5 * 60);
/// A token shorter than this is renewed as if it lasted so long: no busy loop, whatever the service says.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// A token longer than this is renewed as if it lasted so long: a wrong date must not put the renewal off for years.
const LONGEST_LIFE: Duration = Duration::from_secs(12 * 3600);

/// How long a good token is left alone.
pub fn renewal(life: Duration) -> Duration {
    life.clamp(SHORTEST_LIFE, LONGEST_LIFE) / 2
}

/// How long to wait after `failures` failures in a row, of which the last got `ruling`; `None` is for ever.
///
/// `chance` is a number from 0 to below 1.
pub fn retry(ruling: Ruling, failures: u32, chance: f64) -> Option<Duration> {
    let doubled = Duration::from_secs(1 << failures.clamp(1, 11));
    match ruling {
        Ruling::Permanent(_) => None,
        Ruling::Slow(_) | Ruling::OtherKey => Some(LONGEST - SPREAD.mul_f64(chance)),
        Ruling::Passing(_) if doubled >= LONGEST => Some(LONGEST - SPREAD.mul_f64(chance)),
        Ruling::Passing(_) => Some(doubled + doubled.mul_f64(0.2 * chance)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stayput_health::Code;

    use super::*;

    const PASSING: Ruling = Ruling::Passing(Code::RegionUnreachable);

    #[test]
    fn an_hours_token_is_renewed_after_half_an_hour() {
        assert_eq!(renewal(Duration::from_secs(3600)), Duration::from_secs(1800));
        assert_eq!(renewal(Duration::ZERO), Duration::from_secs(30));
        assert_eq!(renewal(Duration::from_secs(u64::MAX)), Duration::from_secs(6 * 3600));
    }

    #[test]
    fn the_wait_doubles_and_ends_at_half_an_hour() {
        let waits: Vec<u64> = (1..=13).map(|n| retry(PASSING, n, 0.0).unwrap().as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800, 1800, 1800]);
    }

    #[test]
    fn what_only_a_person_can_mend_is_not_tried_again() {
        assert_eq!(retry(Ruling::Permanent(Code::ActivationExpired), 1, 0.5), None);
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_two_seconds_or_longer_than_half_an_hour(failures: u32, chance in 0.0..1.0f64) {
            for ruling in [PASSING, Ruling::Slow(Code::IdentityRefused)] {
                let wait = retry(ruling, failures, chance).unwrap();
                prop_assert!(wait >= Duration::from_secs(2) && wait <= LONGEST);
            }
        }
    }
}
