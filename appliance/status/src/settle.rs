//! Calm: a worse state shows at once, a better one when the worse has been gone for a while.
//!
//! What comes and goes faster than that stays on the light and cannot flicker. What is shown next is what is true then,
//! not what was true in between: a light that replays the past would be a light that lies.

use std::time::Duration;

use stayput_health::Moment;

use crate::fold::{Finding, Verdict, others_than};
use crate::row::rank;
use crate::{Severity, row};

/// Remembers what is shown and what was found lately.
#[derive(Debug, Clone, Default)]
pub struct Settler {
    shown: Option<Shown>,
    /// Found within the last [`CALM`], the worst first. What a later finding was worse than is not kept.
    recent: Vec<Recent>,
}

#[derive(Debug, Clone)]
struct Shown {
    finding: Finding,
    /// When it was last found, or first shown if that was later: from then on it must be gone for its hold.
    last: Moment,
}

#[derive(Debug, Clone)]
struct Recent {
    finding: Finding,
    seen: Moment,
}

/// When the light changes to something better, this is how far it looks back, so that a single good second between two
/// bad ones is not taken for the end of the trouble.
const CALM: Duration = Duration::from_secs(3);

impl Settler {
    /// How long a state of `severity` must be gone before a better one replaces it.
    pub const fn hold(severity: Severity) -> Duration {
        match severity {
            // Between "working" and "waits for orders" a moment is enough; what a person asked for ends when it ends.
            Severity::Good | Severity::Passing => CALM,
            Severity::Warning | Severity::Fault => Duration::from_secs(10),
            Severity::Command => Duration::ZERO,
        }
    }

    /// What to show, now that the parts' own verdict is `fresh`. Called about once a second.
    pub fn settle(&mut self, mut fresh: Verdict, now: Moment) -> Verdict {
        self.carry_since(&mut fresh.state);
        let candidate = self.worst_of_late(&fresh.state, now);
        let shown = match self.shown.take() {
            Some(shown) if rank(candidate.finding.code) < rank(shown.finding.code) => {
                let gone = now.since(shown.last).unwrap_or_default();
                let over = gone >= Self::hold(row(shown.finding.code).severity());
                if over { Shown { finding: candidate.finding, last: now } } else { shown }
            }
            // The same: gone again from when it was last found, but never sooner than it was shown.
            Some(shown) if candidate.finding.key() == shown.finding.key() => {
                let last =
                    if candidate.seen.boot_ms > shown.last.boot_ms { candidate.seen } else { shown.last };
                Shown { finding: candidate.finding, last }
            }
            // Worse: at once.
            _ => Shown { finding: candidate.finding, last: now },
        };
        let state = shown.finding.clone();
        self.shown = Some(shown);
        let others = others_than(&state, [fresh.state].into_iter().chain(fresh.others));
        Verdict { state, others }
    }

    /// A state that went away for less than its hold never went, for a person: it began when it first did.
    fn carry_since(&self, fresh: &mut Finding) {
        let shown = self.shown.iter().map(|shown| &shown.finding);
        let known = shown.chain(self.recent.iter().map(|recent| &recent.finding));
        let known = known.filter(|known| known.key() == fresh.key()).map(|known| known.since);
        if let Some(earliest) = known.min_by_key(|since| since.boot_ms)
            && earliest.boot_ms < fresh.since.boot_ms
        {
            fresh.since = earliest;
        }
    }

    fn worst_of_late(&mut self, fresh: &Finding, now: Moment) -> Recent {
        self.recent.retain(|recent| {
            let ago = now.since(recent.seen).unwrap_or_default();
            let keep = CALM.min(Self::hold(row(recent.finding.code).severity()));
            ago < keep && rank(recent.finding.code) > rank(fresh.code)
        });
        let found = Recent { finding: fresh.clone(), seen: now };
        self.recent.push(found.clone());
        self.recent.first().cloned().unwrap_or(found)
    }
}
