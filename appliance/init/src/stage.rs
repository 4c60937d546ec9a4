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
    /// Health file, switch of root, systemd.
    HandOver,
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Devices => "devices",
            Self::Arguments => "arguments",
            Self::Modules => "modules",
            Self::Disk => "disk",
            Self::Root => "root",
            Self::State => "state",
            Self::Persist => "persist",
            Self::MachineId => "machine-id",
            Self::HandOver => "hand-over",
        })
    }
}
