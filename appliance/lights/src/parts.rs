//! What the parts say: their health files, read when they change and judged again as time passes.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{MaybeUninit, replace};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use stayput_health::{Moment, Part, Reading, Report, read_in};
use stayput_status::{PartView, Unit};

use crate::units::Properties;
use crate::{Error, Result};

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
        self.watch.trouble.take()
    }
}

/// Which files have changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// Those of these names.
    These(BTreeSet<String>),
    /// Nobody knows.
    Anything,
}

/// The kernel's notices of a directory's changes.
#[derive(Debug)]
pub struct Watch {
    notices: Option<OwnedFd>,
    trouble: Option<Error>,
}

impl Watch {
    /// On `directory`, if it can be watched.
    pub fn on(directory: &Path) -> Self {
        match Self::begin(directory) {
            Ok(notices) => Self { notices: Some(notices), trouble: None },
            Err(error) => Self { notices: None, trouble: Some(error) },
        }
    }

    fn begin(directory: &Path) -> Result<OwnedFd> {
        let failed = |errno: rustix::io::Errno| Error::io("watch", directory)(errno.into());
        let notices = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(failed)?;
        // Parts rename a finished file into place; a test or a person may write one in place.
        let what =
            WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::CLOSE_WRITE | WatchFlags::DELETE;
        inotify::add_watch(&notices, directory, what | WatchFlags::ONLYDIR).map_err(failed)?;
        Ok(notices)
    }

    /// Readable when something has changed.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.notices.as_ref().map(AsFd::as_fd)
    }

    /// What has changed since the last call. A directory that could not be watched is tried again.
    pub fn changed(&mut self, directory: &Path) -> Changed {
        let Some(notices) = &self.notices else {
            *self = Self::on(directory);
            return Changed::Anything;
        };
        let mut names = BTreeSet::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(notices, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let lost = inotify::ReadFlags::QUEUE_OVERFLOW | inotify::ReadFlags::IGNORED;
                    if event.events().intersects(lost) {
                        self.notices = None;
                        return Changed::Anything;
                    }
                    names.extend(event.file_name().and_then(|name| name.to_str().ok()).map(str::to_owned));
                }
                Err(rustix::io::Errno::AGAIN) => return Changed::These(names),
                Err(errno) => {
                    self.trouble = Some(Error::io("watch", directory)(errno.into()));
                    self.notices = None;
                    return Changed::Anything;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn only_what_changed_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::on(directory.path());
        assert_eq!(watch.changed(directory.path()), Changed::These(BTreeSet::new()));
        write(directory.path(), Part::Drop, Code::Running, 1);
        let Changed::These(names) = watch.changed(directory.path()) else { panic!() };
        assert!(names.contains("drop.json"), "{names:?}");
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
