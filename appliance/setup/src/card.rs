//! The person's partition: which one it is, and what is on it.
//!
//! It is the first partition of the disk that the root file system is on. A label would do as well, until somebody plugs in
//! a stick with the same one; and it needs no udev, which is not up yet.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::intake::Around;
use crate::{Error, Result, file};

/// The number of the person's partition in `image/card.toml`.
const NUMBER: &str = "1";

/// Where the kernel shows devices by their numbers.
const DEVICES: &str = "/sys/dev/block";

/// The device of the person's partition.
pub fn device() -> Result<PathBuf> {
    let root = fs::metadata("/").map_err(Error::io("look at", "/"))?.dev();
    let (major, minor) = (rustix::fs::major(root), rustix::fs::minor(root));
    let name = partition(&Path::new(DEVICES).join(format!("{major}:{minor}")))?;
    Ok(Path::new("/dev").join(name))
}

/// The kernel's name of the first partition on the disk below the block device at `device` in sysfs: through what it is
/// stacked upon (dm-verity), from the partition to its disk.
fn partition(device: &Path) -> Result<PathBuf> {
    let mut at = fs::canonicalize(device).map_err(Error::io("look at", device))?;
    while let Some(below) = only_entry(&at.join("slaves")) {
        at = fs::canonicalize(&below).map_err(Error::io("look at", below))?;
    }
    let none = || Error::NoPartition { disk: at.clone() };
    let disk = at.parent().filter(|_| at.join("partition").exists()).ok_or_else(none)?;
    let entries = fs::read_dir(disk).map_err(Error::io("list", disk))?;
    let found = entries.flatten().find(|entry| {
        fs::read_to_string(entry.path().join("partition")).is_ok_and(|number| number.trim() == NUMBER)
    });
    found.map(|entry| entry.file_name().into()).ok_or_else(none)
}

fn only_entry(folder: &Path) -> Option<PathBuf> {
    Some(fs::read_dir(folder).ok()?.flatten().next()?.path())
}

/// The partition, mounted for as long as this lives, for reading only, and for nobody else: the unit has a mount name space
/// of its own.
#[derive(Debug)]
pub struct Card {
    at: PathBuf,
    zones: PathBuf,
}

impl Card {
    /// Mounts `device` at `at`, which is made; `zones` is where the box has its time zones.
    pub fn open(device: &Path, at: &Path, zones: &Path) -> Result<Self> {
        match fs::create_dir(at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("make", at)(error));
            }
            _ => {}
        }
        let flags = MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NOEXEC
            | MountFlags::NOATIME;
        mount(device, at, "vfat", flags, None).map_err(|errno| Error::io("mount", device)(errno.into()))?;
        Ok(Self { at: at.to_owned(), zones: zones.to_owned() })
    }
}

impl Around for Card {
    fn file(&self, name: &str, longest: usize) -> io::Result<Option<Vec<u8>>> {
        file::read(&self.at.join(name), longest)
    }

    fn has_zone(&self, zone: &str) -> bool {
        self.zones.join(zone).is_file()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // It is gone with the process in any case.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A sysfs with one disk of these partitions.
    fn sysfs(partitions: &[(&str, &str)]) -> tempfile::TempDir {
        let sysfs = tempfile::tempdir().unwrap();
        let disk = sysfs.path().join("devices/mmc/mmcblk0");
        for (name, number) in partitions {
            fs::create_dir_all(disk.join(name)).unwrap();
            fs::write(disk.join(name).join("partition"), format!("{number}\n")).unwrap();
        }
        fs::create_dir_all(disk.join("queue")).unwrap();
        sysfs
    }

    const CARD: &[(&str, &str)] = &[("mmcblk0p10", "10"), ("mmcblk0p7", "7"), ("mmcblk0p1", "1")];

    #[test]
    fn the_persons_partition_is_found_below_a_verified_root() {
        let sysfs = sysfs(CARD);
        let mapped = sysfs.path().join("devices/virtual/dm-0");
        fs::create_dir_all(mapped.join("slaves")).unwrap();
        symlink(sysfs.path().join("devices/mmc/mmcblk0/mmcblk0p7"), mapped.join("slaves/mmcblk0p7")).unwrap();
        symlink(&mapped, sysfs.path().join("254:0")).unwrap();
        assert_eq!(partition(&sysfs.path().join("254:0")).unwrap(), Path::new("mmcblk0p1"));
    }

    #[test]
    fn a_root_that_is_a_partition_itself_leads_to_its_neighbour() {
        let sysfs = sysfs(CARD);
        let device = sysfs.path().join("devices/mmc/mmcblk0/mmcblk0p7");
        assert_eq!(partition(&device).unwrap(), Path::new("mmcblk0p1"));
    }

    #[test]
    fn a_disk_without_a_first_partition_is_said_and_not_guessed_about() {
        let without = sysfs(&CARD[..2]);
        let device = without.path().join("devices/mmc/mmcblk0/mmcblk0p7");
        assert!(matches!(partition(&device), Err(Error::NoPartition { .. })));
        // A root in memory has no disk, and a whole disk no neighbours.
        assert!(matches!(partition(&without.path().join("0:20")), Err(Error::Io { .. })));
        let disk = without.path().join("devices/mmc/mmcblk0");
        assert!(matches!(partition(&disk), Err(Error::NoPartition { .. })));
    }
}
