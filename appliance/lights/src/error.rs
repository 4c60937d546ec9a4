//! Everything that can go wrong in the status part. Nothing of it ends the part: it is said once and tried again.

use std::io;
use std::path::PathBuf;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or device refused.
    #[error("could not {what} '{}': {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A light of the board is not in the kernel's LED class.
    #[error(
        "the kernel has no light '{name}'; expected {}: is its driver loaded, and is it in the device tree?",
        path.display()
    )]
    NoLight {
        /// The light's name.
        name: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// A light's file says something that is not a number.
    #[error("'{}' says '{text}'; expected a number above 0", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
    },
    /// No GPIO chip has the label.
    #[error(
        "light '{name}': no GPIO chip is labelled '{chip}'; there are: {known}. Correct chip in [[status.led]]"
    )]
    NoChip {
        /// The light's name.
        name: String,
        /// The label.
        chip: String,
        /// The labels that exist.
        known: String,
    },
    /// The chip has no such line.
    #[error(
        "light '{name}': GPIO chip '{chip}' has {lines} lines, so there is no line {line}; \
         correct line in [[status.led]]"
    )]
    NoLine {
        /// The light's name.
        name: String,
        /// The label.
        chip: String,
        /// The line that was asked for.
        line: u32,
        /// How many lines there are.
        lines: u32,
    },
    /// Something else has the line.
    #[error(
        "light '{name}': line {line} of GPIO chip '{chip}' is in use by '{by}'; \
         choose another line in [[status.led]], or it is tried again"
    )]
    LineBusy {
        /// The light's name.
        name: String,
        /// The label.
        chip: String,
        /// The line.
        line: u32,
        /// Who has it, in the kernel's words.
        by: String,
    },
    /// The GPIO character device refused.
    #[error("light '{name}': GPIO chip '{chip}': {source}")]
    Gpio {
        /// The light's name.
        name: String,
        /// The label, or the device's path.
        chip: String,
        /// The crate's answer.
        source: gpiocdev::Error,
    },
    /// A Raspberry Pi's registers cannot be reached.
    #[cfg(feature = "rppal")]
    #[error("light '{name}': {source}; the kernel must allow /dev/gpiomem, or iomem=relaxed: docs/lights.md")]
    Rppal {
        /// The light's name.
        name: String,
        /// The crate's answer.
        source: rppal::gpio::Error,
    },
    /// systemd cannot be asked.
    #[error("systemd does not answer ({what}): {source}")]
    Bus {
        /// What was asked.
        what: String,
        /// The crate's answer.
        source: rustbus::connection::Error,
    },
    /// systemd answered with an error, or with something else than was asked.
    #[error("systemd answered {what} with '{answer}'; expected {expected}")]
    Answer {
        /// What was asked.
        what: String,
        /// What came.
        answer: String,
        /// What should have come.
        expected: &'static str,
    },
}

impl Error {
    /// For `map_err` after a call on a file.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
