//! The crate against small mirrors made here: a directory and a web server with faults, signed with throw-away keys.
#![allow(missing_docs)]

mod archive;
mod closure;
mod fetching;
mod libraries;
mod locking;
mod opening;
mod server;
mod signatures;
mod unpacking;
