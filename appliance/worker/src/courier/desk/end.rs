//! How a message leaves the desk: to be deleted, given back, or left to the queue; and the end of the desk itself.

use super::*;

impl Desk {
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        let waiting = |held: &Held| matches!(held.step, Step::Ready | Step::Fetching | Step::Watching(_));
        let slots: Vec<_> =
            self.held.iter().filter(|(_, held)| waiting(held)).map(|(slot, _)| *slot).collect();
        self.fresh.clear();
        self.again.clear();
        self.to_fetch.clear();
        slots.into_iter().for_each(|slot| self.give_back(slot, 0));
    }

    /// Whether a stop is complete: nothing held, and no call under way but receives.
    pub fn is_finished(&self) -> bool {
        let receives = |call: &Call| matches!(call.kind, Kind::Receive { .. });
        let told = self.deleted.is_empty() || !self.has_mover();
        self.stopping && self.held.is_empty() && told && self.calls.values().all(receives)
    }

    pub(super) fn doom(&mut self, now: Boot, slot: u64) {
        if let Some(held) = self.held.get_mut(&slot) {
            held.step = Step::Doomed;
            if self.doomed.is_empty() {
                self.doomed_since = now;
            }
            self.doomed.push_back(slot);
        }
    }

    /// Hides a message for `seconds` and forgets it.
    pub(super) fn give_back(&mut self, slot: u64, seconds: u32) {
        if let Some(held) = self.held.get_mut(&slot) {
            held.step = Step::Returned(seconds.min(crate::courier::LONGEST));
            // A stop may be too short for all. First what another could carry out, then what waits for its file anyway.
            if self.stopping && !held.waits {
                self.returned.push_front(slot);
            } else {
                self.returned.push_back(slot);
            }
        }
    }

    /// Leaves a message to the queue's redrive policy, soon but not at once: a person may mend what is wrong.
    pub(super) fn park(&mut self, now: Boot, slot: u64, note: Note) {
        let Some(held) = self.held.get(&slot) else { return };
        let step = self.ladder.delay(held.receives);
        let is_counted = self.rules.is_none_or(|rules| rules.receives.is_some());
        let hidden = if is_counted { step.min(ASIDE) } else { step };
        self.tally.parked += 1;
        self.parked_until = self.parked_until.max(now.plus(hidden + ASIDE));
        self.notes.push(note);
        self.give_back(slot, u32::try_from(hidden.as_secs()).unwrap_or(0));
    }
}
