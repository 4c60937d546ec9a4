//! The verdict for others: `/run/stayput/status/verdict.json`, one whole file or the one before.
//!
//! Whoever tells the world about the box (`STATUS.txt`, the report to the region) takes this and no second opinion.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stayput_health::{Code, Moment, Part};
use stayput_status::{Finding, Verdict};

use crate::{Error, Result};

/// The version of the format.
pub const VERSION: u32 = 1;

/// Where it is on the box.
pub const PATH: &str = "/run/stayput/status/verdict.json";

/// The file's contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Always [`VERSION`].
    pub version: u32,
    /// When it was written.
    pub written: Moment,
    /// The state that the lights show.
    pub state: Entry,
    /// Everything else that is not simply well, the worst first.
    pub others: Vec<Entry>,
}

/// One state, and who is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The state.
    pub code: Code,
    /// Which part; none for the box as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Since when.
    pub since: Moment,
    /// A number or a word of the program's own, such as the line with the mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl From<&Finding> for Entry {
    fn from(finding: &Finding) -> Self {
        let Finding { code, part, since, detail } = finding.clone();
        Self { code, part, since, detail }
    }
}

impl From<Entry> for Finding {
    fn from(Entry { code, part, since, detail }: Entry) -> Self {
        Self { code, part, since, detail }
    }
}

impl Document {
    /// The file for `verdict`.
    pub fn of(verdict: &Verdict, now: Moment) -> Self {
        let others = verdict.others.iter().map(Entry::from).collect();
        Self { version: VERSION, written: now, state: (&verdict.state).into(), others }
    }

    /// The verdict in the file.
    pub fn verdict(self) -> Verdict {
        Verdict { state: self.state.into(), others: self.others.into_iter().map(Finding::from).collect() }
    }

    /// Writes it to `path` by a rename. No fsync: `/run` is memory.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = serde_json::to_vec(self).expect("codes, words and numbers are JSON");
        bytes.push(b'\n');
        let fresh = path.with_extension("new");
        fs::write(&fresh, bytes).map_err(Error::io("write", &fresh))?;
        // The umask has taken bits away that its readers need, who are other users.
        let everyone = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&fresh, everyone).map_err(Error::io("open up", &fresh))?;
        fs::rename(&fresh, path).map_err(Error::io("replace", path))
    }

    /// Reads it from `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::io("read", path)(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_back_from_its_file_as_it_went_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("verdict.json");
        let at = |boot_ms| Moment { unix: 1_795_000_000, boot_ms };
        let line = Some("17".to_owned());
        let state = Finding { code: Code::ConfigWrong, part: Some(Part::Setup), since: at(3), detail: line };
        let other = Finding { code: Code::Starting, part: None, since: at(1), detail: None };
        let verdict = Verdict { state, others: vec![other] };
        Document::of(&verdict, at(9)).write(&path).unwrap();
        assert_eq!(Document::read(&path).unwrap().verdict(), verdict);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644, "others read it");
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(r#"{"version":1,"written""#) && text.contains(r#""code":"CFG-02""#),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_verdict_is_an_error_with_the_files_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("verdict.json");
        for bytes in [&b""[..], b"{", b"{}", b"\xff", b"[1]"] {
            fs::write(&path, bytes).unwrap();
            assert!(Document::read(&path).unwrap_err().to_string().contains("verdict.json"));
        }
    }
}
