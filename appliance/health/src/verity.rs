//! What the kernel checks a root file system with, in the words of the boot argument `stayput.verity=`.
//!
//! A root partition holds the file system, in whole blocks, and right behind it the hash tree of dm-verity: format 1,
//! SHA-256, blocks of 4 KiB, no salt, no super block. Everything but two values follows from that, so the argument is
//! `<blocks of the file system>:<root hash>`. The builder writes it, the initramfs program reads it, and whoever copies
//! a slot learns from it how long the copy is.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The boot argument's key.
pub const ARGUMENT: &str = "stayput.verity";

/// Bytes in a block, of the file system and of the tree.
pub const BLOCK: u64 = 4096;

/// Bytes in a hash.
pub const HASH: usize = 32;

/// Hashes in a block of the tree.
pub const HASHES: u64 = BLOCK / HASH as u64;

/// More blocks than a partition table can give a partition (2 TiB).
const TOO_MANY: u64 = 1 << 29;

/// A root file system's length and the hash that everything in it hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verity {
    blocks: u64,
    root: [u8; HASH],
}

impl Verity {
    /// Of so many blocks and this root hash; none for a length that no root file system has.
    pub fn new(blocks: u64, root: [u8; HASH]) -> Option<Self> {
        (1..TOO_MANY).contains(&blocks).then_some(Self { blocks, root })
    }

    /// Blocks of the file system; the tree begins with the block of that number.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Bytes of the file system.
    pub fn data_size(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// Bytes of the tree behind it.
    pub fn tree_size(&self) -> u64 {
        levels(self.blocks).iter().sum::<u64>() * BLOCK
    }

    /// Bytes of both: what of a root partition is in use.
    pub fn size(&self) -> u64 {
        self.data_size() + self.tree_size()
    }

    /// The root hash.
    pub fn root(&self) -> [u8; HASH] {
        self.root
    }

    /// The root hash as 64 hexadecimal digits.
    pub fn root_hex(&self) -> String {
        self.root.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How many blocks each level of the tree over `blocks` blocks has, from the lowest to the one block at the top. A single
/// block needs no tree: its own hash is the root.
pub fn levels(blocks: u64) -> Vec<u64> {
    let mut levels = Vec::new();
    let mut below = blocks;
    while below > 1 {
        below = below.div_ceil(HASHES);
        levels.push(below);
    }
    levels
}

impl fmt::Display for Verity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.blocks, self.root_hex())
    }
}

impl FromStr for Verity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = || {
            let (blocks, root) = text.split_once(':')?;
            // The standard library would take a plus sign as well.
            let plain = !blocks.is_empty() && blocks.bytes().all(|byte| byte.is_ascii_digit());
            Self::new(plain.then(|| blocks.parse().ok())??, hash(root)?)
        };
        parsed().ok_or_else(|| Error::Verity(text.chars().take(100).collect()))
    }
}

/// 64 lower-case hexadecimal digits: one root hash, one text.
fn hash(text: &str) -> Option<[u8; HASH]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut hash = [0; HASH];
    if pairs.len() != HASH || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "13870:00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210";

    #[test]
    fn the_argument_says_where_the_tree_is_and_what_it_hangs_on() {
        let verity: Verity = TEXT.parse().unwrap();
        assert_eq!((verity.blocks(), verity.data_size()), (13_870, 56_811_520));
        assert_eq!(verity.root()[..3], [0x00, 0x11, 0x22]);
        assert_eq!(verity.to_string(), TEXT);
        // 109 blocks of hashes of the data, one of theirs.
        assert_eq!((verity.tree_size(), verity.size()), (110 * 4096, 13_980 * 4096));
    }

    #[test]
    fn levels_are_as_the_kernel_counts_them() {
        let rows: [(u64, &[u64]); 7] = [
            (1, &[]),
            (2, &[1]),
            (128, &[1]),
            (129, &[2, 1]),
            (128 * 128, &[128, 1]),
            (128 * 128 + 1, &[129, 2, 1]),
            (TOO_MANY - 1, &[4_194_304, 32_768, 256, 2, 1]),
        ];
        for (blocks, expected) in rows {
            assert_eq!(levels(blocks), expected, "{blocks}");
        }
    }

    #[test]
    fn an_argument_that_is_not_exactly_one_is_refused_and_quoted() {
        let hash = &TEXT[6..];
        let wrong = [
            String::new(),
            ":".into(),
            "13870".into(),
            hash.into(),
            format!(":{hash}"),
            format!("0:{hash}"),
            format!("+13870:{hash}"),
            format!("-1:{hash}"),
            format!("0x362e:{hash}"),
            format!("13 870:{hash}"),
            format!("536870912:{hash}"),
            format!("99999999999999999999999:{hash}"),
            format!("{TEXT}\r\n"),
            format!("\u{feff}{TEXT}"),
            format!("{TEXT}0"),
            format!("{TEXT}:"),
            TEXT[..TEXT.len() - 1].to_owned(),
            TEXT[..TEXT.len() - 2].to_owned(),
            TEXT.to_uppercase(),
            format!("13870:{}", "ä".repeat(32)),
        ];
        for text in wrong {
            let message = text.parse::<Verity>().unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")), "{message}");
        }
        let huge = format!("13870:{}", "0".repeat(1 << 20)).parse::<Verity>().unwrap_err().to_string();
        assert!(huge.len() < 400, "{} bytes", huge.len());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_stop(text in "\\PC{0,200}") {
            let _ = text.parse::<Verity>();
        }

        #[test]
        fn what_was_written_is_read_again(blocks in 1..TOO_MANY, root in any::<[u8; HASH]>()) {
            let verity = Verity::new(blocks, root).unwrap();
            prop_assert_eq!(verity.to_string().parse::<Verity>().unwrap(), verity);
        }
    }
}
