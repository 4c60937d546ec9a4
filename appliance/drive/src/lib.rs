//! The card's drive STAYPUT while the box runs: the one part that writes to it.
//!
//! Two things are written, both in place and at the same length, below the file system: the verdict for whoever pulls the
//! card ([`report`]), and a mark over an activation code that was used ([`code`]). Table, folder and time stamps are never
//! touched ([`fat`]), so that a power cut spoils a text at most and never the drive. `docs/drive.md` has the rules.

pub mod code;
mod daemon;
mod error;
pub mod fat;
pub mod place;
pub mod report;

pub use daemon::main;
pub use error::{Error, Result};
