//! Signatures of file systems and other holders of data that are not of the ext family: enough to leave them alone.

use std::io;

/// One signature.
struct Signature {
    /// What has it, with its article.
    what: &'static str,
    at: u64,
    bytes: &'static [u8],
}

const fn row(what: &'static str, at: u64, bytes: &'static [u8]) -> Signature {
    Signature { what, at, bytes }
}

const LUKS: &str = "an encrypted volume (LUKS)";
const SWAP: &str = "swap space";

/// The table. Where a format keeps a copy of its header further in, that counts as well.
const TABLE: &[Signature] = &[
    row(LUKS, 0, b"LUKS\xba\xbe"),
    row(LUKS, 0x4000, b"SKUL\xba\xbe"),
    row(LUKS, 0x8000, b"SKUL\xba\xbe"),
    row(LUKS, 0x10000, b"SKUL\xba\xbe"),
    row(LUKS, 0x20000, b"SKUL\xba\xbe"),
    row(LUKS, 0x40000, b"SKUL\xba\xbe"),
    row(LUKS, 0x80000, b"SKUL\xba\xbe"),
    row(LUKS, 0x10_0000, b"SKUL\xba\xbe"),
    row(LUKS, 0x20_0000, b"SKUL\xba\xbe"),
    row(LUKS, 0x40_0000, b"SKUL\xba\xbe"),
    row("a btrfs file system", 0x1_0040, b"_BHRfS_M"),
    row("a btrfs file system", 0x400_0040, b"_BHRfS_M"),
    row("an XFS file system", 0, b"XFSB"),
    row("a squashfs file system", 0, b"hsqs"),
    row("an F2FS file system", 0x400, &[0x10, 0x20, 0xf5, 0xf2]),
    row("an F2FS file system", 0x1400, &[0x10, 0x20, 0xf5, 0xf2]),
    row(SWAP, 4096 - 10, b"SWAPSPACE2"),
    row(SWAP, 16384 - 10, b"SWAPSPACE2"),
    row(SWAP, 65536 - 10, b"SWAPSPACE2"),
    row("a volume of LVM", 512, b"LABELONE"),
    row("an HFS+ file system", 0x400, b"H+\0\x04"),
    row("an APFS volume", 32, b"NXSB"),
];

/// The longest signature.
const LONGEST: usize = 10;

/// A sector, of which FAT, exFAT and NTFS fill one.
const SECTOR: usize = 512;

/// What is recognised on a partition of `size` bytes that `read` reads.
pub fn find(
    size: u64,
    read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<Option<&'static str>> {
    for Signature { what, at, bytes } in TABLE {
        if at + bytes.len() as u64 > size {
            continue;
        }
        let mut found = [0; LONGEST];
        let found = &mut found[..bytes.len()];
        read(*at, found)?;
        if found == *bytes {
            return Ok(Some(what));
        }
    }
    // FAT32 keeps a copy six sectors on, exFAT twelve, NTFS in the partition's last.
    let last = (size / SECTOR as u64).saturating_sub(1);
    for number in [0, 6, 12, last] {
        let at = number * SECTOR as u64;
        if at + SECTOR as u64 > size {
            continue;
        }
        let mut sector = [0; SECTOR];
        read(at, &mut sector)?;
        if let Some(what) = boot_sector(&sector) {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// FAT, exFAT and NTFS: a sector that begins with a jump, describes the volume and ends with a signature of its own,
/// which alone would say too little: the rest of an old card's boot sector has it too.
fn boot_sector(sector: &[u8; SECTOR]) -> Option<&'static str> {
    if sector[510..] != [0x55, 0xaa] {
        return None;
    }
    if sector[3..11] == *b"NTFS    " {
        return Some("an NTFS file system");
    }
    if sector[3..11] == *b"EXFAT   " {
        return Some("an exFAT file system");
    }
    let jump = matches!(sector[..3], [0xeb, _, 0x90] | [0xe9, _, _]);
    let bytes = u16::from_le_bytes([sector[11], sector[12]]);
    let reserved = u16::from_le_bytes([sector[14], sector[15]]);
    let described = matches!(bytes, 512 | 1024 | 2048 | 4096)
        && sector[13].is_power_of_two()
        && reserved > 0
        && matches!(sector[16], 1 | 2)
        && sector[21] >= 0xf0;
    (jump && described).then_some("a FAT file system")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: usize = 65 << 20;

    fn found(bytes: &[u8]) -> Option<&'static str> {
        let mut read = |at: u64, out: &mut [u8]| {
            let at = usize::try_from(at).unwrap();
            out.copy_from_slice(&bytes[at..at + out.len()]);
            Ok(())
        };
        find(bytes.len() as u64, &mut read).unwrap()
    }

    fn fat() -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        sector[..11].copy_from_slice(b"\xeb\x58\x90mkfs.fat");
        sector[11..17].copy_from_slice(&[0x00, 0x02, 8, 32, 0, 2]);
        sector[21] = 0xf8;
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    fn named(name: &[u8; 8]) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        sector[3..11].copy_from_slice(name);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    #[test]
    fn each_row_of_the_table_is_recognised_at_its_place_and_nowhere_beside_it() {
        let mut bytes = vec![0; SIZE];
        assert_eq!(found(&bytes), None);
        for Signature { what, at, bytes: signature } in TABLE {
            assert!(signature.len() <= LONGEST, "{what}");
            let at = usize::try_from(*at).unwrap();
            bytes[at..at + signature.len()].copy_from_slice(signature);
            assert_eq!(found(&bytes), Some(*what), "{at:#x}");
            bytes[at] ^= 0x80;
            assert_eq!(found(&bytes), None, "{at:#x}");
            bytes[at..at + signature.len()].fill(0);
        }
    }

    #[test]
    fn boot_sectors_of_fat_exfat_and_ntfs_are_recognised_and_so_are_their_copies() {
        let sectors = [
            (fat(), "a FAT file system", 6),
            (named(b"EXFAT   "), "an exFAT file system", 12),
            (named(b"NTFS    "), "an NTFS file system", 65 * 2048 - 1),
        ];
        let mut bytes = vec![0; SIZE];
        for (sector, what, copy) in sectors {
            for number in [0, copy] {
                let range = number * SECTOR..(number + 1) * SECTOR;
                bytes[range.clone()].copy_from_slice(&sector);
                assert_eq!(found(&bytes), Some(what), "sector {number}");
                bytes[range].fill(0);
            }
        }
    }

    #[test]
    fn a_boot_sector_without_a_volume_is_no_file_system() {
        assert_eq!(boot_sector(&fat()), Some("a FAT file system"));
        for (at, wrong) in [(0, 0), (11, 1), (13, 3), (13, 0), (14, 0), (16, 0), (16, 9), (21, 0), (511, 0)] {
            let mut sector = fat();
            sector[at] = wrong;
            assert_eq!(boot_sector(&sector), None, "{at}");
        }
        // The master boot record of a card.
        assert_eq!(boot_sector(&named(b"\0\0\0\0\0\0\0\0")), None);
    }

    proptest! {
        #[test]
        fn a_partition_of_any_size_is_looked_at_inside_its_bounds(size in 0..200_000_usize) {
            prop_assert_eq!(found(&vec![0xa5; size]), None);
        }
    }
}
