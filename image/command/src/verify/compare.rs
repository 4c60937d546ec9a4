//! The comparison: every byte that the image put onto a card, against the manifest's hashes.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context;
use sha2::{Digest, Sha256};
use stayput_packages::Progress;

use super::{places, table};
use crate::exit::{Code, Fault};
use crate::image_file::ImageFile;
use crate::manifest::{Manifest, Partition};
use crate::show::size;

/// Space of the card that no part of the image uses.
pub const UNUSED: &str = "unused space";
/// How much is read at once.
const PIECE: usize = 1 << 20;
/// Differing sectors are remembered up to here; then it is enough to say so.
const MOST_RANGES: usize = 4096;
/// Files are named up to here.
const MOST_FILES: usize = 5;

/// What can be read anywhere.
pub trait Bytes: Read + Seek {}
impl<T: Read + Seek> Bytes for T {}

/// What is held against the manifest.
pub struct Subject<'a> {
    /// How the person named it.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: &'a mut dyn Bytes,
    /// How many it says it has.
    pub size: u64,
    /// A card, and not a file.
    pub device: bool,
    /// Nobody may have written to it, neither a person nor a box: what the image fills is as it was built.
    pub pristine: bool,
}

/// A part of the card and what became of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name in the manifest.
    pub part: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a part.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Byte for byte the image's; with the table's growth in words.
    Identical(String),
    /// Not the image's.
    Different(String),
    /// Written by the box, by design.
    Variable(String),
}

/// Compares the whole. A reference is the image itself: with it, differences are told by byte and file.
pub fn compare(
    manifest: &Manifest,
    subject: &mut Subject<'_>,
    mut reference: Option<&mut ImageFile>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Row>> {
    check_bounds(manifest)?;
    let table = first_sector(manifest)?;
    check_size(manifest, subject, table.as_deref())?;
    if let Some(image) = reference.as_deref().filter(|image| image.size != manifest.image.size) {
        return Err(not_the_reference(image));
    }
    progress.total(to_read(manifest, subject));
    let mut rows = Vec::new();
    for part in &manifest.partitions {
        let why = part.varies.as_deref().filter(|_| !subject.pristine || part.content.is_none());
        let verdict = match why {
            Some(why) => Verdict::Variable(now(manifest, part, why, subject, progress)?),
            None if part.content.is_none() => continue,
            None => fixed(manifest, part, table.as_deref(), subject, reference.as_deref_mut(), progress)?,
        };
        rows.push(Row { part: part.name.clone(), verdict });
    }
    rows.push(Row { part: UNUSED.to_owned(), verdict: unused(manifest, subject, progress)? });
    Ok(rows)
}

/// No part lies beyond the image that it is a part of: then no sum below overflows.
fn check_bounds(manifest: &Manifest) -> anyhow::Result<()> {
    for part in &manifest.partitions {
        let size = part.content.as_ref().map_or(0, |content| content.size);
        let end = part.offset.checked_add(size.max(part.room.unwrap_or(0)));
        if end.is_none() || size > 0 && part.offset.saturating_add(size) > manifest.image.size {
            let message =
                format!("the manifest contradicts itself: {} ends beyond the image; get it again", part.name);
            return Err(fault(message));
        }
    }
    Ok(())
}

/// The table's sector, where the manifest carries it and it is what the manifest hashes.
fn first_sector(manifest: &Manifest) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(part) = manifest.partitions.iter().find(|part| part.name == "table") else { return Ok(None) };
    let Some(text) = &part.verbatim else { return Ok(None) };
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    let hashed =
        part.content.as_ref().is_some_and(|content| content.sha256 == hex::encode(Sha256::digest(&bytes)));
    if hashed && bytes.len() == 512 {
        return Ok(Some(bytes));
    }
    Err(fault(
        "the manifest contradicts itself: its partition table is not the one it hashes; get it again".into(),
    ))
}

fn fault(message: String) -> anyhow::Error {
    Fault::new(Code::Integrity, message).into()
}

fn not_the_reference(image: &ImageFile) -> anyhow::Error {
    let message = format!(
        "{} is not the image that the manifest describes: build again, or name the right one with --reference",
        image.path.display()
    );
    Fault::new(Code::Usage, message).into()
}

/// A subject is the image, or a card that holds the whole table; anything between is cut short.
fn check_size(manifest: &Manifest, subject: &Subject<'_>, table: Option<&[u8]>) -> anyhow::Result<()> {
    let (path, has, image) = (subject.path.display(), subject.size, manifest.image.size);
    let whole = table.map_or(image, |sector| table::end(sector).max(image));
    let kind = if subject.device { "card" } else { "file" };
    if has == image && !subject.device || has >= whole {
        return Ok(());
    }
    Err(fault(if has < image {
        let remedy = if subject.device { "take a larger card" } else { "copy or download it again" };
        format!("{path} is cut short: the {kind} has {has} bytes, the image {image}; {remedy}")
    } else {
        format!(
            "{path} is neither the image ({image} bytes) nor a card that holds its partition table ({whole} bytes): \
             the {kind} has {has} bytes"
        )
    }))
}

fn to_read(manifest: &Manifest, subject: &Subject<'_>) -> u64 {
    let copies = manifest.partitions.iter().filter(|_| subject.size > manifest.image.size);
    let copied = copies.filter_map(|copy| content_size(manifest, copy.copy_of.as_ref()?)).sum::<u64>();
    manifest.image.size + copied
}

fn content_size(manifest: &Manifest, name: &str) -> Option<u64> {
    let part = manifest.partitions.iter().find(|part| part.name == name)?;
    Some(part.content.as_ref()?.size)
}

/// A part that must be the image's.
fn fixed(
    manifest: &Manifest,
    part: &Partition,
    table: Option<&[u8]>,
    subject: &mut Subject<'_>,
    reference: Option<&mut ImageFile>,
    progress: &dyn Progress,
) -> anyhow::Result<Verdict> {
    let Some(content) = &part.content else { anyhow::bail!("{} has no content to compare", part.name) };
    if let (true, Some(expected)) = (part.name == "table" && !subject.pristine, table) {
        return the_table(manifest, expected, subject, progress);
    }
    let bytes = part.offset..part.offset + content.size;
    let scan = scan(subject, bytes, reference.as_deref(), progress)?;
    if let Some(image) = reference.as_deref().filter(|_| scan.reference.as_ref() != Some(&content.sha256)) {
        return Err(not_the_reference(image));
    }
    if scan.sha256 == content.sha256 {
        return Ok(Verdict::Identical(String::new()));
    }
    Ok(Verdict::Different(match reference {
        Some(image) => explain(part, &scan, image),
        None if scan.only_zeros => "nothing but zeros is there".to_owned(),
        None => format!("SHA-256 {}, the image has {}", scan.sha256, content.sha256),
    }))
}

fn the_table(
    manifest: &Manifest,
    expected: &[u8],
    subject: &mut Subject<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Verdict> {
    let mut seen = vec![0; expected.len()];
    read(subject, 0, &mut seen)?;
    progress.advance(seen.len() as u64);
    let data = manifest.partitions.iter().find(|part| part.name == "data").and_then(|part| part.number);
    Ok(match table::compare(expected, &seen, data.unwrap_or(4), subject.size) {
        table::Table::Identical => Verdict::Identical(String::new()),
        table::Table::Grown { from, to } => Verdict::Identical(format!(
            "but for the one step that a box takes: 'data' was {} and is {}",
            size(from),
            size(to)
        )),
        table::Table::Different { first, what } => {
            Verdict::Different(format!("first at byte {first}: {what}"))
        }
    })
}

/// The first byte that differs, how much does, and whose it is.
fn explain(part: &Partition, scan: &Scan, image: &mut ImageFile) -> String {
    let Some(first) = scan.ranges.first().map(|range| range.start) else { return String::new() };
    let mut text = format!("first at byte {first} of the card, {} of the partition", first - part.offset);
    let sectors: u64 = scan.ranges.iter().map(|range| (range.end - range.start).div_ceil(512)).sum();
    let least = if scan.ranges.len() == MOST_RANGES { "at least " } else { "" };
    let differ = if sectors == 1 { "sector differs" } else { "sectors differ" };
    text += &format!("; {least}{sectors} {differ}");
    if scan.only_zeros {
        text += "; nothing but zeros is there";
    }
    let inside: Vec<_> =
        scan.ranges.iter().map(|range| range.start - part.offset..range.end - part.offset).collect();
    match places_of(part, image) {
        Ok(Some(places)) => match places::named(&places, &inside, MOST_FILES) {
            names if names.is_empty() => {
                text += "; in no file: the file system's own tables, or unused space"
            }
            names => text += &format!("; in {}", names.join(", ")),
        },
        Ok(None) => {}
        Err(error) => tracing::info!("{}: no file can be named ({error})", part.name),
    }
    text
}

/// The files of a part of the reference; none where it holds no file system.
fn places_of(part: &Partition, image: &mut ImageFile) -> anyhow::Result<Option<Vec<places::Place>>> {
    if part.name.starts_with("root-") {
        let mut places = places::in_squashfs(&image.file, part.offset)?;
        if let Some(tree) = &part.hash_tree {
            let bytes = tree.data_size..tree.data_size.saturating_add(tree.tree_size);
            places.push(places::Place { bytes, name: "the hash tree".to_owned() });
        }
        return Ok(Some(places));
    }
    if part.files.is_empty() {
        return Ok(None);
    }
    let mut bytes = vec![0; part.content.as_ref().map_or(0, |content| content.size) as usize];
    image.file.seek(SeekFrom::Start(part.offset))?;
    image.file.read_exact(&mut bytes)?;
    places::in_fat(&part.name, &bytes).map(Some)
}

/// What can be said of a part that the box writes to.
fn now(
    manifest: &Manifest,
    part: &Partition,
    why: &str,
    subject: &mut Subject<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<String> {
    if part.offset >= subject.size {
        return Ok(format!("{why}; not in an image file"));
    }
    let find = |name: &str| manifest.partitions.iter().find(|part| part.name == name);
    let copied = part.copy_of.as_deref().and_then(find);
    let (content, same, other) = match (&part.content, copied) {
        (Some(content), _) => (content, "as in the image".to_owned(), "changed since the image was made"),
        (None, Some(original)) => match &original.content {
            Some(content) => {
                (content, format!("a whole copy of {}", original.name), "not a copy of the first")
            }
            None => return Ok(why.to_owned()),
        },
        (None, None) => return Ok(why.to_owned()),
    };
    let scan = scan(subject, part.offset..part.offset + content.size, None, progress)?;
    let now = match scan.sha256 == content.sha256 {
        true => same.as_str(),
        false if scan.only_zeros => "empty",
        false => other,
    };
    Ok(format!("{why}; {now}"))
}

/// Between the parts of the image are zeros, and nothing may hide there.
fn unused(
    manifest: &Manifest,
    subject: &mut Subject<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Verdict> {
    for gap in gaps(manifest) {
        let mut at = gap.start;
        let mut buffer = vec![0; PIECE];
        while at < gap.end {
            let length = PIECE.min((gap.end - at) as usize);
            read(subject, at, &mut buffer[..length])?;
            progress.advance(length as u64);
            if let Some(byte) = buffer[..length].iter().position(|byte| *byte != 0) {
                let first = at + byte as u64;
                return Ok(Verdict::Different(format!("byte {first} is not zero, as it is in the image")));
            }
            at += length as u64;
        }
    }
    Ok(Verdict::Identical(String::new()))
}

/// What no part covers, up to the image's end. A part that the box writes to covers all of its room.
fn gaps(manifest: &Manifest) -> Vec<Range<u64>> {
    let end = manifest.image.size;
    let mut gaps = Vec::new();
    let mut at = 0;
    let mut parts: Vec<_> = manifest.partitions.iter().collect();
    parts.sort_by_key(|part| part.offset);
    for part in parts.into_iter().filter(|part| part.offset < end) {
        let content = part.content.as_ref().map_or(0, |content| content.size);
        let covered = match &part.varies {
            Some(_) => part.room.unwrap_or(end).max(content),
            None => content,
        };
        if part.offset > at {
            gaps.push(at..part.offset);
        }
        at = at.max(part.offset.saturating_add(covered));
    }
    if at < end {
        gaps.push(at..end);
    }
    gaps
}

/// A stretch of the subject, read once.
struct Scan {
    sha256: String,
    only_zeros: bool,
    /// The reference's hash of the same stretch.
    reference: Option<String>,
    /// Where the two differ, from the first differing byte on, in order.
    ranges: Vec<Range<u64>>,
}

fn scan(
    subject: &mut Subject<'_>,
    bytes: Range<u64>,
    reference: Option<&ImageFile>,
    progress: &dyn Progress,
) -> anyhow::Result<Scan> {
    let (mut sum, mut sum_of_reference) = (Sha256::new(), Sha256::new());
    let (mut seen, mut wanted) = (vec![0; PIECE], vec![0; PIECE]);
    let (mut only_zeros, mut ranges, mut at) = (true, Vec::new(), bytes.start);
    while at < bytes.end {
        let length = PIECE.min((bytes.end - at) as usize);
        let (seen, wanted) = (&mut seen[..length], &mut wanted[..length]);
        read(subject, at, seen)?;
        sum.update(&*seen);
        only_zeros &= seen.iter().all(|byte| *byte == 0);
        if let Some(image) = reference {
            std::os::unix::fs::FileExt::read_exact_at(&image.file, wanted, at)
                .with_context(|| format!("could not read {}", image.path.display()))?;
            sum_of_reference.update(&*wanted);
            if seen != wanted {
                differing(at, seen, wanted, &mut ranges);
            }
        }
        progress.advance(length as u64);
        at += length as u64;
    }
    let reference = reference.map(|_| hex::encode(sum_of_reference.finalize()));
    Ok(Scan { sha256: hex::encode(sum.finalize()), only_zeros, reference, ranges })
}

/// Adds the sectors that differ; the first begins with its first differing byte.
fn differing(at: u64, seen: &[u8], wanted: &[u8], ranges: &mut Vec<Range<u64>>) {
    for (index, (a, b)) in seen.chunks(512).zip(wanted.chunks(512)).enumerate() {
        let Some(first) = a.iter().zip(b).position(|(a, b)| a != b) else { continue };
        let sector = at + 512 * index as u64;
        let full = ranges.len() == MOST_RANGES;
        match ranges.last_mut() {
            Some(last) if last.end == sector => last.end = sector + a.len() as u64,
            _ if full => return,
            _ => ranges.push(sector + first as u64..sector + a.len() as u64),
        }
    }
}

fn read(subject: &mut Subject<'_>, at: u64, buffer: &mut [u8]) -> anyhow::Result<()> {
    let result = subject.bytes.seek(SeekFrom::Start(at)).and_then(|_| subject.bytes.read_exact(buffer));
    result.with_context(|| {
        let end = at + buffer.len() as u64;
        format!(
            "could not read bytes {at} to {end} of {}: a card that is pulled out, worn, or smaller than it says",
            subject.path.display()
        )
    })
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
