//! Journal and ledger in one: files that only grow, each record chained to the one before, cut where a write was torn.
//!
//! The newest file is all that a start needs: it begins with every done order that is still remembered. The older ones
//! are kept, as many as the settings say, for whoever asks what happened. A file is called `log-` and the number of its
//! first record in 16 hexadecimal digits.

mod record;

use rustix::io::Errno;

use crate::disk::Disk;
use crate::{Error, FileName, Result};

pub use record::{Chain, Event, KeyTag, LONGEST, Record, VERSION, tag};

/// What a file of the log is called before it is complete.
const FRESH: &[u8] = b"log.new";

/// The most that one write leaves torn: more behind a bad record than this had been synced, and is damage.
pub const LONGEST_WRITE: usize = 64 * 1024;

/// The log, open at its end.
#[derive(Debug)]
pub struct Log<D: Disk> {
    folder: D::Folder,
    file: D::File,
    number: u64,
    /// The length of what is surely in the file.
    length: u64,
    /// The chain and the next number behind what is in the file.
    written: (Chain, u64),
    /// The chain and the next number behind what is in `buffer`.
    next: (Chain, u64),
    buffer: Vec<u8>,
    /// When the first of it was pushed.
    time: i64,
    /// How many bytes were written since the last sync.
    unsynced: usize,
    /// The last record that is surely on the disk.
    synced: u64,
    /// How long the newest file was when it was begun; 0 for one of an earlier life.
    begun: u64,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `folder` or begins one, shows each record of its newest file to `visit`, and cuts a torn end off.
    ///
    /// Returns how many bytes were cut, too.
    pub fn open(disk: &D, folder: D::Folder, mut visit: impl FnMut(&Record)) -> Result<(Self, u64)> {
        let newest = numbers(disk, &folder).map_err(failed("list"))?.pop();
        let Some(number) = newest else {
            let log = Self::begin(disk, folder, 1, [0; 32])?;
            return Ok((log, 0));
        };
        // The process may have died between a new file's rename and the folder's sync; this file must be here after a power cut.
        disk.sync_folder(&folder).map_err(failed("sync"))?;
        let file = disk.open_log(&folder, &name_of(number)).map_err(failed("open"))?;
        let (length, rest, end) = replay(disk, &file, number, &mut visit)?;
        let mut log = Self::at(folder, file, number, length, end);
        if rest > 0 {
            disk.truncate(&log.file, length).map_err(failed("cut"))?;
            log.push(disk, Event::Recovered { cut: rest });
            log.commit(disk)?;
        } else {
            // The process may have died between a write and its sync; what was just read must be what is on the disk.
            log.sync(disk)?;
        }
        Ok((log, rest))
    }

    fn at(folder: D::Folder, file: D::File, number: u64, length: u64, end: (Chain, u64)) -> Self {
        let (written, next, buffer) = (end, end, Vec::new());
        Self {
            folder,
            file,
            number,
            length,
            written,
            next,
            buffer,
            time: 0,
            unsynced: 0,
            synced: 0,
            begun: 0,
        }
    }

    fn begin(disk: &D, folder: D::Folder, number: u64, head: Chain) -> Result<Self> {
        let begun = write_file(disk, &folder, number, head, std::iter::empty());
        let (file, length, end) = begun.map_err(Rotation::into_error)?;
        disk.sync_folder(&folder).map_err(failed("sync"))?;
        let log = Self::at(folder, file, number, length, end);
        Ok(Self { synced: log.written.1 - 1, begun: length, ..log })
    }

    /// Adds an event to the next write and returns its number. What is written together has one time.
    pub fn push(&mut self, disk: &D, event: Event) -> u64 {
        let (head, sequence) = self.next;
        if self.buffer.is_empty() {
            self.time = disk.now();
        }
        let record = Record { sequence, synced: self.synced, time: self.time, event };
        let head = record.write(&head, &mut self.buffer);
        self.next = (head, sequence + 1);
        sequence
    }

    /// Writes what was pushed. When that fails, the file ends where it ended before and what was pushed is forgotten.
    pub fn write(&mut self, disk: &D) -> std::result::Result<(), WriteFailed> {
        // What may be torn is bounded, so that a start can tell it from damage.
        if self.unsynced + self.buffer.len() > LONGEST_WRITE {
            disk.sync_content(&self.file).map_err(WriteFailed::Torn)?;
            (self.unsynced, self.synced) = (0, self.written.1 - 1);
        }
        let result = disk.append(&self.file, &self.buffer);
        let length = self.buffer.len();
        self.buffer.clear();
        match result {
            Ok(()) => {
                self.unsynced += length;
                self.length += length as u64;
                self.written = self.next;
                Ok(())
            }
            Err(error) => {
                self.next = self.written;
                match disk.truncate(&self.file, self.length) {
                    Ok(()) => Err(WriteFailed::Undone(error)),
                    Err(error) => Err(WriteFailed::Torn(error)),
                }
            }
        }
    }

    /// Makes what was written durable. After a failure nothing may be written any more: what the disk holds is unknown.
    pub fn sync(&mut self, disk: &D) -> Result<()> {
        disk.sync_content(&self.file).map_err(failed("sync"))?;
        (self.unsynced, self.synced) = (0, self.written.1 - 1);
        Ok(())
    }

    /// Whether anything was written since the last sync.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced > 0
    }

    /// Writes and syncs.
    pub fn commit(&mut self, disk: &D) -> Result<()> {
        self.write(disk).map_err(|error| failed("write")(error.errno()))?;
        self.sync(disk)
    }

    /// The last record's number and the hash that stands for the whole log: an old copy of it has others.
    pub fn head(&self) -> (u64, Chain) {
        (self.written.1 - 1, self.written.0)
    }

    /// Whether the newest file has grown to `limit`, and mostly by itself: beginning another must be worth it.
    pub fn is_long(&self, limit: u64) -> bool {
        self.length >= limit && self.length / 2 >= self.begun
    }

    /// The folder, for its free space.
    pub fn folder(&self) -> &D::Folder {
        &self.folder
    }

    /// Begins a new file with the events in `kept`, and removes the oldest files until `files` are left.
    ///
    /// When this fails with [`Rotation::NotBegun`], the log goes on as before.
    pub fn rotate(
        &mut self,
        disk: &D,
        kept: impl Iterator<Item = Event>,
        files: usize,
    ) -> Result<(), Rotation> {
        debug_assert!(self.buffer.is_empty(), "rotation is between writes");
        let (head, number) = self.written;
        // The new file says how this one ends, so this one must end so on the disk.
        if self.is_unsynced() {
            self.sync(disk).map_err(Rotation::Unsafe)?;
        }
        let begun = write_file(disk, &self.folder, number, head, kept);
        let (file, length, end) = begun?;
        disk.sync_folder(&self.folder).map_err(|error| Rotation::Unsafe(failed("sync")(error)))?;
        (self.unsynced, self.begun, self.synced) = (0, length, end.1 - 1);
        (self.file, self.number, self.length, self.written, self.next) = (file, number, length, end, end);
        let numbers = numbers(disk, &self.folder).unwrap_or_default();
        for old in &numbers[..numbers.len().saturating_sub(files.max(1))] {
            // One that cannot be removed now is removed at the next rotation.
            let _ = disk.remove(&self.folder, &name_of(*old));
        }
        Ok(())
    }
}

/// Why a write did not happen.
#[derive(Debug, Clone, Copy)]
pub enum WriteFailed {
    /// The log is as it was before.
    Undone(Errno),
    /// The log's end is unknown.
    Torn(Errno),
}

impl WriteFailed {
    fn errno(self) -> Errno {
        match self {
            Self::Undone(error) | Self::Torn(error) => error,
        }
    }
}

/// Why a rotation did not happen.
#[derive(Debug)]
pub enum Rotation {
    /// The old file is still the log.
    NotBegun(Error),
    /// A sync failed, or it is not known which file is the log.
    Unsafe(Error),
}

impl Rotation {
    fn into_error(self) -> Error {
        match self {
            Self::NotBegun(error) | Self::Unsafe(error) => error,
        }
    }
}

/// A new file: itself, its length, and the chain and number to go on with.
type Begun<F> = (F, u64, (Chain, u64));

/// Writes a complete new file, synced and under its name (the folder is not synced yet).
fn write_file<D: Disk>(
    disk: &D,
    folder: &D::Folder,
    number: u64,
    head: Chain,
    kept: impl Iterator<Item = Event>,
) -> Result<Begun<D::File>, Rotation> {
    let fresh = FileName::own(FRESH.to_vec());
    let begun = write_fresh(disk, folder, &fresh, number, head, kept).map_err(Rotation::NotBegun)?;
    disk.sync(&begun.0).map_err(|error| Rotation::Unsafe(failed("sync")(error)))?;
    // A rename that reports a failure may have happened: then a start would take this file for the log.
    disk.rename(folder, &fresh, folder, &name_of(number))
        .map_err(|error| Rotation::Unsafe(failed("rename")(error)))?;
    Ok(begun)
}

fn write_fresh<D: Disk>(
    disk: &D,
    folder: &D::Folder,
    fresh: &FileName,
    number: u64,
    head: Chain,
    kept: impl Iterator<Item = Event>,
) -> Result<Begun<D::File>> {
    match disk.remove(folder, fresh) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(failed("remove an unfinished file of")(error)),
    }
    let file = disk.create(folder, fresh).map_err(failed("create"))?;
    let (mut end, mut sequence, mut length) = (head, number, 0);
    let mut buffer = Vec::new();
    for event in std::iter::once(Event::Opened { version: VERSION, head }).chain(kept) {
        // Until the file is whole it has no name, so nothing in it is on the disk for good.
        end = Record { sequence, synced: number - 1, time: disk.now(), event }.write(&end, &mut buffer);
        sequence += 1;
        if buffer.len() > LONGEST_WRITE {
            disk.append(&file, &buffer).map_err(failed("write"))?;
            length += buffer.len() as u64;
            buffer.clear();
        }
    }
    disk.append(&file, &buffer).map_err(failed("write"))?;
    length += buffer.len() as u64;
    Ok((file, length, (end, sequence)))
}

/// Reads a file to its end: the length of its good records, how many bytes follow, and the chain and number to go on with.
fn replay<D: Disk>(
    disk: &D,
    file: &D::File,
    number: u64,
    visit: &mut impl FnMut(&Record),
) -> Result<(u64, u64, (Chain, u64))> {
    let mut buffer = Vec::new();
    let mut read = 0;
    let mut length = 0;
    let mut end: Option<Chain> = None;
    let mut next = number;
    loop {
        let used = buffer.len();
        buffer.resize(used + LONGEST_WRITE, 0);
        let count = disk.read(file, read, &mut buffer[used..]).map_err(failed("read"))?;
        buffer.truncate(used + count);
        read += count as u64;
        let mut at = 0;
        while let Some((record, size, chain)) = Record::read(end.as_ref(), &buffer[at..]) {
            if let Event::Opened { version, .. } = record.event
                && version != VERSION
            {
                return Err(Error::LogVersion { file: number, found: version, known: VERSION });
            }
            if record.sequence != next || (end.is_none() != matches!(record.event, Event::Opened { .. })) {
                break;
            }
            visit(&record);
            (at, length, end, next) = (at + size, length + size as u64, Some(chain), next + 1);
        }
        buffer.drain(..at);
        // Less than a record may be one whose end is not read yet; more is one that is not good.
        if count == 0 || buffer.len() >= LONGEST {
            break;
        }
    }
    let all = disk.found(file).map_err(failed("read"))?.identity.size;
    let rest = all.saturating_sub(length);
    let damaged = Error::Damaged { file: number, offset: length, after: rest };
    // A file gets its name only once it is complete, so one without a good first record was good before.
    let Some(end) = end else { return Err(damaged) };
    if rest > LONGEST_WRITE as u64 {
        return Err(damaged);
    }
    let mut torn = vec![0; LONGEST_WRITE];
    let mut used = 0;
    while let count @ 1.. =
        disk.read(file, length + used as u64, &mut torn[used..]).map_err(failed("read"))?
    {
        used += count;
    }
    if Record::proves_damage(next, &torn[..used]) {
        return Err(damaged);
    }
    Ok((length, rest, (end, next)))
}

fn numbers<D: Disk>(disk: &D, folder: &D::Folder) -> Result<Vec<u64>, Errno> {
    let mut numbers: Vec<u64> = disk.names(folder, b"log-")?.iter().filter_map(number_of).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn name_of(number: u64) -> FileName {
    FileName::own(format!("log-{number:016x}").into_bytes())
}

pub(crate) fn number_of(name: &FileName) -> Option<u64> {
    let digits = name.as_bytes().strip_prefix(b"log-").filter(|digits| digits.len() == 16)?;
    let number = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (name_of(number) == *name).then_some(number)
}

fn failed(action: &'static str) -> impl FnOnce(Errno) -> Error {
    move |source| Error::Log { action, source }
}
