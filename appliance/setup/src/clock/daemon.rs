//! The part `clock`: asks until the region has confirmed the time, and ends. A timer starts it again some hours later.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use stayput_health::{Moment, Part, Way, Writer};

use super::ask::{self, Place};
use super::ladder::{Ladder, Rung, Turn};
use super::saved::{self, Saved};
use crate::plan::AUTHORITIES;
use crate::{Error, Result};

/// What the set-up leaves.
const PLACE: &str = "/run/stayput/clock/region.json";
/// Where the confirmed time is kept.
pub(crate) const KEPT: &str = "/var/lib/stayput/clock";
/// What timesyncd leaves when a time server has set the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// How often it speaks while it waits: well within its time of silence.
const SPEAK: Duration = Duration::from_secs(25);

/// EX_USAGE.
const WRONG_CALL: u8 = 64;

const USAGE: &str = "\
usage: clock

Asks the region for the time until it has confirmed it. Who is asked stands in /run/stayput/clock/region.json.
";

/// Runs the part; what follows its name is in `arguments`.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if let Some(argument) = arguments.first() {
        let is_help = argument == "--help" || argument == "-h";
        eprint!("{USAGE}");
        return if is_help { ExitCode::SUCCESS } else { ExitCode::from(WRONG_CALL) };
    }
    match climb() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("<3>{error}");
            ExitCode::FAILURE
        }
    }
}

fn climb() -> Result<()> {
    let text = fs::read(PLACE).map_err(Error::io("read", PLACE))?;
    let place: Place = serde_json::from_slice(&text).map_err(|error| Error::Place(error.to_string()))?;
    let kept = Saved::in_folder(Path::new(KEPT));
    let mut ladder = Ladder::new(kept.load());
    let mut health = Writer::new(Part::Clock);
    let began = Moment::now();
    let mut way = Way::default();
    let mut tries = 0;
    loop {
        // Read each time: it is small beside a connection, and nothing is held while it waits.
        let heard = match fs::read(AUTHORITIES) {
            Ok(authorities) => ask::ask(&place, &authorities),
            Err(error) => return Err(Error::io("read", AUTHORITIES)(error)),
        };
        let now = Moment::now();
        let turn = ladder.heard(heard, now.unix, now.since(began).unwrap_or_default(), is_synchronized());
        tries += 1;
        act(&turn, now.unix, &kept)?;
        health.count("tries", tries);
        health.fact("rung", turn.rung.word());
        if let Some(set) = turn.set {
            health.count("stepped-seconds", u64::try_from(set - now.unix).unwrap_or(0));
        }
        let Some(wait) = turn.wait else {
            say(&mut health, &turn);
            return Ok(());
        };
        if pause(&turn, wait, &ladder, &mut way, &mut health) {
            ladder.hurry();
        }
    }
}

fn act(turn: &Turn, now: i64, kept: &Saved) -> Result<()> {
    if let Some(set) = turn.set {
        saved::set(set)?;
        println!("the clock is {} s ahead of before, as the region says", set - now);
    }
    turn.save.map_or(Ok(()), |time| kept.keep(time))
}

/// Waits and goes on speaking; a time server may answer meanwhile. Says whether the network has come back, which ends it.
fn pause(turn: &Turn, wait: Duration, ladder: &Ladder, way: &mut Way, health: &mut Writer) -> bool {
    let until = Moment::now().boot_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    loop {
        if turn.rung != Rung::Region {
            health.fact("rung", ladder.rung(is_synchronized()).word());
        }
        say(health, turn);
        let left = Duration::from_millis(until.saturating_sub(Moment::now().boot_ms));
        if left.is_zero() {
            return false;
        }
        if way.wait(left.min(SPEAK), turn.is_hindered) && turn.is_hindered {
            return true;
        }
    }
}

/// A health file that cannot be written is no reason to stop: its silence says enough.
fn say(health: &mut Writer, turn: &Turn) {
    let (state, code) = turn.said;
    if let Err(error) = health.write(state, code, Moment::now()) {
        eprintln!("<3>{error}");
    }
}

fn is_synchronized() -> bool {
    Path::new(SYNCHRONIZED).exists()
}
