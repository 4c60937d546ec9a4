//! Real processes, real files, real kills: a mover that dies at any moment, again and again, until everything is done.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod oracle;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oracle::apart;
use stayput_worker::disk::Linux;
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};
use tempfile::TempDir;

const FILES: u32 = 120;

/// Another number makes other moments of death; CI uses the built-in one.
const SEED: &str = "STAYPUT_TEST_SEED";

/// Set in the process that is to be killed: its folders, separated by newlines.
const CHILD: &str = "STAYPUT_TEST_MOVER";

fn order(number: u32) -> Order {
    let key = OrderKey::new(format!("key-{number}").as_bytes()).unwrap();
    Order { key, naming: Naming::Suffixed, name: format!("file-{number}").into_bytes() }
}

fn content(number: u32) -> Vec<u8> {
    format!("content of {number}\n").repeat(usize::try_from(number).unwrap() * 20 + 1).into_bytes()
}

/// In the child: carries all orders out, batch by batch, and says each answer once it is given.
#[test]
fn the_process_that_is_killed() {
    let Ok(folders) = std::env::var(CHILD) else { return };
    let folders: Vec<_> = folders.lines().map(|path| Linux.folder(Path::new(path)).unwrap()).collect();
    let [source, destination, log] = <[_; 3]>::try_from(folders).unwrap();
    // A tiny log, so that kills hit its new files too.
    let settings = Settings { quiet: Duration::ZERO, reserve: 0, log_length: 4096, ..Settings::default() };
    let mut mover = Mover::open(Linux, source, destination, log, settings).unwrap();
    let numbers: Vec<u32> = (0..FILES).collect();
    for batch in numbers.chunks(7) {
        let orders: Vec<_> = batch.iter().copied().map(order).collect();
        let outcomes = mover.carry_out(&orders);
        let mut out = std::io::stdout().lock();
        for (number, outcome) in batch.iter().zip(outcomes) {
            writeln!(out, "answer {number} {}", outcome.number()).unwrap();
        }
        out.flush().unwrap();
    }
    println!("end");
}

/// Kills movers until one comes to its end; returns how many were killed.
fn kill_until_done(source: &Path, destination: &Path, log: &Path, seed: u64) -> u32 {
    let folders = [source, destination, log].map(|path| path.to_str().unwrap()).join("\n");
    let mut answered: BTreeMap<u32, Outcome> = BTreeMap::new();
    let more = std::env::var(SEED).map_or(0, |text| text.parse::<u64>().unwrap());
    let mut random = seed.wrapping_add(more << 16) | 1;
    // Short lives first, so that most kills hit the middle of something; longer ones later, so that it ends.
    for life in 0..u32::MAX {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--nocapture"])
            .env(CHILD, &folders)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let lifetime = Duration::from_micros(1_500 + random % (6_000 + u64::from(life) * 200));
        let killer = std::thread::spawn({
            let mut out = BufReader::new(child.stdout.take().unwrap());
            move || {
                let mut said = Vec::new();
                let mut line = String::new();
                while out.read_line(&mut line).unwrap_or(0) > 0 {
                    said.push(std::mem::take(&mut line));
                }
                said
            }
        });
        std::thread::sleep(lifetime.saturating_sub(started.elapsed()));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = killer.join().unwrap();
        for line in &said {
            let mut words = line.split_whitespace();
            // The test harness of the child writes "test ... " before the first of our lines.
            if !words.by_ref().any(|word| word == "answer") || !line.ends_with('\n') {
                continue;
            }
            let number: u32 = words.next().unwrap().parse().unwrap();
            let outcome = Outcome::from_number(words.next().unwrap().parse().unwrap()).unwrap();
            let before = answered.insert(number, outcome);
            let expected = if before.is_some() {
                &[Outcome::AlreadyDone][..]
            } else {
                &[Outcome::Done, Outcome::AlreadyDone]
            };
            assert!(expected.contains(&outcome), "life {life}: file {number} was answered {outcome:?}");
        }
        // Seen from outside, after every death.
        for number in 0..FILES {
            let here = fs::read(source.join(format!("file-{number}"))).ok();
            let there = fs::read(destination.join(format!("file-{number}_has_been_processed"))).ok();
            let aside = here.is_none() && there.is_some();
            if answered.contains_key(&number) {
                assert!(aside, "life {life}: file {number} was answered done and is not there");
                assert_eq!(there, Some(content(number)), "life {life}: file {number}");
            } else {
                let found = here.or(there);
                assert_eq!(found, Some(content(number)), "life {life}: file {number} is lost or damaged");
            }
        }
        if said.iter().any(|line| line.starts_with("end")) {
            return life;
        }
    }
    unreachable!("lives become longer until one is long enough")
}

fn run(far: Option<&Path>, seed: u64) {
    let place = TempDir::new().unwrap();
    let (source, log) = (place.path().join("source"), place.path().join("log"));
    let destination = far.map_or_else(|| place.path().join("destination"), Path::to_owned);
    for folder in [&source, &destination, &log] {
        fs::create_dir_all(folder).unwrap();
    }
    for number in 0..FILES {
        fs::write(source.join(format!("file-{number}")), content(number)).unwrap();
    }
    let kills = kill_until_done(&source, &destination, &log, seed);
    println!("{kills} kills");
    assert!(kills >= 5, "only {kills} kills: the lives are too long to test anything");
    assert_eq!(fs::read_dir(&source).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&destination).unwrap().count(), FILES as usize);
}

#[test]
fn kills_at_any_moment_lose_nothing_in_one_file_system() {
    run(None, 0x5eed);
}

#[test]
fn kills_at_any_moment_lose_nothing_between_file_systems() {
    let Some((_, far)) = apart() else { return };
    run(Some(far.path()), 0xfeed);
}
