//! One sector of a disk, read from it and written to it past the kernel's memory.
//!
//! A write through the kernel's memory would take the whole page with it, seven sectors that are none of ours; and what
//! is read back would come from that page and not from the card. Some cards that are worn out take writes and keep none.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, OFlags, fadvise};

/// The length of a sector.
pub const LENGTH: usize = 512;

/// A sector's bytes.
pub type Sector = [u8; LENGTH];

/// Where the kernel lets a disk write to directly: a page of its own.
#[repr(align(4096))]
struct Page([u8; LENGTH]);

/// Reads the sector that begins at byte `at`.
pub fn read(device: &Path, at: u64) -> io::Result<Sector> {
    let mut page = Page([0; LENGTH]);
    either_way(|past| open(device, false, past)?.read_exact_at(&mut page.0, at))?;
    Ok(page.0)
}

/// Writes the sector that begins at byte `at`, waits for the card, and holds what the card has now against it.
pub fn write(device: &Path, at: u64, sector: &Sector) -> io::Result<()> {
    let page = Page(*sector);
    either_way(|past| {
        let file = open(device, true, past)?;
        file.write_all_at(&page.0, at)?;
        file.sync_all()?;
        // Only where the way past memory is closed: drops the written page, so that the next read goes to the card.
        fadvise(&file, 0, None, Advice::DontNeed).map_err(io::Error::from)
    })?;
    if read(device, at)? == *sector {
        Ok(())
    } else {
        Err(io::Error::other("the card does not keep what is written to it"))
    }
}

/// Past the kernel's memory, or, where a disk with longer sectors or a file in memory refuses that, through it.
fn either_way<T>(mut attempt: impl FnMut(bool) -> io::Result<T>) -> io::Result<T> {
    match attempt(true) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => attempt(false),
        done => done,
    }
}

fn open(device: &Path, write: bool, past_memory: bool) -> io::Result<File> {
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
    let flags = if past_memory { direct } else { 0 };
    OpenOptions::new().read(true).write(write).custom_flags(flags).open(device)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_sector_is_written_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda");
        fs::write(&device, [0xee; 8 * LENGTH]).unwrap();
        write(&device, 1024, &[7; LENGTH]).unwrap();
        assert_eq!(read(&device, 1024).unwrap(), [7; LENGTH]);
        let bytes = fs::read(&device).unwrap();
        assert!(bytes[..1024].iter().chain(&bytes[1536..]).all(|byte| *byte == 0xee));
    }

    #[test]
    fn a_sector_beyond_the_end_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda");
        fs::write(&device, [0; 700]).unwrap();
        for at in [512, 1024] {
            assert!(read(&device, at).is_err(), "{at}");
        }
        assert!(read(&directory.path().join("none"), 0).is_err());
    }

    #[test]
    fn a_card_that_keeps_nothing_is_found_out() {
        // Takes every write and gives zeros.
        let error = write(Path::new("/dev/zero"), 0, &[7; LENGTH]).unwrap_err();
        assert!(error.to_string().contains("does not keep") || error.raw_os_error().is_some(), "{error}");
    }
}
