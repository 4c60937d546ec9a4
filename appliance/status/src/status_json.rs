//! `STATUS.json`: what `STATUS.txt` says, for a program.

use std::collections::BTreeMap;

use serde::Serialize;
use stayput_health::Moment;

use crate::status_txt::wall;
use crate::{Facts, Finding, STATUS_JSON, Severity, Step, Verdict, row};

/// How many further findings are told.
const MOST_OTHERS: usize = 8;

#[derive(Serialize)]
struct Document {
    version: u32,
    started: bool,
    written: When,
    state: Said,
    remedy: [&'static str; 2],
    others: Vec<Said>,
    more: usize,
    steps: Vec<Walked>,
    facts: BTreeMap<String, String>,
}

/// The wall clock, and the seconds since power-on.
#[derive(Serialize)]
struct When {
    time: String,
    up: u64,
}

#[derive(Serialize)]
struct Said {
    code: &'static str,
    severity: &'static str,
    verdict: &'static str,
    sentence: String,
    part: Option<&'static str>,
    since: When,
}

#[derive(Serialize)]
struct Walked {
    part: &'static str,
    state: &'static str,
    code: &'static str,
    up: u64,
}

/// The text for `verdict`, the `steps` that led there and `facts` at the moment `now`. The same values always give the same text.
pub fn status_json(verdict: &Verdict, steps: &[Step], facts: &Facts, now: Moment) -> String {
    let Verdict { state, others } = verdict;
    let walked = |step: &Step| Walked {
        part: step.part.name(),
        state: step.state.as_str(),
        code: step.code.as_str(),
        up: step.since.boot_ms / 1000,
    };
    let document = Document {
        version: 1,
        started: true,
        written: when(now),
        state: said(state),
        remedy: row(state.code).remedy(),
        others: others.iter().take(MOST_OTHERS).map(said).collect(),
        more: others.len().saturating_sub(MOST_OTHERS),
        steps: steps.iter().map(walked).collect(),
        facts: facts.iter().map(|(fact, value)| (key(fact.title()), value.to_owned())).collect(),
    };
    let texts = "texts and numbers are JSON, and memory is the only thing written to";
    let pretty = serde_json::to_string_pretty(&document).expect(texts).replace('\n', "\r\n") + "\r\n";
    // With everything wrong at once it is for programs alone.
    if pretty.len() <= STATUS_JSON.size {
        pretty
    } else {
        serde_json::to_string(&document).expect(texts) + "\r\n"
    }
}

fn key(title: &str) -> String {
    title.to_ascii_lowercase().replace(' ', "-")
}

fn when(moment: Moment) -> When {
    When { time: wall(moment), up: moment.boot_ms / 1000 }
}

fn said(finding: &Finding) -> Said {
    let row = row(finding.code);
    Said {
        code: finding.code.as_str(),
        severity: match row.severity() {
            Severity::Command => "asked-for",
            Severity::Fault => "fault",
            Severity::Warning => "warning",
            Severity::Passing => "passing",
            Severity::Good => "good",
        },
        verdict: row.verdict(),
        sentence: row.sentence(finding.detail.as_deref()),
        part: finding.part.map(|part| part.name()),
        since: when(finding.since),
    }
}
