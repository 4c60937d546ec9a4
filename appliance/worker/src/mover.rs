//! The mover: owns the folders, and carries orders out so that a crash at any point loses and replaces nothing.
//!
//! Orders come in batches, and a batch shares its syncs: intents into the log and synced; renames; both folders synced; done
//! into the log; the answers. That record is synced with the next batch's intents, or by [`Mover::settle`] when none
//! comes: until then a power cut can take it, and the next start writes it again, for the intent is on the disk and the file
//! is where the intent says.

mod batch;
mod copy;
mod inbound;
mod recover;
mod settings;

use rustix::io::Errno;

use crate::disk::{Disk, Room};
use crate::ledger::Ledger;
use crate::log::{self, Chain, Event, Log, Rotation, WriteFailed};
use crate::protocol::BATCH;
use crate::{Counters, Order, Outcome};

pub use inbound::Incoming;
pub use recover::Recovery;
pub use settings::Settings;

/// The mover, at work.
#[derive(Debug)]
pub struct Mover<D: Disk> {
    disk: D,
    source: D::Folder,
    destination: D::Folder,
    log: Log<D>,
    ledger: Ledger,
    settings: Settings,
    counters: Counters,
    recovery: Recovery,
    stopped: bool,
    /// How many files were begun to be taken in: the number of the next one's temporary name.
    incoming: u64,
    /// How many bytes are still to come of those that are coming in: their room is promised.
    promised: u64,
}

// What a batch writes at once must be what a start takes for an interrupted write.
const _: () = assert!(BATCH * log::LONGEST <= log::LONGEST_WRITE, "a batch fits the log's longest write");

/// A sync failed: what the disk holds is unknown until a restart reads it.
struct Unsynced;

impl From<Errno> for Unsynced {
    fn from(_: Errno) -> Self {
        Self
    }
}

impl<D: Disk> Mover<D> {
    /// The most orders that share their syncs.
    pub const BATCH: usize = BATCH;

    /// Carries orders out and answers each, in their order. More than [`Mover::BATCH`] are done in several batches.
    pub fn carry_out(&mut self, orders: &[Order]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(orders.len());
        for batch in orders.chunks(Self::BATCH) {
            outcomes.extend(self.batch(batch));
        }
        for outcome in &outcomes {
            self.counters.add(*outcome);
        }
        outcomes
    }

    /// Notes that the messages of these orders are deleted, so that they need not be remembered for ever.
    ///
    /// Not synced by itself: if it is lost, they are remembered for longer.
    pub fn acknowledge<'a>(&mut self, keys: impl IntoIterator<Item = &'a crate::OrderKey>) {
        if self.stopped {
            return;
        }
        let tags: Vec<_> = keys.into_iter().map(|key| log::tag(key.as_bytes())).collect();
        for batch in tags.chunks(Self::BATCH) {
            let known: Vec<_> = batch.iter().filter(|key| self.ledger.acknowledge(key)).copied().collect();
            for key in known {
                self.log.push(&self.disk, Event::Acknowledged { key });
            }
            if let Err(WriteFailed::Torn(_)) = self.log.write(&self.disk) {
                self.stopped = true;
            }
        }
        self.rotate();
    }

    /// Makes durable what the last batch wrote into the log. To be called when no order has come for a moment.
    pub fn settle(&mut self) {
        if self.is_unsettled() && self.log.sync(&self.disk).is_err() {
            self.stopped = true;
        }
    }

    /// Whether [`Mover::settle`] has anything to do.
    pub fn is_unsettled(&self) -> bool {
        !self.stopped && self.log.is_unsynced()
    }

    /// What every order would be answered now, if none can be carried out.
    pub fn obstacle(&mut self) -> Option<Outcome> {
        if self.stopped { Some(Outcome::Stopped) } else { self.room(1, 0) }
    }

    /// Why `more` orders that bring `bytes` in cannot be begun, if so.
    fn room(&mut self, more: usize, bytes: u64) -> Option<Outcome> {
        self.lack(bytes)
            .or_else(|| (!self.ledger.has_room(more, self.disk.now())).then_some(Outcome::LedgerFull))
    }

    /// Why `bytes` cannot be put into the destination, if so. Only a disk that has used up its reserve is answered as full,
    /// for then nothing more is received; what is too large for the room that there is hinders no other order.
    fn lack(&self, bytes: u64) -> Option<Outcome> {
        for (folder, bytes) in [(self.log.folder(), 0), (&self.destination, bytes)] {
            match self.disk.room(folder).map(|room| room.free.checked_sub(self.settings.reserve)) {
                Ok(None) => return Some(Outcome::DiskFull),
                Ok(Some(free)) if free.saturating_sub(self.promised) < bytes => return Some(Outcome::Failed),
                Ok(Some(_)) => {}
                Err(error) => return Some(outcome_of(error)),
            }
        }
        None
    }

    /// What an order is answered that met `outcome`: that the disk is full only if the next order would meet it as well.
    fn answer_of(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::DiskFull => self.lack(0).unwrap_or(Outcome::Failed),
            outcome => outcome,
        }
    }

    /// The room for files that come, without the reserve.
    pub fn room_for_files(&self) -> Result<Room, Errno> {
        let Room { size, free } = self.disk.room(&self.destination)?;
        let reserve = self.settings.reserve;
        Ok(Room { size: size.saturating_sub(reserve), free: free.saturating_sub(reserve) })
    }

    /// What was answered since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the start found to complete.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The log's last record number and hash, for the status.
    pub fn head(&self) -> (u64, Chain) {
        self.log.head()
    }

    /// Done orders whose messages are not known to be deleted.
    pub fn unacknowledged(&self) -> usize {
        self.ledger.unacknowledged()
    }

    /// Whether a sync failed: nothing is done any more until a restart has read what the disk holds.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn rotate(&mut self) {
        if self.stopped || !self.log.is_long(self.settings.log_length) {
            return;
        }
        let rotated = self.log.rotate(&self.disk, self.ledger.kept(), self.settings.log_files);
        if let Err(Rotation::Unsafe(_)) = rotated {
            self.stopped = true;
        }
    }
}

/// What an order is answered whose file a system call refused to touch.
fn outcome_of(error: Errno) -> Outcome {
    match error {
        Errno::NOENT => Outcome::Waiting,
        Errno::EXIST => Outcome::Conflict,
        // Somebody has a lease on it for writing. A lookup that raced asks for another try so too, but only on names with "..".
        Errno::AGAIN => Outcome::Unready,
        Errno::NAMETOOLONG => Outcome::NameTooLong,
        Errno::LOOP | Errno::XDEV | Errno::ISDIR | Errno::NXIO => Outcome::NotAFile,
        Errno::ACCESS | Errno::PERM => Outcome::Denied,
        Errno::NOSPC | Errno::DQUOT => Outcome::DiskFull,
        Errno::ROFS => Outcome::ReadOnly,
        _ => Outcome::Failed,
    }
}
