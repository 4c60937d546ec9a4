//! The part `network`: says whether the cable is in and whether there is an address, so that a person is not told of a
//! region that does not answer while the plug lies beside the box.
//!
//! networkd knows, and writes it down for each link below `/run/systemd/netif/links` ([`links`]); how long a state may last
//! before it is a fault is [`judge`]'s. Nothing is asked of anybody, and nothing is changed. Names and the region are the
//! identity's to tell.

mod daemon;
pub mod judge;
pub mod links;

pub use daemon::main;
