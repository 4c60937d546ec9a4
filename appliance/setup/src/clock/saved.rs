//! The last confirmed time, on `state`.

use std::path::{Path, PathBuf};

use crate::file::{self, Access};
use crate::{Error, Result};

/// The file's name in its folder.
const NAME: &str = "confirmed";

/// The last second of the year 9999: what is beyond it was not written here.
const LAST: i64 = 253_402_300_799;

/// Where it is kept.
#[derive(Debug)]
pub struct Saved(PathBuf);

impl Saved {
    /// In `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join(NAME))
    }

    /// What is there: seconds since 1970. A file that holds anything else is as good as none.
    pub fn load(&self) -> Option<i64> {
        let bytes = file::read(&self.0, 32).ok()??;
        let text = std::str::from_utf8(&bytes).ok()?;
        text.strip_suffix('\n')?.parse().ok().filter(|time| (0..=LAST).contains(time))
    }

    /// Puts `time` there, durably.
    pub fn keep(&self, time: i64) -> Result<()> {
        file::replace(&self.0, format!("{time}\n").as_bytes(), Access { mode: 0o644, owner: None }, true)
    }
}

/// Sets the clock.
pub(crate) fn set(time: i64) -> Result<()> {
    let time = rustix::time::Timespec { tv_sec: time, tv_nsec: 0 };
    rustix::time::clock_settime(rustix::time::ClockId::Realtime, time)
        .map_err(|errno| Error::Clock(errno.into()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_kept_is_there_and_what_is_no_time_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let saved = Saved::in_folder(folder.path());
        assert_eq!(saved.load(), None);
        saved.keep(1_795_132_800).unwrap();
        assert_eq!(saved.load(), Some(1_795_132_800));
        for bad in [
            "",
            "1795132800",
            "x\n",
            "-1\n",
            "253402300800\n",
            "1\n1\n",
            "99999999999999999999999999999999\n",
        ] {
            fs::write(folder.path().join(NAME), bad).unwrap();
            assert_eq!(saved.load(), None, "{bad:?}");
        }
    }
}
