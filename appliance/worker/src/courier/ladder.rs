//! The delay ladder: for how long an order waits for its file after each time that the queue delivered it.
//!
//! An order may come before its file. It then stays on the queue, and each further delivery counts towards the queue's
//! `maxReceiveCount`, after which the queue sets it aside. So the waiting is spread over the deliveries that there are: first
//! short, then longer, and in all shorter than the queue keeps a message, because what the queue drops is lost, and what it
//! sets aside is kept.

use std::time::Duration;

use super::desk::VISIBILITY;

/// The first step, where there is room for it: a receive hides a message for as long in any case.
const FIRST: f64 = VISIBILITY.as_secs_f64();

/// The longest step in seconds. The service hides a message for 12 hours from its delivery; ten minutes are left to reach it.
pub const LONGEST: u32 = 12 * 3600 - 600;

/// How much of the time that a message is kept may be used for waiting: the rest is for the person who is to notice.
pub(super) const SHARE: f64 = 0.8;

/// What a queue does with messages, as far as waiting depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// After how many deliveries a message is set aside; `None` without a redrive policy.
    pub receives: Option<u32>,
    /// For how long a message is kept at all.
    pub retention: Duration,
}

/// The delays, in seconds, for the first, second, … delivery. Never shorter than the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder(Vec<u32>);

impl Ladder {
    /// The ladder for a queue of these rules.
    pub fn new(rules: &Rules) -> Self {
        // The service allows 1000; more than that many steps would all be the longest anyway.
        let steps = rules.receives.unwrap_or(1000).clamp(1, 1000) as usize;
        let budget = rules.retention.as_secs_f64() * SHARE;
        if rules.receives.is_none() {
            // Nothing is ever set aside, so the number of deliveries costs nothing: twice as long each time.
            let doubled = (0..10).map(|step| step_of(FIRST, 2.0, step));
            return Self(doubled.map(|step| (step as u32).min(LONGEST)).collect());
        }
        if steps == 1 {
            return Self(vec![(budget as u32).clamp(1, LONGEST)]);
        }
        let first = FIRST.min(budget / steps as f64);
        let total = |growth: f64| (0..steps).map(|step| step_of(first, growth, step)).sum::<f64>();
        // Halving finds the growth that uses the budget; beyond the upper end every step but the first is the longest.
        let (mut low, mut high) = (1.0, f64::from(LONGEST) / first.max(f64::MIN_POSITIVE));
        if total(high) <= budget {
            low = high;
        }
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if total(middle) <= budget { low = middle } else { high = middle }
        }
        Self((0..steps).map(|step| (step_of(first, low, step) as u32).clamp(1, LONGEST)).collect())
    }

    /// For how long an order waits after its `receives`th delivery (the first is 1).
    pub fn delay(&self, receives: u32) -> Duration {
        let step = (receives.max(1) as usize - 1).min(self.0.len() - 1);
        Duration::from_secs(u64::from(self.0[step]))
    }

    /// For how long an order waits in all before it is set aside: where the steps are too many, they take longer than planned.
    pub fn total(&self) -> Duration {
        self.0.iter().map(|step| Duration::from_secs(u64::from(*step)).max(VISIBILITY)).sum()
    }
}

fn step_of(first: f64, growth: f64, step: usize) -> f64 {
    let step = i32::try_from(step).unwrap_or(i32::MAX);
    (first * growth.powi(step)).min(f64::from(LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 3600;

    fn ladder(receives: u32, days: u64) -> Ladder {
        Ladder::new(&Rules { receives: Some(receives), retention: Duration::from_secs(days * DAY) })
    }

    #[test]
    fn an_order_waits_first_shortly_and_then_for_most_of_the_time_that_the_queue_keeps_it() {
        let ladder = ladder(10, 4);
        assert_eq!(ladder.delay(1), VISIBILITY);
        assert!(ladder.delay(2) < Duration::from_secs(900));
        let share = ladder.total().as_secs_f64() / (4 * DAY) as f64;
        assert!((0.79..=0.8).contains(&share), "{share}");
    }

    #[test]
    fn with_few_deliveries_the_steps_are_as_long_as_the_service_allows() {
        assert_eq!(ladder(3, 14), Ladder(vec![120, LONGEST, LONGEST]));
        assert_eq!(ladder(1, 4), Ladder(vec![LONGEST]));
    }

    #[test]
    fn with_many_deliveries_the_steps_are_even() {
        let ladder = ladder(1000, 1);
        assert_eq!((ladder.delay(1).as_secs(), ladder.delay(1000).as_secs()), (69, 69));
        assert_eq!(ladder.total(), 1000 * VISIBILITY, "no step is really shorter than a receive hides for");
    }

    #[test]
    fn a_queue_that_keeps_messages_for_a_minute_gets_steps_that_fit() {
        let rules = Rules { receives: Some(5), retention: Duration::from_secs(60) };
        assert_eq!(Ladder::new(&rules), Ladder(vec![9, 9, 9, 9, 9]));
    }

    #[test]
    fn without_a_redrive_policy_each_step_is_twice_as_long() {
        let rules = Rules { receives: None, retention: Duration::from_secs(4 * DAY) };
        let ladder = Ladder::new(&rules);
        assert_eq!(ladder.delay(2), 2 * ladder.delay(1));
        assert_eq!(ladder.delay(u32::MAX).as_secs(), u64::from(LONGEST));
    }

    proptest! {
        #[test]
        fn no_ladder_outlives_its_message(receives in 1..1001u32, retention in 60..14 * DAY + 1) {
            let rules = Rules { receives: Some(receives), retention: Duration::from_secs(retention) };
            let ladder = Ladder::new(&rules);
            // But for steps that are too many.
            let most = (retention as f64 * SHARE).max(f64::from(receives) * FIRST);
            prop_assert!(ladder.total().as_secs_f64() <= most, "{ladder:?}");
            prop_assert!(ladder.0.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(ladder.0.iter().all(|step| (1..=LONGEST).contains(step)));
            // And none gives up early without need.
            let possible = (retention as f64 * SHARE).min(FIRST + f64::from(receives - 1) * f64::from(LONGEST));
            let wasted = possible - ladder.total().as_secs_f64();
            prop_assert!(receives == 1 || wasted <= f64::from(receives) + possible * 0.02, "{wasted} {ladder:?}");
        }

        #[test]
        fn any_delivery_has_a_delay(receives in any::<u32>(), count in any::<u32>(), retention in any::<u32>()) {
            let retention = Duration::from_secs(u64::from(retention));
            let ladder = Ladder::new(&Rules { receives: Some(count), retention });
            prop_assert!(ladder.delay(receives) >= Duration::from_secs(1));
        }
    }
}
