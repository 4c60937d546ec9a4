//! The kernel: its arm64 Image header, and the gzip that a slot carries.

use crate::{Error, Result};

/// What the boot loader and the overlap check need to know of an arm64 Image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Memory the kernel uses from its load address on, more than the file: its zeroed data is in there.
    pub image_size: u64,
    /// Bytes from a 2 MiB boundary to the load address.
    pub text_offset: u64,
    /// Bit 3: may lie anywhere in memory. Bit 0: big endian.
    pub flags: u64,
}

impl Header {
    /// Reads and checks the header of a raw (uncompressed) Image.
    pub fn read(image: &[u8]) -> Result<Self> {
        let refuse = |problem: String| Err(Error::Kernel { problem });
        if image.starts_with(&[0x1f, 0x8b]) {
            return refuse("it is gzip already".into());
        }
        if image.get(56..60) != Some(b"ARM\x64") {
            return refuse(format!("'ARM\\x64' is not at byte 56 of its {} bytes", image.len()));
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&image[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let header = Self { text_offset: number(8), image_size: number(16), flags: number(24) };
        if header.flags & 1 != 0 {
            return refuse("it is a big-endian kernel".into());
        }
        // U-Boot moves a kernel without this bit to the start of memory, over our other addresses.
        if header.flags & 8 == 0 || header.text_offset != 0 {
            return refuse(format!(
                "it asks for a fixed place (text offset {:#x}, flags {:#x}), which boards' addresses do not provide",
                header.text_offset, header.flags
            ));
        }
        if header.image_size < image.len() as u64 || header.image_size > 256 * crate::MIB {
            return refuse(format!(
                "its header says {} bytes in memory, the file has {}",
                header.image_size,
                image.len()
            ));
        }
        Ok(header)
    }
}

/// The level of the kernel's compression: 9 takes twice the time of 6 and saves 2 bytes in a thousand (docs/boot.md).
const LEVEL: u8 = 6;

/// gzip (RFC 1952) with a fixed header. The compressor is called by its name and not through flate2: flate2's is
/// whichever some crate of the whole build asks for, and zlib-rs takes turns by CPU features.
pub fn gzip(image: &[u8]) -> Vec<u8> {
    const MAGIC_DEFLATE_NO_FLAGS_NO_TIME: [u8; 8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    const NO_EXTRA_UNKNOWN_SYSTEM: [u8; 2] = [0, 255];
    let mut packed = MAGIC_DEFLATE_NO_FLAGS_NO_TIME.to_vec();
    packed.extend(NO_EXTRA_UNKNOWN_SYSTEM);
    packed.extend(miniz_oxide::deflate::compress_to_vec(image, LEVEL));
    packed.extend(crc32fast::hash(image).to_le_bytes());
    // The length modulo 2^32, as the format has it.
    packed.extend((image.len() as u32).to_le_bytes());
    packed
}

/// An Image for tests: a right header and nothing that runs.
#[doc(hidden)]
pub fn specimen(length: usize, image_size: u64) -> Vec<u8> {
    let mut image = vec![0; length.max(64)];
    image[16..24].copy_from_slice(&image_size.to_le_bytes());
    image[24..32].copy_from_slice(&0xau64.to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_an_image_is_read() {
        let header = Header::read(&specimen(4096, 8192)).unwrap();
        assert_eq!(header, Header { image_size: 8192, text_offset: 0, flags: 10 });
    }

    #[test]
    fn what_is_not_a_raw_image_is_refused() {
        let refused = |bytes: &[u8]| Header::read(bytes).unwrap_err().to_string();
        assert!(refused(b"").contains("byte 56 of its 0 bytes"));
        assert!(refused(&specimen(4096, 8192)[..58]).contains("byte 56"));
        assert!(refused(&gzip(&specimen(4096, 8192))).contains("gzip already"));
        assert!(refused(&specimen(4096, 4095)).contains("the file has 4096"));
        assert!(refused(&specimen(4096, u64::MAX)).contains("the file has 4096"));
    }

    #[test]
    fn a_kernel_that_boot_loaders_would_move_is_refused() {
        let mut fixed = specimen(4096, 8192);
        fixed[24] = 2;
        assert!(Header::read(&fixed).unwrap_err().to_string().contains("fixed place"));
        let mut offset = specimen(4096, 8192);
        offset[10] = 8;
        assert!(Header::read(&offset).unwrap_err().to_string().contains("text offset 0x80000"));
    }

    #[test]
    fn gzip_says_nothing_of_when_and_where() {
        let bytes = gzip(b"kernel");
        assert_eq!(&bytes[..3], &[0x1f, 0x8b, 8]);
        assert_eq!((&bytes[3..8], bytes[9]), (&[0u8; 5][..], 255));
    }

    #[test]
    fn gzip_writes_these_very_bytes_whatever_else_is_built_with_it() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|n| (n.wrapping_mul(n) % 251).to_le_bytes()).collect();
        assert_eq!((gzip(&text).len(), crc32fast::hash(&gzip(&text))), (8653, 3_826_602_095));
    }
}
