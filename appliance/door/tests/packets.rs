//! The protocol as bytes, good and bad.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

mod desk;

use std::fs;

use desk::names;
use proptest::prelude::*;
use stayput_door::wire::LONGEST;
use stayput_door::{Desk, Ended, Intake, Outlet, serve};

fn text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    text(&[&[kind], parts.concat().as_slice()].concat())
}

fn served(desk: &mut dyn Desk, said: &[u8]) -> (Ended, Vec<u8>) {
    let mut answers = Vec::new();
    let ended = serve(desk, said, &mut answers).unwrap();
    (ended, answers)
}

const HELLO: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 6];

/// A whole upload, byte for byte as a client sends it.
fn upload() -> Vec<u8> {
    let number = |number: u32| number.to_be_bytes();
    let handle = text(&number(0));
    [
        HELLO.to_vec(),
        packet(16, &[&number(1), &text(b".")]),
        packet(3, &[&number(2), &text(b"/a.csv"), &number(0x1a), &number(4), &number(0o644)]),
        packet(6, &[&number(3), &handle, &0_u64.to_be_bytes(), &text(b"content")]),
        packet(4, &[&number(4), &handle]),
    ]
    .concat()
}

#[test]
fn an_upload_is_answered_as_the_draft_has_it() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (ended, answers) = served(&mut Intake::at(folder.path(), 0).unwrap(), &upload());
    let number = |number: u32| number.to_be_bytes();
    let done = |id: u32| packet(101, &[&number(id), &number(0), &text(b"done"), &text(b"en")]);
    let expected = [
        packet(2, &[&number(3)]),
        packet(104, &[&number(1), &number(1), &text(b"/"), &text(b"/"), &number(0)]),
        packet(102, &[&number(2), &text(&number(0))]),
        done(3),
        done(4),
    ]
    .concat();
    assert_eq!((ended, answers), (Ended::Hung, expected));
    assert_eq!(names(folder.path()), ["a.csv"]);
}

#[test]
fn an_upload_that_is_cut_at_any_byte_leaves_no_file() {
    let whole = upload();
    for cut in 0..whole.len() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        served(&mut Intake::at(folder.path(), 0).unwrap(), &whole[..cut]);
        assert!(names(folder.path()).is_empty(), "cut at {cut}");
    }
}

#[test]
fn what_is_no_packet_ends_the_call_and_what_is_no_request_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Outlet::at(folder.path()).unwrap();
    let long = u32::try_from(LONGEST + 1).unwrap().to_be_bytes();
    for broken in [&long[..], &[0, 0, 0, 0], &[0, 0, 0, 1, 4], &[0, 0, 0, 9, 4, 0, 0, 0, 1]] {
        assert_eq!(served(&mut desk, broken), (Ended::Broken, Vec::new()), "{broken:?}");
    }
    for (kind, rest, code) in
        [(4, &b"\0\0\0\x09x"[..], 5), (4, b"\0\0\0\0x", 5), (200, b"whatever", 8), (99, b"", 8)]
    {
        let (ended, answers) = served(&mut desk, &packet(kind, &[&[0, 0, 0, 7], rest]));
        assert_eq!((ended, &answers[4..13]), (Ended::Hung, &[101, 0, 0, 0, 7, 0, 0, 0, code][..]), "{kind}");
    }
}

/// Requests that are nearly right reach further than noise.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let path =
        prop::sample::select(vec!["a", "a.part", "/", "..", "b/c", "theirs", ".stayput-1.part", "link"]);
    let path = path.prop_map(|path| text(path.as_bytes()));
    let number = prop_oneof![0..4_u32, any::<u32>()].prop_map(|number| number.to_be_bytes().to_vec());
    let handle = (0..4_u32).prop_map(|number| text(&number.to_be_bytes()));
    let noise = prop::collection::vec(any::<u8>(), 0..12);
    let part = prop_oneof![path, number, handle, noise.clone(), noise.prop_map(|bytes| text(&bytes))];
    let one = (0..22_u8, prop::collection::vec(part, 0..6))
        .prop_map(|(kind, parts)| packet(kind, &[&[0, 0, 0, 1], parts.concat().as_slice()]));
    prop::collection::vec(one, 0..40).prop_map(|packets| packets.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_caller_sends_files_of_others_stay_as_they_are(said in anything()) {
        let outer = tempfile::tempdir_in("/var/tmp").unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("theirs"), "personal").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        let (_, answers) = served(&mut Intake::at(&folder, 0).unwrap(), &said);
        prop_assert!(!answers.windows(8).any(|window| window == b"personal"));
        prop_assert_eq!(fs::read(folder.join("theirs")).unwrap(), b"personal");
        prop_assert_eq!(fs::read(outer.path().join("secret")).unwrap(), b"secret");
        prop_assert_eq!(names(outer.path()), ["folder", "secret"]);
        prop_assert!(names(&folder).iter().all(|name| !name.ends_with(".part")));

        let (_, answers) = served(&mut Outlet::at(&folder).unwrap(), &said);
        prop_assert!(!answers.windows(6).any(|window| window == b"secret"));
        prop_assert_eq!(fs::read(outer.path().join("secret")).unwrap(), b"secret");
    }
}
