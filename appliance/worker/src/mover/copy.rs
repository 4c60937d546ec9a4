//! Moving between file systems: copy under a hidden name, sync, compare, publish without replacing, then remove the source.

use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::batch::{Plan, Step, is_unchanged};
use super::{Mover, Unsynced, outcome_of};
use crate::disk::{Disk, Identity};
use crate::log::{Event, WriteFailed};
use crate::{FileName, Outcome};

/// Large enough that calls do not count, small enough for the box.
const CHUNK: usize = 128 * 1024;

impl<D: Disk> Mover<D> {
    /// Makes a complete, synced and compared copy under the plan's temporary name.
    pub(super) fn copy(&self, plan: &Plan<D>) -> Result<Identity, Outcome> {
        if let Some(outcome) = self.lack(plan.identity.size) {
            return Err(outcome);
        }
        let temporary = FileName::temporary(plan.intent);
        let copied = self.copy_to(plan, &temporary);
        if copied.is_err() {
            // One that cannot be removed now is removed at the next start.
            let _ = self.disk.remove(&self.destination, &temporary);
        }
        copied
    }

    fn copy_to(&self, plan: &Plan<D>, temporary: &FileName) -> Result<Identity, Outcome> {
        let failed = |error| match error {
            // The temporary name cannot be an honest file's, nor missing: this is not the order's doing.
            Errno::EXIST | Errno::NOENT => Outcome::Failed,
            error => outcome_of(error),
        };
        let copy = self.disk.create(&self.destination, temporary).map_err(failed)?;
        let mut buffer = vec![0; CHUNK];
        let mut hash = Sha256::new();
        let mut length = 0;
        loop {
            let count = self.disk.read(&plan.file, length, &mut buffer).map_err(failed)?;
            if count == 0 {
                break;
            }
            length += count as u64;
            if length > plan.identity.size {
                return Err(Outcome::Changed);
            }
            hash.update(&buffer[..count]);
            self.disk.append(&copy, &buffer[..count]).map_err(failed)?;
        }
        self.disk.copy_attributes(&plan.file, &copy).map_err(failed)?;
        self.disk.sync(&copy).map_err(|_| Outcome::Stopped)?;
        let again = self.hash(&copy, &mut buffer).map_err(failed)?;
        if length != plan.identity.size {
            return Err(Outcome::Changed);
        }
        if again != (length, hash.finalize().into()) {
            return Err(Outcome::Failed);
        }
        self.disk.found(&copy).map(|found| found.identity).map_err(failed)
    }

    fn hash(&self, file: &D::File, buffer: &mut [u8]) -> Result<(u64, [u8; 32]), Errno> {
        let mut hash = Sha256::new();
        let mut length = 0;
        loop {
            let count = self.disk.read(file, length, buffer)?;
            if count == 0 {
                return Ok((length, hash.finalize().into()));
            }
            length += count as u64;
            hash.update(&buffer[..count]);
        }
    }

    /// Writes the copies into the log, so that a restart knows them, and gives each its name if its source is unchanged.
    pub(super) fn publish(&mut self, plans: &mut [Plan<D>]) -> Result<(), Unsynced> {
        for plan in &*plans {
            if let Step::Copied(identity) = plan.state {
                self.log.push(&self.disk, Event::Copied { intent: plan.intent, identity });
            }
        }
        match self.log.write(&self.disk) {
            Ok(()) => self.log.sync(&self.disk).map_err(|_| Unsynced)?,
            Err(WriteFailed::Torn(_)) => return Err(Unsynced),
            Err(WriteFailed::Undone(error)) => {
                for plan in &mut *plans {
                    if matches!(plan.state, Step::Copied(_)) {
                        plan.state = self.discard(plan, outcome_of(error));
                    }
                }
            }
        }
        for plan in plans {
            let Step::Copied(identity) = plan.state else { continue };
            plan.state = match self.disk.look(&self.source, &plan.name) {
                Ok(Some(found)) if is_unchanged(&found, &plan.identity) => {
                    let temporary = FileName::temporary(plan.intent);
                    let (from, to) = (&self.destination, &self.destination);
                    match self.disk.rename(from, &temporary, to, &plan.target) {
                        Ok(()) => Step::Published(identity),
                        Err(Errno::NOENT) => Step::Ended(Outcome::Failed),
                        Err(error) => self.discard(plan, outcome_of(error)),
                    }
                }
                Ok(_) => self.discard(plan, Outcome::Changed),
                Err(error) => self.discard(plan, outcome_of(error)),
            };
        }
        Ok(())
    }

    /// Removes the sources of published copies. A copy whose source was written to, or cannot be removed, is withdrawn.
    pub(super) fn remove_sources(&self, plans: &mut [Plan<D>]) -> Result<(), Unsynced> {
        for plan in plans {
            let Step::Published(copy) = plan.state else { continue };
            let removed = remove_source(&self.disk, &self.source, plan.intent, &plan.name, &plan.identity);
            let outcome = match removed {
                Ok(()) => continue,
                Err(NotRemoved::Kept(outcome)) => outcome,
                Err(NotRemoved::Unknown(_)) => return Err(Unsynced),
            };
            match self.disk.look(&self.destination, &plan.target)? {
                Some(found) if found.identity.same_file(&copy) => {
                    self.disk.remove(&self.destination, &plan.target)?;
                }
                // Collected or replaced already: not ours to remove.
                _ => {}
            }
            plan.state = Step::Ended(outcome);
        }
        Ok(())
    }

    fn discard(&self, plan: &Plan<D>, outcome: Outcome) -> Step {
        // One that cannot be removed now is removed at the next start.
        let _ = self.disk.remove(&self.destination, &FileName::temporary(plan.intent));
        Step::Ended(outcome)
    }
}

/// Why a source was not removed.
pub(super) enum NotRemoved {
    /// It has its name, and its order is answered so: the copy must go.
    Kept(Outcome),
    /// It could not be given its name back: the copy must stay, and a restart finds out.
    Unknown(Errno),
}

/// Removes a source whose copy is published.
///
/// A source that is gone, or whose name another file has by now, needs no removal: what was ordered is at its destination.
/// It is put aside before it is removed: removing by name could hit a file that was put there a moment ago.
pub(super) fn remove_source<D: Disk>(
    disk: &D,
    source: &D::Folder,
    intent: u64,
    name: &FileName,
    identity: &Identity,
) -> Result<(), NotRemoved> {
    let kept = |error| NotRemoved::Kept(outcome_of(error));
    match disk.look(source, name).map_err(kept)? {
        Some(found) if is_unchanged(&found, identity) => {}
        Some(found) if found.identity.same_file(identity) => return Err(NotRemoved::Kept(Outcome::Changed)),
        _ => return Ok(()),
    }
    let aside = FileName::aside(intent);
    match disk.rename(source, name, source, &aside) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(kept(error)),
    }
    let removed = match disk.look(source, &aside) {
        Ok(Some(found)) if is_unchanged(&found, identity) => {
            disk.remove(source, &aside).map_err(outcome_of).map(|()| true)
        }
        Ok(Some(found)) if found.identity.same_file(identity) => Err(Outcome::Changed),
        Ok(_) => Ok(false),
        Err(error) => Err(outcome_of(error)),
    };
    if removed == Ok(true) {
        return Ok(());
    }
    let is_back = put_back(disk, source, intent, name).map_err(NotRemoved::Unknown)?;
    match removed {
        Err(outcome) if is_back => Err(NotRemoved::Kept(outcome)),
        _ => Ok(()),
    }
}

/// Gives a file that was put aside its name back, and says whether it has it: not when the name has a new file by now.
pub(super) fn put_back<D: Disk>(
    disk: &D,
    source: &D::Folder,
    intent: u64,
    name: &FileName,
) -> Result<bool, Errno> {
    match disk.rename(source, &FileName::aside(intent), source, name) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}
