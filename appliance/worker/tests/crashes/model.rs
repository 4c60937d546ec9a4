//! A disk in memory that says exactly what a power cut may take: whatever was not synced, in any combination.
//!
//! * Names: creating, removing and renaming are pending until their folder is synced. A cut keeps any subset of what is
//!   pending, as long as nothing is kept that builds on something that is not. A rename is one step, as in a journal.
//! * Content: what was appended since the last sync is kept, lost, torn in the middle, or there in length but as zeros.
//! * A killed process loses nothing, but what was pending stays pending.
//!
//! Every call has a number, and at one of them the process can die or the call can fail.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use rustix::io::Errno;
use stayput_worker::FileName;
use stayput_worker::disk::{Disk, Found, Identity, Kind, Result, Room, Writers};

pub const SOURCE: usize = 0;
pub const DESTINATION: usize = 1;
pub const LOG: usize = 2;

type Name = Vec<u8>;
type Entries = [BTreeMap<Name, u64>; 3];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inode {
    pub content: Vec<u8>,
    durable: Vec<u8>,
    born: i64,
    modified: i64,
}

#[derive(Clone, Debug)]
struct Op {
    ino: u64,
    from: Option<(usize, Name)>,
    to: Option<(usize, Name)>,
}

impl Op {
    fn entries(&self) -> impl Iterator<Item = &(usize, Name)> {
        self.from.iter().chain(&self.to)
    }

    fn touches(&self, folder: usize) -> bool {
        self.entries().any(|(at, _)| *at == folder)
    }

    fn builds_on(&self, earlier: &Self) -> bool {
        self.entries().any(|entry| earlier.entries().any(|other| other == entry))
    }

    fn apply(&self, entries: &mut Entries) {
        if let Some((folder, name)) = &self.from {
            entries[*folder].remove(name);
        }
        if let Some((folder, name)) = &self.to {
            entries[*folder].insert(name.clone(), self.ino);
        }
    }
}

/// What a call does instead of its work.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// The process dies before this call.
    Death,
    /// The call fails; an append has written half by then.
    Failure(Errno),
    /// The call and all after it fail.
    Lasting(Errno),
    /// The call works, but just before it someone else does something in the folders.
    Meddling(fn(&mut State)),
}

#[derive(Clone, Debug)]
pub struct State {
    inodes: BTreeMap<u64, Inode>,
    live: Entries,
    durable: Entries,
    pending: Vec<Op>,
    next: u64,
    clock: i64,
    /// Source and destination are on different file systems.
    pub apart: bool,
    /// The file system knows when a file was created.
    pub births: bool,
    /// How much room there is, where a test says.
    pub free: Option<u64>,
    pub calls: usize,
    pub trouble: Option<(usize, Trouble)>,
    pub dead: bool,
    /// What the call in trouble was.
    pub struck: Option<&'static str>,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug)]
pub struct Model(pub Rc<RefCell<State>>);

impl Model {
    pub fn new(apart: bool, births: bool) -> Self {
        Self(Rc::new(RefCell::new(State {
            inodes: BTreeMap::new(),
            live: Entries::default(),
            durable: Entries::default(),
            pending: Vec::new(),
            next: 1,
            clock: 1_000,
            apart,
            births,
            free: None,
            calls: 0,
            trouble: None,
            dead: false,
            struck: None,
        })))
    }

    pub fn of(state: State) -> Self {
        Self(Rc::new(RefCell::new(State { calls: 0, trouble: None, dead: false, struck: None, ..state })))
    }

    /// Puts a file there whose name is durable; its content is only if `synced`.
    pub fn put(&self, folder: usize, name: &[u8], content: &[u8], synced: bool) {
        let mut state = self.0.borrow_mut();
        let (ino, stamp) = (state.next, state.tick());
        state.next += 1;
        let born = if state.births { stamp } else { 0 };
        let durable = if synced { content.to_vec() } else { Vec::new() };
        state.inodes.insert(ino, Inode { content: content.to_vec(), durable, born, modified: stamp });
        state.live[folder].insert(name.to_vec(), ino);
        state.durable[folder].insert(name.to_vec(), ino);
    }

    /// The names in a folder with their contents.
    pub fn list(&self, folder: usize) -> BTreeMap<Name, Vec<u8>> {
        let state = self.0.borrow();
        let content = |ino: &u64| state.inodes[ino].content.clone();
        state.live[folder].iter().map(|(name, ino)| (name.clone(), content(ino))).collect()
    }

    pub fn state(&self) -> State {
        self.0.borrow().clone()
    }
}

/// What someone else may do in the folders.
impl State {
    /// Writes to the end of a file, if it is there.
    pub fn write_to(&mut self, folder: usize, name: &[u8], more: &[u8]) {
        let stamp = self.tick();
        if let Some(ino) = self.live[folder].get(name) {
            let inode = self.inodes.get_mut(ino).unwrap();
            inode.content.extend_from_slice(more);
            inode.modified = stamp;
        }
    }

    /// Cuts a file, if it is there.
    pub fn shrink(&mut self, folder: usize, name: &[u8], length: usize) {
        let stamp = self.tick();
        if let Some(ino) = self.live[folder].get(name) {
            let inode = self.inodes.get_mut(ino).unwrap();
            inode.content.truncate(length);
            inode.modified = stamp;
        }
    }

    /// Puts a new file under a name, in the place of any that is there; nobody syncs its content.
    pub fn replace(&mut self, folder: usize, name: &[u8], content: &[u8]) {
        let (ino, stamp) = (self.next, self.tick());
        self.next += 1;
        let born = if self.births { stamp } else { 0 };
        let (content, durable) = (content.to_vec(), Vec::new());
        self.inodes.insert(ino, Inode { content, durable, born, modified: stamp });
        self.change(Op { ino, from: None, to: Some((folder, name.to_vec())) });
    }

    /// Takes a file away, if it is there.
    pub fn take_away(&mut self, folder: usize, name: &[u8]) {
        if let Some(ino) = self.live[folder].get(name).copied() {
            self.change(Op { ino, from: Some((folder, name.to_vec())), to: None });
        }
    }

    /// Puts a new file under a name, unless there is one.
    pub fn add(&mut self, folder: usize, name: &[u8], content: &[u8]) {
        if !self.live[folder].contains_key(name) {
            self.replace(folder, name, content);
        }
    }
}

impl State {
    fn tick(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    /// A number for all that a start can see on a disk where nothing is pending.
    pub fn fingerprint(&self) -> u64 {
        assert!(self.pending.is_empty());
        let mut hasher = DefaultHasher::new();
        self.live.hash(&mut hasher);
        for ino in self.live.iter().flat_map(BTreeMap::values) {
            self.inodes[ino].hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Every disk that a power cut now may leave.
    pub fn cuts(&self) -> Vec<Self> {
        let mut found = Vec::new();
        'subsets: for bits in 0..1u32 << self.pending.len() {
            let kept = |index: usize| bits >> index & 1 == 1;
            for later in 0..self.pending.len() {
                for earlier in 0..later {
                    if kept(later) && !kept(earlier) && self.pending[later].builds_on(&self.pending[earlier])
                    {
                        continue 'subsets;
                    }
                }
            }
            let mut durable = self.durable.clone();
            for (index, op) in self.pending.iter().enumerate() {
                if kept(index) {
                    op.apply(&mut durable);
                }
            }
            found.extend(self.contents(&durable));
        }
        found
    }

    /// The disks with these names and every content that the unsynced files among them may have.
    fn contents(&self, durable: &Entries) -> Vec<Self> {
        let named: BTreeSet<u64> = durable.iter().flat_map(|folder| folder.values().copied()).collect();
        let mut inodes = vec![BTreeMap::new()];
        for ino in named {
            let inode = &self.inodes[&ino];
            let mut ends = vec![inode.durable.clone()];
            if inode.durable != inode.content {
                let middle = inode.durable.len().midpoint(inode.content.len()).min(inode.content.len());
                let mut zeros = inode.content.clone();
                let from = inode.durable.len().min(zeros.len());
                zeros[from..].fill(0);
                ends.extend([inode.content.clone(), inode.content[..middle].to_vec(), zeros]);
                ends.dedup();
            }
            inodes = ends
                .iter()
                .flat_map(|end| inodes.iter().map(move |inodes| (end, inodes)))
                .map(|(end, inodes)| {
                    let mut inodes: BTreeMap<u64, Inode> = inodes.clone();
                    let (content, durable) = (end.clone(), end.clone());
                    inodes.insert(ino, Inode { content, durable, ..inode.clone() });
                    inodes
                })
                .collect();
        }
        let after = |inodes| Self {
            inodes,
            live: durable.clone(),
            durable: durable.clone(),
            pending: Vec::new(),
            ..self.clone()
        };
        inodes.into_iter().map(after).collect()
    }

    /// Makes every pending change of a folder durable, with what it builds on.
    fn flush(&mut self, folder: usize) {
        let mut kept: Vec<bool> = self.pending.iter().map(|op| op.touches(folder)).collect();
        for later in (0..kept.len()).rev() {
            for earlier in 0..later {
                kept[earlier] |= kept[later] && self.pending[later].builds_on(&self.pending[earlier]);
            }
        }
        let mut flags = kept.iter();
        let durable = &mut self.durable;
        self.pending.retain(|op| {
            let flush = *flags.next().unwrap();
            if flush {
                op.apply(durable);
            }
            !flush
        });
    }

    fn change(&mut self, op: Op) {
        op.apply(&mut self.live);
        self.pending.push(op);
    }

    fn found(&self, ino: u64) -> Found {
        let inode = &self.inodes[&ino];
        Found {
            kind: Kind::File,
            identity: Identity {
                inode: ino,
                born: inode.born,
                size: inode.content.len() as u64,
                modified: inode.modified,
            },
            links: 1,
            touched: 0,
        }
    }

    fn at(&self, folder: usize, name: &FileName) -> Result<u64> {
        self.live[folder].get(name.as_bytes()).copied().ok_or(Errno::NOENT)
    }
}

impl Model {
    /// One call: counted, and perhaps the one in trouble.
    fn call<T>(&self, what: &'static str, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.0.borrow_mut();
        if state.dead {
            return Err(Errno::IO);
        }
        let number = state.calls;
        state.calls += 1;
        match state.trouble {
            Some((at, Trouble::Lasting(error))) if at < number => Err(error),
            Some((at, trouble)) if at == number => {
                state.struck = Some(what);
                match trouble {
                    Trouble::Death => {
                        state.dead = true;
                        Err(Errno::IO)
                    }
                    Trouble::Failure(error) | Trouble::Lasting(error) => Err(error),
                    Trouble::Meddling(meddle) => {
                        meddle(&mut state);
                        work(&mut state)
                    }
                }
            }
            _ => work(&mut state),
        }
    }
}

impl Disk for Model {
    type Folder = usize;
    type File = u64;

    fn is_same(&self, one: &usize, other: &usize) -> Result<bool> {
        self.call("is same", |_| Ok(one == other))
    }

    fn lock(&self, _: &usize) -> Result<bool> {
        self.call("lock", |_| Ok(true))
    }

    fn look(&self, folder: &usize, name: &FileName) -> Result<Option<Found>> {
        self.call("look", |state| Ok(state.at(*folder, name).ok().map(|ino| state.found(ino))))
    }

    fn rename(&self, from: &usize, old: &FileName, to: &usize, new: &FileName) -> Result<()> {
        self.call("rename", |state| {
            let ino = state.at(*from, old)?;
            if state.apart && (*from == DESTINATION) != (*to == DESTINATION) {
                return Err(Errno::XDEV);
            }
            if state.at(*to, new).is_ok() {
                return Err(Errno::EXIST);
            }
            let name = |name: &FileName| name.as_bytes().to_vec();
            state.change(Op { ino, from: Some((*from, name(old))), to: Some((*to, name(new))) });
            Ok(())
        })
    }

    fn remove(&self, folder: &usize, name: &FileName) -> Result<()> {
        self.call("remove", |state| {
            let ino = state.at(*folder, name)?;
            state.change(Op { ino, from: Some((*folder, name.as_bytes().to_vec())), to: None });
            Ok(())
        })
    }

    fn names(&self, folder: &usize, start: &[u8]) -> Result<Vec<FileName>> {
        self.call("names", |state| {
            let names = state.live[*folder].keys().filter(|name| name.starts_with(start));
            Ok(names.map(|name| FileName::any(name).unwrap()).collect())
        })
    }

    fn sync_folder(&self, folder: &usize) -> Result<()> {
        self.call("sync folder", |state| {
            state.flush(*folder);
            Ok(())
        })
    }

    fn room(&self, _: &usize) -> Result<Room> {
        self.call("room", |state| Ok(Room { size: u64::MAX, free: state.free.unwrap_or(u64::MAX) }))
    }

    fn open(&self, folder: &usize, name: &FileName) -> Result<u64> {
        self.call("open", |state| state.at(*folder, name))
    }

    fn open_log(&self, folder: &usize, name: &FileName) -> Result<u64> {
        self.call("open log", |state| state.at(*folder, name))
    }

    fn create(&self, folder: &usize, name: &FileName) -> Result<u64> {
        self.call("create", |state| {
            if state.at(*folder, name).is_ok() {
                return Err(Errno::EXIST);
            }
            let (ino, stamp) = (state.next, state.tick());
            state.next += 1;
            let born = if state.births { stamp } else { 0 };
            let (content, durable) = (Vec::new(), Vec::new());
            state.inodes.insert(ino, Inode { content, durable, born, modified: stamp });
            state.change(Op { ino, from: None, to: Some((*folder, name.as_bytes().to_vec())) });
            Ok(ino)
        })
    }

    fn found(&self, file: &u64) -> Result<Found> {
        self.call("found", |state| Ok(state.found(*file)))
    }

    fn writers(&self, _: &u64) -> Writers {
        Writers::Unknown
    }

    fn read(&self, file: &u64, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.call("read", |state| {
            let content = &state.inodes[file].content;
            let rest = &content[usize::try_from(offset).unwrap().min(content.len())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn append(&self, file: &u64, bytes: &[u8]) -> Result<()> {
        let result = self.call("append", |state| {
            let stamp = state.tick();
            let inode = state.inodes.get_mut(file).unwrap();
            inode.content.extend_from_slice(bytes);
            inode.modified = stamp;
            Ok(())
        });
        let mut state = self.0.borrow_mut();
        if result.is_err() && !state.dead {
            let half = bytes.len() / 2;
            state.inodes.get_mut(file).unwrap().content.extend_from_slice(&bytes[..half]);
        }
        result
    }

    fn truncate(&self, file: &u64, length: u64) -> Result<()> {
        self.call("truncate", |state| {
            let inode = state.inodes.get_mut(file).unwrap();
            inode.content.truncate(usize::try_from(length).unwrap());
            Ok(())
        })
    }

    fn copy_attributes(&self, from: &u64, to: &u64) -> Result<()> {
        self.call("copy attributes", |state| {
            let modified = state.inodes[from].modified;
            state.inodes.get_mut(to).unwrap().modified = modified;
            Ok(())
        })
    }

    fn share(&self, _: &u64) -> Result<()> {
        self.call("share", |_| Ok(()))
    }

    fn sync(&self, file: &u64) -> Result<()> {
        self.call("sync", |state| {
            let inode = state.inodes.get_mut(file).unwrap();
            inode.durable = inode.content.clone();
            Ok(())
        })
    }

    fn sync_content(&self, file: &u64) -> Result<()> {
        self.sync(file)
    }

    fn now(&self) -> i64 {
        self.0.borrow().clock
    }
}
