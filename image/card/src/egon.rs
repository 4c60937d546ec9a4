//! The board's loader (Allwinner): eGON header, checksum, and where it may lie on the card.
//!
//! `u-boot-sunxi-with-spl.bin` is an SPL of at most 32 KiB that the boot ROM loads from 8 KiB on the card, followed
//! by the FIT image with U-Boot and the secure monitor, which the SPL looks for exactly 32 KiB behind its own start.

use std::ops::Range;

use crate::{Error, Layout, Result};

const MAGIC: &[u8; 8] = b"eGON.BT0";
/// Stands in the checksum's place while the sum is made.
const STAMP: u32 = 0x5f0a_6c39;
/// The SPL's room, and the FIT's place.
const FIT_AT: usize = 32 * 1024;
const FIT_MAGIC: u32 = 0xd00d_feed;

/// A loader that the boot ROM will start.
#[derive(Debug, Clone, Copy)]
pub struct Loader<'a> {
    bytes: &'a [u8],
}

impl<'a> Loader<'a> {
    /// Checks header, checksum, sizes and the FIT behind it. Zeros after that are no part of it: a card's region, read
    /// as a whole, is checked in the same way.
    pub fn check(bytes: &'a [u8]) -> Result<Self> {
        let spl = spl_length(bytes)?;
        let sum = checksum(&bytes[..spl]);
        let stored = word(bytes, 12).unwrap_or(0);
        if sum != stored {
            return refuse(format!(
                "the checksum of its first {spl} bytes is {sum:#010x}, the header says {stored:#010x}"
            ));
        }
        let Some(fit) = bytes.get(FIT_AT..).filter(|fit| fit.len() >= 40) else {
            return refuse(format!(
                "it ends after {} bytes, the FIT image at {FIT_AT} is missing",
                bytes.len()
            ));
        };
        let magic = big_endian(fit, 0);
        if magic != FIT_MAGIC {
            return refuse(format!("at {FIT_AT} there is {magic:#010x} instead of a FIT image"));
        }
        let length = big_endian(fit, 4) as usize;
        if length < 40 || length > fit.len() {
            return refuse(format!(
                "the FIT image says {length} bytes, {} follow: the file is cut short",
                fit.len()
            ));
        }
        // Data outside of the FIT (mkimage -E) would have to be measured too; Debian's builds have it inside.
        let end = FIT_AT + length;
        if let Some(at) = bytes[end..].iter().position(|byte| *byte != 0) {
            return refuse(format!(
                "there is more behind the FIT image's end at {end}, from byte {} on",
                end + at
            ));
        }
        Ok(Self { bytes: &bytes[..end] })
    }

    /// The loader as it is written to the card.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where it lies on the card, if that is inside the loader's region.
    pub fn place(&self, layout: &Layout) -> Result<Range<u64>> {
        let region = layout.loader_region();
        let place = region.start..region.start + self.bytes.len() as u64;
        if place.end > region.end {
            return Err(Error::LoaderRegion {
                start: place.start,
                end: place.end,
                region_start: region.start,
                region_end: region.end,
            });
        }
        Ok(place)
    }
}

fn refuse<T>(problem: String) -> Result<T> {
    Err(Error::Loader { problem })
}

fn spl_length(bytes: &[u8]) -> Result<usize> {
    if bytes.get(4..12) != Some(MAGIC) {
        return refuse(format!("'eGON.BT0' is not at byte 4 of its {} bytes", bytes.len()));
    }
    let length = word(bytes, 16).unwrap_or(0) as usize;
    // The boot ROM reads whole 512-byte sectors; the SPL's memory holds 32 KiB of it.
    if length == 0 || !length.is_multiple_of(512) || length > FIT_AT || length > bytes.len() {
        return refuse(format!("its header says {length} bytes of SPL in a file of {}", bytes.len()));
    }
    Ok(length)
}

/// The sum over the SPL with the stamp in the sum's own place.
fn checksum(spl: &[u8]) -> u32 {
    spl.chunks_exact(4).enumerate().fold(0u32, |sum, (index, word)| {
        let value = if index == 3 { STAMP } else { u32::from_le_bytes([word[0], word[1], word[2], word[3]]) };
        sum.wrapping_add(value)
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

/// A loader for tests: correct header, checksum and a FIT image's head, nothing that runs.
#[doc(hidden)]
pub fn specimen(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; length.max(FIT_AT + 64)];
    bytes[4..12].copy_from_slice(MAGIC);
    bytes[16..20].copy_from_slice(&(FIT_AT as u32).to_le_bytes());
    let sum = checksum(&bytes[..FIT_AT]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    let fit = (bytes.len() - FIT_AT) as u32;
    bytes[FIT_AT..FIT_AT + 4].copy_from_slice(&FIT_MAGIC.to_be_bytes());
    bytes[FIT_AT + 4..FIT_AT + 8].copy_from_slice(&fit.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        Loader::check(bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_right_loader_is_accepted() {
        assert_eq!(Loader::check(&specimen(800_000)).unwrap().bytes().len(), 800_000);
    }

    #[test]
    fn one_flipped_bit_in_the_spl_is_noticed() {
        let mut bytes = specimen(100_000);
        bytes[20_000] ^= 1;
        assert!(refused(&bytes).contains("checksum"));
    }

    #[test]
    fn a_file_cut_short_is_noticed_wherever_it_is_cut() {
        let whole = specimen(100_000);
        for length in [0, 3, 11, 15, 19, 512, 32_767, 32_768, 32_780, 99_999] {
            Loader::check(&whole[..length]).unwrap_err();
        }
    }

    #[test]
    fn a_file_without_the_magic_or_with_the_bare_spl_is_refused() {
        assert!(refused(b"MZ this is something else").contains("eGON.BT0"));
        assert!(refused(&specimen(100_000)[..FIT_AT]).contains("FIT image at 32768 is missing"));
        let mut other = specimen(100_000);
        other[FIT_AT] = 0;
        assert!(refused(&other).contains("instead of a FIT image"));
    }

    #[test]
    fn zeros_behind_it_are_left_out_and_anything_else_is_refused() {
        let mut region = specimen(100_000);
        region.resize(200_000, 0);
        assert_eq!(Loader::check(&region).unwrap().bytes().len(), 100_000);
        region[150_000] = 1;
        assert!(refused(&region).contains("from byte 150000 on"));
    }

    #[test]
    fn a_header_whose_length_lies_is_refused() {
        for length in [0u32, 100, 65_536, u32::MAX] {
            let mut bytes = specimen(100_000);
            bytes[16..20].copy_from_slice(&length.to_le_bytes());
            assert!(refused(&bytes).contains("bytes of SPL"), "{length}");
        }
    }
}
