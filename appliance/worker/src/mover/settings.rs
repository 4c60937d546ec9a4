//! What a mover is told: the rules of its work.

use std::time::Duration;

use crate::{Subfolders, Suffix};

/// How a mover does its work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a moved file's name gets at its end.
    pub suffix: Suffix,
    /// What becomes of a name that leads into a subfolder.
    pub subfolders: Subfolders,
    /// Whether the kernel is asked who has a file open for writing. Not for folders that other machines write to: it knows
    /// only of its own programs.
    pub leases: bool,
    /// For how long nothing about a file may have changed before it is taken, where leases cannot tell whether someone has it
    /// open for writing: on file systems without them, and for files of others when the mover lacks the right to lease.
    ///
    /// Measured by the time of the file's last change of any kind, which nobody can set back.
    pub quiet: Duration,
    /// How many bytes must be free on the log's and the destination's file systems.
    pub reserve: u64,
    /// How many bytes a file that comes in may have.
    pub largest: u64,
    /// At which length the log begins a new file.
    pub log_length: u64,
    /// How many of the log's files are kept.
    pub log_files: usize,
    /// How many done orders are remembered whose messages may still be on the queue.
    pub ledger_limit: usize,
    /// How many are remembered after that.
    pub ledger_window: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            suffix: Suffix::default(),
            subfolders: Subfolders::Refuse,
            leases: true,
            quiet: Duration::from_secs(2),
            reserve: 16 * 1024 * 1024,
            // What the configuration says when it says nothing.
            largest: 5 * 1024 * 1024 * 1024,
            log_length: 8 * 1024 * 1024,
            log_files: 32,
            ledger_limit: 32_768,
            ledger_window: 8_192,
        }
    }
}
