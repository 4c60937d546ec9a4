//! A partition as a row of bytes, read from and written to the card itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, SeekFrom, seek};

use crate::{Error, Result};

/// Bytes that are read or written at once: long enough for a card's own blocks, short enough for a small memory.
pub const PIECE: usize = 1 << 20;

/// What a block device wants its reads and writes to begin and end at.
const ALIGNMENT: usize = 4096;

/// A partition.
pub trait Medium {
    /// How many bytes it has.
    fn size(&self) -> u64;
    /// Fills `buffer` with what is at `at`.
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<()>;
    /// Puts `bytes` at `at`.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()>;
    /// Returns when all that was written is on the card.
    fn flush(&mut self) -> Result<()>;
}

/// Room for a piece, aligned as a block device wants it.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// Of `length` bytes.
    pub fn new(length: usize) -> Self {
        let bytes = vec![0; length + ALIGNMENT];
        // Never out of reach: one alignment more than asked for was taken.
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, start, length }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

/// A block device, past the page cache. Offsets, lengths and buffers are multiples of 4096.
#[derive(Debug)]
pub struct Direct {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Direct {
    /// To read only.
    pub fn open(path: &Path) -> Result<Self> {
        Self::with(path, false)
    }

    /// To read and write.
    pub fn open_to_write(path: &Path) -> Result<Self> {
        Self::with(path, true)
    }

    fn with(path: &Path, write: bool) -> Result<Self> {
        let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path);
        let file = file.map_err(Error::io("open", path))?;
        // A block device's metadata says 0; its end says how long it is.
        let size =
            seek(&file, SeekFrom::End(0)).map_err(io::Error::from).map_err(Error::io("measure", path))?;
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Medium for Direct {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, at).map_err(Error::io("read", &self.path))
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(Error::io("write", &self.path))
    }

    fn flush(&mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::io("write", &self.path))
    }
}

/// The pieces of `length` bytes: where each begins, and how long it is.
pub fn pieces(length: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..length).step_by(PIECE).map(move |at| (at, PIECE.min(usize::try_from(length - at).unwrap_or(PIECE))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_where_a_block_device_wants_it() {
        for length in [4096, PIECE] {
            let mut buffer = Buffer::new(length);
            assert_eq!((buffer.as_ptr().align_offset(ALIGNMENT), buffer.len()), (0, length));
            buffer[length - 1] = 1;
        }
    }

    #[test]
    fn pieces_cover_everything_once() {
        assert_eq!(pieces(0).count(), 0);
        assert_eq!(pieces(4096).collect::<Vec<_>>(), [(0, 4096)]);
        let all: Vec<_> = pieces(2 * PIECE as u64 + 8192).collect();
        assert_eq!(all, [(0, PIECE), (PIECE as u64, PIECE), (2 * PIECE as u64, 8192)]);
    }

    #[test]
    fn what_is_written_past_the_cache_is_read_again() {
        // Beside the build, which is on a disk: a file system in memory may not know O_DIRECT.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("partition");
        std::fs::write(&path, vec![0; 3 * ALIGNMENT]).unwrap();
        let mut device = match Direct::open_to_write(&path) {
            Ok(device) => device,
            Err(Error::Io { source, .. }) if source.raw_os_error() == Some(22) => {
                eprintln!("NOT CHECKED: this tree's file system has no O_DIRECT");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(device.size(), 3 * ALIGNMENT as u64);
        let mut buffer = Buffer::new(ALIGNMENT);
        buffer.fill(7);
        device.write(ALIGNMENT as u64, &buffer).unwrap();
        device.flush().unwrap();
        buffer.fill(0);
        device.read(ALIGNMENT as u64, &mut buffer).unwrap();
        assert!(buffer.iter().all(|byte| *byte == 7));
        let beyond = device.read(3 * ALIGNMENT as u64, &mut buffer).unwrap_err().to_string();
        assert!(beyond.contains("could not read") && beyond.contains("partition"), "{beyond}");
    }
}
