//! The partition table's first sector: the image's, or the image's with the one step that a box may take.
//!
//! A box grows `data` to the end of its card once, by one number in one sector. Everything else must be as it was.

/// Where the four lines of the table begin.
const LINES: usize = 446;
/// Bytes per line.
const LINE: usize = 16;
/// The old form of a partition's last sector, which says nothing beyond 8 GB; tools differ in what they write there.
const OLD_END: std::ops::Range<usize> = 5..8;
/// A partition's length in sectors.
const COUNT: std::ops::Range<usize> = 12..16;

/// What became of the table.
#[derive(Debug, PartialEq, Eq)]
pub enum Table {
    /// Byte for byte the image's.
    Identical,
    /// The image's, but for the length of `data`.
    Grown {
        /// In bytes, as the image has it.
        from: u64,
        /// In bytes, as it is now.
        to: u64,
    },
    /// Something else.
    Different {
        /// The first byte that differs.
        first: usize,
        /// What that byte belongs to, and why it is not the growth.
        what: String,
    },
}

/// Compares two first sectors. `data` is the number of the one partition that may grow, `card` the card's size in bytes.
pub fn compare(expected: &[u8], seen: &[u8], data: u32, card: u64) -> Table {
    let Some(first) = expected.iter().zip(seen).position(|(a, b)| a != b) else { return Table::Identical };
    let line = LINES + LINE * (data.clamp(1, 4) as usize - 1);
    let outside = expected.iter().zip(seen).enumerate().find(|(at, (a, b))| {
        let inside = at.checked_sub(line).is_some_and(|at| OLD_END.contains(&at) || COUNT.contains(&at));
        a != b && !inside
    });
    if let Some((first, _)) = outside {
        return Table::Different { first, what: belongs_to(first) };
    }
    let number = |sector: &[u8], at: usize| {
        sector[line + at..].first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
    };
    let (from, to, start) =
        (number(expected, COUNT.start) * 512, number(seen, COUNT.start) * 512, number(seen, 8) * 512);
    let what = if to < from {
        format!("'data' has shrunk from {from} to {to} bytes")
    } else if start + to > card {
        format!("'data' is said to end at byte {}, beyond the end at {card}", start + to)
    } else if to == from {
        "the old form of the end of 'data'".to_owned()
    } else {
        return Table::Grown { from, to };
    };
    Table::Different { first, what }
}

/// The table in the sector `bytes` ends here: where its farthest partition ends.
pub fn end(sector: &[u8]) -> u64 {
    let lines = sector.get(LINES..LINES + 4 * LINE).into_iter().flat_map(|lines| lines.chunks_exact(LINE));
    let number =
        |line: &[u8], at: usize| line[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    lines.map(|line| (u64::from(number(line, 8)) + u64::from(number(line, 12))) * 512).max().unwrap_or(0)
}

fn belongs_to(byte: usize) -> String {
    match byte {
        0..440 => "boot code, which no Stayput image has".to_owned(),
        440..444 => "the disk's signature".to_owned(),
        444..LINES => "reserved bytes".to_owned(),
        LINES..510 => format!("line {} of the partition table", (byte - LINES) / LINE + 1),
        _ => "the mark at the sector's end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: u64 = 4_000_000_000;

    /// A table whose fourth line is `data`: 256 MiB at 1464 MiB.
    fn table() -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector[502..506].copy_from_slice(&2_998_272u32.to_le_bytes());
        sector[506..510].copy_from_slice(&524_288u32.to_le_bytes());
        sector
    }

    fn with_length(sectors: u32) -> Vec<u8> {
        let mut sector = table();
        sector[506..510].copy_from_slice(&sectors.to_le_bytes());
        sector
    }

    #[test]
    fn the_same_sector_is_identical() {
        assert_eq!(compare(&table(), &table(), 4, CARD), Table::Identical);
    }

    #[test]
    fn data_grown_to_the_end_of_the_card_is_the_one_step() {
        let sectors = (CARD / 512) as u32 - 2_998_272;
        let mut seen = with_length(sectors);
        seen[499..502].fill(0xfe);
        let grown = Table::Grown { from: 268_435_456, to: u64::from(sectors) * 512 };
        assert_eq!(compare(&table(), &seen, 4, CARD), grown);
    }

    #[test]
    fn data_grown_beyond_the_card_or_shrunk_is_different() {
        for sectors in [u32::MAX, 1, 0] {
            let seen = compare(&table(), &with_length(sectors), 4, CARD);
            assert!(matches!(seen, Table::Different { first: 506..510, .. }), "{sectors}: {seen:?}");
        }
    }

    #[test]
    fn growth_beside_another_change_is_different() {
        let mut seen = with_length(600_000);
        seen[440] ^= 1;
        let told = compare(&table(), &seen, 4, CARD);
        assert_eq!(told, Table::Different { first: 440, what: "the disk's signature".into() });
    }

    #[test]
    fn a_moved_data_partition_is_different() {
        let mut seen = table();
        seen[502] ^= 1;
        assert!(matches!(compare(&table(), &seen, 4, CARD), Table::Different { first: 502, .. }));
    }

    #[test]
    fn growth_of_another_partition_is_different() {
        let mut seen = table();
        seen[458] = 1;
        assert!(matches!(compare(&table(), &seen, 4, CARD), Table::Different { first: 458, .. }));
    }

    #[test]
    fn the_table_ends_with_its_farthest_partition() {
        assert_eq!(end(&table()), 1720 << 20);
        assert_eq!(end(&[]), 0);
    }
}
