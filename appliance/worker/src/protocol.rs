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
//! | 5 | ready | nothing | 132: 0, or the outcome `u8` that every order would get now |
//! | 16 | inbound | `transfer u32`, an order as above, `length u64`, checksum: algorithm `u8`, digest (`u8` length); version (`u8` length) | 144: `transfer u32`, with the writing end of a pipe; or 145 |
//! | 17 | complete | `transfer u32` | 145: `transfer u32`, outcome `u8` |
//! | 18 | abort | `transfer u32` | 145: the same |
//!
//! Whatever is not exactly one of these is refused with 255 and a [`Refusal`], and the connection ends. An answer holds
//! numbers of closed lists and counts of what was answered, so there is no room in it for a name or a byte of a file. The one
//! descriptor that is ever handed over is a pipe's writing end, through which nothing can be read back.

mod answer;
mod request;
mod wire;

pub use answer::Answer;
pub use request::{Inbound, Request};

/// The version of this language. Both halves come from one binary, so there is no other to fall back to.
pub const VERSION: u8 = 1;

/// The longest message, in bytes: 32 orders of 128 bytes of key and 1024 of name fit.
pub const LONGEST: usize = 40 * 1024;

/// The most orders or keys in one message.
pub const BATCH: usize = 32;

/// The most files that one connection sends in at the same time.
pub const TRANSFERS: usize = 4;

/// The longest version of an object, in bytes.
pub const LONGEST_VERSION: usize = 128;

/// An object's version as it travels and is recorded: three dots at its end say that it was longer.
pub fn version(whole: &str) -> Vec<u8> {
    const CUT: &[u8] = b"...";
    match whole.as_bytes() {
        fitting if fitting.len() <= LONGEST_VERSION => fitting.to_vec(),
        long => [&long[..LONGEST_VERSION - CUT.len()], CUT].concat(),
    }
}

const HEADER: usize = 4;

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
    pub(crate) const ALL: [Self; 6] =
        [Self::Version, Self::Truncated, Self::Oversize, Self::Kind, Self::Value, Self::Turn];

    pub(crate) fn number(self) -> u8 {
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
