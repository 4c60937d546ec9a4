//! One record of the log: bytes in, bytes out, each chained to the one before by its hash.
//!
//! `length u16 | kind u8 | sequence u64 | synced u64 | time i64 | body | chain [32]`, numbers little-endian; `length` counts everything
//! behind itself. `chain` is SHA-256 over the chain of the record before and this record's bytes up to it: a record that
//! was torn, changed, moved or left out does not fit.

use sha2::{Digest, Sha256};

use crate::checksum::Algorithm;
use crate::disk::Identity;
use crate::protocol::LONGEST_VERSION;
use crate::{FileName, Naming, OrderKey, Outcome};

/// The hash that a record ends with and the next one builds on.
pub type Chain = [u8; 32];

/// The version of the format, in the first record of each file.
pub const VERSION: u16 = 1;

/// What the ledger keeps of a key: enough never to meet the same twice, and no text.
pub type KeyTag = [u8; 16];

/// The longest record; a file holds nothing longer, so a damaged length is seen at once.
pub const LONGEST: usize = 1024;

const FRAME: usize = 2 + 1 + 8 + 8 + 8 + 32;

/// What happened, in the order in which it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file begins. The chain goes on from the file before.
    Opened {
        /// The format's version.
        version: u16,
        /// The last chain of the file before; zeros in the very first.
        head: Chain,
    },
    /// A done order that is still remembered, carried over from the file before.
    Kept {
        /// Its key.
        key: KeyTag,
        /// The name it was for.
        name: KeyTag,
        /// The intent it was done by.
        sequence: u64,
        /// When it was done.
        time: i64,
        /// Whether its message is known to be deleted.
        acknowledged: bool,
    },
    /// A file is going to be moved.
    Intent {
        /// The order's key.
        key: OrderKey,
        /// How the destination's name was made.
        naming: Naming,
        /// The name in the source folder.
        name: FileName,
        /// The name at the destination.
        target: FileName,
        /// Which file.
        identity: Identity,
    },
    /// Between file systems: the copy is complete and synced under its temporary name, and not published yet.
    Copied {
        /// The intent it belongs to.
        intent: u64,
        /// Which file the copy is.
        identity: Identity,
    },
    /// The file is durably at its destination.
    Done {
        /// The intent that was carried out.
        intent: u64,
    },
    /// The intent was not carried out; the file is where it was, as far as this mover had a hand in it.
    Abandoned {
        /// The intent.
        intent: u64,
        /// What the order was answered; `None` when a restart found it neither here nor there.
        outcome: Option<Outcome>,
    },
    /// The messages of done orders are deleted.
    Acknowledged {
        /// The order's key.
        key: KeyTag,
    },
    /// A file that came in is whole and synced under its temporary name, and is going to get its own.
    Received {
        /// The order's key.
        key: OrderKey,
        /// How the destination's name was made.
        naming: Naming,
        /// The name that was ordered.
        name: FileName,
        /// The name at the destination.
        target: FileName,
        /// Which file.
        identity: Identity,
        /// The SHA-256 of what came.
        digest: [u8; 32],
        /// The store's checksum that it was held against; `None` when the store had none over the whole object.
        verified: Option<Algorithm>,
        /// The object's version in the store; may be empty.
        version: Vec<u8>,
    },
    /// An interrupted write was cut off the end of the file.
    Recovered {
        /// How many bytes.
        cut: u64,
    },
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number; they have no gaps.
    pub sequence: u64,
    /// The last number that was surely on the disk when this record was written.
    pub synced: u64,
    /// When it was written, in nanoseconds of real time (the box's clock may have been wrong).
    pub time: i64,
    /// What happened.
    pub event: Event,
}

/// The first 16 bytes of a SHA-256.
pub fn tag(bytes: &[u8]) -> KeyTag {
    let mut tag = [0; 16];
    tag.copy_from_slice(&Sha256::digest(bytes)[..16]);
    tag
}

fn chain(before: &Chain, bytes: &[u8]) -> Chain {
    Sha256::new().chain_update(before).chain_update(bytes).finalize().into()
}

impl Record {
    /// Appends the record to `out` and returns the chain behind it.
    pub fn write(&self, before: &Chain, out: &mut Vec<u8>) -> Chain {
        let start = out.len();
        out.extend_from_slice(&[0, 0, self.event.kind()]);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.synced.to_le_bytes());
        out.extend_from_slice(&self.time.to_le_bytes());
        self.event.write(out);
        let length = u16::try_from(out.len() - start - 2 + 32).expect("a record has at most 1024 bytes");
        debug_assert!(usize::from(length) + 2 <= LONGEST, "a record has at most 1024 bytes");
        out[start..start + 2].copy_from_slice(&length.to_le_bytes());
        let chain = chain(before, &out[start..]);
        out.extend_from_slice(&chain);
        chain
    }

    /// The record at the start of `bytes`, its length, and the chain behind it; `None` when there is no good one.
    ///
    /// Without `before`, as for the first record of the oldest file that is kept, the chain is taken from the record.
    pub fn read(before: Option<&Chain>, bytes: &[u8]) -> Option<(Self, usize, Chain)> {
        let (record, body, found) = Self::parse(bytes)?;
        let head = match (&record.event, before) {
            (_, Some(before)) => before,
            (Event::Opened { head, .. }, None) => head,
            (_, None) => return None,
        };
        let expected = chain(head, body);
        (expected == found).then_some((record, body.len() + found.len(), expected))
    }

    /// Whether there is something in `bytes` that was written when record `sequence` was already on the disk for good.
    ///
    /// The chain cannot be checked behind a bad record, so this goes by the form of a record alone; no interrupted write
    /// leaves that form by accident.
    pub fn proves_damage(sequence: u64, bytes: &[u8]) -> bool {
        (0..bytes.len()).filter_map(|at| Self::parse(&bytes[at..])).any(|(later, ..)| {
            (sequence..later.sequence).contains(&later.synced) && later.sequence - sequence < 1_000_000
        })
    }

    /// The form of a record at the start of `bytes`: itself, the bytes that its chain is over, and the chain.
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let length = usize::from(u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?)) + 2;
        if !(FRAME..=LONGEST).contains(&length) {
            return None;
        }
        let (body, found) = bytes.get(..length)?.split_at(length - 32);
        let mut reader = Reader(&body[2..]);
        let kind = reader.u8()?;
        let (sequence, synced, time) = (reader.u64()?, reader.u64()?, reader.i64()?);
        let event = Event::read(kind, &mut reader)?;
        reader.0.is_empty().then_some((Self { sequence, synced, time, event }, body, found))
    }
}

impl Event {
    const fn kind(&self) -> u8 {
        match self {
            Self::Opened { .. } => 1,
            Self::Kept { .. } => 2,
            Self::Intent { .. } => 3,
            Self::Copied { .. } => 4,
            Self::Done { .. } => 5,
            Self::Abandoned { .. } => 6,
            Self::Acknowledged { .. } => 7,
            Self::Recovered { .. } => 8,
            Self::Received { .. } => 9,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Opened { version, head } => {
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(head);
            }
            Self::Kept { key, name, sequence, time, acknowledged } => {
                out.extend_from_slice(key);
                out.extend_from_slice(name);
                out.extend_from_slice(&sequence.to_le_bytes());
                out.extend_from_slice(&time.to_le_bytes());
                out.push(u8::from(*acknowledged));
            }
            Self::Intent { key, naming, name, target, identity } => {
                out.push(naming.number());
                write_identity(identity, out);
                write_short(&[key.as_bytes(), name.as_bytes(), target.as_bytes()], out);
            }
            Self::Received { key, naming, name, target, identity, digest, verified, version } => {
                out.push(naming.number());
                write_identity(identity, out);
                out.extend_from_slice(digest);
                out.push(verified.map_or(0, Algorithm::number));
                write_short(&[key.as_bytes(), name.as_bytes(), target.as_bytes(), version], out);
            }
            Self::Copied { intent, identity } => {
                out.extend_from_slice(&intent.to_le_bytes());
                write_identity(identity, out);
            }
            Self::Done { intent } => out.extend_from_slice(&intent.to_le_bytes()),
            Self::Abandoned { intent, outcome } => {
                out.extend_from_slice(&intent.to_le_bytes());
                out.push(outcome.map_or(0, Outcome::number));
            }
            Self::Acknowledged { key } => out.extend_from_slice(key),
            Self::Recovered { cut } => out.extend_from_slice(&cut.to_le_bytes()),
        }
    }

    fn read(kind: u8, reader: &mut Reader<'_>) -> Option<Self> {
        Some(match kind {
            1 => Self::Opened { version: reader.u16()?, head: reader.array()? },
            2 => Self::Kept {
                key: reader.array()?,
                name: reader.array()?,
                sequence: reader.u64()?,
                time: reader.i64()?,
                acknowledged: match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
            },
            3 => {
                let naming = Naming::from_number(reader.u8()?)?;
                let identity = read_identity(reader)?;
                Self::Intent {
                    key: OrderKey::new(reader.short()?)?,
                    naming,
                    name: FileName::any(reader.short()?).ok()?,
                    target: FileName::any(reader.short()?).ok()?,
                    identity,
                }
            }
            4 => Self::Copied { intent: reader.u64()?, identity: read_identity(reader)? },
            5 => Self::Done { intent: reader.u64()? },
            6 => Self::Abandoned {
                intent: reader.u64()?,
                outcome: match reader.u8()? {
                    0 => None,
                    number => Some(Outcome::from_number(number)?),
                },
            },
            7 => Self::Acknowledged { key: reader.array()? },
            8 => Self::Recovered { cut: reader.u64()? },
            9 => {
                let naming = Naming::from_number(reader.u8()?)?;
                let (identity, digest) = (read_identity(reader)?, reader.array()?);
                let verified = match reader.u8()? {
                    0 => None,
                    number => Some(Algorithm::from_number(number)?),
                };
                Self::Received {
                    key: OrderKey::new(reader.short()?)?,
                    naming,
                    name: FileName::any(reader.short()?).ok()?,
                    target: FileName::any(reader.short()?).ok()?,
                    identity,
                    digest,
                    verified,
                    version: Some(reader.short()?).filter(|bytes| bytes.len() <= LONGEST_VERSION)?.to_vec(),
                }
            }
            _ => return None,
        })
    }
}

fn write_short(texts: &[&[u8]], out: &mut Vec<u8>) {
    for bytes in texts {
        out.push(u8::try_from(bytes.len()).expect("keys, names and versions have at most 255 bytes"));
        out.extend_from_slice(bytes);
    }
}

fn write_identity(identity: &Identity, out: &mut Vec<u8>) {
    out.extend_from_slice(&identity.inode.to_le_bytes());
    out.extend_from_slice(&identity.born.to_le_bytes());
    out.extend_from_slice(&identity.size.to_le_bytes());
    out.extend_from_slice(&identity.modified.to_le_bytes());
}

fn read_identity(reader: &mut Reader<'_>) -> Option<Identity> {
    Some(Identity { inode: reader.u64()?, born: reader.i64()?, size: reader.u64()?, modified: reader.i64()? })
}

/// Takes values off the front of bytes; `None` when they end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identities() -> impl Strategy<Value = Identity> {
        (any::<u64>(), any::<i64>(), any::<u64>(), any::<i64>())
            .prop_map(|(inode, born, size, modified)| Identity { inode, born, size, modified })
    }

    fn names() -> impl Strategy<Value = FileName> {
        prop::collection::vec(any::<u8>(), 1..=255)
            .prop_filter_map("no name", |bytes| FileName::any(&bytes).ok())
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            (any::<u16>(), any::<Chain>()).prop_map(|(version, head)| Event::Opened { version, head }),
            (any::<KeyTag>(), any::<KeyTag>(), any::<u64>(), any::<i64>(), any::<bool>()).prop_map(
                |(key, name, sequence, time, acknowledged)| Event::Kept {
                    key,
                    name,
                    sequence,
                    time,
                    acknowledged
                }
            ),
            (prop::collection::vec(any::<u8>(), 1..=128), any::<bool>(), names(), names(), identities())
                .prop_map(|(key, plain, name, target, identity)| Event::Intent {
                    key: OrderKey::new(&key).unwrap(),
                    naming: if plain { Naming::Unchanged } else { Naming::Suffixed },
                    name,
                    target,
                    identity,
                }),
            (
                prop::collection::vec(any::<u8>(), 1..=128),
                (names(), names()),
                identities(),
                any::<[u8; 32]>(),
                0..=5u8,
                prop::collection::vec(any::<u8>(), 0..=128),
            )
                .prop_map(|(key, (name, target), identity, digest, verified, version)| {
                    Event::Received {
                        key: OrderKey::new(&key).unwrap(),
                        naming: Naming::Unchanged,
                        name,
                        target,
                        identity,
                        digest,
                        verified: Algorithm::from_number(verified),
                        version,
                    }
                }),
            (any::<u64>(), identities()).prop_map(|(intent, identity)| Event::Copied { intent, identity }),
            any::<u64>().prop_map(|intent| Event::Done { intent }),
            (any::<u64>(), 0..=Outcome::ALL.len() as u8).prop_map(|(intent, number)| Event::Abandoned {
                intent,
                outcome: Outcome::from_number(number)
            }),
            any::<KeyTag>().prop_map(|key| Event::Acknowledged { key }),
            any::<u64>().prop_map(|cut| Event::Recovered { cut }),
        ]
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was_written(
            event in events(), sequence in any::<u64>(), synced in any::<u64>(), time in any::<i64>(),
            before in any::<Chain>(),
        ) {
            let record = Record { sequence, synced, time, event };
            let mut bytes = Vec::new();
            let chain = record.write(&before, &mut bytes);
            prop_assert!(bytes.len() <= LONGEST);
            let length = bytes.len();
            bytes.extend_from_slice(b"what follows");
            prop_assert_eq!(Record::read(Some(&before), &bytes), Some((record, length, chain)));
        }

        #[test]
        fn a_record_with_any_changed_bit_or_cut_end_does_not_count(
            event in events(), before in any::<Chain>(), at in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut bytes = Vec::new();
            Record { sequence: 7, synced: 5, time: 9, event }.write(&before, &mut bytes);
            let at = at.index(bytes.len());
            prop_assert_eq!(Record::read(Some(&before), &bytes[..at]), None);
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Record::read(Some(&before), &bytes), None);
        }

        #[test]
        fn garbage_is_no_record(bytes in prop::collection::vec(any::<u8>(), 0..200), before in any::<Chain>()) {
            prop_assert_eq!(Record::read(Some(&before), &bytes), None);
        }
    }
}
