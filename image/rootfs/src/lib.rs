//! The root file system of the box: one sorted [`Tree`] from packages, overlay and tables, written as squashfs.
//!
//! No maintainer script runs. What the scripts would have done is data in `image/rootfs.toml` ([`Rules`]): what is
//! left out, the alternatives, the mount points, the accounts with their pinned numbers, the masked units.
//! [`assemble`] lays package files, `overlay/` and generated files into one tree, makes the links that
//! `systemctl preset-all` would make, and then looks at the whole tree as the box will see it: a link to nowhere, a
//! unit that starts a program that is not there, an account nobody pinned, a script without its interpreter or a
//! setuid bit without a line in the table is a [`Finding`], and a tree with findings is never returned.
//!
//! Everything but the reading of the overlay folder is a pure function of its input, so the same input gives the
//! same tree, and [`squashfs::write`] the same bytes.

mod accounts;
mod assemble;
mod certificates;
mod error;
mod generate;
mod ini;
mod inspect;
mod links;
mod names;
mod overlay;
mod prune;
mod references;
mod rules;
pub mod squashfs;
mod tree;
mod units;
mod variable;

pub use assemble::{Generated, Release, assemble};
pub use error::{Error, Finding, Result};
pub use rules::{Mode, Rules};
pub use tree::{Kind, Node, Tree};
pub use units::{Enabled, enabled};
