//! The disks of this machine as the kernel lists them: which could be a card, and which must never be overwritten.
//!
//! Pure but for reading one folder: sysfs, the mounts and the swaps are parameters, so that a test can bring its own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// No SD card that a box could want is larger; a disk that is holds somebody's life.
pub const LARGEST: u64 = 256_000_000_000;
/// Sysfs counts in these, whatever the disk's own sector is.
const SECTOR: u64 = 512;
/// Disks that are made of memory, files or other disks: what is under them is listed by itself.
const NO_HARDWARE: &[&str] = &["dm-", "fd", "loop", "md", "nbd", "ram", "sr", "zram"];
/// A disk with one of these mounted runs the machine.
const SYSTEM: &[&str] = &["/", "/boot", "/boot/efi", "/efi", "/home", "/nix", "/usr", "/var"];

/// What the kernel tells of disks and their use.
pub struct Kernel<'a> {
    /// `/sys`.
    pub sysfs: &'a Path,
    /// `/proc/self/mountinfo`.
    pub mounts: &'a str,
    /// `/proc/swaps`.
    pub swaps: &'a str,
}

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name: `sdb`, `mmcblk0`.
    pub name: String,
    /// In bytes; 0 for a reader without a card.
    pub bytes: u64,
    /// Maker and model, as the disk says them.
    pub model: String,
    /// It can be pulled out: a card reader's, a USB stick, an SD slot.
    pub removable: bool,
    /// Its lock is on, or it cannot be written at all.
    pub read_only: bool,
    /// Why it is not free: mounts, swap, what is built on it.
    pub uses: BTreeSet<Use>,
}

/// Something that needs the disk as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Mounted here, by itself or through what is built on it.
    Mounted(String),
    /// The machine swaps to it.
    Swap(String),
    /// Encryption, RAID or volumes lie on it.
    Held(String),
}

/// Why a disk is not overwritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The machine itself runs from it.
    #[error("{0} is this machine's own disk ({1} is on it)")]
    System(String, String),
    /// It is in use.
    #[error("{0} is in use: {1}; unmount or close it first")]
    Busy(String, String),
    /// It has a write lock.
    #[error("{0} is write-protected: slide the lock on the card's edge and put it in again")]
    ReadOnly(String),
    /// A reader with nothing in it.
    #[error("{0} holds no card")]
    Empty(String),
    /// It is too small.
    #[error("{0} has {1} bytes, too few: the image's partition table needs {2}")]
    TooSmall(String, u64, u64),
    /// It is too large to be a card.
    #[error("{0} has {1} bytes, more than any card (256 GB); if it is the one you mean, add --really {2}")]
    TooLarge(String, u64, String),
    /// It is built in.
    #[error("{0} is not a removable disk; if it is the one you mean, add --really {1}")]
    Fixed(String, String),
}

impl Disk {
    /// Where it is as a file.
    pub fn node(&self) -> PathBuf {
        // A slash in a device's name is an exclamation mark in sysfs.
        Path::new("/dev").join(self.name.replace('!', "/"))
    }

    /// Why it must not be overwritten by an image whose table needs `needed` bytes. `really`: the person named it twice,
    /// which lifts what is a guess about them (size, built in) and nothing else.
    pub fn refusal(&self, needed: u64, really: bool) -> Option<Refusal> {
        let (node, bytes) = (self.node().display().to_string(), self.bytes);
        let system = self.uses.iter().find_map(|used| match used {
            Use::Mounted(at) if SYSTEM.contains(&at.as_str()) => Some(at.clone()),
            _ => None,
        });
        if let Some(at) = system {
            return Some(Refusal::System(node, at));
        }
        if !self.uses.is_empty() {
            let uses: Vec<_> = self.uses.iter().map(Use::to_string).collect();
            return Some(Refusal::Busy(node, uses.join(", ")));
        }
        match () {
            () if bytes == 0 => Some(Refusal::Empty(node)),
            () if !self.removable && !really => Some(Refusal::Fixed(node.clone(), node)),
            () if bytes > LARGEST && !really => Some(Refusal::TooLarge(node.clone(), bytes, node)),
            () if bytes < needed => Some(Refusal::TooSmall(node, bytes, needed)),
            () if self.read_only => Some(Refusal::ReadOnly(node)),
            () => None,
        }
    }
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Use::Mounted(at) => write!(f, "mounted at {at}"),
            Use::Swap(name) => write!(f, "swap on {name}"),
            Use::Held(by) => write!(f, "{by} is built on it"),
        }
    }
}

/// Every disk that is hardware, by name.
pub fn list(kernel: &Kernel<'_>) -> io::Result<Vec<Disk>> {
    let names = entries(&kernel.sysfs.join("block"))?;
    let hardware = names.iter().filter(|name| !NO_HARDWARE.iter().any(|other| name.starts_with(other)));
    // The boot areas and the replay-protected block of an eMMC look like disks and are parts of one.
    let disks = hardware.filter(|name| !(name.starts_with("mmcblk") && name[6..].contains(['b', 'r'])));
    Ok(disks.map(|name| disk(kernel, name)).collect())
}

/// What a device number stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole disk.
    Disk(Disk),
    /// A part of the named disk.
    Partition(String),
    /// Sysfs does not know it.
    Unknown,
}

/// The disk with this number, `major:minor`; of any kind, also a loop device.
pub fn find(kernel: &Kernel<'_>, number: &str) -> io::Result<Found> {
    for name in entries(&kernel.sysfs.join("block"))? {
        let folder = kernel.sysfs.join("block").join(&name);
        if text(&folder.join("dev")) == number {
            return Ok(Found::Disk(disk(kernel, &name)));
        }
        if parts(&folder, &name).iter().any(|part| text(&folder.join(part).join("dev")) == number) {
            return Ok(Found::Partition(name));
        }
    }
    Ok(Found::Unknown)
}

fn disk(kernel: &Kernel<'_>, name: &str) -> Disk {
    let folder = kernel.sysfs.join("block").join(name);
    let number = |file: &str| text(&folder.join(file)).parse().unwrap_or(0u64);
    // The folder is a link into the tree of devices, whose path says what it hangs on.
    let usb = fs::canonicalize(&folder).is_ok_and(|path| path.to_string_lossy().contains("/usb"));
    let sd = text(&folder.join("device/type")) == "SD";
    let words = ["device/vendor", "device/model", "device/name"].map(|file| text(&folder.join(file)));
    let model: Vec<_> = words.iter().filter(|word| !word.is_empty()).map(String::as_str).collect();
    let mut uses = BTreeSet::new();
    add_uses(kernel, name, &mut uses, &mut BTreeSet::new());
    Disk {
        name: name.to_owned(),
        bytes: number("size").saturating_mul(SECTOR),
        model: model.join(" "),
        removable: number("removable") == 1 || usb || sd,
        read_only: number("ro") == 1,
        uses,
    }
}

/// Everything that uses the disk, its partitions, or what is built on them, however deep.
fn add_uses(kernel: &Kernel<'_>, name: &str, uses: &mut BTreeSet<Use>, seen: &mut BTreeSet<String>) {
    if !seen.insert(name.to_owned()) {
        return;
    }
    let folder = kernel.sysfs.join("block").join(name);
    let mut devices = vec![(name.to_owned(), folder.clone())];
    devices.extend(parts(&folder, name).into_iter().map(|part| (part.clone(), folder.join(part))));
    for (device, folder) in devices {
        let number = text(&folder.join("dev"));
        for (mounted, source, at) in mounts(kernel.mounts) {
            // btrfs and its like mount under a number of their own and only name the device.
            if mounted == number && !number.is_empty()
                || Path::new(&source) == Path::new("/dev").join(&device)
            {
                uses.insert(Use::Mounted(at));
            }
        }
        let swap =
            |line: &&str| line.split_whitespace().next().map(unescape) == Some(format!("/dev/{device}"));
        if kernel.swaps.lines().any(|line| swap(&line)) {
            uses.insert(Use::Swap(device.clone()));
        }
        for holder in entries(&folder.join("holders")).unwrap_or_default() {
            uses.insert(Use::Held(holder.clone()));
            add_uses(kernel, &holder, uses, seen);
        }
    }
}

/// The partitions of a disk: the folders in its own that say so.
fn parts(folder: &Path, name: &str) -> Vec<String> {
    let all = entries(folder).unwrap_or_default();
    all.into_iter()
        .filter(|part| part.starts_with(name) && folder.join(part).join("partition").exists())
        .collect()
}

/// Device number, source and mount point of every line of mountinfo.
fn mounts(text: &str) -> impl Iterator<Item = (String, String, String)> {
    text.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut words = mount.split(' ').skip(2);
        let (number, at) = (words.next()?, words.nth(1)?);
        let source = system.split(' ').nth(1).unwrap_or_default();
        Some((number.to_owned(), unescape(source), unescape(at)))
    })
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = (byte == b'\\').then(|| tail.get(..3)).flatten();
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        out.push(code.unwrap_or(byte));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A file of sysfs, which is one line; empty where there is none.
fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
#[path = "disks_tests.rs"]
mod tests;
