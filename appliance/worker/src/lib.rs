//! The worker: courier and mover, where no order and no file is ever lost.
//!
//! Here is the mover's half, the one that sees files and no network, and the language that both halves speak:
//!
//! * [`protocol`]: what travels between courier and mover, and that nothing else does.
//! * [`FileName`], [`OrderKey`], [`Outcome`]: what an order is made of, and the only answers to it.
//! * [`Mover`]: intent into the log, move, sync, done into the log, answer. It works on a [`disk::Disk`], which on the box
//!   is [`disk::Linux`] and in the tests a model that loses whatever was not synced.
//! * [`log`]: journal and ledger in one file that only grows, each record chained to the one before by its hash.
//! * [`book`] and [`page`]: the same log as a ledger, to be exported, searched and verified.
//! * [`metrics`]: what both halves count, as text for Prometheus.
//! * [`confine`]: what a mover gives up before it looks at the first name.
//! * [`server`]: a mover behind a seqpacket socket; [`client`]: the other end of it.

pub mod book;
pub mod checksum;
pub mod client;
pub mod confine;
pub mod courier;
pub mod credentials;
pub mod disk;
mod error;
pub mod finding;
mod ledger;
pub mod log;
pub mod metrics;
mod mover;
mod name;
mod order;
pub mod orders;
mod outcome;
pub mod page;
mod program;
pub mod protocol;
mod report;
pub mod server;
mod station;
mod system;
pub mod variables;

pub use error::{Error, Exit, Result};
pub use mover::{Mover, Recovery, Settings};
pub use name::{FileName, NameError, Subfolders, Suffix};
pub use order::{Naming, Order, OrderKey};
pub use outcome::{Counters, Disposition, Outcome};
pub use program::main;
