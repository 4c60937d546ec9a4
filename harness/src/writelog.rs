//! What a machine wrote to its card, write by write: the log of QEMU's `blklogwrites`, which is that of the kernel's
//! dm-log-writes. Pure: bytes in, entries out.
//!
//! A first sector says how many entries follow. Each has a header that fills a sector, and after it the bytes of the
//! write, whole sectors. All numbers are little-endian.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// "jsfwshr", as the first eight bytes spell it backwards.
const MAGIC: u64 = 0x006a_7366_7773_6872;

const VERSION: u64 = 1;

/// A header's part that says something.
const HEADER: usize = 32;

/// A sector longer than this is a damaged log.
const LONGEST_SECTOR: u64 = 4096;

/// QEMU splits requests long before this; more is a damaged log.
const LONGEST_WRITE: u64 = 1 << 31;

pub(crate) const FLUSH: u64 = 1;
pub(crate) const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;
const KNOWN: u64 = FLUSH | FUA | DISCARD | MARK | 16;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// It could not be read, or ends in the middle.
    #[error("the log of writes ends or cannot be read at byte {at}: {source}; record it anew")]
    Read {
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// A number is not what it can be.
    #[error(
        "{what} of the log of writes is {found:#x} at byte {at}, which is not {expected}; record it anew"
    )]
    Number {
        /// Which number.
        what: &'static str,
        /// Where.
        at: u64,
        /// What is there.
        found: u64,
        /// What should be.
        expected: &'static str,
    },
}

/// One thing that the machine asked of its card.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where on the card, in bytes.
    pub at: u64,
    /// How much, in bytes.
    pub length: u64,
    /// Where in the log the bytes are; `None` for what has none: a flush alone, a discard, a mark.
    pub data: Option<u64>,
    /// All that was written before is on the card when this is done.
    pub flush: bool,
    /// It is itself on the card when it is done.
    pub durable: bool,
    /// The card may forget what was there.
    pub discard: bool,
}

impl fmt::Debug for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.discard, self.data) {
            (true, _) => "discard",
            (false, Some(_)) => "write",
            (false, None) => "nothing",
        };
        write!(out, "{what} {:#x}+{:#x}", self.at, self.length)?;
        out.write_str(match (self.flush, self.durable) {
            (true, true) => " flush fua",
            (true, false) => " flush",
            (false, true) => " fua",
            (false, false) => "",
        })
    }
}

/// A log: its entries in their order, and the source that their bytes are read from.
#[derive(Debug)]
pub struct WriteLog<S> {
    source: S,
    entries: Vec<Entry>,
}

impl<S: Read + Seek> WriteLog<S> {
    /// Reads the headers of all entries.
    pub fn read(mut source: S) -> Result<Self, Broken> {
        let mut first = [0; HEADER];
        fill(&mut source, 0, &mut first)?;
        let expect = |what, at, found, right: bool, expected| {
            if right { Ok(()) } else { Err(Broken::Number { what, at, found, expected }) }
        };
        let (magic, version, count) = (word(&first, 0), word(&first, 8), word(&first, 16));
        expect("the mark", 0, magic, magic == MAGIC, "that of a log of writes")?;
        expect("the version", 8, version, version == VERSION, "1")?;
        let sector = word(&first, 24) & 0xffff_ffff;
        let usual = sector.is_power_of_two() && (512..=LONGEST_SECTOR).contains(&sector);
        expect("the length of a sector", 24, sector, usual, "512 to 4096")?;
        let (mut entries, mut at) = (Vec::new(), sector);
        for _ in 0..count {
            let mut header = [0; HEADER];
            fill(&mut source, at, &mut header)?;
            let [place, sectors, flags, extra] = [0, 8, 16, 24].map(|field| word(&header, field));
            expect("a place", at, place, place < u64::MAX / sector, "on any card")?;
            expect("a length", at, sectors, sectors <= u64::MAX / sector, "on any card")?;
            expect("a kind", at, flags, flags & !KNOWN == 0, "one of the known")?;
            let (discard, mark) = (flags & DISCARD != 0, flags & MARK != 0);
            let length = sectors * sector;
            let stored = match (discard, mark) {
                (true, _) => 0,
                (false, true) => extra.div_ceil(sector).saturating_mul(sector),
                (false, false) => length,
            };
            expect("a length", at, stored, stored <= LONGEST_WRITE, "that of a write")?;
            let data = at + sector;
            entries.push(Entry {
                at: place * sector,
                length: if mark { 0 } else { length },
                data: (!discard && !mark && length > 0).then_some(data),
                flush: flags & FLUSH != 0,
                durable: flags & FUA != 0,
                discard,
            });
            at = data + stored;
        }
        Ok(Self { source, entries })
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The bytes that an entry wrote.
    pub fn bytes(&mut self, entry: &Entry) -> Result<Vec<u8>, Broken> {
        let Some(at) = entry.data else { return Ok(Vec::new()) };
        let mut bytes = vec![0; usize::try_from(entry.length).unwrap_or_default()];
        fill(&mut self.source, at, &mut bytes)?;
        Ok(bytes)
    }
}

fn fill(source: &mut (impl Read + Seek), at: u64, bytes: &mut [u8]) -> Result<(), Broken> {
    let read = source.seek(SeekFrom::Start(at)).and_then(|_| source.read_exact(bytes));
    read.map_err(|source| Broken::Read { at, source })
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// A log with entries: place and length in sectors, flags, and the byte that fills it.
    pub(crate) fn log(entries: &[(u64, u64, u64, u8)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [MAGIC, VERSION, entries.len() as u64, 512] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(512, 0);
        for (place, length, flags, fill) in entries {
            let header = bytes.len();
            for number in [*place, *length, *flags, 0] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.resize(header + 512, 0);
            let stored = if flags & DISCARD == 0 { *length as usize * 512 } else { 0 };
            bytes.resize(header + 512 + stored, *fill);
        }
        bytes
    }

    #[test]
    fn writes_flushes_and_discards_come_back_in_their_order() {
        let bytes = log(&[(8, 2, 0, 7), (0, 0, FLUSH, 0), (100, 1000, DISCARD, 0), (1, 1, FUA, 9)]);
        let mut log = WriteLog::read(Cursor::new(bytes)).unwrap();
        let entries = log.entries().to_vec();
        let shown: Vec<_> = entries.iter().map(|entry| format!("{entry:?}")).collect();
        let expected = [
            "write 0x1000+0x400",
            "nothing 0x0+0x0 flush",
            "discard 0xc800+0x7d000",
            "write 0x200+0x200 fua",
        ];
        assert_eq!(shown, expected);
        assert_eq!(log.bytes(&entries[0]).unwrap(), [7; 1024]);
        assert_eq!(log.bytes(&entries[3]).unwrap(), [9; 512]);
        assert!(log.bytes(&entries[1]).unwrap().is_empty() && log.bytes(&entries[2]).unwrap().is_empty());
    }

    #[test]
    fn the_log_that_qemu_itself_writes_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("card"), vec![0; 1 << 20]).unwrap();
        std::fs::write(at("log"), b"").unwrap();
        let disk = format!(
            "driver=blklogwrites,log-super-update-interval=1,file.driver=file,file.filename={},log.driver=file,log.filename={}",
            at("card").display(),
            at("log").display()
        );
        let orders = ["write -P 7 4096 1024", "flush", "discard 64k 64k", "write -P 9 512 512"];
        let mut command = std::process::Command::new("qemu-io");
        command.args(["--image-opts", &disk]).args(orders.iter().flat_map(|order| ["-c", order]));
        let Ok(output) = command.output() else {
            eprintln!("NOT CHECKED: qemu-io is not installed");
            return;
        };
        assert!(output.status.success(), "{output:?}");
        let mut log = WriteLog::read(std::fs::File::open(at("log")).unwrap()).unwrap();
        let entries = log.entries().to_vec();
        let shown: Vec<_> = entries.iter().map(|entry| format!("{entry:?}")).collect();
        let expected =
            ["write 0x1000+0x400", "nothing 0x0+0x0 flush", "discard 0x10000+0x10000", "write 0x200+0x200"];
        assert_eq!(shown[..4], expected, "and what QEMU flushes at its end");
        assert_eq!(log.bytes(&entries[3]).unwrap(), [9; 512]);
    }

    #[test]
    fn a_mark_is_passed_over_with_its_text() {
        let mut bytes = log(&[(0, 0, MARK, 0)]);
        bytes[512 + 24] = 5;
        bytes.resize(bytes.len() + 512, b'm');
        let entry = log(&[(3, 1, 0, 4)]);
        bytes.extend(&entry[512..]);
        bytes[16] = 2;
        let mut log = WriteLog::read(Cursor::new(bytes)).unwrap();
        let last = log.entries()[1];
        assert_eq!((last.at, log.bytes(&last).unwrap()), (1536, vec![4; 512]));
    }

    #[test]
    fn a_log_that_is_cut_or_of_another_kind_says_where() {
        let good = log(&[(8, 2, 0, 7), (0, 0, FLUSH, 0)]);
        for length in [0, 31, 520, 512 + 1024 + 512] {
            let error = WriteLog::read(Cursor::new(good[..length].to_vec())).unwrap_err();
            assert!(matches!(error, Broken::Read { .. }), "{length}: {error}");
        }
        for (at, what) in
            [(0, "the mark"), (8, "the version"), (25, "the length of a sector"), (512 + 17, "a kind")]
        {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let message = WriteLog::read(Cursor::new(bad)).unwrap_err().to_string();
            assert!(message.starts_with(what) && message.contains("record it anew"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_makes_the_reader_stop_or_take_all_memory(
            at in 0_usize..2600, patch in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = log(&[(8, 2, 0, 7), (0, 0, FLUSH, 0), (9, 1, 0, 1)]);
            let at = at.min(bytes.len());
            let end = (at + patch.len()).min(bytes.len());
            bytes.splice(at..end, patch);
            let _ = WriteLog::read(Cursor::new(bytes));
        }
    }
}
