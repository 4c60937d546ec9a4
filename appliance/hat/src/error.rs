//! What can be wrong with the hat. None of it stops anything: it is logged once and tried again.

use std::path::PathBuf;

/// The result of everything at the rim of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the screen or a key does not work, or a text is no frame.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The board's facts name a bus that the kernel does not have (yet).
    #[error(
        "no I2C bus {bus} for the screen; its driver is not loaded, or the device tree leaves the bus switched off"
    )]
    NoBus {
        /// The device-tree path of its controller.
        bus: String,
    },
    /// The bus is there and cannot be opened.
    #[error("cannot open the screen's bus {path}: {why}; the unit must allow /dev/i2c-*")]
    Open {
        /// Its device file.
        path: PathBuf,
        /// The kernel's answer.
        why: String,
    },
    /// Nothing answers on the bus, or the transfer broke off.
    #[error("no screen answers at {address:#04x} on {path}; is the hat pushed on fully?")]
    NoAnswer {
        /// The bus's device file.
        path: PathBuf,
        /// The address on it.
        address: u8,
    },
    /// A line on the virtual hat's port that is no frame.
    #[error("this is no frame of the hat: {what}")]
    NotAFrame {
        /// What is wrong with it.
        what: &'static str,
    },
}
