//! The mover's health file: how it does, what it has counted, and the head of its log. No name can get in.

use std::path::Path;

use stayput_health::{Code, Moment, Part, State, Writer};

use crate::confine::{Confinement, Network, Walls};
use crate::disk::Disk;
use crate::{Mover, Outcome};

/// How often the file is written when nothing changes: a third of the silence that makes a part count as dead.
const EVERY: u64 = 15_000;

/// For how long an order that came counts as work in progress.
const BUSY: u64 = 3_000;

/// For how long a conflict is shown after it was last met: the queue brings its order again meanwhile.
const SHOWN: u64 = 15 * 60_000;

/// From how much of the disk being used on it counts as filling.
const FILLING: u64 = 90;

/// How far the mover is apart from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separation {
    /// A service or a container of its own.
    Own,
    /// Two processes of one container.
    Weaker,
}

/// Writes the health file when it is time to.
#[derive(Debug)]
pub struct Reporter {
    writer: Option<Writer>,
    separation: Separation,
    walls: Option<Walls>,
    written: Option<(State, Code, u64)>,
    done: u64,
    worked: Option<u64>,
    conflicts: u64,
    conflicted: Option<u64>,
}

impl Reporter {
    /// A reporter into `folder`; one that is not there is left alone, as in a container without it.
    pub fn new(folder: &Path, separation: Separation) -> Self {
        let writer = folder.is_dir().then(|| Writer::in_directory(Part::Mover, folder));
        let (walls, written, worked, conflicted) = (None, None, None, None);
        Self { writer, separation, walls, written, done: 0, worked, conflicts: 0, conflicted }
    }

    /// Notes what the mover is confined by.
    pub fn confined(&mut self, confinement: Confinement) {
        self.walls = Some(confinement.walls);
        if let Some(writer) = &mut self.writer {
            let network = match confinement.network {
                Network::Empty => "none",
                Network::Shared => "filtered",
            };
            let walls = match confinement.walls {
                Walls::Full => "full",
                Walls::Partial => "partial",
                Walls::None => "none",
            };
            let separation = match self.separation {
                Separation::Own => "own",
                Separation::Weaker => "weaker",
            };
            writer.fact("network", network);
            writer.fact("paths", walls);
            writer.fact("calls", "filtered");
            writer.fact("separation", separation);
        }
    }

    /// Says why the mover does not start.
    pub fn failed(&mut self, code: Code) {
        self.write(State::Failed, code, Moment::now());
    }

    /// Says that the mover was told to stop.
    pub fn stopped(&mut self) {
        self.write(State::Stopped, Code::Stopped, Moment::now());
    }

    /// Looks at the mover and writes, if anything changed or it is time.
    pub fn look<D: Disk>(&mut self, mover: &mut Mover<D>) {
        if self.writer.is_none() {
            return;
        }
        let now = Moment::now();
        self.note(mover, now.boot_ms);
        let used = used_percent(mover);
        let (state, code) = self.judge(mover, used, now.boot_ms);
        let is_due = self.written.is_none_or(|(said, was, at)| {
            (said, was) != (state, code) || now.boot_ms.saturating_sub(at) >= EVERY
        });
        if is_due {
            self.count(mover, used);
            self.write(state, code, now);
        }
    }

    /// When the last order was done and the last conflict was met.
    fn note<D: Disk>(&mut self, mover: &Mover<D>, now: u64) {
        let (done, conflicts) = (mover.counters().of(Outcome::Done), mover.counters().of(Outcome::Conflict));
        if done != self.done {
            (self.done, self.worked) = (done, Some(now));
        }
        if conflicts != self.conflicts {
            (self.conflicts, self.conflicted) = (conflicts, Some(now));
        }
    }

    /// The worst comes first.
    fn judge<D: Disk>(&self, mover: &mut Mover<D>, used: Option<u64>, now: u64) -> (State, Code) {
        let within = |since: Option<u64>, time| since.is_some_and(|since| now.saturating_sub(since) < time);
        match mover.obstacle() {
            Some(Outcome::Stopped) => return (State::Failed, Code::StorageFault),
            Some(Outcome::DiskFull) => return (State::Failed, Code::DiskFull),
            Some(Outcome::LedgerFull) => return (State::Degraded, Code::PartDegraded),
            Some(_) => return (State::Failed, Code::DataMissing),
            None => {}
        }
        if within(self.conflicted, SHOWN) {
            (State::Running, Code::Conflict)
        } else if self.separation == Separation::Weaker {
            (State::Running, Code::WeakSeparation)
        } else if used.is_some_and(|used| used >= FILLING) {
            (State::Running, Code::DiskFilling)
        } else if self.walls == Some(Walls::None) {
            (State::Degraded, Code::PartDegraded)
        } else if within(self.worked, BUSY) {
            (State::Running, Code::Working)
        } else {
            (State::Running, Code::Running)
        }
    }

    fn count<D: Disk>(&mut self, mover: &Mover<D>, used: Option<u64>) {
        let Some(writer) = &mut self.writer else { return };
        for (outcome, count) in mover.counters().iter() {
            writer.count(outcome.word(), count);
        }
        let (records, head) = mover.head();
        writer.count("ledger-records", records);
        // The hash in four numbers: no text travels in a health file.
        const HEAD: [&str; 4] = ["ledger-head-0", "ledger-head-1", "ledger-head-2", "ledger-head-3"];
        for (name, piece) in HEAD.into_iter().zip(head.as_chunks::<8>().0) {
            writer.count(name, u64::from_be_bytes(*piece));
        }
        writer.count("unacknowledged", mover.unacknowledged() as u64);
        let found = mover.recovery();
        writer.count("recovered-completed", found.completed);
        writer.count("recovered-given-up", found.given_up);
        writer.count("recovered-unaccounted", found.unaccounted);
        writer.count("recovered-cut-bytes", found.cut);
        if let Some(used) = used {
            writer.count("used-percent", used);
        }
    }

    fn write(&mut self, state: State, code: Code, now: Moment) {
        if let Some(writer) = &mut self.writer {
            // A health file that cannot be written shows as a stale one, which is what it is.
            let _ = writer.write(state, code, now);
            self.written = Some((state, code, now.boot_ms));
        }
    }
}

/// How much of the room for files is used, the reserve counted as used.
fn used_percent<D: Disk>(mover: &Mover<D>) -> Option<u64> {
    let room = mover.room_for_files().ok()?;
    let used = room.size.saturating_sub(room.free);
    used.saturating_mul(100).checked_div(room.size)
}
