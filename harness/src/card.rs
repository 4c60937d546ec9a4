//! A card as a file: flashed, looked at, damaged and put into a larger one while no machine runs on it.

use crate::error::{Result, file};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much is copied at a time. A block of zeros this long stays a hole in a new card's file.
const BLOCK: usize = 64 * 1024;

/// A card. Its file stays when this is dropped; the caller knows where it put it.
#[derive(Debug, Clone)]
pub struct Card {
    path: PathBuf,
}

impl Card {
    /// A new card of `size` bytes with `image` on it and zeros behind it.
    pub fn flash(path: &Path, image: &Path, size: u64) -> Result<Self> {
        let card = Self { path: path.to_owned() };
        let new = File::create(path).map_err(file("make", path))?;
        new.set_len(size).map_err(file("set the length of", path))?;
        card.put(image, true)?;
        Ok(card)
    }

    /// A card, or a part of one, that is there already.
    pub fn open_at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Writes the image over it, as `stayput flash` does with a used card: what lies behind the image stays.
    pub fn flash_again(&self, image: &Path) -> Result<()> {
        self.put(image, false)
    }

    /// A copy of it, holes and all.
    pub fn copy(&self, path: &Path) -> Result<Self> {
        let copied = || -> io::Result<()> {
            let (from, to) = (File::open(&self.path)?, File::create(path)?);
            to.set_len(from.metadata()?.len())?;
            copy_data(&from, &to, 0, from.metadata()?.len(), 0)
        };
        copied().map_err(file("copy to", path))?;
        Ok(Self { path: path.to_owned() })
    }

    fn put(&self, image: &Path, leave_holes: bool) -> Result<()> {
        let mut from = File::open(image).map_err(file("open", image))?;
        let to = self.open()?;
        let mut block = vec![0; BLOCK];
        let mut at = 0;
        loop {
            let read = from.read(&mut block).map_err(file("read", image))?;
            if read == 0 {
                return Ok(());
            }
            if !(leave_holes && block[..read].iter().all(|byte| *byte == 0)) {
                to.write_all_at(&block[..read], at).map_err(file("write", &self.path))?;
            }
            at += read as u64;
        }
    }

    fn open(&self) -> Result<File> {
        OpenOptions::new().read(true).write(true).open(&self.path).map_err(file("open", &self.path))
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands at a place.
    pub fn read(&self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.open()?.read_exact_at(&mut bytes, at).map_err(file("read", &self.path))?;
        Ok(bytes)
    }

    /// Puts bytes there.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.open()?.write_all_at(bytes, at).map_err(file("write", &self.path))
    }

    /// Writes the content of a file there.
    pub fn write_file(&self, at: u64, content: &Path) -> Result<()> {
        let copied = || -> io::Result<()> {
            let from = File::open(content)?;
            copy_data(&from, &OpenOptions::new().write(true).open(&self.path)?, 0, from.metadata()?.len(), at)
        };
        copied().map_err(file("write", &self.path))
    }

    /// Makes a file of a part of it.
    pub fn extract(&self, at: u64, length: u64, to: &Path) -> Result<()> {
        let copied = || -> io::Result<()> {
            let file = File::create(to)?;
            file.set_len(length)?;
            let from = File::open(&self.path)?;
            copy_data(&from, &file, at, at + length, 0)
        };
        copied().map_err(file("write", to))
    }

    /// The same bytes on a larger card.
    pub fn enlarge(&self, size: u64) -> Result<()> {
        self.open()?.set_len(size).map_err(file("set the length of", &self.path))
    }
}

/// Copies what is not a hole between `at` and `end` to `place` of another file.
fn copy_data(from: &File, to: &File, at: u64, end: u64, place: u64) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut next = at;
    while next < end {
        let begins = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(next)) {
            Ok(begins) if begins < end => begins,
            // Nothing but a hole from here on.
            Ok(_) | Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let ends = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(begins))?.min(end);
        let mut here = begins;
        while here < ends {
            let length = usize::try_from(ends - here).unwrap_or(BLOCK).min(BLOCK);
            from.read_exact_at(&mut block[..length], here)?;
            to.write_all_at(&block[..length], place + (here - at))?;
            here += length as u64;
        }
        next = ends;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_new_card_is_the_image_and_zeros_and_takes_no_more_room_than_that() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("i");
        let mut bytes = vec![0; 3 * BLOCK + 7];
        bytes[BLOCK + 5] = 9;
        std::fs::write(&image, &bytes).unwrap();
        let card = Card::flash(&dir.path().join("c"), &image, 64 << 20).unwrap();
        assert_eq!(card.read(0, bytes.len()).unwrap(), bytes);
        assert!(std::fs::metadata(card.path()).unwrap().blocks() * 512 <= 3 * BLOCK as u64);
    }

    #[test]
    fn flashing_again_overwrites_with_zeros_too_and_leaves_what_is_behind() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("i");
        std::fs::write(&image, vec![0; 1000]).unwrap();
        let card = Card::flash(&dir.path().join("c"), &image, 8192).unwrap();
        card.write(0, &[1; 4096]).unwrap();
        card.flash_again(&image).unwrap();
        assert_eq!(card.read(999, 3).unwrap(), [0, 1, 1]);
    }

    #[test]
    fn a_part_of_a_card_is_taken_out_and_put_back_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (image, part) = (dir.path().join("i"), dir.path().join("p"));
        std::fs::write(&image, b"").unwrap();
        let card = Card::flash(&dir.path().join("c"), &image, 4 << 20).unwrap();
        card.write((1 << 20) + 100, b"inside").unwrap();
        card.write(3 << 20, b"outside").unwrap();
        card.extract(1 << 20, 1 << 20, &part).unwrap();
        let bytes = std::fs::read(&part).unwrap();
        assert_eq!((bytes.len(), &bytes[100..106]), (1 << 20, &b"inside"[..]));
        card.write_file(2 << 20, &part).unwrap();
        assert_eq!(card.read((2 << 20) + 100, 6).unwrap(), b"inside");
        let copy = card.copy(&dir.path().join("d")).unwrap();
        copy.enlarge(8 << 20).unwrap();
        assert_eq!(copy.read(3 << 20, 7).unwrap(), b"outside");
        assert_eq!(copy.read((8 << 20) - 1, 1).unwrap(), [0]);
    }
}
