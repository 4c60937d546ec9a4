//! Everything that can go wrong beside the person's own file.

use std::io;
use std::path::PathBuf;

/// What this crate gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault of the box or of its card.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder refused.
    #[error("could not {action} {}: {source}; the card may be full or worn", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk that the box runs from has no first partition.
    #[error("the card has no partition STAYPUT beside {}; write the image to the card again", disk.display())]
    NoPartition {
        /// The disk, as sysfs has it.
        disk: PathBuf,
    },
    /// The good copy is not what was written.
    #[error("the good copy of the settings {} {what}; it is not used, and replaced by the next good file", path.display())]
    Copy {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it, as the rest of the sentence.
        what: &'static str,
    },
    /// The door's key is not what was written.
    #[error("the SFTP door's key {} is damaged and was replaced; callers are warned and must take the old one out of known_hosts", path.display())]
    HostKey {
        /// Its path.
        path: PathBuf,
    },
    /// The kernel gave no random numbers.
    #[error("the kernel gave no random numbers for the SFTP door's key: {0}; start the box again")]
    Random(io::Error),
    /// What the set-up left for the clock is not that.
    #[error("the settings for the clock are not readable: {0}; start the box again")]
    Place(String),
    /// The kernel did not take the time.
    #[error("the kernel did not take the time: {0}")]
    Clock(io::Error),
    /// The kernel did not take the name.
    #[error("the kernel did not take the box's name: {0}")]
    Name(io::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
