//! The handful of system calls that the mover makes, so that a test can answer them, or lose what was not synced.

mod linux;

use std::fmt;

use rustix::io::Errno;

use crate::FileName;
pub use linux::{Linux, LinuxFile, LinuxFolder};

/// The result of one call.
pub type Result<T, E = Errno> = std::result::Result<T, E>;

/// What makes a file the same file under another name: what a rename keeps and a new file does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The inode's number.
    pub inode: u64,
    /// When it was created, in nanoseconds; 0 where the file system does not say.
    pub born: i64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed, in nanoseconds.
    pub modified: i64,
}

impl Identity {
    /// Whether `other` is the same file, perhaps with other content by now. Inode numbers are used again, so the time of
    /// birth decides; without one, length and time of the last change do.
    pub fn same_file(&self, other: &Self) -> bool {
        self.inode == other.inode
            && self.born == other.born
            && (self.born != 0 || (self.size == other.size && self.modified == other.modified))
    }
}

/// What kind of thing a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// Anything else.
    Other,
}

/// What is found under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its kind.
    pub kind: Kind,
    /// Which file it is.
    pub identity: Identity,
    /// How many names it has.
    pub links: u32,
    /// When anything about it last changed, in nanoseconds. Nobody can set this one.
    pub touched: i64,
}

/// Whether anybody has a file open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Nobody has, and nobody can before the file is closed here: who tries waits.
    None,
    /// Somebody has.
    Some,
    /// The kernel does not tell: no leases on this file system, or no right to one on this file.
    Unknown,
}

/// The room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub size: u64,
    /// Free for this process.
    pub free: u64,
}

/// Folders and files. A folder is held open from the start: what its path leads to later does not matter.
pub trait Disk {
    /// An open folder.
    type Folder: fmt::Debug;
    /// An open file.
    type File: fmt::Debug;

    /// Whether both are one folder.
    fn is_same(&self, one: &Self::Folder, other: &Self::Folder) -> Result<bool>;
    /// Takes the folder for this process alone; `false` when another has it.
    fn lock(&self, folder: &Self::Folder) -> Result<bool>;
    /// What `name` is, without following it anywhere; `None` when there is nothing.
    fn look(&self, folder: &Self::Folder, name: &FileName) -> Result<Option<Found>>;
    /// Renames without replacing: `EXIST` when the new name is taken, `XDEV` between file systems.
    fn rename(&self, from: &Self::Folder, old: &FileName, to: &Self::Folder, new: &FileName) -> Result<()>;
    /// Removes a name of a file.
    fn remove(&self, folder: &Self::Folder, name: &FileName) -> Result<()>;
    /// The names in a folder that begin with `start`; the folder may hold a million others.
    fn names(&self, folder: &Self::Folder, start: &[u8]) -> Result<Vec<FileName>>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Self::Folder) -> Result<()>;
    /// How much room the folder's file system has; `ROFS` when nothing can be written to it.
    fn room(&self, folder: &Self::Folder) -> Result<Room>;

    /// Opens a plain file for reading.
    fn open(&self, folder: &Self::Folder, name: &FileName) -> Result<Self::File>;
    /// Opens a plain file for reading and appending.
    fn open_log(&self, folder: &Self::Folder, name: &FileName) -> Result<Self::File>;
    /// Creates a file that is not there, for reading and appending, for its owner only.
    fn create(&self, folder: &Self::Folder, name: &FileName) -> Result<Self::File>;
    /// What an open file is.
    fn found(&self, file: &Self::File) -> Result<Found>;
    /// Who writes to an open file; if nobody does, nobody begins to until it is closed.
    fn writers(&self, file: &Self::File) -> Writers;
    /// Reads from `offset`; 0 at the end.
    fn read(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> Result<usize>;
    /// Appends all of `bytes`, or fails with any part of them written.
    fn append(&self, file: &Self::File, bytes: &[u8]) -> Result<()>;
    /// Cuts a file.
    fn truncate(&self, file: &Self::File, length: u64) -> Result<()>;
    /// Gives `to` the mode, the times and the extended attributes of `from`.
    fn copy_attributes(&self, from: &Self::File, to: &Self::File) -> Result<()>;
    /// Lets the folder's group read a file that was created for its owner only.
    fn share(&self, file: &Self::File) -> Result<()>;
    /// Makes a file's content and attributes durable.
    fn sync(&self, file: &Self::File) -> Result<()>;
    /// Makes a file's content and length durable.
    fn sync_content(&self, file: &Self::File) -> Result<()>;

    /// The real time in nanoseconds, on the clock that stamps files.
    fn now(&self) -> i64;
}
