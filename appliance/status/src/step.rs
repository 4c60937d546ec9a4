//! The steps that led to a verdict: what each part said last, in the order in which they said it.

use std::fmt;

use stayput_health::{Code, Moment, Part, Report, State};

/// One part's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Who spoke.
    pub part: Part,
    /// How it does.
    pub state: State,
    /// What exactly.
    pub code: Code,
    /// Since when.
    pub since: Moment,
}

impl From<&Report> for Step {
    fn from(report: &Report) -> Self {
        Self { part: report.part, state: report.state, code: report.code, since: report.since }
    }
}

impl fmt::Display for Step {
    /// A line of `STATUS.txt`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.since.boot_ms / 1000;
        let at = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(out, "{at:>9}  {:<9} {:<9} {}", self.part.name(), self.state.as_str(), self.code)
    }
}

/// The steps, the earliest first.
pub fn steps<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Vec<Step> {
    let mut steps: Vec<_> = reports.into_iter().map(Step::from).collect();
    steps.sort_by_key(|step| (step.since.boot_ms, step.part));
    steps
}
