//! Which file a byte of a partition belongs to. Only ever asked of the image of our own making, never of the card
//! under test: what is damaged or hostile there meets no parser.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;

use backhand::{FilesystemReader, InnerNode};
use stayput_card::fat;

/// A file's bytes in a partition, counted from the partition's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub bytes: Range<u64>,
    /// The file.
    pub name: String,
}

/// The files of a FAT that this crate's builder made: it writes each in one piece.
pub fn in_fat(label: &str, image: &[u8]) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    for (name, bytes) in fat::files(label, image)? {
        let starts = (0..image.len().saturating_sub(bytes.len().max(1)) + 1).step_by(512);
        let found = starts.into_iter().find(|at| !bytes.is_empty() && image[*at..].starts_with(&bytes));
        if let Some(at) = found {
            places.push(Place { bytes: at as u64..(at + bytes.len()) as u64, name });
        }
    }
    Ok(places)
}

/// The files of a squashfs that begins at `offset` of an image: their own blocks, and the blocks that hold the ends of
/// several.
pub fn in_squashfs(image: &File, offset: u64) -> anyhow::Result<Vec<Place>> {
    let system = FilesystemReader::from_reader_with_offset(BufReader::new(image.try_clone()?), offset)?;
    let mut places = Vec::new();
    for node in system.files() {
        let InnerNode::File(file) = &node.inner else { continue };
        let name = node.fullpath.strip_prefix("/").unwrap_or(&node.fullpath).display().to_string();
        let start = file.blocks_start();
        let length: u64 = file.block_sizes().iter().map(|size| u64::from(size.size())).sum();
        if length > 0 {
            places.push(Place { bytes: start..start + length, name: name.clone() });
        }
        // An index that names no fragment means that the file has none.
        let fragment = system.fragments.as_ref().and_then(|all| all.get(file.frag_index()));
        if let Some(fragment) = fragment {
            let end = fragment.start + u64::from(fragment.size.size());
            places.push(Place { bytes: fragment.start..end, name });
        }
    }
    Ok(places)
}

/// The files that these bytes belong to, in the order of the partition, each once, at most `most` of them and then how
/// many more. The first byte that differs is therefore the first file's, or lies before it.
pub fn named(places: &[Place], bytes: &[Range<u64>], most: usize) -> Vec<String> {
    let touched = |place: &&Place| {
        bytes.iter().any(|range| range.start < place.bytes.end && place.bytes.start < range.end)
    };
    let mut places: Vec<_> = places.iter().filter(touched).collect();
    places.sort_by_key(|place| (place.bytes.start, &place.name));
    let mut names: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    names.extend(places.iter().filter(|place| known.insert(&place.name)).map(|place| place.name.clone()));
    let more = names.len().saturating_sub(most);
    names.truncate(most);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_card::layout::Fat;
    use stayput_rootfs::{Node, Tree, squashfs};

    fn named_at(places: &[Place], byte: u64) -> Vec<String> {
        named(places, std::slice::from_ref(&(byte..byte + 1)), 3)
    }

    #[test]
    fn a_byte_of_a_fat_is_named_by_its_file() {
        let fat = Fat { bits: 16, label: "SLOT".into(), serial: 1 };
        let kernel: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let files = [
            fat::File { name: "slot.scr", bytes: b"script" },
            fat::File { name: "Image.gz", bytes: &kernel },
            fat::File { name: "empty", bytes: b"" },
        ];
        let image = fat::image(&fat, 8 << 20, &files).unwrap();
        let places = in_fat("SLOT", &image).unwrap();
        let at = |needle: &[u8]| image.windows(needle.len()).position(|seen| seen == needle).unwrap() as u64;
        let inside = at(&kernel[..64]) + 99_999;
        assert_eq!(named_at(&places, inside), ["Image.gz"]);
        let script = at(b"script");
        assert_eq!(named(&places, &[script..script + 1, inside..inside + 1], 3), ["slot.scr", "Image.gz"]);
        assert!(named_at(&places, 0).is_empty(), "the boot sector is no file's");
    }

    #[test]
    fn a_byte_of_the_root_is_named_by_the_file_whose_block_it_is() {
        let mut tree = Tree::new();
        let noise: Vec<u8> = (0..60_000u64).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        tree.insert("usr/bin/large", Node::file(noise, 0o755, "t")).unwrap();
        tree.insert("etc/small", Node::file("a few bytes", 0o644, "t")).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(4096)).unwrap();
        let settings = squashfs::Settings { level: 3, block_size: 4096, epoch: 0 };
        let mut bytes = std::io::Cursor::new(Vec::new());
        squashfs::write(&tree, &mut bytes, &settings).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, bytes.get_ref(), 4096).unwrap();
        let places = in_squashfs(&file, 4096).unwrap();
        let large = places.iter().find(|place| place.name == "usr/bin/large").unwrap();
        let inside = large.bytes.start + 10;
        assert_eq!(named_at(&places, inside), ["usr/bin/large"]);
        assert!(places.iter().any(|place| place.name == "etc/small"));
    }

    #[test]
    fn a_long_list_of_files_ends_with_how_many_more() {
        let places: Vec<_> = (0..9).map(|n| Place { bytes: 0..10, name: format!("f{n}") }).collect();
        assert_eq!(named(&places, std::slice::from_ref(&(5..6)), 2), ["f0", "f1", "7 more"]);
    }
}
