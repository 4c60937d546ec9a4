//! State storage: the partition that keeps what the box is. Checked, made where the image says it is new, or done
//! without.
//!
//! A partition is formatted only where the image's mark of a new card stands and nothing that may hold data is
//! recognised on it. In every other case that is not plainly good the box comes up with state in memory and says so: what
//! lies on the partition is for a person to look at.
//!
//! Making the file system survives a power cut at any point: it gets its own label only when all else is on the card, and
//! the mark is cleared only when the machine id is on it too. Before the label it is made anew, after it it is kept; and
//! an id that is missing where no mark stands has been lost, not forgotten.

use std::fmt;
use std::path::Path;

use rustix::mount::{MountFlags, mount};
use stayput_health::marks::Mark;

use crate::check::{Check, check};
use crate::content::{self, Content};
use crate::disk::Disk;
use crate::error::Error;
use crate::format;
use crate::log::Log;
use crate::machine_id::Origin;
use crate::mark;
use crate::program::Programs;
use crate::superblock::MAKING_LABEL;

/// What the partition is to this boot.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the last boot left it.
    Kept {
        /// How its check came out.
        check: Check,
        /// Whether the mark still stands: an earlier image made it, or the boot that made it was cut off.
        mark_stands: bool,
    },
    /// Made just now.
    New,
    /// Not usable; state is in memory.
    Volatile {
        /// Why, with the remedy.
        reason: String,
    },
}

impl Outcome {
    /// Whether nobody needs to look.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::New | Self::Kept { check: Check::Clean, .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept { check: Check::Clean, .. } => out.write_str("kept"),
            Self::Kept { check: Check::Repaired, .. } => out.write_str("kept, after a repair"),
            Self::Kept { check: Check::NotMade { reason }, .. } => {
                write!(out, "kept, NOT CHECKED: {reason}; if this comes again, replace the card")
            }
            Self::New => out.write_str("new: the partition has been formatted"),
            Self::Volatile { reason } => write!(out, "VOLATILE: {reason}"),
        }
    }
}

/// What is to be done with the partition.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Use it.
    Use { mark_stands: bool },
    /// Format it.
    Format,
    /// Leave it alone.
    LeaveAlone(String),
}

/// The whole rule of formatting.
fn decide(content: &Content, mark: Result<Mark, String>) -> Decision {
    let found = match (content, &mark) {
        (Content::State, _) => return Decision::Use { mark_stands: mark == Ok(Mark::New) },
        (Content::Making | Content::Nothing, Ok(Mark::New)) => return Decision::Format,
        (Content::Making, _) => format!("an unfinished file system labelled '{MAKING_LABEL}'"),
        (Content::Nothing, _) => "no file system".to_owned(),
        (Content::Foreign(what), _) => what.clone(),
        (Content::Beheaded { label, .. }, _) => {
            format!("an ext file system labelled '{label}' whose first super block is gone")
        }
    };
    let why = match mark {
        Ok(Mark::New) => "though the card is new".to_owned(),
        Ok(Mark::Clear) => "and it has been in use".to_owned(),
        Ok(Mark::Unknown) => "and its mark is not the image's".to_owned(),
        Err(error) => format!("and its mark could not be read ({error})"),
    };
    let remedy = match content {
        Content::Beheaded { block, copy, .. } => {
            format!("e2fsck -B {block} -b {copy} on a PC brings it back; if it is not needed, ")
        }
        Content::Foreign(_) => "save what is needed; then ".to_owned(),
        _ => String::new(),
    };
    // The image ends before this partition: writing it again leaves what is here as it is.
    let anew = match content {
        Content::Beheaded { .. } | Content::Foreign(_) => {
            "fill the whole card with zeros and write the image anew"
        }
        _ => "write the image anew",
    };
    Decision::LeaveAlone(format!(
        "the state partition holds {found}, {why}: it may hold data and is left alone; {remedy}{anew}"
    ))
}

/// Prepares `<root>/state`. Fails only where nothing at all can be mounted there.
pub fn prepare(disk: &Disk, root: &Path, log: &mut Log) -> Result<Outcome, Error> {
    let at = root.join("state");
    let outcome = on_the_card(disk, root, &at, log).unwrap_or_else(|reason| Outcome::Volatile { reason });
    if matches!(outcome, Outcome::Volatile { .. }) {
        // Small: the box must not fill its memory with logs that it cannot keep anyway.
        mount("tmpfs", &at, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755,size=25%").map_err(
            |source| Error::Prepare { action: "mount memory on", path: at.clone(), source: source.into() },
        )?;
    }
    Ok(outcome)
}

fn on_the_card(disk: &Disk, root: &Path, at: &Path, log: &mut Log) -> Result<Outcome, String> {
    let device = disk.state.as_deref().ok_or(
        "there is no state partition: the card is smaller than the image's table says; use a card of 2 GB or more",
    )?;
    let content = content::look(device).map_err(|error| {
        format!(
            "could not read the state partition {}: {error}; the card is worn out, replace it",
            device.display()
        )
    })?;
    let marks = disk.marks.as_deref();
    let mark = match marks {
        Some(marks) => mark::read(marks, disk.marks_at).map_err(|error| error.to_string()),
        None => Err("its partition is missing".to_owned()),
    };
    let programs = Programs::under(root);
    let outcome = match decide(&content, mark) {
        Decision::LeaveAlone(reason) => return Err(reason),
        Decision::Use { mark_stands } => {
            let check = check(&programs, &device.display().to_string(), log)?;
            if mark_stands {
                format::finish(&programs, device, log)?;
            }
            Outcome::Kept { check, mark_stands }
        }
        Decision::Format => {
            log.info("the card is new: formatting the state partition");
            format::format(&programs, device, log)?;
            Outcome::New
        }
    };
    // No `noexec`: the engine keeps its containers here. Layers are mounted anew by it, so `nosuid` does not reach them.
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    mount(device, at, "ext4", flags, c"errors=remount-ro").map_err(|error| {
        format!("could not mount the state partition {}: {error}; replace the card", device.display())
    })?;
    Ok(outcome)
}

/// Clears a standing mark, once everything that a first boot makes is on the card. An id that is good for this boot only
/// is not: the next boot goes on with the first one's work, and what is missing then has not been lost.
///
/// A mark that cannot be cleared harms nothing as long as the label stands, so it is told and no more.
pub fn settle(outcome: &Outcome, origin: Origin, disk: &Disk, log: &mut Log) {
    let stands = matches!(outcome, Outcome::New | Outcome::Kept { mark_stands: true, .. });
    let (true, Some(marks)) = (stands, disk.marks.as_deref()) else { return };
    if !origin.is_kept() {
        log.warn("the mark of a new card stays: the machine id is not on the card");
        return;
    }
    match mark::clear(marks, disk.marks_at) {
        Ok(()) => log.info("the mark of a new card is cleared"),
        Err(error) => {
            let marks = marks.display();
            log.warn(&format!(
                "could not clear the mark of a new card on {marks}: {error}; replace the card"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tests::{partition, put, put_superblock};
    use crate::superblock::{self, STATE_LABEL};

    fn marks() -> [Result<Mark, String>; 4] {
        [Ok(Mark::New), Ok(Mark::Clear), Ok(Mark::Unknown), Err("worn".to_owned())]
    }

    fn beheaded() -> Content {
        Content::Beheaded { label: STATE_LABEL.to_owned(), block: 4096, copy: 32768 }
    }

    #[test]
    fn only_a_standing_mark_where_nothing_is_recognised_leads_to_a_format() {
        let foreign = Content::Foreign("an XFS file system".to_owned());
        for content in [Content::State, Content::Making, foreign, beheaded(), Content::Nothing] {
            for mark in marks() {
                let empty = matches!(content, Content::Making | Content::Nothing);
                let allowed = mark == Ok(Mark::New) && empty;
                let decision = decide(&content, mark.clone());
                assert_eq!(decision == Decision::Format, allowed, "{content:?} {mark:?}");
            }
        }
    }

    #[test]
    fn a_state_file_system_is_used_whatever_the_mark() {
        for mark in marks() {
            let mark_stands = mark == Ok(Mark::New);
            assert_eq!(decide(&Content::State, mark), Decision::Use { mark_stands });
        }
    }

    #[test]
    fn what_is_left_alone_is_said_with_the_reason_and_the_remedy() {
        let foreign = Content::Foreign("an ext file system labelled 'holiday'".to_owned());
        let rows = [
            (foreign, Ok(Mark::New), &["'holiday'", "though the card is new", "save what", "with zeros"][..]),
            (beheaded(), Ok(Mark::New), &["'stayput-state'", "e2fsck -B 4096 -b 32768", "with zeros"]),
            (Content::Nothing, Ok(Mark::Clear), &["no file system", "in use", "; write the image anew"]),
            (Content::Nothing, Err("worn".to_owned()), &["(worn)", "left alone"]),
            (Content::Making, Ok(Mark::Unknown), &["unfinished", "not the image's"]),
        ];
        for (content, mark, parts) in rows {
            let Decision::LeaveAlone(reason) = decide(&content, mark) else { panic!("{content:?}") };
            for part in parts {
                assert!(reason.contains(part), "{part}: {reason}");
            }
        }
    }

    #[test]
    fn a_check_that_was_not_made_and_a_repair_are_worth_a_warning() {
        let kept = |check| Outcome::Kept { check, mark_stands: false };
        assert!(kept(Check::Clean).is_good() && Outcome::New.is_good());
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
            root: "/dev/vda7".into(),
            state: state.map(Path::to_owned),
            marks: Some(marks),
            marks_at: mark::tests::AT,
        };
        (directory, disk)
    }

    /// How preparing ends on a root without any program: it gets as far as the first one it needs.
    fn ends_with(disk: &Disk) -> String {
        let root = tempfile::tempdir().unwrap();
        on_the_card(disk, root.path(), root.path(), &mut Log::open()).unwrap_err()
    }

    #[test]
    fn a_card_without_the_partition_says_which_card_is_needed() {
        let (_directory, disk) = new_card(None);
        let reason = ends_with(&disk);
        assert!(reason.contains("2 GB"), "{reason}");
    }

    #[test]
    fn a_used_card_is_formatted_and_one_with_a_file_system_is_not_touched() {
        let (_partition, device) = partition();
        let (_directory, disk) = new_card(Some(&device));
        put(&device, 0, &[0x5a; 1 << 16]);
        let reason = ends_with(&disk);
        assert!(reason.contains("could not format") && reason.contains("mke2fs"), "{reason}");
        put_superblock(&device, 2, STATE_LABEL);
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
        let unfinished = || Outcome::Kept { check: Check::Clean, mark_stands: true };
        for outcome in [Outcome::New, unfinished()] {
            let (_directory, disk) = new_card(None);
            let mark = || mark::read(disk.marks.as_deref().unwrap(), disk.marks_at).unwrap();
            settle(&outcome, Origin::ThisBoot, &disk, &mut Log::open());
            assert_eq!(mark(), Mark::New, "{outcome:?}");
            settle(&Outcome::Volatile { reason: String::new() }, Origin::New, &disk, &mut Log::open());
            assert_eq!(mark(), Mark::New);
            settle(&outcome, Origin::New, &disk, &mut Log::open());
            assert_eq!(mark(), Mark::Clear, "{outcome:?}");
        }
    }
}
