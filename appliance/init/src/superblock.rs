//! The super block of the ext family: the one at the start of a partition, and its copies further in. Pure.
//!
//! The copies matter because the first can be damaged while every file is still there.

/// The label of one that is being made: nothing has ever been kept on it.
pub const MAKING_LABEL: &str = "stayput-making";

/// Where the first super block begins.
pub const START: u64 = 1024;

/// How long a super block is.
pub const LENGTH: usize = 1024;

/// What a super block says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The label, without control characters.
    pub label: String,
    /// The size of a block is 1024 shifted by this.
    shift: u32,
    /// The block group that it stands in.
    group: u16,
    /// How many blocks the file system has.
    blocks: u64,
    /// Which file system it is of.
    pub uuid: [u8; 16],
}

impl Superblock {
    /// The file system's size in bytes; as large as a number can say where the fields make no sense.
    pub fn bytes(&self) -> u64 {
        1024_u64.checked_shl(self.shift).map_or(u64::MAX, |block| block.saturating_mul(self.blocks))
    }

    /// What is in these bytes, if they are one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let block = bytes.get(..LENGTH)?;
        if block[0x38..0x3a] != [0x53, 0xef] {
            return None;
        }
        let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        // The upper half counts where the feature `64bit` is set; elsewhere those bytes are anything.
        let high = if word(0x60) & 0x80 == 0 { 0 } else { word(0x150) };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&block[0x68..0x78]);
        let label = block[0x78..0x88].split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Self {
            label: String::from_utf8_lossy(label).escape_debug().to_string(),
            shift: word(0x18),
            group: u16::from_le_bytes([block[0x5a], block[0x5b]]),
            blocks: u64::from(high) << 32 | u64::from(word(0x04)),
            uuid,
        })
    }
}

/// A place where a copy would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In bytes from the partition's start.
    pub at: u64,
    shift: u32,
    group: u16,
}

impl Place {
    /// Whether the file system that `found` speaks of has a copy here.
    pub fn belongs_to(&self, found: &Superblock) -> bool {
        self.shift == found.shift
    }

    /// Whether a super block that was found here is the copy that belongs here. One of a file system that once began
    /// elsewhere on the card names another group.
    pub fn is_home_of(&self, found: &Superblock) -> bool {
        (self.shift, self.group) == (found.shift, found.group)
    }

    /// The size of a block, and the number of the one that the copy is in: what `e2fsck -B -b` wants.
    pub fn block(&self) -> (u64, u64) {
        let size = 1024 << self.shift;
        (size, self.at / size)
    }
}

/// The places of copies on a partition of `size` bytes, with each size of block that mke2fs chooses: the groups 1 and the
/// powers of 3, 5 and 7, each as long as one block of bitmap can say.
pub fn copies(size: u64) -> Vec<Place> {
    let mut places = Vec::new();
    for shift in [2, 1, 0] {
        let block = 1024 << shift;
        // With the smallest blocks the first holds the boot sector alone, and all counting begins after it.
        let first = u64::from(shift == 0);
        let mut groups: Vec<u16> =
            [3_u16, 5, 7].iter().flat_map(|base| (0..6).map(|power| base.pow(power))).collect();
        groups.sort_unstable();
        groups.dedup();
        let all = groups.into_iter().map(|group| Place {
            at: (u64::from(group) * 8 * block + first) * block,
            shift,
            group,
        });
        places.extend(all.filter(|place| place.at + LENGTH as u64 <= size));
    }
    places
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A super block as it would stand at `place`, or as the first one.
    pub(crate) fn labelled(label: &[u8], place: Option<Place>) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH];
        bytes[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        bytes[0x78..0x78 + label.len()].copy_from_slice(label);
        let (shift, group) = place.map_or((2, 0), |place| (place.shift, place.group));
        bytes[0x18..0x1c].copy_from_slice(&shift.to_le_bytes());
        bytes[0x5a..0x5c].copy_from_slice(&group.to_le_bytes());
        let blocks: u32 = (512 << 20) >> (10 + shift);
        bytes[0x04..0x08].copy_from_slice(&blocks.to_le_bytes());
        bytes
    }

    #[test]
    fn the_label_ends_at_its_first_zero() {
        for (bytes, label) in [(&b"stayput-state"[..], "stayput-state"), (b"a\0b", "a"), (b"", "")] {
            assert_eq!(Superblock::parse(&labelled(bytes, None)).unwrap().label, label);
        }
    }

    #[test]
    fn a_blank_or_short_or_foreign_block_is_none() {
        for bytes in [&[][..], &[0; LENGTH], &[0xff; LENGTH], &labelled(b"x", None)[..LENGTH - 1]] {
            assert_eq!(Superblock::parse(bytes), None);
        }
    }

    #[test]
    fn a_label_from_outside_cannot_bring_control_characters_into_the_log() {
        assert_eq!(Superblock::parse(&labelled(b"\x1b[2J\n", None)).unwrap().label, "\\u{1b}[2J\\n");
    }

    #[test]
    fn the_size_is_what_the_fields_say_and_never_wraps() {
        let mut bytes = labelled(b"x", None);
        bytes[0x04..0x08].copy_from_slice(&131_072_u32.to_le_bytes());
        bytes[0x150..0x154].copy_from_slice(&7_u32.to_le_bytes());
        assert_eq!(Superblock::parse(&bytes).unwrap().bytes(), 512 << 20);
        bytes[0x60] = 0x80;
        assert_eq!(Superblock::parse(&bytes).unwrap().bytes(), ((7 << 32) + 131_072) * 4096);
        for hostile in [20_u32, 64, u32::MAX] {
            bytes[0x150..0x154].fill(0xff);
            bytes[0x18..0x1c].copy_from_slice(&hostile.to_le_bytes());
            assert!(Superblock::parse(&bytes).unwrap().bytes() > 1 << 50, "{hostile}");
        }
    }

    #[test]
    fn copies_are_looked_for_where_mke2fs_says_that_it_puts_them() {
        let blocks = |shift| {
            let places = copies(512 << 20).into_iter().filter(move |place| place.shift == shift);
            places.map(|place| place.block().1).collect::<Vec<_>>()
        };
        assert_eq!(blocks(2), [32768, 98304]);
        assert_eq!(blocks(1), [16384, 49152, 81920, 114_688, 147_456]);
        assert_eq!(blocks(0), [8193, 24577, 40961, 57345, 73729, 204_801, 221_185, 401_409]);
        assert!(copies(0).is_empty() && copies(1 << 20).is_empty());
        assert!(copies(u64::MAX).len() > 40);
    }

    #[test]
    fn a_copy_that_names_another_group_or_size_of_block_is_not_at_home() {
        let places = copies(512 << 20);
        for place in &places {
            let found = Superblock::parse(&labelled(b"x", Some(*place))).unwrap();
            let homes = places.iter().filter(|other| other.is_home_of(&found)).count();
            assert!(place.is_home_of(&found) && homes == 1, "{place:?}");
            assert!(!place.is_home_of(&Superblock::parse(&labelled(b"x", None)).unwrap()));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_stop(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = Superblock::parse(&bytes);
        }
    }
}
