//! Writing a part's health file: one whole file or the one before, never a piece.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::file::{Report, State, VERSION};
use crate::{Code, Error, Moment, Part, Reading, Result, Word, reader};

/// Writes one part's health file.
///
/// Counters and facts are named, and facts are stated, by text of the program itself (`&'static str`): what a part reads
/// at run time, such as the name of a file, has no way into its health file.
#[derive(Debug)]
pub struct Writer {
    part: Part,
    directory: PathBuf,
    said: Option<(State, Code, Moment)>,
    counters: BTreeMap<Word, u64>,
    facts: BTreeMap<Word, Word>,
}

impl Writer {
    /// A writer for `part` in the box's own directory.
    pub fn new(part: Part) -> Self {
        Self::in_directory(part, crate::DIRECTORY)
    }

    /// A writer for `part` in `directory`, which must exist when it writes.
    pub fn in_directory(part: Part, directory: impl Into<PathBuf>) -> Self {
        let (counters, facts) = (BTreeMap::new(), BTreeMap::new());
        Self { part, directory: directory.into(), said: None, counters, facts }
    }

    /// The file that this writer replaces.
    pub fn path(&self) -> PathBuf {
        self.directory.join(self.part.file_name())
    }

    /// Sets a counter. A name that is no [`Word`] is a mistake in the program and is left out (debug builds stop).
    pub fn count(&mut self, name: &'static str, value: u64) {
        match Word::try_from(name) {
            Ok(name) => drop(self.counters.insert(name, value)),
            Err(error) => debug_assert!(false, "{error}"),
        }
    }

    /// Sets a fact, under the same rule as [`Writer::count`].
    pub fn fact(&mut self, name: &'static str, value: &'static str) {
        match (Word::try_from(name), Word::try_from(value)) {
            (Ok(name), Ok(value)) => drop(self.facts.insert(name, value)),
            (Err(error), _) | (_, Err(error)) => debug_assert!(false, "{error}"),
        }
    }

    /// Writes the file and answers what it says. `since` stays what it was for as long as state and code do, over restarts
    /// of the part too.
    pub fn write(&mut self, state: State, code: Code, now: Moment) -> Result<Report> {
        let said = self.said.take().or_else(|| self.said_before(now));
        let since = match said {
            Some((same_state, same_code, since)) if (same_state, same_code) == (state, code) => since,
            _ => now,
        };
        let report = Report {
            version: VERSION,
            part: self.part,
            state,
            code,
            since,
            written: now,
            counters: self.counters.clone(),
            facts: self.facts.clone(),
        };
        // Remembered before the file is out: a full /run must not make the state look younger than it is.
        self.said = Some((state, code, since));
        replace(&self.directory, self.part.file_name(), &report.to_bytes()).map(|()| report)
    }

    fn said_before(&self, now: Moment) -> Option<(State, Code, Moment)> {
        match reader::read_in(&self.directory, self.part, now) {
            Reading::Fresh(report) | Reading::Stale { report, .. } => {
                Some((report.state, report.code, report.since))
            }
            Reading::Absent | Reading::Unreadable(_) => None,
        }
    }
}

/// Puts `bytes` under `name` with mode 0644. No fsync: `/run` is memory, and after a crash there is nothing to be kept.
fn replace(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    let fresh = directory.join(format!(".{name}.{}", std::process::id()));
    // Left by a process that died here and had our number. Never opened: it could be a link that someone else made.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", fresh)(error));
        }
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&fresh)
        .map_err(Error::io("create", &fresh))
        .and_then(|mut file| {
            // The umask may have taken bits away that the readers, who are other users, need.
            file.set_permissions(Permissions::from_mode(0o644))
                .map_err(Error::io("set the mode of", &fresh))?;
            file.write_all(bytes).map_err(Error::io("write", &fresh))
        })
        .and_then(|()| fs::rename(&fresh, &path).map_err(Error::io("replace", &path)));
    if written.is_err() {
        // The first error is the one to report; a leftover is removed at the next write.
        let _ = fs::remove_file(&fresh);
    }
    written
}
