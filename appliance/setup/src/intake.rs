//! Which settings are in force, and what is to be told of it: from the card, from the good copy, or none. Pure.

use std::io;

use stayput_config::keys::{self, Key};
use stayput_config::{CaSource, Checked, Config, DataPath, Findings, LONGEST, Pem, Problem};
use stayput_health::{Code, State};

use crate::good::Copy;
use crate::plan::LEDGER;

/// The person's file.
pub const NAME: &str = "stayput.toml";

/// The longest file of certificates, and the most of all together: ten times what an honest one has.
const LONGEST_AUTHORITY: usize = 256 * 1024;
const MOST_AUTHORITIES: usize = 1024 * 1024;

/// What lies around the file: others beside it, and what the image brings.
pub trait Around {
    /// A file of the card, or one byte more than `longest` of it; `None` where there is none.
    fn file(&self, name: &str, longest: usize) -> io::Result<Option<Vec<u8>>>;

    /// Whether the image knows a time zone.
    fn has_zone(&self, zone: &str) -> bool;
}

/// Settings that were checked, with all that they name.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What they say.
    pub config: Config,
    /// As they were written, and the certificates that they name.
    pub copy: Copy,
    /// What a person should know all the same, one line each.
    pub warnings: Vec<String>,
}

/// Why the card's file is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// There is one, and it cannot be read as text; or the card's partition cannot be read at all.
    Unreadable(String),
    /// It has mistakes.
    Wrong {
        /// The line of the first one, where it has one.
        line: Option<usize>,
        /// All of them, in words.
        said: String,
    },
}

/// Where the settings in force come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the card, as they are there now.
    Card,
    /// From the good copy.
    Kept,
    /// There are none.
    Nowhere,
}

impl Source {
    /// The word for it in the health file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Kept => "kept",
            Self::Nowhere => "none",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The settings in force.
    pub settings: Option<Settings>,
    /// Where they come from.
    pub source: Source,
    /// Why the card's are not those.
    pub refusal: Option<Refusal>,
}

/// The settings on the card.
pub fn from_card(around: &dyn Around) -> Result<Settings, Refusal> {
    let bytes = around.file(NAME, LONGEST).map_err(|error| Refusal::Unreadable(error.to_string()))?;
    let bytes = bytes.ok_or(Refusal::Missing)?;
    let checked = stayput_config::read(&bytes, NAME).map_err(refused)?;
    let authorities = authorities(&checked, around)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    settings(checked, Copy { text, authorities }, around)
}

/// The settings of the good copy.
pub fn from_copy(copy: Copy, around: &dyn Around) -> Result<Settings, Refusal> {
    let checked = stayput_config::read(copy.text.as_bytes(), NAME).map_err(refused)?;
    settings(checked, copy, around)
}

fn settings(checked: Checked, copy: Copy, around: &dyn Around) -> Result<Settings, Refusal> {
    fits_the_box(&checked, around)?;
    let warnings = checked.warnings.iter().map(ToString::to_string).collect();
    Ok(Settings { config: checked.config, copy, warnings })
}

/// What the file alone cannot tell.
fn fits_the_box(checked: &Checked, around: &dyn Around) -> Result<(), Refusal> {
    let config = &checked.config;
    if let Some(zone) = config.device.time_zone.as_ref().filter(|zone| !around.has_zone(zone.as_str())) {
        return Err(wrong(
            checked,
            &keys::DEVICE_TIME_ZONE,
            &format!("there is no time zone \"{zone}\"; write Area/City as in \"Europe/Berlin\", or \"UTC\""),
        ));
    }
    let taken = |path: &DataPath| {
        [LEDGER, "/data/lost+found"].iter().any(|own| {
            path.as_str().strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let folders = [
        (&keys::WORKER_SOURCE, &config.worker.source),
        (&keys::WORKER_DESTINATION, &config.worker.destination),
    ];
    if let Some((key, path)) = folders.into_iter().find(|(_, path)| taken(path)) {
        return Err(wrong(checked, key, &format!("{path} is the box's own folder; choose another")));
    }
    // The worker's variable has blanks between buckets.
    if let Some(rule) = config.worker.s3.iter().find(|rule| rule.prefix.as_str().contains(' ')) {
        let what = format!(
            "the prefix of bucket \"{}\" holds a blank, which this version cannot take; end it before the blank",
            rule.bucket
        );
        return Err(wrong(checked, &keys::WORKER_S3_PREFIX, &what));
    }
    Ok(())
}

/// The certificates that the file names, in PEM.
fn authorities(checked: &Checked, around: &dyn Around) -> Result<String, Refusal> {
    let mut all = String::new();
    for source in &checked.config.network.ca {
        let wrong = |what: &str| wrong(checked, &keys::NETWORK_CA, what);
        let pem = match source {
            CaSource::Inline(pem) => pem.clone(),
            CaSource::File(file) => {
                let read = around.file(file.as_str(), LONGEST_AUTHORITY);
                let read = read.map_err(|error| wrong(&format!("\"{file}\" cannot be read: {error}")))?;
                let bytes = read
                    .ok_or_else(|| wrong(&format!("\"{file}\" is not on the card; copy it beside {NAME}")))?;
                if bytes.len() > LONGEST_AUTHORITY {
                    return Err(wrong(&format!(
                        "\"{file}\" is too long for certificates; name the right file"
                    )));
                }
                String::from_utf8_lossy(&bytes)
                    .parse::<Pem>()
                    .map_err(|flaw| wrong(&format!("\"{file}\" {flaw}")))?
            }
        };
        all += &pem.to_string();
        if all.len() > MOST_AUTHORITIES {
            return Err(wrong("the certificates together are too long; name only those that are needed"));
        }
    }
    Ok(all)
}

fn wrong(checked: &Checked, key: &'static Key, what: &str) -> Refusal {
    let line = checked.place(key).map(|place| place.line);
    let at = line.map(|line| format!(":{line}")).unwrap_or_default();
    Refusal::Wrong { line, said: format!("{NAME}{at}: error: {key}: {what}") }
}

fn refused(findings: Findings) -> Refusal {
    let said = findings.to_string();
    let first = findings.first();
    let unreadable = |problem: &Problem| {
        matches!(problem, Problem::Utf16 | Problem::NotUtf8 | Problem::Nul | Problem::TooLong { .. })
    };
    if first.is_some_and(|finding| unreadable(&finding.problem)) {
        return Refusal::Unreadable(said);
    }
    Refusal::Wrong { line: first.map(|finding| finding.place.line), said }
}

/// Which settings are in force: the card's where they are good, else the last good ones.
pub fn decide(card: Result<Settings, Refusal>, kept: Option<Settings>) -> Outcome {
    match (card, kept) {
        (Ok(settings), _) => Outcome { settings: Some(settings), source: Source::Card, refusal: None },
        (Err(refusal), Some(kept)) => {
            Outcome { settings: Some(kept), source: Source::Kept, refusal: Some(refusal) }
        }
        (Err(refusal), None) => Outcome { settings: None, source: Source::Nowhere, refusal: Some(refusal) },
    }
}

impl Outcome {
    /// What the health file says.
    pub fn verdict(&self) -> (State, Code) {
        let plain = self.settings.as_ref().is_some_and(|settings| settings.config.endpoints.plain_http);
        match (&self.refusal, self.source) {
            (None, _) if plain => (State::Degraded, Code::PlainHttp),
            (None, _) => (State::Done, Code::Running),
            (Some(Refusal::Wrong { .. }), Source::Nowhere) => (State::Failed, Code::ConfigWrong),
            (Some(Refusal::Missing), Source::Nowhere) => (State::Failed, Code::ConfigMissing),
            (Some(Refusal::Unreadable(_)), Source::Nowhere) => (State::Failed, Code::ConfigUnreadable),
            (Some(Refusal::Wrong { .. }), _) => (State::Degraded, Code::ConfigIgnored),
            (Some(Refusal::Missing | Refusal::Unreadable(_)), _) => (State::Degraded, Code::ConfigKept),
        }
    }

    /// The line of the first mistake.
    pub fn line(&self) -> Option<u64> {
        let Some(Refusal::Wrong { line, .. }) = &self.refusal else { return None };
        line.and_then(|line| u64::try_from(line).ok())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => write!(out, "there is no {NAME} on the card's drive STAYPUT"),
            Self::Unreadable(said) => write!(out, "{NAME} cannot be read: {said}"),
            Self::Wrong { said, .. } => out.write_str(said.trim_end()),
        }
    }
}
