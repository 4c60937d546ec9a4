//! Hybrid activation: the box becomes a managed instance once, and keeps its role credentials fresh from then on.
//!
//! No agent of the region's runs on the box: this part makes the three calls that matter ([`wire::Call`]) and can be
//! told to do nothing else. What is decided is decided by values: [`plan`] says what is to be done, [`fault`] what a
//! refusal means, [`pace`] when to try again. The [`Keeper`] does it, writing into the [`Capsule`] whatever must
//! survive a power cut before the act that depends on it.
//!
//! `docs/identity.md` has the rules and their reasons.

pub mod board;
pub mod capsule;
pub mod credentials;
mod daemon;
mod error;
pub mod fault;
pub mod https;
mod keeper;
mod key;
pub mod pace;
pub mod plan;
pub mod region;
pub mod sign;
pub mod store;
pub mod wire;

pub use capsule::Capsule;
pub use daemon::main;
pub use error::Error;
pub use keeper::{Keeper, Surroundings};
pub use key::Key;
