//! One line of the ledger: what happened to which file, in words and numbers that a spreadsheet and a person can read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::log::{Event, Record};
use crate::{FileName, Naming};

/// A line. Its fields are the columns of the CSV export and the keys of the JSON export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Line {
    /// The record's number.
    pub sequence: u64,
    /// When it was written, by the box's clock.
    pub time: String,
    /// What happened: `intent`, `received`, `copied`, `done`, `abandoned`, `deleted`, `recovered`.
    pub event: &'static str,
    /// The number of the intent that it ends.
    pub intent: Option<u64>,
    /// The order's key, or the beginning of its SHA-256 where only that is kept.
    pub key: Option<String>,
    /// The name in the source folder, or of the object that came in.
    pub name: Option<String>,
    /// The name in the destination folder.
    pub target: Option<String>,
    /// How many bytes the file has.
    pub size: Option<u64>,
    /// The SHA-256 of a file that came in.
    pub sha256: Option<String>,
    /// The store's checksum that it was held against, or `unverified`.
    pub checksum: Option<String>,
    /// The object's version in the store.
    pub version: Option<String>,
    /// Why it was given up.
    pub outcome: Option<&'static str>,
}

/// Turns records into lines; an end is told with the names of its beginning.
#[derive(Debug, Default)]
pub struct Lines(BTreeMap<u64, (String, String, String)>);

impl Lines {
    /// The line for a record; `None` for what is about the log and not about files.
    pub fn line(&mut self, record: &Record) -> Option<Line> {
        let Record { sequence, time, .. } = *record;
        let line = Line { sequence, time: rfc3339(time), ..Line::default() };
        Some(match &record.event {
            Event::Opened { .. } | Event::Kept { .. } => return None,
            Event::Intent { key, name, target, identity, naming: Naming::Suffixed | Naming::Unchanged } => {
                let (key, name, target) = self.begin(sequence, key.as_bytes(), name, target);
                let (key, name, target) = (Some(key), Some(name), Some(target));
                Line { event: "intent", key, name, target, size: Some(identity.size), ..line }
            }
            Event::Received { key, name, target, identity, digest, verified, version, .. } => {
                let (key, name, target) = self.begin(sequence, key.as_bytes(), name, target);
                Line {
                    event: "received",
                    key: Some(key),
                    name: Some(name),
                    target: Some(target),
                    size: Some(identity.size),
                    sha256: Some(hex(digest)),
                    checksum: Some(
                        verified.map_or("unverified".to_owned(), |kind| format!("{kind:?}").to_lowercase()),
                    ),
                    version: Some(readable(version)),
                    ..line
                }
            }
            Event::Copied { intent, .. } => self.end("copied", *intent, None, line),
            Event::Done { intent } => {
                let line = self.end("done", *intent, None, line);
                self.0.remove(intent);
                line
            }
            Event::Abandoned { intent, outcome } => {
                let why = outcome.map_or("unaccounted", crate::Outcome::word);
                let line = self.end("abandoned", *intent, Some(why), line);
                self.0.remove(intent);
                line
            }
            Event::Acknowledged { key } => {
                Line { event: "deleted", key: Some(format!("sha256:{}", hex(key))), ..line }
            }
            Event::Recovered { cut } => Line { event: "recovered", size: Some(*cut), ..line },
        })
    }

    fn begin(
        &mut self,
        sequence: u64,
        key: &[u8],
        name: &FileName,
        target: &FileName,
    ) -> (String, String, String) {
        let names = (readable(key), readable(name.as_bytes()), readable(target.as_bytes()));
        self.0.insert(sequence, names.clone());
        names
    }

    fn end(&self, event: &'static str, intent: u64, outcome: Option<&'static str>, line: Line) -> Line {
        let names = self.0.get(&intent).cloned();
        let (key, name, target) = match names {
            Some((key, name, target)) => (Some(key), Some(name), Some(target)),
            // It began in a file that is not kept any more.
            None => (None, None, None),
        };
        Line { event, intent: Some(intent), key, name, target, outcome, ..line }
    }
}

/// Bytes as one line of text, from which the bytes can be told again: what is no printable text, or would make a spreadsheet
/// take the text for a formula, stands as `\xNN`.
pub fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let first = text.is_empty();
            if letter == '\\' || is_hidden(letter) || (first && matches!(letter, '=' | '+' | '-' | '@')) {
                let mut buffer = [0; 4];
                for byte in letter.encode_utf8(&mut buffer).bytes() {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\x{byte:02x}");
                }
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Letters that steer a terminal, or turn the direction of what follows.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A time in nanoseconds as text.
fn rfc3339(nanoseconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds))
        .ok()
        .and_then(|time| time.replace_microsecond(time.microsecond()).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{nanoseconds} ns"))
}

/// A day or a moment in UTC as nanoseconds: `2026-11-20`, or `2026-11-20T18:00:00Z`.
pub fn moment(text: &str) -> Option<i64> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_in_one_line_that_neither_a_terminal_nor_a_spreadsheet_obeys() {
        let table: [(&[u8], &str); 8] = [
            (b"order.csv", "order.csv"),
            ("Müller 日本 🙂".as_bytes(), "Müller 日本 🙂"),
            (b"a\nb\x1b[31m", "a\\x0ab\\x1b[31m"),
            (b"\xff\xfea", "\\xff\\xfea"),
            (b"=cmd()", "\\x3dcmd()"),
            (b"a=b-c", "a=b-c"),
            ("a\u{202e}gpj.exe".as_bytes(), "a\\xe2\\x80\\xaegpj.exe"),
            (b"back\\slash", "back\\x5cslash"),
        ];
        for (bytes, text) in table {
            assert_eq!(readable(bytes), text);
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(moment("1970-01-02"), Some(86_400_000_000_000));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        for bad in ["", "yesterday", "2026-13-01", "2026-11-20 18:00", "99999-01-01", "2026-11-2"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
        assert_eq!(rfc3339(1_000_000_000), "1970-01-01T00:00:01Z");
        assert!(rfc3339(i64::MIN).contains("1677"), "{}", rfc3339(i64::MIN));
    }
}
