//! The record: every decrypted byte that crossed the front door, both ways, and what became of each request.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::Error;
use crate::fault::Fault;

/// Where the bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// Into memory.
    Memory,
    /// Into memory, and as they come into `NNNNN.up` and `NNNNN.down` of a folder.
    Folder(PathBuf),
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Whose.
    pub peer: SocketAddr,
    /// The name that the client asked for in its first, still open message.
    pub name: Option<String>,
    /// What the client said.
    pub up: Vec<u8>,
    /// What it was told.
    pub down: Vec<u8>,
    /// Why it ended badly, where it did: no certificate that the client took, no HTTP.
    pub flaw: Option<String>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The connection's number, from 0.
    pub stream: usize,
    /// The region's time.
    pub at: Timestamp,
    /// The host that it names.
    pub host: String,
    /// The service behind it.
    pub service: String,
    /// `POST /`
    pub line: String,
    /// The call, where it says so.
    pub call: Option<String>,
    /// The fault that it met.
    pub fault: Option<Fault>,
    /// The status that came back; `None` where nothing did.
    pub status: Option<u16>,
}

/// The record, as several hold it.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Mutex<Book>>, Keep);

#[derive(Debug, Default)]
struct Book {
    streams: Vec<Stream>,
    exchanges: Vec<Exchange>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// The recorder's end of one connection.
#[derive(Debug)]
pub(crate) struct Tap {
    recorder: Recorder,
    pub number: usize,
    files: Option<[File; 2]>,
}

impl Recorder {
    /// An empty record; what an earlier one left in the folder goes, and nothing else there.
    pub fn new(keep: Keep) -> Result<Self, Error> {
        if let Keep::Folder(folder) = &keep {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))?.flatten() {
                if is_ours(&entry.file_name().to_string_lossy()) {
                    std::fs::remove_file(entry.path()).map_err(Error::io("remove", entry.path()))?;
                }
            }
        }
        Ok(Self(Arc::default(), keep))
    }

    /// Every connection so far.
    pub fn streams(&self) -> Vec<Stream> {
        self.book().streams.clone()
    }

    /// Every request so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.book().exchanges.clone()
    }

    /// The connections in which these bytes stand, by number.
    pub fn search(&self, needle: &[u8]) -> Vec<usize> {
        let holds =
            |hay: &[u8]| !needle.is_empty() && hay.windows(needle.len()).any(|window| window == needle);
        let book = self.book();
        let found =
            book.streams.iter().enumerate().filter(|(_, stream)| holds(&stream.up) || holds(&stream.down));
        found.map(|(number, _)| number).collect()
    }

    pub(crate) fn open(&self, peer: SocketAddr) -> Tap {
        let mut book = self.book();
        let number = book.streams.len();
        book.streams.push(Stream { peer, name: None, up: Vec::new(), down: Vec::new(), flaw: None });
        let file = |folder: &PathBuf, way: &str| {
            OpenOptions::new().create(true).append(true).open(folder.join(format!("{number:05}.{way}")))
        };
        let files = match &self.1 {
            Keep::Memory => None,
            // A full disk must not end a test that would have failed better: memory has the bytes, too.
            Keep::Folder(folder) => file(folder, "up").and_then(|up| Ok([up, file(folder, "down")?])).ok(),
        };
        Tap { recorder: self.clone(), number, files }
    }

    pub(crate) fn note(&self, exchange: Exchange) {
        self.book().exchanges.push(exchange);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `00017.up`
fn is_ours(name: &str) -> bool {
    let number = name.strip_suffix(".up").or_else(|| name.strip_suffix(".down"));
    number.is_some_and(|number| number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Tap {
    pub fn keep(&mut self, way: Way, bytes: &[u8]) {
        if let Some([up, down]) = &mut self.files {
            let file = if way == Way::Up { up } else { down };
            let _ = file.write_all(bytes);
        }
        self.stream(|stream| match way {
            Way::Up => stream.up.extend_from_slice(bytes),
            Way::Down => stream.down.extend_from_slice(bytes),
        });
    }

    pub fn stream(&self, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.recorder.book().streams.get_mut(self.number) {
            change(stream);
        }
    }
}
