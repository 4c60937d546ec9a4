//! The machine's place on the host: one directory, one lock in it, one machine at a time.
//!
//! Two emulated machines on two cores make each other late, and late is what tests report as broken. The
//! directory has a fixed name, so that what a killed run left behind is swept by the next one, and the
//! console log of a failed run stays to be read.

use crate::error::{Error, Result, file};
use crate::patience::Patience;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names another place for the machine's files. The default is `/var/tmp`: a written-on card and a snapshot
/// are too big for a `/tmp` in memory.
pub const VARIABLE: &str = "STAYPUT_SCRATCH";

/// A whole test binary may be before us.
const QUEUE: Duration = Duration::from_secs(30 * 60);

/// The right to run a machine, and where its files are.
#[derive(Debug)]
pub struct Home {
    directory: PathBuf,
    _lock: File,
}

impl Home {
    /// Takes the place, waiting (and saying so) while another machine has it; leaves only the lock in it.
    pub fn take(patience: Patience) -> Result<Self> {
        let base = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let user = rustix::process::getuid().as_raw();
        Self::take_in(&base.join(format!("stayput-machine-{user}")), patience, QUEUE)
    }

    fn take_in(directory: &Path, patience: Patience, queue: Duration) -> Result<Self> {
        own(directory)?;
        let path = directory.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(file("open", &path))?;
        let mut said = false;
        let deadline = patience.deadline(queue);
        let taken = deadline.poll(|| match lock.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut said, true) {
                    eprintln!("waiting for another machine to end ({})", holder(&mut lock));
                }
                Ok(None)
            }
            Err(TryLockError::Error(error)) => Err(file("lock", &path)(error)),
        })?;
        if taken.is_none() {
            return Err(Error::Occupied { holder: holder(&mut lock), path, waited: deadline.allowed });
        }
        let note = |lock: &mut File| {
            lock.set_len(0)?;
            lock.seek(SeekFrom::Start(0))?;
            writeln!(lock, "process {}", std::process::id())
        };
        note(&mut lock).map_err(file("write", &path))?;
        sweep(directory)?;
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// A file's path in it. Short enough for a Unix socket where the base is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a small file into it.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content).map_err(file("write", &path))?;
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What is big or meaningless without QEMU goes; logs stay for whoever reads a failure. Failing to
        // remove is no failure: the next machine sweeps.
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name != "lock" && !name.to_string_lossy().ends_with(".log") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn own(directory: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(file("make", directory)(error));
        }
        _ => {}
    }
    // In a place that everybody can write to, somebody else may have been first.
    let meta = fs::symlink_metadata(directory).map_err(file("look at", directory))?;
    if !meta.is_dir() || meta.uid() != rustix::process::getuid().as_raw() || meta.mode() & 0o077 != 0 {
        return Err(Error::Scratch { path: directory.to_owned() });
    }
    Ok(())
}

fn sweep(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).map_err(file("list", directory))?.flatten() {
        if entry.file_name() != "lock" {
            fs::remove_file(entry.path()).map_err(file("remove", entry.path()))?;
        }
    }
    Ok(())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.seek(SeekFrom::Start(0)).and_then(|_| lock.read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "a process that has not said its number".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NO_TIME: Duration = Duration::ZERO;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let place = base.path().join("machine");
        (base, place)
    }

    #[test]
    fn a_second_machine_waits_and_then_says_who_is_in_the_way() {
        let (_base, place) = place();
        let first = Home::take_in(&place, Patience::default(), NO_TIME).unwrap();
        let error = Home::take_in(&place, Patience::default(), NO_TIME).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        Home::take_in(&place, Patience::default(), NO_TIME).unwrap();
    }

    #[test]
    fn a_waiting_machine_gets_its_turn() {
        let (_base, place) = place();
        let first = Home::take_in(&place, Patience::default(), NO_TIME).unwrap();
        let turn = place.clone();
        let second = std::thread::spawn(move || {
            Home::take_in(&turn, Patience::default(), Duration::from_secs(60)).map(drop)
        });
        std::thread::sleep(Duration::from_millis(50));
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[test]
    fn what_a_killed_run_left_is_swept_and_a_log_survives_its_own_run() {
        let (_base, place) = place();
        let home = Home::take_in(&place, Patience::default(), NO_TIME).unwrap();
        home.write("card.qcow2", b"big").unwrap();
        home.write("console.log", b"why").unwrap();
        drop(home);
        assert!(!place.join("card.qcow2").exists());
        assert!(place.join("console.log").exists());
        fs::write(place.join("qmp.sock"), b"stale").unwrap();
        let _home = Home::take_in(&place, Patience::default(), NO_TIME).unwrap();
        assert!(!place.join("qmp.sock").exists() && !place.join("console.log").exists());
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let (_base, place) = place();
        fs::create_dir(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Home::take_in(&place, Patience::default(), NO_TIME), Err(Error::Scratch { .. })));
    }
}
