//! The log: lines to the kernel's ring buffer, which the console shows and the journal keeps.

use std::fs::{File, OpenOptions};
use std::io::Write;

use stayput_health::Code;

use crate::notes::Notes;
use crate::stage::Stage;

/// The kernel takes about 1000 bytes a record; longer lines are cut.
const LONGEST: usize = 900;

/// Where lines go.
pub struct Log {
    kernel: Option<File>,
    stage: Stage,
    notes: Option<Notes>,
}

impl Log {
    /// A log before `/dev` is there: to the console that the kernel opened for this process.
    pub fn open() -> Self {
        Self { kernel: None, stage: Stage::Devices, notes: None }
    }

    /// Goes over to the kernel's ring buffer. The file stays open: after the switch of root its path is elsewhere.
    pub fn kernel_is_there(&mut self) {
        // Else the kernel drops lines after the tenth; systemd does the same. Best effort: fewer lines are no failure.
        let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
        self.kernel = OpenOptions::new().write(true).open("/dev/kmsg").ok();
    }

    /// Keeps a note on the card, too, of each stage from here on.
    pub fn note_with(&mut self, notes: Notes) {
        self.notes = Some(notes);
    }

    /// Begins a stage; it precedes every line from here on.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        if let Some(Err(why)) = self.notes.as_mut().map(|notes| notes.reached(stage)) {
            self.notes = None;
            self.warn(&format!("no more notes are taken of how far this slot comes: {why}"));
        }
    }

    /// A line for those who look.
    pub fn info(&mut self, text: &str) {
        self.line(6, text);
    }

    /// A line on something that is not as it should be.
    pub fn warn(&mut self, text: &str) {
        self.line(4, text);
    }

    /// A line on what stops the boot, at a level that the kernel shows on the console even with `quiet`.
    pub fn failure(&mut self, code: Code, text: &str) {
        self.line(2, &format!("FAILED {code} {text}"));
    }

    fn line(&mut self, level: u8, text: &str) {
        let record = record(level, self.stage, text);
        let written = self.kernel.as_mut().map(|kernel| kernel.write_all(record.as_bytes()));
        if !matches!(written, Some(Ok(()))) {
            eprintln!("stayput-init: {}: {text}", self.stage);
        }
    }
}

/// One record: level, program, stage and text, in one line and short enough to be one write.
fn record(level: u8, stage: Stage, text: &str) -> String {
    let mut line = format!("<{level}>stayput-init: {stage}: ");
    for character in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + character.len_utf8() > LONGEST {
            line.push_str("...");
            break;
        }
        line.push(character);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_the_text() {
        let line = record(4, Stage::Disk, "two\nlines\x1b[2J\r\n");
        assert_eq!(line, "<4>stayput-init: disk: two lines [2J  \n");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let line = record(6, Stage::State, &"ä".repeat(5000));
        assert!(line.len() <= LONGEST + 4 && line.ends_with("ä...\n"), "{}", line.len());
    }
}
