//! Every way in which a shared document can be wrong, with where it is wrong and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A spot in a text that a person can go to: file, line and column, both counted from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named to the parser.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of byte `offset` in `text`; an offset past the end is the end.
    pub fn of(file: &str, text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What can be wrong with a health file, a board's facts or the table of persistent paths.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, read, written or renamed.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path that must be a plain file is something else.
    #[error("{} is not a plain file; remove it, its part writes a new one", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A text is longer than any honest one.
    #[error("{file} has {length} bytes, more than the {limit} allowed; this is not such a file")]
    TooLong {
        /// The file.
        file: String,
        /// Its length, or as much of it as was read.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// A text is not UTF-8.
    #[error("{place}: this byte is not UTF-8; save the file as UTF-8 text")]
    NotUtf8 {
        /// Where the first bad byte is.
        place: Place,
    },
    /// A text does not follow its grammar or schema.
    #[error("{place}: {what}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong and what was expected, in the parser's words.
        what: String,
    },
    /// A value breaks a rule that one value alone cannot show: it repeats another, or lies outside another.
    #[error("{place}: {what}; {remedy}")]
    Rule {
        /// Where.
        place: Place,
        /// What is wrong, with the values.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A document is of a version that this program does not know.
    #[error(
        "{file} is version {found}, this program reads version {known}; both must come from the same image"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: i64,
        /// The version known here.
        known: u32,
    },
    /// A health file names another part than its own name says.
    #[error("{file} says it is from part '{found}'; a part may write only its own file")]
    WrongPart {
        /// The file.
        file: String,
        /// The part it names.
        found: String,
    },
    /// A health file was written later than now on the boot clock, which starts anew at each boot and never jumps.
    #[error("{file} is {} ms ahead of the boot clock: it is not from this boot; remove it", ahead.as_millis())]
    FromTheFuture {
        /// The file.
        file: String,
        /// How far ahead.
        ahead: Duration,
    },
    /// A state code that is not in the table.
    #[error(
        "'{0}' is no state code; expected three capitals, a hyphen and two digits of the table, as in RUN-00"
    )]
    UnknownCode(String),
    /// A part that is not in the list.
    #[error("'{0}' is no part of the box; expected one of {known}", known = crate::part::names())]
    UnknownPart(String),
    /// A name of a counter or fact that is too long or has other characters than allowed.
    #[error("'{0}' cannot name a counter or fact; expected 1 to 32 of a-z, 0-9 and hyphens, not at an end")]
    BadWord(String),
    /// A text that does not say what a root file system is checked with.
    #[error(
        "{0:?} does not say how to check a root file system; expected its length in blocks of 4096 bytes, a colon, \
         and the root hash as 64 digits of 0-9 and a-f"
    )]
    Verity(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
