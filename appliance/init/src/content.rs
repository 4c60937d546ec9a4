//! What a partition holds, as far as it decides on formatting. Reads everything that can speak against it, writes only
//! to take away what an earlier attempt at making a file system left.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::signature;
use crate::superblock::{self, MAKING_LABEL, Place, Superblock};

/// What was found on a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The file system that belongs here, whole.
    Ours,
    /// One of ours that was never finished, so nothing has been kept on it.
    Making,
    /// A file system or something else that holds data, in words.
    Foreign(String),
    /// A file system of the ext family whose first super block is gone and whose copies are there.
    Beheaded {
        /// Its label.
        label: String,
        /// The size of its blocks.
        block: u64,
        /// The block of a copy, for the repair.
        copy: u64,
        /// Whether all its copies are there and of one kind, so that the head alone is damaged. What another use of the
        /// card has left of an earlier file system has gaps.
        whole: bool,
    },
    /// Nothing that is recognised: zeros, or what a used card had there.
    Nothing,
}

/// Looks at the partition where a file system labelled `ours` belongs. That a part of it cannot be read is an error: what is not seen may be data.
pub fn look(device: &Path, ours: &str) -> io::Result<Content> {
    let mut file = File::open(device)?;
    let size = file.seek(SeekFrom::End(0))?;
    let mut first = [0; superblock::LENGTH];
    file.read_exact_at(&mut first, superblock::START)?;
    if let Some(Superblock { label, .. }) = Superblock::parse(&first) {
        return Ok(match label.as_str() {
            label if label == ours => Content::Ours,
            MAKING_LABEL => Content::Making,
            "" => Content::Foreign("an ext file system without a label".to_owned()),
            _ => Content::Foreign(format!("an ext file system labelled '{label}'")),
        });
    }
    if let Some(what) = signature::find(size, &mut |at, bytes| file.read_exact_at(bytes, at))? {
        return Ok(Content::Foreign(what.to_owned()));
    }
    let copies = copies(&file, size)?;
    Ok(match copies.iter().find(|(_, copy)| copy.label != MAKING_LABEL) {
        Some((place, copy)) => {
            let (block, number) = place.block();
            let whole = all_there(&copies, copy, size);
            Content::Beheaded { label: copy.label.clone(), block, copy: number, whole }
        }
        None if copies.is_empty() => Content::Nothing,
        // Of the super blocks the first is written last.
        None => Content::Making,
    })
}

/// Whether each copy of the file system that `one` speaks of is in its place.
fn all_there(copies: &[(Place, Superblock)], one: &Superblock, size: u64) -> bool {
    let places = superblock::copies(one.bytes().min(size));
    let mut places = places.iter().filter(|place| place.belongs_to(one)).peekable();
    let alike = |found: &Superblock| (&found.label, found.uuid) == (&one.label, one.uuid);
    places.peek().is_some()
        && places.all(|place| copies.iter().any(|(there, found)| there == place && alike(found)))
}

/// The sizes of the partition and of the ext file system whose first super block is there.
pub fn sizes(device: &Path) -> io::Result<(u64, Option<u64>)> {
    let mut file = File::open(device)?;
    let size = file.seek(SeekFrom::End(0))?;
    let mut first = [0; superblock::LENGTH];
    file.read_exact_at(&mut first, superblock::START)?;
    Ok((size, Superblock::parse(&first).map(|found| found.bytes())))
}

/// Whether a copy still has the label of a file system that is being made.
pub fn copies_lag(device: &Path) -> io::Result<bool> {
    let mut file = File::open(device)?;
    let size = file.seek(SeekFrom::End(0))?;
    Ok(copies(&file, size)?.iter().any(|(_, copy)| copy.label == MAKING_LABEL))
}

/// Takes away the copies of the super block of a half-made file system.
///
/// Some may have the final label already while the first has not. Making it again begins by taking away the first, and a
/// power cut right then would leave what looks like a file system in use that lost its head.
pub fn remove_copies(device: &Path) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(device)?;
    let size = file.seek(SeekFrom::End(0))?;
    for (place, _) in copies(&file, size)? {
        file.write_all_at(&[0; superblock::LENGTH], place.at)?;
    }
    file.sync_all()
}

fn copies(file: &File, size: u64) -> io::Result<Vec<(Place, Superblock)>> {
    let mut found = Vec::new();
    for place in superblock::copies(size) {
        let mut bytes = [0; superblock::LENGTH];
        file.read_exact_at(&mut bytes, place.at)?;
        found.extend(
            Superblock::parse(&bytes).filter(|copy| place.is_home_of(copy)).map(|copy| (place, copy)),
        );
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::superblock::tests::labelled;

    pub(crate) const SIZE: u64 = 512 << 20;

    /// What belongs on a partition in these tests.
    pub(crate) const OURS: &str = "stayput-state";

    /// A partition of the card's size that takes no room; the folder goes with it.
    pub(crate) fn partition() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda10");
        File::create(&device).unwrap().set_len(SIZE).unwrap();
        (directory, device)
    }

    pub(crate) fn put(device: &Path, at: u64, bytes: &[u8]) {
        File::options().write(true).open(device).unwrap().write_all_at(bytes, at).unwrap();
    }

    /// Puts the first super block (0) or a copy.
    pub(crate) fn put_superblock(device: &Path, number: usize, label: &str) {
        let place = number.checked_sub(1).map(|copy| superblock::copies(SIZE)[copy]);
        let at = place.map_or(superblock::START, |place| place.at);
        put(device, at, &labelled(label.as_bytes(), place));
    }

    #[test]
    fn the_first_super_blocks_label_decides_whether_it_is_ours() {
        let (_directory, device) = partition();
        assert_eq!(look(&device, OURS).unwrap(), Content::Nothing);
        put_superblock(&device, 0, OURS);
        assert_eq!(look(&device, OURS).unwrap(), Content::Ours);
        put_superblock(&device, 0, MAKING_LABEL);
        assert_eq!(look(&device, OURS).unwrap(), Content::Making);
        for other in ["", "stayput", "stayput-data", "stayput-state2", "STAYPUT-STATE", "stayput-makin"] {
            put_superblock(&device, 0, other);
            let Content::Foreign(what) = look(&device, OURS).unwrap() else {
                panic!("{other:?} is not ours")
            };
            assert!(what.contains(if other.is_empty() { "without a label" } else { other }), "{what}");
        }
    }

    #[test]
    fn one_copy_that_is_left_speaks_for_the_file_system_whose_head_is_gone() {
        for number in 1..=superblock::copies(SIZE).len() {
            let (_directory, device) = partition();
            put_superblock(&device, number, OURS);
            let Content::Beheaded { label, block, copy, whole } = look(&device, OURS).unwrap() else {
                panic!("copy {number} was overlooked");
            };
            assert_eq!((label.as_str(), whole), (OURS, false));
            assert_eq!(superblock::copies(SIZE)[number - 1].at, block * copy);
        }
    }

    #[test]
    fn a_file_system_is_whole_but_for_its_head_only_where_every_copy_is_there() {
        let (_directory, device) = partition();
        let whole = || matches!(look(&device, OURS).unwrap(), Content::Beheaded { whole: true, .. });
        put_superblock(&device, 1, OURS);
        assert!(!whole());
        put_superblock(&device, 2, OURS);
        assert!(whole());
        // Of another file system, from another life of the card.
        put(&device, superblock::copies(SIZE)[1].at + 0x68, b"another");
        assert!(!whole());
    }

    #[test]
    fn the_copies_of_an_unfinished_file_system_are_not_taken_for_one_in_use() {
        let (_directory, device) = partition();
        put_superblock(&device, 1, MAKING_LABEL);
        assert_eq!(look(&device, OURS).unwrap(), Content::Making);
        put_superblock(&device, 2, OURS);
        assert!(matches!(look(&device, OURS).unwrap(), Content::Beheaded { .. }));
    }

    #[test]
    fn a_copy_from_a_file_system_that_began_elsewhere_is_nothing() {
        let (_directory, device) = partition();
        let places = superblock::copies(SIZE);
        put(&device, places[0].at, &labelled(b"old", Some(places[1])));
        assert_eq!(look(&device, OURS).unwrap(), Content::Nothing);
    }

    #[test]
    fn leftovers_without_a_file_system_are_nothing() {
        let (_directory, device) = partition();
        // No signature and no pattern that repeats with one of their places.
        let noise: Vec<u8> =
            (0_u32..1 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
        for at in [0, 8 << 20, 32 << 20, 64 << 20, 128 << 20, 384 << 20, SIZE - (1 << 20)] {
            put(&device, at, &noise);
        }
        assert_eq!(look(&device, OURS).unwrap(), Content::Nothing);
    }

    #[test]
    fn a_stranger_that_took_the_place_of_an_unfinished_file_system_is_seen() {
        let (_directory, device) = partition();
        put_superblock(&device, 1, MAKING_LABEL);
        put(&device, 0, b"XFSB");
        assert_eq!(look(&device, OURS).unwrap(), Content::Foreign("an XFS file system".to_owned()));
    }

    #[test]
    fn only_the_copies_at_their_places_are_removed() {
        let (_directory, device) = partition();
        for number in 0..3 {
            put_superblock(&device, number, MAKING_LABEL);
        }
        let place = superblock::copies(SIZE)[0];
        put(&device, place.at + 1024, b"precious");
        assert!(copies_lag(&device).unwrap());
        remove_copies(&device).unwrap();
        assert!(!copies_lag(&device).unwrap());
        assert_eq!(look(&device, OURS).unwrap(), Content::Making);
        let mut after = [0; 8];
        File::open(&device).unwrap().read_exact_at(&mut after, place.at + 1024).unwrap();
        assert_eq!(&after, b"precious");
    }

    #[test]
    fn a_partition_that_is_shorter_than_a_super_block_is_an_error() {
        let (_directory, device) = partition();
        File::options().write(true).open(&device).unwrap().set_len(1024).unwrap();
        assert!(look(&device, OURS).is_err());
    }
}
