//! The mover: owns the folders, and carries orders out so that a crash at any point loses and replaces nothing.
//!
//! Orders come in batches, and a batch shares its syncs: intents into the log and synced; renames; both folders synced;
//! done into the log and synced; only then the answers.

mod copy;
mod recover;

use std::time::Duration;

use rustix::io::Errno;

use crate::disk::{Disk, Found, Identity, Kind};
use crate::ledger::Ledger;
use crate::log::{self, Chain, Event, KeyTag, Log, Rotation, WriteFailed};
use crate::protocol::BATCH;
use crate::{Counters, FileName, NameError, Naming, Order, Outcome, Result, Suffix};

pub use recover::Recovery;

/// How a mover does its work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a moved file's name gets at its end.
    pub suffix: Suffix,
    /// For how long nothing about a file may have changed before it is taken; zero takes it at once.
    ///
    /// Measured by the time of the file's last change of any kind, which nobody can set back. A program that keeps the file
    /// open and pauses for longer is not seen: a lease would see it, and has no interface without unsafe code.
    pub quiet: Duration,
    /// How many bytes must be free on the log's and the destination's file systems.
    pub reserve: u64,
    /// At which length the log begins a new file.
    pub log_length: u64,
    /// How many of the log's files are kept.
    pub log_files: usize,
    /// How many done orders are remembered whose messages may still be on the queue.
    pub ledger_limit: usize,
    /// How many are remembered after that.
    pub ledger_window: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            suffix: Suffix::default(),
            quiet: Duration::from_secs(2),
            reserve: 16 * 1024 * 1024,
            log_length: 8 * 1024 * 1024,
            log_files: 32,
            ledger_limit: 32_768,
            ledger_window: 8_192,
        }
    }
}

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
}

/// An order that can be carried out as far as one can see.
struct Plan<D: Disk> {
    /// Its place in the batch.
    index: usize,
    key: KeyTag,
    name: FileName,
    target: FileName,
    identity: Identity,
    file: D::File,
    /// The number of its intent.
    intent: u64,
    state: Step,
}

/// How far a plan has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Intended,
    Renamed,
    /// A complete copy is under the temporary name.
    Copied(Identity),
    /// The copy has the destination's name; the source is still there.
    Published(Identity),
    Ended(Outcome),
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

    fn batch(&mut self, orders: &[Order]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Stopped; orders.len()];
        if self.stopped {
            return outcomes;
        }
        let mut plans: Vec<Plan<D>> = Vec::new();
        for (index, order) in orders.iter().enumerate() {
            match self.plan(index, order, &plans) {
                Ok(Ok(plan)) => plans.push(plan),
                Ok(Err(outcome)) => outcomes[index] = outcome,
                // The file's own content could not be made durable. Nothing was begun, but nothing more may begin.
                Err(Unsynced) => {
                    self.stopped = true;
                    return outcomes;
                }
            }
        }
        if !plans.is_empty() {
            let ended = match self.room(plans.len()) {
                Some(outcome) => Ok(Some(outcome)),
                None => self.execute(orders, &mut plans),
            };
            match ended {
                Ok(None) => {}
                Ok(Some(outcome)) => plans.iter_mut().for_each(|plan| plan.state = Step::Ended(outcome)),
                Err(Unsynced) => {
                    self.stopped = true;
                    plans.iter_mut().for_each(|plan| plan.state = Step::Ended(Outcome::Stopped));
                }
            }
            for plan in &plans {
                if let Step::Ended(outcome) = plan.state {
                    outcomes[plan.index] = outcome;
                }
            }
            self.rotate();
        }
        answer_repeats(orders, &mut outcomes);
        outcomes
    }

    /// Looks at one order; everything that can be known beforehand is an outcome here, and nothing has been written.
    fn plan(
        &self,
        index: usize,
        order: &Order,
        before: &[Plan<D>],
    ) -> Result<Result<Plan<D>, Outcome>, Unsynced> {
        let key = log::tag(order.key.as_bytes());
        if let Some(entry) = self.ledger.get(&key) {
            let same = entry.name == log::tag(&order.name);
            return Ok(Err(if same { Outcome::AlreadyDone } else { Outcome::KeyReused }));
        }
        if before.iter().any(|plan| plan.key == key) {
            // The batch's own repeat: answered from the first one, at the end.
            return Ok(Err(Outcome::Waiting));
        }
        let (name, target, found) = match self.check(order) {
            Ok(checked) => checked,
            Err(outcome) => return Ok(Err(outcome)),
        };
        if before.iter().any(|plan| plan.name == name) {
            return Ok(Err(Outcome::Waiting));
        }
        if before.iter().any(|plan| plan.target == target) {
            return Ok(Err(Outcome::Conflict));
        }
        let file = match self.disk.open(&self.source, &name) {
            Ok(file) => file,
            Err(error) => return Ok(Err(outcome_of(error))),
        };
        match self.disk.found(&file) {
            Ok(opened) if opened == found => {}
            Ok(_) => return Ok(Err(Outcome::Changed)),
            Err(error) => return Ok(Err(outcome_of(error))),
        }
        // Whoever wrote the file may not have synced it, and a durable name of lost bytes would be a lost file.
        self.disk.sync(&file)?;
        let identity = found.identity;
        Ok(Ok(Plan { index, key, name, target, identity, file, intent: 0, state: Step::Intended }))
    }

    fn check(&self, order: &Order) -> Result<(FileName, FileName, Found), Outcome> {
        let name = FileName::new(&order.name).map_err(|error| match error {
            NameError::Long(_) => Outcome::NameTooLong,
            _ => Outcome::BadName,
        })?;
        let target = match order.naming {
            Naming::Unchanged => name.clone(),
            Naming::Suffixed => name.with(&self.settings.suffix).map_err(|_| Outcome::NameTooLong)?,
        };
        let found = self.disk.look(&self.source, &name).map_err(outcome_of)?.ok_or(Outcome::Waiting)?;
        if found.kind != Kind::File {
            return Err(Outcome::NotAFile);
        }
        if found.links != 1 {
            return Err(Outcome::Linked);
        }
        // A file from the future says that the clock was set back; its age is as good as unknown, and waiting would not end.
        let age = self.disk.now().abs_diff(found.touched);
        if u128::from(age) < self.settings.quiet.as_nanos() {
            return Err(Outcome::Unready);
        }
        if self.disk.look(&self.destination, &target).map_err(outcome_of)?.is_some() {
            return Err(Outcome::Conflict);
        }
        Ok((name, target, found))
    }

    /// Why `more` orders cannot be begun, if so.
    fn room(&mut self, more: usize) -> Option<Outcome> {
        for folder in [self.log.folder(), &self.destination] {
            match self.disk.free(folder) {
                Ok(free) if free >= self.settings.reserve => {}
                Ok(_) => return Some(Outcome::DiskFull),
                Err(error) => return Some(outcome_of(error)),
            }
        }
        (!self.ledger.has_room(more, self.disk.now())).then_some(Outcome::LedgerFull)
    }

    /// Carries plans out. `Ok(Some)` when nothing was begun; otherwise every plan has ended.
    fn execute(&mut self, orders: &[Order], plans: &mut [Plan<D>]) -> Result<Option<Outcome>, Unsynced> {
        for plan in &mut *plans {
            let order = &orders[plan.index];
            let (key, naming) = (order.key.clone(), order.naming);
            let (name, target, identity) = (plan.name.clone(), plan.target.clone(), plan.identity);
            let intent = Event::Intent { key, naming, name, target, identity };
            plan.intent = self.log.push(&self.disk, intent);
        }
        match self.log.write(&self.disk) {
            Ok(()) => {}
            Err(WriteFailed::Undone(error)) => return Ok(Some(outcome_of(error))),
            Err(WriteFailed::Torn(_)) => return Err(Unsynced),
        }
        self.log.sync(&self.disk).map_err(|_| Unsynced)?;

        for plan in &mut *plans {
            plan.state = self.rename(plan)?;
        }
        if plans.iter().any(|plan| matches!(plan.state, Step::Copied(_))) {
            self.publish(plans)?;
        }
        self.disk.sync_folder(&self.destination)?;
        let published = |plan: &Plan<D>| matches!(plan.state, Step::Published(_));
        if plans.iter().any(published) {
            self.remove_sources(plans)?;
            // A copy may have been withdrawn.
            self.disk.sync_folder(&self.destination)?;
        }
        self.disk.sync_folder(&self.source)?;

        let now = self.disk.now();
        for plan in &*plans {
            match plan.state {
                Step::Ended(outcome) => {
                    let outcome = Some(outcome);
                    self.log.push(&self.disk, Event::Abandoned { intent: plan.intent, outcome });
                }
                _ => drop(self.log.push(&self.disk, Event::Done { intent: plan.intent })),
            }
        }
        self.log.commit(&self.disk).map_err(|_| Unsynced)?;
        for plan in plans {
            if !matches!(plan.state, Step::Ended(_)) {
                self.ledger.insert(plan.key, log::tag(plan.name.as_bytes()), plan.intent, now);
                plan.state = Step::Ended(Outcome::Done);
            }
        }
        Ok(None)
    }

    fn rename(&self, plan: &Plan<D>) -> Result<Step, Unsynced> {
        match self.disk.rename(&self.source, &plan.name, &self.destination, &plan.target) {
            Ok(()) => {}
            Err(Errno::XDEV) => {
                return Ok(match self.copy(plan) {
                    Ok(identity) => Step::Copied(identity),
                    Err(outcome) => Step::Ended(outcome),
                });
            }
            Err(error) => return Ok(Step::Ended(outcome_of(error))),
        }
        // Between the look and the rename the name may have been given to something else, or the file written to.
        let moved = self.disk.look(&self.destination, &plan.target)?;
        if moved.is_some_and(|moved| is_unchanged(&moved, &plan.identity)) {
            return Ok(Step::Renamed);
        }
        match self.disk.rename(&self.destination, &plan.target, &self.source, &plan.name) {
            // Taken away from the destination, or the source's name given away again: both stay as they are.
            Ok(()) | Err(Errno::NOENT | Errno::EXIST) => Ok(Step::Ended(Outcome::Changed)),
            Err(_) => Err(Unsynced),
        }
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

/// Whether what is found is the plain file that was looked at, with the content that it had.
fn is_unchanged(found: &Found, identity: &Identity) -> bool {
    found.kind == Kind::File && found.identity == *identity
}

/// A key that is twice in one batch: the second is answered as if it had come later.
fn answer_repeats(orders: &[Order], outcomes: &mut [Outcome]) {
    for later in 1..orders.len() {
        let key = &orders[later].key;
        let Some(first) = orders[..later].iter().position(|order| order.key == *key) else { continue };
        let same = orders[first].name == orders[later].name;
        outcomes[later] = match outcomes[first] {
            Outcome::Done | Outcome::AlreadyDone if same => Outcome::AlreadyDone,
            Outcome::Done | Outcome::AlreadyDone => Outcome::KeyReused,
            outcome if same => outcome,
            _ => outcomes[later],
        };
    }
}

/// What an order is answered whose file a system call refused to touch.
fn outcome_of(error: Errno) -> Outcome {
    match error {
        Errno::NOENT => Outcome::Waiting,
        Errno::EXIST => Outcome::Conflict,
        Errno::NAMETOOLONG => Outcome::NameTooLong,
        Errno::LOOP | Errno::XDEV | Errno::ISDIR | Errno::NXIO => Outcome::NotAFile,
        Errno::ACCESS | Errno::PERM => Outcome::Denied,
        Errno::NOSPC | Errno::DQUOT => Outcome::DiskFull,
        Errno::ROFS => Outcome::ReadOnly,
        _ => Outcome::Failed,
    }
}
