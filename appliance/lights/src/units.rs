//! What systemd's properties of a part's unit mean. Pure.

use stayput_health::{Moment, Part};
use stayput_status::{Phase, Unit};

/// The name of a part's unit. Init has none: it is gone before systemd is there.
pub fn name(part: Part) -> Option<String> {
    (part != Part::Init).then(|| format!("stayput-{part}.service"))
}

/// A unit's path on the bus: letters and digits stay, anything else is `_` and two digits.
pub fn path(unit: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for byte in unit.bytes() {
        if byte.is_ascii_alphanumeric() {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

/// What systemd says about one unit, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// `LoadState`.
    pub load: String,
    /// `UnitFileState`.
    pub file: String,
    /// `ActiveState`.
    pub active: String,
    /// `SubState`.
    pub sub: String,
    /// Whether its conditions were looked at and did not hold.
    pub condition_failed: bool,
    /// `NRestarts`: how often it was started again because it had ended by itself.
    pub restarts: u32,
    /// `ExecMainStartTimestampMonotonic`.
    pub started_us: u64,
    /// `ExecMainExitTimestampMonotonic`.
    pub ended_us: u64,
}

impl Properties {
    /// The unit, as the fold wants it.
    pub fn unit(&self) -> Unit {
        let loaded = self.load == "loaded";
        // What is not enabled may have been started by another part all the same.
        let wanted = matches!(self.file.as_str(), "enabled" | "enabled-runtime" | "generated" | "transient");
        match self.active.as_str() {
            _ if !loaded => Unit::Unwanted,
            "failed" => Unit::Failed,
            "active" | "reloading" | "refreshing" | "maintenance" => Unit::Active,
            "activating" => Unit::Activating,
            "deactivating" => Unit::Deactivating,
            _ if !wanted || self.condition_failed => Unit::Unwanted,
            _ => Unit::Inactive,
        }
    }

    /// When its process last ended by itself.
    ///
    /// While it waits to be started again or has failed, its end is known; once it runs again, systemd has forgotten that
    /// and counts restarts only, so the new start stands for the end, which was a moment before it.
    pub fn died(&self) -> Option<Moment> {
        let waits = self.sub.starts_with("auto-restart") || self.active == "failed";
        let at = if waits {
            self.ended_us
        } else if self.restarts > 0 {
            self.started_us
        } else {
            0
        };
        // Of this moment only the boot clock's reading counts: the box never sleeps, so it is the monotonic clock's.
        (at > 0).then_some(Moment { unix: 0, boot_ms: at / 1000 })
    }
}

/// How far the system is, by systemd's word for it.
pub fn phase(system_state: &str) -> Phase {
    match system_state {
        "initializing" | "starting" => Phase::ComingUp,
        "stopping" => Phase::Stopping,
        _ => Phase::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(load: &str, file: &str, active: &str, sub: &str) -> Properties {
        let [load, file, active, sub] = [load, file, active, sub].map(str::to_owned);
        Properties { load, file, active, sub, ..Properties::default() }
    }

    #[test]
    fn a_path_on_the_bus_is_the_units_name_escaped() {
        assert_eq!(
            path(&name(Part::Courier).unwrap()),
            "/org/freedesktop/systemd1/unit/stayput_2dcourier_2eservice"
        );
        assert_eq!(name(Part::Init), None);
    }

    #[test]
    fn a_unit_that_is_not_on_the_box_or_switched_off_is_not_expected() {
        for (load, file, active) in [
            ("not-found", "", "inactive"),
            ("loaded", "disabled", "inactive"),
            ("masked", "masked", "inactive"),
        ] {
            assert_eq!(properties(load, file, active, "dead").unit(), Unit::Unwanted, "{load} {file}");
        }
        let mut conditional = properties("loaded", "enabled", "inactive", "dead");
        assert_eq!(conditional.unit(), Unit::Inactive);
        conditional.condition_failed = true;
        assert_eq!(conditional.unit(), Unit::Unwanted);
    }

    #[test]
    fn what_runs_is_expected_even_when_nothing_enables_it() {
        assert_eq!(properties("loaded", "disabled", "active", "running").unit(), Unit::Active);
        assert_eq!(properties("loaded", "static", "failed", "failed").unit(), Unit::Failed);
        assert_eq!(properties("loaded", "enabled", "activating", "auto-restart").unit(), Unit::Activating);
    }

    #[test]
    fn a_part_that_ended_by_itself_is_dead_while_it_waits_and_died_when_it_was_started_again() {
        let mut part = properties("loaded", "enabled", "active", "running");
        (part.started_us, part.ended_us) = (9_000_000, 0);
        assert_eq!(part.died(), None, "the first start is no death");
        part.restarts = 2;
        assert_eq!(part.died().unwrap().boot_ms, 9_000);
        (part.active, part.sub) = ("activating".into(), "auto-restart".into());
        part.ended_us = 12_000_000;
        assert_eq!(part.died().unwrap().boot_ms, 12_000);
        (part.active, part.sub) = ("inactive".into(), "dead".into());
        part.restarts = 0;
        assert_eq!(part.died(), None, "it was asked to stop");
    }

    #[test]
    fn a_degraded_system_is_up_and_a_stopping_one_stops() {
        for (word, means) in [
            ("starting", Phase::ComingUp),
            ("initializing", Phase::ComingUp),
            ("running", Phase::Up),
            ("degraded", Phase::Up),
            ("maintenance", Phase::Up),
            ("stopping", Phase::Stopping),
            ("", Phase::Up),
        ] {
            assert_eq!(phase(word), means, "{word}");
        }
    }
}
