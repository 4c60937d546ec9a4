//! What can go wrong around a machine, each with its remedy.

use std::path::PathBuf;
use std::time::Duration;

/// Everything here that can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program of the host is missing.
    #[error("{program} is not installed; it is in Debian's package {package} (sudo apt install {package})")]
    Missing {
        /// What was looked for.
        program: String,
        /// Where Debian has it.
        package: &'static str,
    },
    /// A file that the machine is made of cannot be used.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The scratch directory belongs to somebody else.
    #[error("{path} is not a directory of this user alone; remove it or set STAYPUT_SCRATCH to another place", path = path.display())]
    Scratch {
        /// The directory.
        path: PathBuf,
    },
    /// Another machine ran the whole time.
    #[error("another machine ({holder}) held {path} for {} s; end it, or run the tests one after the other", waited.as_secs(), path = path.display())]
    Occupied {
        /// What the holder wrote into the lock file.
        holder: String,
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// A recording of writes is damaged.
    #[error(transparent)]
    Log(#[from] crate::writelog::Broken),
    /// A replay cannot go back.
    #[error(
        "a cut after {asked} writes was asked for when {done} were on the card for good; ask for cuts in their order"
    )]
    Backwards {
        /// The cut.
        asked: usize,
        /// What was on the card.
        done: usize,
    },
    /// A host tool said no.
    #[error("{program} failed ({status}): {message}")]
    Tool {
        /// The tool.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        message: String,
    },
    /// QEMU ended when it should be running.
    #[error("QEMU ended ({status}) while {during}. It said:\n{said}")]
    Ended {
        /// How.
        status: String,
        /// What was waited for.
        during: String,
        /// Its standard error and the end of the console.
        said: String,
    },
    /// QEMU was asked something and refused.
    #[error("QEMU refused {command}: {reason}")]
    Refused {
        /// The QMP command or monitor line.
        command: String,
        /// Its words.
        reason: String,
    },
    /// QEMU's control socket spoke something else than QMP.
    #[error("QEMU's control socket said something that is no QMP ({what}): {text}")]
    Protocol {
        /// What was expected.
        what: &'static str,
        /// What came.
        text: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s (STAYPUT_PATIENCE stretches this). {seen}", allowed.as_secs())]
    Late {
        /// The event.
        what: String,
        /// The stretched deadline.
        allowed: Duration,
        /// What was seen instead.
        seen: String,
    },
    /// The machine is on.
    #[error("the machine is on: {what} needs it off (Machine::power_cut)")]
    On {
        /// What was asked.
        what: &'static str,
    },
    /// The machine is off.
    #[error("the machine is off: {what} needs it on (Machine::power_on)")]
    Off {
        /// What was asked.
        what: &'static str,
    },
    /// The machine was started without the part that this needs.
    #[error("this machine has no {part}: {remedy}")]
    Without {
        /// What is not there.
        part: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A credential's name does not fit into fw_cfg.
    #[error(
        "the credential name {name:?} is {length} characters long; fw_cfg leaves 28 (55 with its prefix): shorten the unit's name"
    )]
    CredentialName {
        /// The name without the prefix.
        name: String,
        /// Its length.
        length: usize,
    },
    /// The probe did what it was told and it did not work.
    #[error("on the box: {0}")]
    OnTheBox(String),
    /// The probe answered something that does not fit the question.
    #[error(
        "the probe answered {question} with {answer}; is it built from this tree? (scripts/test builds it)"
    )]
    Answer {
        /// What was asked.
        question: String,
        /// What came.
        answer: String,
    },
    /// A text of the box or of QEMU has an unexpected form.
    #[error("cannot read {what}, line {line}: {text:?}")]
    Text {
        /// Which text.
        what: &'static str,
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// No snapshot of that name was taken by this machine.
    #[error("there is no snapshot {0:?}: take it first with Machine::snapshot")]
    NoSnapshot(String),
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// For `map_err` on an I/O result.
pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.into();
    move |source| Error::File { what, path, source }
}

/// For `map_err` on starting a host program: a missing one is named with its package.
pub(crate) fn start(program: &str, package: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let program = program.to_owned();
    move |source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { program, package },
        _ => Error::File { what: "start", path: program.into(), source },
    }
}
