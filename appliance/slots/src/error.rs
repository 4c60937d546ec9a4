//! What can be wrong with the boot state and the places where it is kept.

use std::path::PathBuf;

/// What this crate gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A reason why something about the slots could not be read or done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not one sector.
    #[error("a copy of the boot state has {0} bytes; expected one sector of 512")]
    Length(usize),
    /// The checksum does not fit the content.
    #[error("the checksum is {found:08x}, the content's is {expected:08x}: torn, or never written")]
    Checksum {
        /// What the sector says.
        found: u32,
        /// What its content has.
        expected: u32,
    },
    /// The content is not a list of `name=value` texts.
    #[error("entry {0} is not of the form name=value in plain ASCII")]
    Entry(usize),
    /// More than a sector holds.
    #[error("the variables take {0} bytes; a sector has room for 508")]
    Room(usize),
    /// A variable is missing.
    #[error("the variable {0} is missing")]
    Missing(&'static str),
    /// A variable has a value that it cannot have.
    #[error("the variable {name} is {value:?}; expected {expected}")]
    Value {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A boot argument is missing or has a value that it cannot have.
    #[error(
        "the boot argument {key}= is {}; expected {expected}; the slot's boot script gives it (slot.scr): write the image anew",
        .value.as_ref().map_or("missing".to_owned(), |value| format!("{value:?}"))
    )]
    Argument {
        /// Its key.
        key: &'static str,
        /// Its value, if it is there.
        value: Option<String>,
        /// What it may be.
        expected: &'static str,
    },
    /// The device refused.
    #[error("could not {action} {}: {source}; a card that does this often is worn: put in another one", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The device took a write and has other bytes now.
    #[error("{} does not keep what is written to it at byte {at}; the card is worn: put in another one", path.display())]
    NotKept {
        /// The device.
        path: PathBuf,
        /// Where on it.
        at: u64,
    },
}
