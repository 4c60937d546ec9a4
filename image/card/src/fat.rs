//! A FAT file system in memory: a root directory of files, the same bytes every time.

use std::io::{Cursor, Write};

use crate::layout::Fat;
use crate::{Error, Result};

/// A file for the root directory.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its name, without a directory.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// The file system of `size` bytes with these files in its root directory, in the order given.
pub fn image(fat: &Fat, size: u64, files: &[File<'_>]) -> Result<Vec<u8>> {
    check_names(&fat.label, files)?;
    let problem = |error: std::io::Error| Error::Fat { label: fat.label.clone(), problem: error.to_string() };
    let length = usize::try_from(size).map_err(|_| Error::Fat {
        label: fat.label.clone(),
        problem: format!("{size} bytes do not fit this machine's memory"),
    })?;
    if size < crate::MIB {
        let problem = format!("{size} bytes are too few; make the partition larger in image/card.toml");
        return Err(Error::Fat { label: fat.label.clone(), problem });
    }
    let mut disk = Cursor::new(vec![0; length]);
    let mut label = [b' '; 11];
    for (place, byte) in label.iter_mut().zip(fat.label.bytes()) {
        *place = byte;
    }
    let kind = if fat.bits == 32 { fatfs::FatType::Fat32 } else { fatfs::FatType::Fat16 };
    let options = fatfs::FormatVolumeOptions::new().fat_type(kind).volume_id(fat.serial).volume_label(label);
    fatfs::format_volume(&mut disk, options).map_err(problem)?;
    {
        let options = fatfs::FsOptions::new().time_provider(&Fixed);
        let system = fatfs::FileSystem::new(&mut disk, options).map_err(problem)?;
        // Asked before writing: the crate's own word for a full disk names neither the file nor the size.
        let stats = system.stats().map_err(problem)?;
        check_kind(fat, stats.total_clusters())?;
        check_room(fat, u64::from(stats.cluster_size()), u64::from(stats.free_clusters()), files)?;
        {
            let root = system.root_dir();
            for file in files {
                let mut entry = root.create_file(file.name).map_err(problem)?;
                entry.write_all(file.bytes).map_err(problem)?;
                entry.flush().map_err(problem)?;
            }
        }
        system.unmount().map_err(problem)?;
    }
    Ok(disk.into_inner())
}

/// The files of a FAT, by name: what a built image really holds.
pub fn files(label: &str, image: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let problem = |error: std::io::Error| Error::Fat { label: label.to_owned(), problem: error.to_string() };
    let mut copy = image.to_vec();
    let system = fatfs::FileSystem::new(Cursor::new(&mut copy), fatfs::FsOptions::new()).map_err(problem)?;
    let mut found = Vec::new();
    for entry in system.root_dir().iter() {
        let entry = entry.map_err(problem)?;
        if entry.is_file() {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry.to_file(), &mut bytes).map_err(problem)?;
            found.push((entry.file_name(), bytes));
        }
    }
    Ok(found)
}

/// A system reads the width of a FAT from its number of clusters, whatever the header says; the crate does not check.
fn check_kind(fat: &Fat, clusters: u32) -> Result<()> {
    let right = if fat.bits == 32 { clusters >= 65_525 } else { (4_085..65_525).contains(&clusters) };
    if right {
        return Ok(());
    }
    let problem = format!(
        "with {clusters} clusters it is no FAT of {} bits; give the partition another size or other bits in image/card.toml",
        fat.bits
    );
    Err(Error::Fat { label: fat.label.clone(), problem })
}

fn check_room(fat: &Fat, cluster: u64, free: u64, files: &[File<'_>]) -> Result<()> {
    let needed: u64 = files.iter().map(|file| (file.bytes.len() as u64).next_multiple_of(cluster)).sum();
    if needed <= cluster * free {
        return Ok(());
    }
    let largest = files.iter().max_by_key(|file| file.bytes.len());
    Err(Error::FatFull {
        label: fat.label.clone(),
        available: cluster * free,
        needed,
        largest: largest.map(|file| file.name.to_owned()).unwrap_or_default(),
        largest_size: largest.map_or(0, |file| file.bytes.len() as u64),
    })
}

fn check_names(label: &str, files: &[File<'_>]) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for file in files {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        let problem = if file.name.is_empty() || file.name.len() > 100 {
            "a name has 1 to 100 characters"
        } else if !file.name.bytes().all(allowed) {
            "use letters, digits and - _ . + only (no directories)"
        } else if file.name.starts_with('.') || file.name.ends_with('.') {
            "a name neither starts nor ends with a dot"
        } else if !seen.insert(file.name.to_ascii_lowercase()) {
            "another file has this name, and FAT does not tell case apart"
        } else if file.bytes.len() as u64 > u64::from(u32::MAX) {
            "a file on FAT is smaller than 4 GiB"
        } else {
            continue;
        };
        return Err(Error::FatName { name: file.name.to_owned(), label: label.to_owned(), problem });
    }
    Ok(())
}

/// The first moment that FAT knows, for every file: no build may leave its own time behind.
#[derive(Debug)]
struct Fixed;

impl fatfs::TimeProvider for Fixed {
    fn get_current_date(&self) -> fatfs::Date {
        fatfs::Date { year: 1980, month: 1, day: 1 }
    }
    fn get_current_date_time(&self) -> fatfs::DateTime {
        let time = fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 };
        fatfs::DateTime { date: self.get_current_date(), time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 8 * 1024 * 1024;

    fn slot() -> Fat {
        Fat { bits: 16, label: "SLOT".into(), serial: 0x5354_0006 }
    }

    fn file<'a>(name: &'a str, bytes: &'a [u8]) -> File<'a> {
        File { name, bytes }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let big = vec![7; 100_000];
        let given = [file("Image.gz", &big), file("sun50i-h5-nanopi-neo2.dtb", b"tree"), file("empty", b"")];
        let made = image(&slot(), SIZE, &given).unwrap();
        let found = files("SLOT", &made).unwrap();
        let expected: Vec<_> = given.iter().map(|file| (file.name.to_owned(), file.bytes.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn two_images_of_the_same_files_are_the_same_bytes() {
        let make = || image(&slot(), SIZE, &[file("slot.scr", b"text")]).unwrap();
        assert_eq!(make(), make());
    }

    #[test]
    fn files_that_do_not_fit_are_refused_with_the_largest_by_name() {
        let big = vec![0; SIZE as usize];
        let error = image(&slot(), SIZE, &[file("small", b"x"), file("Image.gz", &big)]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("SLOT holds") && text.contains("'Image.gz', 8388608"), "{text}");
    }

    #[test]
    fn names_that_a_root_directory_cannot_hold_are_refused() {
        for name in ["", "a/b", "dtb\\x", "con:", ".", "..", ".hidden", "dot.", "caf\u{e9}", &"x".repeat(101)]
        {
            assert!(matches!(image(&slot(), SIZE, &[file(name, b"")]), Err(Error::FatName { .. })), "{name}");
        }
        let twins = [file("boot.scr", b"1"), file("BOOT.SCR", b"2")];
        assert!(image(&slot(), SIZE, &twins).unwrap_err().to_string().contains("case"));
    }

    #[test]
    fn a_partition_too_small_or_too_large_for_its_fat_is_refused() {
        let fat = Fat { bits: 32, ..slot() };
        assert!(matches!(image(&fat, SIZE, &[]), Err(Error::Fat { .. })));
        assert!(matches!(image(&slot(), 1024 * 1024, &[]), Err(Error::Fat { .. })));
        assert!(matches!(image(&slot(), 0, &[]), Err(Error::Fat { .. })));
    }
}
