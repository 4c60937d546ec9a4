//! The card: layout, partition table, FAT, boot scripts, initramfs, loader.
//!
//! `image/card.toml` is the one table. [`layout`] reads and checks it; [`mbr`], [`script`] and [`image`] take every
//! number from there. Everything here is a function of its inputs: no clock, no host name, no random id, no host
//! tool. The tools that others wrote (sfdisk, fsck.fat, dumpimage, mkimage, gzip, zstd) are oracles in the tests only.
//!
//! The parts, in the order in which the board meets them:
//! 1. [`egon`]: the loader in raw sectors at 8 KiB, which the boot ROM starts;
//! 2. [`mbr`]: the partition table;
//! 3. [`script`]: `boot.scr`, which picks a slot, and the slot's `slot.scr`;
//! 4. [`kernel`], [`cpio`], [`addresses`]: what the slot's script loads, and proof that nothing overlaps in memory;
//! 5. [`verity`]: the hash tree over the root file system, whose root hash is in the slot's script;
//! 6. [`fat`], [`image`]: the file systems that hold these, and the file that holds them all.

pub mod addresses;
pub mod cpio;
pub mod egon;
mod error;
pub mod fat;
pub mod image;
pub mod kernel;
pub mod layout;
pub mod mbr;
pub mod script;
pub mod verity;

pub use error::{Error, Result};
pub use layout::{Layout, Partition};

/// A mebibyte, the unit of the card's table.
pub const MIB: u64 = 1024 * 1024;
/// A sector of the partition table.
pub const SECTOR: u64 = 512;
