//! Files that come in: bytes into the mover's own temporary file, hashed on the way, then published as a moved file is.

use sha2::{Digest, Sha256};

use super::{Mover, Unsynced, outcome_of};
use crate::checksum::{Checksum, Running};
use crate::disk::Disk;
use crate::log::{self, Event, KeyTag, WriteFailed};
use crate::protocol::Inbound;
use crate::{FileName, Naming, OrderKey, Outcome};

/// A file that is coming in. Not for dropping: [`Mover::complete`] or [`Mover::abort`] ends it.
#[derive(Debug)]
pub struct Incoming<D: Disk> {
    key: OrderKey,
    naming: Naming,
    name: FileName,
    target: FileName,
    temporary: FileName,
    file: D::File,
    /// How many bytes were announced.
    length: u64,
    /// How many have come.
    got: u64,
    hash: Sha256,
    checksum: Option<(Running, Checksum)>,
    version: Vec<u8>,
}

impl<D: Disk> Incoming<D> {
    /// Its order's key.
    pub fn key(&self) -> &OrderKey {
        &self.key
    }
}

impl<D: Disk> Mover<D> {
    /// Begins to take a file in, or answers its order at once.
    pub fn begin(&mut self, inbound: &Inbound) -> Result<Incoming<D>, Outcome> {
        self.begin_file(inbound).map_err(|outcome| self.refuse(outcome))
    }

    fn begin_file(&mut self, inbound: &Inbound) -> Result<Incoming<D>, Outcome> {
        if self.stopped {
            return Err(Outcome::Stopped);
        }
        let order = &inbound.order;
        if let Some(outcome) = self.before(&log::tag(order.key.as_bytes()), order) {
            return Err(outcome);
        }
        let (name, target) = self.names(order)?;
        if inbound.length > self.settings.largest {
            return Err(Outcome::TooLarge);
        }
        if self.disk.look(&self.destination, &target).map_err(outcome_of)?.is_some() {
            return Err(Outcome::Conflict);
        }
        if let Some(outcome) = self.room(1, inbound.length) {
            return Err(outcome);
        }
        self.incoming += 1;
        let temporary = FileName::incoming(self.incoming);
        let file = self.disk.create(&self.destination, &temporary).map_err(|error| match own(error) {
            // No order's doing either: the name is taken by something that is not ours.
            Outcome::Conflict => Outcome::Failed,
            outcome => outcome,
        })?;
        self.promised += inbound.length;
        let checksum = inbound.checksum.clone();
        let checksum = checksum.map(|checksum| (Running::new(checksum.algorithm()), checksum));
        Ok(Incoming {
            key: order.key.clone(),
            naming: order.naming,
            name,
            target,
            temporary,
            file,
            length: inbound.length,
            got: 0,
            hash: Sha256::new(),
            checksum,
            version: inbound.version.clone(),
        })
    }

    /// Takes the next bytes. After an error the file can only be aborted.
    pub fn take(&mut self, incoming: &mut Incoming<D>, bytes: &[u8]) -> Result<(), Outcome> {
        if self.stopped {
            return Err(Outcome::Stopped);
        }
        let count = bytes.len() as u64;
        if count > incoming.length - incoming.got {
            return Err(Outcome::Mismatch);
        }
        self.disk.append(&incoming.file, bytes).map_err(own)?;
        incoming.got += count;
        self.promised -= count;
        incoming.hash.update(bytes);
        if let Some((running, _)) = &mut incoming.checksum {
            running.update(bytes);
        }
        Ok(())
    }

    /// Throws away what has come, and answers the order with `outcome`.
    pub fn abort(&mut self, incoming: Incoming<D>, outcome: Outcome) -> Outcome {
        // One that cannot be removed now is removed at the next start.
        let _ = self.disk.remove(&self.destination, &incoming.temporary);
        // With this its room is free again, for whatever is answered.
        self.promised -= incoming.length - incoming.got;
        drop(incoming);
        self.refuse(outcome)
    }

    fn refuse(&mut self, outcome: Outcome) -> Outcome {
        let outcome = self.answer_of(outcome);
        self.counters.add(outcome);
        outcome
    }

    /// Publishes the file, if it is what was announced.
    pub fn complete(&mut self, mut incoming: Incoming<D>) -> Outcome {
        let key = log::tag(incoming.key.as_bytes());
        let outcome = match self.publish_incoming(&mut incoming, key) {
            Ok(Outcome::Done) => Outcome::Done,
            Ok(outcome) => return self.abort(incoming, outcome),
            Err(Unsynced) => {
                self.stopped = true;
                Outcome::Stopped
            }
        };
        self.counters.add(outcome);
        self.rotate();
        outcome
    }

    fn publish_incoming(&mut self, incoming: &mut Incoming<D>, key: KeyTag) -> Result<Outcome, Unsynced> {
        if self.stopped {
            return Err(Unsynced);
        }
        if incoming.got < incoming.length {
            return Ok(Outcome::Incomplete);
        }
        let checksum = incoming.checksum.take();
        let verified = checksum.as_ref().map(|(_, checksum)| checksum.algorithm());
        if checksum.is_some_and(|(running, checksum)| running.finish() != checksum.digest()) {
            return Ok(Outcome::Mismatch);
        }
        // Another order may have been done under this key, or have taken this name, while the bytes came.
        if self.ledger.get(&key).is_some() {
            return Ok(Outcome::AlreadyDone);
        }
        // On the box the destination's group is whoever collects; elsewhere it is the mover's own.
        if let Err(error) = self.disk.share(&incoming.file) {
            return Ok(own(error));
        }
        self.disk.sync(&incoming.file)?;
        let identity = match self.disk.found(&incoming.file) {
            Ok(found) => found.identity,
            Err(error) => return Ok(own(error)),
        };
        if identity.size != incoming.length {
            return Ok(Outcome::Failed);
        }
        if let Some(outcome) = self.room(1, 0) {
            return Ok(outcome);
        }
        let intent = self.log.push(
            &self.disk,
            Event::Received {
                key: incoming.key.clone(),
                naming: incoming.naming,
                name: incoming.name.clone(),
                target: incoming.target.clone(),
                identity,
                digest: incoming.hash.clone().finalize().into(),
                verified,
                version: incoming.version.clone(),
            },
        );
        match self.log.write(&self.disk) {
            Ok(()) => {}
            Err(WriteFailed::Undone(error)) => return Ok(outcome_of(error)),
            Err(WriteFailed::Torn(_)) => return Err(Unsynced),
        }
        self.log.sync(&self.disk).map_err(|_| Unsynced)?;

        let folder = &self.destination;
        let renamed = self.disk.rename(folder, &incoming.temporary, folder, &incoming.target);
        let (outcome, event) = match renamed {
            Ok(()) => (Outcome::Done, Event::Done { intent }),
            Err(error) => {
                let outcome = self.answer_of(own(error));
                (outcome, Event::Abandoned { intent, outcome: Some(outcome) })
            }
        };
        self.disk.sync_folder(&self.destination)?;
        self.log.push(&self.disk, event);
        // Not synced, as at the end of a batch.
        self.log.write(&self.disk).map_err(|_| Unsynced)?;
        if outcome == Outcome::Done {
            let now = self.disk.now();
            self.ledger.insert(key, log::tag(incoming.name.as_bytes()), intent, now);
        }
        Ok(outcome)
    }
}

/// What an order is answered when a call on the mover's own temporary file failed.
fn own(error: rustix::io::Errno) -> Outcome {
    match outcome_of(error) {
        // The temporary name cannot be missing or wrong by the order's doing.
        Outcome::Waiting | Outcome::NotAFile | Outcome::NameTooLong => Outcome::Failed,
        outcome => outcome,
    }
}
