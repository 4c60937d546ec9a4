//! A line of a list as `ls -l` writes it: some clients read nothing else.

use crate::wire::{Attributes, Entry};

/// The bits of a mode that say "plain file" and "folder".
const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// The folder itself, as the caller may use it.
pub(crate) fn folder(permissions: u32) -> Attributes {
    Attributes { size: Some(0), mode: Some(FOLDER | permissions), times: None }
}

/// A plain file.
pub(crate) fn file(size: u64, permissions: u32, modified: u32) -> Attributes {
    Attributes { size: Some(size), mode: Some(FILE | permissions), times: Some((modified, modified)) }
}

/// Whole seconds, as the protocol has them: 32 bits, nothing before 1970.
pub(crate) fn seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// A file's line.
pub(crate) fn entry(name: &[u8], attributes: Attributes) -> Entry {
    let mode = attributes.mode.unwrap_or(FILE);
    let letters: String =
        (0..9).map(|bit| if mode & (0o400 >> bit) == 0 { '-' } else { ['r', 'w', 'x'][bit % 3] }).collect();
    let (year, month, day) = date(attributes.times.map_or(0, |(_, modified)| modified));
    let size = attributes.size.unwrap_or(0);
    let mut line =
        format!("-{letters}    1 stayput  stayput  {size:>12} {month} {day:>2}  {year} ").into_bytes();
    line.extend(name);
    Entry { name: name.to_vec(), line, attributes }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The day of a moment in UTC.
fn date(seconds: u32) -> (u32, &'static str, u32) {
    let mut days = seconds / 86_400;
    let mut year = 1970;
    let leap = |year: u32| {
        u32::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)))
    };
    while days >= 365 + leap(year) {
        days -= 365 + leap(year);
        year += 1;
    }
    let lengths = [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in MONTHS.into_iter().zip(lengths) {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    unreachable!("the days of a year are those of its months")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_of_ls() {
        let entry = entry(b"a b.csv", file(1234, 0o640, 1_795_000_000));
        let line = String::from_utf8(entry.line).unwrap();
        assert_eq!(line, "-rw-r-----    1 stayput  stayput          1234 Nov 18  2026 a b.csv");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, (1970, "Jan", 1)),
            (951_782_399, (2000, "Feb", 28)),
            (951_782_400, (2000, "Feb", 29)),
            (951_868_800, (2000, "Mar", 1)),
            (1_798_761_599, (2026, "Dec", 31)),
            (u32::MAX, (2106, "Feb", 7)),
        ] {
            assert_eq!(date(seconds), expected);
        }
        assert_eq!((seconds(-5), seconds(i64::MAX)), (0, u32::MAX));
    }
}
