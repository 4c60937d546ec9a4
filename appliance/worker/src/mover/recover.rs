//! Starting: the log is replayed, and every move that was interrupted is completed or given up, by looking where the file is.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::copy::{NotRemoved, put_back, remove_source};
use super::{Mover, Settings};
use crate::disk::{Disk, Identity};
use crate::ledger::Ledger;
use crate::log::{self, Event, Log, Record};
use crate::name::OWN;
use crate::{Counters, Error, FileName, OrderKey, Outcome, Result};

/// What a start found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Interrupted moves whose file had arrived.
    pub completed: u64,
    /// Interrupted moves whose file is still in the source folder; their orders come again.
    pub given_up: u64,
    /// Interrupted moves whose file is in neither place: someone else took it away.
    pub unaccounted: u64,
    /// Bytes of an interrupted write at the log's end.
    pub cut: u64,
    /// Unfinished copies that were removed.
    pub leftovers: u64,
}

/// An intent without an end.
struct Open {
    key: OrderKey,
    name: FileName,
    target: FileName,
    identity: Identity,
    copy: Option<Identity>,
    /// It came in through the courier, so there is no source.
    inbound: bool,
}

/// Where the file of an interrupted move is.
#[derive(Clone, Copy)]
enum Place {
    /// At its destination, by a rename.
    Moved,
    /// A copy of it is at its destination.
    Published,
    /// Still in the source folder; or, for one that came in, still to be sent.
    Source,
    /// In neither.
    Nowhere,
}

impl<D: Disk> Mover<D> {
    /// Takes the folders, replays the log and completes what was interrupted.
    pub fn open(
        disk: D,
        source: D::Folder,
        destination: D::Folder,
        log: D::Folder,
        settings: Settings,
    ) -> Result<Self> {
        let locked = |source| Error::Log { action: "lock", source };
        // A folder that is both cannot be locked twice. Another mover's start would take unfinished files here for leftovers.
        let others = !disk.is_same(&source, &destination).map_err(locked)?;
        for folder in [&source, &log].into_iter().chain(others.then_some(&destination)) {
            if !disk.lock(folder).map_err(locked)? {
                return Err(Error::Locked);
            }
        }
        let mut ledger = Ledger::new(settings.ledger_limit, settings.ledger_window);
        let mut open = BTreeMap::new();
        let (log, cut) = Log::open(&disk, log, |record| replay(record, &mut ledger, &mut open))?;
        let mut mover = Self {
            disk,
            source,
            destination,
            log,
            ledger,
            settings,
            counters: Counters::default(),
            recovery: Recovery { cut, ..Recovery::default() },
            stopped: false,
            incoming: 0,
            promised: 0,
        };
        mover.complete_interrupted(&open)?;
        Ok(mover)
    }

    fn complete_interrupted(&mut self, open: &BTreeMap<u64, Open>) -> Result<()> {
        let mut places = Vec::new();
        for (intent, open) in open {
            if !open.inbound {
                put_back(&self.disk, &self.source, *intent, &open.name).map_err(failed("put a file back"))?;
            }
            places.push((*intent, open, self.place(open).map_err(failed("look for a file"))?));
        }
        // A copy's name must be durable before its source goes, and every place before the log says so.
        self.disk.sync_folder(&self.destination).map_err(failed("sync the destination"))?;
        for (intent, open, place) in places {
            let event = match place {
                Place::Moved => Event::Done { intent },
                Place::Published => self.finish_copy(intent, open)?,
                Place::Source => Event::Abandoned { intent, outcome: Some(Outcome::Failed) },
                Place::Nowhere => Event::Abandoned { intent, outcome: None },
            };
            match event {
                Event::Done { .. } => {
                    self.recovery.completed += 1;
                    let (key, name) = (log::tag(open.key.as_bytes()), log::tag(open.name.as_bytes()));
                    self.ledger.insert(key, name, intent, self.disk.now());
                }
                Event::Abandoned { outcome: None, .. } => self.recovery.unaccounted += 1,
                _ => self.recovery.given_up += 1,
            }
            self.log.push(&self.disk, event);
        }
        self.disk.sync_folder(&self.source).map_err(failed("sync the source folder"))?;
        self.remove_leftovers().map_err(failed("remove an unfinished copy"))?;
        self.disk.sync_folder(&self.destination).map_err(failed("sync the destination"))?;
        if !open.is_empty() {
            self.log.commit(&self.disk)?;
        }
        Ok(())
    }

    fn place(&self, open: &Open) -> Result<Place, Errno> {
        if let Some(found) = self.disk.look(&self.destination, &open.target)? {
            if found.identity.same_file(&open.identity) {
                return Ok(Place::Moved);
            }
            if open.copy.is_some_and(|copy| found.identity.same_file(&copy)) {
                return Ok(Place::Published);
            }
        }
        if open.inbound {
            return Ok(Place::Source);
        }
        let found = self.disk.look(&self.source, &open.name)?;
        let here = found.is_some_and(|found| found.identity.same_file(&open.identity));
        Ok(if here { Place::Source } else { Place::Nowhere })
    }

    fn finish_copy(&self, intent: u64, open: &Open) -> Result<Event> {
        match remove_source(&self.disk, &self.source, intent, &open.name, &open.identity) {
            Ok(()) => Ok(Event::Done { intent }),
            Err(NotRemoved::Unknown(source)) => Err(Error::Recovery { action: "put a file back", source }),
            Err(NotRemoved::Kept(outcome)) => {
                self.disk
                    .remove(&self.destination, &open.target)
                    .map_err(failed("withdraw a copy whose source changed"))?;
                Ok(Event::Abandoned { intent, outcome: Some(outcome) })
            }
        }
    }

    /// Copies that were never published. Their sources are where they were: only a published copy's source is removed.
    fn remove_leftovers(&mut self) -> Result<(), Errno> {
        for name in self.disk.names(&self.destination, OWN)? {
            if name.is_temporary() {
                self.disk.remove(&self.destination, &name)?;
                self.recovery.leftovers += 1;
            }
        }
        Ok(())
    }
}

/// One record's part in what is open and what is done.
fn replay(record: &Record, ledger: &mut Ledger, open: &mut BTreeMap<u64, Open>) {
    match &record.event {
        Event::Kept { key, name, sequence, time, acknowledged } => {
            ledger.insert(*key, *name, *sequence, *time);
            if *acknowledged {
                ledger.acknowledge(key);
            }
        }
        Event::Intent { key, name, target, identity, .. } => {
            let (key, name, target) = (key.clone(), name.clone(), target.clone());
            open.insert(
                record.sequence,
                Open { key, name, target, identity: *identity, copy: None, inbound: false },
            );
        }
        Event::Received { key, name, target, identity, .. } => {
            let (key, name, target) = (key.clone(), name.clone(), target.clone());
            open.insert(
                record.sequence,
                Open { key, name, target, identity: *identity, copy: None, inbound: true },
            );
        }
        Event::Copied { intent, identity } => {
            if let Some(open) = open.get_mut(intent) {
                open.copy = Some(*identity);
            }
        }
        Event::Done { intent } => {
            if let Some(done) = open.remove(intent) {
                let (key, name) = (log::tag(done.key.as_bytes()), log::tag(done.name.as_bytes()));
                ledger.insert(key, name, *intent, record.time);
            }
        }
        Event::Abandoned { intent, .. } => drop(open.remove(intent)),
        Event::Acknowledged { key } => drop(ledger.acknowledge(key)),
        Event::Opened { .. } | Event::Recovered { .. } => {}
    }
}

fn failed(action: &'static str) -> impl FnOnce(Errno) -> Error {
    move |source| Error::Recovery { action, source }
}
