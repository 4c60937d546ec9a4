//! The machine id: made once, kept on the state partition, bound to `/etc/machine-id`.
//!
//! A registration with the region dies with it (the agent compares it first of all), so it is kept from the first boot
//! on, and never part of an image.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount_bind, mount_remount};

use crate::log::Log;
use crate::random;

/// Where the id is kept, under the root that is prepared.
const KEPT: &str = "state/machine-id";

/// Where an id for this boot only goes.
const FOR_THIS_BOOT: &str = "/run/stayput/machine-id";

/// Where the id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From an earlier boot.
    Kept,
    /// Made now and written to the state partition.
    New,
    /// Made now, in the place of one that could not be read.
    Replaced,
    /// Made now, and not kept.
    ThisBoot,
}

impl Origin {
    /// Whether the id that is in use is on the card.
    pub fn is_kept(self) -> bool {
        match self {
            Self::Kept | Self::New | Self::Replaced => true,
            Self::ThisBoot => false,
        }
    }

    /// What the log says.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::New => "new: none was there, one has been made",
            Self::Replaced => "replaced: the one that was there is damaged and now called machine-id.damaged",
            Self::ThisBoot => "VOLATILE: it could not be kept and is good for this boot only",
        }
    }
}

/// Puts an id in place, whatever happens: without one systemd would not start.
pub fn settle(root: &Path, log: &mut Log) -> Origin {
    let mut random = || random::sixteen_bytes(log);
    let (origin, path) = match kept(&root.join(KEPT), &mut random) {
        Ok(origin) => (origin, root.join(KEPT)),
        Err(error) => {
            let id = random();
            log.warn(&format!("{} could not be kept: {error}", root.join(KEPT).display()));
            let path = PathBuf::from(FOR_THIS_BOOT);
            let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
            if let Err(error) = folder.and_then(|()| write(&path, &text(id))) {
                log.warn(&format!("nor written to {}: {error}; systemd makes one", path.display()));
                return Origin::ThisBoot;
            }
            (Origin::ThisBoot, path)
        }
    };
    let to = root.join("etc/machine-id");
    let bound =
        mount_bind(&path, &to).and_then(|()| mount_remount(&to, MountFlags::BIND | MountFlags::RDONLY, ""));
    match bound {
        Ok(()) => origin,
        Err(error) => {
            log.warn(&format!(
                "could not bind {} to {}: {error}; systemd makes one",
                path.display(),
                to.display()
            ));
            Origin::ThisBoot
        }
    }
}

/// The id at `path`, made where it is missing or damaged.
fn kept(path: &Path, random: &mut dyn FnMut() -> [u8; 16]) -> io::Result<Origin> {
    let origin = match read(path)? {
        Found::Good => return Ok(Origin::Kept),
        Found::Nothing => Origin::New,
        Found::Damaged => {
            fs::rename(path, path.with_extension("damaged"))?;
            Origin::Replaced
        }
    };
    write(path, &text(random()))?;
    Ok(origin)
}

enum Found {
    Good,
    Nothing,
    Damaged,
}

fn read(path: &Path) -> io::Result<Found> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => return Ok(Found::Damaged),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut bytes)?;
    Ok(if is_good(&bytes) { Found::Good } else { Found::Damaged })
}

/// Whether systemd takes this as a machine id: 32 lower-case hexadecimal digits, not all zero, and a line's end.
fn is_good(bytes: &[u8]) -> bool {
    let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    digits.len() == 32
        && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && digits.iter().any(|byte| *byte != b'0')
}

/// The file's text for 16 random bytes, with the bits of a random UUID set as systemd does.
fn text(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    text.push('\n');
    text
}

/// Writes the whole file or none: to the card under another name, renamed, and the folder to the card as well.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine-id");
        (directory, path)
    }

    #[test]
    fn an_id_is_made_once_and_then_kept() {
        let (directory, path) = directory();
        assert_eq!(kept(&path, &mut || [0xff; 16]).unwrap(), Origin::New);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "ffffffffffff4fffbfffffffffffffff\n");
        assert_eq!(kept(&path, &mut || panic!("no new id is wanted")).unwrap(), Origin::Kept);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_id_is_put_aside_and_replaced() {
        for damaged in
            [&b""[..], b"ffff", b"uninitialized\n", &[0; 33], &[b'f'; 64], &[b'0'; 32], &[b'F'; 32]]
        {
            let (directory, path) = directory();
            fs::write(&path, damaged).unwrap();
            assert_eq!(kept(&path, &mut || [1; 16]).unwrap(), Origin::Replaced, "{damaged:?}");
            assert_eq!(fs::read(directory.path().join("machine-id.damaged")).unwrap(), damaged);
            assert!(is_good(&fs::read(&path).unwrap()));
        }
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let (directory, path) = directory();
        let victim = directory.path().join("victim");
        fs::write(&victim, "ffffffffffff4fffbfffffffffffffff\n").unwrap();
        symlink(&victim, &path).unwrap();
        assert_eq!(kept(&path, &mut || [1; 16]).unwrap(), Origin::Replaced);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn what_an_interrupted_write_left_does_not_stand_in_the_way() {
        let (_directory, path) = directory();
        fs::write(path.with_extension("new"), "ffff").unwrap();
        assert_eq!(kept(&path, &mut || [1; 16]).unwrap(), Origin::New);
        assert!(!path.with_extension("new").exists());
    }

    #[test]
    fn a_place_that_takes_no_file_is_an_error() {
        let (directory, _) = directory();
        assert!(kept(&directory.path().join("none/machine-id"), &mut || [1; 16]).is_err());
    }
}
