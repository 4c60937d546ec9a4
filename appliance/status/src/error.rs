//! Every way in which a text given to this crate can be wrong.

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with a rhythm that a person describes, a fact for `STATUS.txt`, or a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A description of a light that names no rhythm of the table.
    #[error(
        "'{0}' is no rhythm of the status light; expected dark, steady, slow, fast, heartbeat, or counted blinks as in \
         '2 short, pause' or '1 long, 3 short, pause'"
    )]
    NotARhythm(String),
    /// A fact whose value breaks the rule for it. The value is not repeated: it could be a secret in the wrong place.
    #[error("the value for '{fact}' in STATUS.txt is refused: expected {expected}")]
    BadFact {
        /// Which fact, as the file names it.
        fact: &'static str,
        /// What its values look like.
        expected: &'static str,
    },
    /// A report that its file on the card cannot hold.
    #[error(
        "the report for {file} has {has} bytes, and the file on the card was made with {size}; shorten the report"
    )]
    ReportTooLong {
        /// The file's name.
        file: &'static str,
        /// The report's length.
        has: usize,
        /// The file's.
        size: usize,
    },
}
