//! The real disk: system calls on folders that are held open, each name resolved beneath its folder by the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, StatVfsMountFlags,
    Statx, StatxAttributes, StatxFlags, StatxTimestamp, Timespec, Timestamps, XattrFlags,
};
use rustix::io::Errno;
use rustix::time::ClockId;

use super::{Disk, Found, Identity, Kind, Result, Room, Writers};
use crate::system::{self, Lease};
use crate::{Error, FileName};

/// The kernel's own file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct Linux;

/// An open folder.
#[derive(Debug)]
pub struct LinuxFolder(OwnedFd);

/// An open file.
#[derive(Debug)]
pub struct LinuxFile(OwnedFd);

/// A name stays beneath its folder, is no link and no mount: the kernel sees to it, in the same step that opens it.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

impl AsFd for LinuxFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Linux {
    /// Opens a folder of the settings and holds it. A kernel without `openat2` is refused here, once.
    pub fn folder(&self, path: &Path) -> Result<LinuxFolder, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|source| Error::Folder { path: path.to_owned(), source })?;
        rustix::fs::openat2(&folder, c".", flags, Mode::empty(), BENEATH).map_err(Error::NoOpenat2)?;
        Ok(LinuxFolder(folder))
    }

    fn beneath(folder: &LinuxFolder, name: &FileName, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat2(&folder.0, name.as_c_str(), flags, mode, BENEATH) {
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }
}

impl Disk for Linux {
    type Folder = LinuxFolder;
    type File = LinuxFile;

    fn is_same(&self, one: &LinuxFolder, other: &LinuxFolder) -> Result<bool> {
        let place = |stat: &Statx| (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        Ok(place(&statx(one)?) == place(&statx(other)?))
    }

    fn lock(&self, folder: &LinuxFolder) -> Result<bool> {
        match rustix::fs::flock(&folder.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn look(&self, folder: &LinuxFolder, name: &FileName) -> Result<Option<Found>> {
        // Nothing is opened, so a pipe or a device cannot block or do anything; and a name has no slash, so there is no way
        // out of the folder but a link or a mount, which are told apart. One call, for there are three looks to each order.
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match rustix::fs::statx(&folder.0, name.as_c_str(), flags, WANTED) {
            Ok(stat) if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) => {
                Ok(Some(Found { kind: Kind::Other, ..found(&stat) }))
            }
            Ok(stat) => Ok(Some(found(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &LinuxFolder, old: &FileName, to: &LinuxFolder, new: &FileName) -> Result<()> {
        rustix::fs::renameat_with(&from.0, old.as_c_str(), &to.0, new.as_c_str(), RenameFlags::NOREPLACE)
    }

    fn remove(&self, folder: &LinuxFolder, name: &FileName) -> Result<()> {
        rustix::fs::unlinkat(&folder.0, name.as_c_str(), AtFlags::empty())
    }

    fn names(&self, folder: &LinuxFolder, start: &[u8]) -> Result<Vec<FileName>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(start)
                && let Ok(name) = FileName::any(name)
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_folder(&self, folder: &LinuxFolder) -> Result<()> {
        rustix::fs::fsync(&folder.0)
    }

    fn room(&self, folder: &LinuxFolder) -> Result<Room> {
        let stat = rustix::fs::fstatvfs(&folder.0)?;
        if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(Errno::ROFS);
        }
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Room { size: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }

    fn open(&self, folder: &LinuxFolder, name: &FileName) -> Result<LinuxFile> {
        // Non-blocking, should a pipe have taken the file's place since it was looked at.
        Self::beneath(folder, name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map(LinuxFile)
    }

    fn open_log(&self, folder: &LinuxFolder, name: &FileName) -> Result<LinuxFile> {
        Self::beneath(folder, name, OFlags::RDWR | OFlags::APPEND, Mode::empty()).map(LinuxFile)
    }

    fn create(&self, folder: &LinuxFolder, name: &FileName) -> Result<LinuxFile> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        Self::beneath(folder, name, flags, Mode::RUSR | Mode::WUSR).map(LinuxFile)
    }

    fn found(&self, file: &LinuxFile) -> Result<Found> {
        statx(&file.0).map(|stat| found(&stat))
    }

    fn writers(&self, file: &LinuxFile) -> Writers {
        match system::lease(file.0.as_fd()) {
            Lease::Taken => Writers::None,
            Lease::Written => Writers::Some,
            Lease::Refused(_) => Writers::Unknown,
        }
    }

    fn read(&self, file: &LinuxFile, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match rustix::io::pread(&file.0, &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn append(&self, file: &LinuxFile, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&file.0, bytes) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn truncate(&self, file: &LinuxFile, length: u64) -> Result<()> {
        rustix::fs::ftruncate(&file.0, length)
    }

    fn copy_attributes(&self, from: &LinuxFile, to: &LinuxFile) -> Result<()> {
        copy_extended(from, to)?;
        let stat = statx(&from.0)?;
        // Not the bits that lend rights: the copy's owner is the mover.
        rustix::fs::fchmod(&to.0, Mode::from_raw_mode(u32::from(stat.stx_mode) & 0o777))?;
        let times = Timestamps {
            last_access: timespec(&stat.stx_atime),
            last_modification: timespec(&stat.stx_mtime),
        };
        rustix::fs::futimens(&to.0, &times)
    }

    fn share(&self, file: &LinuxFile) -> Result<()> {
        rustix::fs::fchmod(&file.0, Mode::RUSR | Mode::WUSR | Mode::RGRP)
    }

    fn sync(&self, file: &LinuxFile) -> Result<()> {
        rustix::fs::fsync(&file.0)
    }

    fn sync_content(&self, file: &LinuxFile) -> Result<()> {
        rustix::fs::fdatasync(&file.0)
    }

    fn now(&self) -> i64 {
        let now = rustix::time::clock_gettime(ClockId::Realtime);
        nanoseconds(now.tv_sec, now.tv_nsec)
    }
}

/// Copies what users attach to files. An attribute of the system's own (security labels) belongs to the place, not the file.
fn copy_extended(from: &LinuxFile, to: &LinuxFile) -> Result<()> {
    // The kernel's own limits for the list and for one value.
    let mut list = vec![0; 65536];
    let length = match rustix::fs::flistxattr(&from.0, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error),
    };
    if length == 0 {
        return Ok(());
    }
    let mut value = vec![0; 65536];
    for name in list[..length].split(|byte| *byte == 0) {
        if name.starts_with(b"user.") {
            let length = rustix::fs::fgetxattr(&from.0, name, &mut value[..])?;
            rustix::fs::fsetxattr(&to.0, name, &value[..length], XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// What is asked about a file.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

fn statx(file: &impl AsFd) -> Result<Statx> {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, WANTED)
}

fn found(stat: &Statx) -> Found {
    let has_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    let kind = FileType::from_raw_mode(u32::from(stat.stx_mode));
    Found {
        kind: if kind == FileType::RegularFile { Kind::File } else { Kind::Other },
        identity: Identity {
            inode: stat.stx_ino,
            born: if has_birth { stamp(&stat.stx_btime) } else { 0 },
            size: stat.stx_size,
            modified: stamp(&stat.stx_mtime),
        },
        links: stat.stx_nlink,
        touched: stamp(&stat.stx_ctime),
    }
}

fn stamp(time: &StatxTimestamp) -> i64 {
    nanoseconds(time.tv_sec, i64::from(time.tv_nsec))
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn timespec(time: &StatxTimestamp) -> Timespec {
    Timespec { tv_sec: time.tv_sec, tv_nsec: i64::from(time.tv_nsec) }
}
