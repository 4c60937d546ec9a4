//! A batch of orders: looked at, intended, moved, synced and answered together.

use rustix::io::Errno;

use super::{Mover, Unsynced, outcome_of};
use crate::disk::{Disk, Found, Identity, Kind, Writers};
use crate::log::{self, Event, KeyTag, WriteFailed};
use crate::{FileName, NameError, Naming, Order, Outcome};

/// An order that can be carried out as far as one can see.
pub(super) struct Plan<D: Disk> {
    /// Its place in the batch.
    pub(super) index: usize,
    pub(super) key: KeyTag,
    pub(super) name: FileName,
    pub(super) target: FileName,
    pub(super) identity: Identity,
    pub(super) file: D::File,
    /// The number of its intent.
    pub(super) intent: u64,
    pub(super) state: Step,
}

/// How far a plan has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Intended,
    Renamed,
    /// A complete copy is under the temporary name.
    Copied(Identity),
    /// The copy has the destination's name; the source is still there.
    Published(Identity),
    Ended(Outcome),
}

impl<D: Disk> Mover<D> {
    pub(super) fn batch(&mut self, orders: &[Order]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Stopped; orders.len()];
        if self.stopped {
            return outcomes;
        }
        let mut plans: Vec<Plan<D>> = Vec::new();
        for (index, order) in orders.iter().enumerate() {
            match self.plan(index, order, &plans) {
                Ok(Ok(plan)) => plans.push(plan),
                Ok(Err(outcome)) => outcomes[index] = self.answer_of(outcome),
                // The file's own content could not be made durable. Nothing was begun, but nothing more may begin.
                Err(Unsynced) => {
                    self.stopped = true;
                    return outcomes;
                }
            }
        }
        if !plans.is_empty() {
            let ended = match self.room(plans.len(), 0) {
                Some(outcome) => Ok(Some(outcome)),
                None => self.execute(orders, &mut plans),
            };
            match ended {
                Ok(None) => {}
                Ok(Some(outcome)) => {
                    let outcome = self.answer_of(outcome);
                    plans.iter_mut().for_each(|plan| plan.state = Step::Ended(outcome));
                }
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
        self.answer_repeats(orders, &mut outcomes);
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
        if let Some(outcome) = self.before(&key, order) {
            return Ok(Err(outcome));
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
        // From here to the file's end nobody can begin to write to it, where the file system has leases.
        let writers = if self.settings.leases { self.disk.writers(&file) } else { Writers::Unknown };
        match writers {
            Writers::None => {}
            Writers::Some => return Ok(Err(Outcome::Unready)),
            Writers::Unknown if self.is_quiet(&found) => {}
            Writers::Unknown => return Ok(Err(Outcome::Unready)),
        }
        // Whoever wrote the file may not have synced it, and a durable name of lost bytes would be a lost file.
        self.disk.sync(&file)?;
        let identity = found.identity;
        Ok(Ok(Plan { index, key, name, target, identity, file, intent: 0, state: Step::Intended }))
    }

    /// What an order is answered whose key was done before.
    pub(super) fn before(&self, key: &KeyTag, order: &Order) -> Option<Outcome> {
        let entry = self.ledger.get(key)?;
        let name = self.settings.subfolders.apply(&order.name);
        let same = name.is_some_and(|name| entry.name == log::tag(&name));
        Some(if same { Outcome::AlreadyDone } else { Outcome::KeyReused })
    }

    /// An order's name and the name that its file gets at the destination.
    pub(super) fn names(&self, order: &Order) -> Result<(FileName, FileName), Outcome> {
        let name = self.settings.subfolders.apply(&order.name).ok_or(Outcome::BadName)?;
        let name = FileName::new(&name).map_err(|error| match error {
            NameError::Long(_) => Outcome::NameTooLong,
            _ => Outcome::BadName,
        })?;
        let target = match order.naming {
            Naming::Unchanged => name.clone(),
            Naming::Suffixed => name.with(&self.settings.suffix).map_err(|_| Outcome::NameTooLong)?,
        };
        Ok((name, target))
    }

    fn check(&self, order: &Order) -> Result<(FileName, FileName, Found), Outcome> {
        let (name, target) = self.names(order)?;
        let found = self.disk.look(&self.source, &name).map_err(outcome_of)?.ok_or(Outcome::Waiting)?;
        if found.kind != Kind::File {
            return Err(Outcome::NotAFile);
        }
        if found.links != 1 {
            return Err(Outcome::Linked);
        }
        if self.disk.look(&self.destination, &target).map_err(outcome_of)?.is_some() {
            return Err(Outcome::Conflict);
        }
        Ok((name, target, found))
    }

    /// Whether nothing about a file has changed for as long as the settings say.
    fn is_quiet(&self, found: &Found) -> bool {
        // A file from the future says that the clock was set back; its age is as good as unknown, and waiting would not end.
        let age = self.disk.now().abs_diff(found.touched);
        u128::from(age) >= self.settings.quiet.as_nanos()
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
        for plan in &mut *plans {
            match plan.state {
                Step::Ended(outcome) => {
                    let outcome = self.answer_of(outcome);
                    plan.state = Step::Ended(outcome);
                    let outcome = Some(outcome);
                    self.log.push(&self.disk, Event::Abandoned { intent: plan.intent, outcome });
                }
                _ => drop(self.log.push(&self.disk, Event::Done { intent: plan.intent })),
            }
        }
        // Not synced: what it says can be read off the intents and the folders, which are.
        self.log.write(&self.disk).map_err(|_| Unsynced)?;
        for plan in plans {
            if !matches!(plan.state, Step::Ended(_)) {
                self.ledger.insert(plan.key, log::tag(plan.name.as_bytes()), plan.intent, now);
                plan.state = Step::Ended(Outcome::Done);
            }
        }
        Ok(None)
    }

    /// A key that is twice in one batch: the second is answered as if it had come later.
    fn answer_repeats(&self, orders: &[Order], outcomes: &mut [Outcome]) {
        for later in 1..orders.len() {
            let key = &orders[later].key;
            let Some(first) = orders[..later].iter().position(|order| order.key == *key) else { continue };
            // By what the names stand for, as for an order that comes later.
            let name = |order: usize| self.settings.subfolders.apply(&orders[order].name);
            let same = name(first) == name(later);
            outcomes[later] = match outcomes[first] {
                Outcome::Done | Outcome::AlreadyDone if same => Outcome::AlreadyDone,
                Outcome::Done | Outcome::AlreadyDone => Outcome::KeyReused,
                outcome if same => outcome,
                _ => outcomes[later],
            };
        }
    }

    fn rename(&self, plan: &Plan<D>) -> Result<Step, Unsynced> {
        match self.disk.rename(&self.source, &plan.name, &self.destination, &plan.target) {
            Ok(()) => {}
            Err(Errno::XDEV) => {
                return match self.copy(plan) {
                    Ok(identity) => Ok(Step::Copied(identity)),
                    Err(Outcome::Stopped) => Err(Unsynced),
                    Err(outcome) => Ok(Step::Ended(outcome)),
                };
            }
            Err(error) => return Ok(Step::Ended(outcome_of(error))),
        }
        // Between the look and the rename the name may have been given to something else, or the file written to.
        let moved = match self.disk.look(&self.destination, &plan.target)? {
            Some(moved) => moved,
            // Collected already. It is still open, and says itself whether it is what was looked at.
            None => self.disk.found(&plan.file)?,
        };
        if is_unchanged(&moved, &plan.identity) {
            return Ok(Step::Renamed);
        }
        match self.disk.rename(&self.destination, &plan.target, &self.source, &plan.name) {
            // Taken away from the destination, or the source's name given away again: both stay as they are.
            Ok(()) | Err(Errno::NOENT | Errno::EXIST) => Ok(Step::Ended(Outcome::Changed)),
            Err(_) => Err(Unsynced),
        }
    }
}

/// Whether what is found is the plain file that was looked at, with the content that it had.
pub(super) fn is_unchanged(found: &Found, identity: &Identity) -> bool {
    found.kind == Kind::File && found.identity == *identity
}
