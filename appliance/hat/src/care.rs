//! Care for the screen: its dots fade where they are lit for long. So it dims, moves about a little, and sleeps.

use std::time::Duration;

use stayput_status::Severity;

use crate::draw::SPARE;

/// How bright the screen is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Glow {
    /// Off: every dot is dark.
    Asleep,
    /// A sixth.
    Dim,
    /// As bright as it was set.
    Bright,
}

impl Glow {
    /// The contrast for the screen whose brightness was set to so many percent; 0 is off.
    pub fn contrast(self, percent: u8) -> u8 {
        let full = (u16::from(percent.clamp(1, 100)) * 255 / 100).max(6);
        let contrast = match self {
            Self::Asleep => 0,
            Self::Dim => full / 6,
            Self::Bright => full,
        };
        u8::try_from(contrast).unwrap_or(u8::MAX)
    }
}

/// It is bright for so long after a key or a change.
const BRIGHT: Duration = Duration::from_secs(60);
/// It stands at one place for so long.
const STAY: Duration = Duration::from_secs(120);
/// The places, so that each step is a short one.
const PLACES: [(u32, u32); 9] =
    [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1), (0, 2), (1, 2), (SPARE, SPARE)];

/// Remembers when there was a reason to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Care {
    stirred: Duration,
}

impl Care {
    /// A key moved, or the state of the box is another one.
    pub fn stir(&mut self, now: Duration) {
        self.stirred = now;
    }

    /// How bright it is now, in a state of `severity`. What does not work stays readable for as long as it does not.
    pub fn glow(&self, severity: Severity, now: Duration) -> Glow {
        let rest = now.saturating_sub(self.stirred);
        if rest < BRIGHT {
            Glow::Bright
        } else if sleeps_after(severity).is_none_or(|after| rest < after) {
            Glow::Dim
        } else {
            Glow::Asleep
        }
    }

    /// By how much the picture is moved now: right and down.
    pub fn place(now: Duration) -> (u32, u32) {
        let at = (now.as_secs() / STAY.as_secs()) % PLACES.len() as u64;
        PLACES[usize::try_from(at).unwrap_or(0)]
    }

    /// In how long time alone changes something; `None` while it sleeps.
    pub fn look_again(&self, severity: Severity, now: Duration) -> Option<Duration> {
        let rest = now.saturating_sub(self.stirred);
        let until = |limit: Duration| limit.checked_sub(rest).filter(|left| !left.is_zero());
        let moves = STAY.saturating_sub(Duration::from_nanos(
            u64::try_from(now.as_nanos() % STAY.as_nanos()).unwrap_or(0),
        ));
        match self.glow(severity, now) {
            Glow::Asleep => None,
            Glow::Bright => until(BRIGHT).map(|left| left.min(moves)),
            Glow::Dim => Some(sleeps_after(severity).and_then(until).map_or(moves, |left| left.min(moves))),
        }
    }
}

/// After how long without a reason to look the screen goes off.
const fn sleeps_after(severity: Severity) -> Option<Duration> {
    match severity {
        Severity::Good => Some(Duration::from_secs(10 * 60)),
        Severity::Passing | Severity::Warning => Some(Duration::from_secs(60 * 60)),
        Severity::Fault | Severity::Command => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn it_dims_then_sleeps_and_a_fault_never_goes_dark() {
        let care = Care::default();
        let glow = |severity, after| care.glow(severity, after);
        assert_eq!(glow(Severity::Good, Duration::from_secs(59)), Glow::Bright);
        assert_eq!(glow(Severity::Good, minutes(1)), Glow::Dim);
        assert_eq!(glow(Severity::Good, minutes(10)), Glow::Asleep);
        assert_eq!(glow(Severity::Warning, minutes(59)), Glow::Dim);
        assert_eq!(glow(Severity::Warning, minutes(60)), Glow::Asleep);
        assert_eq!(glow(Severity::Fault, minutes(60 * 24 * 365)), Glow::Dim);
    }

    #[test]
    fn a_key_or_a_change_wakes_it() {
        let mut care = Care::default();
        care.stir(minutes(30));
        assert_eq!(care.glow(Severity::Good, minutes(30)), Glow::Bright);
    }

    #[test]
    fn every_brightness_is_visible_dims_and_ends_at_nothing() {
        for percent in 0..=255 {
            let [asleep, dim, bright] =
                [Glow::Asleep, Glow::Dim, Glow::Bright].map(|glow| glow.contrast(percent));
            assert!(asleep == 0 && dim > 0 && dim < bright, "{percent}: {dim} {bright}");
        }
        assert_eq!(Glow::Bright.contrast(100), 255);
    }

    #[test]
    fn it_moves_by_one_dot_at_a_time_and_reaches_every_place() {
        let places: Vec<_> = (0..9).map(|step| Care::place(STAY * step)).collect();
        for (from, to) in places.iter().zip(&places[1..]) {
            assert_eq!(from.0.abs_diff(to.0) + from.1.abs_diff(to.1), 1, "{from:?} {to:?}");
        }
        let mut distinct = places.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 9);
        assert!(places.iter().all(|(right, down)| *right <= SPARE && *down <= SPARE));
    }

    #[test]
    fn whoever_waits_as_told_misses_no_change() {
        let care = Care::default();
        for severity in Severity::ALL {
            let mut now = Duration::from_millis(300);
            while let Some(wait) = care.look_again(severity, now).filter(|_| now < minutes(90)) {
                let look = |at| (care.glow(severity, at), Care::place(at));
                assert!(!wait.is_zero());
                assert_eq!(look(now), look(now + wait - Duration::from_millis(1)), "{severity:?} {now:?}");
                now += wait;
            }
        }
    }
}
