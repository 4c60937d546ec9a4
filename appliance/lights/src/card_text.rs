//! `STATUS.txt` on the card's drive STAYPUT: the verdict in words, for whoever pulls the card and puts it into a PC.
//!
//! The image holds the file at its one size. It is overwritten in place through the partition's device ([`fat`]), padded
//! and synced. Flash wears, so it is written when something a person would act on has changed, and at no other time.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use stayput_health::{Code, Moment};
use stayput_status::{Facts, LONGEST, Severity, Verdict, row, status_txt};

use crate::fat::{self, Extent};
use crate::{Error, Result};

/// The person's partition, by the label that the image gives it.
pub const DEVICE: &str = "/dev/disk/by-label/STAYPUT";

/// The file, as the folder has it.
const NAME: &str = "STATUS.TXT";

/// Writes what is to be said of `verdict`; whether there was anything new to say.
pub fn write(device: &Path, verdict: &Verdict, facts: &Facts, now: Moment) -> Result<bool> {
    let mut drive =
        OpenOptions::new().read(true).write(true).open(device).map_err(Error::io("open", device))?;
    let unfit = |why| Error::Card { device: device.to_owned(), why };
    let extents = fat::find(&mut drive, NAME, LONGEST as u64).map_err(unfit)?;
    let read = Error::io("read", device);
    let before = take(&mut drive, &extents).map_err(read)?;
    if !worth(&before, verdict) {
        return Ok(false);
    }
    let text = padded(status_txt(verdict, facts, now));
    let mut rest = text.as_bytes();
    let mut put = || -> std::io::Result<()> {
        for extent in &extents {
            let (here, later) =
                rest.split_at(usize::try_from(extent.length).unwrap_or(rest.len()).min(rest.len()));
            drive.seek(SeekFrom::Start(extent.at))?;
            drive.write_all(here)?;
            rest = later;
        }
        drive.sync_data()
    };
    put().map_err(Error::io("write", device))?;
    Ok(true)
}

fn take(drive: &mut (impl Read + Seek), extents: &[Extent]) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    for extent in extents {
        drive.seek(SeekFrom::Start(extent.at))?;
        drive.by_ref().take(extent.length).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text at the file's one size: blanks and line ends after it, which every editor shows as nothing.
fn padded(mut text: String) -> String {
    while text.len() + 2 <= LONGEST {
        let line = (LONGEST - text.len() - 2).min(70);
        text.extend(std::iter::repeat_n(' ', line));
        text.push_str("\r\n");
    }
    while text.len() < LONGEST {
        text.push(' ');
    }
    text
}

/// Whether someone who reads `before` would be told something else by `verdict`.
fn worth(before: &str, verdict: &Verdict) -> bool {
    let severity = row(verdict.state.code).severity();
    if severity == Severity::Command {
        // "Shutting down" on a card that lies in a PC helps nobody; what was wrong before it does.
        return false;
    }
    let first = before.lines().next().unwrap_or_default();
    let code = first.rsplit_once('(').and_then(|(_, rest)| rest.trim_end().strip_suffix(')'));
    let said = code.and_then(|code| code.parse::<Code>().ok());
    // Working and waiting for work alternate all day.
    let both_good =
        severity == Severity::Good && said.is_some_and(|code| row(code).severity() == Severity::Good);
    let quiet = verdict.others.is_empty()
        && !before.contains("\r\nALSO\r\n")
        && !before.contains("\r\nUNDER WAY\r\n");
    !(both_good && quiet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_status::Finding;

    fn verdict(code: Code) -> Verdict {
        let since = Moment { unix: 1_795_000_000, boot_ms: 1 };
        Verdict { state: Finding { code, part: None, since, detail: None }, others: Vec::new() }
    }

    fn text(code: Code) -> String {
        padded(status_txt(&verdict(code), &Facts::default(), Moment { unix: 1_795_000_000, boot_ms: 5 }))
    }

    #[test]
    fn every_text_fills_the_file_exactly() {
        for code in Code::ALL {
            let text = text(*code);
            assert_eq!(text.len(), LONGEST, "{code}");
            assert!(text.lines().all(|line| line.len() <= 72), "{code}");
        }
    }

    #[test]
    fn faults_are_told_and_their_end_too_but_not_work_that_comes_and_goes() {
        assert!(worth("", &verdict(Code::Running)));
        assert!(worth(&text(Code::Running), &verdict(Code::NoLink)));
        assert!(worth(&text(Code::NoLink), &verdict(Code::Running)));
        assert!(!worth(&text(Code::Running), &verdict(Code::Working)));
        assert!(!worth(&text(Code::NoLink), &verdict(Code::ShuttingDown)));
        let mut more = verdict(Code::Running);
        more.others = vec![verdict(Code::Starting).state];
        assert!(worth(&text(Code::Running), &more));
    }

    #[test]
    fn a_card_without_the_file_is_named_and_nothing_is_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 4096]).unwrap();
        let now = Moment { unix: 0, boot_ms: 1 };
        let error =
            write(file.path(), &verdict(Code::NoLink), &Facts::default(), now).unwrap_err().to_string();
        assert!(error.contains("no FAT32"), "{error}");
        assert_eq!(std::fs::read(file.path()).unwrap(), vec![7; 4096]);
    }
}
