//! A package unpacked into a directory: host tools. Nothing it holds can land outside, whatever links it brings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::deb::{self, Entry, EntryKind};
use crate::error::{Error, Result};

/// Unpacks a package below a directory, which is made where it is not there. Owners are not set, and of the mode only
/// what a user's own file may have; files that are there already are replaced.
pub fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let entries = deb::read(package)?;
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let root = rustix::fs::open(folder, directory_flags() & !OFlags::NOFOLLOW, Mode::empty())
        .map_err(|error| Error::io("read", folder)(error.into()))?;
    let mut folders = Folders { root, open: BTreeMap::new() };
    for entry in &entries {
        folders.write(entry).map_err(|error| Error::io("create", &folder.join(&entry.path))(error))?;
    }
    Ok(())
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// The directories being written to. They are opened one part at a time and never through a link, so that a link
/// brought by one package cannot lead a file of the next one elsewhere.
struct Folders {
    root: OwnedFd,
    open: BTreeMap<String, OwnedFd>,
}

/// More open directories than this are closed again; the order of a tar makes a small number enough.
const MOST_OPEN: usize = 64;

impl Folders {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        match &entry.kind {
            EntryKind::Directory => self.enter(&entry.path).map(drop),
            EntryKind::File(content) => {
                let folder = self.enter(parent)?;
                remove(folder, name)?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(entry.mode & 0o755 | 0o600);
                let mut file = File::from(rustix::fs::openat(folder, name, flags, mode)?);
                file.write_all(content)?;
                // Whatever the umask was.
                Ok(rustix::fs::fchmod(&file, mode)?)
            }
            EntryKind::Symlink(target) => {
                let folder = self.enter(parent)?;
                remove(folder, name)?;
                Ok(rustix::fs::symlinkat(target.as_str(), folder, name)?)
            }
            EntryKind::Hardlink(target) => {
                let (target_parent, target_name) = target.rsplit_once('/').unwrap_or(("", target));
                let from = self.enter(target_parent)?.as_fd().try_clone_to_owned()?;
                let folder = self.enter(parent)?;
                remove(folder, name)?;
                Ok(rustix::fs::linkat(&from, target_name, folder, name, AtFlags::empty())?)
            }
        }
    }

    fn enter(&mut self, path: &str) -> io::Result<&OwnedFd> {
        if path.is_empty() {
            return Ok(&self.root);
        }
        if !self.open.contains_key(path) {
            if self.open.len() >= MOST_OPEN {
                self.open.clear();
            }
            let mut at = self.root.as_fd().try_clone_to_owned()?;
            for part in path.split('/') {
                match rustix::fs::mkdirat(&at, part, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                at = rustix::fs::openat(&at, part, directory_flags(), Mode::empty()).map_err(|error| {
                    match error {
                        rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => io::Error::other(format!(
                            "'{part}' on the way is a link or a file, not a directory"
                        )),
                        other => other.into(),
                    }
                })?;
            }
            self.open.insert(path.to_string(), at);
        }
        Ok(&self.open[path])
    }
}

fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
