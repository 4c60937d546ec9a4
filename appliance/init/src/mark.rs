//! Reading and clearing the mark that a partition of a new card has. Only where it stands may init format.

use std::io;
use std::path::Path;

use stayput_health::marks::{Mark, Marked, SECTOR};

use crate::sector;

/// Where the marks lie.
#[derive(Debug, Clone, Copy)]
pub struct Marks<'a> {
    /// The device, when there is one.
    pub device: Option<&'a Path>,
    /// Where on it the first begins, in bytes.
    pub at: u64,
}

impl Marks<'_> {
    /// Reads one.
    pub fn read(self, marked: Marked) -> io::Result<Mark> {
        let (device, at) = self.place(marked)?;
        Ok(marked.read(&sector::read(device, at)?))
    }

    /// Clears one, and reads it back from the card rather than from memory.
    pub fn clear(self, marked: Marked) -> io::Result<()> {
        let (device, at) = self.place(marked)?;
        sector::write(device, at, &[0; SECTOR])
    }

    fn place(&self, marked: Marked) -> io::Result<(&Path, u64)> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "its partition is missing");
        Ok((self.device.ok_or_else(missing)?, self.at + marked.offset()))
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
    fn clearing_takes_one_mark_away_and_nothing_beside_it() {
        for (marked, other) in [(Marked::State, Marked::Data), (Marked::Data, Marked::State)] {
            let (_directory, device) = new_card();
            let marks = Marks { device: Some(&device), at: AT };
            let before = fs::read(&device).unwrap();
            assert_eq!(marks.read(marked).unwrap(), Mark::New);
            marks.clear(marked).unwrap();
            assert_eq!(marks.read(marked).unwrap(), Mark::Clear);
            assert_eq!(marks.read(other).unwrap(), Mark::New);
            let after = fs::read(&device).unwrap();
            let at = usize::try_from(AT + marked.offset()).unwrap();
            assert!(after[at..at + SECTOR].iter().all(|byte| *byte == 0));
            assert!(after[..at] == before[..at] && after[at + SECTOR..] == before[at + SECTOR..]);
        }
    }

    #[test]
    fn a_mark_in_another_place_is_none() {
        let (_directory, device) = new_card();
        for elsewhere in [0, AT - 512, AT + 1024] {
            let marks = Marks { device: Some(&device), at: elsewhere };
            assert_eq!(marks.read(Marked::State).unwrap(), Mark::Unknown, "{elsewhere}");
        }
    }

    #[test]
    fn a_partition_that_is_too_short_or_missing_is_an_error_and_no_mark() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda5");
        for there in [Some(&*device), None] {
            assert!(Marks { device: there, at: AT }.read(Marked::Data).is_err());
        }
        fs::write(&device, [0; 4096]).unwrap();
        assert!(Marks { device: Some(&device), at: AT }.read(Marked::Data).is_err());
    }
}
