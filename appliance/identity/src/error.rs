//! Everything that can go wrong here and is not a reply of the region's.

use std::io;
use std::path::PathBuf;

/// A fault of the box or of its card.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, written, synced or renamed.
    #[error("could not {action} {}: {source}; the card may be full or worn", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Both copies of the capsule are there and neither can be believed.
    #[error(
        "both copies of the identity are damaged ({first}; {second}); the card is failing: copy its files, then \
         take another card and a new activation"
    )]
    CapsuleLost {
        /// What is wrong with the first.
        first: String,
        /// What is wrong with the second.
        second: String,
    },
    /// A capsule of a later version.
    #[error(
        "the identity was written by a later version ({found}, this one reads {known}); write that image again"
    )]
    CapsuleVersion {
        /// Its version.
        found: u32,
        /// The version known here.
        known: u32,
    },
    /// A key could not be made, read or used.
    #[error("the identity's key is not usable: {0}")]
    Key(String),
    /// The board says nothing that tells it from others.
    #[error(
        "this board has neither a serial number in its device tree nor a network card, so nothing tells it from others"
    )]
    NoBoard,
    /// The HTTPS client could not be made.
    #[error("{}: {reason}; the file must hold certificates in PEM form", path.display())]
    Authorities {
        /// The file of certificate authorities.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
