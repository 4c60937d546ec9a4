//! A whole desk: a box in QEMU, the region that it believes in, and a queue that others wrote.
//!
//! Everything is in a network of its own ([`stayput_harness::enter_private_network`]): loopback, and behind it the box,
//! which calls it 10.0.2.2. So all ports are the real ones, nothing of the desk is seen from outside it, and nothing on it
//! reaches anything else.
//!
//! `stayput run` shows a desk to a person; the stage `e2e` tests on it.

mod desk;
mod door;
mod emulator;
mod error;
mod parcel;
mod queue;
mod settings;
mod store;
mod tour;

pub use desk::{Desk, Plan};
pub use door::{Account, Call, Door};
pub use emulator::Emulator;
pub use error::{Error, Result};
pub use parcel::put;
pub use queue::{Depth, Queue};
pub use settings::{Settings, Worker};
pub use store::Store;
pub use tour::Tour;
