//! The marks that a new image carries: "this partition has never been used". Only where one stands may init format.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

/// Where the mark of the state partition is, in bytes from the start of the raw partition.
const STATE_AT: u64 = 8 << 20;

/// A sector.
const LENGTH: usize = 512;

/// The mark's text; zeros fill the sector.
const STATE_TEXT: &[u8] = b"stayput new state 1\n";

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

/// What a sector says. The whole sector must be the mark, so that a torn or strange one permits nothing.
pub fn read_sector(sector: &[u8]) -> Mark {
    if sector.len() != LENGTH {
        return Mark::Unknown;
    }
    match sector.strip_prefix(STATE_TEXT) {
        Some(rest) if rest.iter().all(|byte| *byte == 0) => Mark::New,
        None if sector.iter().all(|byte| *byte == 0) => Mark::Clear,
        _ => Mark::Unknown,
    }
}

/// Reads the state partition's mark.
pub fn read(device: &Path) -> io::Result<Mark> {
    let mut sector = [0; LENGTH];
    File::open(device)?.read_exact_at(&mut sector, STATE_AT)?;
    Ok(read_sector(&sector))
}

/// Clears the state partition's mark, and reads it back from the card rather than from memory.
pub fn clear(device: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(device)?;
    file.write_all_at(&[0; LENGTH], STATE_AT)?;
    file.sync_all()?;
    // Drops the written page, so that the next read goes to the card: some that are worn out take writes and keep none.
    fadvise(&file, 0, None, Advice::DontNeed)?;
    let mut sector = [0xff; LENGTH];
    file.read_exact_at(&mut sector, STATE_AT)?;
    match read_sector(&sector) {
        Mark::Clear => Ok(()),
        Mark::New | Mark::Unknown => Err(io::Error::other("the card does not keep what is written to it")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn sector(text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        bytes.resize(LENGTH, 0);
        bytes
    }

    #[test]
    fn only_the_whole_mark_is_a_permission() {
        assert_eq!(read_sector(&sector(STATE_TEXT)), Mark::New);
        assert_eq!(read_sector(&sector(b"")), Mark::Clear);
        let almost: [&[u8]; 6] = [
            b"stayput new state 1",
            b"stayput new state 1\r\n",
            b"stayput new state 2\n",
            b"stayput new data 1\n",
            b"stayput new state 1\n1",
            b"\xef\xbb\xbfstayput new state 1\n",
        ];
        for text in almost {
            assert_eq!(read_sector(&sector(text)), Mark::Unknown, "{text:?}");
        }
        assert_eq!(read_sector(STATE_TEXT), Mark::Unknown);
        assert_eq!(read_sector(&[]), Mark::Unknown);
    }

    #[test]
    fn clearing_takes_the_mark_away_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda5");
        let mut bytes = vec![0xee; (12 << 20) - 3];
        let at = usize::try_from(STATE_AT).unwrap();
        bytes[at..at + LENGTH].copy_from_slice(&sector(STATE_TEXT));
        fs::write(&device, &bytes).unwrap();
        assert_eq!(read(&device).unwrap(), Mark::New);
        clear(&device).unwrap();
        assert_eq!(read(&device).unwrap(), Mark::Clear);
        let after = fs::read(&device).unwrap();
        assert!(after[..at].iter().chain(&after[at + LENGTH..]).all(|byte| *byte == 0xee));
        assert_eq!(after.len(), bytes.len());
    }

    #[test]
    fn a_partition_that_is_too_short_or_missing_is_an_error_and_no_mark() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda5");
        assert!(read(&device).is_err());
        fs::write(&device, [0; 4096]).unwrap();
        assert!(read(&device).is_err());
    }

    proptest! {
        #[test]
        fn any_other_sector_permits_nothing(bytes in proptest::collection::vec(any::<u8>(), 512)) {
            prop_assert_ne!(read_sector(&bytes), Mark::New);
        }

        #[test]
        fn one_changed_byte_takes_the_permission_away(at in 0..LENGTH, byte in 1..=255_u8) {
            let mut bytes = sector(STATE_TEXT);
            bytes[at] ^= byte;
            prop_assert_ne!(read_sector(&bytes), Mark::New);
        }
    }
}
