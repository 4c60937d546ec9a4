//! A region on one desk: what a box believes to be the region, its names and its time, and what can go wrong with them.
//!
//! The [`Simulator`] is the registration service: written from what is known of the real one's wire
//! (facts/ecs-anywhere.md B), strict, and without a line of the box's own client in it. A [`Script`] says what happens
//! to which call. Both are values: a test can live through a year of them without a socket. [`Region`] puts them
//! behind TLS, names and time, in front of emulators that others wrote, and keeps every byte that crossed.
//!
//! `docs/region.md` says what it is strict about, what each fault is, and what it cannot show.

mod authority;
mod clock;
mod error;
pub mod fault;
mod front;
pub mod http;
pub mod names;
mod pass;
mod record;
mod region;
pub mod service;
pub mod signature;
pub mod simulator;
pub mod sntp;
pub mod words;

pub use authority::Chain;
pub use clock::Clock;
pub use error::Error;
pub use fault::{Fault, Script};
pub use front::Cut;
pub use record::{Exchange, Keep, Recorder, Stream};
pub use region::{Addresses, Plan, Region};
pub use simulator::Simulator;
