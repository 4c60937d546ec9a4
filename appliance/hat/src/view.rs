//! Everything that the screen can show at one moment.

use stayput_health::{Code, Moment, Part, Report};
use stayput_status::{Facts, Finding, Verdict};

use crate::Gauges;

/// What is known at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The state of the box, and what else is not well.
    pub verdict: Verdict,
    /// Name, addresses, region, identity, version: as in `STATUS.txt`.
    pub facts: Facts,
    /// What the worker does.
    pub work: Work,
    /// How the machine does.
    pub gauges: Gauges,
    /// When that was.
    pub now: Moment,
}

impl View {
    /// The box in the state `code` and nothing else known about it, for pictures of that state.
    pub fn of_state(code: Code) -> Self {
        let now = Moment { unix: 0, boot_ms: 0 };
        let state = Finding { code, part: None, since: now, detail: None };
        Self {
            verdict: Verdict { state, others: Vec::new() },
            facts: Facts::default(),
            work: Work::default(),
            gauges: Gauges::default(),
            now,
        }
    }
}

/// What the worker does: numbers and one word, never a file's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// Orders carried out today (UTC).
    pub today: Option<u64>,
    /// Orders whose files have not come yet.
    pub waiting: Option<u64>,
    /// Orders that were set aside.
    pub parked: Option<u64>,
    /// What became of the last order, as a word of the worker's own.
    pub last: Option<String>,
}

impl Work {
    /// What the worker's halves say in their `reports`. The courier is asked first: it sees orders, the mover files.
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a Report> + Clone) -> Self {
        let said = |part: Part| reports.clone().into_iter().find(move |report| report.part == part);
        let halves = [said(Part::Courier), said(Part::Mover)];
        let counter = |name: &str| halves.iter().flatten().find_map(|half| half.counters.get(name).copied());
        let fact = |name: &str| {
            let word = halves.iter().flatten().find_map(|half| half.facts.get(name));
            word.map(|word| word.as_str().to_owned())
        };
        Self {
            today: counter("today"),
            waiting: counter("waiting"),
            parked: counter("parked"),
            last: fact("last"),
        }
    }
}
