//! What the courier asks.

use super::wire::{Reader, Writer};
use super::{LONGEST_VERSION, Refusal};
use crate::checksum::{Algorithm, Checksum};
use crate::{Naming, Order, OrderKey};

/// What the courier asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first message of a connection.
    Hello,
    /// Move these files: 1 to [`super::BATCH`].
    Move {
        /// A number that the answer repeats.
        batch: u32,
        /// The orders.
        orders: Vec<Order>,
    },
    /// The messages of these orders are deleted: 1 to [`super::BATCH`].
    Deleted(Vec<OrderKey>),
    /// How often was what answered?
    Count,
    /// Could an order be carried out now?
    Ready,
    /// Take a file in.
    Inbound(Inbound),
    /// All bytes of the transfer are in the pipe.
    Complete {
        /// The number that its begin had.
        transfer: u32,
    },
    /// The rest of the transfer's bytes will not come.
    Abort {
        /// The number that its begin had.
        transfer: u32,
    },
}

/// A file that is to come in through a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// A number that the answers repeat; no two open transfers of a connection share one.
    pub transfer: u32,
    /// The order: its key, and what the file is to be called.
    pub order: Order,
    /// How many bytes will come.
    pub length: u64,
    /// The checksum over all of them, if the store has one over the whole object.
    pub checksum: Option<Checksum>,
    /// The object's version, for the ledger; may be empty.
    pub version: Vec<u8>,
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
                orders.iter().try_for_each(|order| write_order(order, &mut out))?;
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
            Self::Ready => 5,
            Self::Inbound(inbound) => {
                out.u32(inbound.transfer);
                write_order(&inbound.order, &mut out)?;
                out.u64(inbound.length);
                let checksum = inbound.checksum.as_ref();
                out.u8(checksum.map_or(0, |checksum| checksum.algorithm().number()));
                out.short(checksum.map_or(&[], |checksum| checksum.digest()))?;
                if inbound.version.len() > LONGEST_VERSION {
                    return Err(Refusal::Oversize);
                }
                out.short(&inbound.version)?;
                16
            }
            Self::Complete { transfer } => {
                out.u32(*transfer);
                17
            }
            Self::Abort { transfer } => {
                out.u32(*transfer);
                18
            }
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
            5 => Self::Ready,
            16 => Self::Inbound(inbound(&mut reader)?),
            17 => Self::Complete { transfer: reader.u32()? },
            18 => Self::Abort { transfer: reader.u32()? },
            _ => return Err(Refusal::Kind),
        };
        reader.end()?;
        Ok(request)
    }
}

fn write_order(order: &Order, out: &mut Writer) -> Result<(), Refusal> {
    if order.name.len() > Order::LONGEST_NAME {
        return Err(Refusal::Oversize);
    }
    out.u8(order.naming.number());
    out.short(order.key.as_bytes())?;
    out.long(&order.name)
}

fn inbound(reader: &mut Reader<'_>) -> Result<Inbound, Refusal> {
    let (transfer, order, length) = (reader.u32()?, order(reader)?, reader.u64()?);
    let checksum = match (reader.u8()?, reader.short()?) {
        (0, []) => None,
        (number, digest) => {
            let algorithm = Algorithm::from_number(number).ok_or(Refusal::Value)?;
            Some(Checksum::new(algorithm, digest).ok_or(Refusal::Value)?)
        }
    };
    let version = reader.short()?;
    if version.len() > LONGEST_VERSION {
        return Err(Refusal::Value);
    }
    Ok(Inbound { transfer, order, length, checksum, version: version.to_vec() })
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
