//! What the account `drop` can do, and what it cannot.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

mod desk;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use desk::{APPEND, CREATE, Caller, EXCLUSIVE, READ, TRUNCATE, WRITE, names};
use stayput_door::wire::{Attributes, Refusal, Request};

/// The draft's numbers.
const NO_FILE: u32 = 2;
const DENIED: u32 = 3;
const FAILED: u32 = 4;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

fn code(said: Result<impl std::fmt::Debug, Refusal>) -> u32 {
    said.unwrap_err().code
}

#[test]
fn a_file_has_no_name_before_it_is_whole() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    let handle = caller.open("a.csv", WRITE | CREATE | TRUNCATE).unwrap();
    caller.write(&handle, 0, b"one,").unwrap();
    assert!(names(folder.path()).is_empty());
    caller.write(&handle, 4, b"two").unwrap();
    assert!(names(folder.path()).is_empty());
    caller.close(&handle).unwrap();
    assert_eq!(names(folder.path()), ["a.csv"]);
    let found = fs::metadata(folder.path().join("a.csv")).unwrap();
    // The mover reads it by its group, and whoever brought it does not; one name, so that it can be moved.
    assert_eq!((found.permissions().mode() & 0o7777, found.nlink(), found.len()), (0o040, 1, 7));
}

#[test]
fn whoever_is_cut_off_leaves_nothing_behind() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    for name in ["a.csv", "b.csv.filepart"] {
        let handle = caller.open(name, WRITE | CREATE).unwrap();
        caller.write(&handle, 0, &[7; 5000]).unwrap();
    }
    caller.put("c.csv.filepart", b"whole, and never renamed").unwrap();
    drop(caller);
    assert!(names(folder.path()).is_empty());
    // And the next one is not kept from sending it again.
    assert!(Caller::adding(folder.path()).put("a.csv", b"again").is_ok());
}

#[test]
fn a_temporary_name_holds_a_file_back_until_it_is_renamed() {
    let folder = folder();
    for temporary in ["a.csv.filepart", "a.csv.part", "A.TMP", "a.partial"] {
        let mut caller = Caller::adding(folder.path());
        caller.put(temporary, b"content").unwrap();
        assert_eq!(caller.list("/").unwrap(), [temporary]);
        assert!(names(folder.path()).is_empty(), "{temporary}");
        let name = format!("{temporary}.csv");
        caller.rename(temporary, &name).unwrap();
        assert_eq!(fs::metadata(folder.path().join(&name)).unwrap().len(), 7);
        assert_eq!(caller.list("/").unwrap(), [name.as_str()]);
        assert_eq!(code(caller.rename(temporary, "b")), NO_FILE);
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let mut caller = Caller::adding(folder.path());
    caller.put("a.part", b"1").unwrap();
    caller.rename("a.part", "b.part").unwrap();
    assert!(names(folder.path()).is_empty());
    caller.remove("b.part").unwrap();
    assert_eq!(code(caller.rename("b.part", "b")), NO_FILE);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn nothing_is_overwritten_whenever_the_name_was_taken() {
    let folder = folder();
    let path = folder.path().join("a.csv");
    fs::write(&path, "the first").unwrap();
    let mut caller = Caller::adding(folder.path());
    for flags in
        [WRITE, WRITE | CREATE, WRITE | CREATE | TRUNCATE, WRITE | APPEND, WRITE | CREATE | EXCLUSIVE]
    {
        assert_eq!(code(caller.open("a.csv", flags)), FAILED);
    }
    // While it comes, somebody else is faster.
    let handle = caller.open("b.csv", WRITE | CREATE).unwrap();
    caller.write(&handle, 0, b"the second").unwrap();
    fs::write(folder.path().join("b.csv"), "the first").unwrap();
    assert_eq!(code(caller.close(&handle)), FAILED);
    caller.put("c.part", b"the second").unwrap();
    assert_eq!(code(caller.rename("c.part", "b.csv")), FAILED);
    for name in ["a.csv", "b.csv"] {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"the first");
    }
    // Under another name it still can come.
    caller.rename("c.part", "c.csv").unwrap();
    assert_eq!(names(folder.path()), ["a.csv", "b.csv", "c.csv"]);
}

#[test]
fn of_files_of_others_nothing_is_seen_and_nothing_can_be_done_to_them() {
    let folder = folder();
    let path = folder.path().join("theirs.csv");
    Caller::adding(folder.path()).put("theirs.csv", b"personal").unwrap();
    let before = fs::metadata(&path).unwrap();
    let mut caller = Caller::adding(folder.path());
    assert!(caller.list("/").unwrap().is_empty());
    assert_eq!(code(caller.stat("theirs.csv")), NO_FILE);
    assert_eq!(code(caller.open("theirs.csv", READ)), DENIED);
    assert_eq!(code(caller.open("theirs.csv", READ | WRITE)), FAILED);
    assert_eq!(code(caller.remove("theirs.csv")), NO_FILE);
    assert_eq!(code(caller.rename("theirs.csv", "mine.csv")), NO_FILE);
    let change = Attributes { size: Some(0), mode: Some(0o777), times: Some((1, 1)) };
    assert_eq!(code(caller.set("theirs.csv", change)), NO_FILE);
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.ctime_nsec(), after.len()), (before.ctime_nsec(), 8));
}

#[test]
fn what_was_handed_in_is_out_of_its_callers_hands() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    caller.put("a.csv", b"content").unwrap();
    assert_eq!(caller.stat("a.csv").unwrap().size, Some(7));
    let before = fs::metadata(folder.path().join("a.csv")).unwrap();
    assert_eq!(code(caller.remove("a.csv")), DENIED);
    assert_eq!(code(caller.rename("a.csv", "b.csv")), DENIED);
    assert_eq!(code(caller.set("a.csv", Attributes { size: Some(1), ..Attributes::default() })), DENIED);
    // What clients wish for as a matter of course is no error, and changes nothing.
    let usual = Attributes { mode: Some(0o666), times: Some((1, 1)), size: None };
    caller.set("a.csv", usual).unwrap();
    let after = fs::metadata(folder.path().join("a.csv")).unwrap();
    assert_eq!(
        (after.ctime_nsec(), after.mtime(), after.mode()),
        (before.ctime_nsec(), before.mtime(), before.mode())
    );
}

#[test]
fn nothing_is_read() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    let handle = caller.open("a.csv", READ | WRITE | CREATE).unwrap();
    caller.write(&handle, 0, b"content").unwrap();
    assert_eq!(code(caller.ask(Request::Read { handle: &handle, offset: 0, length: 7 })), DENIED);
    assert_eq!(code(caller.open(".", READ)), DENIED);
}

#[test]
fn no_path_leads_out_of_the_folder_or_into_another() {
    let outer = folder();
    let folder = outer.path().join("source");
    fs::create_dir_all(folder.join("inner")).unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outer.path(), folder.join("link")).unwrap();
    std::os::unix::fs::symlink(outer.path().join("new"), folder.join("dangling")).unwrap();
    let mut caller = Caller::adding(&folder);
    for path in ["inner/a", "link/a", "/link/secret", "link/../inner/b"] {
        assert_eq!(code(caller.put(path, b"x")), NO_FILE, "{path}");
    }
    for path in ["inner", "link", "dangling", "/"] {
        assert_eq!(code(caller.put(path, b"x")), FAILED, "{path}");
    }
    assert_eq!(code(caller.put(".stayput-in-0.part", b"x")), DENIED);
    // Up is nowhere: it is the folder again.
    caller.put("../../a.csv", b"x").unwrap();
    assert_eq!(caller.real("../../etc"), "/etc");
    assert_eq!(names(&folder), ["a.csv", "dangling", "inner", "link"]);
    assert_eq!(names(outer.path()), ["secret", "source"]);
    assert_eq!(code(caller.ask(Request::MakeFolder)), DENIED);
    assert_eq!(code(caller.ask(Request::RemoveFolder)), DENIED);
    assert_eq!(code(caller.list("inner")), NO_FILE);
}

#[test]
fn bytes_that_are_missing_cost_the_whole_file() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    let handle = caller.open("a.csv", WRITE | CREATE).unwrap();
    caller.write(&handle, 0, b"0123").unwrap();
    assert_eq!(code(caller.write(&handle, 5, b"56")), FAILED);
    // A client that does not look at answers closes all the same.
    assert_eq!(code(caller.write(&handle, 4, b"4")), FAILED);
    assert_eq!(code(caller.close(&handle)), FAILED);
    assert!(names(folder.path()).is_empty());
    // Twice the same is no gap.
    let handle = caller.open("a.csv", WRITE | CREATE).unwrap();
    for (offset, bytes) in [(0, "0123"), (2, "2345"), (0, "0"), (6, "6")] {
        caller.write(&handle, offset, bytes.as_bytes()).unwrap();
    }
    caller.close(&handle).unwrap();
    let path = folder.path().join("a.csv");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"0123456");
}

#[test]
fn a_full_box_says_so_before_a_byte_is_sent_and_while_they_come() {
    let folder = folder();
    assert_eq!(code(Caller::adding_with(folder.path(), u64::MAX).put("a.csv", b"x")), FAILED);
    let free = rustix::fs::statvfs(folder.path()).unwrap();
    let free = free.f_bavail * free.f_frsize;
    let mut caller = Caller::adding_with(folder.path(), free - (4 << 20));
    let handle = caller.open("a.csv", WRITE | CREATE).unwrap();
    let chunk = vec![1; 128 << 10];
    let mut at = 0;
    let refused = loop {
        match caller.write(&handle, at, &chunk) {
            Ok(_) => at += chunk.len() as u64,
            Err(refusal) => break refusal,
        }
        assert!(at < 64 << 20, "it never ended");
    };
    assert!(refused.says.contains("no room"), "{refused:?}");
    assert!(caller.close(&handle).is_err());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_caller_cannot_hold_more_than_his_share() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    let opened = (0..1000).take_while(|i| caller.open(&format!("{i}"), WRITE | CREATE).is_ok()).count();
    assert!((16..256).contains(&opened), "{opened}");
}

#[test]
fn a_file_keeps_the_time_that_its_client_gives_it_before_it_is_handed_in() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    let times = Attributes { times: Some((1_700_000_000, 1_600_000_000)), ..Attributes::default() };
    let handle = caller.open("a.csv", WRITE | CREATE).unwrap();
    caller.write(&handle, 0, b"x").unwrap();
    caller.ask(Request::FileSetStat { handle: &handle, attributes: times }).unwrap();
    caller.close(&handle).unwrap();
    caller.put("b.csv.filepart", b"x").unwrap();
    caller.set("b.csv.filepart", times).unwrap();
    caller.rename("b.csv.filepart", "b.csv").unwrap();
    for name in ["a.csv", "b.csv"] {
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().mtime(), 1_600_000_000, "{name}");
        assert_eq!(caller.stat(name).unwrap().times, Some((1_600_000_000, 1_600_000_000)));
    }
}

/// WinSCP with its usual settings: looks, uploads under a name of its own, renames, sets the time, looks again.
#[test]
fn winscps_way_ends_well() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    assert_eq!(caller.real("."), "/");
    assert!(caller.stat("/").unwrap().mode.unwrap() & 0o040_000 != 0);
    assert!(caller.list("/").unwrap().is_empty());
    assert_eq!(code(caller.stat("/big.csv")), NO_FILE);
    assert_eq!(code(caller.stat("/big.csv.filepart")), NO_FILE);
    caller.put("/big.csv.filepart", &[1; 50_000]).unwrap();
    assert_eq!(code(caller.stat("/big.csv")), NO_FILE);
    caller.rename("/big.csv.filepart", "/big.csv").unwrap();
    let usual = Attributes { times: Some((1_700_000_000, 1_700_000_000)), ..Attributes::default() };
    caller.set("/big.csv", usual).unwrap();
    assert_eq!(caller.list("/").unwrap(), ["big.csv"]);
    assert_eq!(fs::metadata(folder.path().join("big.csv")).unwrap().len(), 50_000);
    // Once more: it is told that the name is taken when it opens or renames, and may choose another.
    caller.put("/big.csv.filepart", b"other").unwrap();
    let refused = caller.rename("/big.csv.filepart", "/big.csv").unwrap_err();
    assert!(refused.says.contains("choose another name"), "{refused:?}");
    // A transfer that is stopped by hand is taken back.
    caller.remove("/big.csv.filepart").unwrap();
}

/// FileZilla: looks, uploads under the final name, sets the time where it was told to.
#[test]
fn filezillas_way_ends_well() {
    let folder = folder();
    let mut caller = Caller::adding(folder.path());
    assert_eq!(caller.real("."), "/");
    assert_eq!(caller.real("/"), "/");
    caller.list("/").unwrap();
    caller.put("/a.csv", b"content").unwrap();
    let usual = Attributes { times: Some((1_700_000_000, 1_700_000_000)), ..Attributes::default() };
    caller.set("/a.csv", usual).unwrap();
    assert_eq!(caller.list("/").unwrap(), ["a.csv"]);
}
