//! An order: which file, under which key.

use std::fmt;

/// An order's key: its own `id`, else the id of its message. 1 to 128 bytes.
///
/// The key makes an order idempotent: one key moves one file once, however often the queue delivers it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OrderKey(Vec<u8>);

impl OrderKey {
    /// The longest key; a message id has 36 bytes.
    pub const LONGEST: usize = 128;

    /// The key in `bytes`, if it has an allowed length.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=Self::LONGEST).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "OrderKey({} bytes)", self.0.len())
    }
}

/// How the file is called at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Its name and the suffix that the mover is set to.
    Suffixed,
    /// Its own name.
    Unchanged,
}

impl Naming {
    /// The byte that stands for it in messages and in the log.
    pub const fn number(self) -> u8 {
        match self {
            Self::Suffixed => 0,
            Self::Unchanged => 1,
        }
    }

    /// What `number` stands for.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Suffixed),
            1 => Some(Self::Unchanged),
            _ => None,
        }
    }
}

/// One order to move one file.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// Its key.
    pub key: OrderKey,
    /// How the file is called at its destination.
    pub naming: Naming,
    /// The name as it came from the region. Not checked yet: the mover trusts nobody's check but its own.
    pub name: Vec<u8>,
}

impl Order {
    /// The longest name that travels; one of 256 bytes and more is answered as a bad name, one beyond this cannot be sent.
    pub const LONGEST_NAME: usize = 1024;
}

impl fmt::Debug for Order {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Order({:?}, {:?}, name of {} bytes)", self.key, self.naming, self.name.len())
    }
}
