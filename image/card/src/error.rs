//! Everything that can be wrong with a card, each with its values and its remedy.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong, with what, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("could not read '{path}': {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A hash tree cannot be made.
    #[error("no hash tree over {problem}: {remedy}")]
    Verity {
        /// Over what.
        problem: String,
        /// What is needed.
        remedy: &'static str,
    },
    /// The card's table breaks a rule.
    #[error("{file}:{line}: {problem}; {remedy}")]
    Table {
        /// The table's name.
        file: String,
        /// One-based.
        line: usize,
        /// What breaks which rule.
        problem: String,
        /// What to write instead.
        remedy: String,
    },
    /// The table has no partition of that name.
    #[error(
        "the card has no partition '{name}' (it has {known}); name one of these or add it to image/card.toml"
    )]
    NoPartition {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The board's loader is not what its boot ROM starts.
    #[error(
        "the loader is not one that the board's boot ROM starts: {problem}; use the package's u-boot-sunxi-with-spl.bin"
    )]
    Loader {
        /// What was found and what was expected.
        problem: String,
    },
    /// The loader does not fit in front of the first partition.
    #[error(
        "the loader covers bytes {start} to {end} of the card, its region is {region_start} to {region_end}; \
         move the first partition in image/card.toml or take a smaller loader"
    )]
    LoaderRegion {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// First byte of the region.
        region_start: u64,
        /// One past the region.
        region_end: u64,
    },
    /// A file's name does not work in a FAT root directory.
    #[error("'{name}' cannot be a file in the root directory of {label}: {problem}")]
    FatName {
        /// The file.
        name: String,
        /// The file system.
        label: String,
        /// Which rule it breaks.
        problem: &'static str,
    },
    /// The files do not fit.
    #[error(
        "{label} holds {available} bytes for files, {needed} are needed (the largest: '{largest}', {largest_size}); \
         make the partition larger in image/card.toml or drop a file"
    )]
    FatFull {
        /// The file system.
        label: String,
        /// What it can hold.
        available: u64,
        /// What the files take, rounded up to clusters.
        needed: u64,
        /// The largest file.
        largest: String,
        /// Its size.
        largest_size: u64,
    },
    /// The FAT cannot be made at all.
    #[error("could not make the FAT {label}: {problem}")]
    Fat {
        /// The file system.
        label: String,
        /// Why.
        problem: String,
    },
    /// The kernel is not an arm64 Image.
    #[error("this is not an arm64 kernel Image: {problem}; take /boot/vmlinuz-* of the linux-image package")]
    Kernel {
        /// What was found.
        problem: String,
    },
    /// Two things would lie in the same memory, or outside of it.
    #[error("board {board}: {problem}; change the addresses under [boot] in board/{board}/board.toml")]
    Address {
        /// The board.
        board: String,
        /// What collides, with both ranges.
        problem: String,
    },
    /// A boot script breaks a rule.
    #[error("{script}:{line}: {problem}; {remedy}")]
    Script {
        /// The script's file name.
        script: String,
        /// One-based; 0 when the script as a whole is meant.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// The initramfs cannot be made.
    #[error("initramfs entry '{path}': {problem}")]
    Archive {
        /// The entry.
        path: String,
        /// Why it is refused.
        problem: String,
    },
    /// A part is larger than its partition.
    #[error(
        "{part} is larger than its partition: {size} bytes into {room}; make it larger in image/card.toml or leave something out"
    )]
    TooLarge {
        /// The partition.
        part: String,
        /// Bytes at hand; at least this many.
        size: u64,
        /// Bytes of room.
        room: u64,
    },
    /// Writing the image failed.
    #[error("could not write {part} into the image: {source}{}", full(source))]
    Write {
        /// Which part.
        part: String,
        /// Why.
        source: std::io::Error,
    },
    /// A built image does not hold what the table says.
    #[error("the image does not match its table: {problem}; build it again")]
    Mismatch {
        /// What differs.
        problem: String,
    },
    /// Compression failed.
    #[error("could not compress {what}: {source}")]
    Compress {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

fn full(source: &std::io::Error) -> &'static str {
    if source.kind() == std::io::ErrorKind::StorageFull {
        "; free some space (the image takes about 520 MiB at most, the holes in it none)"
    } else {
        ""
    }
}
