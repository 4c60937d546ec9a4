//! What can go wrong on a desk.

use std::path::PathBuf;

/// Everything here that can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine.
    #[error(transparent)]
    Machine(#[from] stayput_harness::Error),
    /// The region.
    #[error(transparent)]
    Region(#[from] stayput_region::Error),
    /// The card.
    #[error(transparent)]
    Card(#[from] stayput_card::Error),
    /// A file of the desk's.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The emulator ended, or never listened.
    #[error("the queue's emulator ({program}) does not listen; its log is {log}", program = program.display(), log = log.display())]
    Emulator {
        /// What was started.
        program: PathBuf,
        /// What it said.
        log: PathBuf,
    },
    /// A call of ours to the emulator failed.
    #[error("{call} failed: {why}")]
    Call {
        /// Which.
        call: &'static str,
        /// The answer, or what became of the connection.
        why: String,
    },
}

/// Of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err` after a call on a file.
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
