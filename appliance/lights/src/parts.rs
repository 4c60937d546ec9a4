//! What the parts say: their health files, read when they change and judged again as time passes.

use std::collections::BTreeMap;
use std::mem::replace;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use stayput_health::{Changed, Error, Moment, Part, Reading, Report, Watch, read_in};
use stayput_status::{PartView, Unit};

use crate::units::Properties;

/// All parts but the status part itself.
#[derive(Debug)]
pub struct Parts {
    directory: PathBuf,
    watch: Watch,
    views: Vec<PartView>,
}

impl Parts {
    /// The parts whose health files are in `directory`.
    pub fn in_directory(directory: impl Into<PathBuf>, now: Moment) -> Self {
        let directory = directory.into();
        // The watch before the first look: what is written in between is looked at twice, not missed.
        let watch = Watch::on(&directory);
        let view = |part: &Part| PartView {
            part: *part,
            reading: read_in(&directory, *part, now),
            // Until systemd has spoken, every part may be on its way.
            unit: Unit::Inactive,
            died: None,
        };
        let others = Part::ALL.iter().filter(|part| **part != Part::Status);
        let mut views: Vec<_> = others.map(view).collect();
        // No unit, and gone before this one came: what it has to say lies there already.
        views.iter_mut().filter(|view| view.part == Part::Init).for_each(|view| view.unit = Unit::Unwanted);
        Self { directory, watch, views }
    }

    /// Readable when a file has changed.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.watch.bell()
    }

    /// Reads what has changed, and judges the rest by the time that has passed.
    pub fn look(&mut self, now: Moment) {
        let changed = self.watch.changed(&self.directory);
        for view in &mut self.views {
            let read = match &changed {
                Changed::These(names) => names.contains(view.part.file_name()),
                Changed::Anything => true,
            };
            view.reading = if read {
                read_in(&self.directory, view.part, now)
            } else {
                replace(&mut view.reading, Reading::Absent).at(now)
            };
        }
    }

    /// Takes over what systemd says of their units.
    pub fn told(&mut self, units: &BTreeMap<Part, Properties>) {
        for view in &mut self.views {
            if let Some(properties) = units.get(&view.part) {
                (view.unit, view.died) = (properties.unit(), properties.died());
            }
        }
    }

    /// Nobody says which parts are wanted: only those that speak count.
    pub fn expect_nothing(&mut self) {
        for view in &mut self.views {
            (view.unit, view.died) = (Unit::Unwanted, None);
        }
    }

    /// All of them, for the fold.
    pub fn views(&self) -> &[PartView] {
        &self.views
    }

    /// The last word of each part that is not dead.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.views.iter().filter_map(|view| match &view.reading {
            Reading::Fresh(report) => Some(report),
            Reading::Stale { .. } | Reading::Absent | Reading::Unreadable(_) => None,
        })
    }

    /// When the first part that speaks will have been silent for too long, in milliseconds of the boot clock.
    pub fn next_silence(&self) -> Option<u64> {
        let alive = self.reports().filter(|report| report.can_go_stale());
        let end = |report: &Report| {
            let silence = u64::try_from(report.part.silence().as_millis()).unwrap_or(u64::MAX);
            report.written.boot_ms.saturating_add(silence).saturating_add(1)
        };
        alive.map(end).min()
    }

    /// The trouble with watching, if there is any: then every look reads everything.
    pub fn trouble(&mut self) -> Option<Error> {
        self.watch.trouble()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use stayput_health::{Code, State, Writer};

    fn at(boot_ms: u64) -> Moment {
        Moment { unix: 0, boot_ms }
    }

    fn write(directory: &Path, part: Part, code: Code, boot_ms: u64) {
        Writer::in_directory(part, directory).write(State::Running, code, at(boot_ms)).unwrap();
    }

    fn codes(parts: &Parts) -> Vec<(Part, Code)> {
        parts.reports().map(|report| (report.part, report.code)).collect()
    }

    #[test]
    fn a_file_that_changes_is_read_and_one_that_does_not_grows_old() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), Part::Courier, Code::Running, 1_000);
        let mut parts = Parts::in_directory(directory.path(), at(1_000));
        assert_eq!(codes(&parts), [(Part::Courier, Code::Running)]);
        assert_eq!(parts.next_silence(), Some(61_001));
        write(directory.path(), Part::Mover, Code::Working, 30_000);
        parts.look(at(30_000));
        assert_eq!(codes(&parts), [(Part::Courier, Code::Running), (Part::Mover, Code::Working)]);
        parts.look(at(61_001));
        assert_eq!(codes(&parts), [(Part::Mover, Code::Working)]);
        write(directory.path(), Part::Courier, Code::Running, 62_000);
        parts.look(at(62_000));
        assert_eq!(codes(&parts).len(), 2);
        std::fs::remove_file(directory.path().join("mover.json")).unwrap();
        parts.look(at(62_000));
        assert_eq!(codes(&parts), [(Part::Courier, Code::Running)]);
    }

    #[test]
    fn a_directory_that_comes_later_or_goes_away_is_watched_when_it_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let health = directory.path().join("health");
        let mut parts = Parts::in_directory(&health, at(0));
        assert!(parts.trouble().is_some() && parts.bell().is_none());
        std::fs::create_dir(&health).unwrap();
        write(&health, Part::Drop, Code::Running, 1);
        parts.look(at(1));
        assert!(parts.bell().is_some());
        assert_eq!(codes(&parts), [(Part::Drop, Code::Running)]);
        std::fs::remove_dir_all(&health).unwrap();
        parts.look(at(2));
        parts.look(at(2));
        assert!(codes(&parts).is_empty() && parts.trouble().is_some());
    }
}
