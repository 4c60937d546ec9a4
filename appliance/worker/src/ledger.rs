//! Which keys are done: what makes an order that is delivered twice move its file once.

use std::collections::{HashMap, VecDeque};

use crate::log::{Event, KeyTag};

/// How long a message can stay on a queue (14 days, the service's limit) with a day on top: afterwards it cannot come again.
const LONGEST_RETENTION: i64 = 15 * 24 * 3600 * 1_000_000_000;

/// A done order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: KeyTag,
    pub(crate) sequence: u64,
    pub(crate) time: i64,
    acknowledged: bool,
}

/// The done orders that are remembered.
///
/// One whose message may still be on the queue is kept until it cannot come again. One whose message is deleted is kept for a
/// while longer, because a queue that delivers "at least once" may deliver after a delete: the latest `window` of them, by
/// number and not by age, since a box without a battery clock does not know how old anything is.
#[derive(Debug)]
pub(crate) struct Ledger {
    entries: HashMap<KeyTag, Entry>,
    /// Open ones in the order in which they were done; may name some that were acknowledged since.
    open: VecDeque<KeyTag>,
    /// Acknowledged ones in the order in which they were.
    closed: VecDeque<KeyTag>,
    window: usize,
    limit: usize,
}

impl Ledger {
    /// An empty ledger that remembers at most `limit` open orders and the latest `window` acknowledged ones.
    pub(crate) fn new(limit: usize, window: usize) -> Self {
        Self { entries: HashMap::new(), open: VecDeque::new(), closed: VecDeque::new(), window, limit }
    }

    pub(crate) fn get(&self, key: &KeyTag) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Orders whose message may still be on the queue.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.entries.len() - self.closed.len()
    }

    /// Whether `more` orders can be done. Makes room first, if any open order is so old that its message is gone.
    pub(crate) fn has_room(&mut self, more: usize, now: i64) -> bool {
        while self.unacknowledged() + more > self.limit {
            let Some(oldest) = self.open.front() else { return false };
            match self.entries.get(oldest) {
                Some(entry) if !entry.acknowledged && now.saturating_sub(entry.time) < LONGEST_RETENTION => {
                    return false;
                }
                Some(entry) if !entry.acknowledged => drop(self.entries.remove(oldest)),
                _ => {}
            }
            self.open.pop_front();
        }
        true
    }

    pub(crate) fn insert(&mut self, key: KeyTag, name: KeyTag, sequence: u64, time: i64) {
        let entry = Entry { name, sequence, time, acknowledged: false };
        if self.entries.insert(key, entry).is_none() {
            self.open.push_back(key);
        }
    }

    /// Notes that a done order's message is deleted; `false` when there is nothing to note.
    pub(crate) fn acknowledge(&mut self, key: &KeyTag) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| !entry.acknowledged) else { return false };
        entry.acknowledged = true;
        self.closed.push_back(*key);
        if self.closed.len() > self.window
            && let Some(oldest) = self.closed.pop_front()
        {
            self.entries.remove(&oldest);
        }
        // Acknowledged ones leave `open` from the front, so that it does not grow.
        while self
            .open
            .front()
            .is_some_and(|key| self.entries.get(key).is_none_or(|entry| entry.acknowledged))
        {
            self.open.pop_front();
        }
        if self.open.len() > 2 * self.limit {
            self.open.retain(|key| self.entries.get(key).is_some_and(|entry| !entry.acknowledged));
        }
        true
    }

    /// What a new log file begins with, in an order that builds the same ledger again.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Event> + '_ {
        let open =
            self.open.iter().filter(|key| self.entries.get(*key).is_some_and(|entry| !entry.acknowledged));
        self.closed.iter().chain(open).filter_map(|key| {
            let entry = self.entries.get(key)?;
            Some(Event::Kept {
                key: *key,
                name: entry.name,
                sequence: entry.sequence,
                time: entry.time,
                acknowledged: entry.acknowledged,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> KeyTag {
        [number; 16]
    }

    #[test]
    fn acknowledged_orders_are_remembered_until_newer_ones_push_them_out() {
        let mut ledger = Ledger::new(10, 2);
        for number in 1..=3 {
            ledger.insert(key(number), key(0), 0, 0);
            assert!(ledger.acknowledge(&key(number)));
        }
        assert!(ledger.get(&key(1)).is_none());
        assert!(ledger.get(&key(2)).is_some() && ledger.get(&key(3)).is_some());
        assert_eq!(ledger.unacknowledged(), 0);
    }

    #[test]
    fn an_open_order_is_not_forgotten_for_a_new_one() {
        let mut ledger = Ledger::new(2, 2);
        ledger.insert(key(1), key(0), 0, 0);
        ledger.insert(key(2), key(0), 0, 0);
        assert!(!ledger.has_room(1, LONGEST_RETENTION - 1));
        assert!(ledger.acknowledge(&key(2)));
        assert!(ledger.has_room(1, 0));
        assert!(ledger.get(&key(1)).is_some());
    }

    #[test]
    fn an_open_order_whose_message_cannot_exist_any_more_makes_room() {
        let mut ledger = Ledger::new(1, 2);
        ledger.insert(key(1), key(0), 0, 0);
        assert!(ledger.has_room(1, LONGEST_RETENTION));
        assert!(ledger.get(&key(1)).is_none());
    }

    #[test]
    fn a_clock_that_jumped_back_forgets_nothing() {
        let mut ledger = Ledger::new(1, 2);
        ledger.insert(key(1), key(0), 0, LONGEST_RETENTION * 100);
        assert!(!ledger.has_room(1, 0));
    }

    #[test]
    fn acknowledging_twice_or_an_unknown_key_changes_nothing() {
        let mut ledger = Ledger::new(10, 10);
        ledger.insert(key(1), key(0), 0, 0);
        assert!(ledger.acknowledge(&key(1)));
        assert!(!ledger.acknowledge(&key(1)));
        assert!(!ledger.acknowledge(&key(9)));
        assert_eq!(ledger.kept().count(), 1);
    }

    #[test]
    fn the_queue_of_open_orders_stays_bounded_when_the_oldest_is_never_acknowledged() {
        let mut ledger = Ledger::new(4, 1);
        ledger.insert(key(0), key(0), 0, 0);
        for number in 1..=200 {
            ledger.insert(key(number), key(0), 0, 0);
            ledger.acknowledge(&key(number));
        }
        assert!(ledger.open.len() <= 9, "{}", ledger.open.len());
        assert!(ledger.get(&key(0)).is_some());
    }
}
