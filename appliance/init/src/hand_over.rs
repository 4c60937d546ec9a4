//! The hand-over: mounts move, the initramfs gives its memory back, and this process becomes systemd.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::mount_move;
use rustix::process::{chdir, chroot};

use crate::devices::{MOVED, is_in_memory};
use crate::error::Error;
use crate::log::Log;

/// What the box runs on.
const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// Becomes systemd on the root file system at `root`. Comes back only with a reason why not.
pub fn become_systemd(root: &Path, log: &mut Log) -> Result<Infallible, Error> {
    let program = root.join(SYSTEMD.trim_start_matches('/'));
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Prepare { action, path, source }
    };
    // Before anything moves: what fails from here on is hard to explain.
    fs::metadata(&program).map_err(failed("find", &program))?;
    for name in MOVED {
        let to = root.join(name);
        mount_move(Path::new("/").join(name), &to)
            .map_err(io::Error::from)
            .map_err(failed("move to", &to))?;
    }
    let freed = free_initramfs();
    log.info(&format!("{} KiB of the initramfs given back, starting {SYSTEMD}", freed / 1024));
    let switched = chdir(root)
        .and_then(|()| mount_move(".", "/"))
        .and_then(|()| chroot("."))
        .and_then(|()| chdir("/"))
        .map_err(io::Error::from);
    switched.map_err(failed("switch to", root))?;
    let refused = Command::new(SYSTEMD).exec();
    Err(Error::Prepare { action: "start", path: PathBuf::from(SYSTEMD), source: refused })
}

/// Removes the initramfs's own files, whose pages would else stay in memory for as long as the box runs; on a board
/// with 512 MB the modules alone are worth it. Gives the bytes freed.
fn free_initramfs() -> u64 {
    let top = Path::new("/");
    match fs::metadata(top) {
        Ok(found) if is_in_memory(top) => empty(top, found.dev()),
        _ => 0,
    }
}

/// Empties a folder, staying on `device`: never beyond a mount, never through a link. What cannot go stays.
fn empty(folder: &Path, device: u64) -> u64 {
    let mut freed = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.dev() != device {
            continue;
        }
        if found.is_dir() {
            freed += empty(&path, device);
            let _ = fs::remove_dir(&path);
        } else if fs::remove_file(&path).is_ok() {
            freed += found.len();
        }
    }
    freed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn emptying_counts_what_it_frees_and_follows_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("inside"), directory.path().join("outside"));
        fs::create_dir_all(inside.join("modules")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(inside.join("modules/ext4.ko"), [0; 1000]).unwrap();
        fs::write(inside.join("init"), [0; 24]).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        let device = fs::metadata(&inside).unwrap().dev();
        let freed = empty(&inside, device);
        assert!((1024..1024 + 512).contains(&freed), "{freed}");
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert!(outside.join("precious").exists());
    }

    #[test]
    fn what_lies_on_another_file_system_stays() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "precious").unwrap();
        let other = fs::metadata(directory.path()).unwrap().dev() + 1;
        assert_eq!(empty(directory.path(), other), 0);
        assert!(directory.path().join("file").exists());
    }
}
