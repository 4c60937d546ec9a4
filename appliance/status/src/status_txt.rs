//! The text of `STATUS.txt`: the verdict, what failed, where, how to fix it, then facts.
//!
//! It is read on any PC, so its lines end with CR LF, it is plain ASCII, and nothing is wider than 72 characters.

use jiff::Timestamp;
use stayput_health::Moment;

use crate::{Fact, Facts, Finding, Severity, Step, Verdict, row};

/// No text is longer, whatever is wrong with the box. The file on the card is made once with this size.
pub const LONGEST: usize = 8192;

/// How many further findings are told in full; the rest is counted.
const MOST_OTHERS: usize = 8;

const WIDTH: usize = 72;

/// What protects once the code was used, and what overwriting it cannot promise.
const USED_CODE: &str = "The code on the card was used and is overwritten. What protects it is that its activation is \
    used up: flash memory and an editor's backup file may keep copies.";

/// The text for `verdict`, the `steps` that led there and `facts` at the moment `now`. The same values always give the same text.
pub fn status_txt(verdict: &Verdict, steps: &[Step], facts: &Facts, now: Moment) -> String {
    let mut text = Text::default();
    let Verdict { state, others } = verdict;
    let shown = row(state.code);
    let title = format!("{} ({})", shown.verdict(), state.code);
    text.line(&format!("STAYPUT: {title}"));
    text.line(&"=".repeat("STAYPUT: ".len() + title.len()));
    text.line("");
    text.wrapped("", &shown.sentence(state.detail.as_deref()));
    text.line("");

    text.line("WHAT TO DO");
    text.remedy(state);
    text.line("");

    text.line("WHERE AND WHEN");
    text.wrapped("", &format!("{}, {}.", place(state), since(state.since)));
    text.wrapped("Lights:  ", &format!("{}.", shown.look()));
    text.wrapped("", &format!("A box with one light: {}.", shown.alone()));
    text.line("");

    if !others.is_empty() {
        let all_small = others.iter().all(|other| other.severity() <= Severity::Passing);
        text.line(if all_small { "UNDER WAY" } else { "ALSO" });
        for other in others.iter().take(MOST_OTHERS) {
            let their = row(other.code);
            let sentence = their.sentence(other.detail.as_deref());
            text.wrapped(
                "- ",
                &format!("{} ({}): {sentence} {}.", their.verdict(), other.code, place(other)),
            );
            if other.severity() > Severity::Passing {
                text.remedy(other);
            }
        }
        if let more @ 1.. = others.len().saturating_sub(MOST_OTHERS) {
            text.line(&format!("- and {more} more."));
        }
        text.line("");
    }

    if !steps.is_empty() {
        text.line("STEPS (hours, minutes and seconds after power-on)");
        for step in steps {
            text.line(&step.to_string());
        }
        text.line("");
    }

    text.line("FACTS");
    for (fact, value) in facts.iter() {
        let title = fact.title();
        let lead = format!("{title}:{:1$}", "", 17 - title.len());
        if lead.len() + value.len() <= WIDTH {
            text.wrapped(&lead, value);
        } else {
            text.line(&lead);
            text.wrapped("  ", value);
        }
    }
    text.wrapped(&format!("Written:{:10}", ""), &format!("{}, {}", wall(now), running(now)));
    text.line("");
    if facts.get(Fact::Code) == Some("overwritten") {
        text.wrapped("", USED_CODE);
        text.line("");
    }
    text.wrapped("", "Times are the box's own; before its clock is set they are too early.");
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        debug_assert!(line.len() <= WIDTH, "{line}");
        self.0.push_str(line.trim_end());
        self.0.push_str("\r\n");
    }

    /// `text` broken between words, `lead` before its first line and as much space before the others.
    fn wrapped(&mut self, lead: &str, text: &str) {
        let mut line = lead.to_owned();
        let mut fresh = true;
        for word in text.split(' ') {
            if !fresh && line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line = " ".repeat(lead.len());
                fresh = true;
            }
            if !fresh {
                line.push(' ');
            }
            line.push_str(word);
            fresh = false;
        }
        self.line(&line);
    }

    fn remedy(&mut self, finding: &Finding) {
        let steps = row(finding.code).remedy();
        for (number, step) in (1..).zip(steps) {
            self.wrapped(&format!("  {number}. "), step);
        }
    }
}

fn place(finding: &Finding) -> String {
    finding.part.map_or_else(|| "The box as a whole".to_owned(), |part| format!("Part '{part}'"))
}

fn since(moment: Moment) -> String {
    format!("since {}, {}", wall(moment), running(moment))
}

/// The wall clock's time in UTC.
pub(crate) fn wall(moment: Moment) -> String {
    match Timestamp::from_second(moment.unix) {
        Ok(stamp) => stamp.to_string().replace('T', " ").replace('Z', " UTC"),
        Err(_) => "an unknown time".to_owned(),
    }
}

/// The boot clock's time.
fn running(moment: Moment) -> String {
    let seconds = moment.boot_ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours} h {minutes:02} min {seconds:02} s after power-on")
}
