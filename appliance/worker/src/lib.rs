//! The worker: courier and mover, where no order and no file is ever lost.
//!
//! Here is the mover's half, the one that sees files and no network, and the language that both halves speak:
//!
//! * [`protocol`]: what travels between courier and mover, and that nothing else does.
//! * [`FileName`], [`OrderKey`], [`Outcome`]: what an order is made of, and the only answers to it.
//! * [`Mover`]: intent into the log, move, sync, done into the log, answer. It works on a [`disk::Disk`], which on the box
//!   is [`disk::Linux`] and in the tests a model that loses whatever was not synced.
//! * [`log`]: journal and ledger in one file that only grows, each record chained to the one before by its hash.
//! * [`server`]: a mover behind a seqpacket socket; [`client`]: the other end of it.

pub mod checksum;
pub mod client;
pub mod courier;
pub mod credentials;
pub mod disk;
mod error;
mod ledger;
pub mod log;
mod mover;
mod name;
mod order;
pub mod orders;
mod outcome;
pub mod protocol;
pub mod server;
mod system;

pub use error::{Error, Result};
pub use mover::{Mover, Recovery, Settings};
pub use name::{FileName, NameError, Subfolders, Suffix};
pub use order::{Naming, Order, OrderKey};
pub use outcome::{Counters, Disposition, Outcome};
