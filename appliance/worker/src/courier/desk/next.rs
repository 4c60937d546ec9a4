//! What the desk does next: the mover's next batch, the calls that are due, and what time does to held messages.

use super::*;
use crate::protocol::BATCH;

impl Desk {
    /// What is to be done now.
    pub fn next(&mut self, now: Boot) -> Vec<Action> {
        let mut actions = Vec::new();
        if now >= self.next_tick {
            self.next_tick = now.plus(TICK);
            self.tick(now, &mut actions);
        }
        actions.extend(self.notes.drain(..).map(Action::Note));
        self.ask_mover(now, &mut actions);
        self.fetch(&mut actions);
        self.delete(now, &mut actions);
        self.hide(now, &mut actions);
        self.receive(now, &mut actions);
        actions
    }

    /// For how long nothing is to be done unless something happens.
    pub fn idle(&self, now: Boot) -> Option<Duration> {
        if !self.held.is_empty() {
            return Some(now.until(self.next_tick));
        }
        if self.stopping || self.mover != Mover::Idle {
            return None;
        }
        let waits = self.fitness == Fitness::Fit && now < self.not_before;
        let next = if waits { self.not_before.min(self.probe_at) } else { self.probe_at };
        Some(now.until(next))
    }

    fn tick(&mut self, now: Boot, actions: &mut Vec<Action>) {
        let unfit = self.paused().is_some();
        let lost = matches!(self.mover, Mover::Down { since } if now >= since.plus(PATIENCE));
        let (mut lapsed, mut back, mut renewed) = (Vec::new(), Vec::new(), Vec::new());
        for (&slot, held) in &mut self.held {
            match held.step {
                Step::Ready | Step::Watching(_) if now >= held.deadline => {
                    lapsed.push(slot);
                    continue;
                }
                Step::Ready if lost => {
                    back.push(slot);
                    continue;
                }
                Step::Watching(at) if at <= now && !unfit => {
                    held.step = Step::Ready;
                    let queue = if held.objects.is_empty() { &mut self.again } else { &mut self.to_fetch };
                    queue.push_back(slot);
                }
                Step::Ready | Step::Watching(_) | Step::Asked | Step::Fetching => {}
                Step::Doomed | Step::Returned(_) | Step::Called => continue,
            }
            if !held.renewing && now.until(held.deadline) < MARGIN {
                if !held.waits || held.step == Step::Fetching {
                    // Nobody has said yet whether its file is there: it is kept until somebody does, however long that takes.
                    held.until = held.until.max(now.plus(LEASE));
                }
                if held.until > held.deadline {
                    renewed.push((held.deadline, slot));
                }
            }
        }
        for slot in lapsed {
            self.held.remove(&slot);
            self.tally.lapsed += 1;
        }
        back.into_iter().for_each(|slot| self.give_back(slot, 0));
        if !self.is_backing_off(now) {
            renewed.sort_unstable();
            let slots: Vec<_> = renewed.into_iter().map(|(_, slot)| slot).collect();
            slots.chunks(CALL).take(self.room()).for_each(|slots| actions.push(self.renew(now, slots)));
        }
    }

    fn renew(&mut self, now: Boot, slots: &[u64]) -> Action {
        let entry = |slot: &u64| {
            let held = self.held.get_mut(slot)?;
            held.renewing = true;
            // Not longer than it is to be watched, so that it comes again when its step ends.
            let lease = LEASE.min(now.until(held.until)).max(Duration::from_secs(1));
            let seconds = u32::try_from(lease.as_secs()).unwrap_or(0);
            Some(Entry { slot: *slot, receipt: held.receipt.clone(), seconds })
        };
        let entries = slots.iter().filter_map(entry).collect();
        Action::Hide { call: self.call(now, Kind::Renew, slots.to_vec()), entries }
    }

    fn ask_mover(&mut self, now: Boot, actions: &mut Vec<Action>) {
        if self.mover != Mover::Idle {
            return;
        }
        if now >= self.probe_at {
            self.mover = Mover::Busy { since: now };
            self.probe_at = now.plus(if self.fitness == Fitness::Fit { ALIVE } else { PROBE });
            actions.push(Action::Probe);
            return;
        }
        if self.fitness == Fitness::Fit && self.deleted.len() < BATCH {
            let orders = self.batch();
            if !orders.is_empty() {
                self.mover = Mover::Busy { since: now };
                self.batch = self.batch.wrapping_add(1);
                actions.push(Action::Move { batch: self.batch, orders });
                return;
            }
        }
        if !self.deleted.is_empty() {
            let keys = self.deleted.drain(..self.deleted.len().min(BATCH)).collect();
            self.mover = Mover::Busy { since: now };
            actions.push(Action::Deleted(keys));
        }
    }

    /// The next orders for the mover: new ones first.
    fn batch(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        while orders.len() < BATCH {
            let Some(slot) = self.fresh.pop_front().or_else(|| self.again.pop_front()) else { break };
            if let Some(held) = self.held.get_mut(&slot)
                && held.step == Step::Ready
                && let Some(order) = &held.order
            {
                orders.push(order.clone());
                held.step = Step::Asked;
                self.asked.push(slot);
            }
        }
        orders
    }

    fn fetch(&mut self, actions: &mut Vec<Action>) {
        while self.has_mover() && self.fitness == Fitness::Fit && self.fetching < FETCHES {
            let Some(slot) = self.to_fetch.pop_front() else { return };
            if let Some(held) = self.held.get_mut(&slot).filter(|held| held.step == Step::Ready) {
                held.step = Step::Fetching;
                self.fetching += 1;
                actions.push(Action::Fetch { slot, objects: held.objects.clone() });
            }
        }
    }

    fn delete(&mut self, now: Boot, actions: &mut Vec<Action>) {
        if self.is_backing_off(now) {
            return;
        }
        let lingered = self.stopping || now >= self.doomed_since.plus(TICK);
        while self.doomed.len() >= CALL || (lingered && !self.doomed.is_empty()) {
            let slots: Vec<_> = self.doomed.drain(..self.doomed.len().min(CALL)).collect();
            self.doomed_since = now;
            if let Some(entries) = self.entries(&slots) {
                let call = self.call(now, Kind::Delete, slots);
                actions.push(Action::Delete { call, entries });
            }
        }
    }

    fn hide(&mut self, now: Boot, actions: &mut Vec<Action>) {
        if self.is_backing_off(now) {
            return;
        }
        while !self.returned.is_empty() && self.room() > 0 {
            let slots: Vec<_> = self.returned.drain(..self.returned.len().min(CALL)).collect();
            if let Some(entries) = self.entries(&slots) {
                let call = self.call(now, Kind::Return, slots);
                actions.push(Action::Hide { call, entries });
            }
        }
    }

    /// How many more calls may be sent that hide messages.
    fn room(&self) -> usize {
        let hides = |call: &&Call| matches!(call.kind, Kind::Return | Kind::Renew);
        HIDES.saturating_sub(self.calls.values().filter(hides).count())
    }

    fn is_backing_off(&self, now: Boot) -> bool {
        self.failures > 0 && now < self.not_before && !self.stopping
    }

    fn entries(&mut self, slots: &[u64]) -> Option<Vec<Entry>> {
        let entry = |slot: &u64| {
            let held = self.held.get_mut(slot)?;
            held.seconds = if let Step::Returned(seconds) = held.step { seconds } else { 0 };
            held.step = Step::Called;
            Some(Entry { slot: *slot, receipt: held.receipt.clone(), seconds: held.seconds })
        };
        let entries: Vec<_> = slots.iter().filter_map(entry).collect();
        (!entries.is_empty()).then_some(entries)
    }

    fn receive(&mut self, now: Boot, actions: &mut Vec<Action>) {
        let fit = self.has_mover() && self.fitness == Fitness::Fit;
        if self.stopping || !fit || !self.clock || self.without.is_some() || now < self.not_before {
            return;
        }
        loop {
            let (mut flying, mut expected) = (0, 0);
            for call in self.calls.values() {
                if let Kind::Receive { most, .. } = call.kind {
                    (flying, expected) = (flying + 1, expected + most);
                }
            }
            let work = self.held.len().saturating_sub(self.watching());
            if flying >= self.pollers || work + expected + self.most > HELD {
                return;
            }
            let long = flying == 0;
            let call = self.call(now, Kind::Receive { most: self.most, long }, Vec::new());
            actions.push(Action::Receive { call, most: self.most, long });
        }
    }

    fn call(&mut self, sent: Boot, kind: Kind, slots: Vec<u64>) -> u64 {
        let call = self.next_call;
        self.next_call += 1;
        self.tally.calls += 1;
        self.calls.insert(call, Call { kind, sent, slots });
        call
    }

    pub(super) fn called(&mut self, now: Boot, call: u64, result: Result<Vec<(u64, Fault)>, Trouble>) {
        let Some(Call { kind, sent, slots }) = self.calls.remove(&call) else { return };
        let failed = match result {
            Ok(failed) => {
                self.failures = 0;
                failed
            }
            Err(trouble) => {
                self.fail(now, trouble);
                slots.iter().map(|slot| (*slot, Fault::Other)).collect()
            }
        };
        for slot in slots {
            let fault = failed.iter().find(|(other, _)| *other == slot).map(|(_, fault)| *fault);
            match kind {
                Kind::Delete => self.deleted(now, slot, fault),
                Kind::Return => self.hidden(now, slot, fault),
                Kind::Renew => self.renewed(sent, slot, fault),
                Kind::Receive { .. } => {}
            }
        }
    }

    fn deleted(&mut self, now: Boot, slot: u64, fault: Option<Fault>) {
        let Some(held) = self.held.get(&slot) else { return };
        match fault {
            Some(Fault::Other) if now < held.deadline => self.doom(now, slot),
            // It comes again, and the mover answers that it was done.
            Some(_) => {
                self.tally.lapsed += 1;
                self.held.remove(&slot);
            }
            None => {
                self.tally.deleted += 1;
                let Some(held) = self.held.remove(&slot) else { return };
                let keys = held.order.map(|order| order.key).into_iter().chain(held.fetched);
                // The mover remembers what it was not told; so the list may be cut.
                let room = WATCHED.saturating_sub(self.deleted.len());
                self.deleted.extend(keys.take(room));
            }
        }
    }

    fn hidden(&mut self, now: Boot, slot: u64, fault: Option<Fault>) {
        match self.held.get(&slot) {
            Some(held) if fault == Some(Fault::Other) && now < held.deadline && !self.stopping => {
                let seconds = held.seconds;
                self.give_back(slot, seconds);
            }
            _ => drop(self.held.remove(&slot)),
        }
    }

    fn renewed(&mut self, sent: Boot, slot: u64, fault: Option<Fault>) {
        let Some(held) = self.held.get_mut(&slot) else { return };
        // Someone else has it, or will: then no call can renew it. What the mover is asked already is asked to the end.
        held.renewing = fault == Some(Fault::Receipt);
        match fault {
            None => held.deadline = sent.plus(LEASE.min(sent.until(held.until))),
            Some(Fault::Receipt) => held.deadline = sent,
            Some(Fault::Other) => {}
        }
    }
}
