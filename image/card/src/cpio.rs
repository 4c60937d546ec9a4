//! The initramfs: a newc archive, sorted and without a trace of the builder, in zstd.

use std::collections::BTreeMap;
use std::io::Write;

use cpio::newc::{Builder, trailer};

use crate::{Error, Result};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// An initramfs in the making. Everything belongs to root; parents of a path are made by themselves.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    mode: u32,
    device: (u32, u32),
    content: Vec<u8>,
}

impl Archive {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file; `mode` are the permission bits.
    pub fn file(&mut self, path: &str, mode: u32, content: Vec<u8>) -> Result<()> {
        self.insert(path, Entry { mode: FILE | (mode & 0o7777), device: (0, 0), content })
    }

    /// A directory, 0755.
    pub fn directory(&mut self, path: &str) -> Result<()> {
        self.insert(path, Entry { mode: DIRECTORY | 0o755, device: (0, 0), content: Vec::new() })
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.insert(path, Entry { mode: LINK | 0o777, device: (0, 0), content: target.into() })
    }

    /// A character device. The kernel opens `dev/console` for /init before anything is mounted.
    pub fn character(&mut self, path: &str, mode: u32, major: u32, minor: u32) -> Result<()> {
        self.insert(
            path,
            Entry { mode: CHARACTER | (mode & 0o7777), device: (major, minor), content: Vec::new() },
        )
    }

    fn insert(&mut self, path: &str, entry: Entry) -> Result<()> {
        let refuse =
            |problem: &str| Err(Error::Archive { path: path.to_owned(), problem: problem.to_owned() });
        if path.is_empty() || path.contains('\0') || path.len() > 4000 {
            return refuse("a path has 1 to 4000 bytes and no NUL");
        }
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return refuse("write it from the root on, without a leading slash, '.' or '..'");
        }
        if path == "TRAILER!!!" {
            return refuse("the format ends with this name");
        }
        if entry.content.len() as u64 > u64::from(u32::MAX) {
            return refuse("a file in an initramfs is smaller than 4 GiB");
        }
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        for parent in parents {
            let made = self.entries.entry(parent.to_owned()).or_insert_with(|| Entry {
                mode: DIRECTORY | 0o755,
                device: (0, 0),
                content: Vec::new(),
            });
            if made.mode & 0o170_000 != DIRECTORY {
                return refuse("one of its parents is not a directory");
            }
        }
        match self.entries.get(path) {
            Some(old) if old.mode == entry.mode && entry.mode & 0o170_000 == DIRECTORY => Ok(()),
            Some(_) => refuse("the archive has it already"),
            None => {
                self.entries.insert(path.to_owned(), entry);
                Ok(())
            }
        }
    }

    /// The archive itself: sorted, parents first, inode numbers counted from 1, every time stamp 0.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let broken = |source| Error::Compress { what: "the initramfs", source };
        let mut out = Vec::new();
        for (inode, (path, entry)) in (1u32..).zip(&self.entries) {
            let links = if entry.mode & 0o170_000 == DIRECTORY { 2 } else { 1 };
            let (major, minor) = entry.device;
            let builder = Builder::new(path)
                .ino(inode)
                .mode(entry.mode)
                .nlink(links)
                .uid(0)
                .gid(0)
                .mtime(0)
                .rdev_major(major)
                .rdev_minor(minor);
            let mut writer = builder.write(&mut out, entry.content.len() as u32);
            writer.write_all(&entry.content).map_err(broken)?;
            writer.finish().map_err(broken)?;
        }
        trailer(&mut out).map_err(broken)?;
        Ok(out)
    }

    /// The archive in zstd. One thread: with more, the bytes depend on their number. Level 9: 19 takes fourteen times
    /// as long for a tenth of the size (docs/boot.md).
    pub fn zstd(&self) -> Result<Vec<u8>> {
        let compress = |source| Error::Compress { what: "the initramfs", source };
        let archive = self.bytes()?;
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 9).map_err(compress)?;
        encoder.include_checksum(true).map_err(compress)?;
        encoder.set_pledged_src_size(Some(archive.len() as u64)).map_err(compress)?;
        encoder.write_all(&archive).map_err(compress)?;
        encoder.finish().map_err(compress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_adding_does_not_show() {
        let mut one = Archive::new();
        one.file("init", 0o755, b"program".to_vec()).unwrap();
        one.file("modules/load", 0o644, b"fixed\n".to_vec()).unwrap();
        let mut two = Archive::new();
        two.file("modules/load", 0o644, b"fixed\n".to_vec()).unwrap();
        two.directory("modules").unwrap();
        two.file("init", 0o755, b"program".to_vec()).unwrap();
        assert_eq!(one.zstd().unwrap(), two.zstd().unwrap());
    }

    #[test]
    fn hostile_and_double_paths_are_refused() {
        let mut archive = Archive::new();
        for path in ["", "/init", "a//b", "./a", "a/..", "a\0b", "TRAILER!!!", &"x".repeat(4001)] {
            assert!(archive.file(path, 0o644, Vec::new()).is_err(), "{path:?}");
        }
        archive.file("init", 0o755, Vec::new()).unwrap();
        assert!(archive.file("init", 0o755, Vec::new()).unwrap_err().to_string().contains("already"));
        assert!(
            archive.file("init/x", 0o644, Vec::new()).unwrap_err().to_string().contains("not a directory")
        );
    }

    #[test]
    fn parents_come_before_their_children_though_dash_sorts_before_slash() {
        let mut archive = Archive::new();
        archive.file("a/b", 0o644, Vec::new()).unwrap();
        archive.file("a-c", 0o644, Vec::new()).unwrap();
        let bytes = archive.bytes().unwrap();
        let place = |name: &[u8]| bytes.windows(name.len()).position(|part| part == name).unwrap();
        assert!(place(b"a\0") < place(b"a/b\0"));
        assert!(place(b"a\0") < place(b"a-c\0"));
    }
}
