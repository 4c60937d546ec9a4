//! What can keep the verdict or the copy from being made.

use std::path::PathBuf;

/// What this crate gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A reason.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something of the part's own command line.
    #[error("{0}; usage: boot-ok [--require UNIT]...")]
    Usage(String),
    /// A boot argument that is not the slots'.
    #[error(
        "the boot argument {0} is missing or wrong; the slot's boot script gives it: write the image anew"
    )]
    Argument(&'static str),
    /// Boot state or arguments of the slots.
    #[error(transparent)]
    Slots(#[from] stayput_slots::Error),
    /// A file, device or folder refused.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The disk lacks a partition.
    #[error(
        "the disk {disk} has no partition {number}; its partition table is damaged: write the image anew"
    )]
    NoPartition {
        /// The disk's kernel name.
        disk: String,
        /// The partition's number.
        number: u16,
    },
    /// The other slot's partition is smaller.
    #[error("{} has {has} bytes and {needs} are needed; the partition table is damaged: write the image anew", path.display())]
    TooSmall {
        /// The partition.
        path: PathBuf,
        /// Its size.
        has: u64,
        /// What goes onto it.
        needs: u64,
    },
    /// The copy, read back, is another.
    #[error("the copy of this system is not what was written; the card is worn: put in another one")]
    NotKept,
    /// The service manager cannot be asked.
    #[error("could not ask the service manager for its units: {0}")]
    Units(String),
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
