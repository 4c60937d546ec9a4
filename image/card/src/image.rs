//! The image file: everything at its place, holes where there is nothing, the same bytes every time.
//!
//! The file ends after the root file system's content, rounded up to a MiB; the partitions behind it exist in the
//! table only and are as empty as the card they meet.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};
use stayput_health::marks::{self, Mark, Marked};

use crate::egon::Loader;
use crate::layout::{Layout, Partition};
use crate::{Error, MIB, Result, SECTOR, fat, mbr, script, verity};

/// What goes onto the card.
pub struct Content<'a> {
    /// The board's loader; none where the machine brings its own.
    pub spl: Option<Loader<'a>>,
    /// Files of the person's own partition.
    pub stayput: &'a [fat::File<'a>],
    /// Files of the loader partition: `boot.scr`.
    pub loader: &'a [fat::File<'a>],
    /// Files of slot A's boot partition: `slot.scr`, `Image.gz`, `initrd.zst`, device trees.
    pub boot: &'a [fat::File<'a>],
    /// Slot A's root file system and the hash tree behind it ([`crate::verity::seal`]), to the end.
    pub root: &'a mut dyn Read,
}

/// A part of the image, for a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The partition's name, or `spl`, `table`, `logical-tables`.
    pub name: String,
    /// First byte in the image.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Of exactly these bytes, in hexadecimal.
    pub sha256: String,
}

/// Zeros of this length, at such a multiple, become a hole.
const HOLE: usize = 64 * 1024;

/// Writes the image into an empty file. Whatever was in the file before is gone.
pub fn write(file: &mut File, layout: &Layout, content: Content<'_>) -> Result<Vec<Part>> {
    // Everything that can be refused is made before the first byte is written.
    let stayput = file_system(layout, "stayput", content.stayput)?;
    let loader = file_system(layout, "loader", content.loader)?;
    let boot = file_system(layout, "boot-a", content.boot)?;
    let state = boot_state(layout)?;
    let spl = content.spl.map(|spl| Ok::<_, Error>((spl.place(layout)?.start, spl.bytes()))).transpose()?;
    let root = layout.partition("root-a")?;
    check_end(layout, root)?;

    let mut out = Output { file };
    out.start()?;
    let mut parts = Vec::new();
    let mut tables = mbr::table(layout);
    let table = tables.remove(0);
    parts.push(out.part("table", table.offset, &table.bytes)?);
    if let Some((offset, bytes)) = spl {
        parts.push(out.part("spl", offset, bytes)?);
    }
    for (partition, bytes) in [("stayput", &stayput), ("loader", &loader)] {
        parts.push(out.part(partition, layout.partition(partition)?.start, bytes)?);
    }
    if let Some(first) = tables.first() {
        let joined: Vec<u8> = tables.iter().flat_map(|sector| sector.bytes).collect();
        parts.push(out.part("logical-tables", first.offset, &joined)?);
    }
    for (partition, bytes) in [("boot-state", &state), ("boot-a", &boot)] {
        parts.push(out.part(partition, layout.partition(partition)?.start, bytes)?);
    }
    let part = out.stream(root, content.root)?;
    let end = (part.offset + part.size).next_multiple_of(MIB);
    parts.push(part);
    out.finish(end)?;
    Ok(parts)
}

fn file_system(layout: &Layout, name: &str, files: &[fat::File<'_>]) -> Result<Vec<u8>> {
    let partition = layout.partition(name)?;
    let Some(kind) = &partition.fat else {
        return Err(Error::Fat {
            label: name.to_owned(),
            problem: "the card's table gives it no fat = {...}".into(),
        });
    };
    fat::image(kind, partition.size, files)
}

/// The boot-state partition of a new card: no counters yet (U-Boot's defaults hold), and the marks.
fn boot_state(layout: &Layout) -> Result<Vec<u8>> {
    let partition = layout.partition("boot-state")?;
    let mut bytes = vec![0; partition.size as usize];
    for marked in Marked::ALL {
        let at = (layout.boot_state().marks + marked.offset()) as usize;
        bytes[at..at + marks::SECTOR].copy_from_slice(&marked.sector());
    }
    Ok(bytes)
}

/// What the image carries must lie before the end of the file, which is in root-a.
fn check_end(layout: &Layout, root: &Partition) -> Result<()> {
    for name in ["stayput", "loader", "boot-state", "boot-a"] {
        if layout.partition(name)?.start > root.start {
            return Err(Error::Mismatch {
                problem: format!("'{name}' lies behind root-a, where the image file ends"),
            });
        }
    }
    Ok(())
}

struct Output<'a> {
    file: &'a mut File,
}

impl Output<'_> {
    fn start(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|source| Error::Write { part: "the empty file".into(), source })
    }

    fn part(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<Part> {
        let failed = |source| Error::Write { part: name.to_owned(), source };
        for (index, chunk) in bytes.chunks(HOLE).enumerate() {
            if chunk.iter().any(|byte| *byte != 0) {
                self.file.seek(SeekFrom::Start(offset + (index * HOLE) as u64)).map_err(failed)?;
                self.file.write_all(chunk).map_err(failed)?;
            }
        }
        let sha256 = hex::encode(Sha256::digest(bytes));
        Ok(Part { name: name.to_owned(), offset, size: bytes.len() as u64, sha256 })
    }

    fn stream(&mut self, partition: &Partition, from: &mut dyn Read) -> Result<Part> {
        let failed = |source| Error::Write { part: partition.name.clone(), source };
        let mut sum = Sha256::new();
        let mut buffer = vec![0; MIB as usize];
        let mut size = 0;
        loop {
            let length = fill(from, &mut buffer).map_err(failed)?;
            if length == 0 {
                break;
            }
            let chunk = &buffer[..length];
            size += length as u64;
            if size > partition.size {
                return Err(Error::TooLarge { part: partition.name.clone(), size, room: partition.size });
            }
            sum.update(chunk);
            self.file.seek(SeekFrom::Start(partition.start + size - length as u64)).map_err(failed)?;
            self.file.write_all(chunk).map_err(failed)?;
        }
        if size == 0 {
            let problem = format!("the root file system for '{}' is empty", partition.name);
            return Err(Error::Mismatch { problem });
        }
        Ok(Part {
            name: partition.name.clone(),
            offset: partition.start,
            size,
            sha256: hex::encode(sum.finalize()),
        })
    }

    fn finish(&mut self, end: u64) -> Result<()> {
        let failed = |source| Error::Write { part: "the end".into(), source };
        self.file.set_len(end).map_err(failed)?;
        self.file.sync_all().map_err(failed)
    }
}

/// Reads until the buffer is full or the reader at its end.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Checks a built image against its table, from the bytes alone: the tables, the loader's checksum and its distance to
/// the first partition, the FATs and what booting needs in them, the marks, and every block of the root file system
/// against the root hash in the slot's script.
pub fn inspect(image: &mut File, layout: &Layout, with_loader: bool) -> Result<()> {
    for sector in mbr::table(layout) {
        if read(image, "the partition table", sector.offset, SECTOR)? != sector.bytes {
            return mismatch(format!("the table's sector at byte {} differs", sector.offset));
        }
    }
    if with_loader {
        let region = layout.loader_region();
        let bytes = read(image, "the loader", region.start, region.end - region.start)?;
        let loader = Loader::check(&bytes)?;
        loader.place(layout)?;
    }
    let mut of_slot = None;
    for (name, wanted) in [
        ("stayput", &[][..]),
        ("loader", &["boot.scr"][..]),
        ("boot-a", &["slot.scr", "Image.gz", "initrd.zst"][..]),
    ] {
        let partition = layout.partition(name)?;
        let files = fat::files(name, &read(image, name, partition.start, partition.size)?)?;
        for file in wanted {
            if !files.iter().any(|(found, bytes)| found == file && !bytes.is_empty()) {
                return mismatch(format!("'{file}' is not on '{name}'"));
            }
        }
        if let Some((_, script)) = files.iter().find(|(found, _)| found == "slot.scr") {
            of_slot = script::root_of_slot(script);
        }
    }
    let state = layout.partition("boot-state")?;
    for marked in Marked::ALL {
        let at = state.start + layout.boot_state().marks + marked.offset();
        if marked.read(&read(image, "the marks", at, SECTOR)?) != Mark::New {
            return mismatch(format!("the mark {:?} is missing", marked.text()));
        }
    }
    let root = layout.partition("root-a")?;
    if !read(image, "root-a", root.start, SECTOR)?.starts_with(b"hsqs") {
        return mismatch("root-a does not start as a squashfs".into());
    }
    let Some(of_slot) = of_slot else {
        return mismatch("slot.scr does not name one root hash".into());
    };
    let seek = image.seek(SeekFrom::Start(root.start));
    seek.map_err(|source| Error::Read { path: "root-a".into(), source })?;
    verity::check(&mut std::io::BufReader::with_capacity(MIB as usize, image), &of_slot)
}

fn mismatch<T>(problem: String) -> Result<T> {
    Err(Error::Mismatch { problem })
}

fn read(image: &mut File, what: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    let result = image.seek(SeekFrom::Start(offset)).and_then(|_| image.read_exact(&mut bytes));
    match result {
        Ok(()) => Ok(bytes),
        Err(error) => mismatch(format!("{what} at byte {offset} cannot be read ({error})")),
    }
}
