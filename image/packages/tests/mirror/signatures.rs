//! A release file is believed only under a good signature, for its own suite, within its dates.

use std::fs;

use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use stayput_packages::{Error, Kind, date};

use crate::archive::{NOW, TestArchive, TestKey, package, roots, write};

fn archive() -> TestArchive {
    TestArchive::with(&[package("one", "1", "")])
}

fn in_release(archive: &TestArchive, suite: &str) -> std::path::PathBuf {
    let folder = if suite == "trixie" { "debian" } else { "debian-security" };
    archive.folder.path().join(folder).join("dists").join(suite).join("InRelease")
}

fn refusal(archive: &TestArchive) -> Error {
    archive.lock(&roots(&["one"])).unwrap_err()
}

#[test]
fn a_signed_release_file_is_believed_and_recorded() {
    let archive = archive();
    let lock = archive.lock_of(&["one"]);
    let main = &lock.releases[0];
    assert_eq!((main.suite.as_str(), main.signed_by.clone()), ("trixie", archive.key.fingerprint()));
    assert_eq!((main.date.clone(), main.valid_until.clone()), (date::format(NOW - 7200), None));
    assert!(lock.releases[1].valid_until.is_some());
}

#[test]
fn one_changed_letter_in_a_release_file_is_refused() {
    let archive = archive();
    let path = in_release(&archive, "trixie");
    let text = fs::read_to_string(&path).unwrap();
    write(&path, text.replace("Origin: Debian", "Origin: Debiam").as_bytes());
    let error = refusal(&archive);
    assert!(matches!(error, Error::Signature { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(error.to_string().contains(&archive.key.fingerprint()), "{error}");
}

#[test]
fn a_release_file_signed_by_another_key_is_refused() {
    let archive = archive();
    write(&in_release(&archive, "trixie"), TestKey::new().sign(&archive.release_text("trixie")).as_bytes());
    assert!(matches!(refusal(&archive), Error::Signature { .. }));
}

#[test]
fn a_release_file_without_a_signature_is_refused() {
    let archive = archive();
    let text = archive.release_text("trixie");
    for bytes in [text.as_bytes(), b"", b"<html>sign in to the network</html>", b"\xff\xfe\x00binary"] {
        write(&in_release(&archive, "trixie"), bytes);
        assert!(matches!(refusal(&archive), Error::Signature { .. }));
    }
}

#[test]
fn text_before_or_after_the_signed_part_is_refused() {
    let archive = archive();
    let signed = fs::read_to_string(in_release(&archive, "trixie")).unwrap();
    for text in [format!("Codename: trixie\n{signed}"), format!("{signed}\nSHA256:\n")] {
        write(&in_release(&archive, "trixie"), text.as_bytes());
        assert!(matches!(refusal(&archive), Error::Signature { .. }));
    }
}

#[test]
fn a_truncated_release_file_is_refused() {
    let archive = archive();
    let signed = fs::read(in_release(&archive, "trixie")).unwrap();
    for length in [10, signed.len() / 2, signed.len() - 40] {
        write(&in_release(&archive, "trixie"), &signed[..length]);
        assert!(matches!(refusal(&archive), Error::Signature { .. }), "{length} bytes");
    }
}

#[test]
fn a_signature_over_a_weak_hash_is_refused() {
    let mut archive = archive();
    archive.key = TestKey::of(KeyType::Rsa(2048));
    archive.publish();
    archive.lock_of(&["one"]);
    // Today's libraries refuse to make worse ones; SHA-224 stands for all that are not on the list.
    let signed = archive.key.sign_as(&archive.release_text("trixie"), HashAlgorithm::Sha224, NOW - 60);
    write(&in_release(&archive, "trixie"), signed.as_bytes());
    assert!(matches!(refusal(&archive), Error::Signature { .. }));
}

#[test]
fn a_signature_from_the_future_is_refused() {
    let archive = archive();
    let signed = archive.key.sign_as(&archive.release_text("trixie"), HashAlgorithm::Sha512, NOW + 86_400);
    write(&in_release(&archive, "trixie"), signed.as_bytes());
    assert!(matches!(refusal(&archive), Error::Signature { .. }));
}

#[test]
fn a_signature_older_than_its_key_is_refused() {
    let archive = archive();
    let signed =
        archive.key.sign_as(&archive.release_text("trixie"), HashAlgorithm::Sha256, NOW - 10 * 86_400);
    write(&in_release(&archive, "trixie"), signed.as_bytes());
    assert!(matches!(refusal(&archive), Error::Signature { .. }));
}

#[test]
fn the_release_file_of_another_suite_is_refused() {
    let archive = archive();
    let other = archive.release_text("trixie").replace(": trixie\n", ": bookworm\n");
    write(&in_release(&archive, "trixie"), archive.key.sign(&other).as_bytes());
    let error = refusal(&archive).to_string();
    assert!(error.contains("'bookworm', not of 'trixie'"), "{error}");
}

#[test]
fn an_expired_release_file_is_refused_with_the_clock_that_was_used() {
    let mut archive = archive();
    let fields = format!("Date: {}\nValid-Until: {}\n", date::format(NOW - 90_000), date::format(NOW - 1));
    archive.release_fields.insert("trixie-security", fields);
    archive.publish();
    let error = refusal(&archive);
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(
        error.to_string().contains(&date::format(NOW - 1)) && error.to_string().contains(&date::format(NOW))
    );
}

#[test]
fn a_release_file_from_the_future_is_refused() {
    let mut archive = archive();
    archive.release_fields.insert("trixie", format!("Date: {}\n", date::format(NOW + 3_600)));
    archive.publish();
    let error = refusal(&archive);
    assert!(matches!(error, Error::Expired { .. }), "{error}");
}

#[test]
fn a_suite_that_must_expire_and_does_not_say_when_is_refused() {
    let mut archive = archive();
    archive.release_fields.insert("trixie-security", format!("Date: {}\n", date::format(NOW - 60)));
    archive.publish();
    assert!(refusal(&archive).to_string().contains("no Valid-Until"));
}

#[test]
fn a_release_file_without_sums_or_date_is_refused() {
    let archive = archive();
    let whole = archive.release_text("trixie");
    let no_sums = whole.split("SHA256:").next().unwrap().to_string();
    let no_date =
        whole.lines().filter(|line| !line.starts_with("Date")).map(|line| format!("{line}\n")).collect();
    let bad_sum = whole.replacen("SHA256:\n ", "SHA256:\n zz", 1);
    for (text, told) in [(no_sums, "SHA256"), (no_date, "Date"), (bad_sum, "SHA256 list")] {
        write(&in_release(&archive, "trixie"), archive.key.sign(&text).as_bytes());
        let error = refusal(&archive).to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_key_file_with_another_fingerprint_is_refused() {
    let archive = archive();
    let manifest = archive.manifest(&roots(&["one"]));
    let other = TestKey::new().public().to_armored_string(pgp::composed::ArmorOptions::default()).unwrap();
    write(&archive.folder.path().join("tree/keys/test.asc"), other.as_bytes());
    let error = stayput_packages::lock::resolve_fresh(&manifest, &archive.mirror(), NOW, &()).unwrap_err();
    assert!(matches!(error, Error::Key { .. }), "{error}");
    assert!(error.to_string().contains(&archive.key.fingerprint()), "{error}");
    write(&archive.folder.path().join("tree/keys/test.asc"), b"not a key");
    let error = stayput_packages::lock::resolve_fresh(&manifest, &archive.mirror(), NOW, &()).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
}

#[test]
fn the_keys_of_the_tree_are_what_the_package_list_pins() {
    let list = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packages.toml");
    let manifest = stayput_packages::Manifest::load(&list).unwrap();
    assert!(!manifest.keys.is_empty());
    for pin in manifest.keys.values() {
        stayput_packages::keys::Key::load(manifest.folder(), pin).unwrap();
    }
}
