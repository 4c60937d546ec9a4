//! The two partitions that are made on the box and then kept for good. What they have in common is done once, here; what
//! differs is in one table.
//!
//! A partition is formatted only where the image's mark of a new card stands and nothing that may hold data is
//! recognised on it. In every other case that is not plainly good the box comes up without it and says so: what lies on
//! it is for a person to look at.
//!
//! Making the file system survives a power cut at any point: it gets its own label only when all else is on the card, and
//! the mark is cleared only when everything that belongs on it first is there too. Before the label it is made anew,
//! after it it is kept.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::path::Path;

use rustix::mount::{MountFlags, mount};
use stayput_health::marks::{Mark, Marked};

use crate::check::{Check, check, restore};
use crate::content::{self, Content};
use crate::format;
use crate::log::Log;
use crate::mark::Marks;
use crate::program::Programs;
use crate::requests;
use crate::superblock::MAKING_LABEL;

/// What is particular to one of them.
#[derive(Debug)]
pub struct Store {
    /// Its name in the layout and in messages.
    pub name: &'static str,
    /// Its mark of a new card.
    pub marked: Marked,
    /// The label of its file system.
    pub label: &'static str,
    /// What mke2fs is told beyond what both share.
    pub making: &'static [&'static str],
    /// How it is mounted.
    pub flags: MountFlags,
}

/// What the box is. 8 KiB an inode, because containers' layers have many small files; no `noexec`, because the engine
/// starts programs there. Layers are mounted anew by it, so `nosuid` does not reach them.
pub const STATE: Store = Store {
    name: "state",
    marked: Marked::State,
    label: "stayput-state",
    making: &["-i", "8192", "-J", "size=16", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
    flags: MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOATIME),
};

/// The files. 32 KiB an inode: two million files on 64 GB. Its tables of inodes are left for the kernel to clear once the
/// box is up, a gigabyte of zeros on a large card; what is in use of them is told by checksums until then.
pub const DATA: Store = Store {
    name: "data",
    marked: Marked::Data,
    label: "stayput-data",
    making: &["-i", "32768", "-J", "size=32", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=0"],
    flags: STATE.flags.union(MountFlags::NOEXEC),
};

/// After an error in its own structures a file system takes no more writes: going on would spread the damage, and a panic
/// would keep the box from ever saying what is wrong. The next start checks it.
const OPTIONS: &CStr = c"errors=remount-ro";

/// For what is only looked at: nothing is replayed, so nothing is written.
const LOOKING: &CStr = c"noload";

/// The least growth that is worth it: the table grows by whole MiB, and mke2fs leaves up to a block group unused.
const WORTH: u64 = 16 << 20;

/// Where a store is in this boot.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its device, when there is one.
    pub device: Option<&'a Path>,
    /// The marks of a new card.
    pub marks: Marks<'a>,
    /// Where it is mounted.
    pub at: &'a Path,
}

/// What a partition that is in use now was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As the last boot left it.
    Kept {
        /// How its check came out.
        check: Check,
        /// Whether the mark still stands: an earlier image made it, or the boot that made it was cut off.
        mark_stands: bool,
    },
    /// Nothing: made just now.
    New,
}

impl Found {
    /// Whether nobody needs to look.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::New | Self::Kept { check: Check::Clean, .. })
    }

    /// Whether the mark is still to be cleared.
    pub fn mark_stands(&self) -> bool {
        matches!(self, Self::New | Self::Kept { mark_stands: true, .. })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept { check: Check::Clean, .. } => out.write_str("kept"),
            Self::Kept { check: Check::Repaired, .. } => out.write_str("kept, after a repair"),
            Self::Kept { check: Check::NotMade { reason }, .. } => {
                write!(out, "kept, NOT CHECKED: {reason}; if this comes again, replace the card")
            }
            Self::New => out.write_str("new: the partition has been formatted"),
        }
    }
}

/// Why a partition cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is not there.
    Missing,
    /// It holds something else, or nothing where there was something.
    Foreign,
    /// A program is still at work on it.
    Unfinished,
    /// It, or the card, is damaged.
    Broken,
}

/// A partition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// What kind of trouble it is.
    pub why: Why,
    /// All of it, with the remedy.
    pub reason: String,
}

impl Unusable {
    /// Damage.
    pub fn broken(reason: String) -> Self {
        Self { why: Why::Broken, reason }
    }
}

/// What is to be done with a partition.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Use it.
    Use,
    /// Bring back its first super block from the copy at this size of block and in this one, and use it.
    Restore(u64, u64),
    /// Format it.
    Format,
    /// Leave it alone.
    LeaveAlone(String),
}

/// The whole rule of formatting.
fn decide(store: &Store, content: &Content, mark: Result<Mark, String>) -> Decision {
    let found = match (content, &mark) {
        (Content::Ours, _) => return Decision::Use,
        (Content::Beheaded { label, block, copy, whole: true }, _) if label == store.label => {
            return Decision::Restore(*block, *copy);
        }
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
    let name = store.name;
    Decision::LeaveAlone(format!(
        "the {name} partition holds {found}, {why}: it may hold data and is left alone; {remedy}{anew}"
    ))
}

/// Checks, restores or makes the file system and mounts it. `may_format` is false where something else on the card
/// speaks against it already.
pub fn prepare(
    store: &Store,
    place: &Place<'_>,
    may_format: bool,
    programs: &Programs<'_>,
    log: &mut Log,
) -> Result<Found, Unusable> {
    let name = store.name;
    let device = place.device.ok_or_else(|| Unusable {
        why: Why::Missing,
        reason: format!(
            "there is no {name} partition: the card is smaller than the image's table says; use a card of 2 GB or more"
        ),
    })?;
    let shown = device.display().to_string();
    let unreadable = |error: std::io::Error| {
        Unusable::broken(format!(
            "could not read the {name} partition {shown}: {error}; the card is worn out, replace it"
        ))
    };
    let content = content::look(device, store.label).map_err(unreadable)?;
    let mark = place.marks.read(store.marked).map_err(|error| error.to_string());
    let mark_stands = mark == Ok(Mark::New);
    let found = match decide(store, &content, mark) {
        Decision::LeaveAlone(reason) => return Err(Unusable { why: Why::Foreign, reason }),
        Decision::Format if !may_format => {
            return Err(Unusable::broken(format!(
                "the {name} partition {shown} is not made on a card like this"
            )));
        }
        Decision::Format => {
            log.info(&format!("the card is new: formatting the {name} partition"));
            format::format(store, programs, device, log)?;
            Found::New
        }
        Decision::Restore(block, copy) => {
            log.warn(&format!(
                "the first super block of the {name} partition is gone: taking the copy in block {copy}"
            ));
            restore(programs, &shown, (block, copy), log)?;
            Found::Kept { check: Check::Repaired, mark_stands }
        }
        Decision::Use => {
            fits(store, device, content::sizes(device).map_err(unreadable)?)?;
            let check = check(programs, &shown, log)?;
            if mark_stands {
                format::finish(store, programs, device, log)?;
            }
            Found::Kept { check, mark_stands }
        }
    };
    mount(device, place.at, "ext4", store.flags, OPTIONS).map_err(|error| {
        Unusable::broken(format!("could not mount the {name} partition {shown}: {error}; replace the card"))
    })?;
    Ok(found)
}

/// A file system that reaches beyond its partition is whole behind a table that is not: nothing may touch it.
fn fits(store: &Store, device: &Path, (partition, system): (u64, Option<u64>)) -> Result<(), Unusable> {
    match system {
        Some(system) if system > partition => Err(Unusable::broken(format!(
            "the file system on the {} partition {} has {system} bytes and the partition {partition}: the partition \
             table does not reach to its end; write the image anew, on this card or a copy of all of it",
            store.name,
            device.display()
        ))),
        _ => Ok(()),
    }
}

/// Mounts what cannot be used so that it can at least be read, if it is of the ext family; nothing is written to it.
pub fn show(store: &Store, place: &Place<'_>) -> bool {
    let Some(device) = place.device else { return false };
    // Mounted read-only the kernel would still clear away files that were deleted while open.
    if File::open(device).and_then(|device| requests::make_read_only(&device)).is_err() {
        return false;
    }
    let flags = store.flags.union(MountFlags::NOEXEC).union(MountFlags::RDONLY);
    mount(device, place.at, "ext4", flags, LOOKING).is_ok()
}

/// Grows the mounted file system to the end of its partition; gives its size before and after, when it grew.
pub fn fill(place: &Place<'_>) -> Result<Option<(u64, u64)>, String> {
    let Some(device) = place.device else { return Ok(None) };
    let (partition, system) = content::sizes(device).map_err(|error| error.to_string())?;
    let Some(system) = system.filter(|system| partition.saturating_sub(*system) >= WORTH) else {
        return Ok(None);
    };
    let folder = File::open(place.at).map_err(|error| error.to_string())?;
    requests::resize_ext4(&folder, partition / BLOCK).map_err(|error| error.to_string())?;
    Ok(Some((system, partition)))
}

/// The size of a block: ours are made with it.
const BLOCK: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> [Result<Mark, String>; 4] {
        [Ok(Mark::New), Ok(Mark::Clear), Ok(Mark::Unknown), Err("worn".to_owned())]
    }

    fn beheaded(label: &str) -> Content {
        Content::Beheaded { label: label.to_owned(), block: 4096, copy: 32768, whole: true }
    }

    #[test]
    fn only_a_standing_mark_where_nothing_is_recognised_leads_to_a_format() {
        for store in [&STATE, &DATA] {
            let foreign = Content::Foreign("an XFS file system".to_owned());
            let beheaded = [beheaded(store.label), beheaded("holiday")];
            let all = [Content::Ours, Content::Making, foreign, Content::Nothing].into_iter().chain(beheaded);
            for content in all {
                for mark in marks() {
                    let empty = matches!(content, Content::Making | Content::Nothing);
                    let allowed = mark == Ok(Mark::New) && empty;
                    let decision = decide(store, &content, mark.clone());
                    assert_eq!(decision == Decision::Format, allowed, "{content:?} {mark:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_ours_is_used_whatever_the_mark_and_brought_back_where_its_head_is_gone() {
        for store in [&STATE, &DATA] {
            for mark in marks() {
                assert_eq!(decide(store, &Content::Ours, mark.clone()), Decision::Use);
                let restored = decide(store, &beheaded(store.label), mark);
                assert_eq!(restored, Decision::Restore(4096, 32768));
                let label = store.label.to_owned();
                let remains = Content::Beheaded { label, block: 4096, copy: 32768, whole: false };
                assert!(matches!(decide(store, &remains, Ok(Mark::New)), Decision::LeaveAlone(_)));
            }
        }
    }

    #[test]
    fn the_other_stores_file_system_is_a_strangers() {
        let decision = decide(&DATA, &beheaded(STATE.label), Ok(Mark::New));
        assert!(matches!(decision, Decision::LeaveAlone(_)), "{decision:?}");
        assert_ne!((DATA.label, DATA.marked), (STATE.label, STATE.marked));
    }

    #[test]
    fn what_is_left_alone_is_said_with_the_reason_and_the_remedy() {
        let foreign = Content::Foreign("an ext file system labelled 'holiday'".to_owned());
        let rows = [
            (foreign, Ok(Mark::New), &["'holiday'", "though the card is new", "save what", "with zeros"][..]),
            (beheaded("holiday"), Ok(Mark::New), &["'holiday'", "e2fsck -B 4096 -b 32768", "with zeros"]),
            (Content::Nothing, Ok(Mark::Clear), &["no file system", "in use", "; write the image anew"]),
            (Content::Nothing, Err("worn".to_owned()), &["(worn)", "left alone"]),
            (Content::Making, Ok(Mark::Unknown), &["unfinished", "not the image's"]),
        ];
        for (content, mark, parts) in rows {
            let Decision::LeaveAlone(reason) = decide(&DATA, &content, mark) else { panic!("{content:?}") };
            assert!(reason.starts_with("the data partition holds "), "{reason}");
            for part in parts {
                assert!(reason.contains(part), "{part}: {reason}");
            }
        }
    }

    #[test]
    fn a_file_system_that_reaches_beyond_its_partition_is_not_touched() {
        let device = Path::new("/dev/vda4");
        assert_eq!(fits(&DATA, device, (100, Some(100))), Ok(()));
        assert_eq!(fits(&DATA, device, (100, None)), Ok(()));
        let Unusable { why, reason } = fits(&DATA, device, (100, Some(4096))).unwrap_err();
        assert_eq!(why, Why::Broken);
        assert!(reason.contains("4096 bytes") && reason.contains("write the image anew"), "{reason}");
    }

    #[test]
    fn files_can_be_neither_programs_nor_devices() {
        let all = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
        assert_eq!(DATA.flags, all);
        assert!(!STATE.flags.contains(MountFlags::NOEXEC));
    }
}
