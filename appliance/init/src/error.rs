//! What keeps the box from coming up. Trouble with state is not among it: see [`crate::state`].

use std::path::PathBuf;

use rustix::io::Errno;
use stayput_health::Code;

use crate::{cmdline, dm};

/// A reason to stop and restart, with the remedy for the person at the console.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system that the kernel itself provides could not be mounted.
    #[error("could not mount {kind} on {}: {source}; the kernel in this slot does not fit: write the image anew", at.display())]
    Devices {
        /// The file system type.
        kind: &'static str,
        /// Where.
        at: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// `/proc/cmdline` could not be read.
    #[error("could not read /proc/cmdline: {0}; the kernel in this slot does not fit: write the image anew")]
    CommandLine(std::io::Error),
    /// The boot arguments are not what the boot script of this slot gives.
    #[error("{0}; the boot script of this slot gives it (slot.scr): write the image anew")]
    Arguments(#[from] cmdline::Error),
    /// No disk carries the id.
    #[error(
        "no disk with id {id} showed up in {waited} s; seen: {seen}; put the card in firmly, try another card"
    )]
    NoDisk {
        /// The id, as on the command line.
        id: String,
        /// How long was waited, in seconds.
        waited: u64,
        /// The disks that are there, with their ids.
        seen: String,
    },
    /// The disk lacks the partition of the root file system.
    #[error("disk {disk} has no partition {number}; its partition table is damaged: write the image anew")]
    NoPartition {
        /// The disk.
        disk: String,
        /// The partition's number.
        number: u16,
    },
    /// The root file system could not be put under the kernel's checks.
    #[error("could not check the root file system on {}: {source}; this slot is damaged: write the image anew", device.display())]
    Verity {
        /// The partition.
        device: PathBuf,
        /// Which call failed, and why.
        source: dm::Failed,
    },
    /// The root file system could not be mounted.
    #[error("could not mount the root file system on {}: {source}; this slot is damaged: write the image anew", device.display())]
    Root {
        /// The device.
        device: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// The root file system lacks a folder that something must be mounted on, or the mount is refused.
    #[error("could not {action} {}: {source}; this image is broken: build it anew", path.display())]
    Prepare {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    /// The state code that goes with the message.
    pub fn code(&self) -> Code {
        match self {
            Self::Devices { .. } => Code::BootDevices,
            Self::CommandLine(_) | Self::Arguments(_) => Code::BootArguments,
            Self::NoDisk { .. } | Self::NoPartition { .. } => Code::BootDisk,
            Self::Verity { .. } => Code::BootVerity,
            Self::Root { .. } => Code::BootRoot,
            Self::Prepare { .. } => Code::BootHandOver,
        }
    }
}
