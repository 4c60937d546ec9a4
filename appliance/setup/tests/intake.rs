//! Which settings are in force, for everything that a card can hold.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

mod around;

use around::{Made, PEM};
use proptest::prelude::*;
use stayput_health::{Code, State};
use stayput_setup::good::Copy;
use stayput_setup::intake::{Outcome, Refusal, Settings, Source, decide, from_card, from_copy};

const GOOD: &str = "version = 1\n[device]\nname = \"box\"\n[activation]\nregion = \"eu-central-1\"\n\
    id = \"01234567-89ab-cdef-0123-456789abcdef\"\ncode = \"EXAMPLE/CodeOf20Char\"\n[ecs]\ncluster = \"c\"\n";

fn kept() -> Settings {
    let copy = Copy { text: GOOD.replace("\"box\"", "\"old-box\""), authorities: String::new() };
    from_copy(copy, &Made::default()).unwrap()
}

fn refusal(card: &Made) -> Refusal {
    from_card(card).unwrap_err()
}

/// What the box says with this card, without a good copy and with one.
fn verdicts(card: &Made) -> [(State, Code); 2] {
    [None, Some(kept())].map(|kept| decide(from_card(card), kept).verdict())
}

fn outcome(card: &Made) -> Outcome {
    decide(from_card(card), Some(kept()))
}

#[test]
fn a_good_file_is_in_force_whatever_was_kept() {
    let outcome = outcome(&Made::with(GOOD));
    assert_eq!((outcome.source, outcome.verdict()), (Source::Card, (State::Done, Code::Running)));
    let settings = outcome.settings.unwrap();
    assert_eq!(settings.config.device.name.as_str(), "box");
    assert_eq!(settings.copy.text, GOOD, "what is kept is what was written");
}

#[test]
fn a_mistake_keeps_the_last_good_settings_and_names_the_line() {
    let card = Made::with(&GOOD.replace("[ecs]", "[esc]"));
    assert_eq!(verdicts(&card), [(State::Failed, Code::ConfigWrong), (State::Degraded, Code::ConfigIgnored)]);
    let outcome = outcome(&card);
    assert_eq!((outcome.source, outcome.line()), (Source::Kept, Some(8)));
    assert_eq!(outcome.settings.unwrap().config.device.name.as_str(), "old-box");
    assert!(outcome.refusal.unwrap().to_string().contains("did you mean [ecs]?"));
}

#[test]
fn no_file_is_told_from_one_that_cannot_be_read() {
    let missing = Made::default();
    assert_eq!(
        verdicts(&missing),
        [(State::Failed, Code::ConfigMissing), (State::Degraded, Code::ConfigKept)]
    );
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = vec![b'#'; 300 * 1024];
    for bytes in [utf16, long, b"name = \"\xff\"".to_vec(), b"version = 1\0".to_vec()] {
        let card = Made::default().and("stayput.toml", bytes);
        let expected = [(State::Failed, Code::ConfigUnreadable), (State::Degraded, Code::ConfigKept)];
        assert_eq!(verdicts(&card), expected);
        assert_eq!(outcome(&card).line(), None);
    }
    assert_eq!(verdicts(&Made::with("\r\n"))[0], (State::Failed, Code::ConfigWrong), "empty is a mistake");
}

#[test]
fn a_file_of_windows_is_as_good_as_any() {
    let text = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(verdicts(&Made::with(&text))[0], (State::Done, Code::Running));
}

#[test]
fn plain_http_is_told_as_long_as_it_is_in_force() {
    let text = format!("{GOOD}[endpoints]\nplain_http = true\n");
    assert_eq!(verdicts(&Made::with(&text))[0], (State::Degraded, Code::PlainHttp));
}

#[test]
fn a_time_zone_that_the_image_does_not_know_is_a_mistake_in_its_line() {
    let zone = |zone: &str| {
        Made::with(&GOOD.replace("[activation]", &format!("time_zone = \"{zone}\"\n[activation]")))
    };
    assert!(from_card(&zone("Europe/Berlin")).is_ok());
    let Refusal::Wrong { line, said } = refusal(&zone("Europe/Berlinn")) else { panic!() };
    assert_eq!(line, Some(4));
    assert!(said.contains("Berlinn") && said.contains("write Area/City"), "{said}");
}

#[test]
fn certificates_are_taken_from_beside_the_file_and_kept_with_it() {
    let text = format!("{GOOD}[network]\nca = [\"company-ca.pem\"]\n");
    let settings = from_card(&Made::with(&text).and("company-ca.pem", PEM)).unwrap();
    assert_eq!(settings.copy.authorities, PEM);
    // The good copy needs no card beside it.
    assert_eq!(from_copy(settings.copy, &Made::default()).unwrap().copy.authorities, PEM);
}

#[test]
fn a_certificate_that_is_not_there_or_none_is_a_mistake_in_its_line() {
    let card = || Made::with(&format!("{GOOD}[network]\nca = [\"company-ca.pem\"]\n"));
    for (card, words) in [
        (card(), "is not on the card; copy it beside stayput.toml"),
        (card().and("company-ca.pem", "\x30\x03"), "holds no certificate"),
        (card().and("company-ca.pem", "-----BEGIN PRIVATE KEY-----"), "holds a private key"),
        (card().and("company-ca.pem", vec![b'x'; 300 * 1024]), "is too long"),
    ] {
        let Refusal::Wrong { line, said } = refusal(&card) else { panic!() };
        assert_eq!(line, Some(11));
        assert!(said.starts_with("stayput.toml:11: error: [network] ca") && said.contains(words), "{said}");
    }
}

#[test]
fn folders_of_the_boxs_own_and_prefixes_with_blanks_are_mistakes() {
    for (section, words) in [
        ("source = \"/data/ledger\"", "the box's own folder"),
        ("destination = \"/data/ledger/x\"", "the box's own folder"),
        ("source = \"/data/lost+found\"", "the box's own folder"),
        ("[[worker.s3]]\nbucket = \"abc\"\nprefix = \"a b\"", "holds a blank"),
    ] {
        let Refusal::Wrong { line, said } = refusal(&Made::with(&format!("{GOOD}[worker]\n{section}\n")))
        else {
            panic!("{section}")
        };
        assert!(line.is_some() && said.contains(words), "{said}");
    }
    let beside = Made::with(&format!("{GOOD}[worker]\nsource = \"/data/ledgers\"\n"));
    assert!(from_card(&beside).is_ok());
}

proptest! {
    #[test]
    fn whatever_lies_on_the_card_the_box_has_settings_or_says_why_not(bytes in any::<Vec<u8>>(), cut in 0usize..200) {
        for bytes in [bytes, GOOD.as_bytes()[..cut.min(GOOD.len())].to_vec()] {
            let outcome = outcome(&Made::default().and("stayput.toml", bytes));
            prop_assert!(outcome.settings.is_some());
            prop_assert_eq!(outcome.refusal.is_some(), outcome.source == Source::Kept);
            prop_assert!(outcome.refusal.is_none() || outcome.verdict().0 == State::Degraded);
        }
    }
}
