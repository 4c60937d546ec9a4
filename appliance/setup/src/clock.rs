//! The clock of a box without a battery: a ladder of four rungs, each better than the one before.
//!
//! 1. the time that the image was made at, which systemd sees to;
//! 2. the last time that the region confirmed, saved on `state`; the set-up takes it at the very start ([`Saved`]);
//! 3. the `Date` of the region's answer over TLS ([`ask`]), where the certificate must be the region's at that date;
//! 4. time servers, asked by timesyncd from the start on: finer than a second, and confirmed by nobody.
//!
//! [`Ladder`] decides; it moves the clock forward only, and saves nothing but what the region has confirmed.

pub mod ask;
mod daemon;
mod ladder;
mod saved;

pub(crate) use daemon::KEPT;
pub use daemon::main;
pub use ladder::{AHEAD, FARTHEST, Heard, Ladder, Obstacle, Rung, Turn};
pub use saved::Saved;
pub(crate) use saved::set;
