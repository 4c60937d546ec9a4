//! Keys: short and long presses, and that nothing but a long one ever switches the box off.

use std::time::Duration;

use proptest::prelude::*;
use stayput_hat::{HOLD, Key, Press, Presses};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_short_press_acts_when_the_key_comes_up() {
    let mut presses = Presses::default();
    assert_eq!(presses.press(Key::K2, ms(100)), Some(Press::Touched));
    assert_eq!(presses.look(ms(200)), None);
    assert_eq!(presses.release(Key::K2, ms(300)), Some(Press::Short(Key::K2)));
    assert_eq!(presses.look_again(ms(300)), None);
}

#[test]
fn a_held_key_counts_down_and_switches_off_once() {
    let mut presses = Presses::default();
    presses.press(Key::K1, ms(0));
    assert_eq!(presses.look(ms(1000)), Some(Press::Holding { left: HOLD - ms(1000) }));
    assert_eq!(presses.look(HOLD - ms(1)), Some(Press::Holding { left: ms(1) }));
    assert_eq!(presses.look(HOLD), Some(Press::PowerOff));
    assert_eq!(presses.look(HOLD + ms(1)), None);
    assert_eq!(presses.release(Key::K1, HOLD * 2), None);
}

#[test]
fn letting_go_in_time_does_nothing_at_all() {
    let mut presses = Presses::default();
    presses.press(Key::K3, ms(0));
    presses.look(ms(2000));
    assert_eq!(presses.release(Key::K3, ms(4999)), Some(Press::Spared));
    assert_eq!(presses.look(ms(6000)), None);
}

#[test]
fn a_long_press_that_nobody_looked_at_does_nothing() {
    let mut presses = Presses::default();
    presses.press(Key::K3, ms(0));
    assert_eq!(presses.release(Key::K3, ms(60_000)), Some(Press::Spared));
}

#[test]
fn two_keys_at_once_are_no_long_press() {
    let mut presses = Presses::default();
    presses.press(Key::K1, ms(0));
    assert_eq!(presses.press(Key::K2, ms(3000)), Some(Press::Spared));
    assert_eq!(presses.look(ms(60_000)), None);
    assert_eq!(presses.release(Key::K1, ms(60_001)), None);
    assert_eq!(presses.look(ms(120_000)), None, "the second one does not become a long press by staying");
    assert_eq!(presses.release(Key::K2, ms(120_001)), None);
    assert_eq!(presses.press(Key::K1, ms(130_000)), Some(Press::Touched));
}

#[test]
fn a_key_that_is_jammed_when_the_box_starts_never_switches_it_off() {
    let mut presses = Presses::new([Key::K1]);
    assert_eq!(presses.press(Key::K1, ms(0)), None, "the kernel tells of it once more when it is asked");
    assert_eq!(presses.look(ms(3_600_000)), None);
    assert_eq!(presses.release(Key::K1, ms(3_600_001)), None);
    assert_eq!(presses.press(Key::K1, ms(3_700_000)), Some(Press::Touched));
}

#[test]
fn a_key_that_goes_away_while_it_is_held_switches_nothing_off() {
    let mut presses = Presses::default();
    presses.press(Key::K1, ms(0));
    assert_eq!(presses.lost(), Some(Press::Spared));
    assert_eq!(presses.look(HOLD), None);
    assert_eq!(presses.lost(), None);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Press(Key),
    Release(Key),
    Stuck(Key),
    Lost,
    Look,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let key = || proptest::sample::select(Key::ALL.as_slice());
    let step = prop_oneof![
        3 => key().prop_map(Step::Press),
        3 => key().prop_map(Step::Release),
        1 => key().prop_map(Step::Stuck),
        1 => Just(Step::Lost),
        8 => Just(Step::Look),
    ];
    proptest::collection::vec((step, 0_u64..3000), 0..80)
}

proptest! {
    /// A model that only watches: the box goes off exactly when one key alone has been down for the whole hold.
    #[test]
    fn whatever_happens_only_one_key_held_alone_for_long_enough_switches_off(steps in steps()) {
        let mut presses = Presses::default();
        let (mut now, mut down, mut alone) = (Duration::ZERO, Vec::new(), None);
        for (step, wait) in steps {
            now += ms(wait);
            let was_down = down.clone();
            let press = match step {
                Step::Press(key) => {
                    if !down.contains(&key) {
                        alone = down.is_empty().then_some(now);
                        down.push(key);
                    }
                    presses.press(key, now)
                }
                Step::Release(key) => {
                    down.retain(|held| *held != key);
                    if was_down.contains(&key) {
                        alone = None;
                    }
                    presses.release(key, now)
                }
                Step::Stuck(key) => {
                    down.retain(|held| *held != key);
                    down.push(key);
                    alone = None;
                    presses.stuck(key)
                }
                Step::Lost => {
                    down.clear();
                    alone = None;
                    presses.lost()
                }
                Step::Look => presses.look(now),
            };
            if press == Some(Press::PowerOff) {
                prop_assert!(matches!(step, Step::Look));
                prop_assert!(alone.is_some_and(|since| now - since >= HOLD), "{:?}", alone);
                alone = None;
            } else if matches!(step, Step::Look) {
                prop_assert!(alone.is_none_or(|since| now - since < HOLD), "it should have gone off");
            }
            if let Some(Press::Short(key)) = press {
                prop_assert!(matches!(step, Step::Release(released) if released == key));
                prop_assert!(was_down == [key]);
            }
        }
    }

    #[test]
    fn whoever_looks_when_told_sees_the_countdown_go_down_and_its_end(start in 0_u64..1_000_000_000) {
        let mut presses = Presses::default();
        let mut now = ms(start);
        presses.press(Key::K1, now);
        let mut last = HOLD;
        let mut looks = 0;
        while let Some(wait) = presses.look_again(now) {
            now += wait;
            looks += 1;
            match presses.look(now) {
                Some(Press::Holding { left }) => {
                    prop_assert!(left < last);
                    last = left;
                }
                other => prop_assert_eq!(other, Some(Press::PowerOff)),
            }
        }
        prop_assert_eq!(now, ms(start) + HOLD);
        prop_assert!((15..=20).contains(&looks), "{}", looks);
    }
}
