//! Where every byte of the base comes from: mirror, signed release, lock, cache, .deb.
//!
//! `image/packages.toml` ([`Manifest`]) says which packages are wanted, per feature, and why. [`lock::resolve_fresh`]
//! asks the [`Mirror`], believes only what a pinned key signed, walks the dependencies and gives a [`Lock`]. A build
//! reads the lock and nothing else: [`Cache::fetch`] brings the files, each checked against the lock's hash, and
//! [`deb::read`] opens them in memory. No maintainer script runs and nothing of the mirror is trusted at build time.

pub mod built_using;
pub mod change;
pub mod control;
pub mod date;
pub mod deb;
pub mod dependency;
pub mod elf;
pub mod error;
pub mod fetch;
mod forward;
mod http;
pub mod index;
pub mod keys;
pub mod lock;
pub mod manifest;
pub mod mirror;
pub mod progress;
mod release;
pub mod resolve;
pub mod sources;
mod unpack;
pub mod version;

pub use error::{Error, Kind, Result};
pub use fetch::{Cache, Source};
pub use index::Archive;
pub use lock::{Lock, Locked};
pub use manifest::Manifest;
pub use mirror::Mirror;
pub use progress::Progress;
