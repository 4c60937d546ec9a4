//! The log as a book to be read: every file of it, oldest first, without taking anything from a mover at work.
//!
//! Reading checks what it reads: each record against the one before, each file against the end of the one before it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::log::{Chain, Event, LONGEST, LONGEST_WRITE, Record, VERSION, number_of};
use crate::{Error, FileName, Result};

/// What a reading has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many files were read.
    pub files: usize,
    /// How many records.
    pub records: u64,
    /// The number of the first record that is still kept.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// The hash behind it: with its number it stands for everything before.
    pub head: Chain,
    /// Bytes behind the last record: a write that is going on, or one that was interrupted.
    pub rest: u64,
    /// What does not fit; empty for a log in order.
    pub faults: Vec<Fault>,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A file does not go on where the one before it ends.
    #[error(
        "file {file} does not go on where the one before it ends: a file between them is gone, or one of them was changed"
    )]
    Gap {
        /// The later file's number.
        file: u64,
    },
    /// Records end before the file does, and it is not the last file.
    #[error("file {file} is damaged at byte {offset}: what was recorded there is lost or was changed")]
    Damaged {
        /// The file's number.
        file: u64,
        /// Where the first bad record begins.
        offset: u64,
    },
    /// A head that was noted earlier is not in this log.
    #[error(
        "record {sequence} does not have the hash that was noted for it: this is another log, or a changed one"
    )]
    OtherHead {
        /// Its number.
        sequence: u64,
    },
    /// A head that was noted earlier is beyond this log's end.
    #[error(
        "the log ends at record {last}, and record {sequence} was noted once: this is an old copy, or its end was cut off"
    )]
    TooShort {
        /// The number that was noted.
        sequence: u64,
        /// The last one here.
        last: u64,
    },
}

/// A record's number with the hash behind it, noted at some time from the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// The number.
    pub sequence: u64,
    /// The hash.
    pub head: Chain,
}

impl Noted {
    /// `NUMBER:HASH`, as `ledger verify` prints it.
    pub fn parse(text: &str) -> Option<Self> {
        let (sequence, hash) = text.split_once(':')?;
        let mut head = Chain::default();
        if hash.len() != 64 || !hash.is_ascii() {
            return None;
        }
        for (byte, digits) in head.iter_mut().zip(hash.as_bytes().as_chunks::<2>().0) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self { sequence: sequence.parse().ok()?, head })
    }
}

/// Reads the whole log in `folder`, shows each record to `visit` with the hash behind it, and says what does not fit.
pub fn read(folder: &Path, noted: Option<Noted>, mut visit: impl FnMut(&Record)) -> Result<Summary> {
    let files = files(folder)?;
    let mut summary = Summary {
        files: 0,
        records: 0,
        first: 0,
        last: 0,
        head: Chain::default(),
        rest: 0,
        faults: Vec::new(),
    };
    // Whether the next file must go on where what was read ends.
    let mut follows = false;
    for (index, (number, path)) in files.iter().enumerate() {
        let mut noticed = false;
        let rest = read_file(*number, path, |record, chain| {
            if let Event::Opened { head, .. } = &record.event
                && follows
                && (record.sequence != summary.last + 1 || *head != summary.head)
            {
                noticed = true;
            }
            if summary.records == 0 {
                summary.first = record.sequence;
            }
            (summary.records, summary.last, summary.head) = (summary.records + 1, record.sequence, chain);
            if noted.is_some_and(|noted| noted.sequence == record.sequence && noted.head != chain) {
                summary.faults.push(Fault::OtherHead { sequence: record.sequence });
            }
            visit(record);
        })?;
        if noticed {
            summary.faults.push(Fault::Gap { file: *number });
        }
        summary.files += usize::from(!matches!(rest, End::Gone));
        follows = true;
        match rest {
            End::Clean => {}
            // The mover removes its oldest ones only, so one that is gone before an older one is a gap.
            End::Gone => follows = self::files(folder)?.first().is_some_and(|(first, _)| first <= number),
            End::Rest { length, .. } if index + 1 == files.len() && length <= LONGEST_WRITE as u64 => {
                summary.rest = length;
            }
            End::Rest { offset, .. } => summary.faults.push(Fault::Damaged { file: *number, offset }),
        }
    }
    if let Some(noted) = noted.filter(|noted| noted.sequence > summary.last) {
        summary.faults.push(Fault::TooShort { sequence: noted.sequence, last: summary.last });
    }
    Ok(summary)
}

/// How a file ends.
enum End {
    /// With a record.
    Clean,
    /// It was removed since it was listed, perhaps by the mover, which has begun a new one meanwhile.
    Gone,
    /// With bytes that are none.
    Rest { offset: u64, length: u64 },
}

fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let failed = |source| Error::Book { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = FileName::any(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()));
        if let Some(number) = name.ok().as_ref().and_then(number_of) {
            files.push((number, entry.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn read_file(number: u64, path: &Path, mut visit: impl FnMut(&Record, Chain)) -> Result<End> {
    let failed = |source| Error::Book { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(End::Gone),
        Err(error) => return Err(failed(error)),
    };
    let (mut buffer, mut offset, mut end, mut next) = (Vec::new(), 0, None::<Chain>, number);
    loop {
        let used = buffer.len();
        buffer.resize(used + LONGEST_WRITE, 0);
        let count = read_some(&mut file, &mut buffer[used..]).map_err(failed)?;
        buffer.truncate(used + count);
        let mut at = 0;
        while let Some((record, size, chain)) = Record::read(end.as_ref(), &buffer[at..]) {
            if let Event::Opened { version, .. } = record.event
                && version != VERSION
            {
                return Err(Error::LogVersion { file: number, found: version, known: VERSION });
            }
            if record.sequence != next {
                break;
            }
            visit(&record, chain);
            (at, end, next) = (at + size, Some(chain), next + 1);
        }
        offset += at as u64;
        buffer.drain(..at);
        if count == 0 {
            let length = buffer.len() as u64;
            return Ok(if length == 0 && end.is_some() { End::Clean } else { End::Rest { offset, length } });
        }
        if buffer.len() >= LONGEST {
            let length = buffer.len() as u64 + io::copy(&mut file, &mut io::sink()).map_err(failed)?;
            return Ok(End::Rest { offset, length });
        }
    }
}

fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
