//! Everything that can go wrong with the card's drive.

use std::io;
use std::path::PathBuf;

/// What this crate gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device refused.
    #[error(
        "could not {action} the card's drive {}: {source}; its lock may be on, or the card is worn",
        device.display()
    )]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The partition.
        device: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The drive is not as the image made it.
    #[error("the card's drive {} {why}", device.display())]
    Unfit {
        /// The partition.
        device: PathBuf,
        /// What is wrong.
        why: crate::fat::Unfit,
    },
    /// What was written does not come back.
    #[error(
        "the card's drive {} took the writing of {file} and does not give it back; take another card",
        device.display()
    )]
    Forgets {
        /// The partition.
        device: PathBuf,
        /// The file.
        file: &'static str,
    },
    /// A report does not fit its file.
    #[error("{0}")]
    Report(#[from] stayput_status::Error),
    /// The part `setup` says which partition it is, and keeps the good copy.
    #[error("{0}")]
    Setup(#[from] stayput_setup::Error),
    /// The status part's verdict cannot be read.
    #[error("{0}")]
    Verdict(#[from] stayput_lights::Error),
    /// The identity's word, or the part's own health file.
    #[error("{0}")]
    Health(#[from] stayput_health::Error),
    /// Waiting failed.
    #[error("could not wait for news: {0}")]
    Wait(io::Error),
}
