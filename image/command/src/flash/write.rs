//! Writing an image onto a card and reading it back.
//!
//! The card's first sectors are emptied first and written last: a card that was pulled out in the middle has no partition
//! table, so neither a board nor a person can take it for a whole one.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use stayput_packages::Progress;

/// How much is written at once: whole erase blocks of any card.
pub const PIECE: usize = 4 << 20;
/// What O_DIRECT wants of buffers and places, on every disk.
const ALIGN: usize = 4096;

/// What is written to: a card, or what a test puts in its place.
pub trait Card {
    /// Writes some of the bytes; how many.
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize>;
    /// Reads some bytes; how many.
    fn read_at(&mut self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    /// Returns when everything is on the card, and forgets what was written: what is read next comes from the card.
    fn settle(&mut self) -> io::Result<()>;
}

impl Card for File {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, at)
    }
    fn read_at(&mut self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, at)
    }
    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()?;
        // Advice only: with O_DIRECT there is nothing to forget.
        let _ = rustix::fs::fadvise(&*self, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }
}

/// What goes onto the card: an image, and bytes that take the place of some of it.
pub struct Source<'a> {
    /// The image.
    pub image: &'a File,
    /// Its size.
    pub size: u64,
    /// In place of the image's own bytes, from the place named.
    pub instead: Option<(u64, Vec<u8>)>,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image could not be read.
    #[error("could not read the image at byte {at}")]
    Image {
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// The card did not take it.
    #[error(
        "the card failed while {doing} byte {at}: pulled out, worn or smaller than it says; it is not usable as it is"
    )]
    Card {
        /// Reading, writing or settling.
        doing: &'static str,
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// The card holds something else than what was written.
    #[error(
        "byte {at} reads back as {read:#04x}, written was {written:#04x}: the card is worn or false; use another one"
    )]
    Differs {
        /// Where.
        at: u64,
        /// What it holds.
        read: u8,
        /// What it was given.
        written: u8,
    },
    /// The card has less memory than it says.
    #[error(
        "the card says {says} bytes and does not keep what is written at byte {at}: it is a false one; use another"
    )]
    Lies {
        /// Its size, in its own words.
        says: u64,
        /// Where it was caught.
        at: u64,
    },
}

impl Source<'_> {
    fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        self.image.read_exact_at(bytes, at).map_err(|source| Error::Image { at, source })?;
        if let Some((start, other)) = &self.instead {
            let (end, last) = (start + other.len() as u64, at + bytes.len() as u64);
            let (from, to) = (at.max(*start), last.min(end));
            if from < to {
                bytes[(from - at) as usize..(to - at) as usize]
                    .copy_from_slice(&other[(from - start) as usize..(to - start) as usize]);
            }
        }
        Ok(())
    }

    fn pieces(&self) -> impl DoubleEndedIterator<Item = (u64, usize)> {
        let size = self.size;
        (0..size.div_ceil(PIECE as u64)).map(move |index| {
            let at = index * PIECE as u64;
            (at, (size - at).min(PIECE as u64) as usize)
        })
    }
}

/// Memory that O_DIRECT takes.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn new() -> Self {
        let bytes = vec![0; PIECE + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start }
    }

    fn take(&mut self, length: usize) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + length]
    }
}

/// The aligned block around a byte, as the file gives it; and how many bytes of it there are.
pub fn read_block(file: &File, at: u64) -> io::Result<(usize, Vec<u8>)> {
    let mut buffer = Buffer::new();
    let block = buffer.take(ALIGN);
    let count = FileExt::read_at(file, block, at / ALIGN as u64 * ALIGN as u64)?;
    Ok((count, block.to_vec()))
}

/// Writes the image.
pub fn write(card: &mut dyn Card, source: &Source<'_>, progress: &dyn Progress) -> Result<(), Error> {
    progress.total(source.size);
    let mut buffer = Buffer::new();
    put(card, buffer.take(ALIGN), 0)?;
    settle(card)?;
    let mut order: Vec<_> = source.pieces().collect();
    if !order.is_empty() {
        order.rotate_left(1);
    }
    for (at, length) in order {
        let bytes = buffer.take(length);
        source.read(bytes, at)?;
        let head = if at == 0 { ALIGN.min(length) } else { 0 };
        put(card, &bytes[head..], at + head as u64)?;
        if head > 0 {
            // The table says that everything behind it is there.
            settle(card)?;
            put(card, &bytes[..head], 0)?;
        }
        progress.advance(length as u64);
    }
    settle(card)
}

/// Reads everything back and compares.
pub fn check(card: &mut dyn Card, source: &Source<'_>, progress: &dyn Progress) -> Result<(), Error> {
    progress.total(source.size);
    let (mut seen, mut wanted) = (Buffer::new(), vec![0; PIECE]);
    for (at, length) in source.pieces() {
        let (seen, wanted) = (seen.take(length), &mut wanted[..length]);
        get(card, seen, at)?;
        source.read(wanted, at)?;
        if seen != wanted {
            let byte = seen.iter().zip(&*wanted).position(|(a, b)| a != b).unwrap_or_default();
            return Err(Error::Differs { at: at + byte as u64, read: seen[byte], written: wanted[byte] });
        }
        progress.advance(length as u64);
    }
    Ok(())
}

/// Marks on the space behind the image, by which a card that has less memory than it says is caught: it drops what is
/// written there, or puts it where something else is.
pub struct Marks {
    says: u64,
    /// Where, and what was there before.
    places: Vec<(u64, Vec<u8>)>,
}

impl Marks {
    /// Puts the marks. To be called before the image is written: what lands in its place is then overwritten.
    pub fn put(card: &mut dyn Card, behind: u64, size: u64) -> Result<Self, Error> {
        let mut marks = Self { says: size, places: Vec::new() };
        let mut buffer = Buffer::new();
        for at in marked(behind, size) {
            let bytes = buffer.take(ALIGN);
            get(card, bytes, at)?;
            marks.places.push((at, bytes.to_vec()));
        }
        for (at, _) in &marks.places {
            let bytes = buffer.take(ALIGN);
            bytes.copy_from_slice(&mark(*at));
            put(card, bytes, *at)?;
        }
        settle(card)?;
        Ok(marks)
    }

    /// Looks for the marks and puts back what was there.
    pub fn check(self, card: &mut dyn Card) -> Result<(), Error> {
        let mut buffer = Buffer::new();
        for (at, _) in &self.places {
            let bytes = buffer.take(ALIGN);
            get(card, bytes, *at)?;
            if *bytes != mark(*at)[..] {
                return Err(Error::Lies { says: self.says, at: *at });
            }
        }
        for (at, before) in &self.places {
            let bytes = buffer.take(ALIGN);
            bytes.copy_from_slice(before);
            put(card, bytes, *at)?;
        }
        settle(card)
    }
}

/// The powers of two behind the image (false cards have such a memory and count on from its start) and the card's end.
fn marked(behind: u64, size: u64) -> Vec<u64> {
    let align = ALIGN as u64;
    let Some(end) = (size / align * align).checked_sub(align) else { return Vec::new() };
    let powers = (20..63).map(|power| 1u64 << power).filter(|at| *at >= behind && *at < end);
    powers.chain((end >= behind).then_some(end)).collect()
}

/// A block that says where it belongs.
fn mark(at: u64) -> Vec<u8> {
    let line = format!("stayput mark {at:020}\n").into_bytes();
    line.iter().copied().cycle().take(ALIGN).collect()
}

fn put(card: &mut dyn Card, bytes: &[u8], at: u64) -> Result<(), Error> {
    let mut done = 0;
    while done < bytes.len() {
        let place = at + done as u64;
        let failed = |source| Error::Card { doing: "writing", at: place, source };
        match card.write_at(&bytes[done..], place) {
            Ok(0) => return Err(failed(ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn get(card: &mut dyn Card, bytes: &mut [u8], at: u64) -> Result<(), Error> {
    let mut done = 0;
    while done < bytes.len() {
        let place = at + done as u64;
        let failed = |source| Error::Card { doing: "reading", at: place, source };
        match card.read_at(&mut bytes[done..], place) {
            Ok(0) => return Err(failed(ErrorKind::UnexpectedEof.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn settle(card: &mut dyn Card) -> Result<(), Error> {
    card.settle().map_err(|source| Error::Card { doing: "flushing up to", at: 0, source })
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
