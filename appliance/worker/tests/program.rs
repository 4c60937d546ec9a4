//! The worker's program from outside: its jobs, its exit codes, what it says, and what it cannot do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod oracle;
mod process;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use process::{PATIENCE, Place, order};
use stayput_health::{Code, Moment, Part, Reading, State, read_in};
use stayput_worker::protocol::Inbound;
use stayput_worker::{Naming, Order, Outcome};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn a_confined_mover_moves_files_takes_files_in_and_stops_when_it_is_told_to() {
    let place = Place::new();
    let mut running = place.start();
    let mut client = place.client();
    fs::write(place.source("a.csv"), "content").unwrap();
    let outcomes = client.carry_out(vec![order("1", "a.csv"), order("2", "b.csv")]).unwrap();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Waiting]);
    assert_eq!(fs::read(place.destination("a.csv_has_been_processed")).unwrap(), b"content");
    let inbound = Inbound {
        transfer: 1,
        order: Order { naming: Naming::Unchanged, ..order("3", "in.csv") },
        length: 5,
        checksum: None,
        version: Vec::new(),
    };
    let mut pipe = fs::File::from(client.send_in(inbound).unwrap().unwrap());
    pipe.write_all(b"12345").unwrap();
    drop(pipe);
    assert_eq!(client.complete(1).unwrap(), Outcome::Done);
    // A second one finds the first at work.
    let second = run(place.command("mover").env("STAYPUT_SOCKET", place.path("other")));
    assert_eq!(second.status.code(), Some(75), "{}", text(&second.stderr));
    let third = run(&mut place.command("mover"));
    assert_eq!(third.status.code(), Some(75), "{}", text(&third.stderr));
    assert!(running.child.try_wait().unwrap().is_none());
    drop(client);
    assert_eq!(running.terminate().code(), Some(0));
    let Reading::Fresh(report) = read_in(&place.path("health"), Part::Mover, Moment::now()) else {
        panic!("{}", place.health());
    };
    assert_eq!((report.state, report.code), (State::Stopped, Code::Stopped));
    // And the next one goes on where it was, over the socket that the first has left behind.
    let running = place.start();
    let mut client = place.client();
    assert_eq!(client.carry_out(vec![order("1", "a.csv")]).unwrap(), [Outcome::AlreadyDone]);
    running.kill();
    assert!(client.counters().is_err());
}

#[test]
fn between_file_systems_a_confined_mover_copies() {
    let Some((near, far)) = oracle::apart() else { return };
    let place = Place::with(near, far.path().join("destination"));
    let _running = place.start();
    fs::write(place.source("a"), vec![b'x'; 300_000]).unwrap();
    fs::set_permissions(place.source("a"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(place.client().carry_out(vec![order("1", "a")]).unwrap(), [Outcome::Done]);
    let moved = fs::metadata(place.destination("a_has_been_processed")).unwrap();
    assert_eq!((moved.len(), moved.permissions().mode() & 0o777), (300_000, 0o640));
    assert!(!place.source("a").exists());
}

#[test]
fn the_health_file_counts_what_was_answered_and_holds_the_head_of_the_log_but_no_name() {
    let place = Place::new();
    let _running = place.start();
    let mut client = place.client();
    fs::write(place.source("erika-muster.pdf"), "x").unwrap();
    fs::write(place.destination("max_has_been_processed"), "older").unwrap();
    fs::write(place.source("max"), "x").unwrap();
    let orders = vec![order("1", "erika-muster.pdf"), order("2", "max"), order("3", "none")];
    assert_eq!(client.carry_out(orders).unwrap(), [Outcome::Done, Outcome::Conflict, Outcome::Waiting]);
    let deadline = Instant::now() + PATIENCE;
    let report = loop {
        if let Reading::Fresh(report) = read_in(&place.path("health"), Part::Mover, Moment::now())
            && report.code == Code::Conflict
        {
            break report;
        }
        assert!(Instant::now() < deadline, "{}", place.health());
        std::thread::sleep(Duration::from_millis(50));
    };
    let count = |name: &str| report.counters.get(name).copied();
    assert_eq!((count("done"), count("conflict"), count("waiting")), (Some(1), Some(1), Some(1)));
    assert!(count("ledger-records") >= Some(3) && count("ledger-head-3").is_some());
    assert!(!place.health().contains("erika") && !place.health().contains("max"), "{}", place.health());
}

#[test]
fn every_forbidden_act_is_refused_to_a_confined_mover() {
    let place = Place::new();
    fs::create_dir(place.path("destination")).unwrap();
    fs::create_dir(place.path("ledger")).unwrap();
    let output = run(place.command("mover").arg("--explain-confinement"));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    let acts: Vec<_> = said.lines().skip(1).filter(|line| line.contains("(os error")).collect();
    assert!(acts.len() > 40, "{said}");
    for act in &acts {
        let confined = act.get(31..67).unwrap();
        assert!(confined.contains("(os error 1)") || confined.contains("(os error 13)"), "{act}");
    }
    // The comparison shows that each was tried for real: unconfined, most get another answer.
    let refused = |act: &&&str| act.matches("Operation not permitted").count() > 1;
    assert!(acts.iter().filter(refused).count() < 20, "{said}");
    for name in ["socket", "connect", "io_uring_setup", "unshare", "ptrace", "execve"] {
        assert!(acts.iter().any(|act| act.get(3..).unwrap().starts_with(name)), "{name} was not tried");
    }
}

#[test]
fn a_stranger_that_connects_gets_nothing() {
    let place = Place::new();
    let _running = place.start_with([("STAYPUT_COURIER_UID", OsStr::new("4242"))]);
    let deadline = Instant::now() + PATIENCE;
    while !place.path("socket").exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(stayput_worker::client::Client::connect(&place.path("socket"), PATIENCE).is_err());
}

#[test]
fn each_mistake_has_its_exit_code_and_names_its_remedy() {
    let place = Place::new();
    let nowhere = place.path("no/such/folder");
    let file = place.path("file");
    fs::write(&file, "x").unwrap();
    type Row<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a OsStr)], i32, &'a str);
    let table: &[Row<'_>] = &[
        ("", &[], &[], 64, "no job"),
        ("mover", &["--faster"], &[], 64, "--faster"),
        ("mover", &["x"], &[], 64, "\"x\""),
        ("mover", &[], &[("STAYPUT_QUIET_SECONDS", OsStr::new("soon"))], 78, "STAYPUT_QUIET_SECONDS"),
        ("mover", &[], &[("EFS_SOURCE_FOLDER", nowhere.as_os_str())], 73, "make it"),
        ("mover", &[], &[("EFS_SOURCE_FOLDER", file.as_os_str())], 73, "give it to the mover's user"),
        ("mover", &[], &[("STAYPUT_SOCKET", nowhere.as_os_str())], 73, "socket"),
        ("check", &[], &[("EFS_SOURCE_FOLDER", nowhere.as_os_str())], 1, "remedy"),
        ("check", &[], &[("STAYPUT_RESERVE_MIB", OsStr::new("999999999"))], 1, "less than the reserve"),
        ("check", &["x"], &[], 64, "\"x\""),
    ];
    for (job, arguments, variables, code, said) in table {
        let output = run(place.command(job).args(*arguments).envs(variables.iter().copied()));
        let all = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(*code), "{job} {arguments:?} {variables:?}: {all}");
        assert!(all.contains(said), "{job} {arguments:?} {variables:?}: {all}");
    }
}

#[test]
fn check_finds_a_good_place_good_and_leaves_nothing_behind() {
    let place = Place::new();
    fs::create_dir(place.path("destination")).unwrap();
    fs::create_dir(place.path("ledger")).unwrap();
    let output = run(&mut place.command("check"));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("renamed, never copied") && said.contains("(leases)"), "{said}");
    for folder in ["source", "destination", "ledger"] {
        assert_eq!(fs::read_dir(place.path(folder)).unwrap().count(), 0, "{folder}");
    }
}

/// A process's user, and whether others of that user may look into it.
fn user_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.to_owned();
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn both_halves_in_one_container_are_two_users_and_end_together() {
    if !rustix::process::getuid().is_root() {
        return oracle::missing("right to become another user (root)");
    }
    for (owner, mover) in [(Some(4321), 4321), (None, 802)] {
        let place = Place::new();
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(place.path("health"), fs::Permissions::from_mode(0o1777)).unwrap();
        match owner {
            Some(_) => std::os::unix::fs::chown(place.path("source"), owner, owner).unwrap(),
            None => fs::remove_dir(place.path("source")).unwrap(),
        }
        two_users(&place, mover);
        // What was not there was made for the mover.
        for folder in ["source", "destination", "ledger"] {
            assert_eq!(fs::metadata(place.path(folder)).unwrap().uid(), mover, "{folder}");
        }
    }
}

/// Starts both halves, looks at them, and ends them.
fn two_users(place: &Place, mover: u32) {
    let mut child = place
        .command("both")
        // Nobody is there: the courier goes on trying, which is all that it should do here.
        .env("SQS_QUEUE_URL", "http://127.0.0.1:1/000000000000/orders")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "x")
        .env("AWS_SECRET_ACCESS_KEY", "x")
        .env("STAYPUT_COURIER_UID", "4322")
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let children = loop {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        let children: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        // What cannot be looked into belongs to root in the eyes of others. A half closes itself soon after its start.
        let is_closed = |pid: &u32| fs::metadata(format!("/proc/{pid}/mem")).is_ok_and(|mem| mem.uid() == 0);
        if children.len() == 2 && place.health().contains("WRK-06") && children.iter().all(is_closed) {
            break children;
        }
        assert!(Instant::now() < deadline, "{children:?} {}", place.health());
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(place.health().contains("\"separation\":\"weaker\""), "{}", place.health());
    let mut users: Vec<_> = children.iter().filter_map(|pid| user_of(*pid)).collect();
    users.sort_unstable();
    assert_eq!(users, [mover.min(4322), mover.max(4322)]);
    for pid in &children {
        let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        let is_mover = user_of(*pid) == Some(mover);
        assert_eq!(environment.contains("AWS_SECRET_ACCESS_KEY"), !is_mover, "process {pid}");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(children.iter().all(|pid| user_of(*pid).is_none()), "a half was left behind");
}

#[test]
fn both_halves_as_one_user_are_refused() {
    let place = Place::new();
    let same = rustix::process::getuid().as_raw().to_string();
    let output = run(place.command("both").env("STAYPUT_MOVER_UID", same));
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("two users"), "{}", text(&output.stderr));
}

#[test]
fn the_mover_of_both_is_not_root_because_the_files_are() {
    if !rustix::process::getuid().is_root() {
        return oracle::missing("right to become another user (root)");
    }
    let place = Place::new();
    let output = run(place.command("both").env("STAYPUT_COURIER_UID", "4322"));
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("STAYPUT_MOVER_UID"), "{}", text(&output.stderr));
    assert!(!place.path("ledger").exists());
}

#[test]
fn help_lists_every_job_every_variable_and_every_exit_code() {
    let output = run(&mut Place::new().command("--help"));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    for word in ["mover", "both", "check", "SQS_QUEUE_URL", "EFS_SOURCE_FOLDER", "STAYPUT_SUFFIX", "77"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn what_the_halves_count_is_told_to_whoever_asks_at_a_socket_and_one_who_says_nothing_holds_up_nobody() {
    let place = Place::new();
    let _running = place.start();
    fs::write(place.source("a.csv"), "content").unwrap();
    assert_eq!(place.client().carry_out(vec![order("1", "a.csv")]).unwrap(), [Outcome::Done]);
    let socket = place.path("metrics");
    let asked = || {
        let mut caller = UnixStream::connect(&socket).ok()?;
        caller.write_all(b"GET /metrics HTTP/1.1\r\nHost: box\r\n\r\n").unwrap();
        let mut said = String::new();
        caller.read_to_string(&mut said).unwrap();
        Some(said)
    };
    let until = |is_so: fn(&str) -> bool| {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = asked().unwrap_or_default();
            if is_so(&said) {
                return said;
            }
            assert!(Instant::now() < end, "{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let mut serving = Ended(place.command("metrics").arg("--socket").arg(&socket).spawn().unwrap());
    let said = until(|said| said.contains("stayput_worker{part=\"mover\",count=\"done\"} 1\n"));
    assert!(said.starts_with("HTTP/1.0 200 OK\r\n"), "{said}");
    assert!(said.contains("stayput_up{part=\"mover\"} 1\n"), "{said}");
    // No courier was started here.
    assert!(said.contains("stayput_up{part=\"courier\"} 0\n"), "{said}");
    let names = ["a.csv", "_has_been"];
    assert!(names.iter().all(|name| !said.contains(name)), "{said}");
    let silent = UnixStream::connect(&socket).unwrap();
    let mut endless = UnixStream::connect(&socket).unwrap();
    let _ = endless.write_all(&[b'x'; 9000]);
    until(|said| said.contains("stayput_up"));
    drop(silent);
    // Another one does not take the place of one at work; after its death it does.
    let second = run(place.command("metrics").arg("--socket").arg(&socket));
    assert_eq!(second.status.code(), Some(73), "{}", text(&second.stderr));
    serving.0.kill().unwrap();
    serving.0.wait().unwrap();
    let _third = Ended(place.command("metrics").arg("--socket").arg(&socket).spawn().unwrap());
    until(|said| said.contains("stayput_up"));
    let once = run(&mut place.command("metrics"));
    assert!(text(&once.stdout).contains("# TYPE stayput_worker untyped\n"), "{}", text(&once.stdout));
}

/// A child that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
