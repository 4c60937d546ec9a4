//! Everything that the screen can show at one moment.

use stayput_health::{Code, Moment, Part, Report};
use stayput_status::{Fact, Facts, Finding, Verdict};

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

impl View {
    /// A box of an ordinary day that has been in the state `code` for twelve minutes, for pictures in a manual.
    pub fn example(code: Code) -> Self {
        const KNOWN: [(Fact, &str); 7] = [
            (Fact::Name, "depot-3"),
            (Fact::Board, "NanoPi NEO2"),
            (Fact::Version, "0.1.0"),
            (Fact::Slot, "A"),
            (Fact::Addresses, "192.168.1.20"),
            (Fact::Region, "eu-central-1"),
            (Fact::Instance, "mi-0123456789abcdef0"),
        ];
        let mut facts = Facts::default();
        for (fact, value) in KNOWN {
            facts.set(fact, value).expect("each keeps its fact's rule, as the pictures show");
        }
        let gauges = Gauges { memory: Some((104 << 20, 484 << 20)), temperature: Some(48), wear: Some(10) };
        let work = Work {
            today: Some(412),
            waiting: Some(3),
            parked: Some(0),
            last: Some("done".to_owned()),
            used: Some(42),
        };
        let now = Moment { unix: 0, boot_ms: 12 * 60_000 };
        Self { facts, work, gauges, now, ..Self::of_state(code) }
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
    /// How much of the room for files is used, in percent.
    pub used: Option<u64>,
}

impl Work {
    /// What the worker's halves say in their `reports`. The courier is asked first: it sees orders, the mover files.
    /// What was done `today` is for [`Today`] to say.
    pub(crate) fn of<'a>(reports: impl IntoIterator<Item = &'a Report> + Clone) -> Self {
        let halves = halves(reports);
        let counter = |name: &str| halves.iter().flatten().find_map(|half| half.counters.get(name).copied());
        let last = halves.iter().flatten().find_map(|half| half.facts.get("last"));
        Self {
            today: None,
            waiting: counter("waiting"),
            parked: counter("parked"),
            last: last.map(|word| word.as_str().to_owned()),
            used: counter("used-percent"),
        }
    }
}

fn halves<'a>(reports: impl IntoIterator<Item = &'a Report> + Clone) -> [Option<&'a Report>; 2] {
    [Part::Courier, Part::Mover].map(|part| reports.clone().into_iter().find(|report| report.part == part))
}

/// Orders done since midnight (UTC). The courier counts since it was started, so its counts are added up here.
///
/// Nothing is written down: when the status part is started anew, only what was done today and since the start of the
/// courier that runs then is known, if the box itself was started today; else only what is done from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Today {
    day: i64,
    sum: u64,
    counted: Option<u64>,
}

impl Today {
    /// The sum, now that the courier says this in its report; `None` while there was none.
    pub(crate) fn of<'a>(
        &mut self,
        reports: impl IntoIterator<Item = &'a Report> + Clone,
        now: Moment,
    ) -> Option<u64> {
        let [courier, _] = halves(reports);
        if let Some(done) = courier.and_then(|courier| courier.counters.get("done")) {
            self.add(*done, now);
        }
        self.counted.map(|_| self.sum)
    }

    fn add(&mut self, done: u64, now: Moment) {
        const DAY: i64 = 24 * 3600;
        let day = now.unix.div_euclid(DAY);
        let started = now.unix.saturating_sub(i64::try_from(now.boot_ms / 1000).unwrap_or(i64::MAX));
        let new = match self.counted {
            // A smaller number than before: the courier was started again.
            Some(before) => done.checked_sub(before).unwrap_or(done),
            None if started.div_euclid(DAY) == day => done,
            None => 0,
        };
        if day != self.day {
            (self.day, self.sum) = (day, 0);
        }
        self.sum = self.sum.saturating_add(new);
        self.counted = Some(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_176_000;

    fn at(unix: i64, up_hours: u64) -> Moment {
        Moment { unix, boot_ms: up_hours * 3_600_000 }
    }

    #[test]
    fn a_box_started_today_has_done_today_what_it_has_done() {
        let mut today = Today::default();
        today.add(40, at(NOON, 2));
        today.add(45, at(NOON + 60, 2));
        assert_eq!(today.sum, 45);
    }

    #[test]
    fn what_a_box_did_on_days_before_is_not_of_today() {
        let mut today = Today::default();
        today.add(40_000, at(NOON, 48));
        assert_eq!(today.sum, 0);
        today.add(40_002, at(NOON + 60, 48));
        assert_eq!(today.sum, 2);
    }

    #[test]
    fn midnight_begins_anew() {
        let mut today = Today::default();
        today.add(40, at(NOON, 2));
        today.add(41, at(NOON + 12 * 3600, 14));
        today.add(43, at(NOON + 12 * 3600 + 60, 14));
        assert_eq!(today.sum, 3);
    }

    #[test]
    fn a_courier_that_was_started_again_counts_on() {
        let mut today = Today::default();
        today.add(40, at(NOON, 2));
        today.add(3, at(NOON + 60, 2));
        assert_eq!(today.sum, 43);
    }
}
