//! Whether the network is there, for a part that waits to call the region: what failed for want of a way is tried at once when
//! the way is back, and not after the long wait that many failures have earned it.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::{Moment, Part, Reading, State, read_in};

/// How often a part looks whose way is missing.
const LOOK: Duration = Duration::from_secs(2);

/// The way to the region, as the part `network` has it.
#[derive(Debug)]
pub struct Way {
    directory: PathBuf,
    was_missing: bool,
}

impl Default for Way {
    fn default() -> Self {
        Self::in_directory(crate::DIRECTORY)
    }
}

impl Way {
    /// As the health files in `directory` have it.
    pub fn in_directory(directory: impl AsRef<Path>) -> Self {
        Self { directory: directory.as_ref().to_owned(), was_missing: false }
    }

    /// Waits; the return of the network ends it early, which is the answer. Where nothing failed on the way (`is_hindered`), it
    /// looks at the end only.
    pub fn wait(&mut self, longest: Duration, is_hindered: bool) -> bool {
        let until = now().saturating_add(longest);
        let look = if is_hindered { LOOK } else { longest };
        loop {
            let left = until.saturating_sub(now());
            sleep(left.min(look));
            if self.has_come_back(Moment::now()) {
                return true;
            }
            if left <= look {
                return false;
            }
        }
    }

    /// Whether the network is there, and was not at the look before.
    fn has_come_back(&mut self, now: Moment) -> bool {
        let is_there = match read_in(&self.directory, Part::Network, now) {
            Reading::Fresh(report) => report.state == State::Running,
            // Nobody says that it is missing.
            Reading::Stale { .. } | Reading::Absent | Reading::Unreadable(_) => !self.was_missing,
        };
        std::mem::replace(&mut self.was_missing, !is_there) && is_there
    }
}

fn now() -> Duration {
    Duration::from_millis(Moment::now().boot_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Writer};

    const NOW: Moment = Moment { unix: 1_795_190_136, boot_ms: 100_000 };

    /// What comes of each word of the part `network`, one after the other; `None` is a part that says nothing.
    fn heard(words: &[Option<State>]) -> Vec<bool> {
        let folder = tempfile::tempdir().unwrap();
        let mut way = Way::in_directory(folder.path());
        let mut look = |word: &Option<State>| {
            let mut network = Writer::in_directory(Part::Network, folder.path());
            match word {
                Some(state) => drop(network.write(*state, Code::NoLink, NOW).unwrap()),
                None => drop(std::fs::remove_file(network.path())),
            }
            way.has_come_back(NOW)
        };
        words.iter().map(&mut look).collect()
    }

    #[test]
    fn only_a_network_that_was_said_to_be_missing_comes_back() {
        let (there, gone) = (Some(State::Running), Some(State::Failed));
        assert_eq!(heard(&[there, there]), [false, false]);
        assert_eq!(heard(&[gone, gone, there, there, gone, there]), [false, false, true, false, false, true]);
        assert_eq!(heard(&[Some(State::Starting), there]), [false, true]);
    }

    #[test]
    fn a_part_that_says_nothing_brings_no_network_back() {
        let (there, gone) = (Some(State::Running), Some(State::Failed));
        assert_eq!(heard(&[None, None, there]), [false, false, false]);
        assert_eq!(heard(&[gone, None, there]), [false, false, true]);
    }

    #[test]
    fn a_wait_ends_with_the_return_of_the_network_and_otherwise_with_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut network = Writer::in_directory(Part::Network, folder.path());
        network.write(State::Failed, Code::NoLink, Moment::now()).unwrap();
        let mut way = Way::in_directory(folder.path());
        assert!(!way.wait(Duration::from_millis(10), true));
        network.write(State::Running, Code::Running, Moment::now()).unwrap();
        let began = now();
        assert!(way.wait(Duration::from_secs(600), true));
        assert!(now() - began < Duration::from_secs(60));
    }
}
