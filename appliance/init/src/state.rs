//! State storage: the partition that keeps what the box is. Checked, made where the image says it is new, or done
//! without.
//!
//! A partition is formatted only where the image's mark of a new card stands and no state file system is there. In every
//! other case that is not plainly good the box comes up with state in memory and says so: what lies on the partition is
//! for a person to look at.
//!
//! Making the file system survives a power cut at any point: it gets its label only when all else is on the card, and
//! the mark is cleared only when the machine id is on it too. Before the label it is made anew, after it it is kept; and
//! an id that is missing where no mark stands has been lost, not forgotten.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use crate::disk::Disk;
use crate::error::Error;
use crate::log::Log;
use crate::mark::{self, Mark};
use crate::program::Programs;
use crate::random;
use crate::superblock::{self, Content, STATE_LABEL};

/// The options of the file system, all of them named: defaults change with the version of the program.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// What the partition is to this boot.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the last boot left it.
    Kept {
        /// Whether the check found damage and repaired it.
        repaired: bool,
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

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept { repaired: false, .. } => out.write_str("kept"),
            Self::Kept { repaired: true, .. } => out.write_str("kept, after a repair"),
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
    match (content, mark) {
        (Content::State, mark) => Decision::Use { mark_stands: mark == Ok(Mark::New) },
        (_, Ok(Mark::New)) => Decision::Format,
        (other, mark) => {
            let found = match other {
                Content::OtherLabel(label) => format!("a file system labelled '{label}'"),
                _ => "no file system".to_owned(),
            };
            let why = match mark {
                Ok(Mark::Clear) => "and it has been in use".to_owned(),
                Err(error) => format!("and its mark could not be read ({error})"),
                _ => "and its mark is not the image's".to_owned(),
            };
            Decision::LeaveAlone(format!(
                "the state partition holds {found}, {why}: it may hold data and is left alone; write the image anew"
            ))
        }
    }
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
    let content = content(device).map_err(|error| {
        format!(
            "could not read the state partition {}: {error}; the card is worn out, replace it",
            device.display()
        )
    })?;
    let marks = disk.marks.as_deref();
    let mark = match marks {
        Some(marks) => mark::read(marks).map_err(|error| error.to_string()),
        None => Err("its partition is missing".to_owned()),
    };
    let programs = Programs::under(root);
    let outcome = match decide(&content, mark) {
        Decision::LeaveAlone(reason) => return Err(reason),
        Decision::Use { mark_stands } => {
            Outcome::Kept { repaired: check(&programs, device, log)?, mark_stands }
        }
        Decision::Format => {
            log.info("the card is new: formatting the state partition");
            format(&programs, device, log)?;
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

/// Clears a standing mark, once everything that a first boot makes is on the card.
///
/// A mark that cannot be cleared harms nothing as long as the label stands, so it is told and no more.
pub fn settle(outcome: &Outcome, disk: &Disk, log: &mut Log) {
    let stands = matches!(outcome, Outcome::New | Outcome::Kept { mark_stands: true, .. });
    if let (true, Some(marks)) = (stands, disk.marks.as_deref()) {
        match mark::clear(marks) {
            Ok(()) => log.info("the mark of a new card is cleared"),
            Err(error) => {
                let marks = marks.display();
                log.warn(&format!(
                    "could not clear the mark of a new card on {marks}: {error}; replace the card"
                ));
            }
        }
    }
}

fn content(device: &Path) -> io::Result<Content> {
    let mut bytes = [0; superblock::LENGTH];
    File::open(device)?.read_exact(&mut bytes)?;
    Ok(superblock::probe(&bytes))
}

fn format(programs: &Programs<'_>, device: &Path, log: &mut Log) -> Result<(), String> {
    let path = device.display().to_string();
    let failed =
        |what: String| format!("could not format the state partition {path}: {what}; replace the card");
    // The program would poll for random numbers where a board has none yet, and in the end make do with poor ones.
    random::sixteen_bytes(log);
    // 8 KiB an inode: containers' layers have many small files.
    #[rustfmt::skip]
    let make = [
        "-F", "-q", "-t", "ext4", "-O", FEATURES, "-b", "4096", "-I", "256", "-i", "8192", "-m", "1", "-J", "size=16",
        "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-L", "", &path,
    ];
    run(programs, "mke2fs", &make, log).map_err(failed)?;
    sync(device).map_err(|error| failed(error.to_string()))?;
    run(programs, "tune2fs", &["-L", STATE_LABEL, &path], log).map_err(failed)?;
    sync(device).map_err(|error| failed(error.to_string()))?;
    match content(device) {
        Ok(Content::State) => Ok(()),
        Ok(other) => Err(failed(format!("afterwards it holds {other:?}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn run(programs: &Programs<'_>, name: &str, arguments: &[&str], log: &mut Log) -> Result<(), String> {
    match programs.run(name, arguments, log) {
        Ok(0) => Ok(()),
        Ok(status) => Err(format!("{name} ended with status {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn sync(device: &Path) -> io::Result<()> {
    File::options().write(true).open(device)?.sync_all()
}

/// What a run of e2fsck means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing to do, the journal aside.
    Clean,
    /// Damage was found and repaired.
    Repaired,
    /// Damage is left.
    Damaged,
    /// The program did not get to look.
    NotChecked,
}

/// Exit status of e2fsck: a sum of 1 repaired, 2 repaired and restart asked (for a mounted file system, which ours is
/// not), 4 damage left, and above that trouble of the program itself.
fn verdict(status: i32) -> Verdict {
    match status {
        0 => Verdict::Clean,
        1..=3 => Verdict::Repaired,
        4..=7 => Verdict::Damaged,
        _ => Verdict::NotChecked,
    }
}

/// Checks the file system, and repairs it: first what is safe, then, as no one is there to be asked, everything. Gives
/// whether damage was repaired.
fn check(programs: &Programs<'_>, device: &Path, log: &mut Log) -> Result<bool, String> {
    let path = device.display().to_string();
    let mut fsck = |how: &str| match programs.run("e2fsck", &[how, &path], log) {
        Ok(status) => verdict(status),
        Err(error) => {
            log.warn(&format!("could not check {path}: {error}"));
            Verdict::NotChecked
        }
    };
    match fsck("-p") {
        Verdict::Clean => Ok(false),
        Verdict::Repaired => Ok(true),
        // The kernel still refuses what it cannot mount safely, and replays the journal.
        Verdict::NotChecked => Ok(false),
        Verdict::Damaged => match fsck("-y") {
            Verdict::Clean | Verdict::Repaired => Ok(true),
            Verdict::Damaged | Verdict::NotChecked => {
                Err(format!("the state file system on {path} is damaged beyond repair; replace the card"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_contents() -> [Content; 3] {
        [Content::State, Content::OtherLabel("data".to_owned()), Content::NoFileSystem]
    }

    #[test]
    fn only_a_standing_mark_without_a_state_file_system_leads_to_a_format() {
        for content in all_contents() {
            for mark in [Ok(Mark::New), Ok(Mark::Clear), Ok(Mark::Unknown), Err("worn".to_owned())] {
                let allowed = mark == Ok(Mark::New) && content != Content::State;
                let decision = decide(&content, mark.clone());
                assert_eq!(decision == Decision::Format, allowed, "{content:?} {mark:?}");
            }
        }
    }

    #[test]
    fn a_state_file_system_is_used_whatever_the_mark() {
        assert_eq!(decide(&Content::State, Ok(Mark::New)), Decision::Use { mark_stands: true });
        for mark in [Ok(Mark::Clear), Ok(Mark::Unknown), Err("worn".to_owned())] {
            assert_eq!(decide(&Content::State, mark), Decision::Use { mark_stands: false });
        }
    }

    #[test]
    fn what_is_left_alone_is_said_with_the_reason_and_the_remedy() {
        let Decision::LeaveAlone(reason) =
            decide(&Content::OtherLabel("holiday".to_owned()), Ok(Mark::Clear))
        else {
            panic!("a foreign file system is left alone");
        };
        assert!(
            reason.contains("'holiday'") && reason.contains("in use") && reason.contains("anew"),
            "{reason}"
        );
        let Decision::LeaveAlone(reason) = decide(&Content::NoFileSystem, Err("worn".to_owned())) else {
            panic!("a mark that cannot be read is no permission");
        };
        assert!(reason.contains("(worn)"), "{reason}");
    }

    #[test]
    fn the_checks_status_is_read_as_the_sum_that_it_is() {
        assert_eq!(verdict(0), Verdict::Clean);
        for repaired in 1..=3 {
            assert_eq!(verdict(repaired), Verdict::Repaired);
        }
        for damaged in 4..=7 {
            assert_eq!(verdict(damaged), Verdict::Damaged);
        }
        for not_checked in [8, 12, 16, 32, 127, 128, -1] {
            assert_eq!(verdict(not_checked), Verdict::NotChecked);
        }
    }

    #[test]
    fn a_partition_that_is_shorter_than_a_super_block_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("vda10");
        std::fs::write(&device, [0; 1024]).unwrap();
        assert!(content(&device).is_err());
        std::fs::write(&device, superblock::tests::labelled(b"stayput-state")).unwrap();
        assert_eq!(content(&device).unwrap(), Content::State);
    }

    #[test]
    fn a_card_without_the_partition_says_which_card_is_needed() {
        let disk = Disk {
            name: "vda".to_owned(),
            id: crate::cmdline::DiskId(1),
            others: 0,
            root: "/dev/vda7".into(),
            state: None,
            marks: None,
        };
        let root = tempfile::tempdir().unwrap();
        let reason = on_the_card(&disk, root.path(), root.path(), &mut Log::open()).unwrap_err();
        assert!(reason.contains("2 GB"), "{reason}");
    }
}
