//! `worker check`: settings, folders, room, and what the file systems can do, each with a remedy.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::{misused, no_arguments};
use crate::disk::{Disk, Linux, LinuxFolder, Room, Writers};
use crate::finding::{Finding, Grade};
use crate::station::Station;
use crate::variables::Variables;
use crate::{Exit, FileName, Settings};

/// The job.
pub fn main(variables: &Variables, arguments: &[OsString]) -> ExitCode {
    if let Err(error) = no_arguments(arguments) {
        return misused(&error);
    }
    let mut findings = findings(variables);
    findings.extend(super::courier::check(variables));
    for finding in &findings {
        println!("{finding}");
    }
    let is_wrong = findings.iter().any(|finding| finding.grade == Grade::Wrong);
    if is_wrong { Exit::Wrong.into() } else { Exit::Fine.into() }
}

/// Everything that is found.
fn findings(variables: &Variables) -> Vec<Finding> {
    let station = match Station::read(variables) {
        Ok(station) => station,
        Err(error) => return vec![Finding::wrong(error.to_string(), "see --help for what each variable is")],
    };
    let mut found = vec![paths(&station), user()];
    let mut open = |path: &Path, what: &str| match Linux.folder(path) {
        Ok(folder) => Some(folder),
        Err(error) => {
            found.push(Finding::wrong(format!("{what}: {error}"), "the error says it"));
            None
        }
    };
    let source = open(&station.source, "source folder");
    let destination = open(&station.destination, "destination folder");
    let ledger = open(&station.ledger, "ledger folder");
    if let (Some(source), Some(destination)) = (&source, &destination) {
        found.extend(moving(source, destination, &station.settings));
    }
    for (folder, what) in [(&destination, "destination folder"), (&ledger, "ledger folder")] {
        found.extend(folder.as_ref().map(|folder| room(folder, what, &station.settings)));
    }
    found.extend(ledger.as_ref().map(keeping));
    found
}

fn paths(station: &Station) -> Finding {
    let (source, destination) = (&station.source, &station.destination);
    if source == destination && station.settings.suffix.is_empty() {
        return Finding::wrong(
            "source and destination are the same folder, and the suffix is empty",
            "choose another destination, or a suffix",
        );
    }
    if source != destination && (source.starts_with(destination) || destination.starts_with(source)) {
        return Finding::warning(
            "source and destination lie in one another",
            "use two folders beside each other, so that nobody takes one for a file of the other",
        );
    }
    Finding::good(format!("files go from '{}' to '{}'", source.display(), destination.display()))
}

fn user() -> Finding {
    let (uid, rights) = (rustix::process::geteuid(), rustix::thread::capabilities(None));
    let can_lease = rights.is_ok_and(|rights| rights.permitted.contains(CapabilitySet::LEASE));
    if uid.is_root() {
        Finding::warning(
            "this runs as root",
            "start the mover as a user of its own (\"user\" in a task definition); it gives up root's rights all the same",
        )
    } else if can_lease {
        Finding::good(format!("this runs as user {uid}, which may ask for leases on any file"))
    } else {
        Finding::warning(
            format!("this runs as user {uid}, which may ask for leases on its own files only"),
            "if other users bring files, give it CAP_LEASE; without it their files are taken after a quiet time",
        )
    }
}

/// What the two folders can do, tried with an empty file of the mover's own.
fn moving(source: &LinuxFolder, destination: &LinuxFolder, settings: &Settings) -> Vec<Finding> {
    let name = FileName::own(format!(".stayput-check-{}.part", std::process::id()).into_bytes());
    let made = match Linux.create(source, &name) {
        Ok(made) => made,
        Err(error) => return vec![not_writable("source folder", error)],
    };
    drop(made);
    let mut found = vec![leases(source, &name, settings)];
    let moved = Linux.rename(source, &name, destination, &name);
    found.push(match moved {
        Ok(()) => Finding::good("both folders are on one file system: files are renamed, never copied"),
        Err(Errno::XDEV) => match Linux.create(destination, &name) {
            Ok(_) => Finding::warning(
                "the folders are on different file systems: files are copied, compared and then removed",
                "if they need not be, put both on one: moving is quicker there, and needs no room twice",
            ),
            Err(error) => not_writable("destination folder", error),
        },
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Finding::wrong(
            "the file system cannot rename without replacing, so a file could be overwritten",
            "put the folders on ext4, xfs, btrfs or tmpfs; network file systems often cannot",
        ),
        Err(error) => not_writable("destination folder", error),
    });
    // Whichever of the two it is in by now.
    let _ = Linux.remove(source, &name);
    let _ = Linux.remove(destination, &name);
    found
}

fn leases(source: &LinuxFolder, name: &FileName, settings: &Settings) -> Finding {
    let quiet = settings.quiet.as_secs();
    if !settings.leases {
        return Finding::good(format!(
            "leases are switched off: files are taken after {quiet} quiet seconds"
        ));
    }
    match Linux.open(source, name).map(|file| Linux.writers(&file)) {
        Ok(Writers::None) => {
            Finding::good("the kernel tells whether someone still writes to a file (leases)")
        }
        _ => Finding::warning(
            format!("the source folder has no leases: files are taken after {quiet} quiet seconds"),
            "let programs write under another name and rename when they are done, or make the quiet time longer",
        ),
    }
}

fn not_writable(what: &str, error: Errno) -> Finding {
    let remedy = match error {
        Errno::ROFS => "mount it for writing",
        Errno::NOSPC | Errno::DQUOT => "make room",
        Errno::ACCESS | Errno::PERM => {
            "give the folder to the mover's user (chown), with rights to write and search"
        }
        _ => "see whether the disk is all right",
    };
    Finding::wrong(
        format!("nothing can be put into the {what} as user {}: {error}", rustix::process::geteuid()),
        remedy,
    )
}

fn room(folder: &LinuxFolder, what: &str, settings: &Settings) -> Finding {
    let mib = |bytes: u64| bytes / (1024 * 1024);
    match Linux.room(folder) {
        Ok(Room { free, .. }) if free < settings.reserve => Finding::wrong(
            format!("{what}: {} MiB are free, less than the reserve of {}", mib(free), mib(settings.reserve)),
            "collect or remove processed files; until then no order is taken",
        ),
        Ok(Room { size, free }) if free < size / 10 => Finding::warning(
            format!("{what}: {} of {} MiB are free", mib(free), mib(size)),
            "collect or remove processed files before the room is used up",
        ),
        Ok(Room { size, free }) => {
            Finding::good(format!("{what}: {} of {} MiB are free", mib(free), mib(size)))
        }
        Err(Errno::ROFS) => Finding::wrong(format!("{what}: read-only"), "mount it for writing"),
        Err(error) => Finding::wrong(format!("{what}: {error}"), "see whether the disk is all right"),
    }
}

/// Whether the log's folder is to be had, and by whom.
fn keeping(ledger: &LinuxFolder) -> Finding {
    match Linux.lock(ledger) {
        Ok(true) => Finding::good("no mover is at work here; one could be"),
        Ok(false) => Finding::good("a mover is at work here"),
        Err(error) => Finding::wrong(
            format!("the ledger folder cannot be locked: {error}"),
            "put it on a file system with locks, so that two movers never share it",
        ),
    }
}
