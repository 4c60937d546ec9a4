//! The part boot-ok: the verdict on the running slot, and its copy in the other one. Runs once, after the box has started.
//!
//! 1. The units that a box cannot do without are active (`--require UNIT`, from the part's own unit file). Configuration,
//!    network and region are not among them: what is wrong outside must never cost this system its place.
//! 2. The whole root file system is read once, through the kernel's checks. A damaged block panics the kernel, and the
//!    slot has used up a try.
//! 3. The slot is marked good and has all its tries back.
//! 4. The other slot is held against this one, and where it is not the same, made the same: marked as a piece first,
//!    written, read back, checked by its own hash tree, marked whole. A cut at any point leaves a piece, which the boot
//!    script passes by, and the next run writes only what is not there yet.
//!
//! All reading and writing goes past the page cache, a MiB at a time, and rests for as long as it worked: the box's own
//! work comes first. What it does and finds is in its health file; `docs/boot.md` has the story.

mod disk;
mod error;
mod medium;
mod pace;
mod part;
mod spare;
mod tree;
mod units;

pub use error::{Error, Result};
pub use medium::{Buffer, Direct, Medium, PIECE};
pub use pace::Pace;
pub use part::main;
pub use spare::{Ledger, Outcome, Pair, equalise};
pub use tree::is_whole;
