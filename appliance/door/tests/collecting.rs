//! What the account `collect` can do, and what it cannot.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

mod desk;

use std::fs;
use std::os::unix::fs::symlink;

use desk::{APPEND, CREATE, Caller, READ, TRUNCATE, WRITE, names};
use stayput_door::wire::{Answer, Attributes, Request};

#[test]
fn results_are_listed_read_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..20_000_u32).map(|i| i as u8).collect();
    fs::write(folder.path().join("a.csv_has_been_processed"), &content).unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    let mut caller = Caller::collecting(folder.path());
    assert_eq!(caller.list(".").unwrap(), ["a.csv_has_been_processed", "empty"]);
    assert_eq!(caller.stat("/a.csv_has_been_processed").unwrap().size, Some(20_000));
    assert_eq!(caller.get("a.csv_has_been_processed").unwrap(), content);
    assert_eq!(caller.get("empty").unwrap(), b"");
    caller.remove("a.csv_has_been_processed").unwrap();
    assert_eq!(names(folder.path()), ["empty"]);
    assert_eq!(caller.get("a.csv_has_been_processed").unwrap_err().code, 2);
}

#[test]
fn as_much_is_read_at_once_as_was_asked_for_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), vec![1; 600_000]).unwrap();
    let mut caller = Caller::collecting(folder.path());
    let handle = caller.open("a", READ).unwrap();
    for (asked, given) in [(32_768, 32_768), (200_000, 200_000), (u32::MAX, 256 * 1024 - 64)] {
        let Answer::Bytes(bytes) =
            caller.ask(Request::Read { handle: &handle, offset: 0, length: asked }).unwrap()
        else {
            panic!()
        };
        assert_eq!(bytes.len(), given);
    }
    let past = caller.ask(Request::Read { handle: &handle, offset: u64::MAX, length: 1 });
    assert!(past == Ok(Answer::End) || past.is_err(), "{past:?}");
}

#[test]
fn nothing_is_added_and_nothing_changed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "content").unwrap();
    let mut caller = Caller::collecting(folder.path());
    for flags in
        [WRITE, WRITE | CREATE, READ | CREATE, READ | TRUNCATE, READ | APPEND, READ | WRITE, CREATE, 0]
    {
        for name in ["a", "new"] {
            assert_eq!(caller.open(name, flags).unwrap_err().code, 3, "{name} {flags}");
        }
    }
    assert_eq!(caller.rename("a", "b").unwrap_err().code, 3);
    let change = Attributes { size: Some(0), mode: Some(0o777), times: Some((1, 1)) };
    assert_eq!(caller.set("a", change).unwrap_err().code, 3);
    let handle = caller.open("a", READ).unwrap();
    assert_eq!(caller.write(&handle, 0, b"x").unwrap_err().code, 3);
    for request in [Request::MakeFolder, Request::RemoveFolder] {
        assert_eq!(caller.ask(request).unwrap_err().code, 3);
    }
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"content");
    assert_eq!(names(folder.path()), ["a"]);
}

#[test]
fn what_is_no_result_is_not_there() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("destination");
    fs::create_dir_all(folder.join("inner")).unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    fs::write(folder.join(".stayput-in-0.part"), "half").unwrap();
    symlink(outer.path().join("secret"), folder.join("link")).unwrap();
    let mut caller = Caller::collecting(&folder);
    assert!(caller.list("/").unwrap().is_empty());
    for path in ["inner", "link", ".stayput-in-0.part", "../secret", "link/x", "/etc/passwd", ""] {
        assert!(caller.get(path).is_err(), "{path}");
        assert!(caller.remove(path).is_err(), "{path}");
    }
    assert_eq!(names(&folder), [".stayput-in-0.part", "inner", "link"]);
    assert!(outer.path().join("secret").exists());
}

#[test]
fn a_long_list_comes_in_pieces_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..1234 {
        fs::write(folder.path().join(format!("{number:05}")), "").unwrap();
    }
    let mut caller = Caller::collecting(folder.path());
    assert_eq!(caller.list("/").unwrap(), names(folder.path()));
    // A list that was begun does not keep anybody from anything.
    assert!((0..1000).any(|_| caller.ask(Request::OpenFolder { path: b"/" }).is_err()));
}
