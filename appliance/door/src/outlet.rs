//! The account `collect`: lists, reads and removes results, and adds nothing.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};
use rustix::io::{Errno, pread};

use crate::intake::next_of;
use crate::listing;
use crate::serve::Desk;
use crate::spot::{self, Spot, is_own, name};
use crate::wire::{Answer, Attributes, Entry, HEAD, LONGEST, Refusal, Request, handle};

/// How many files and lists a caller may have open.
const MOST: usize = 64;

/// How the caller sees every file, whatever its bits: he may read it.
const SEEN: u32 = 0o444;

const READING_ONLY: Refusal =
    Refusal::denied("this account only reads and removes results: it adds and changes nothing");
const UNREADABLE: Refusal =
    Refusal::denied("the box does not let this account read the file: tell whoever looks after it");
const FAULT: Refusal =
    Refusal::failed("the box's card cannot be read here: tell whoever looks after the box");
const MANY: Refusal = Refusal::failed("too many files are open at the same time");

#[derive(Debug)]
enum Open {
    File(OwnedFd),
    /// What is left of a list.
    List(Vec<Entry>),
}

/// The desk for one caller.
#[derive(Debug)]
pub struct Outlet {
    folder: OwnedFd,
    open: BTreeMap<u32, Open>,
    next: u32,
}

impl Outlet {
    /// At `folder`.
    pub fn at(folder: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        Ok(Self { folder, open: BTreeMap::new(), next: 0 })
    }

    fn give(&mut self, open: Open) -> Result<Answer, Refusal> {
        if self.open.len() >= MOST {
            return Err(MANY);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(number, open);
        Ok(Answer::Handle(number))
    }

    /// A plain file of that name; whatever else lies there does not exist here.
    fn look(&self, name: &[u8]) -> Result<Stat, Refusal> {
        let found = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refusal)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
            Ok(found)
        } else {
            Err(Refusal::NO_FILE)
        }
    }

    fn open(&mut self, path: &[u8]) -> Result<Answer, Refusal> {
        let name = name(path)?;
        self.look(name)?;
        // Non-blocking, should a pipe have taken its place since.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.folder, name, flags, Mode::empty()).map_err(refusal)?;
        self.give(Open::File(file))
    }

    fn read(&self, number: &[u8], offset: u64, length: u32) -> Result<Answer, Refusal> {
        let Some(Open::File(file)) = self.open.get(&handle(number)?) else { return Err(Refusal::NO_HANDLE) };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(LONGEST - HEAD);
        let mut bytes = vec![0; length];
        let mut got = 0;
        // All that was asked for: some clients take less for the end of the file.
        while got < length {
            match pread(file, &mut bytes[got..], offset.saturating_add(got as u64)) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(refusal(error)),
            }
        }
        bytes.truncate(got);
        Ok(if got == 0 && length > 0 { Answer::End } else { Answer::Bytes(bytes) })
    }

    fn stat(&self, path: &[u8]) -> Result<Attributes, Refusal> {
        match spot::spot(path)? {
            Spot::Folder => Ok(listing::folder(0o700)),
            Spot::Name(name) => self.look(name).map(|found| attributes(&found)),
        }
    }

    fn file_stat(&self, number: &[u8]) -> Result<Attributes, Refusal> {
        match self.open.get(&handle(number)?) {
            Some(Open::File(file)) => fstat(file).map(|found| attributes(&found)).map_err(refusal),
            _ => Err(Refusal::NO_HANDLE),
        }
    }

    fn list(&mut self, path: &[u8]) -> Result<Answer, Refusal> {
        if spot::spot(path)? != Spot::Folder {
            return Err(Refusal::NO_FILE);
        }
        let mut entries = Vec::new();
        for found in Dir::read_from(&self.folder).map_err(refusal)? {
            let found = found.map_err(refusal)?;
            let name = found.file_name().to_bytes();
            // One that is removed in this moment is no longer one.
            if !is_own(name)
                && let Ok(stat) = self.look(name)
            {
                entries.push(listing::entry(name, attributes(&stat)));
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        self.give(Open::List(entries))
    }

    fn listed(&mut self, number: &[u8]) -> Result<Answer, Refusal> {
        match self.open.get_mut(&handle(number)?) {
            Some(Open::List(entries)) => Ok(next_of(entries)),
            _ => Err(Refusal::NO_HANDLE),
        }
    }

    fn remove(&self, path: &[u8]) -> Result<Answer, Refusal> {
        let name = name(path)?;
        self.look(name)?;
        unlinkat(&self.folder, name, AtFlags::empty()).map_err(refusal)?;
        Ok(Answer::Done)
    }
}

impl Desk for Outlet {
    fn answer(&mut self, request: &Request<'_>) -> Result<Answer, Refusal> {
        match *request {
            Request::Open { path, flags, .. } if flags.is_reading() => self.open(path),
            Request::Open { .. } => Err(READING_ONLY),
            Request::Close { handle: number } => {
                self.open.remove(&handle(number)?).map(|_| Answer::Done).ok_or(Refusal::NO_HANDLE)
            }
            Request::Read { handle, offset, length } => self.read(handle, offset, length),
            Request::Stat { path } => self.stat(path).map(Answer::Attributes),
            Request::FileStat { handle } => self.file_stat(handle).map(Answer::Attributes),
            Request::OpenFolder { path } => self.list(path),
            Request::ReadFolder { handle } => self.listed(handle),
            Request::Remove { path } => self.remove(path),
            Request::RealPath { path } => Ok(Answer::Names(vec![Entry {
                name: spot::real(path),
                line: spot::real(path),
                attributes: Attributes::default(),
            }])),
            Request::Write { .. }
            | Request::SetStat { .. }
            | Request::FileSetStat { .. }
            | Request::Rename { .. }
            | Request::MakeFolder
            | Request::RemoveFolder => Err(READING_ONLY),
            Request::Unknown => Err(Refusal::UNKNOWN),
        }
    }
}

fn attributes(found: &Stat) -> Attributes {
    let size = u64::try_from(found.st_size).unwrap_or(0);
    listing::file(size, SEEN, listing::seconds(found.st_mtime))
}

fn refusal(error: Errno) -> Refusal {
    match error {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::ISDIR => Refusal::NO_FILE,
        Errno::ACCESS | Errno::PERM => UNREADABLE,
        _ => FAULT,
    }
}
