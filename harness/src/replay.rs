//! A card as a power cut would have left it, at any point of a recording.
//!
//! What was written before the last finished flush is on the card. Of what came after it a card may have kept all,
//! nothing, or any part, in whatever order it liked, and of one write only the first sectors: its cache is its own
//! business until it is asked to flush.

use crate::card::Card;
use crate::error::{Error, Result};
use crate::writelog::{Entry, WriteLog};
use std::io::{Read, Seek};
use std::path::Path;

/// A card writes this whole or not at all.
const SECTOR: usize = 512;

/// What a card does with the writes that nobody has flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It keeps them all.
    Nothing,
    /// It keeps none.
    Everything,
    /// It keeps some; which, and of one of them how much, follows from this number.
    Some(u64),
}

/// A card that goes through a recording again.
#[derive(Debug)]
pub struct Replay<S> {
    card: Card,
    log: WriteLog<S>,
    /// How many entries are on the card for good.
    done: usize,
}

/// A card right after a cut.
#[derive(Debug)]
pub struct Moment<'a> {
    card: &'a Card,
    kept: Vec<(u64, Vec<u8>)>,
}

impl<S: Read + Seek> Replay<S> {
    /// Begins with the card as it was before the first entry of the log.
    pub fn new(card: Card, log: WriteLog<S>) -> Self {
        Self { card, log, done: 0 }
    }

    /// The entries of the recording.
    pub fn entries(&self) -> &[Entry] {
        self.log.entries()
    }

    /// How many of the first `count` entries are on the card for good when the power goes after them.
    pub fn flushed(&self, count: usize) -> usize {
        let asked = &self.log.entries()[..count.min(self.log.entries().len())];
        // A flush speaks of what came before it. Bytes that came with it are on their own.
        let last = asked.iter().enumerate().rev().find(|(_, entry)| entry.flush);
        last.map_or(0, |(index, entry)| if entry.data.is_none() { index + 1 } else { index })
    }

    /// The card when the power goes after the first `count` entries. Cuts come in their order: what was flushed for one
    /// is on the card for all that follow.
    pub fn cut(&mut self, count: usize, loss: Loss) -> Result<Moment<'_>> {
        let flushed = self.flushed(count);
        if flushed < self.done {
            return Err(Error::Backwards { asked: count, done: self.done });
        }
        for index in self.done..flushed {
            let (at, bytes) = self.written(index)?;
            self.card.write(at, &bytes)?;
        }
        self.done = flushed;
        let mut chance = Chance(match loss {
            Loss::Some(seed) => seed,
            Loss::Nothing | Loss::Everything => 0,
        });
        let pending: Vec<_> = (flushed..count.min(self.log.entries().len())).collect();
        let torn = pending.get(chance.below(pending.len() as u64 + 1)).copied();
        let mut kept = Vec::new();
        for index in pending {
            let (at, mut bytes) = self.written(index)?;
            if !self.log.entries()[index].durable {
                match loss {
                    Loss::Nothing => {}
                    Loss::Everything => continue,
                    Loss::Some(_) if torn == Some(index) => {
                        let sectors = (bytes.len() / SECTOR) as u64;
                        bytes.truncate(chance.below(sectors + 1) * SECTOR);
                    }
                    Loss::Some(_) if chance.below(2) == 0 => continue,
                    Loss::Some(_) => {}
                }
            }
            if !bytes.is_empty() {
                kept.push((at, bytes));
            }
        }
        Ok(Moment { card: &self.card, kept })
    }

    /// What an entry leaves on the card: its bytes, or zeros where it let them go.
    fn written(&mut self, index: usize) -> Result<(u64, Vec<u8>)> {
        let entry = self.log.entries()[index];
        let bytes = if entry.discard {
            vec![0; usize::try_from(entry.length).unwrap_or_default()]
        } else {
            self.log.bytes(&entry)?
        };
        Ok((entry.at, bytes))
    }
}

impl Moment<'_> {
    /// What stands at a place.
    pub fn read(&self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = self.card.read(at, length)?;
        for (from, over) in &self.kept {
            if let Some((here, there, shared)) = overlap(at, length as u64, *from, over.len() as u64) {
                bytes[here..here + shared].copy_from_slice(&over[there..there + shared]);
            }
        }
        Ok(bytes)
    }

    /// Whether the card kept something here that nobody had flushed.
    pub fn is_uncertain(&self, at: u64, length: u64) -> bool {
        self.kept.iter().any(|(from, over)| overlap(at, length, *from, over.len() as u64).is_some())
    }

    /// Makes a file of a part of it.
    pub fn extract(&self, at: u64, length: u64, to: &Path) -> Result<()> {
        self.card.extract(at, length, to)?;
        let part = Card::open_at(to);
        for (from, over) in &self.kept {
            if let Some((here, there, shared)) = overlap(at, length, *from, over.len() as u64) {
                part.write(here as u64, &over[there..there + shared])?;
            }
        }
        Ok(())
    }

    /// Makes a card of it, for a machine.
    pub fn card(&self, path: &Path) -> Result<Card> {
        let card = self.card.copy(path)?;
        for (at, bytes) in &self.kept {
            card.write(*at, bytes)?;
        }
        Ok(card)
    }
}

/// What two ranges share: where it begins in each, and how long it is.
fn overlap(at: u64, length: u64, other: u64, other_length: u64) -> Option<(usize, usize, usize)> {
    let begins = at.max(other);
    let ends = (at + length).min(other + other_length);
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    (begins < ends).then(|| (size(begins - at), size(begins - other), size(ends - begins)))
}

/// Numbers that look like chance and are the same in every run (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % limit.max(1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writelog::tests::log;
    use crate::writelog::{FLUSH, FUA};
    use std::io::Cursor;

    /// A card of 16 sectors of zeros and a recording over it.
    fn replay(entries: &[(u64, u64, u64, u8)]) -> (tempfile::TempDir, Replay<Cursor<Vec<u8>>>) {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("i");
        std::fs::write(&image, b"").unwrap();
        let card = Card::flash(&dir.path().join("c"), &image, 16 * 512).unwrap();
        (dir, Replay::new(card, WriteLog::read(Cursor::new(log(entries))).unwrap()))
    }

    /// The first byte of each of the first sectors.
    fn seen(moment: &Moment<'_>) -> [u8; 4] {
        [0, 1, 2, 3].map(|sector| moment.read(sector * 512, 512).unwrap()[0])
    }

    const RECORDING: [(u64, u64, u64, u8); 6] =
        [(0, 1, 0, 1), (1, 1, 0, 1), (0, 0, FLUSH, 0), (0, 2, 0, 2), (2, 1, FUA, 3), (3, 1, FLUSH, 4)];

    #[test]
    fn what_was_flushed_stays_and_what_was_not_may_go() {
        let (_dir, mut replay) = replay(&RECORDING);
        assert_eq!(seen(&replay.cut(2, Loss::Everything).unwrap()), [0; 4]);
        assert_eq!(seen(&replay.cut(2, Loss::Nothing).unwrap()), [1, 1, 0, 0]);
        assert_eq!(seen(&replay.cut(4, Loss::Everything).unwrap()), [1, 1, 0, 0]);
        assert_eq!(seen(&replay.cut(4, Loss::Nothing).unwrap()), [2, 2, 0, 0]);
        // A write that is durable by itself is there, whatever happens to those before it.
        assert_eq!(seen(&replay.cut(5, Loss::Everything).unwrap()), [1, 1, 3, 0]);
        // A flush with bytes makes those before it durable and not its own.
        assert_eq!(seen(&replay.cut(6, Loss::Everything).unwrap()), [2, 2, 3, 0]);
    }

    #[test]
    fn chance_keeps_every_subset_and_tears_between_sectors_only() {
        let (_dir, mut replay) = replay(&RECORDING);
        let mut all = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let moment = replay.cut(4, Loss::Some(seed)).unwrap();
            let sector = moment.read(0, 512).unwrap();
            assert!(sector.iter().all(|byte| *byte == sector[0]));
            all.insert(seen(&moment));
        }
        let expected = [[1, 1, 0, 0], [2, 1, 0, 0], [2, 2, 0, 0]];
        assert_eq!(all.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_part_and_a_whole_card_have_what_the_moment_has() {
        let (dir, mut replay) = replay(&RECORDING);
        let moment = replay.cut(5, Loss::Nothing).unwrap();
        let (part, whole) = (dir.path().join("p"), dir.path().join("w"));
        moment.extract(512, 2 * 512, &part).unwrap();
        assert_eq!(std::fs::read(&part).unwrap(), [[2; 512], [3; 512]].concat());
        let card = moment.card(&whole).unwrap();
        assert_eq!(card.read(0, 2048).unwrap(), moment.read(0, 2048).unwrap());
        assert!(moment.is_uncertain(1023, 1) && !moment.is_uncertain(3 * 512, 512));
    }

    #[test]
    fn a_cut_before_what_is_flushed_already_is_refused() {
        let (_dir, mut replay) = replay(&RECORDING);
        replay.cut(3, Loss::Nothing).unwrap();
        replay.cut(3, Loss::Everything).unwrap();
        let error = replay.cut(2, Loss::Nothing).unwrap_err().to_string();
        assert!(error.contains("2") && error.contains("in their order"), "{error}");
    }
}
