//! The one step that the partition table takes on the box: its last partition grows to the end of the card. Pure.

use crate::cmdline::DiskId;
use crate::mbr;
use crate::sector::Sector;

/// Bytes of a sector, as the table counts.
const SECTOR: u64 = 512;

/// What a partition's end is rounded down to: a card's own blocks are not smaller.
const WHOLE: u32 = 2048;

/// Where the four lines of the table begin, and how long one is.
const LINES: usize = 446;
const LINE: usize = 16;

/// The table with its step taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// The disk's first sector: the old one, but for one line.
    pub sector: Sector,
    /// Where the partition begins, in bytes.
    pub start: u64,
    /// How long it was.
    pub before: u64,
    /// How long it is.
    pub length: u64,
}

/// Why the table is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not the sector that the disk was chosen by.
    #[error("the disk's first sector is not the image's partition table")]
    NotOurs,
    /// A logical partition's length stands elsewhere.
    #[error("partition {0} is not one of the four in the first sector")]
    NotPrimary(u16),
    /// There is no such line, or it makes no sense.
    #[error("the table's line for partition {number} says {count} sectors from {start}, on a card of {card}")]
    Line {
        /// The partition.
        number: u16,
        /// Its first sector.
        start: u32,
        /// Its length.
        count: u32,
        /// The card's length.
        card: u64,
    },
    /// It would grow over another.
    #[error("partition {other} lies behind partition {number}")]
    Behind {
        /// The partition that would grow.
        number: u16,
        /// The one in its way.
        other: u16,
    },
}

/// The step for partition `number` on a card of `card` bytes; `None` where it reaches to the end already.
pub fn step(sector: &Sector, id: DiskId, number: u16, card: u64) -> Result<Option<Grown>, Refusal> {
    if mbr::disk_id(sector) != Some(id) {
        return Err(Refusal::NotOurs);
    }
    if !(1..=4).contains(&number) {
        return Err(Refusal::NotPrimary(number));
    }
    let card = card / SECTOR;
    let at = |number: u16| LINES + LINE * (usize::from(number) - 1);
    let word = |at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
    let (start, count) = (word(at(number) + 8), word(at(number) + 12));
    let ends_inside = u64::from(start) + u64::from(count) <= card;
    if sector[at(number) + 4] == 0 || start == 0 || count == 0 || !ends_inside {
        return Err(Refusal::Line { number, start, count, card });
    }
    for other in (1..=4).filter(|other| *other != number && sector[at(*other) + 4] != 0) {
        if u64::from(word(at(other) + 8)) + u64::from(word(at(other) + 12)) > u64::from(start) {
            return Err(Refusal::Behind { number, other });
        }
    }
    // The table says no more than 2^32 sectors; a larger card keeps the rest unused.
    let end = u32::try_from(card).unwrap_or(u32::MAX);
    let whole = (end - start) / WHOLE * WHOLE;
    if whole <= count {
        return Ok(None);
    }
    let mut grown = *sector;
    grown[at(number) + 5..at(number) + 8].copy_from_slice(&old_form(start + whole - 1));
    grown[at(number) + 12..at(number) + 16].copy_from_slice(&whole.to_le_bytes());
    let bytes = |sectors: u32| u64::from(sectors) * SECTOR;
    Ok(Some(Grown { sector: grown, start: bytes(start), before: bytes(count), length: bytes(whole) }))
}

/// A sector as cylinder, head and sector of 255 and 63; beyond its reach, its maximum.
fn old_form(sector: u32) -> [u8; 3] {
    let (cylinder, rest) = (sector / (255 * 63), sector % (255 * 63));
    if cylinder > 1023 {
        return [254, 0xff, 0xff];
    }
    let [low, high, ..] = cylinder.to_le_bytes();
    let [head, ..] = (rest / 63).to_le_bytes();
    let [place, ..] = (rest % 63 + 1).to_le_bytes();
    [head, place | high << 6, low]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: DiskId = DiskId(0x5354_4159);
    const MIB: u64 = 1 << 20;

    /// The image's table: stayput, loader, the extended one, and data, 256 MiB at 1464 MiB.
    fn table() -> Sector {
        let mut sector = [0; 512];
        sector[0x1b8..0x1bc].copy_from_slice(&ID.0.to_le_bytes());
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        for (line, (kind, start, count)) in
            [(0x0c_u8, 4_u32, 60_u32), (0xda, 64, 8), (0x0f, 72, 1392), (0x83, 1464, 256)]
                .into_iter()
                .enumerate()
        {
            let at = LINES + LINE * line;
            sector[at + 4] = kind;
            sector[at + 8..at + 12].copy_from_slice(&(start * 2048).to_le_bytes());
            sector[at + 12..at + 16].copy_from_slice(&(count * 2048).to_le_bytes());
        }
        sector
    }

    #[test]
    fn data_grows_to_the_last_whole_mib_and_nothing_else_changes() {
        let before = table();
        let card = 4096 * MIB + 777 * 512;
        let grown = step(&before, ID, 4, card).unwrap().unwrap();
        assert_eq!((grown.start, grown.before, grown.length), (1464 * MIB, 256 * MIB, 2632 * MIB));
        let changed: Vec<_> = (0..512).filter(|at| before[*at] != grown.sector[*at]).collect();
        let line = LINES + 3 * LINE;
        assert!(
            changed.iter().all(|at| (line + 5..line + 8).contains(at) || (line + 12..line + 16).contains(at))
        );
        // Once: the next start finds nothing to do.
        assert_eq!(step(&grown.sector, ID, 4, card), Ok(None));
    }

    #[test]
    fn a_card_that_is_just_as_large_as_the_table_stays_as_it_is() {
        for card in [1720 * MIB, 1720 * MIB + 1000 * 512] {
            assert_eq!(step(&table(), ID, 4, card), Ok(None));
        }
    }

    #[test]
    fn a_card_beyond_what_the_table_can_say_is_used_up_to_there() {
        let grown = step(&table(), ID, 4, 1 << 45).unwrap().unwrap();
        assert_eq!((grown.start + grown.length) >> 20, (1 << 21) - 1);
        assert_eq!(step(&grown.sector, ID, 4, 1 << 45), Ok(None));
    }

    #[test]
    fn a_table_that_is_not_the_images_is_left_alone() {
        let card = 4096 * MIB;
        assert_eq!(step(&table(), DiskId(1), 4, card), Err(Refusal::NotOurs));
        assert_eq!(step(&[0; 512], ID, 4, card), Err(Refusal::NotOurs));
        for number in [0, 5, 10, u16::MAX] {
            assert_eq!(step(&table(), ID, number, card), Err(Refusal::NotPrimary(number)));
        }
        for number in 1..=3 {
            let refused = step(&table(), ID, number, card);
            assert!(matches!(refused, Err(Refusal::Behind { .. })), "{number}: {refused:?}");
        }
        assert!(matches!(step(&table(), ID, 4, 1719 * MIB), Err(Refusal::Line { .. })));
        for at in [4, 8, 12] {
            let mut empty = table();
            let line = LINES + 3 * LINE + at;
            empty[line..line + 4.min(16 - at)].fill(0);
            assert!(matches!(step(&empty, ID, 4, card), Err(Refusal::Line { .. })), "{at}");
        }
    }

    #[test]
    fn the_old_form_is_the_one_that_the_builder_writes() {
        assert_eq!(old_form(0), [0, 1, 0]);
        assert_eq!(old_form(63), [1, 1, 0]);
        assert_eq!(old_form(1023 * 255 * 63), [0, 0xc1, 0xff]);
        assert_eq!(old_form(1024 * 255 * 63), [254, 0xff, 0xff]);
    }

    proptest! {
        #[test]
        fn whatever_the_lines_say_no_step_shrinks_overlaps_or_leaves_the_card(
            lines in proptest::collection::vec(any::<u8>(), 64), number in 0_u16..6, card in 0_u64..1 << 42,
        ) {
            let mut sector = table();
            sector[LINES..LINES + 64].copy_from_slice(&lines);
            if let Ok(Some(grown)) = step(&sector, ID, number, card) {
                prop_assert!(grown.length > grown.before && grown.start + grown.length <= card);
                prop_assert_eq!(&grown.sector[..LINES], &sector[..LINES]);
            }
        }
    }
}
