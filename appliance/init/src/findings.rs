//! What was found on the way up, folded into one health file.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use stayput_health::{Code, DIRECTORY, Moment, Part, State, Writer};
use stayput_slots::Slot;

use crate::check::Check;
use crate::data::{self, Data};
use crate::log::Log;
use crate::machine_id::Origin;
use crate::modules::Loaded;
use crate::notes::Reason;
use crate::persist::Placed;
use crate::state::Outcome;
use crate::store::{Found, Why};

/// Codes that this program reports, the worst first: the health file has room for one.
const WORST_FIRST: [Code; 14] = [
    Code::DataUnrecognised,
    Code::DataMissing,
    Code::StateVolatile,
    Code::MachineIdVolatile,
    Code::MachineIdReplaced,
    Code::PersistFailed,
    Code::StateFull,
    Code::DataRepaired,
    Code::CardUnchecked,
    Code::StateRepaired,
    Code::OtherSlot,
    Code::DataNotGrown,
    Code::SameDiskTwice,
    Code::BootModules,
];

/// What the box's own records need in order to be kept: an identity, a journal's file, a settings file.
const STATE_NEEDS: u64 = 8 << 20;

fn in_use(found: &Found, repaired: Code) -> (&'static str, Option<Code>) {
    match found {
        Found::Kept { check: Check::Clean, .. } => ("kept", None),
        Found::Kept { check: Check::Repaired, .. } => ("repaired", Some(repaired)),
        Found::Kept { check: Check::NotMade { .. }, .. } => ("unchecked", Some(Code::CardUnchecked)),
        Found::New => ("new", None),
    }
}

fn out_of_use(why: Why) -> (&'static str, Code) {
    match why {
        Why::Missing => ("missing", Code::DataMissing),
        Why::Foreign => ("foreign", Code::DataUnrecognised),
        Why::Unfinished => ("checking", Code::DataMissing),
        Why::Broken => ("broken", Code::DataMissing),
    }
}

/// Everything worth telling.
#[derive(Debug, Default)]
pub struct Findings {
    codes: Vec<Code>,
    counters: Vec<(&'static str, u64)>,
    facts: Vec<(&'static str, &'static str)>,
}

impl Findings {
    /// The slot that was started.
    pub fn slot(&mut self, slot: Slot) {
        self.facts.push(("slot", slot.as_str()));
    }

    /// Why this slot was started, where it is not the one that comes first.
    pub fn not_the_first_slot(&mut self, reason: Option<Reason>) {
        if let Some(Reason { why, stage }) = reason {
            self.facts.extend([("why", why), ("other-stage", stage)]);
            self.codes.push(Code::OtherSlot);
        }
    }

    /// The kernel modules.
    pub fn modules(&mut self, loaded: Loaded) {
        self.counters.extend([("modules-loaded", loaded.loaded), ("modules-failed", loaded.failed)]);
        if loaded.no_list {
            self.facts.push(("modules", "no-list"));
        }
        if loaded.is_incomplete() {
            self.codes.push(Code::BootModules);
        }
    }

    /// Other disks with the same id.
    pub fn same_disks(&mut self, others: u64) {
        self.counters.push(("same-disks", others));
        if others > 0 {
            self.codes.push(Code::SameDiskTwice);
        }
    }

    /// The state partition.
    pub fn state(&mut self, outcome: &Outcome) {
        let (word, code) = match outcome {
            Outcome::Card(found) => in_use(found, Code::StateRepaired),
            Outcome::Volatile { .. } => ("volatile", Some(Code::StateVolatile)),
        };
        self.facts.push(("state", word));
        self.codes.extend(code);
    }

    /// The data partition.
    pub fn data(&mut self, data: &Data) {
        let (word, code) = match &data.outcome {
            data::Outcome::Ready(found) => in_use(found, Code::DataRepaired),
            data::Outcome::ReadOnly(unusable) => ("readonly", Some(out_of_use(unusable.why).1)),
            data::Outcome::Absent(unusable) => {
                let (word, code) = out_of_use(unusable.why);
                (word, Some(code))
            }
        };
        self.facts.push(("data", word));
        self.codes.extend(code);
        if data.not_grown.is_some() {
            self.codes.push(Code::DataNotGrown);
        }
        self.counters.push(("folders-failed", data.folders.failed));
        if data.folders.failed > 0 {
            self.codes.push(Code::PersistFailed);
        }
    }

    /// How much room is left. Only what is on the card counts: memory is empty again after the next start.
    pub fn room(&mut self, root: &Path, state: &Outcome, data: &Data) {
        let free = |name| rustix::fs::statvfs(root.join(name)).map(|found| found.f_bavail * found.f_frsize);
        if let (Outcome::Card(_), Ok(free)) = (state, free("state")) {
            self.counters.push(("state-free-mib", free >> 20));
            if free < STATE_NEEDS {
                self.codes.push(Code::StateFull);
            }
        }
        if let (data::Outcome::Ready(_), Ok(free)) = (&data.outcome, free("data")) {
            self.counters.push(("data-free-mib", free >> 20));
        }
    }

    /// The persistent paths.
    pub fn placed(&mut self, placed: Placed) {
        self.counters.extend([("paths-kept", placed.placed), ("paths-failed", placed.failed)]);
        if placed.failed > 0 {
            self.codes.push(Code::PersistFailed);
        }
    }

    /// The machine id. On volatile state a new one is volatile too, and on state that was in use it has taken the place
    /// of one that is lost.
    pub fn machine_id(&mut self, origin: Origin, state: &Outcome) {
        let (word, code) = match (origin, state) {
            (Origin::ThisBoot, _) | (_, Outcome::Volatile { .. }) => {
                ("volatile", Some(Code::MachineIdVolatile))
            }
            (Origin::Replaced, _) | (Origin::New, Outcome::Card(Found::Kept { mark_stands: false, .. })) => {
                ("replaced", Some(Code::MachineIdReplaced))
            }
            (Origin::New, _) => ("new", None),
            (Origin::Kept, _) => ("kept", None),
        };
        self.facts.push(("machine-id", word));
        self.codes.extend(code);
    }

    /// State and code for all of it.
    fn verdict(&self) -> (State, Code) {
        match WORST_FIRST.iter().find(|code| self.codes.contains(code)) {
            Some(code) => (State::Degraded, *code),
            None => (State::Done, Code::Running),
        }
    }

    /// Writes the health file and says the verdict in the log.
    pub fn report(&self, log: &mut Log) {
        let (state, code) = self.verdict();
        log.info(&format!("{} {code}: {}", state.as_str(), code.meaning()));
        let mut writer = Writer::new(Part::Init);
        for (name, value) in &self.counters {
            writer.count(name, *value);
        }
        for (name, value) in &self.facts {
            writer.fact(name, value);
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY);
        let written = made
            .map_err(|error| error.to_string())
            .and_then(|()| writer.write(state, code, Moment::now()).map_err(|error| error.to_string()));
        if let Err(error) = written {
            log.warn(&format!("the health file is missing: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Unusable;

    const KEPT: Outcome = Outcome::Card(Found::Kept { check: Check::Clean, mark_stands: false });
    const REPAIRED: Outcome = Outcome::Card(Found::Kept { check: Check::Repaired, mark_stands: false });
    const NEW: Outcome = Outcome::Card(Found::New);

    fn unchecked() -> Outcome {
        let check = Check::NotMade { reason: "gone".to_owned() };
        Outcome::Card(Found::Kept { check, mark_stands: false })
    }

    fn unusable(why: Why) -> Unusable {
        Unusable { why, reason: String::new() }
    }

    fn data(outcome: data::Outcome, not_grown: Option<&str>) -> Data {
        Data { outcome, not_grown: not_grown.map(str::to_owned), folders: Placed::default() }
    }

    #[test]
    fn each_way_in_which_data_is_out_of_use_has_its_word_and_its_code() {
        let rows = [
            (data::Outcome::Absent(unusable(Why::Missing)), "missing", Code::DataMissing),
            (data::Outcome::Absent(unusable(Why::Foreign)), "foreign", Code::DataUnrecognised),
            (data::Outcome::Absent(unusable(Why::Unfinished)), "checking", Code::DataMissing),
            (data::Outcome::Absent(unusable(Why::Broken)), "broken", Code::DataMissing),
            (data::Outcome::ReadOnly(unusable(Why::Broken)), "readonly", Code::DataMissing),
            (data::Outcome::ReadOnly(unusable(Why::Foreign)), "readonly", Code::DataUnrecognised),
        ];
        for (outcome, word, code) in rows {
            let mut findings = Findings::default();
            findings.data(&data(outcome, None));
            assert_eq!((&findings.facts[..], findings.verdict().1), (&[("data", word)][..], code));
        }
        let mut findings = Findings::default();
        findings.data(&data(data::Outcome::Ready(Found::New), None));
        assert_eq!((&findings.facts[..], findings.codes.len()), (&[("data", "new")][..], 0));
        findings.data(&data(data::Outcome::Ready(Found::New), Some("no step")));
        assert_eq!(findings.verdict(), (State::Degraded, Code::DataNotGrown));
    }

    #[test]
    fn state_without_room_is_told_and_memory_in_its_place_is_not() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("state")).unwrap();
        let mut findings = Findings::default();
        findings.room(root.path(), &KEPT, &data(data::Outcome::Absent(unusable(Why::Missing)), None));
        assert!(matches!(findings.counters[..], [("state-free-mib", _)]), "{:?}", findings.counters);
        let mut findings = Findings::default();
        findings.room(root.path(), &volatile(), &data(data::Outcome::Ready(Found::New), None));
        assert!(findings.counters.is_empty() && findings.codes.is_empty(), "no folder 'data' is there");
    }

    fn volatile() -> Outcome {
        Outcome::Volatile { reason: "worn".to_owned() }
    }

    #[test]
    fn nothing_to_report_is_done_and_running() {
        let mut findings = Findings::default();
        findings.slot(Slot::A);
        findings.modules(Loaded { loaded: 9, passed: 1, ..Loaded::default() });
        findings.same_disks(0);
        findings.state(&NEW);
        findings.placed(Placed { placed: 4, failed: 0 });
        findings.machine_id(Origin::New, &NEW);
        assert_eq!(findings.verdict(), (State::Done, Code::Running));
        assert!(
            findings.facts.contains(&("machine-id", "new")) && findings.facts.contains(&("state", "new"))
        );
    }

    #[test]
    fn the_worst_of_several_findings_is_the_one_reported() {
        let mut findings = Findings::default();
        findings.same_disks(1);
        assert_eq!(findings.verdict(), (State::Degraded, Code::SameDiskTwice));
        findings.state(&REPAIRED);
        assert_eq!(findings.verdict(), (State::Degraded, Code::StateRepaired));
        findings.machine_id(Origin::Replaced, &REPAIRED);
        assert_eq!(findings.verdict(), (State::Degraded, Code::MachineIdReplaced));
        findings.state(&volatile());
        assert_eq!(findings.verdict(), (State::Degraded, Code::StateVolatile));
    }

    #[test]
    fn every_finding_that_is_trouble_has_its_place_in_the_order() {
        let mut findings = Findings::default();
        findings.modules(Loaded { failed: 1, ..Loaded::default() });
        findings.same_disks(1);
        findings.not_the_first_slot(Some(Reason { why: "tries", stage: "root" }));
        findings.state(&REPAIRED);
        findings.state(&unchecked());
        findings.state(&volatile());
        findings.placed(Placed::no_table());
        findings.machine_id(Origin::Replaced, &KEPT);
        findings.machine_id(Origin::ThisBoot, &KEPT);
        for why in [Why::Missing, Why::Foreign] {
            findings.data(&data(data::Outcome::Absent(unusable(why)), Some("worn")));
        }
        let repaired = Found::Kept { check: Check::Repaired, mark_stands: false };
        findings.data(&data(data::Outcome::Ready(repaired), None));
        findings.codes.push(Code::StateFull);
        findings.codes.sort();
        findings.codes.dedup();
        assert_eq!(findings.codes.len(), WORST_FIRST.len());
        assert!(findings.codes.iter().all(|code| WORST_FIRST.contains(code)), "{:?}", findings.codes);
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_reported_as_good() {
        let mut findings = Findings::default();
        findings.state(&unchecked());
        assert_eq!(findings.verdict(), (State::Degraded, Code::CardUnchecked));
        assert_eq!(findings.facts, [("state", "unchecked")]);
        let mut findings = Findings::default();
        findings.modules(Loaded { no_list: true, ..Loaded::default() });
        assert_eq!(findings.verdict(), (State::Degraded, Code::BootModules));
        assert_eq!(findings.facts, [("modules", "no-list")]);
    }

    #[test]
    fn where_a_machine_id_comes_from_is_judged_with_the_state_that_it_lies_on() {
        let unfinished = Outcome::Card(Found::Kept { check: Check::Clean, mark_stands: true });
        let rows = [
            (Origin::Kept, KEPT, "kept"),
            (Origin::New, NEW, "new"),
            (Origin::New, unfinished, "new"),
            (Origin::New, KEPT, "replaced"),
            (Origin::New, REPAIRED, "replaced"),
            (Origin::Replaced, KEPT, "replaced"),
            (Origin::New, volatile(), "volatile"),
            (Origin::ThisBoot, KEPT, "volatile"),
        ];
        for (origin, state, word) in rows {
            let mut findings = Findings::default();
            findings.machine_id(origin, &state);
            assert_eq!(findings.facts, [("machine-id", word)], "{origin:?} {state:?}");
            let quiet = matches!(word, "kept" | "new");
            assert_eq!(findings.codes.is_empty(), quiet, "{origin:?} {state:?}");
        }
    }
}
