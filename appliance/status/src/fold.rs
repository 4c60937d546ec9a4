//! What all parts say, folded into the one state of the box.
//!
//! The rules, all of them: the worst state wins, by severity and then by the table's fixed order. A part that is silent
//! for too long, or whose unit failed, is dead. A part that cannot be understood is an internal fault. A part never
//! looks better than both its state and its code say. Where no one speaks, nothing is well.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use stayput_health::{Code, Moment, Part, Reading, Report, State};

use crate::row::rank;
use crate::{Severity, row};

/// How long after the start of the kernel a part may be missing before it counts as dead.
pub(crate) const GRACE: Duration = Duration::from_secs(120);

/// For how long a part that ended by itself counts as dead, although it may have been started again within a second: a
/// person should have seen it, and one that dies again and again must not look well in between.
pub(crate) const MOURNING: Duration = Duration::from_secs(10);

/// What systemd says about a part's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// It is not on this box, or switched off: nothing is expected of the part.
    Unwanted,
    /// It is wanted and not running: not started yet, or a part that runs once and has ended.
    Inactive,
    /// It is being started, or waits to be started again.
    Activating,
    /// It runs.
    Active,
    /// It is being stopped.
    Deactivating,
    /// It has failed.
    Failed,
}

/// One part, from both sides: what it says and what systemd says.
#[derive(Debug)]
pub struct PartView {
    /// Which part; the status part itself as well, which tells of its own restart.
    pub part: Part,
    /// Its health file.
    pub reading: Reading,
    /// Its unit.
    pub unit: Unit,
    /// When its process last ended without being asked to, if it did; systemd keeps that over a restart.
    pub died: Option<Moment>,
}

/// How far the system as a whole is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Units of the first start are still being started.
    ComingUp,
    /// It is up.
    Up,
    /// It is shutting down.
    Stopping,
}

/// A light that a person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// Try all lights.
    LampTest,
    /// Show which box this is.
    Locate,
}

/// The system as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct System {
    /// How far it is.
    pub phase: Phase,
    /// What a person asked for, and still holds.
    pub asked: Option<Asked>,
    /// Whether systemd calls it degraded: some unit has failed, perhaps one of no part.
    pub degraded: bool,
}

/// One state, and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The state.
    pub code: Code,
    /// Which part; `None` for the system as a whole.
    pub part: Option<Part>,
    /// Since when.
    pub since: Moment,
    /// What the report adds to the row's words, such as a line number.
    pub detail: Option<String>,
}

/// The state of the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The state that is shown.
    pub state: Finding,
    /// Everything else that is not simply well, the worst first.
    pub others: Vec<Finding>,
}

impl Verdict {
    /// Since when the box is in its state.
    pub const fn since(&self) -> Moment {
        self.state.since
    }
}

impl Finding {
    fn new(code: Code, part: Option<Part>, since: Moment) -> Self {
        Self { code, part, since, detail: None }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        row(self.code).severity()
    }

    /// The screen's first two lines.
    pub fn screen(&self) -> [String; 2] {
        let row = row(self.code);
        [row.verdict().to_owned(), row.screen(self.detail.as_deref())]
    }

    /// Which finding this is, whatever its time and detail.
    pub(crate) fn key(&self) -> (Code, Option<Part>) {
        (self.code, self.part)
    }

    /// The worst first, and a fixed order among equals.
    pub(crate) fn worst_first(&self, other: &Self) -> std::cmp::Ordering {
        let rest = |it: &Self| (it.part, it.since.boot_ms, it.since.unix, it.detail.clone());
        rank(other.code).cmp(&rank(self.code)).then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl fmt::Display for Finding {
    /// The line for the log.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.part.map_or("box", Part::name);
        write!(out, "{} {part}: {}", self.code, row(self.code).sentence(self.detail.as_deref()))
    }
}

/// The state of the box from what is known of its `parts` and of the `system`. The order of `parts` does not matter.
pub fn fold<'a>(parts: impl IntoIterator<Item = &'a PartView>, system: System, now: Moment) -> Verdict {
    let mut findings: Vec<_> = parts.into_iter().filter_map(|view| finding(view, now)).collect();
    let whole = |code| Finding::new(code, None, now);
    match system.phase {
        Phase::ComingUp => findings.push(Finding::new(Code::Starting, None, start_of(now))),
        Phase::Up => {}
        Phase::Stopping => findings.push(whole(Code::ShuttingDown)),
    }
    if system.degraded {
        findings.push(whole(Code::PartDegraded));
    }
    match system.asked {
        Some(Asked::LampTest) => findings.push(whole(Code::LampTest)),
        Some(Asked::Locate) => findings.push(whole(Code::Locate)),
        None => {}
    }
    if findings.is_empty() {
        let code = if in_grace(GRACE, now) { Code::Starting } else { Code::InternalFault };
        findings.push(whole(code));
    }
    findings.sort_by(Finding::worst_first);
    // One part seen twice says a thing once.
    findings.dedup_by(|later, earlier| later.key() == earlier.key());
    let mut findings = findings.into_iter();
    let state = findings.next().unwrap_or_else(|| whole(Code::InternalFault));
    Verdict { state, others: findings.filter(|other| other.severity() != Severity::Good).collect() }
}

/// What `view` contributes; `None` where nothing is expected and nothing is said.
fn finding(view: &PartView, now: Moment) -> Option<Finding> {
    let part = Some(view.part);
    match &view.reading {
        Reading::Fresh(report) => Some(said(report, view, now)),
        Reading::Stale { report, silent } => {
            let silent_since = later(report.written, view.part.silence().min(*silent));
            Some(Finding::new(Code::PartDead, part, silent_since))
        }
        Reading::Unreadable(_) => Some(Finding::new(Code::InternalFault, part, now)),
        Reading::Absent => match view.unit {
            Unit::Unwanted => None,
            Unit::Failed => Some(Finding::new(Code::PartDead, part, now)),
            Unit::Inactive | Unit::Activating | Unit::Active | Unit::Deactivating => {
                let grace = view.part.silence().max(GRACE);
                Some(if in_grace(grace, now) {
                    Finding::new(Code::Starting, part, start_of(now))
                } else {
                    Finding::new(Code::PartDead, part, later(start_of(now), grace))
                })
            }
        },
    }
}

/// What a report says when state, code and unit are taken together: the worst of them.
fn said(report: &Report, view: &PartView, now: Moment) -> Finding {
    let row_said = row(report.code);
    let part = Some(report.part);
    if !row_said.reportable() {
        return Finding::new(Code::InternalFault, part, report.since);
    }
    let floor = match report.state {
        State::Starting => Code::Starting,
        State::Degraded => Code::PartDegraded,
        State::Failed => Code::PartFailed,
        State::Running | State::Done | State::Stopped => report.code,
    };
    let code = if row_said.severity() < row(floor).severity() { floor } else { report.code };
    // What the part itself says is wrong helps more than that it is dead.
    if row(code).severity() < Severity::Fault {
        if let Some(died) = view.died.filter(|died| now.since(*died).is_none_or(|ago| ago < MOURNING)) {
            return Finding::new(Code::PartDead, part, died);
        }
        if view.unit == Unit::Failed {
            return Finding::new(Code::PartDead, part, now);
        }
    }
    let detail = row(code).detail().and_then(|detail| detail.of(report));
    Finding { code, part, since: report.since, detail }
}

/// Whether `now` is still within `grace` of the start of the kernel.
fn in_grace(grace: Duration, now: Moment) -> bool {
    Duration::from_millis(now.boot_ms) <= grace
}

/// The start of the kernel.
fn start_of(now: Moment) -> Moment {
    let up = i64::try_from(now.boot_ms / 1000).unwrap_or(i64::MAX);
    Moment { unix: now.unix.saturating_sub(up), boot_ms: 0 }
}

fn later(moment: Moment, by: Duration) -> Moment {
    let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
    Moment { unix: moment.unix.saturating_add(seconds), boot_ms: moment.boot_ms.saturating_add(ms) }
}

/// The findings, each key once, in the order of [`Finding::worst_first`], without `shown` and without what is well.
pub(crate) fn others_than(shown: &Finding, findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut by_key = BTreeMap::new();
    for finding in findings {
        if finding.key() != shown.key() && finding.severity() != Severity::Good {
            by_key.entry(finding.key()).or_insert(finding);
        }
    }
    let mut others: Vec<_> = by_key.into_values().collect();
    others.sort_by(Finding::worst_first);
    others
}
