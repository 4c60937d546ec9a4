//! What travels between courier and mover, and that nothing else does.
//!
//! A seqpacket socket keeps messages whole, so a message is one packet: `version u8 | kind u8 | length u16 | body`,
//! numbers little-endian, `length` that of the body. The courier asks, the mover answers, one answer per request, in order.
//!
//! | kind | request | body | answer |
//! |---|---|---|---|
//! | 1 | hello | nothing | 129: the most orders in one message, `u16` |
//! | 2 | move | `batch u32`, `count u8`, then each order: naming `u8`, key (`u8` length), name (`u16` length) | 130: `batch u32`, `count u8`, an outcome `u8` each |
//! | 3 | deleted | `count u8`, then each key (`u8` length) | 131: the counters |
//! | 4 | count | nothing | 131: `count u8`, a `u64` for each outcome |
//! | 16 to 31 | | kept for inbound files | |
//!
//! Whatever is not exactly one of these is refused with 255 and a [`Refusal`], and the connection ends. An answer holds
//! numbers of closed lists and counts of what was answered, so there is no room in it for a name or a byte of a file.

mod wire;

use wire::{Reader, Writer};

use crate::{Counters, Naming, Order, OrderKey, Outcome};

/// The version of this language. Both halves come from one binary, so there is no other to fall back to.
pub const VERSION: u8 = 1;

/// The longest message, in bytes: 32 orders of 128 bytes of key and 1024 of name fit.
pub const LONGEST: usize = 40 * 1024;

/// The most orders or keys in one message.
pub const BATCH: usize = 32;

const HEADER: usize = 4;

/// What the courier asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first message of a connection.
    Hello,
    /// Move these files: 1 to [`BATCH`].
    Move {
        /// A number that the answer repeats.
        batch: u32,
        /// The orders.
        orders: Vec<Order>,
    },
    /// The messages of these orders are deleted: 1 to [`BATCH`].
    Deleted(Vec<OrderKey>),
    /// How often was what answered?
    Count,
}

/// What the mover answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Request::Hello`].
    Welcome {
        /// The most orders in one message.
        batch: u16,
    },
    /// To [`Request::Move`]: an outcome for each order, in their order.
    Moved {
        /// The request's number.
        batch: u32,
        /// The outcomes.
        outcomes: Vec<Outcome>,
    },
    /// To [`Request::Deleted`] and [`Request::Count`].
    Counted(Counters),
    /// To anything else. The connection ends.
    Refused(Refusal),
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another version of the language.
    #[error("the message is of another version than {VERSION}; courier and mover must be of the same image")]
    Version,
    /// Shorter than its header or its own length says.
    #[error("the message is cut off; the two halves must be of the same image")]
    Truncated,
    /// Longer than any message, or than its own length says.
    #[error("the message is longer than it may be; the two halves must be of the same image")]
    Oversize,
    /// A kind that is not in the list.
    #[error("the message is of an unknown kind; the two halves must be of the same image")]
    Kind,
    /// A value that its field cannot have.
    #[error("the message holds a value that its field cannot have; the two halves must be of the same image")]
    Value,
    /// A known message at the wrong time: anything before hello, or a second hello.
    #[error("the message came out of turn; a connection begins with one hello")]
    Turn,
}

impl Refusal {
    const ALL: [Self; 6] =
        [Self::Version, Self::Truncated, Self::Oversize, Self::Kind, Self::Value, Self::Turn];

    fn number(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::Truncated => 2,
            Self::Oversize => 3,
            Self::Kind => 4,
            Self::Value => 5,
            Self::Turn => 6,
        }
    }
}

impl Request {
    /// The message's bytes, or why it cannot be sent: too many orders or none, or a name that is too long.
    pub fn encode(&self) -> Result<Vec<u8>, Refusal> {
        let mut out = Writer::new();
        let kind = match self {
            Self::Hello => 1,
            Self::Move { batch, orders } => {
                out.u32(*batch);
                out.count(orders.len())?;
                for order in orders {
                    if order.name.len() > Order::LONGEST_NAME {
                        return Err(Refusal::Oversize);
                    }
                    out.u8(order.naming.number());
                    out.short(order.key.as_bytes())?;
                    out.long(&order.name)?;
                }
                2
            }
            Self::Deleted(keys) => {
                out.count(keys.len())?;
                for key in keys {
                    out.short(key.as_bytes())?;
                }
                3
            }
            Self::Count => 4,
        };
        out.message(kind)
    }

    /// The request in `bytes`, which come from the side that the region can reach.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let (kind, mut reader) = Reader::message(bytes)?;
        let request = match kind {
            1 => Self::Hello,
            2 => {
                let batch = reader.u32()?;
                let orders = (0..reader.count()?).map(|_| order(&mut reader)).collect::<Result<_, _>>()?;
                Self::Move { batch, orders }
            }
            3 => {
                let keys = (0..reader.count()?).map(|_| key(&mut reader)).collect::<Result<_, _>>()?;
                Self::Deleted(keys)
            }
            4 => Self::Count,
            _ => return Err(Refusal::Kind),
        };
        reader.end()?;
        Ok(request)
    }
}

fn key(reader: &mut Reader<'_>) -> Result<OrderKey, Refusal> {
    OrderKey::new(reader.short()?).ok_or(Refusal::Value)
}

fn order(reader: &mut Reader<'_>) -> Result<Order, Refusal> {
    let naming = Naming::from_number(reader.u8()?).ok_or(Refusal::Value)?;
    let key = key(reader)?;
    let name = reader.long()?;
    if name.len() > Order::LONGEST_NAME {
        return Err(Refusal::Value);
    }
    Ok(Order { key, naming, name: name.to_vec() })
}

impl Answer {
    /// The message's bytes, or why it cannot be sent: more outcomes than a message may have.
    pub fn encode(&self) -> Result<Vec<u8>, Refusal> {
        let mut out = Writer::new();
        let kind = match self {
            Self::Welcome { batch } => {
                out.u16(*batch);
                129
            }
            Self::Moved { batch, outcomes } => {
                out.u32(*batch);
                out.count(outcomes.len())?;
                outcomes.iter().for_each(|outcome| out.u8(outcome.number()));
                130
            }
            Self::Counted(counters) => {
                out.count(Outcome::ALL.len())?;
                counters.iter().for_each(|(_, count)| out.u64(count));
                131
            }
            Self::Refused(refusal) => {
                out.u8(refusal.number());
                255
            }
        };
        out.message(kind)
    }

    /// The answer in `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let (kind, mut reader) = Reader::message(bytes)?;
        let answer = match kind {
            129 => Self::Welcome { batch: reader.u16()? },
            130 => {
                let batch = reader.u32()?;
                let outcomes = (0..reader.count()?)
                    .map(|_| Outcome::from_number(reader.u8()?).ok_or(Refusal::Value))
                    .collect::<Result<_, _>>()?;
                Self::Moved { batch, outcomes }
            }
            131 => {
                if reader.count()? != Outcome::ALL.len() {
                    return Err(Refusal::Value);
                }
                let counts = Outcome::ALL.iter().map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
                Self::Counted(Counters::from_counts(counts))
            }
            255 => {
                let number = reader.u8()?;
                let refusal = Refusal::ALL.into_iter().find(|refusal| refusal.number() == number);
                Self::Refused(refusal.ok_or(Refusal::Value)?)
            }
            _ => return Err(Refusal::Kind),
        };
        reader.end()?;
        Ok(answer)
    }
}
