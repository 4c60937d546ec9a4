//! The marks of a new card: "this partition has never been used". The builder writes them, the initramfs program reads
//! them, and only where one stands may it format.
//!
//! They lie sector by sector in the raw boot-state partition, from the place on that `marks_mib` of `image/card.toml`
//! gives; the kernel command line carries that place to the box.

/// The length of a mark: what a card writes whole or not at all.
pub const SECTOR: usize = 512;

/// A partition that is made on the box, and that the image therefore marks as new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// What the box is.
    State,
    /// The files.
    Data,
}

/// What stands in a mark's sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The image's own: the partition is new.
    New,
    /// Nothing: the partition is in use.
    Clear,
    /// Something else; never taken for a permission.
    Unknown,
}

impl Marked {
    /// All of them, in the order of their sectors.
    pub const ALL: [Self; 2] = [Self::State, Self::Data];

    /// The mark's text; zeros fill the sector.
    pub const fn text(self) -> &'static str {
        match self {
            Self::State => "stayput new state 1\n",
            Self::Data => "stayput new data 1\n",
        }
    }

    /// Where its sector is, in bytes from the start of the first.
    pub const fn offset(self) -> u64 {
        match self {
            Self::State => 0,
            Self::Data => SECTOR as u64,
        }
    }

    /// The sector of a new card.
    pub fn sector(self) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        sector[..self.text().len()].copy_from_slice(self.text().as_bytes());
        sector
    }

    /// What a sector says of this partition. The whole of it must be the mark: a torn or strange one permits nothing.
    pub fn read(self, sector: &[u8]) -> Mark {
        if sector == self.sector() {
            Mark::New
        } else if sector == [0; SECTOR] {
            Mark::Clear
        } else {
            Mark::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn padded(text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        bytes.resize(SECTOR, 0);
        bytes
    }

    #[test]
    fn only_the_whole_mark_of_that_partition_is_a_permission() {
        for (marked, other) in [(Marked::State, Marked::Data), (Marked::Data, Marked::State)] {
            assert_eq!(marked.read(&padded(marked.text().as_bytes())), Mark::New);
            assert_eq!(marked.read(&padded(b"")), Mark::Clear);
            assert_eq!(marked.read(&other.sector()), Mark::Unknown);
            assert_ne!(marked.offset(), other.offset());
        }
        let almost: [&[u8]; 5] = [
            b"stayput new state 1",
            b"stayput new state 1\r\n",
            b"stayput new state 2\n",
            b"stayput new state 1\n1",
            b"\xef\xbb\xbfstayput new state 1\n",
        ];
        for text in almost {
            assert_eq!(Marked::State.read(&padded(text)), Mark::Unknown, "{text:?}");
        }
        for short in [Marked::State.text().as_bytes(), &[], &[0; SECTOR - 1], &[0; SECTOR + 1]] {
            assert_eq!(Marked::State.read(short), Mark::Unknown, "{} bytes", short.len());
        }
    }

    #[test]
    fn the_texts_are_those_of_the_cards_that_are_out_there() {
        assert_eq!(Marked::ALL.map(Marked::text), ["stayput new state 1\n", "stayput new data 1\n"]);
        assert_eq!(Marked::ALL.map(Marked::offset), [0, 512]);
    }

    proptest! {
        #[test]
        fn any_other_sector_permits_nothing(bytes in proptest::collection::vec(any::<u8>(), SECTOR)) {
            prop_assert_ne!(Marked::State.read(&bytes), Mark::New);
        }

        #[test]
        fn one_changed_byte_takes_the_permission_away(at in 0..SECTOR, byte in 1..=255_u8) {
            let mut bytes = Marked::State.sector();
            bytes[at] ^= byte;
            prop_assert_eq!(Marked::State.read(&bytes), Mark::Unknown);
        }
    }
}
