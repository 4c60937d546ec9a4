//! State storage: the partition that keeps what the box is, or memory in its place.
//!
//! Its mark is cleared only when the machine id is on it: an id that is missing where no mark stands has been lost, not
//! forgotten.

use std::fmt;
use std::path::Path;

use rustix::mount::{MountFlags, mount};
use stayput_health::marks::Marked;

use crate::disk::Disk;
use crate::error::Error;
use crate::log::Log;
use crate::machine_id::Origin;
use crate::program::Programs;
use crate::store::{self, Found, Place, STATE};

/// What state is kept on in this boot.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The card.
    Card(Found),
    /// Memory: the partition is not usable.
    Volatile {
        /// Why, with the remedy.
        reason: String,
    },
}

impl Outcome {
    /// Whether nobody needs to look.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Card(found) if found.is_good())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card(found) => write!(out, "{found}"),
            Self::Volatile { reason } => write!(out, "VOLATILE: {reason}"),
        }
    }
}

/// Prepares `<root>/state`. Fails only where nothing at all can be mounted there.
pub fn prepare(disk: &Disk, root: &Path, programs: &Programs<'_>, log: &mut Log) -> Result<Outcome, Error> {
    let at = root.join("state");
    let place = Place { device: disk.state.as_deref(), marks: disk.marks(), at: &at };
    match store::prepare(&STATE, &place, true, programs, log) {
        Ok(found) => Ok(Outcome::Card(found)),
        Err(unusable) => {
            // Small: the box must not fill its memory with logs that it cannot keep anyway.
            mount("tmpfs", &at, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755,size=25%")
                .map_err(|source| Error::Prepare {
                    action: "mount memory on",
                    path: at.clone(),
                    source: source.into(),
                })?;
            Ok(Outcome::Volatile { reason: unusable.reason })
        }
    }
}

/// Clears a standing mark, once everything that a first boot makes is on the card. An id that is good for this boot only
/// is not: the next boot goes on with the first one's work, and what is missing then has not been lost.
///
/// A mark that cannot be cleared harms nothing as long as the label stands, so it is told and no more.
pub fn settle(outcome: &Outcome, origin: Origin, disk: &Disk, log: &mut Log) {
    if !matches!(outcome, Outcome::Card(found) if found.mark_stands()) || disk.marks.is_none() {
        return;
    }
    if !origin.is_kept() {
        log.warn("the mark of a new card stays: the machine id is not on the card");
        return;
    }
    match disk.marks().clear(Marked::State) {
        Ok(()) => log.info("the mark of a new card is cleared"),
        Err(error) => {
            log.warn(&format!("could not clear the mark of a new card: {error}; replace the card"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use stayput_health::marks::Mark;

    use super::*;
    use crate::check::Check;
    use crate::content::tests::{OURS, partition, put, put_superblock};
    use crate::mark;
    use crate::superblock;

    #[test]
    fn a_check_that_was_not_made_and_a_repair_are_worth_a_warning() {
        let kept = |check| Outcome::Card(Found::Kept { check, mark_stands: false });
        assert!(kept(Check::Clean).is_good() && Outcome::Card(Found::New).is_good());
        let not_made = kept(Check::NotMade { reason: "e2fsck -p ended with 8".to_owned() });
        assert!(not_made.to_string().contains("NOT CHECKED: e2fsck -p ended with 8"), "{not_made}");
        let volatile = Outcome::Volatile { reason: String::new() };
        for bad in [kept(Check::Repaired), not_made, volatile] {
            assert!(!bad.is_good(), "{bad}");
        }
    }

    /// A card, new by its marks, whose state partition is `state`.
    fn new_card(state: Option<&Path>) -> (tempfile::TempDir, Disk) {
        let (directory, marks) = mark::tests::new_card();
        let disk = Disk {
            name: "vda".to_owned(),
            id: crate::cmdline::DiskId(1),
            others: 0,
            device: "/dev/vda".into(),
            root: "/dev/vda7".into(),
            state: state.map(Path::to_owned),
            data: None,
            data_number: 4,
            marks: Some(marks),
            marks_at: mark::tests::AT,
        };
        (directory, disk)
    }

    /// How preparing ends on a root without any program: it gets as far as the first one it needs.
    fn ends_with(disk: &Disk) -> String {
        let root = tempfile::tempdir().unwrap();
        let place = Place { device: disk.state.as_deref(), marks: disk.marks(), at: root.path() };
        let programs = Programs::under(root.path());
        store::prepare(&STATE, &place, true, &programs, &mut Log::open()).unwrap_err().reason
    }

    #[test]
    fn a_card_without_the_partition_says_which_card_is_needed() {
        let (_directory, disk) = new_card(None);
        let reason = ends_with(&disk);
        assert!(reason.contains("2 GB"), "{reason}");
    }

    #[test]
    fn a_used_card_is_formatted_and_one_with_a_file_system_is_not_touched() {
        let (_partition, device): (_, PathBuf) = partition();
        let (_directory, disk) = new_card(Some(&device));
        put(&device, 0, &[0x5a; 1 << 16]);
        let reason = ends_with(&disk);
        assert!(reason.contains("could not format") && reason.contains("mke2fs"), "{reason}");
        put_superblock(&device, 2, OURS);
        let reason = ends_with(&disk);
        assert!(reason.contains("left alone") && reason.contains("e2fsck"), "{reason}");
        put_superblock(&device, 0, "holiday");
        let reason = ends_with(&disk);
        assert!(reason.contains("left alone") && reason.contains("'holiday'"), "{reason}");
        // A head that is damaged, and not blank.
        put(&device, superblock::START, &[0xa5; superblock::LENGTH]);
        let reason = ends_with(&disk);
        assert!(reason.contains("left alone") && reason.contains("e2fsck"), "{reason}");
    }

    #[test]
    fn the_mark_stays_until_the_machine_id_is_on_the_card() {
        let unfinished = || Found::Kept { check: Check::Clean, mark_stands: true };
        for found in [Found::New, unfinished()] {
            let (_directory, disk) = new_card(None);
            let mark = || disk.marks().read(Marked::State).unwrap();
            let outcome = Outcome::Card(found);
            settle(&outcome, Origin::ThisBoot, &disk, &mut Log::open());
            assert_eq!(mark(), Mark::New, "{outcome:?}");
            settle(&Outcome::Volatile { reason: String::new() }, Origin::New, &disk, &mut Log::open());
            assert_eq!(mark(), Mark::New);
            settle(&outcome, Origin::New, &disk, &mut Log::open());
            assert_eq!(mark(), Mark::Clear, "{outcome:?}");
            assert_eq!(disk.marks().read(Marked::Data).unwrap(), Mark::New);
        }
    }
}
