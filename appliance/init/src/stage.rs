//! The stages of the way from kernel to systemd, in order; each line in the log begins with one.

use std::fmt;

/// One stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The kernel's own file systems.
    Devices,
    /// The kernel command line.
    Arguments,
    /// Kernel modules, watchdog first.
    Modules,
    /// The disk with this image's id, and its partitions.
    Disk,
    /// The root file system.
    Root,
    /// The state partition: checked, or made where the image says it is new.
    State,
    /// `/var` in memory, and the paths that are kept.
    Persist,
    /// The machine id.
    MachineId,
    /// The data partition: grown, checked, or made where the image says it is new.
    Data,
    /// Health file, switch of root, systemd.
    HandOver,
}

impl Stage {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Devices,
        Self::Arguments,
        Self::Modules,
        Self::Disk,
        Self::Root,
        Self::State,
        Self::Persist,
        Self::MachineId,
        Self::HandOver,
    ];

    /// The stage's name in logs and notes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Arguments => "arguments",
            Self::Modules => "modules",
            Self::Disk => "disk",
            Self::Root => "root",
            Self::State => "state",
            Self::Persist => "persist",
            Self::MachineId => "machine-id",
            Self::Data => "data",
            Self::HandOver => "hand-over",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
