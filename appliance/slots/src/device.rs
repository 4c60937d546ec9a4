//! The raw partition that holds boot state and notes: sectors read from and written to the card itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use crate::environment::SECTOR;
use crate::{Arguments, BootState, Copies, Error, Record, Result, Slot};

/// The partition, opened for each use: nothing is held while nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    path: PathBuf,
    copies_at: [u64; 2],
    notes_at: [u64; 2],
}

impl Device {
    /// The partition at `path`, with the places that the boot arguments give.
    pub fn new(path: impl Into<PathBuf>, arguments: &Arguments) -> Self {
        Self { path: path.into(), copies_at: arguments.copies_at, notes_at: arguments.notes_at }
    }

    /// The boot state.
    pub fn read(&self) -> Result<Copies> {
        let [first, second] = self.copies_at;
        Ok(Copies::read([&self.sector(first)?, &self.sector(second)?]))
    }

    /// Changes the boot state: the copy that decides stays as it is until the other one is on the card. A change that
    /// changes nothing writes nothing.
    pub fn change(&self, change: impl FnOnce(BootState) -> BootState) -> Result<BootState> {
        let copies = self.read()?;
        let changed = change(copies.state);
        if changed == copies.state {
            return Ok(changed);
        }
        let (next, copy) = copies.next(|_| changed);
        self.write(self.copies_at[copy], &next.sector()?)?;
        Ok(next)
    }

    /// A slot's note.
    pub fn note(&self, slot: Slot) -> Result<Record> {
        Record::parse(&self.sector(self.note_at(slot))?)
    }

    /// Takes a slot's note.
    pub fn take_note(&self, slot: Slot, record: &Record) -> Result<()> {
        self.write(self.note_at(slot), &record.sector()?)
    }

    fn note_at(&self, slot: Slot) -> u64 {
        match slot {
            Slot::A => self.notes_at[0],
            Slot::B => self.notes_at[1],
        }
    }

    fn sector(&self, at: u64) -> Result<[u8; SECTOR]> {
        let file = File::open(&self.path).map_err(self.failed("open"))?;
        read(&file, at).map_err(self.failed("read"))
    }

    /// Writes a sector and reads it back from the card rather than from memory.
    fn write(&self, at: u64, sector: &[u8; SECTOR]) -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(self.failed("open"))?;
        file.write_all_at(sector, at).and_then(|()| file.sync_all()).map_err(self.failed("write"))?;
        // Drops the written page: some cards that are worn out take writes and keep none.
        fadvise(&file, 0, None, Advice::DontNeed)
            .map_err(io::Error::from)
            .map_err(self.failed("read back"))?;
        let kept = read(&file, at).map_err(self.failed("read back"))?;
        if kept == *sector { Ok(()) } else { Err(Error::NotKept { path: self.path.clone(), at }) }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Io { action, path, source }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read(file: &File, at: u64) -> io::Result<[u8; SECTOR]> {
    let mut sector = [0; SECTOR];
    file.read_exact_at(&mut sector, at)?;
    Ok(sector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, Origin, Standing, Tries};

    fn card() -> (tempfile::TempDir, Device) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vda5");
        std::fs::write(&path, vec![0; 1 << 20]).unwrap();
        let device = Device { path, copies_at: [0, 0x4_0000], notes_at: [0x2_0000, 0x6_0000] };
        (directory, device)
    }

    #[test]
    fn a_new_card_holds_nothing_and_reads_as_new() {
        let (_directory, device) = card();
        let read = device.read().unwrap();
        assert_eq!((read.state, read.origin), (BootState::new_card(), Origin::Neither));
        assert!(device.note(Slot::A).is_err());
    }

    #[test]
    fn a_change_leaves_the_copy_that_decided_as_it_was() {
        let (_directory, device) = card();
        device.change(|state| state.with(Slot::A, Standing::Good)).unwrap();
        let before = std::fs::read(device.path()).unwrap();
        let changed = device.change(|state| state.with(Slot::B, Standing::Copying)).unwrap();
        let after = std::fs::read(device.path()).unwrap();
        assert_eq!(before[..512], after[..512]);
        assert_ne!(before[0x4_0000..0x4_0200], after[0x4_0000..0x4_0200]);
        assert_eq!(changed.generation, Generation::new(2).unwrap());
        let read = device.read().unwrap();
        assert_eq!((read.state, read.origin), (changed, Origin::Both));
        assert_eq!(read.state.slot(Slot::A).tries, Tries::ALL);
        assert!(!read.state.slot(Slot::B).standing.is_usable());
    }

    #[test]
    fn a_change_that_changes_nothing_spares_the_card() {
        let (_directory, device) = card();
        let first = device.change(|state| state.with(Slot::A, Standing::Good)).unwrap();
        let second = device.change(|state| state.with(Slot::A, Standing::Good)).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn notes_lie_apart_from_each_other_and_from_the_copies() {
        let (_directory, device) = card();
        device.change(|state| state.with(Slot::A, Standing::Good)).unwrap();
        let state = device.read().unwrap();
        for (slot, stage) in [(Slot::A, "root"), (Slot::B, "state")] {
            device.take_note(slot, &Record::new(Generation::new(7).unwrap(), stage).unwrap()).unwrap();
        }
        assert_eq!(device.note(Slot::A).unwrap().stage_of(Generation::new(7).unwrap()), Some("root"));
        assert_eq!(device.note(Slot::B).unwrap().stage_of(Generation::new(7).unwrap()), Some("state"));
        assert_eq!(device.read().unwrap(), state);
    }

    #[test]
    fn a_partition_that_is_missing_or_too_short_is_an_error_that_names_it() {
        let (directory, device) = card();
        std::fs::write(device.path(), vec![0; 4096]).unwrap();
        assert!(device.read().unwrap_err().to_string().contains("vda5"));
        let missing = Device { path: directory.path().join("vda6"), ..device };
        assert!(missing.read().unwrap_err().to_string().contains("vda6"));
    }
}
