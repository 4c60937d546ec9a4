//! Reading and clearing the mark that the state partition of a new card has. Only where it stands may init format.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, fadvise};
use stayput_health::marks::{Mark, Marked, SECTOR};

/// Reads the state partition's mark; the first of the marks is at `first` on `device`.
pub fn read(device: &Path, first: u64) -> io::Result<Mark> {
    let mut sector = [0; SECTOR];
    File::open(device)?.read_exact_at(&mut sector, first + Marked::State.offset())?;
    Ok(Marked::State.read(&sector))
}

/// Clears the state partition's mark, and reads it back from the card rather than from memory.
pub fn clear(device: &Path, first: u64) -> io::Result<()> {
    let at = first + Marked::State.offset();
    let file = OpenOptions::new().read(true).write(true).open(device)?;
    file.write_all_at(&[0; SECTOR], at)?;
    file.sync_all()?;
    // Drops the written page, so that the next read goes to the card: some that are worn out take writes and keep none.
    fadvise(&file, 0, None, Advice::DontNeed)?;
    let mut sector = [0xff; SECTOR];
    file.read_exact_at(&mut sector, at)?;
    match Marked::State.read(&sector) {
        Mark::Clear => Ok(()),
        Mark::New | Mark::Unknown => Err(io::Error::other("the card does not keep what is written to it")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Not where the card of this tree has it: the place is the command line's to say.
    pub(crate) const AT: u64 = 1 << 20;

    /// A partition with the marks of a new card, and other bytes around them.
    pub(crate) fn new_card() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda5");
        let mut bytes = vec![0xee; (2 << 20) - 3];
        for marked in Marked::ALL {
            let at = usize::try_from(AT + marked.offset()).unwrap();
            bytes[at..at + SECTOR].copy_from_slice(&marked.sector());
        }
        fs::write(&device, &bytes).unwrap();
        (directory, device)
    }

    #[test]
    fn clearing_takes_the_mark_away_and_nothing_beside_it() {
        let (_directory, device) = new_card();
        let before = fs::read(&device).unwrap();
        assert_eq!(read(&device, AT).unwrap(), Mark::New);
        clear(&device, AT).unwrap();
        assert_eq!(read(&device, AT).unwrap(), Mark::Clear);
        let after = fs::read(&device).unwrap();
        let at = usize::try_from(AT).unwrap();
        assert!(after[at..at + SECTOR].iter().all(|byte| *byte == 0));
        assert!(after[..at] == before[..at] && after[at + SECTOR..] == before[at + SECTOR..]);
    }

    #[test]
    fn a_mark_in_another_place_is_none() {
        let (_directory, device) = new_card();
        for elsewhere in [0, AT - 512, AT + 512] {
            assert_eq!(read(&device, elsewhere).unwrap(), Mark::Unknown, "{elsewhere}");
        }
    }

    #[test]
    fn a_partition_that_is_too_short_or_missing_is_an_error_and_no_mark() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda5");
        assert!(read(&device, AT).is_err());
        fs::write(&device, [0; 4096]).unwrap();
        assert!(read(&device, AT).is_err());
    }
}
