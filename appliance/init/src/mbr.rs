//! The disk id in a master boot record. Pure.

use crate::cmdline::DiskId;

/// How many bytes of a disk are looked at.
pub const LENGTH: usize = 512;

/// The id in a disk's first sector; `None` when that is no master boot record.
pub fn disk_id(sector: &[u8]) -> Option<DiskId> {
    let sector = sector.get(..LENGTH)?;
    if sector[510..] != [0x55, 0xaa] {
        return None;
    }
    let bytes = sector[0x1b8..0x1bc].try_into().ok()?;
    Some(DiskId(u32::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sector(id: u32) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[0x1b8..0x1bc].copy_from_slice(&id.to_le_bytes());
        bytes[510..].copy_from_slice(&[0x55, 0xaa]);
        bytes
    }

    #[test]
    fn the_id_is_little_endian_at_0x1b8() {
        let mut bytes = sector(0);
        bytes[0x1b8..0x1bc].copy_from_slice(b"YATS");
        assert_eq!(disk_id(&bytes), Some(DiskId(0x5354_4159)));
    }

    #[test]
    fn a_sector_without_its_signature_or_cut_short_has_no_id() {
        let mut bytes = sector(7);
        assert_eq!(disk_id(&bytes[..511]), None);
        assert_eq!(disk_id(&[]), None);
        bytes[511] = 0;
        assert_eq!(disk_id(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_id_comes_back(id: u32, rest in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = sector(id);
            bytes.extend(rest);
            prop_assert_eq!(disk_id(&bytes), Some(DiskId(id)));
        }
    }
}
