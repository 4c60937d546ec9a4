//! The disk that the running root file system is on, and its partitions by number, from the kernel's own tables.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where the kernel shows block devices; a folder of a test stands in for it.
#[derive(Debug, Clone)]
pub struct System {
    /// `/sys/dev/block`: links by number.
    pub numbers: PathBuf,
    /// `/dev`
    pub dev: PathBuf,
}

impl System {
    /// The real one.
    pub fn of_the_box() -> Self {
        Self { numbers: "/sys/dev/block".into(), dev: "/dev".into() }
    }
}

/// The disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The device of the root file system itself, as it is mounted: with the kernel's checks in front of it.
    pub root: PathBuf,
    folder: PathBuf,
    dev: PathBuf,
    name: String,
}

impl Disk {
    /// The disk under the file system that `path` is on.
    pub fn under(system: &System, path: &Path) -> Result<Self> {
        let device = fs::metadata(path).map_err(Error::io("look at", path))?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        Self::of_number(system, major, minor)
    }

    fn of_number(system: &System, major: u32, minor: u32) -> Result<Self> {
        let link = system.numbers.join(format!("{major}:{minor}"));
        let mounted = fs::canonicalize(&link).map_err(Error::io("find", &link))?;
        let root = system.dev.join(name_of(&mounted));
        let mut partition = mounted;
        // A mapped device names what it is made of; verity has one below it.
        loop {
            let below = partition.join("slaves");
            let mut entries = fs::read_dir(&below).into_iter().flatten().flatten();
            match entries.next() {
                Some(entry) => {
                    let path = entry.path();
                    partition = fs::canonicalize(&path).map_err(Error::io("find", &path))?;
                }
                None => break,
            }
        }
        // A partition's folder lies in its disk's.
        let folder = match partition.join("partition").exists() {
            true => partition.parent().map_or(partition.clone(), Path::to_owned),
            false => partition,
        };
        let name = name_of(&folder);
        Ok(Self { root, folder, dev: system.dev.clone(), name })
    }

    /// The device of a partition.
    pub fn partition(&self, number: u16) -> Result<PathBuf> {
        let entries = fs::read_dir(&self.folder).map_err(Error::io("list", &self.folder))?.flatten();
        for entry in entries {
            let text = fs::read_to_string(entry.path().join("partition"));
            if text.is_ok_and(|text| text.trim().parse() == Ok(number)) {
                return Ok(self.dev.join(entry.file_name()));
            }
        }
        Err(Error::NoPartition { disk: self.name.clone(), number })
    }
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The kernel's view of a card with partitions 7 and 10, the first of which is under a mapped device.
    fn kernel() -> (tempfile::TempDir, System) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, number) in [("mmcblk0p7", "7\n"), ("mmcblk0p10", "10\n")] {
            fs::create_dir_all(path("devices/mmcblk0").join(name)).unwrap();
            fs::write(path("devices/mmcblk0").join(name).join("partition"), number).unwrap();
        }
        fs::create_dir_all(path("devices/mmcblk0/queue")).unwrap();
        fs::create_dir_all(path("devices/dm-0/slaves")).unwrap();
        symlink(path("devices/mmcblk0/mmcblk0p7"), path("devices/dm-0/slaves/mmcblk0p7")).unwrap();
        fs::create_dir_all(path("numbers")).unwrap();
        symlink(path("devices/dm-0"), path("numbers/253:0")).unwrap();
        symlink(path("devices/mmcblk0/mmcblk0p7"), path("numbers/179:7")).unwrap();
        symlink(path("devices/mmcblk0"), path("numbers/179:0")).unwrap();
        let system = System { numbers: path("numbers"), dev: PathBuf::from("/dev") };
        (folder, system)
    }

    #[test]
    fn under_a_mapped_root_the_card_and_its_partitions_are_found() {
        let (_folder, system) = kernel();
        let disk = Disk::of_number(&system, 253, 0).unwrap();
        assert_eq!(disk.root, Path::new("/dev/dm-0"));
        assert_eq!(disk.partition(10).unwrap(), Path::new("/dev/mmcblk0p10"));
        assert_eq!(disk.partition(7).unwrap(), Path::new("/dev/mmcblk0p7"));
    }

    #[test]
    fn a_root_that_lies_on_its_partition_is_found_as_well() {
        let (_folder, system) = kernel();
        let disk = Disk::of_number(&system, 179, 7).unwrap();
        assert_eq!((disk.root.as_path(), disk.name.as_str()), (Path::new("/dev/mmcblk0p7"), "mmcblk0"));
        assert_eq!(Disk::of_number(&system, 179, 0).unwrap().name, "mmcblk0");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (_folder, system) = kernel();
        let message = Disk::of_number(&system, 253, 0).unwrap().partition(1).unwrap_err().to_string();
        assert!(message.contains("mmcblk0 has no partition 1"), "{message}");
        assert!(Disk::of_number(&system, 8, 1).unwrap_err().to_string().contains("8:1"));
        // A root in memory has no device at all.
        assert!(Disk::under(&system, Path::new("/proc")).is_err());
    }
}
