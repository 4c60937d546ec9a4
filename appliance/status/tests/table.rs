//! The table: every state has all its parts, in words that fit where they are shown.

use std::collections::BTreeMap;

use stayput_health::{Code, Word};
use stayput_status::{Detail, Group, SCREEN_COLUMNS, Severity, VERDICT_COLUMNS, row};

/// The longest that a report can make a detail.
const WORST_DETAIL: &str = "9999999+";

fn rows() -> impl Iterator<Item = (Code, stayput_status::Row)> {
    Code::ALL.iter().map(|code| (*code, row(*code)))
}

#[test]
fn every_verdict_fits_the_large_line_and_is_in_capitals() {
    for (code, row) in rows() {
        let verdict = row.verdict();
        assert!((3..=VERDICT_COLUMNS).contains(&verdict.len()), "{code}: {verdict:?} has {}", verdict.len());
        let shown = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || " .".contains(c);
        assert!(verdict.chars().all(shown), "{code}: {verdict:?}");
    }
}

#[test]
fn every_second_line_fits_with_and_without_its_detail() {
    for (code, row) in rows() {
        for detail in [None, Some(WORST_DETAIL)] {
            let line = row.screen(detail);
            assert!((3..=SCREEN_COLUMNS).contains(&line.len()), "{code}: {line:?} has {}", line.len());
            assert!(line.chars().all(|c| (' '..='~').contains(&c)), "{code}: {line:?}");
        }
    }
}

#[test]
fn no_two_states_say_the_same_on_the_screen() {
    let mut seen = BTreeMap::new();
    for (code, row) in rows() {
        // The line number of a mistake does not make another state of it, so the detail is left out.
        if let Some(other) = seen.insert((row.verdict(), row.screen(None)), code) {
            panic!("{code} and {other} show the same");
        }
    }
}

#[test]
fn every_state_has_one_sentence_and_one_remedy_of_two_steps() {
    for (code, row) in rows() {
        for detail in [None, Some(WORST_DETAIL)] {
            let sentence = row.sentence(detail);
            assert!(sentence.len() > 20 && sentence.ends_with('.'), "{code}: {sentence:?}");
            assert!(
                sentence.starts_with(char::is_uppercase) || sentence.starts_with("stayput.toml"),
                "{code}"
            );
            assert!(!sentence.contains(['[', ']', '{', '}']), "{code}: {sentence:?}");
            assert!(!sentence.contains("  ") && !sentence.contains(" ."), "{code}: {sentence:?}");
        }
        let [first, then] = row.remedy();
        assert_eq!(first, row.group().first_step(), "{code}");
        for step in [first, then] {
            assert!(step.len() > 10 && step.starts_with(char::is_uppercase), "{code}: {step:?}");
            assert!(
                step.ends_with('.')
                    || step.ends_with("stayput config check")
                    || step.ends_with("-worker check")
            );
            assert!(step.is_ascii(), "{code}: {step:?}");
        }
        assert_ne!(first, then, "{code}");
    }
}

#[test]
fn a_row_that_tells_a_detail_has_a_place_for_it_and_the_other_way_round() {
    for (code, row) in rows() {
        let room = row.screen(Some("77")).contains("77");
        assert_eq!(room, row.detail().is_some(), "{code}");
        if row.detail().is_none() {
            assert!(
                !row.sentence(Some("77")).contains("77"),
                "{code} has a place for a detail and names none"
            );
        }
        if let Some(Detail::Counter(name) | Detail::Fact(name)) = row.detail() {
            assert!(Word::is_word(name), "{code}: no part can report {name:?}");
        }
    }
}

#[test]
fn all_first_steps_and_group_titles_differ() {
    for what in [Group::first_step, Group::title] {
        let texts: BTreeMap<_, _> = Group::ALL.iter().map(|group| (what(*group), group)).collect();
        assert_eq!(texts.len(), Group::ALL.len());
    }
}

#[test]
fn every_group_and_every_severity_is_used() {
    for group in Group::ALL {
        assert!(rows().any(|(_, row)| row.group() == *group), "{group:?}");
    }
    for severity in Severity::ALL {
        assert!(rows().any(|(_, row)| row.severity() == severity), "{severity:?}");
    }
}

#[test]
fn the_states_that_only_a_person_or_a_silent_box_makes_cannot_be_reported() {
    let refused: Vec<_> = rows().filter(|(_, row)| !row.reportable()).map(|(code, _)| code).collect();
    let expected = [
        Code::StatusDark,
        Code::KernelPanic,
        Code::LampTest,
        Code::Locate,
        Code::ShuttingDown,
        Code::SafeToUnplug,
    ];
    assert_eq!(refused, expected);
}
