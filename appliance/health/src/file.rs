//! The health file: what a part says about itself, as one small JSON object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::part::Life;
use crate::{Code, Moment, Part, Word};

/// The version of the format that is written and read here.
pub const VERSION: u32 = 1;

/// The longest health file that is read; an honest one has a few hundred bytes.
pub(crate) const LONGEST: u64 = 64 * 1024;

/// The most counters, and the most facts, that one file may carry.
pub(crate) const MOST: usize = 64;

/// How a part does, coarsely; the code says the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not at work yet.
    Starting,
    /// At work.
    Running,
    /// At work with less than it should have.
    Degraded,
    /// Not able to work.
    Failed,
    /// A one-shot part has done its job.
    Done,
    /// Ended on purpose.
    Stopped,
}

impl State {
    /// The state in the file's own words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }
}

/// The contents of a health file, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always [`VERSION`].
    pub version: u32,
    /// Who speaks.
    pub part: Part,
    /// How it does.
    pub state: State,
    /// What exactly.
    pub code: Code,
    /// When `state` and `code` became what they are.
    pub since: Moment,
    /// When this file was written.
    pub written: Moment,
    /// What the part counts.
    #[serde(default)]
    pub counters: BTreeMap<Word, u64>,
    /// What the part found, as words of its own program text (never names or text that it was given).
    #[serde(default)]
    pub facts: BTreeMap<Word, Word>,
}

impl Report {
    /// Whether silence after this report says anything: the last word of a part that runs once stays true.
    pub fn can_go_stale(&self) -> bool {
        match self.part.life() {
            Life::Always => self.state != State::Stopped,
            Life::Once => self.state == State::Starting,
        }
    }

    /// The report as the bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self)
            .expect("words and numbers are JSON, and memory is the only thing written to");
        bytes.push(b'\n');
        bytes
    }
}
