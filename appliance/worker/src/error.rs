//! What keeps the mover from starting or from going on, with the remedy.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::protocol::Refusal;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A reason not to start, or to stop. What goes wrong with one order is an [`crate::Outcome`], not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder that the mover needs could not be opened.
    #[error("could not open the folder '{}': {source}; create it and give it to the mover's user", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// The kernel cannot resolve names beneath a folder, and the mover has no weaker way.
    #[error(
        "this kernel refuses openat2 ({0}); Linux 5.6 or later is needed, with openat2 allowed by the system-call filter"
    )]
    NoOpenat2(Errno),
    /// Another mover has the folders.
    #[error("another mover holds these folders; stop it first: two movers would answer for the same files")]
    Locked,
    /// The log could not be read or written.
    #[error("could not {action} the log: {source}; check the disk, then start again: nothing was lost")]
    Log {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why not.
        source: Errno,
    },
    /// The log is damaged in a place that had been synced, so its disk is failing or someone changed it.
    #[error(
        "log file {file} is damaged at byte {offset}, and what follows ({after} bytes) is not what an interrupted write leaves; \
         keep the file, restore the data folder from its backup, or move the log away to begin a new one (orders that are \
         delivered again will then be waiting or in conflict)"
    )]
    Damaged {
        /// The file's number.
        file: u64,
        /// Where the first bad record begins.
        offset: u64,
        /// How many bytes follow.
        after: u64,
    },
    /// The log is of a version that this program does not know.
    #[error(
        "log file {file} is version {found}, this program writes version {known}; both must be from the same image"
    )]
    LogVersion {
        /// The file's number.
        file: u64,
        /// Its version.
        found: u16,
        /// The version known here.
        known: u16,
    },
    /// A folder could not be looked at or synced while an interrupted move was completed.
    #[error(
        "could not {action} while completing an interrupted move: {source}; check the disk, then start again"
    )]
    Recovery {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why not.
        source: Errno,
    },
    /// The socket failed.
    #[error("could not {action} the socket: {source}; check its folder's owner and the unit that makes it")]
    Socket {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why not.
        source: Errno,
    },
    /// The mover is not there.
    #[error("could not reach the mover at '{}': {source}; start it, and let both halves name the same socket", path.display())]
    NoMover {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// The mover is there, and serves somebody else.
    #[error(
        "the mover at '{}' serves another connection or is not ready yet; it serves one at a time, to its end: stop the courier \
         or the job that has it, or try again later", path.display()
    )]
    Engaged {
        /// Its socket.
        path: PathBuf,
    },
    /// The mover ended the conversation.
    #[error("the mover closed the connection; connect again, and if it does so at once, see its status")]
    Closed,
    /// The mover does not answer.
    #[error("the mover has not answered for a long time; restart it, and see whether its disk is all right")]
    Silent,
    /// The mover refused a message, or sent one that is none.
    #[error("courier and mover do not understand each other: {0}")]
    Refused(#[from] Refusal),
    /// The mover answered something else than what was asked.
    #[error("the mover answered something else than what was asked; both halves must be of the same image")]
    Answer,
    /// An environment variable holds something else than it should.
    #[error("the environment variable {name} does not hold {form}; correct it where the worker is started")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What was expected.
        form: &'static str,
    },
    /// A folder could not be made.
    #[error("could not make the folder '{}': {source}; make it, and give it to the mover's user", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Someone answers at the mover's socket.
    #[error("another mover answers at '{}'; stop it first", path.display())]
    SocketTaken {
        /// The socket.
        path: PathBuf,
    },
    /// The log could not be read as a ledger.
    #[error("could not read the log at '{}': {source}; run this as the mover's user, or as root", path.display())]
    Book {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What was asked for could not be written out.
    #[error("could not write the answer: {source}; see where it was to go")]
    Output {
        /// Why not.
        source: std::io::Error,
    },
    /// Both halves would run as the same user.
    #[error(
        "both halves in one container need two users, and a start as root to become them (mover {mover}, courier {courier}); \
         take \"user\" out of the task definition, or run the halves in two containers"
    )]
    OneUser {
        /// The mover's.
        mover: u32,
        /// The courier's.
        courier: u32,
    },
    /// Nobody but root owns the files, and nobody said who the mover is.
    #[error(
        "the source folder '{}' is root's, so the mover would be root; give the folders to another user (chown), or say in \
         STAYPUT_MOVER_UID who the mover runs as", path.display()
    )]
    RootMover {
        /// The source folder.
        path: PathBuf,
    },
    /// A half could not be started.
    #[error("could not start the {half}: {source}; the program must be executable for its user")]
    NotStarted {
        /// Which.
        half: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Signals cannot be waited for.
    #[error("could not wait for signals: {source}")]
    Signals {
        /// Why not.
        source: std::io::Error,
    },
    /// The process could not be confined.
    #[error(
        "{0}; a mover that is not confined does not start: see which container or unit setting forbids it"
    )]
    Confine(#[from] crate::confine::Failed),
}

impl Error {
    /// The program's exit code: those of `sysexits.h`, which service managers and people know.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Variable { .. } | Self::OneUser { .. } | Self::RootMover { .. } => Exit::Settings,
            Self::Folder { .. }
            | Self::Book { .. }
            | Self::NoFolder { .. }
            | Self::Socket { .. }
            | Self::NoOpenat2(_) => Exit::Place,
            Self::Locked | Self::SocketTaken { .. } | Self::Engaged { .. } => Exit::Busy,
            Self::Log { .. } | Self::Recovery { .. } | Self::Output { .. } => Exit::Disk,
            Self::Damaged { .. } | Self::LogVersion { .. } => Exit::Damaged,
            Self::NoMover { .. } | Self::Closed | Self::Silent | Self::Refused(_) | Self::Answer => {
                Exit::Unreachable
            }
            Self::Confine(_) | Self::NotStarted { .. } | Self::Signals { .. } => Exit::Unconfined,
        }
    }
}

/// How a worker's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well, or it was told to stop.
    Fine = 0,
    /// A check found something wrong; nothing was found; the disk failed while at work.
    Wrong = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The log is damaged.
    Damaged = 65,
    /// The other half is not there, or is of another image.
    Unreachable = 69,
    /// A folder or the socket is not to be had.
    Place = 73,
    /// The disk does not read or write.
    Disk = 74,
    /// Another one is at work here.
    Busy = 75,
    /// The process could not be confined.
    Unconfined = 77,
    /// A setting is wrong.
    Settings = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
