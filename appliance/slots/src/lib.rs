//! The card's two slots: which one starts, how often it may try, and why the box runs the one it runs.
//!
//! The boot script on the loader partition (`board/loader.cmd`) and this crate keep one small state together, the
//! [`BootState`]: U-Boot's environment format in one sector, kept twice ([`Copies`]). The script counts a try before it
//! starts a slot; the box gives the tries back when the slot has proven itself. On the way up each stage that was reached
//! is noted in a sector of the slot's own ([`Record`]), so that the other slot can say where this one stopped.
//!
//! Everything but [`Device`] is a value. `docs/boot.md` has the whole story.

mod arguments;
mod device;
mod environment;
mod error;
mod record;
mod state;
mod words;

pub use arguments::{Arguments, Partitions, Why};
pub use device::Device;
pub use environment::{Environment, SECTOR};
pub use error::{Error, Result};
pub use record::Record;
pub use state::{BootState, Copies, Generation, Origin, Slot, SlotState, Standing, TRIES, Tries};
pub use words::words;

/// How long the kernel keeps a running watchdog quiet before systemd takes it: `watchdog.open_timeout` on the kernel
/// command line. Longer than the longest check of a file system that init makes, because that is no hang.
pub const WATCHDOG_OPENED_WITHIN: std::time::Duration = std::time::Duration::from_secs(600);
