//! The set-up part: takes the settings from the card at every boot, keeps a good copy of them, and turns them into the
//! system's own configuration.
//!
//! It runs before the network, the resolver, the clock and the lights begin, and ends. What is decided is decided by values:
//! [`intake`] says which settings are in force and what is to be told of it, [`plan`] which files and folders follow from
//! them. The edges are small: [`card`] reads the person's partition, [`good`] the copy on `state`, [`place`] writes. [`clock`] is a
//! part of its own, which gets the time that the set-up cannot have yet.
//!
//! A file that is wrong changes nothing: the last good one stays in force, and the box comes up in any case. `docs/setup.md`
//! has the rules and where everything goes.

pub mod card;
pub mod clock;
mod error;
mod file;
pub mod good;
pub mod host_key;
pub mod intake;
pub mod place;
pub mod plan;
mod program;

pub use error::{Error, Result};
pub use program::main;

/// Where the good copy of the settings is kept.
pub const KEPT: &str = program::KEPT;
