//! The drive's device: a file's bytes read, put in its place, synced and read back from the card.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

use crate::fat::{self, Extent, Unfit};
use crate::{Error, Result};

/// What is written at a time: a sector that says the same as before is left alone.
const SECTOR: usize = 512;

/// The drive, open.
#[derive(Debug)]
pub struct Drive {
    device: PathBuf,
    file: File,
}

/// A file of it: where it lies and what it says.
#[derive(Debug)]
pub struct Text {
    name: &'static str,
    extents: Vec<Extent>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Drive {
    /// The drive on this device, for reading and writing.
    pub fn open(device: &Path) -> Result<Self> {
        Self::with(device, OpenOptions::new().read(true).write(true))
    }

    /// The drive on this device, which may be locked.
    pub fn open_to_read(device: &Path) -> Result<Self> {
        Self::with(device, OpenOptions::new().read(true))
    }

    fn with(device: &Path, options: &OpenOptions) -> Result<Self> {
        let opened = options.open(device);
        let file =
            opened.map_err(|source| Error::Io { action: "open", device: device.to_owned(), source })?;
        // The kernel goes on showing what it could not write. Whoever looks again wants to know what is on the card.
        forget(&file);
        Ok(Self { device: device.to_owned(), file })
    }

    /// A file of one size.
    pub fn sized(&mut self, name: &'static str, size: usize) -> Result<Text> {
        let found = fat::find_sized(&mut self.file, name, size as u64);
        self.text(name, found)
    }

    /// A file of at most this size; `None` where there is none.
    pub fn any(&mut self, name: &'static str, longest: usize) -> Result<Option<Text>> {
        match fat::find(&mut self.file, name, longest as u64) {
            Err(Unfit::Missing(_)) => Ok(None),
            found => self.text(name, found).map(Some),
        }
    }

    fn text(&mut self, name: &'static str, found: Result<fat::Found, Unfit>) -> Result<Text> {
        let found = found.map_err(|why| Error::Unfit { device: self.device.clone(), why })?;
        let bytes = self.read(&found.extents).map_err(self.io("read"))?;
        Ok(Text { name, extents: found.extents, bytes })
    }

    /// Puts `bytes` in the place of a file's own, which are as many. When this returns they are on the card.
    pub fn put(&mut self, text: &Text, bytes: &[u8]) -> Result<()> {
        if bytes.len() != text.bytes.len() {
            let (found, expected) = (bytes.len() as u64, text.bytes.len() as u64);
            let why = Unfit::Size { name: text.name.to_owned(), found, expected };
            return Err(Error::Unfit { device: self.device.clone(), why });
        }
        self.write(text, bytes).map_err(self.io("write"))?;
        // What the kernel still holds would only prove the kernel's memory.
        forget(&self.file);
        let back = self.read(&text.extents).map_err(self.io("read"))?;
        if back == bytes {
            return Ok(());
        }
        Err(Error::Forgets { device: self.device.clone(), file: text.name })
    }

    fn write(&mut self, text: &Text, bytes: &[u8]) -> io::Result<()> {
        let mut at = 0;
        for extent in &text.extents {
            let end = at + usize::try_from(extent.length).map_err(io::Error::other)?;
            let pieces = bytes[at..end].chunks(SECTOR).zip(text.bytes[at..end].chunks(SECTOR));
            for (number, (new, _)) in pieces.enumerate().filter(|(_, (new, old))| new != old) {
                self.file.seek(SeekFrom::Start(extent.at + (number * SECTOR) as u64))?;
                self.file.write_all(new)?;
            }
            at = end;
        }
        self.file.sync_data()
    }

    fn read(&mut self, extents: &[Extent]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for extent in extents {
            self.file.seek(SeekFrom::Start(extent.at))?;
            let read = (&mut self.file).take(extent.length).read_to_end(&mut bytes)?;
            if read as u64 != extent.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(bytes)
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let device = self.device.clone();
        move |source| Error::Io { action, device, source }
    }
}

/// The kernel reads from the card again, where nothing waits to be written. If it does not, nothing is lost but the proof.
fn forget(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
}
