//! The crate against small mirrors made here: a directory and a web server with faults, signed with throw-away keys.
// A test may fail by unwrapping; the lint only knows functions marked as tests.
#![allow(missing_docs, clippy::unwrap_used)]

mod archive;
mod closure;
mod fetching;
mod libraries;
mod locking;
mod opening;
mod server;
mod signatures;
mod unpacking;
