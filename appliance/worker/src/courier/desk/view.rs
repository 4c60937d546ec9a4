//! What others may ask of the desk: how it does, and what it holds.

use super::*;

impl Desk {
    /// What was counted so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many orders wait for their files.
    pub fn watching(&self) -> usize {
        self.watched().count()
    }

    pub(super) fn watched(&self) -> impl Iterator<Item = &Held> {
        self.held.values().filter(|held| {
            held.waits && matches!(held.step, Step::Ready | Step::Asked | Step::Fetching | Step::Watching(_))
        })
    }

    /// How many messages are held in all.
    pub fn holding(&self) -> usize {
        self.held.len()
    }

    /// How many calls are under way.
    pub fn calling(&self) -> usize {
        self.calls.len()
    }

    /// Why the mover cannot work, if it cannot.
    pub fn paused(&self) -> Option<Outcome> {
        if let Fitness::Unfit(outcome) = self.fitness { Some(outcome) } else { None }
    }

    /// Whether the mover is there.
    pub fn has_mover(&self) -> bool {
        !matches!(self.mover, Mover::Down { .. })
    }

    /// For how long the mover has been away, or has had the same request.
    pub fn mover_silent(&self, now: Boot) -> Duration {
        match self.mover {
            Mover::Down { since } | Mover::Busy { since } => since.until(now),
            Mover::Idle => Duration::ZERO,
        }
    }

    /// What went wrong last, if calls have been failing since, and how often in a row.
    pub fn failing(&self) -> Option<(Trouble, u32)> {
        self.trouble.filter(|_| self.failures > 0).map(|trouble| (trouble, self.failures))
    }

    /// Whether it was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether the clock was said to be right.
    pub fn has_clock(&self) -> bool {
        self.clock
    }

    /// For how long there have been no credentials.
    pub fn without_credentials(&self, now: Boot) -> Option<Duration> {
        self.without.map(|since| since.until(now))
    }

    /// Whether nothing but other credentials will help.
    pub fn wants_credentials(&self) -> bool {
        self.without.is_some() || (self.failures > 0 && self.trouble == Some(Trouble::Credentials))
    }

    /// Whether an order was found at `now` or shortly before that cannot be carried out as it is.
    pub fn has_parked(&self, now: Boot) -> bool {
        now < self.parked_until
    }

    /// The same for orders whose destination is taken.
    pub fn has_conflict(&self, now: Boot) -> bool {
        now < self.conflict_until
    }

    /// Whether an order was done within the last `window`.
    pub fn worked_within(&self, now: Boot, window: Duration) -> bool {
        self.tally.done > 0 && now <= self.last_done.plus(window)
    }
}
