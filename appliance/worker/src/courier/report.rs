//! What the courier says: its health file, and lines that may leave the box. Codes, counts, durations and salted ids; never
//! a name, a body, a key or a receipt.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use stayput_health::{Code, Moment, Part, State, Writer};

use super::Boot;
use super::desk::{Desk, Note, Trouble};
use crate::OrderKey;

/// How often the health file is written when nothing changes; a third of the time after which silence means death.
const EVERY: Duration = Duration::from_secs(15);
/// How soon it is written again when something does.
const SOON: Duration = Duration::from_secs(1);
/// How often counts are put into the log.
const SUMMARY: Duration = Duration::from_secs(60);
/// How many lines about single orders there may be between two summaries.
const LINES: u32 = 20;

/// The courier's voice.
#[derive(Debug)]
pub(super) struct Reporter<W> {
    writer: Writer,
    out: W,
    salt: [u8; 16],
    said: Option<(State, Code)>,
    written: Option<Boot>,
    summed: Boot,
    lines: u32,
    left_out: u32,
    counted: [u64; 4],
    /// Whether there is a folder for health files: a container may have none.
    is_shown: bool,
    unwritable: bool,
    /// Whether the health file says something else than the last line.
    is_behind: bool,
}

impl<W: Write> Reporter<W> {
    /// A reporter that writes its health file to `health` and its lines to `out`. `salt` makes ids that mean nothing elsewhere.
    pub(super) fn new(health: &Path, out: W, salt: [u8; 16], now: Boot) -> Self {
        Self {
            writer: Writer::in_directory(Part::Courier, health),
            out,
            salt,
            said: None,
            written: None,
            summed: now,
            lines: 0,
            left_out: 0,
            counted: [0; 4],
            is_shown: health.is_dir(),
            unwritable: false,
            is_behind: false,
        }
    }

    /// When there is next something to write by itself.
    pub(super) fn due(&self, now: Boot) -> Duration {
        let wait = if self.is_behind { SOON } else { EVERY };
        self.written.map_or(Duration::ZERO, |written| now.until(written.plus(wait)))
    }

    /// Says how things are, if that is new or due; whether the health file was due.
    pub(super) fn state(&mut self, desk: &Desk, (state, code): (State, Code), now: Boot) -> bool {
        if self.said != Some((state, code)) {
            self.line(format_args!("{code} {}", state.as_str()));
            self.said = Some((state, code));
            self.is_behind = true;
        }
        if now >= self.summed.plus(SUMMARY) || state == State::Stopped {
            self.sum_up(desk, now);
        }
        let is_due = |time| self.written.is_none_or(|written| now >= written.plus(time));
        let writes = is_due(EVERY) || (self.is_behind && is_due(SOON)) || state == State::Stopped;
        if writes {
            (self.written, self.is_behind) = (Some(now), false);
            self.count(desk);
            if self.is_shown {
                match self.writer.write(state, code, Moment::now()) {
                    Ok(_) => self.unwritable = false,
                    // Said once: the path is a setting of the operator's, no order's.
                    Err(error) if !self.unwritable => {
                        self.unwritable = true;
                        self.line(format_args!("health file: {error}"));
                    }
                    Err(_) => {}
                }
            }
        }
        writes
    }

    fn count(&mut self, desk: &Desk) {
        let tally = desk.tally();
        self.writer.count("received", tally.received);
        self.writer.count("done", tally.done);
        self.writer.count("deleted", tally.deleted);
        self.writer.count("nothing", tally.nothing);
        self.writer.count("poison", tally.poison);
        self.writer.count("unfetched", tally.unfetched);
        self.writer.count("parked", tally.parked);
        self.writer.count("lapsed", tally.lapsed);
        self.writer.count("empty", tally.empty);
        self.writer.count("calls", tally.calls);
        self.writer.count("waiting", desk.watching() as u64);
        self.writer.count("held", desk.holding() as u64);
        if let Some(last) = tally.last {
            self.writer.fact("last", last.word());
        }
        for trouble in Trouble::ALL {
            self.writer.count(trouble.counter(), tally.troubles(*trouble));
        }
    }

    fn sum_up(&mut self, desk: &Desk, now: Boot) {
        let tally = desk.tally();
        // A call is empty or not once it is answered: counted before, it would be taken away again in the next minute.
        let answered = tally.calls - desk.calling() as u64;
        let counts = [tally.received, tally.done, tally.parked, answered - tally.empty];
        if counts != self.counted || self.left_out > 0 {
            let [received, done, parked, calls] =
                std::array::from_fn(|index| counts[index] - self.counted[index]);
            let (seconds, waiting) = (self.summed.until(now).as_secs(), desk.watching());
            let left_out = self.left_out;
            self.line(format_args!(
                "in {seconds} s: {received} received, {done} done, {parked} set aside, {waiting} waiting, {calls} calls, \
                 {left_out} lines left out"
            ));
        }
        (self.summed, self.counted, self.lines, self.left_out) = (now, counts, 0, 0);
    }

    /// One line about an order or a call, as long as there are not too many.
    pub(super) fn note(&mut self, note: &Note) {
        self.lines += 1;
        if self.lines > LINES {
            self.left_out += 1;
            return;
        }
        match note {
            Note::Poison { message, receives, poison } => {
                let id = self.id(message);
                self.line(format_args!("{} {id} delivery {receives}: no order ({poison:?})", Code::Parked));
            }
            Note::Left { message, receives, outcome } => {
                let id = self.id(message);
                self.line(format_args!("{} {id} delivery {receives}: left ({outcome:?})", Code::Parked));
            }
            Note::Unfetched { message, receives } => {
                let id = self.id(message);
                self.line(format_args!("{} {id} delivery {receives}: no rule to fetch it", Code::Parked));
            }
            Note::Trouble(trouble) => self.line(format_args!("call failed: {}", trouble.word())),
        }
    }

    /// One line.
    pub(super) fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // A log that cannot be written must not stop the work.
        let _ = writeln!(self.out, "courier: {text}");
    }

    /// An id that is the same for the same order while this process lives, and tells nothing about it.
    fn id(&self, key: &OrderKey) -> String {
        let hash = Sha256::new().chain_update(self.salt).chain_update(key.as_bytes()).finalize();
        hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::desk::{Action, Event};
    use super::*;
    use crate::Outcome;

    #[test]
    fn a_line_about_an_order_has_a_salted_id_and_not_its_key() {
        let place = tempfile::TempDir::new().unwrap();
        let mut reporter = Reporter::new(place.path(), Vec::new(), [1; 16], Boot::at(0));
        let message = OrderKey::new(b"erika-muster").unwrap();
        let note = Note::Left { message, receives: 2, outcome: Outcome::Conflict };
        reporter.note(&note);
        let text = String::from_utf8(std::mem::take(&mut reporter.out)).unwrap();
        assert!(
            text.starts_with("courier: WRK-03 ") && text.ends_with(" delivery 2: left (Conflict)\n"),
            "{text}"
        );
        assert!(!text.contains("erika"), "{text}");
        let mut other = Reporter::new(place.path(), Vec::new(), [2; 16], Boot::at(0));
        other.note(&note);
        assert_ne!(text.as_bytes(), other.out, "another salt, another id");
    }

    #[test]
    fn a_long_poll_that_ends_empty_in_the_next_minute_is_no_call_in_either() {
        let place = tempfile::TempDir::new().unwrap();
        let mut reporter = Reporter::new(place.path(), Vec::new(), [1; 16], Boot::at(0));
        let mut desk = Desk::new(Boot::at(0));
        desk.take(Boot::at(0), Event::MoverUp);
        desk.next(Boot::at(0));
        desk.take(Boot::at(0), Event::Obstacle(None));
        let call = desk.next(Boot::at(0)).into_iter().find_map(|action| match action {
            Action::Receive { call, .. } => Some(call),
            _ => None,
        });
        assert_eq!(desk.calling(), 1);
        reporter.state(&desk, (State::Running, Code::Running), Boot::at(61_000));
        desk.take(Boot::at(62_000), Event::Received { call: call.unwrap(), result: Ok(Vec::new()) });
        reporter.state(&desk, (State::Running, Code::Running), Boot::at(122_000));
        let text = String::from_utf8(reporter.out).unwrap();
        assert_eq!(text, "courier: RUN-00 running\n", "nothing to sum up in either minute");
    }

    #[test]
    fn a_flood_of_bad_orders_does_not_flood_the_log() {
        let place = tempfile::TempDir::new().unwrap();
        let mut reporter = Reporter::new(place.path(), Vec::new(), [1; 16], Boot::at(0));
        let desk = Desk::new(Boot::at(0));
        (0..1000).for_each(|_| reporter.note(&Note::Trouble(Trouble::Service)));
        reporter.state(&desk, (State::Running, Code::Running), Boot::at(61_000));
        let text = String::from_utf8(reporter.out).unwrap();
        assert_eq!(text.lines().count(), 22, "{text}");
        assert!(text.contains("980 lines left out"), "{text}");
    }
}
