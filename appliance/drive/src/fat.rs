//! Where a file of a FAT32 file system lies on its device, so that it can be overwritten in place.
//!
//! Nothing of the file system itself is ever written: not the table, not the directory, not a time stamp. So a power cut in
//! the middle leaves a text that is half new, and a drive that every PC still opens.

use std::io::{self, Read, Seek, SeekFrom};

/// A stretch of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub at: u64,
    /// How long it is.
    pub length: u64,
}

/// Why a file cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The device refused.
    #[error("could not be read: {0}")]
    Io(#[from] io::Error),
    /// Not what the image's builder made.
    #[error("is no FAT32 file system as the image has it: {0}")]
    NotOurs(&'static str),
    /// The root folder has no such file.
    #[error("has no file {0} in its root folder any more; write the image to the card again to have it back")]
    Missing(String),
    /// Somebody saved it anew.
    #[error("has a file {name} of {found} bytes; expected {expected}, which only the image makes")]
    Size {
        /// The file.
        name: String,
        /// Its size.
        found: u64,
        /// The size that it was made with.
        expected: u64,
    },
    /// No honest file is so long.
    #[error("has a file {name} of {found} bytes, more than the {longest} allowed")]
    Long {
        /// The file.
        name: String,
        /// Its size.
        found: u64,
        /// The most.
        longest: u64,
    },
    /// A chain of clusters that leads nowhere.
    #[error("is damaged: the chain of clusters at {0} leads nowhere; let a PC check the drive")]
    Chain(u32),
}

const SECTOR: u64 = 512;
/// Half a megabyte in the smallest clusters; the longest settings have half of that.
const MOST_CLUSTERS: usize = 1024;

struct Volume<D> {
    device: D,
    cluster: u64,
    table: u64,
    data: u64,
    clusters: u32,
    root: u32,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it lies, in order.
    pub extents: Vec<Extent>,
    /// How long it is.
    pub size: u64,
}

/// The file `name` in the root folder, whatever its capitals; `longest` is what an honest one has at most.
pub fn find<D: Read + Seek>(device: D, name: &str, longest: u64) -> Result<Found, Unfit> {
    let mut volume = Volume::open(device)?;
    let missing = || Unfit::Missing(name.to_owned());
    let mut long = Long::default();
    for cluster in volume.chain(volume.root)? {
        let folder = volume.read(volume.place(cluster)?, volume.cluster)?;
        for entry in folder.chunks_exact(32) {
            match (entry[0], entry[11]) {
                (0, _) => return Err(missing()),
                (0xe5, _) => long = Long::default(),
                (_, LONG) => long.take(entry),
                // A label or a folder.
                (_, kind) if kind & 0x18 != 0 => long = Long::default(),
                _ => {
                    let called = std::mem::take(&mut long).name_of(entry).unwrap_or_else(|| short(entry));
                    if !called.eq_ignore_ascii_case(name) {
                        continue;
                    }
                    let size = u64::from(u32_at(entry, 28));
                    if size > longest {
                        return Err(Unfit::Long { name: name.to_owned(), found: size, longest });
                    }
                    let first = u32::from(u16_at(entry, 20)) << 16 | u32::from(u16_at(entry, 26));
                    let extents = if size == 0 { Vec::new() } else { volume.extents(first, size)? };
                    return Ok(Found { extents, size });
                }
            }
        }
    }
    Err(missing())
}

/// The file `name`, whose size must be `size`.
pub fn find_sized<D: Read + Seek>(device: D, name: &str, size: u64) -> Result<Found, Unfit> {
    let sized = |found: u64| Unfit::Size { name: name.to_owned(), found, expected: size };
    match find(device, name, size) {
        Ok(found) if found.size == size => Ok(found),
        Ok(found) => Err(sized(found.size)),
        Err(Unfit::Long { found, .. }) => Err(sized(found)),
        Err(other) => Err(other),
    }
}

/// The attributes of a long name's piece.
const LONG: u8 = 0x0f;

/// The pieces of a long name that stand before its entry.
#[derive(Debug, Default)]
struct Long {
    units: Vec<u16>,
    sum: u8,
}

impl Long {
    fn take(&mut self, entry: &[u8]) {
        // The last piece comes first.
        if entry[0] & 0x40 != 0 {
            *self = Self { units: Vec::new(), sum: entry[13] };
        }
        let places = [1..11, 14..26, 28..32];
        let piece =
            places.into_iter().flat_map(|place| entry[place].chunks_exact(2)).map(|two| u16_at(two, 0));
        let fresh: Vec<u16> = piece.take_while(|unit| *unit != 0).collect();
        // A name has twenty pieces at most.
        if self.units.len() < 20 * 13 {
            self.units.splice(..0, fresh);
        }
    }

    /// The long name of this entry; none where the pieces belong to another, which some program has taken away.
    fn name_of(self, entry: &[u8]) -> Option<String> {
        let sum = entry[..11].iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        (!self.units.is_empty() && self.sum == sum).then(|| String::from_utf16_lossy(&self.units))
    }
}

/// An entry's name of eight and three.
fn short(entry: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (base, extension) = (text(&entry[..8]), text(&entry[8..11]));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

impl<D: Read + Seek> Volume<D> {
    fn open(mut device: D) -> Result<Self, Unfit> {
        let mut boot = [0; SECTOR as usize];
        device.seek(SeekFrom::Start(0))?;
        device.read_exact(&mut boot)?;
        if boot[510..] != [0x55, 0xaa] || u16_at(&boot, 17) != 0 || u16_at(&boot, 22) != 0 {
            return Err(Unfit::NotOurs("no FAT32 boot sector"));
        }
        if u64::from(u16_at(&boot, 11)) != SECTOR || !boot[13].is_power_of_two() {
            return Err(Unfit::NotOurs("sectors or clusters of an odd size"));
        }
        let reserved = u64::from(u16_at(&boot, 14));
        let tables = u64::from(boot[16]) * u64::from(u32_at(&boot, 36));
        let sectors = u64::from(u32_at(&boot, 32));
        let data = reserved + tables;
        let clusters = sectors.checked_sub(data).map(|left| left / u64::from(boot[13]));
        let clusters = clusters.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        let Some(clusters) = clusters else { return Err(Unfit::NotOurs("no room for files")) };
        Ok(Self {
            device,
            cluster: u64::from(boot[13]) * SECTOR,
            table: reserved * SECTOR,
            data: data * SECTOR,
            clusters,
            root: u32_at(&boot, 44),
        })
    }

    fn read(&mut self, at: u64, length: u64) -> Result<Vec<u8>, Unfit> {
        let mut bytes =
            vec![0; usize::try_from(length).map_err(|_| Unfit::NotOurs("clusters are too large"))?];
        self.device.seek(SeekFrom::Start(at))?;
        self.device.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Where a cluster lies.
    fn place(&self, cluster: u32) -> Result<u64, Unfit> {
        let index =
            cluster.checked_sub(2).filter(|index| *index < self.clusters).ok_or(Unfit::Chain(cluster))?;
        Ok(self.data + u64::from(index) * self.cluster)
    }

    fn chain(&mut self, first: u32) -> Result<Vec<u32>, Unfit> {
        let mut chain = Vec::new();
        let mut next = first;
        while next < 0x0fff_fff8 {
            self.place(next)?;
            if chain.len() >= MOST_CLUSTERS {
                return Err(Unfit::Chain(first));
            }
            chain.push(next);
            next = u32_at(&self.read(self.table + u64::from(next) * 4, 4)?, 0) & 0x0fff_ffff;
        }
        Ok(chain)
    }

    fn extents(&mut self, first: u32, size: u64) -> Result<Vec<Extent>, Unfit> {
        let mut left = size;
        let mut extents: Vec<Extent> = Vec::new();
        for cluster in self.chain(first)? {
            let (at, length) = (self.place(cluster)?, left.min(self.cluster));
            if length == 0 {
                break;
            }
            left -= length;
            match extents.last_mut().filter(|last| last.at + last.length == at) {
                Some(last) => last.length += length,
                None => extents.push(Extent { at, length }),
            }
        }
        if left > 0 { Err(Unfit::Chain(first)) } else { Ok(extents) }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
    use proptest::prelude::*;
    use std::io::{Cursor, Write};

    /// A drive as the builder makes it, with a file that lies in two pieces.
    fn drive() -> Vec<u8> {
        let mut bytes = vec![0; 40 << 20];
        let options = FormatVolumeOptions::new().fat_type(FatType::Fat32).bytes_per_cluster(512);
        format_volume(Cursor::new(&mut bytes), options).unwrap();
        let fs = FileSystem::new(Cursor::new(&mut bytes), FsOptions::new()).unwrap();
        let root = fs.root_dir();
        let mut text = root.create_file("STATUS.txt").unwrap();
        text.write_all(&[b'a'; 4096]).unwrap();
        root.create_file("between.txt").unwrap().write_all(&[b'x'; 700]).unwrap();
        text.write_all(&[b'b'; 4096]).unwrap();
        drop((text, root));
        fs.unmount().unwrap();
        bytes
    }

    #[test]
    fn a_file_in_pieces_is_overwritten_where_it_lies_and_nothing_else_changes() {
        let mut bytes = drive();
        let before = bytes.clone();
        let extents = find_sized(Cursor::new(&bytes), "STATUS.TXT", 8192).unwrap().extents;
        assert_eq!(extents.len(), 2, "{extents:?}");
        for extent in &extents {
            bytes[extent.at as usize..][..extent.length as usize].fill(b'n');
        }
        let changed = bytes.iter().zip(&before).filter(|(new, old)| new != old).count();
        assert_eq!(changed, 8192);
        let fs = FileSystem::new(Cursor::new(&mut bytes), FsOptions::new()).unwrap();
        let mut read = Vec::new();
        fs.root_dir().open_file("status.txt").unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, [b'n'; 8192]);
    }

    #[test]
    fn a_file_of_another_size_or_none_is_refused_by_name() {
        let bytes = drive();
        let error = |name, size| find_sized(Cursor::new(&bytes), name, size).unwrap_err().to_string();
        assert!(error("STATUS.TXT", 4096).contains("of 8192 bytes; expected 4096"));
        assert!(error("OTHER.TXT", 8192).contains("no file OTHER.TXT"));
        assert!(error("a name that is long.txt", 1).contains("no file"));
    }

    #[test]
    fn a_file_is_found_by_its_long_name_among_others_that_begin_alike() {
        let mut bytes = drive();
        let fs = FileSystem::new(Cursor::new(&mut bytes), FsOptions::new()).unwrap();
        let root = fs.root_dir();
        for (name, text) in [
            ("stayput.toml.example", "an example"),
            ("stayput.toml~", "a backup"),
            ("gone.toml", "gone"),
            ("stayput.toml", "the settings"),
            ("a name of more than two pieces, as long as it is.toml", "long"),
            ("empty.toml", ""),
        ] {
            root.create_file(name).unwrap().write_all(text.as_bytes()).unwrap();
        }
        root.remove("gone.toml").unwrap();
        drop(root);
        fs.unmount().unwrap();
        let read = |name| {
            let found = find(Cursor::new(&bytes), name, 1000)?;
            let pieces = found.extents.iter().map(|it| &bytes[it.at as usize..][..it.length as usize]);
            Ok::<_, Unfit>(String::from_utf8(pieces.collect::<Vec<_>>().concat()).unwrap())
        };
        assert_eq!(read("Stayput.TOML").unwrap(), "the settings");
        assert_eq!(read("stayput.toml~").unwrap(), "a backup");
        assert_eq!(read("a name of more than two pieces, as long as it is.toml").unwrap(), "long");
        assert_eq!(read("empty.toml").unwrap(), "");
        assert!(matches!(read("gone.toml"), Err(Unfit::Missing(_))));
        assert!(matches!(read("STATUS.txt"), Err(Unfit::Long { found: 8192, .. })));
    }

    #[test]
    fn what_is_no_fat32_is_refused() {
        for bytes in [vec![], vec![0; 512], vec![0xff; 4096]] {
            assert!(find_sized(Cursor::new(&bytes), "STATUS.TXT", 8192).is_err());
        }
    }

    #[test]
    fn a_chain_that_goes_round_ends() {
        let mut bytes = drive();
        // The root folder's first cluster leads to itself.
        let reserved = usize::from(u16_at(&bytes, 14)) * 512;
        let root = u32_at(&bytes, 44);
        bytes[reserved + root as usize * 4..][..4].copy_from_slice(&root.to_le_bytes());
        assert!(matches!(find_sized(Cursor::new(&bytes), "STATUS.TXT", 8192), Err(Unfit::Chain(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_damage_is_an_error_or_extents_within_the_drive(at in 0..40_000_usize, value in any::<u8>(), wide in any::<bool>()) {
            let mut bytes = drive();
            bytes[if wide { at % 512 } else { at }] = value;
            if let Ok(found) = find_sized(Cursor::new(&bytes), "STATUS.TXT", 8192) {
                prop_assert_eq!(found.extents.iter().map(|extent| extent.length).sum::<u64>(), 8192);
            }
        }
    }
}
