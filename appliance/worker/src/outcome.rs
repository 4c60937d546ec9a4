//! The only answers to an order. Nothing else comes back from the side that sees files.

/// What the courier may do with the message of an answered order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The file is durably at its destination: the message may be deleted.
    Delete,
    /// It may work later without anybody doing anything: the message stays and is delayed.
    Later,
    /// It cannot work as it is: the message stays, for the queue's redrive policy and for a person to see.
    Leave,
    /// The mover cannot work at all: receive nothing more until it can.
    Pause,
}

macro_rules! outcomes {
    ($($variant:ident = $number:literal, $disposition:ident, $word:literal, $meaning:literal;)+) => {
        /// What became of an order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Outcome { $(#[doc = concat!("The ", $meaning, ".")] $variant,)+ }

        impl Outcome {
            /// Every outcome, in the order of their numbers, which begin at 1 and have no gaps.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The byte that stands for it in messages and in the log.
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// What `number` stands for.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// What the courier may do with the order's message.
            pub const fn disposition(self) -> Disposition {
                match self { $(Self::$variant => Disposition::$disposition,)+ }
            }

            /// The short word for it in health files and ledgers, and on the hat's screen.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it means, as half a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!("the ", $meaning),)+ }
            }
        }
    };
}

outcomes! {
    Done = 1, Delete, "done", "file was moved and is durably at its destination";
    AlreadyDone = 2, Delete, "repeated", "order with this key was done before";
    Waiting = 3, Later, "waiting", "source folder has no such file yet";
    Unready = 4, Later, "unready", "file changed a moment ago and may still be written";
    Changed = 5, Later, "changed", "file was changed or replaced while it was moved, and was left where it was";
    Conflict = 6, Leave, "conflict", "destination is taken by another file; both are kept";
    BadName = 7, Leave, "bad-name", "name cannot be one of a file directly in the source folder";
    NameTooLong = 8, Leave, "long-name", "name is too long with its suffix";
    NotAFile = 9, Leave, "no-file", "name is a folder, a link, a pipe, a device or a mount, not a plain file";
    Linked = 10, Leave, "linked", "file has a second name (hard link), so moving one would not move the other";
    KeyReused = 11, Leave, "key-reused", "key was used before for a file of another name";
    Denied = 12, Leave, "denied", "mover has no permission to move the file";
    DiskFull = 13, Pause, "disk-full", "disk has no room beyond its reserve";
    ReadOnly = 14, Pause, "read-only", "file system is read-only";
    LedgerFull = 15, Pause, "log-full", "ledger holds as many done orders as it may whose messages are not deleted";
    Failed = 16, Later, "failed", "disk failed, or had no room for this file, before the file was moved; the file was left where it was";
    Stopped = 17, Pause, "stopped", "mover could not make a change durable and does nothing until it is restarted";
    TooLarge = 18, Leave, "too-large", "file is larger than files that come in may be";
    Mismatch = 19, Later, "mismatch", "file that came in is not the one that was announced, and was thrown away";
    Incomplete = 20, Later, "incomplete", "file that came in ended before it was whole, and was thrown away";
    Busy = 21, Later, "busy", "mover takes in as many files at the same time as it may";
}

const COUNT: usize = Outcome::ALL.len();

/// How often each outcome was answered since the mover started: all that is counted, so the courier could count it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters([u64; COUNT]);

impl Counters {
    /// Counts one more `outcome`.
    pub fn add(&mut self, outcome: Outcome) {
        let count = &mut self.0[usize::from(outcome.number()) - 1];
        *count = count.saturating_add(1);
    }

    /// How often `outcome` was answered.
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome.number() as usize - 1]
    }

    /// Each outcome with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        Outcome::ALL.iter().copied().zip(self.0)
    }

    /// Counters from counts in the order of [`Outcome::ALL`].
    pub(crate) fn from_counts(counts: impl IntoIterator<Item = u64>) -> Self {
        let mut found = Self::default();
        for (slot, count) in found.0.iter_mut().zip(counts) {
            *slot = count;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_one_without_gaps_and_lead_back() {
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(usize::from(outcome.number()), index + 1, "{outcome:?}");
            assert_eq!(Outcome::from_number(outcome.number()), Some(*outcome));
        }
        assert_eq!(Outcome::from_number(0), None);
        assert_eq!(Outcome::from_number(u8::MAX), None);
    }

    #[test]
    fn every_word_is_its_own_and_can_stand_in_a_health_file() {
        let words: std::collections::BTreeSet<_> =
            Outcome::ALL.iter().map(|outcome| outcome.word()).collect();
        assert_eq!(words.len(), Outcome::ALL.len());
        assert!(words.iter().all(|word| word.len() <= 10 && stayput_health::Word::is_word(word)));
    }

    #[test]
    fn only_a_done_order_lets_its_message_be_deleted() {
        let deletes: Vec<_> = Outcome::ALL
            .iter()
            .filter(|outcome| outcome.disposition() == Disposition::Delete)
            .copied()
            .collect();
        assert_eq!(deletes, [Outcome::Done, Outcome::AlreadyDone]);
    }

    #[test]
    fn counters_count_each_outcome_by_itself() {
        let mut counters = Counters::default();
        for outcome in Outcome::ALL {
            counters.add(*outcome);
        }
        counters.add(Outcome::Stopped);
        assert_eq!(counters.of(Outcome::Done), 1);
        assert_eq!(counters.of(Outcome::Stopped), 2);
        assert_eq!(counters.iter().map(|(_, count)| count).sum::<u64>(), Outcome::ALL.len() as u64 + 1);
    }
}
