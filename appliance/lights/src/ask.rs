//! Lights that someone asks for: a file with a request's name in `/run/stayput/ask`, taken by removing it.
//!
//! Every part may leave one there (the folder is the group's), and on a box with keys the hat asks directly. The file's
//! content means nothing, so there is nothing in it to be wrong.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use stayput_health::Moment;
use stayput_status::Asked;

use stayput_health::{Changed, Watch};

/// Where requests are left on the box.
pub const DIRECTORY: &str = "/run/stayput/ask";

/// What can be asked for, and the file's name.
pub const REQUESTS: [(&str, Asked); 2] = [("locate", Asked::Locate), ("lamp-test", Asked::LampTest)];

/// How long a light that was asked for is shown.
pub fn lasts(asked: Asked) -> Duration {
    match asked {
        // As the table's sentence says.
        Asked::LampTest => Duration::from_secs(2),
        // Long enough to walk along a shelf.
        Asked::Locate => Duration::from_secs(60),
    }
}

/// Requests, and the one that is being answered.
#[derive(Debug)]
pub struct Desk {
    directory: PathBuf,
    watch: Watch,
    current: Option<(Asked, u64)>,
    looked: bool,
}

impl Desk {
    /// Requests that are left in `directory`.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let watch = Watch::on(&directory);
        Self { directory, watch, current: None, looked: false }
    }

    /// Readable when something may have been asked.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.watch.bell()
    }

    /// Someone asks, now.
    pub fn ask(&mut self, asked: Asked, now: Moment) {
        let length = u64::try_from(lasts(asked).as_millis()).unwrap_or(u64::MAX);
        self.current = Some((asked, now.boot_ms.saturating_add(length)));
    }

    /// Takes what was left since the last look.
    pub fn look(&mut self, now: Moment) {
        let changed = self.watch.changed(&self.directory);
        if self.looked && matches!(&changed, Changed::These(names) if names.is_empty()) {
            return;
        }
        self.looked = true;
        for (name, asked) in REQUESTS {
            // A folder of that name, or a missing right, is no request.
            if let Ok(()) = fs::remove_file(self.directory.join(name)) {
                self.ask(asked, now);
            }
        }
    }

    /// What is being asked for, and until when.
    pub fn asked(&mut self, now: Moment) -> Option<(Asked, u64)> {
        self.current = self.current.filter(|(_, until)| now.boot_ms < *until);
        self.current
    }
}

/// Leaves a request.
pub fn leave(name: &str) -> Result<(), String> {
    if !REQUESTS.iter().any(|(known, _)| *known == name) {
        let known = REQUESTS.map(|(known, _)| known).join(", ");
        return Err(format!("there is no request '{name}'; there are: {known}"));
    }
    let path = PathBuf::from(DIRECTORY).join(name);
    let left = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&path);
    left.map(drop).map_err(|error: io::Error| format!("could not leave '{}': {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_ms: u64) -> Moment {
        Moment { unix: 0, boot_ms }
    }

    #[test]
    fn a_request_is_taken_once_and_ends_by_itself() {
        let directory = tempfile::tempdir().unwrap();
        let mut desk = Desk::in_directory(directory.path());
        desk.look(at(0));
        assert_eq!(desk.asked(at(0)), None);
        fs::write(directory.path().join("locate"), "whatever").unwrap();
        desk.look(at(1_000));
        assert_eq!(desk.asked(at(1_000)), Some((Asked::Locate, 61_000)));
        assert!(!directory.path().join("locate").exists());
        desk.look(at(60_999));
        assert!(desk.asked(at(60_999)).is_some());
        assert_eq!(desk.asked(at(61_000)), None);
    }

    #[test]
    fn a_request_left_before_anyone_looked_is_found() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("lamp-test"), "").unwrap();
        let mut desk = Desk::in_directory(directory.path());
        desk.look(at(5));
        assert_eq!(desk.asked(at(5)), Some((Asked::LampTest, 2_005)));
    }

    #[test]
    fn what_is_no_request_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut desk = Desk::in_directory(directory.path());
        fs::write(directory.path().join("locate2"), "").unwrap();
        fs::create_dir(directory.path().join("locate")).unwrap();
        desk.look(at(0));
        assert_eq!(desk.asked(at(0)), None);
        assert!(leave("nonsense").unwrap_err().contains("locate, lamp-test"));
    }
}
