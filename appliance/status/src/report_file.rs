//! The report files on the card's `STAYPUT` drive: their names, their fixed sizes, and what they say on a new card.
//!
//! The image builder makes each at its full size. The box overwrites them in place and never touches the FAT's own
//! tables, so that a power cut while it writes can spoil a report and never the drive.

use crate::{Error, LONGEST, Result};

/// A file that keeps its size for as long as the card lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportFile {
    /// Its name in the drive's root directory.
    pub name: &'static str,
    /// Its size in bytes, whatever it says.
    pub size: usize,
    not_started: &'static str,
}

/// For a person.
pub const STATUS_TXT: ReportFile =
    ReportFile { name: "STATUS.txt", size: LONGEST, not_started: include_str!("not_started.txt") };

/// The same for a program.
pub const STATUS_JSON: ReportFile = ReportFile {
    name: "STATUS.json",
    size: 8192,
    not_started: "{\"version\": 1, \"started\": false, \"sentence\": \"No box has started from this card yet.\"}\n",
};

/// All of them, in the order in which the builder makes them.
pub const REPORT_FILES: [ReportFile; 2] = [STATUS_TXT, STATUS_JSON];

impl ReportFile {
    /// The bytes of the whole file with this text in it. What is left over is blanks up to a last line end, which Notepad
    /// and JSON readers pass over.
    pub fn fill(&self, text: &str) -> Result<Vec<u8>> {
        let mut bytes = text.as_bytes().to_vec();
        if bytes.len() > self.size {
            return Err(Error::ReportTooLong { file: self.name, has: bytes.len(), size: self.size });
        }
        bytes.resize(self.size, b' ');
        if let Some(end) = bytes[text.len()..].last_chunk_mut() {
            *end = *b"\r\n";
        }
        Ok(bytes)
    }

    /// The file on a card from which no box has started.
    pub fn not_started(&self) -> Result<Vec<u8>> {
        // The text in the tree may have been checked out with any line ends.
        self.fill(&self.not_started.replace("\r\n", "\n").replace('\n', "\r\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fills_its_file_to_the_byte_and_ends_with_a_line_end() {
        let bytes = STATUS_TXT.fill("STAYPUT: RUNNING\r\n").unwrap();
        assert_eq!(bytes.len(), LONGEST);
        assert!(bytes.starts_with(b"STAYPUT: RUNNING\r\n   ") && bytes.ends_with(b"  \r\n"));
    }

    #[test]
    fn a_report_as_long_as_its_file_or_nearly_is_written_as_it_is() {
        for shorter in [0, 1] {
            let text = "x".repeat(STATUS_TXT.size - shorter);
            let bytes = STATUS_TXT.fill(&text).unwrap();
            assert!(bytes.len() == STATUS_TXT.size && bytes.starts_with(text.as_bytes()), "{shorter}");
        }
    }

    #[test]
    fn a_report_longer_than_its_file_is_refused_with_both_sizes() {
        let error = STATUS_JSON.fill(&"x".repeat(8193)).unwrap_err().to_string();
        assert!(error.contains("STATUS.json") && error.contains("8193") && error.contains("8192"), "{error}");
    }

    #[test]
    fn on_a_new_card_both_say_that_no_box_has_started() {
        for file in REPORT_FILES {
            let bytes = file.not_started().unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.len(), file.size);
            assert!(text.contains("No box has started from this card yet"), "{text}");
            assert!(text.is_ascii() && !text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        }
    }

    #[test]
    fn the_text_for_a_person_fits_a_small_window() {
        let wide = STATUS_TXT.not_started.lines().find(|line| line.len() > 72);
        assert_eq!(wide, None);
    }
}
