//! The part as a program: one pass at each boot.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use stayput_config::Addressing;
use stayput_health::{Code, Moment, Part, State, Writer};

use crate::card::{self, Card};
use crate::clock::{self, Ladder, Saved};
use crate::good::Shelf;
use crate::host_key;
use crate::intake::{self, Around, Outcome, Refusal, Settings};
use crate::place::{self, Places};
use crate::plan::{self, Plan};
use crate::{Error, Result};

/// The part's own folders: what is gone with the power, and what stays.
const OWN: &str = "/run/stayput/setup";
pub(crate) const KEPT: &str = "/var/lib/stayput/setup";

/// Where the door's own key is kept, and what anybody may know of it.
const DOOR_KEPT: &str = "/var/lib/stayput/door";
const DOOR_KEY: &str = "stayput/door/key";

/// EX_USAGE.
const WRONG_CALL: u8 = 64;

const USAGE: &str = "\
usage: setup

Reads stayput.toml on the card, keeps a good copy of it, and writes the system's configuration below /run.
";

/// Runs the part; what follows its name is in `arguments`.
///
/// It succeeds whatever the card says: what is wrong with the settings is the health file's business, and no reason for systemd
/// to call the box degraded.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    match arguments.first() {
        None => {}
        Some(help) if help == "--help" || help == "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(_) => {
            eprint!("{USAGE}");
            return ExitCode::from(WRONG_CALL);
        }
    }
    let places = Places::default();
    let clock = begin_clock();
    let (outcome, mut troubles) = settings(&places);
    let plan = plan::plan(outcome.settings.as_ref());
    troubles.extend(apply(&plan, &places));
    troubles.extend(clock.err());
    if let Some(settings) = outcome.settings.as_ref().filter(|settings| settings.config.drop.is_open()) {
        troubles.extend(door(settings, &places));
    }
    tell(&outcome, &troubles);
    ExitCode::SUCCESS
}

/// The clock's first step, before anything is written with a time: forward to the last confirmed one.
fn begin_clock() -> Result<()> {
    let saved = Saved::in_folder(Path::new(clock::KEPT)).load();
    Ladder::new(saved).begin(Moment::now().unix).map_or(Ok(()), clock::set)
}

/// The settings in force, and the faults of the box that were met on the way.
fn settings(places: &Places) -> (Outcome, Vec<Error>) {
    let mut troubles = Vec::new();
    let shelf = Shelf::in_folder(Path::new(KEPT));
    let card =
        card::device().and_then(|device| Card::open(&device, &Path::new(OWN).join("card"), &places.zones));
    let offered = match &card {
        Ok(card) => intake::from_card(card),
        Err(error) => Err(Refusal::Unreadable(error.to_string())),
    };
    drop(card);
    let kept = match &offered {
        Ok(offered) => {
            troubles.extend(shelf.keep(&offered.copy).err());
            None
        }
        Err(_) => match shelf.load() {
            Ok(kept) => kept.and_then(|copy| usable(copy, places)),
            Err(error) => {
                troubles.push(error);
                None
            }
        },
    };
    (intake::decide(offered, kept), troubles)
}

/// A copy that an image with other rules has kept may not be one for this one.
fn usable(copy: crate::good::Copy, places: &Places) -> Option<Settings> {
    let kept = intake::from_copy(copy, &Nothing { places });
    kept.map_err(|refusal| eprintln!("<4>the good copy does not suit this version: {refusal}")).ok()
}

/// No card.
struct Nothing<'a> {
    places: &'a Places,
}

impl Around for Nothing<'_> {
    fn file(&self, _: &str, _: usize) -> std::io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn has_zone(&self, zone: &str) -> bool {
        self.places.zones.join(zone).is_file()
    }
}

fn apply(plan: &Plan, places: &Places) -> Vec<Error> {
    let mut troubles = place::place(plan, places);
    if let Some(name) = &plan.name {
        troubles.extend(place::name(name).err());
    }
    troubles
}

/// The door's key, and word of the door. What stands between it and its callers is in its health file.
fn door(settings: &Settings, places: &Places) -> Vec<Error> {
    let mut troubles = Vec::new();
    let kept = host_key::keep(Path::new(DOOR_KEPT)).and_then(|(key, damaged)| {
        troubles.extend(damaged);
        println!("the SFTP door's key is {}", key.fingerprint());
        place::public(DOOR_KEY, &format!("{}\n{}\n", key.fingerprint(), key.public_line()), places)
    });
    let is_open = kept.is_ok();
    troubles.extend(kept.err());
    let mut health = Writer::new(Part::Drop);
    let drop = &settings.config.drop;
    health.count("keys", u64::try_from(drop.keys.len()).unwrap_or(u64::MAX));
    health.count("collect-keys", u64::try_from(drop.collect_keys.len()).unwrap_or(u64::MAX));
    let (state, code) =
        if is_open { (State::Done, Code::Running) } else { (State::Failed, Code::StorageFault) };
    if let Err(error) = health.write(state, code, Moment::now()) {
        eprintln!("<3>{error}");
    }
    troubles
}

/// Says in the log and in the health file what became of it.
fn tell(outcome: &Outcome, troubles: &[Error]) {
    if let Some(refusal) = &outcome.refusal {
        for line in refusal.to_string().lines() {
            eprintln!("<3>{line}");
        }
    }
    let mut health = Writer::new(Part::Setup);
    health.fact("settings", outcome.source.word());
    if let Some(line) = outcome.line() {
        health.count("line", line);
    }
    if let Some(settings) = &outcome.settings {
        println!("settings from {}: {}", said(outcome), settings.config.device.name);
        for warning in &settings.warnings {
            eprintln!("<4>{}", warning.trim_end().replace('\n', "; "));
        }
        health.count("warnings", u64::try_from(settings.warnings.len()).unwrap_or(u64::MAX));
        facts(settings, &mut health);
    }
    for trouble in troubles {
        eprintln!("<3>{trouble}");
    }
    let (state, code) = verdict(outcome, troubles);
    if let Err(error) = health.write(state, code, Moment::now()) {
        eprintln!("<3>{error}");
    }
}

const fn said(outcome: &Outcome) -> &'static str {
    match outcome.source {
        intake::Source::Card => "the card",
        intake::Source::Kept => "the good copy",
        intake::Source::Nowhere => "nowhere",
    }
}

fn facts(settings: &Settings, health: &mut Writer) {
    let config = &settings.config;
    let is_static = matches!(config.network.addressing, Addressing::Static { .. });
    health.fact("address", if is_static { "static" } else { "dhcp" });
    health.fact("proxy", if config.network.proxy.is_some() { "yes" } else { "no" });
    health.fact("plain-http", if config.endpoints.plain_http { "allowed" } else { "no" });
    health.fact("runtime", if plan::is_hosted(settings) { "host" } else { "ecs" });
    health.fact("door", if config.drop.is_open() { "open" } else { "none" });
}

/// A fault of the box is told where the settings themselves give no reason to look at something else.
fn verdict(outcome: &Outcome, troubles: &[Error]) -> (State, Code) {
    match outcome.verdict() {
        (State::Done, Code::Running) if !troubles.is_empty() => (State::Degraded, Code::StorageFault),
        told => told,
    }
}
