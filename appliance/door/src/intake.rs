//! The account `drop`: adds files, and that is all.
//!
//! A file that comes in has no name at all (`O_TMPFILE`) until it is whole: whoever is cut off, by a cable or by the power,
//! leaves nothing behind. It gets its name when the caller closes it, or, if that name is a temporary one, when he renames it;
//! never one that is taken. From then on it is out of his hands. Of other callers' files nothing is shown, not even whether they
//! are there, but that a name is taken.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, fchmod, fsync, ftruncate, futimens, linkat, openat,
    statat,
};
use rustix::io::{Errno, pwrite};

use crate::listing;
use crate::serve::Desk;
use crate::spot::{self, Spot, name};
use crate::wire::{Answer, Attributes, Entry, Flags, Refusal, Request, handle};

/// How many bytes stay free for the box's own work.
pub const RESERVE: u64 = 64 * 1024 * 1024;

/// How many bytes may come before the room is looked at again.
const UNSEEN: u64 = 8 * 1024 * 1024;

/// How many files and lists a caller may have open, and how many under temporary names.
const MOST: usize = 64;

/// The mover reads a file by its group. Whoever brought it does not: not later, and not under another caller's key.
const MODE: Mode = Mode::RGRP;

/// What clients put behind a name while they are not through: WinSCP's first.
const TEMPORARY: [&[u8]; 4] = [b".filepart", b".part", b".partial", b".tmp"];

const TAKEN: Refusal =
    Refusal::failed("a file of this name is there already, and nothing is overwritten: choose another name");
const FULL: Refusal = Refusal::failed("the box has no room for more: tell whoever looks after it, or wait");
const UNREADABLE: Refusal = Refusal::denied("this account only adds files: it reads and lists none");
const HANDED_IN: Refusal =
    Refusal::denied("the file is handed in: it can no longer be changed, renamed or removed");
const NO_FOLDERS: Refusal = Refusal::denied("there are no folders behind this door: put files in one by one");
const GAP: Refusal =
    Refusal::failed("bytes are missing in front of these: the file was thrown away, send it again");
const LOST: Refusal =
    Refusal::failed("the box's card did not take the bytes: the file was thrown away, send it again");
const MANY: Refusal = Refusal::failed("too many files are open at the same time");

/// A file without a name.
#[derive(Debug)]
struct Upload {
    file: OwnedFd,
    /// Its length: there are no gaps before it.
    end: u64,
    /// How much has come since the room was looked at.
    unseen: u64,
    times: Option<(u32, u32)>,
    /// Why it can no longer become whole.
    broken: Option<Refusal>,
}

#[derive(Debug)]
enum Open {
    File {
        name: Vec<u8>,
        upload: Upload,
    },
    /// What is left of a list.
    List(Vec<Entry>),
}

/// The desk for one caller.
#[derive(Debug)]
pub struct Intake {
    folder: OwnedFd,
    reserve: u64,
    open: BTreeMap<u32, Open>,
    next: u32,
    /// Whole files whose names say that they are not meant yet.
    held: BTreeMap<Vec<u8>, Upload>,
    /// What this caller has handed in.
    given: BTreeMap<Vec<u8>, Attributes>,
}

impl Intake {
    /// At `folder`, of whose file system `reserve` bytes stay free.
    pub fn at(folder: &Path, reserve: u64) -> rustix::io::Result<Self> {
        // O_PATH: the account may pass through the folder and add to it, but not list it.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        let (open, held, given) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { folder, reserve, open, next: 0, held, given })
    }

    fn begin(&mut self, path: &[u8], flags: Flags, attributes: Attributes) -> Result<Answer, Refusal> {
        if !flags.is_writing() {
            return Err(UNREADABLE);
        }
        let name = name(path)?;
        if self.open.len() + self.held.len() >= MOST {
            return Err(MANY);
        }
        // The same caller goes on with what he has held back.
        let held = self.held.remove(name).filter(|_| !flags.is_truncating());
        let mut upload = match held {
            Some(held) => held,
            None => self.fresh(name)?,
        };
        upload.times = attributes.times.or(upload.times);
        Ok(Answer::Handle(self.give(Open::File { name: name.to_vec(), upload })))
    }

    fn fresh(&self, name: &[u8]) -> Result<Upload, Refusal> {
        // Said before the bytes are sent; what counts is the moment when the file gets its name.
        match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => return Err(TAKEN),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(refusal(error)),
        }
        self.room()?;
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&self.folder, c".", flags, MODE).map_err(refusal)?;
        fchmod(&file, MODE).map_err(refusal)?;
        Ok(Upload { file, end: 0, unseen: 0, times: None, broken: None })
    }

    fn room(&self) -> Result<(), Refusal> {
        let found = rustix::fs::fstatvfs(&self.folder).map_err(refusal)?;
        if found.f_bavail.saturating_mul(found.f_frsize) < self.reserve { Err(FULL) } else { Ok(()) }
    }

    fn give(&mut self, open: Open) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(number, open);
        number
    }

    fn upload(&mut self, bytes: &[u8]) -> Result<&mut Upload, Refusal> {
        match self.open.get_mut(&handle(bytes)?) {
            Some(Open::File { upload, .. }) => Ok(upload),
            _ => Err(Refusal::NO_HANDLE),
        }
    }

    fn write(&mut self, number: &[u8], offset: u64, bytes: &[u8]) -> Result<Answer, Refusal> {
        let upload = self.upload(number)?;
        upload.unseen += bytes.len() as u64;
        if upload.unseen >= UNSEEN {
            upload.unseen = 0;
            if let Err(full) = self.room() {
                self.upload(number)?.broken.get_or_insert(full);
            }
        }
        let upload = self.upload(number)?;
        if let Err(why) = upload.write(offset, bytes) {
            upload.broken.get_or_insert(why);
        }
        upload.broken.map_or(Ok(Answer::Done), Err)
    }

    fn close(&mut self, number: &[u8]) -> Result<Answer, Refusal> {
        let Open::File { name, upload } = self.open.remove(&handle(number)?).ok_or(Refusal::NO_HANDLE)?
        else {
            return Ok(Answer::Done);
        };
        if let Some(why) = upload.broken {
            return Err(why);
        }
        if is_temporary(&name) {
            self.held.insert(name, upload);
        } else {
            self.publish(name, &upload)?;
        }
        Ok(Answer::Done)
    }

    /// Gives a whole file its name, durably, if nobody has it.
    fn publish(&mut self, name: Vec<u8>, upload: &Upload) -> Result<(), Refusal> {
        upload.date()?;
        // The bytes first: a power cut must not leave a name for a part of them.
        fsync(&upload.file).map_err(|_| LOST)?;
        link(&upload.file, &self.folder, &name).map_err(refusal)?;
        // And the name. The folder itself is not open for that, but the file's change and the folder's are in one transaction.
        fsync(&upload.file).map_err(|_| LOST)?;
        let attributes = upload.attributes();
        self.given.insert(name, attributes);
        Ok(())
    }

    fn rename(&mut self, old: &[u8], new: &[u8]) -> Result<Answer, Refusal> {
        let (old, new) = (name(old)?, name(new)?);
        let Some(upload) = self.held.remove(old) else {
            return Err(if self.given.contains_key(old) { HANDED_IN } else { Refusal::NO_FILE });
        };
        let done = match is_temporary(new) {
            true if self.held.contains_key(new) => Err(TAKEN),
            true => {
                self.held.insert(new.to_vec(), upload);
                return Ok(Answer::Done);
            }
            false => self.publish(new.to_vec(), &upload),
        };
        if done.is_err() {
            // He may choose another name.
            self.held.insert(old.to_vec(), upload);
        }
        done.map(|()| Answer::Done)
    }

    fn remove(&mut self, path: &[u8]) -> Result<Answer, Refusal> {
        let name = name(path)?;
        if self.held.remove(name).is_some() {
            return Ok(Answer::Done);
        }
        Err(if self.given.contains_key(name) { HANDED_IN } else { Refusal::NO_FILE })
    }

    /// What this caller may know of a path.
    fn stat(&self, path: &[u8]) -> Result<Attributes, Refusal> {
        let name = match spot::spot(path)? {
            Spot::Folder => return Ok(listing::folder(0o300)),
            Spot::Name(name) => name,
        };
        let open = self.open.values().find_map(|open| match open {
            Open::File { name: open, upload } if open == name => Some(upload),
            _ => None,
        });
        let unnamed = self.held.get(name).or(open).map(Upload::attributes);
        unnamed.or_else(|| self.given.get(name).copied()).ok_or(Refusal::NO_FILE)
    }

    /// Times are the caller's to set until the file is handed in. Permissions are not, and a client that wishes for some as a
    /// matter of course need not know.
    fn set(&mut self, path: &[u8], attributes: Attributes) -> Result<Answer, Refusal> {
        let name = name(path)?;
        if let Some(held) = self.held.get_mut(name) {
            return held.set(attributes).map(|()| Answer::Done);
        }
        let open = self.open.values_mut().find_map(|open| match open {
            Open::File { name: open, upload } if open == name => Some(upload),
            _ => None,
        });
        match (open, self.given.get(name)) {
            (Some(upload), _) => upload.set(attributes).map(|()| Answer::Done),
            (None, Some(_)) if attributes.size.is_none() => Ok(Answer::Done),
            (None, Some(_)) => Err(HANDED_IN),
            (None, None) => Err(Refusal::NO_FILE),
        }
    }

    fn list(&mut self, path: &[u8]) -> Result<Answer, Refusal> {
        if spot::spot(path)? != Spot::Folder {
            return Err(Refusal::NO_FILE);
        }
        if self.open.len() >= MOST {
            return Err(MANY);
        }
        let held = self.held.iter().map(|(name, upload)| listing::entry(name, upload.attributes()));
        let given = self.given.iter().map(|(name, attributes)| listing::entry(name, *attributes));
        let entries = held.chain(given).collect();
        Ok(Answer::Handle(self.give(Open::List(entries))))
    }

    fn listed(&mut self, number: &[u8]) -> Result<Answer, Refusal> {
        match self.open.get_mut(&handle(number)?) {
            Some(Open::List(entries)) => Ok(next_of(entries)),
            _ => Err(Refusal::NO_HANDLE),
        }
    }
}

/// The next lines of a list: so many that an answer stays short.
pub(crate) fn next_of(entries: &mut Vec<Entry>) -> Answer {
    const LINES: usize = 100;
    if entries.is_empty() {
        return Answer::End;
    }
    let rest = entries.split_off(entries.len().min(LINES));
    Answer::Names(std::mem::replace(entries, rest))
}

impl Desk for Intake {
    fn answer(&mut self, request: &Request<'_>) -> Result<Answer, Refusal> {
        match *request {
            Request::Open { path, flags, attributes } => self.begin(path, flags, attributes),
            Request::Close { handle } => self.close(handle),
            Request::Write { handle, offset, bytes } => self.write(handle, offset, bytes),
            Request::Stat { path } => self.stat(path).map(Answer::Attributes),
            Request::FileStat { handle } => self.upload(handle).map(|it| Answer::Attributes(it.attributes())),
            Request::SetStat { path, attributes } => self.set(path, attributes),
            Request::FileSetStat { handle, attributes } => {
                self.upload(handle)?.set(attributes).map(|()| Answer::Done)
            }
            Request::OpenFolder { path } => self.list(path),
            Request::ReadFolder { handle } => self.listed(handle),
            Request::Remove { path } => self.remove(path),
            Request::Rename { old, new } => self.rename(old, new),
            Request::RealPath { path } => Ok(Answer::Names(vec![Entry {
                name: spot::real(path),
                line: spot::real(path),
                attributes: Attributes::default(),
            }])),
            Request::Read { .. } => Err(UNREADABLE),
            Request::MakeFolder | Request::RemoveFolder => Err(NO_FOLDERS),
            Request::Unknown => Err(Refusal::UNKNOWN),
        }
    }
}

impl Upload {
    fn write(&mut self, offset: u64, mut bytes: &[u8]) -> Result<(), Refusal> {
        if self.broken.is_some() {
            return Ok(());
        }
        // Nobody sends the end before the beginning, unless something is lost on the way.
        if offset > self.end {
            return Err(GAP);
        }
        let mut at = offset;
        while !bytes.is_empty() {
            match pwrite(&self.file, bytes, at) {
                Ok(0) => return Err(LOST),
                Ok(written) => {
                    bytes = &bytes[written..];
                    at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOSPC | Errno::DQUOT) => return Err(FULL),
                Err(_) => return Err(LOST),
            }
        }
        self.end = self.end.max(at);
        Ok(())
    }

    fn set(&mut self, attributes: Attributes) -> Result<(), Refusal> {
        if let Some(size) = attributes.size {
            if size > self.end {
                return Err(*self.broken.get_or_insert(GAP));
            }
            ftruncate(&self.file, size).map_err(refusal)?;
            self.end = size;
        }
        self.times = attributes.times.or(self.times);
        Ok(())
    }

    /// Gives it the time that the caller has asked for: last of all, for every byte that comes changes it.
    fn date(&self) -> Result<(), Refusal> {
        let Some((read, changed)) = self.times else { return Ok(()) };
        let time = |seconds: u32| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
        let times = Timestamps { last_access: time(read), last_modification: time(changed) };
        futimens(&self.file, &times).map_err(refusal)
    }

    fn attributes(&self) -> Attributes {
        let stat = rustix::fs::fstat(&self.file).ok();
        let now = stat.map_or(0, |stat| listing::seconds(stat.st_mtime));
        listing::file(self.end, 0o200, self.times.map_or(now, |(_, changed)| changed))
    }
}

/// Names a file that has none. By its descriptor, which the kernel allows to whoever opened it since 6.10; before that, and
/// for others, by the way through /proc, where there is one.
fn link(file: &OwnedFd, folder: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    match linkat(file, c"", folder, name, AtFlags::EMPTY_PATH) {
        Err(Errno::NOENT) => {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            linkat(CWD, path, folder, name, AtFlags::SYMLINK_FOLLOW)
        }
        other => other,
    }
}

fn is_temporary(name: &[u8]) -> bool {
    let ends =
        |end: &&[u8]| name.len() > end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end);
    TEMPORARY.iter().any(ends)
}

fn refusal(error: Errno) -> Refusal {
    match error {
        Errno::EXIST => TAKEN,
        Errno::NOSPC | Errno::DQUOT => FULL,
        Errno::NAMETOOLONG => Refusal::failed("the name is too long: shorten it"),
        Errno::ROFS => {
            Refusal::failed("the box's card takes nothing any more: tell whoever looks after the box")
        }
        _ => LOST,
    }
}
