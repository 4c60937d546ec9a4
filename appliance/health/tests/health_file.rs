//! The health file on a real directory: written whole, read whatever it is.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, which is its job")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use stayput_health::{Code, Error, Moment, Part, Reading, Report, State, Word, Writer, parse, read_in};

fn at(boot_ms: u64) -> Moment {
    Moment { unix: 1_795_000_000, boot_ms }
}

fn write(directory: &Path, part: Part, state: State, now: Moment) {
    Writer::in_directory(part, directory).write(state, Code::Running, now).unwrap();
}

fn fresh(reading: Reading) -> Report {
    match reading {
        Reading::Fresh(report) => report,
        other => panic!("expected a fresh report, got {other:?}"),
    }
}

fn unreadable(directory: &Path, part: Part) -> Error {
    match read_in(directory, part, at(1)) {
        Reading::Unreadable(error) => error,
        other => panic!("expected an unreadable file, got {other:?}"),
    }
}

#[test]
fn what_a_part_writes_is_what_a_reader_gets() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::in_directory(Part::Courier, directory.path());
    writer.count("orders", 17);
    writer.count("orders", 18);
    writer.fact("runtime", "host");
    writer.write(State::Running, Code::Running, at(1_000)).unwrap();
    let report = fresh(read_in(directory.path(), Part::Courier, at(1_500)));
    assert_eq!((report.state, report.code, report.since), (State::Running, Code::Running, at(1_000)));
    assert_eq!(report.counters, BTreeMap::from([(Word::try_from("orders").unwrap(), 18)]));
    assert_eq!(report.facts["runtime"].as_str(), "host");
}

#[test]
fn the_format_is_this_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::in_directory(Part::Init, directory.path());
    writer.count("modules", 3);
    writer.fact("slot", "a");
    writer.write(State::Degraded, Code::StateVolatile, Moment { unix: 7, boot_ms: 2_345 }).unwrap();
    let text = fs::read_to_string(writer.path()).unwrap();
    let expected = concat!(
        r#"{"version":1,"part":"init","state":"degraded","code":"STO-01","since":{"unix":7,"boot_ms":2345},"#,
        r#""written":{"unix":7,"boot_ms":2345},"counters":{"modules":3},"facts":{"slot":"a"}}"#,
        "\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn since_stays_while_state_and_code_do_and_over_a_restart_of_the_part() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::in_directory(Part::Mover, directory.path());
    let mut since = |state, code, now| {
        writer.write(state, code, at(now)).unwrap();
        fresh(read_in(directory.path(), Part::Mover, at(now))).since.boot_ms
    };
    assert_eq!(since(State::Running, Code::Running, 100), 100);
    assert_eq!(since(State::Running, Code::Running, 200), 100);
    assert_eq!(since(State::Degraded, Code::Running, 300), 300);
    assert_eq!(since(State::Degraded, Code::InternalFault, 400), 400);
    assert_eq!(since(State::Running, Code::Running, 500), 500);
    write(directory.path(), Part::Mover, State::Running, at(600));
    assert_eq!(fresh(read_in(directory.path(), Part::Mover, at(600))).since.boot_ms, 500);
}

#[test]
fn everyone_may_read_it_whatever_the_umask_and_nothing_else_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let old = rustix_umask(0o077);
    write(directory.path(), Part::Status, State::Running, at(1));
    rustix_umask(old);
    let mode = fs::metadata(directory.path().join("status.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

fn rustix_umask(mask: u32) -> u32 {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask)).as_raw_mode()
}

#[test]
fn a_link_laid_in_the_writers_way_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, directory.path().join(format!(".mover.json.{}", std::process::id()))).unwrap();
    symlink(&victim, directory.path().join("mover.json")).unwrap();
    write(directory.path(), Part::Mover, State::Running, at(1));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fresh(read_in(directory.path(), Part::Mover, at(1)));
}

#[test]
fn a_missing_directory_is_an_error_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone");
    let error = Writer::in_directory(Part::Init, &gone).write(State::Done, Code::Running, at(1)).unwrap_err();
    assert!(error.to_string().contains("gone/.init.json"), "{error}");
}

#[test]
fn silence_means_death_for_a_service_by_the_boot_clock_alone() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), Part::Courier, State::Running, at(1_000));
    let limit = 1_000 + u64::try_from(Part::Courier.silence().as_millis()).unwrap();
    let jumped = Moment { unix: 0, boot_ms: limit };
    fresh(read_in(directory.path(), Part::Courier, jumped));
    match read_in(directory.path(), Part::Courier, Moment { unix: 1_795_000_001, boot_ms: limit + 1 }) {
        Reading::Stale { report, silent } => {
            assert_eq!(report.state, State::Running);
            assert_eq!(silent, Part::Courier.silence() + Duration::from_millis(1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_word_of_a_one_shot_part_stays_true_but_its_first_does_not() {
    let directory = tempfile::tempdir().unwrap();
    for (state, lasts) in
        [(State::Done, true), (State::Degraded, true), (State::Failed, true), (State::Starting, false)]
    {
        write(directory.path(), Part::Init, state, at(1));
        let reading = read_in(directory.path(), Part::Init, at(u64::from(u32::MAX)));
        assert_eq!(matches!(reading, Reading::Fresh(_)), lasts, "{state:?}");
    }
    write(directory.path(), Part::Courier, State::Done, at(1));
    let reading = read_in(directory.path(), Part::Courier, at(u64::from(u32::MAX)));
    assert!(matches!(reading, Reading::Stale { .. }), "a service is never done: {reading:?}");
    write(directory.path(), Part::Courier, State::Stopped, at(1));
    fresh(read_in(directory.path(), Part::Courier, at(u64::from(u32::MAX))));
}

#[test]
fn no_file_is_absent_and_other_things_under_its_name_are_refused_without_waiting() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(read_in(directory.path(), Part::Agent, at(1)), Reading::Absent));
    assert!(matches!(read_in(&directory.path().join("none"), Part::Agent, at(1)), Reading::Absent));
    let path = directory.path().join("agent.json");
    fs::create_dir(&path).unwrap();
    assert!(matches!(unreadable(directory.path(), Part::Agent), Error::NotAFile { .. }));
    fs::remove_dir(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert!(matches!(unreadable(directory.path(), Part::Agent), Error::Io { action: "open", .. }));
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert!(matches!(unreadable(directory.path(), Part::Agent), Error::NotAFile { .. }));
}

#[test]
fn every_kind_of_bad_content_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let good = {
        write(directory.path(), Part::Agent, State::Running, at(1));
        fs::read_to_string(directory.path().join("agent.json")).unwrap()
    };
    let error = |bytes: &[u8]| {
        fs::write(directory.path().join("agent.json"), bytes).unwrap();
        unreadable(directory.path(), Part::Agent)
    };
    assert!(matches!(error(b""), Error::Malformed { .. }));
    assert!(matches!(error(&good.as_bytes()[..good.len() / 2]), Error::Malformed { .. }));
    assert!(matches!(error(b"{\"version\":1,\xff}"), Error::NotUtf8 { .. }));
    assert!(matches!(error(&vec![b' '; 70_000]), Error::TooLong { .. }));
    assert!(matches!(error("[".repeat(60_000).as_bytes()), Error::Malformed { .. }));
    assert!(matches!(error(b"{\"version\":2,\"new\":{}}"), Error::Version { found: 2, .. }));
    assert!(matches!(error(b"{\"version\":-1}"), Error::Version { found: -1, .. }));
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        error(good.replacen(from, to, 1).as_bytes()).to_string()
    };
    assert!(change("RUN-00", "NET-99").contains("'NET-99' is no state code"));
    assert!(change("\"agent\"", "\"status\"").contains("may write only its own file"));
    assert!(change("\"agent\"", "\"attic\"").contains("expected one of init, setup"));
    assert!(change("running", "sleeping").contains("`starting`"));
    assert!(change("\"counters\":{}", "\"counters\":{\"../x\":1}").contains("cannot name a counter"));
    assert!(change("\"counters\":{}", "\"counters\":{\"x\":-1}").contains("-1"));
    assert!(change("\"counters\":{}", "\"text\":\"hello\"").contains("unknown field `text`"));
    assert!(change("\"state\"", "\"state\":\"done\",\"state\"").contains("duplicate field"));
    assert!(
        change("\"written\":{\"unix\":1795000000,\"boot_ms\":1", "\"written\":{\"unix\":1,\"boot_ms\":20099")
            .contains("20098 ms ahead")
    );
    assert!(change("\"boot_ms\":1", "\"boot_ms\":5").contains("'since' is later"));
    let many: Vec<_> = (0..65).map(|n| format!("\"c{n}\":0")).collect();
    assert!(
        change("\"counters\":{}", &format!("\"counters\":{{{}}}", many.join(","))).contains("65 counters")
    );
}

#[test]
fn carriage_returns_and_a_byte_order_mark_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), Part::Drop, State::Running, at(1));
    let text = fs::read_to_string(directory.path().join("drop.json")).unwrap();
    let windows = format!("\u{feff}{}", text.replace(',', ",\r\n").replace('\n', "\r\n"));
    assert_eq!(parse(windows.as_bytes(), "x").unwrap(), parse(text.as_bytes(), "x").unwrap());
}

fn reports() -> impl Strategy<Value = Report> {
    let word = "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?".prop_map(|text| Word::try_from(text).unwrap());
    let states =
        [State::Starting, State::Running, State::Degraded, State::Failed, State::Done, State::Stopped];
    let moments = (any::<i64>(), any::<i64>(), any::<u64>(), any::<u64>());
    let counters = proptest::collection::btree_map(word.clone(), any::<u64>(), 0..8);
    let facts = proptest::collection::btree_map(word.clone(), word, 0..8);
    let part = proptest::sample::select(Part::ALL);
    let code = proptest::sample::select(Code::ALL);
    (part, proptest::sample::select(states.to_vec()), code, moments, counters, facts).prop_map(
        |(part, state, code, (wall_1, wall_2, a, b), counters, facts)| Report {
            version: 1,
            part,
            state,
            code,
            since: Moment { unix: wall_1, boot_ms: a.min(b) },
            written: Moment { unix: wall_2, boot_ms: a.max(b) },
            counters,
            facts,
        },
    )
}

proptest! {
    #[test]
    fn any_report_comes_back_from_its_bytes(report in reports()) {
        prop_assert_eq!(parse(&report.to_bytes(), "x").unwrap(), report);
    }

    #[test]
    fn no_prefix_of_a_report_is_taken_for_one(report in reports(), cut in 0.0..1.0_f64) {
        let bytes = report.to_bytes();
        let length = ((bytes.len() - 2) as f64 * cut) as usize;
        prop_assert!(parse(&bytes[..length], "x").is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_stop(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, "x");
    }
}
