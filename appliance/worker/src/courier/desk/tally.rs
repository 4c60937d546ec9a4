//! What the desk counts, for the health file and the log.

use super::Trouble;
use crate::{Counters, Outcome};

/// Counts since the start.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Messages delivered.
    pub received: u64,
    /// Receives that brought nothing.
    pub empty: u64,
    /// Orders whose file is durably at its destination, repeats included.
    pub done: u64,
    /// Messages deleted.
    pub deleted: u64,
    /// Messages that asked for nothing.
    pub nothing: u64,
    /// Bodies that were no orders.
    pub poison: u64,
    /// Orders to fetch what no rule allows.
    pub unfetched: u64,
    /// Messages left to the redrive policy, poison included.
    pub parked: u64,
    /// Messages whose receipt ended while they were held.
    pub lapsed: u64,
    /// Calls of any kind.
    pub calls: u64,
    /// The mover's answers.
    pub outcomes: Counters,
    /// What became of the last order.
    pub last: Option<Outcome>,
    troubles: [u64; Trouble::ALL.len()],
}

impl Tally {
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        self.troubles[trouble as usize] += 1;
    }

    /// How many calls failed with `trouble`.
    pub fn troubles(&self, trouble: Trouble) -> u64 {
        self.troubles[trouble as usize]
    }
}
