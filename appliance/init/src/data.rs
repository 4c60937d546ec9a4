//! The data partition: the files. Grown to the end of the card and made on a new one; kept on any other.
//!
//! The step of the partition table comes first, while the mark of a new card stands: an image that was written over a
//! used card brings its own small partition along, and only behind the grown one the earlier file system is whole. No file
//! is ever taken on a partition whose mark still stands, so the mark is cleared before systemd starts, and where that
//! fails the files can be read and no more.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use rustix::mount::mount_remount;
use stayput_health::PersistTable;
use stayput_health::marks::{Mark, Marked};

use crate::content;
use crate::disk::Disk;
use crate::growth::{self, Refusal};
use crate::log::Log;
use crate::persist::{self, Placed};
use crate::program::Programs;
use crate::requests;
use crate::sector;
use crate::store::{self, DATA, Found, Place, Unusable, Why};

/// What became of the partition.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In use.
    Ready(Found),
    /// Not to be used, and mounted so that it can be read.
    ReadOnly(Unusable),
    /// Not mounted: the place of the files is a folder of the root file system, where nobody can write.
    Absent(Unusable),
}

/// All that is to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Data {
    /// What became of the partition.
    pub outcome: Outcome,
    /// Why it does not reach to the end of the card, if it should.
    pub not_grown: Option<String>,
    /// The folders on it.
    pub folders: Placed,
}

impl Data {
    /// Whether nobody needs to look.
    pub fn is_good(&self) -> bool {
        matches!(&self.outcome, Outcome::Ready(found) if found.is_good()) && self.not_grown.is_none()
    }
}

impl fmt::Display for Data {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Ready(found) => write!(out, "{found}; {}", self.folders)?,
            Outcome::ReadOnly(unusable) => write!(out, "READ-ONLY: {}", unusable.reason)?,
            Outcome::Absent(unusable) => write!(out, "NOT USABLE: {}", unusable.reason)?,
        }
        match &self.not_grown {
            Some(why) => write!(out, "; NOT GROWN to the end of the card: {why}"),
            None => Ok(()),
        }
    }
}

/// Why the partition was not grown.
#[derive(Debug)]
enum NotGrown {
    /// The table is left as it is; the partition may be used as it stands.
    Refused(Refusal),
    /// The card or the kernel did not do it: nothing new is begun on such a card.
    Failed(io::Error),
}

/// Prepares `<root>/data`.
pub fn prepare(
    disk: &Disk,
    root: &Path,
    table: Option<&PersistTable>,
    programs: &Programs<'_>,
    log: &mut Log,
) -> Data {
    let at = root.join("data");
    let place = Place { device: disk.data.as_deref(), marks: disk.marks(), at: &at };
    let grown = match disk.marks().read(Marked::Data) {
        Ok(Mark::New) => grow(disk, log),
        _ => Ok(()),
    };
    let may_format = !matches!(grown, Err(NotGrown::Failed(_)));
    let mut not_grown = grown.err().map(|why| match why {
        NotGrown::Refused(refusal) => format!("{refusal}; write the image anew"),
        NotGrown::Failed(error) => format!("{error}; if the next start says it again, replace the card"),
    });
    let found = match store::prepare(&DATA, &place, may_format, programs, log) {
        Ok(found) => found,
        Err(unusable) => {
            let outcome = if may_be_shown(unusable.why) && store::show(&DATA, &place) {
                Outcome::ReadOnly(unusable)
            } else {
                Outcome::Absent(unusable)
            };
            return Data { outcome, not_grown, folders: Placed::default() };
        }
    };
    match store::fill(&place) {
        Ok(None) => {}
        Ok(Some((before, after))) => {
            let (before, after) = (before >> 20, after >> 20);
            log.info(&format!("the file system has been grown from {before} to {after} MiB"));
        }
        Err(error) => {
            not_grown.get_or_insert(format!("the kernel did not grow the file system: {error}"));
        }
    }
    let folders = match table {
        Some(table) => persist::place(&persist::folders(table, &at), log),
        None => Placed::no_table(),
    };
    let outcome = match clear_mark(&found, disk, &at) {
        Ok(()) => Outcome::Ready(found),
        Err(error) => {
            let reason = format!("could not clear the mark of a new card: {error}; replace the card");
            // Should this fail too, the kernel has made the file system read-only by itself.
            if let Err(error) = mount_remount(&at, DATA.flags | rustix::mount::MountFlags::RDONLY, "") {
                log.warn(&format!("could not make {} read-only: {error}", at.display()));
            }
            Outcome::ReadOnly(Unusable::broken(reason))
        }
    };
    Data { outcome, not_grown, folders }
}

/// A program that is still at work must go on writing, which a device that is closed to writing would end.
fn may_be_shown(why: Why) -> bool {
    match why {
        Why::Foreign | Why::Broken => true,
        Why::Missing | Why::Unfinished => false,
    }
}

/// Clears a standing mark, once all that was made is on the card.
fn clear_mark(found: &Found, disk: &Disk, at: &Path) -> io::Result<()> {
    if !found.mark_stands() {
        return Ok(());
    }
    rustix::fs::syncfs(File::open(at)?)?;
    disk.marks().clear(Marked::Data)
}

/// Grows the partition to the end of the card: one sector, written once, read back, and told to the kernel.
fn grow(disk: &Disk, log: &mut Log) -> Result<(), NotGrown> {
    let Some(device) = disk.data.as_deref() else { return Ok(()) };
    let mut card = File::open(&disk.device).map_err(NotGrown::Failed)?;
    let length = card.seek(SeekFrom::End(0)).map_err(NotGrown::Failed)?;
    let before = sector::read(&disk.device, 0).map_err(NotGrown::Failed)?;
    let step = growth::step(&before, disk.id, disk.data_number, length).map_err(NotGrown::Refused)?;
    let Some(grown) = step else { return Ok(()) };
    sector::write(&disk.device, 0, &grown.sector).map_err(NotGrown::Failed)?;
    // One of the table's four lines, or there would be no step.
    let number = u8::try_from(disk.data_number).unwrap_or_default();
    requests::resize_partition(&card, number, grown.start, grown.length).map_err(NotGrown::Failed)?;
    let (seen, _) = content::sizes(device).map_err(NotGrown::Failed)?;
    if seen != grown.length {
        let what = format!("the kernel sees {seen} bytes of the partition's {}", grown.length);
        return Err(NotGrown::Failed(io::Error::other(what)));
    }
    let (before, after) = (grown.before >> 20, grown.length >> 20);
    log.info(&format!("the data partition has been grown from {before} to {after} MiB"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Check;

    fn data(outcome: Outcome, not_grown: Option<&str>) -> Data {
        Data { outcome, not_grown: not_grown.map(str::to_owned), folders: Placed { placed: 2, failed: 0 } }
    }

    #[test]
    fn what_is_not_in_use_or_not_grown_is_said_and_is_not_good() {
        let unusable = || Unusable { why: Why::Foreign, reason: "a stranger's".to_owned() };
        let kept = || Found::Kept { check: Check::Clean, mark_stands: false };
        assert!(data(Outcome::Ready(kept()), None).is_good());
        assert_eq!(data(Outcome::Ready(kept()), None).to_string(), "kept; 2 paths in place, 0 failed");
        for (data, text) in [
            (data(Outcome::Ready(kept()), Some("worn")), "NOT GROWN to the end of the card: worn"),
            (data(Outcome::ReadOnly(unusable()), None), "READ-ONLY: a stranger's"),
            (data(Outcome::Absent(unusable()), None), "NOT USABLE: a stranger's"),
        ] {
            assert!(!data.is_good() && data.to_string().contains(text), "{data}");
        }
    }

    #[test]
    fn nothing_is_done_to_a_partition_that_a_program_is_still_at_work_on() {
        let shown = [Why::Missing, Why::Foreign, Why::Unfinished, Why::Broken].map(may_be_shown);
        assert_eq!(shown, [false, true, false, true]);
    }

    #[test]
    fn the_mark_is_cleared_only_where_it_stands() {
        let (_directory, marks) = crate::mark::tests::new_card();
        let at = tempfile::tempdir().unwrap();
        let disk = Disk {
            name: "vda".to_owned(),
            id: crate::cmdline::DiskId(1),
            others: 0,
            device: "/dev/vda".into(),
            root: "/dev/vda7".into(),
            state: None,
            data: None,
            data_number: 4,
            marks: Some(marks),
            marks_at: crate::mark::tests::AT,
        };
        let read = || disk.marks().read(Marked::Data).unwrap();
        clear_mark(&Found::Kept { check: Check::Clean, mark_stands: false }, &disk, at.path()).unwrap();
        assert_eq!(read(), Mark::New);
        clear_mark(&Found::New, &disk, at.path()).unwrap();
        assert_eq!((read(), disk.marks().read(Marked::State).unwrap()), (Mark::Clear, Mark::New));
    }
}
