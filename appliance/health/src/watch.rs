//! The kernel's notices of what changes in a directory: health files, verdicts, whatever is renamed into place.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::{Error, Result};

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

    /// The trouble with watching, if there is any: then every look reads everything.
    pub fn trouble(&mut self) -> Option<Error> {
        self.trouble.take()
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
    use crate::{Code, Moment, Part, State, Writer};

    #[test]
    fn only_what_changed_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::on(directory.path());
        assert_eq!(watch.changed(directory.path()), Changed::These(BTreeSet::new()));
        let mut writer = Writer::in_directory(Part::Drop, directory.path());
        writer.write(State::Running, Code::Running, Moment { unix: 0, boot_ms: 1 }).unwrap();
        let Changed::These(names) = watch.changed(directory.path()) else { panic!() };
        assert!(names.contains("drop.json"), "{names:?}");
    }
}
