//! Pages: what short presses do, and what happens when nobody presses anything.

use std::time::Duration;

use stayput_hat::{Action, Key, Page, Tour, View};
use stayput_health::Code;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn no_cable() -> View {
    View::of_state(Code::NoLink)
}

#[test]
fn the_first_key_turns_the_second_helps_the_third_goes_home() {
    let (view, mut tour) = (no_cable(), Tour::default());
    assert_eq!(tour.page(), Page::Verdict);
    assert_eq!(tour.press(Key::K2, &view, s(1)), None);
    assert_eq!(tour.page(), Page::Help);
    tour.press(Key::K1, &view, s(2));
    assert_eq!(tour.page(), Page::Network);
    tour.press(Key::K3, &view, s(3));
    assert_eq!(tour.page(), Page::Verdict);
}

#[test]
fn the_third_key_on_the_verdict_tries_the_lights() {
    assert_eq!(Tour::default().press(Key::K3, &no_cable(), s(1)), Some(Action::LampTest));
}

#[test]
fn a_long_page_goes_on_by_the_second_key_or_by_itself_and_begins_anew_after_its_end() {
    let (view, mut tour) = (no_cable(), Tour::default());
    let screenfuls = Page::Help.screenfuls(&view);
    assert!(screenfuls > 1);
    tour.press(Key::K2, &view, s(0));
    tour.press(Key::K2, &view, s(1));
    assert_eq!(tour.screenful(), 1);
    let mut seen = vec![1];
    let mut now = s(1);
    while seen.len() <= screenfuls {
        now += tour.look_again(&view, now).unwrap();
        tour.look(&view, now);
        seen.push(tour.screenful());
    }
    let expected: Vec<_> = (0..=screenfuls).map(|step| (1 + step) % screenfuls).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_page_that_was_left_open_gives_way_to_the_verdict() {
    let (view, mut tour) = (no_cable(), Tour::default());
    tour.press(Key::K1, &view, s(0));
    tour.press(Key::K1, &view, s(0));
    tour.look(&view, s(89));
    assert_eq!(tour.page(), Page::Network);
    tour.look(&view, s(90));
    assert_eq!((tour.page(), tour.look_again(&view, s(90))), (Page::Verdict, None));
}

#[test]
fn a_change_of_state_shows_at_once_but_takes_no_page_from_a_reader() {
    let (view, mut tour) = (no_cable(), Tour::default());
    tour.press(Key::K2, &view, s(100));
    tour.changed(s(114));
    assert_eq!(tour.page(), Page::Help);
    tour.changed(s(115));
    assert_eq!(tour.page(), Page::Verdict);
}

#[test]
fn a_page_that_becomes_shorter_while_it_is_read_starts_over() {
    let (view, mut tour) = (no_cable(), Tour::default());
    tour.press(Key::K2, &view, s(0));
    for _ in 1..Page::Help.screenfuls(&view) {
        tour.press(Key::K2, &view, s(1));
    }
    let shorter = View::of_state(Code::Running);
    tour.press(Key::K2, &shorter, s(2));
    assert!(tour.screenful() < Page::Help.screenfuls(&shorter));
}
