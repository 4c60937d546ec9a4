//! What goes in and out of the desk.

use std::fmt;

use super::{Fetched, Held, Rules};
use crate::orders::{Asked, Object, Poison};
use crate::{Order, OrderKey, Outcome};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The queue's rules were read.
    Rules(Rules),
    /// The mover said welcome.
    MoverUp,
    /// The mover is gone, or silent, or said something that is no answer.
    MoverDown,
    /// The mover answered a batch.
    Moved {
        /// The batch's number.
        batch: u32,
        /// An outcome for each order.
        outcomes: Vec<Outcome>,
    },
    /// The mover has noted deleted messages.
    Noted,
    /// The mover answered what every order would be answered now, if it could not work.
    Obstacle(Option<Outcome>),
    /// Whether the clock can be right.
    Clock(bool),
    /// Whether there are credentials: at the first look, and whenever there are others.
    Credentials(bool),
    /// Finish or give back what is held, and receive nothing more.
    Stop,
    /// The objects of a message were fetched, or not.
    Fetched {
        /// The desk's number for the message.
        slot: u64,
        /// What came of it.
        result: Result<Fetched, Trouble>,
    },
    /// A receive ended.
    Received {
        /// The call's number.
        call: u64,
        /// The messages.
        result: Result<Vec<Received>, Trouble>,
    },
    /// A call that deletes or hides ended.
    Called {
        /// The call's number.
        call: u64,
        /// The entries that it was not done for.
        result: Result<Vec<(u64, Fault)>, Trouble>,
    },
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Receive at most so many messages.
    Receive {
        /// The call's number.
        call: u64,
        /// 1 to 10.
        most: usize,
        /// Whether to wait for long.
        long: bool,
    },
    /// Ask the mover.
    Move {
        /// The batch's number.
        batch: u32,
        /// The orders.
        orders: Vec<Order>,
    },
    /// Ask the mover whether it can work.
    Probe,
    /// Fetch the objects of a message.
    Fetch {
        /// The desk's number for the message.
        slot: u64,
        /// Which.
        objects: Vec<Object>,
    },
    /// Tell the mover that these messages are deleted.
    Deleted(Vec<OrderKey>),
    /// Delete messages.
    Delete {
        /// The call's number.
        call: u64,
        /// Which.
        entries: Vec<Entry>,
    },
    /// Hide messages.
    Hide {
        /// The call's number.
        call: u64,
        /// Which.
        entries: Vec<Entry>,
    },
    /// Something for the log.
    Note(Note),
}

/// One message in a call.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The desk's number for it.
    pub slot: u64,
    /// Its receipt: whoever has it can delete the message, so it is never shown.
    pub receipt: String,
    /// For how many seconds it is hidden; 0 in a call that deletes.
    pub seconds: u32,
}

impl fmt::Debug for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Entry({}, {} s)", self.slot, self.seconds)
    }
}

/// A message that was delivered, without its body.
pub struct Received {
    /// Its receipt.
    pub receipt: String,
    /// Its own id.
    pub message: OrderKey,
    /// How often it was delivered by now.
    pub receives: u32,
    /// How long its body was.
    pub bytes: usize,
    /// What it asks for.
    pub asked: Result<Asked, Poison>,
}

impl Received {
    /// About how many bytes it takes up when it is held.
    pub(super) fn kept(&self) -> usize {
        let asked = match &self.asked {
            Ok(Asked::Move(order)) => order.name.len(),
            Ok(Asked::Fetch(objects)) => objects.iter().map(Object::bytes).sum(),
            Ok(Asked::Nothing) | Err(_) => 0,
        };
        size_of::<Held>() + self.receipt.len() + asked
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Received({} bytes, delivery {})", self.bytes, self.receives)
    }
}

/// Why one entry of a call was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its receipt holds no more: the message is someone else's now, or gone.
    Receipt,
    /// Anything that may pass.
    Other,
}

macro_rules! troubles {
    ($($variant:ident = $word:literal, $counter:literal, $meaning:literal;)+) => {
        /// Why a call failed as a whole.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Trouble { $(#[doc = concat!("The ", $meaning, ".")] $variant,)+ }

        impl Trouble {
            /// Every trouble.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it in logs and counters.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it means, as half a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!("the ", $meaning),)+ }
            }

            /// Its counter in the health file.
            pub const fn counter(self) -> &'static str {
                match self { $(Self::$variant => $counter,)+ }
            }
        }
    };
}

troubles! {
    Unreachable = "unreachable", "failed-unreachable", "region could not be reached, or the connection broke";
    Hung = "hung", "failed-hung", "call was not answered in time and was given up";
    Throttled = "throttled", "failed-throttled", "service asks for fewer calls";
    Service = "service", "failed-service", "service failed";
    Denied = "denied", "failed-denied", "queue is missing, or the role may not use it";
    Credentials = "credentials", "failed-credentials", "credentials are missing or have expired";
    Clock = "clock", "failed-clock", "service says that the clock is wrong";
    Quota = "quota", "failed-quota", "queue has as many messages in flight as it may";
    Answer = "answer", "failed-answer", "call was refused, or its answer could not be understood";
}

/// Something for the log. Formatted with a salted id, never with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A body that is no order.
    Poison {
        /// The message.
        message: OrderKey,
        /// Its deliveries.
        receives: u32,
        /// Why.
        poison: Poison,
    },
    /// An order that cannot be carried out as it is.
    Left {
        /// Its key.
        message: OrderKey,
        /// Its deliveries.
        receives: u32,
        /// The mover's answer.
        outcome: Outcome,
    },
    /// An order to fetch an object that no rule allows, or that is not there.
    Unfetched {
        /// The message.
        message: OrderKey,
        /// Its deliveries.
        receives: u32,
    },
    /// A call that failed.
    Trouble(Trouble),
}
