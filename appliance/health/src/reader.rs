//! Reading a part's health file, whatever is found under its name.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use serde::Deserialize;

use crate::document::text_of;
use crate::error::Place;
use crate::file::{LONGEST, MOST, Report, VERSION};
use crate::{Error, Moment, Part, Result};

/// A part may write between the reader's look at the clock and its look at the file, and a busy board makes that long.
const MEANWHILE: Duration = Duration::from_secs(10);

/// What a look at a part's health file gives.
#[derive(Debug)]
pub enum Reading {
    /// The part speaks, or has said its last word properly.
    Fresh(Report),
    /// The part should have spoken again and has not: it is dead or hangs.
    Stale {
        /// The last thing it said.
        report: Report,
        /// For how long it has been silent.
        silent: Duration,
    },
    /// There is no file: the part has not started, or is not on this box.
    Absent,
    /// There is a file that cannot be believed.
    Unreadable(Error),
}

/// Reads `part`'s file in the box's own directory.
pub fn read(part: Part, now: Moment) -> Reading {
    read_in(Path::new(crate::DIRECTORY), part, now)
}

/// Reads `part`'s file in `directory`.
///
/// Staleness is judged by the boot clock alone: the file says when it was written on `CLOCK_BOOTTIME`, which is the same
/// for writer and reader, starts at each boot (when `/run` is empty), and no one can set.
pub fn read_in(directory: &Path, part: Part, now: Moment) -> Reading {
    let path = directory.join(part.file_name());
    let file = path.display().to_string();
    let report = match bytes_of(&path).and_then(|bytes| bytes.map(|bytes| parse(&bytes, &file)).transpose()) {
        Ok(Some(report)) => report,
        Ok(None) => return Reading::Absent,
        Err(error) => return Reading::Unreadable(error),
    };
    if report.part != part {
        return Reading::Unreadable(Error::WrongPart { file, found: report.part.to_string() });
    }
    let ahead = Duration::from_millis(report.written.boot_ms.saturating_sub(now.boot_ms));
    if ahead > MEANWHILE {
        return Reading::Unreadable(Error::FromTheFuture { file, ahead });
    }
    Reading::Fresh(report).at(now)
}

impl Reading {
    /// The same file seen at a later moment `now`, when it has not been written since.
    pub fn at(self, now: Moment) -> Self {
        match self {
            Self::Fresh(report) | Self::Stale { report, .. } => {
                let silent = now.since(report.written).unwrap_or_default();
                if report.can_go_stale() && silent > report.part.silence() {
                    Self::Stale { report, silent }
                } else {
                    Self::Fresh(report)
                }
            }
            Self::Absent | Self::Unreadable(_) => self,
        }
    }
}

/// The report in `bytes`; `file` is only for messages.
pub fn parse(bytes: &[u8], file: &str) -> Result<Report> {
    #[derive(Deserialize)]
    struct Versioned {
        version: i64,
    }
    let text = text_of(bytes, file, LONGEST)?;
    let malformed = |error: serde_json::Error| Error::Malformed {
        place: Place { file: file.to_owned(), line: error.line().max(1), column: error.column().max(1) },
        what: format!("this is not a health file: {error}"),
    };
    // The version first, and nothing else: a later version may have any other shape.
    let Versioned { version } = serde_json::from_str(text).map_err(malformed)?;
    if version != i64::from(VERSION) {
        return Err(Error::Version { file: file.to_owned(), found: version, known: VERSION });
    }
    let report: Report = serde_json::from_str(text).map_err(malformed)?;
    let most = report.counters.len().max(report.facts.len());
    if most > MOST {
        let place = Place { file: file.to_owned(), line: 1, column: 1 };
        let what = format!("{most} counters or facts");
        return Err(Error::Rule { place, what, remedy: "a part may state at most 64 of each" });
    }
    if report.since.boot_ms > report.written.boot_ms {
        let place = Place { file: file.to_owned(), line: 1, column: 1 };
        let what = "'since' is later than 'written'".to_owned();
        return Err(Error::Rule { place, what, remedy: "the part must take both from one clock" });
    }
    Ok(report)
}

/// The file's bytes, `None` when there is no file. Does not follow a link, wait at a pipe, or read without end.
fn bytes_of(path: &Path) -> Result<Option<Vec<u8>>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let metadata = file.metadata().map_err(Error::io("look at", path))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}
