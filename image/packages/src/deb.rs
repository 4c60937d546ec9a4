//! A .deb opened in memory: ar, then data.tar in any compression Debian uses, every entry checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::progress::Progress;

pub use crate::unpack::unpack;

/// One entry of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it will be, without a leading `./` or `/` and without a trailing one: `usr/bin/x`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, setuid and friends included.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The kinds of entries that a package may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file with its content.
    File(Vec<u8>),
    /// A link to any text.
    Symlink(String),
    /// Another name of a file that came before, by its path in the package.
    Hardlink(String),
}

/// How much a package may hold. The largest one that the project reads unpacks to below 200 MB.
#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes: u64,
    entries: usize,
}

const LIMITS: Limits = Limits { bytes: 2 << 30, entries: 500_000 };

/// Reads the files of a package.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    read_from(BufReader::with_capacity(128 << 10, file), LIMITS)
        .map_err(|reason| Error::Package { path: path.to_path_buf(), reason })
}

/// Reads many packages with all processors, in the order given; progress counts the .debs' own bytes.
pub fn read_all(paths: &[PathBuf], progress: &dyn Progress) -> Result<Vec<Vec<Entry>>> {
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut order: Vec<(usize, u64)> = paths.iter().map(size).enumerate().collect();
    progress.total(order.iter().map(|(_, size)| size).sum());
    // The largest first, so that none is left over at the end.
    order.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let slots: Vec<Mutex<Option<Result<Vec<Entry>>>>> = paths.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(paths.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, size)) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let entries = read(&paths[*at]);
                    progress.advance(*size);
                    if let Ok(mut slot) = slots[*at].lock() {
                        *slot = Some(entries);
                    }
                }
            });
        }
    });
    slots.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}

fn read_from(file: impl Read, limits: Limits) -> Result<Vec<Entry>, String> {
    let mut archive = ar::Archive::new(file);
    let mut first = true;
    while let Some(member) = archive.next_entry() {
        let mut member = member.map_err(|error| container_reason(&error))?;
        let name = String::from_utf8_lossy(member.header().identifier()).trim_end_matches('/').to_string();
        let size = member.header().size();
        if first {
            check_format(&name, &mut member)?;
            first = false;
            continue;
        }
        let Some(packing) = name.strip_prefix("data.tar") else { continue };
        let mut member = Counted { inner: member, count: 0 };
        let entries = unpacked(packing, &mut member).and_then(|tar| read_tar(tar, limits));
        let entries = entries.map_err(|reason| match member.count < size && member.at_end() {
            true => format!("cut short: {name} has {} of {size} bytes ({reason})", member.count),
            false => format!("{name}: {reason}"),
        })?;
        io::copy(&mut member, &mut io::sink()).map_err(|error| error.to_string())?;
        if member.count < size {
            return Err(format!("cut short: {name} has {} of {size} bytes", member.count));
        }
        return Ok(entries);
    }
    Err(if first { "it is empty".into() } else { "it has no data.tar member; cut short?".into() })
}

/// The text of the package's own control file.
pub fn control(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    control_from(BufReader::new(file)).map_err(|reason| Error::Package { path: path.to_path_buf(), reason })
}

fn control_from(file: impl Read) -> Result<String, String> {
    let mut archive = ar::Archive::new(file);
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(|error| container_reason(&error))?;
        let name = String::from_utf8_lossy(member.header().identifier()).trim_end_matches('/').to_string();
        let Some(packing) = name.strip_prefix("control.tar") else { continue };
        let mut tar = tar::Archive::new(Limited { inner: unpacked(packing, member)?, left: MOST_CONTROL });
        for entry in tar.entries().map_err(|error| error.to_string())? {
            let mut entry = entry.map_err(|error| format!("{name}: {error}"))?;
            if clean_path(&entry.path_bytes())? == "control" {
                let mut text = String::new();
                entry.read_to_string(&mut text).map_err(|error| format!("its control file: {error}"))?;
                return Ok(text);
            }
        }
    }
    Err("it has no control file; cut short, or not a Debian package?".into())
}

/// Scripts and lists are in it too, and none of that comes near to so much.
const MOST_CONTROL: u64 = 64 << 20;

/// What is packed as the ending of a member's name says.
fn unpacked<'a>(packing: &str, member: impl Read + 'a) -> Result<Box<dyn Read + 'a>, String> {
    Ok(match packing {
        ".xz" => Box::new(liblzma::read::XzDecoder::new_multi_decoder(member)),
        ".zst" => Box::new(zstd::stream::read::Decoder::new(member).map_err(|error| error.to_string())?),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(member)),
        "" => Box::new(member),
        other => return Err(format!("its data is packed as '{other}'; expected .xz, .zst or .gz")),
    })
}

fn check_format(name: &str, member: &mut impl Read) -> Result<(), String> {
    let mut version = String::new();
    member.take(64).read_to_string(&mut version).map_err(|error| error.to_string())?;
    if name != "debian-binary" || !version.starts_with("2.") {
        return Err(format!("not a Debian package of format 2 (its first member is '{name}')"));
    }
    Ok(())
}

fn container_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "cut short, or not a Debian package".into(),
        _ => format!("not a Debian package: {error}"),
    }
}

fn read_tar(reader: impl Read, limits: Limits) -> Result<Vec<Entry>, String> {
    let mut archive = tar::Archive::new(Limited { inner: reader, left: limits.bytes });
    let mut checked = Checked { entries: Vec::new(), known: HashMap::new(), limits };
    for entry in archive.entries().map_err(|error| error.to_string())? {
        checked.add(entry.map_err(|error| error.to_string())?)?;
    }
    // The decoder's own checksum stands behind the end mark of the tar: nothing counts before it has been read.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| error.to_string())?;
    if checked.entries.is_empty() && checked.known.is_empty() {
        return Err("the tar in it is empty".into());
    }
    Ok(checked.entries)
}

/// A file capability is a setuid bit by another name, and the image has no room for either.
fn refuse_attributes(entry: &mut tar::Entry<'_, impl Read>, path: &str) -> Result<(), String> {
    let Some(records) = entry.pax_extensions().map_err(|error| error.to_string())? else { return Ok(()) };
    for record in records {
        let record = record.map_err(|error| format!("'{path}' has a broken extended header: {error}"))?;
        if let Some(name) = record.key_bytes().strip_prefix(b"SCHILY.xattr.") {
            let name = String::from_utf8_lossy(name);
            return Err(format!(
                "'{path}' carries the extended attribute '{name}', which the image cannot hold"
            ));
        }
    }
    Ok(())
}

struct Checked {
    entries: Vec<Entry>,
    /// Path to whether it is a directory (`None`), or the place of another entry.
    known: HashMap<String, Option<usize>>,
    limits: Limits,
}

impl Checked {
    fn add(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), String> {
        use tar::EntryType as T;
        let kind = entry.header().entry_type();
        if kind == T::XGlobalHeader {
            return Ok(());
        }
        if self.entries.len() >= self.limits.entries {
            return Err(format!("more than {} entries", self.limits.entries));
        }
        let raw = entry.path_bytes().into_owned();
        let path = clean_path(&raw)?;
        refuse_attributes(&mut entry, &path)?;
        let header = entry.header();
        let number = |what: &str, value: io::Result<u64>| {
            value
                .ok()
                .and_then(|value| u32::try_from(value).ok())
                .ok_or_else(|| format!("'{path}' has a bad {what}"))
        };
        let mode = number("mode", header.mode().map(u64::from))? & 0o7777;
        let (uid, gid) = (number("owner", header.uid())?, number("group", header.gid())?);
        if path.is_empty() {
            // The root directory itself: every package has it, none owns it.
            return if kind == T::Directory {
                self.note_root()
            } else {
                Err("an entry without a path".into())
            };
        }
        let kind = match kind {
            T::Directory => EntryKind::Directory,
            T::Regular | T::Continuous => EntryKind::File(read_content(&mut entry, &path)?),
            T::Symlink => EntryKind::Symlink(self.link_text(&entry, &path)?),
            T::Link => {
                let target = clean_path(self.link_text(&entry, &path)?.as_bytes())?;
                match self.known.get(&target) {
                    Some(Some(at)) if matches!(self.entries[*at].kind, EntryKind::File(_)) => {}
                    _ => {
                        return Err(format!(
                            "'{path}' is another name of '{target}', which is no file before it"
                        ));
                    }
                }
                EntryKind::Hardlink(target)
            }
            T::Block | T::Char => {
                return Err(format!("'{path}' is a device node, which no package here may bring"));
            }
            T::Fifo => return Err(format!("'{path}' is a named pipe, which no package here may bring")),
            other => return Err(format!("'{path}' is of the unknown kind {:?}", other.as_byte() as char)),
        };
        self.place(&path, &kind)?;
        self.entries.push(Entry { path, kind, mode, uid, gid });
        Ok(())
    }

    fn note_root(&mut self) -> Result<(), String> {
        self.known.insert(String::new(), None);
        Ok(())
    }

    fn link_text(&self, entry: &tar::Entry<'_, impl Read>, path: &str) -> Result<String, String> {
        let target = entry.link_name_bytes().ok_or_else(|| format!("the link '{path}' has no target"))?;
        match String::from_utf8(target.into_owned()) {
            Ok(target) if !target.is_empty() && target.len() < 4096 && !target.contains('\0') => Ok(target),
            _ => Err(format!("the link '{path}' has a target that is no path")),
        }
    }

    /// One path, one entry; and nothing lies below what is not a directory.
    fn place(&mut self, path: &str, kind: &EntryKind) -> Result<(), String> {
        for (at, _) in path.match_indices('/') {
            if let Some(Some(_)) = self.known.get(&path[..at]) {
                return Err(format!("'{path}' lies below '{}', which is no directory", &path[..at]));
            }
        }
        let directory = matches!(kind, EntryKind::Directory);
        let place = if directory { None } else { Some(self.entries.len()) };
        match self.known.insert(path.to_string(), place) {
            Some(None) if directory => Ok(()),
            Some(_) => Err(format!("'{path}' is there twice")),
            None => Ok(()),
        }
    }
}

fn read_content(entry: &mut tar::Entry<'_, impl Read>, path: &str) -> Result<Vec<u8>, String> {
    let size = entry.size();
    // Not more at once than is known to come: the size is only a claim so far.
    let mut content = Vec::with_capacity(size.min(16 << 20) as usize);
    entry.read_to_end(&mut content).map_err(|error| format!("'{path}': {error}"))?;
    if content.len() as u64 != size {
        return Err(format!("'{path}' has {} of {size} bytes", content.len()));
    }
    Ok(content)
}

/// The path without `./`, or the reason why it is none that a package may use.
fn clean_path(raw: &[u8]) -> Result<String, String> {
    let shown = || String::from_utf8_lossy(raw).chars().take(200).collect::<String>();
    let text = std::str::from_utf8(raw).map_err(|_| format!("the path '{}' is not UTF-8", shown()))?;
    if text.starts_with('/') {
        return Err(format!("the path '{}' is absolute", shown()));
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(format!("the path '{}' climbs out of the package", shown())),
            part if part.len() > 255 || part.contains(['\0', '\n']) => {
                return Err(format!("the path '{}' has a part that is no file name", shown()));
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    if path.len() > 4000 { Err(format!("the path '{}…' is too long", shown())) } else { Ok(path) }
}

/// Counts what is read of a member, to tell a package that was cut short from one that is broken inside.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Counted<R> {
    fn at_end(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.read(&mut byte), Ok(0) | Err(_))
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

/// Ends in an error, not silently, where too much comes out.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than any package here may hold"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_unpacks_to_too_much_or_to_too_many_is_refused() {
        let mut tar = tar::Builder::new(Vec::new());
        for name in ["a", "b"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(1000);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            tar.append_data(&mut header, name, [0; 1000].as_slice()).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let mut deb = ar::Builder::new(Vec::new());
        for (name, bytes) in [("debian-binary", b"2.0\n".as_slice()), ("data.tar", tar.as_slice())] {
            deb.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), bytes).unwrap();
        }
        let deb = deb.into_inner().unwrap();
        let outcome = |bytes, entries| read_from(deb.as_slice(), Limits { bytes, entries });
        assert_eq!(outcome(1 << 20, 2).unwrap().len(), 2);
        assert!(outcome(2000, 2).unwrap_err().contains("more than any package"));
        assert!(outcome(1 << 20, 1).unwrap_err().contains("more than 1 entries"));
    }

    fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
        tar.into_inner().unwrap()
    }

    fn deb_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut deb = ar::Builder::new(Vec::new());
        for (name, bytes) in members {
            deb.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), *bytes).unwrap();
        }
        deb.into_inner().unwrap()
    }

    #[test]
    fn the_control_file_is_read_in_every_packing_that_debian_uses() {
        let tar = tar_of("./control", b"Package: x\n");
        let zst = zstd::encode_all(tar.as_slice(), 1).unwrap();
        for (name, bytes) in [("control.tar", &tar), ("control.tar.zst", &zst)] {
            let deb = deb_of(&[("debian-binary", b"2.0\n"), (name, bytes), ("data.tar", b"")]);
            assert_eq!(control_from(deb.as_slice()).unwrap(), "Package: x\n");
        }
    }

    #[test]
    fn a_package_without_a_control_file_is_refused_and_so_is_one_cut_short() {
        let tar = tar_of("./control", b"Package: x\n");
        let deb = deb_of(&[("debian-binary", b"2.0\n"), ("control.tar", &tar)]);
        for length in [0, 8, 100, 150, deb.len() - tar.len() + 300] {
            assert!(control_from(&deb[..length]).is_err(), "{length}");
        }
        let other = deb_of(&[("debian-binary", b"2.0\n"), ("control.tar", &tar_of("./md5sums", b"x"))]);
        assert!(control_from(other.as_slice()).unwrap_err().contains("no control file"));
        let lzma = deb_of(&[("debian-binary", b"2.0\n"), ("control.tar.lzma", &tar)]);
        assert!(control_from(lzma.as_slice()).unwrap_err().contains("packed as '.lzma'"));
    }
}
