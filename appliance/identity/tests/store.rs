//! The capsule's two copies: whatever one write leaves behind, the other copy still says who the box is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::symlink;

use proptest::test_runner::{Config, TestRunner};
use stayput_identity::store::{Shelf, Store, choose};
use stayput_identity::{Capsule, Error};

fn capsule(activation: &str) -> Capsule {
    let mut capsule = Capsule::new();
    capsule.used.insert(activation.to_owned());
    capsule
}

#[test]
fn a_card_that_never_had_an_identity_has_none() {
    let card = tempfile::tempdir().unwrap();
    assert_eq!(Store::new(card.path()).load().unwrap(), None);
}

#[test]
fn what_was_saved_is_loaded_and_either_copy_is_enough() {
    let card = tempfile::tempdir().unwrap();
    let mut store = Store::new(card.path());
    let mut saved = capsule("one");
    store.save(&mut saved).unwrap();
    assert_eq!(store.load().unwrap(), Some(saved.clone()));
    for copy in ["capsule-1", "capsule-2"] {
        let whole = fs::read(card.path().join(copy)).unwrap();
        for damage in [&b""[..], b"\0\0\0", &whole[..whole.len() / 2]] {
            fs::write(card.path().join(copy), damage).unwrap();
            assert_eq!(store.load().unwrap(), Some(saved.clone()), "{copy}");
        }
        fs::remove_file(card.path().join(copy)).unwrap();
        assert_eq!(store.load().unwrap(), Some(saved.clone()), "without {copy}");
        fs::write(card.path().join(copy), whole).unwrap();
    }
}

/// 10,000 torn writes: each leaves one copy cut or overwritten from a random byte on, as a card without power does.
#[test]
fn ten_thousand_torn_writes_never_lose_both_copies_and_never_make_another_identity() {
    let (old, new) =
        (Capsule { generation: 1, ..capsule("old") }, Capsule { generation: 2, ..capsule("new") });
    let (before, after) = (old.to_bytes(), new.to_bytes());
    let mut runner =
        TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    let torn = (0..=after.len(), 0..2usize, proptest::bool::ANY);
    runner
        .run(&torn, |(at, copy, keeps_the_old_rest)| {
            let mut bytes = after[..at].to_vec();
            if keeps_the_old_rest {
                bytes.extend_from_slice(before.get(at..).unwrap_or_default());
            }
            // The first copy is torn while the second is old, or the second while the first is new.
            let (first, second) = if copy == 0 { (&bytes, &before) } else { (&after, &bytes) };
            let found = choose(Some(first), Some(second)).unwrap().unwrap();
            assert!(found == new || (copy == 0 && found == old), "{found:?}");
            Ok(())
        })
        .unwrap();
}

#[test]
fn two_damaged_copies_are_said_and_not_taken_for_a_new_card() {
    let card = tempfile::tempdir().unwrap();
    for copy in ["capsule-1", "capsule-2"] {
        fs::write(card.path().join(copy), "x").unwrap();
    }
    assert!(matches!(Store::new(card.path()).load(), Err(Error::CapsuleLost { .. })));
    fs::remove_file(card.path().join("capsule-1")).unwrap();
    assert!(
        matches!(Store::new(card.path()).load(), Err(Error::CapsuleLost { .. })),
        "one gone, one damaged"
    );
}

#[test]
fn a_link_under_the_temporary_name_is_not_followed() {
    let (card, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, card.path().join(".capsule-1.new")).unwrap();
    Store::new(card.path()).save(&mut capsule("one")).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}

#[test]
fn a_capsule_of_a_later_version_is_left_alone() {
    let card = tempfile::tempdir().unwrap();
    let later = String::from_utf8(capsule("one").to_bytes()).unwrap().replacen("capsule 1", "capsule 9", 1);
    fs::write(card.path().join("capsule-1"), later).unwrap();
    assert!(matches!(Store::new(card.path()).load(), Err(Error::CapsuleVersion { found: 9, .. })));
}
