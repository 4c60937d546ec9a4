//! What is done about the clock: decided from what was heard, what is saved and what the clock says. Pure.

use std::time::Duration;

use stayput_health::{Code, State};

/// How far a clock on its own may step the first time, in seconds: ten years, longer than any image lies in a drawer.
pub const FARTHEST: i64 = 10 * 365 * 24 * 3600;

/// How far ahead of the region the clock may be: beyond it, the region refuses what the box signs.
pub const AHEAD: i64 = 5 * 60;

/// What a `Date` of whole seconds cannot tell apart; time servers do better than that.
const FINE: i64 = 2;

/// For how long the clock may be on its way before that is a fault.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two questions, at first and at most.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Where the clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// On what systemd found when it began.
    Image,
    /// On the last confirmed time of an earlier start.
    Saved,
    /// On a time server's word.
    Ntp,
    /// On the region's.
    Region,
}

impl Rung {
    /// The word for it in the health file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Saved => "saved",
            Self::Ntp => "ntp",
            Self::Region => "region",
        }
    }
}

/// Why the region told no date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing came: no name, no connection, no answer.
    Silence,
    /// The proxy refused.
    Proxy,
    /// Someone answered who cannot prove to be the region, or not at the date that he told.
    Stranger,
}

/// What the region told: seconds since 1970, or why not.
pub type Heard = Result<i64, Obstacle>;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// What the clock is set to.
    pub set: Option<i64>,
    /// What is saved.
    pub save: Option<i64>,
    /// Where the clock stands then.
    pub rung: Rung,
    /// What is said.
    pub said: (State, Code),
    /// When to ask again; `None` when there is nothing left to ask.
    pub wait: Option<Duration>,
    /// Whether nothing was heard for want of a way: then its return is the time to ask.
    pub is_hindered: bool,
}

/// The ladder of one start.
#[derive(Debug, Clone)]
pub struct Ladder {
    saved: Option<i64>,
    tries: u32,
}

impl Ladder {
    /// With what an earlier start has saved.
    pub fn new(saved: Option<i64>) -> Self {
        Self { saved, tries: 0 }
    }

    /// What the clock is set to before anybody was asked; `now` is what it says.
    pub fn begin(&self, now: i64) -> Option<i64> {
        self.saved.filter(|saved| *saved > now)
    }

    /// Where the clock stands while the region has not answered.
    pub fn rung(&self, ntp: bool) -> Rung {
        match self.saved {
            _ if ntp => Rung::Ntp,
            Some(_) => Rung::Saved,
            None => Rung::Image,
        }
    }

    /// The way is back: what failed without it says nothing of the tries to come.
    pub fn hurry(&mut self) {
        self.tries = 0;
    }

    /// After the region was asked. `now` is what the clock says, `asking` for how long it has been asked already, `ntp` whether a
    /// time server has set the clock.
    pub fn heard(&mut self, heard: Heard, now: i64, asking: Duration, ntp: bool) -> Turn {
        self.tries += 1;
        match heard {
            Ok(date) => self.confirmed(date, now),
            Err(obstacle) => self.unheard(obstacle, asking, ntp),
        }
    }

    fn confirmed(&mut self, date: i64, now: i64) -> Turn {
        let refused = |code| Turn {
            set: None,
            save: None,
            rung: self.rung(false),
            said: (State::Failed, code),
            wait: Some(LONGEST_WAIT),
            is_hindered: false,
        };
        if self.saved.is_none() && date - now > FARTHEST {
            return refused(Code::ClockUnset);
        }
        // Forward only: what was signed, logged and counted with a time must not come again.
        if now - date > AHEAD {
            return refused(Code::ClockRefused);
        }
        let save = self.saved.is_none_or(|saved| date > saved).then_some(date);
        self.saved = save.or(self.saved);
        Turn {
            set: (date - now > FINE).then_some(date),
            save,
            rung: Rung::Region,
            said: (State::Done, Code::Running),
            wait: None,
            is_hindered: false,
        }
    }

    fn unheard(&self, obstacle: Obstacle, asking: Duration, ntp: bool) -> Turn {
        let said = match obstacle {
            Obstacle::Stranger => (State::Failed, Code::TlsIntercepted),
            Obstacle::Proxy => (State::Failed, Code::ProxyRefused),
            Obstacle::Silence if ntp => (State::Running, Code::Running),
            Obstacle::Silence if asking < PATIENCE => (State::Starting, Code::ClockComing),
            Obstacle::Silence => (State::Failed, Code::ClockUnset),
        };
        let longer = 1u32 << self.tries.saturating_sub(1).min(16);
        let wait = FIRST_WAIT.saturating_mul(longer).min(LONGEST_WAIT);
        Turn { set: None, save: None, rung: self.rung(ntp), said, wait: Some(wait), is_hindered: true }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-20.
    const THEN: i64 = 1_795_132_800;
    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn the_saved_time_is_taken_only_forward() {
        assert_eq!(Ladder::new(None).begin(THEN), None);
        assert_eq!(Ladder::new(Some(THEN)).begin(THEN - 1), Some(THEN));
        assert_eq!(Ladder::new(Some(THEN)).begin(THEN + 1), None);
    }

    #[test]
    fn a_confirmed_time_is_set_saved_and_the_end() {
        let turn = Ladder::new(None).heard(Ok(THEN), THEN - 86_400, SOON, false);
        assert_eq!((turn.set, turn.save, turn.wait), (Some(THEN), Some(THEN), None));
        assert_eq!((turn.rung, turn.said), (Rung::Region, (State::Done, Code::Running)));
        // A clock that is right within what a date can tell is left to the time servers.
        let turn = Ladder::new(None).heard(Ok(THEN), THEN - 1, SOON, true);
        assert_eq!((turn.set, turn.save), (None, Some(THEN)));
    }

    #[test]
    fn the_first_step_ends_at_ten_years_and_later_ones_do_not() {
        let far = THEN + FARTHEST + 1;
        let turn = Ladder::new(None).heard(Ok(far), THEN, SOON, false);
        assert_eq!((turn.set, turn.save, turn.said.1), (None, None, Code::ClockUnset));
        assert_eq!(Ladder::new(None).heard(Ok(far - 1), THEN, SOON, false).set, Some(far - 1));
        assert_eq!(Ladder::new(Some(THEN)).heard(Ok(far), THEN, SOON, false).set, Some(far));
    }

    #[test]
    fn a_clock_that_is_ahead_is_told_and_not_turned_back() {
        let turn = Ladder::new(None).heard(Ok(THEN), THEN + AHEAD + 1, SOON, true);
        assert_eq!((turn.set, turn.save, turn.said), (None, None, (State::Failed, Code::ClockRefused)));
        assert!(turn.wait.is_some(), "the region is asked again: its own clock may have been the wrong one");
        let turn = Ladder::new(None).heard(Ok(THEN), THEN + AHEAD, SOON, true);
        assert_eq!((turn.set, turn.said.0), (None, State::Done));
    }

    #[test]
    fn the_saved_time_does_not_go_back_by_what_a_clock_may_be_ahead() {
        let turn = Ladder::new(Some(THEN)).heard(Ok(THEN - 60), THEN, SOON, false);
        assert_eq!((turn.set, turn.save, turn.rung), (None, None, Rung::Region));
    }

    #[test]
    fn every_obstacle_is_told_by_its_own_code() {
        let late = PATIENCE;
        for (obstacle, asking, ntp, expected) in [
            (Obstacle::Silence, SOON, false, (State::Starting, Code::ClockComing)),
            (Obstacle::Silence, late, false, (State::Failed, Code::ClockUnset)),
            (Obstacle::Silence, late, true, (State::Running, Code::Running)),
            (Obstacle::Stranger, SOON, true, (State::Failed, Code::TlsIntercepted)),
            (Obstacle::Proxy, SOON, false, (State::Failed, Code::ProxyRefused)),
        ] {
            let turn = Ladder::new(None).heard(Err(obstacle), THEN, asking, ntp);
            assert_eq!(turn.said, expected, "{obstacle:?} {ntp}");
        }
    }

    #[test]
    fn questions_become_rarer_up_to_five_minutes() {
        let mut ladder = Ladder::new(None);
        let mut ask = || ladder.heard(Err(Obstacle::Silence), THEN, SOON, false).wait.unwrap().as_secs();
        let waits: Vec<_> = (0..10).map(|_| ask()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        for _ in 0..100_000 {
            assert_eq!(ask(), 300);
        }
    }

    #[test]
    fn a_way_that_is_back_makes_questions_frequent_again_and_is_nothing_to_a_region_that_has_answered() {
        let mut ladder = Ladder::new(None);
        for obstacle in [Obstacle::Silence, Obstacle::Stranger, Obstacle::Proxy] {
            assert!(ladder.heard(Err(obstacle), THEN, SOON, false).is_hindered, "{obstacle:?}");
        }
        ladder.hurry();
        let turn = ladder.heard(Err(Obstacle::Silence), THEN, SOON, false);
        assert_eq!(turn.wait, Some(FIRST_WAIT));
        for date in [THEN, THEN - AHEAD - 1, THEN + FARTHEST + 1] {
            assert!(!ladder.heard(Ok(date), THEN, SOON, false).is_hindered, "{date}");
        }
    }

    #[test]
    fn the_rung_is_the_best_that_was_reached() {
        assert_eq!(Ladder::new(None).rung(false), Rung::Image);
        assert_eq!(Ladder::new(Some(1)).rung(false), Rung::Saved);
        assert_eq!(Ladder::new(Some(1)).rung(true), Rung::Ntp);
    }

    fn heard() -> impl Strategy<Value = Heard> {
        let date = (THEN - 2 * FARTHEST)..(THEN + 4 * FARTHEST);
        let obstacle = prop::sample::select(vec![Obstacle::Silence, Obstacle::Proxy, Obstacle::Stranger]);
        prop_oneof![date.prop_map(Ok), obstacle.prop_map(Err)]
    }

    proptest! {
        #[test]
        fn whatever_is_heard_over_many_starts_the_clock_goes_forward_and_only_confirmed_time_is_saved(
            starts in prop::collection::vec((prop::collection::vec((heard(), 0i64..100_000), 1..6), any::<bool>()), 1..6),
        ) {
            let mut saved = None;
            for (asked, ntp) in starts {
                // Without a battery every start begins with the image's time.
                let mut now = THEN - FARTHEST;
                let mut ladder = Ladder::new(saved);
                if let Some(set) = ladder.begin(now) {
                    prop_assert!(set > now && Some(set) == saved);
                    now = set;
                }
                for (heard, passed) in asked {
                    now += passed;
                    let first = saved.is_none();
                    let turn = ladder.heard(heard, now, SOON, ntp);
                    for confirmed in [turn.set, turn.save].into_iter().flatten() {
                        prop_assert_eq!(Ok(confirmed), heard);
                    }
                    if let Some(set) = turn.set {
                        prop_assert!(set > now, "back by {}", now - set);
                        prop_assert!(!first || set - now <= FARTHEST);
                        now = set;
                    }
                    if let Some(save) = turn.save {
                        prop_assert!(saved.is_none_or(|saved| save > saved));
                        saved = Some(save);
                    }
                    prop_assert_eq!(turn.wait.is_none(), turn.rung == Rung::Region);
                    prop_assert_eq!(turn.said.0 == State::Done, turn.rung == Rung::Region);
                }
            }
        }
    }
}
