//! `STATUS.txt` and `STATUS.json`: the verdict for whoever pulls the card and puts it into a PC.
//!
//! The image holds both at their one size. Flash wears, so they are written when something a person would act on has
//! changed, and at no other time.

use std::path::Path;

use stayput_health::{Code, Moment, Part};
use stayput_status::{
    Facts, ReportFile, STATUS_JSON, STATUS_TXT, Severity, Step, Verdict, row, status_json, status_txt,
};

use crate::Result;
use crate::place::Drive;

/// What of a verdict makes it another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gist {
    state: Said,
    others: Vec<Said>,
}

type Said = (Code, Option<Part>, Option<String>);

impl Gist {
    /// The gist of a verdict. Numbers that only count are no news.
    pub fn of(verdict: &Verdict) -> Self {
        let said = |finding: &stayput_status::Finding| {
            let told = row(finding.code).severity() >= Severity::Warning;
            (finding.code, finding.part, finding.detail.clone().filter(|_| told))
        };
        Self { state: said(&verdict.state), others: verdict.others.iter().map(said).collect() }
    }

    fn is_simply_well(&self) -> bool {
        row(self.state.0).severity() == Severity::Good && self.others.is_empty()
    }
}

/// Whether someone who was told `before` would be told something else by `verdict`; at the start of a box, anything is news.
pub fn is_news(before: Option<&Gist>, verdict: &Verdict) -> bool {
    if row(verdict.state.code).severity() == Severity::Command {
        // "Shutting down" on a card that lies in a PC helps nobody; what was wrong before it does.
        return false;
    }
    let now = Gist::of(verdict);
    // Working and waiting for work alternate all day.
    before.is_none_or(|before| *before != now && !(before.is_simply_well() && now.is_simply_well()))
}

/// Writes both files. One that a PC has saved anew has another size and is left alone; the other is written all the same.
pub fn write(device: &Path, verdict: &Verdict, steps: &[Step], facts: &Facts, now: Moment) -> Result<()> {
    let text = put(device, &STATUS_TXT, &status_txt(verdict, steps, facts, now));
    let json = put(device, &STATUS_JSON, &status_json(verdict, steps, facts, now));
    text.and(json)
}

fn put(device: &Path, file: &ReportFile, text: &str) -> Result<()> {
    let bytes = file.fill(text)?;
    let mut drive = Drive::open(device)?;
    let old = drive.sized(file.name, file.size)?;
    drive.put(&old, &bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read as _, Write as _};

    use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
    use stayput_status::Finding;

    use super::*;

    /// A drive with these files, on a device that is a file.
    pub(crate) fn drive(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(40 << 20).unwrap();
        let options = FormatVolumeOptions::new().fat_type(FatType::Fat32).bytes_per_cluster(512);
        format_volume(file.reopen().unwrap(), options).unwrap();
        let fs = FileSystem::new(file.reopen().unwrap(), FsOptions::new()).unwrap();
        for (name, bytes) in files {
            fs.root_dir().create_file(name).unwrap().write_all(bytes).unwrap();
        }
        fs.unmount().unwrap();
        file
    }

    pub(crate) fn read(drive: &tempfile::NamedTempFile, name: &str) -> Vec<u8> {
        let fs = FileSystem::new(drive.reopen().unwrap(), FsOptions::new()).unwrap();
        let mut bytes = Vec::new();
        fs.root_dir().open_file(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    const NOW: Moment = Moment { unix: 1_795_000_000, boot_ms: 5_000 };

    fn verdict(code: Code) -> Verdict {
        Verdict { state: Finding { code, part: None, since: NOW, detail: None }, others: Vec::new() }
    }

    #[test]
    fn faults_are_told_and_their_end_too_but_not_work_that_comes_and_goes() {
        let news = |before, now: &Verdict| is_news(Some(&Gist::of(&verdict(before))), now);
        assert!(is_news(None, &verdict(Code::Running)));
        assert!(news(Code::Running, &verdict(Code::NoLink)));
        assert!(news(Code::NoLink, &verdict(Code::Running)));
        assert!(!news(Code::NoLink, &verdict(Code::NoLink)));
        assert!(!news(Code::Running, &verdict(Code::Working)));
        assert!(!news(Code::NoLink, &verdict(Code::ShuttingDown)));
        assert!(!is_news(None, &verdict(Code::ShuttingDown)));
        let mut more = verdict(Code::Running);
        more.others = vec![verdict(Code::Starting).state];
        assert!(news(Code::Running, &more));
    }

    #[test]
    fn the_line_of_a_mistake_is_news_and_the_number_of_orders_that_wait_is_none() {
        let with = |code, detail: &str| {
            let mut verdict = verdict(code);
            verdict.state.detail = Some(detail.to_owned());
            verdict
        };
        let news = |code| is_news(Some(&Gist::of(&with(code, "1"))), &with(code, "2"));
        assert!(news(Code::ConfigWrong));
        assert!(!news(Code::Waiting));
    }

    #[test]
    fn both_files_are_overwritten_where_they_lie_and_nothing_else_of_the_drive_changes() {
        let reports: Vec<_> =
            stayput_status::REPORT_FILES.iter().map(|it| (it.name, it.not_started().unwrap())).collect();
        let files: Vec<_> = reports.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        let drive = drive(&files);
        let before = std::fs::read(drive.path()).unwrap();
        let facts = Facts::default();
        write(drive.path(), &verdict(Code::NoLink), &[], &facts, NOW).unwrap();
        let after = std::fs::read(drive.path()).unwrap();
        let text = String::from_utf8(read(&drive, "STATUS.txt")).unwrap();
        assert!(
            text.starts_with("STAYPUT: NO CABLE (NET-01)\r\n") && text.len() == STATUS_TXT.size,
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_slice(&read(&drive, "STATUS.json")).unwrap();
        assert_eq!(json["state"]["code"], "NET-01");
        let changed: Vec<_> = (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
        let span = changed.last().unwrap() - changed[0];
        assert!(span < STATUS_TXT.size + STATUS_JSON.size, "changes span {span} bytes");
    }

    #[test]
    fn a_file_that_a_pc_has_saved_anew_is_left_alone_and_the_other_is_written() {
        let json = STATUS_JSON.not_started().unwrap();
        let drive = drive(&[("STATUS.txt", b"my own notes"), ("STATUS.json", &json)]);
        let error = write(drive.path(), &verdict(Code::NoLink), &[], &Facts::default(), NOW).unwrap_err();
        assert!(error.to_string().contains("STATUS.txt of 12 bytes"), "{error}");
        assert_eq!(read(&drive, "STATUS.txt"), b"my own notes");
        assert!(String::from_utf8(read(&drive, "STATUS.json")).unwrap().contains("NET-01"));
    }

    #[test]
    fn a_card_without_the_file_is_named_and_nothing_is_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 4096]).unwrap();
        let error = write(file.path(), &verdict(Code::NoLink), &[], &Facts::default(), NOW).unwrap_err();
        assert!(error.to_string().contains("no FAT32"), "{error}");
        assert_eq!(std::fs::read(file.path()).unwrap(), vec![7; 4096]);
    }
}
