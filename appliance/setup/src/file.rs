//! One file, replaced whole or not at all; and reading one that could be of any length.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use crate::{Error, Result};

/// Whose a file is and who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Permissions.
    pub(crate) mode: u32,
    /// User and group; `None` leaves it to whoever writes.
    pub(crate) owner: Option<(u32, u32)>,
}

/// Puts `bytes` at `path`. With `lasting` no power cut takes it back once this returns.
pub(crate) fn replace(path: &Path, bytes: &[u8], access: Access, lasting: bool) -> Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::io("name", path)(io::ErrorKind::InvalidInput.into()));
    };
    let fresh = folder.join(format!(".{}.new", name.to_string_lossy()));
    // A leftover of a cut writing, or a link that someone put there: never opened.
    remove(&fresh)?;
    let replaced = write(&fresh, bytes, access, lasting)
        .and_then(|()| fs::rename(&fresh, path).map_err(Error::io("replace", path)));
    if replaced.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&fresh);
        return replaced;
    }
    if lasting {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))?;
    }
    Ok(())
}

fn write(fresh: &Path, bytes: &[u8], access: Access, lasting: bool) -> Result<()> {
    // Nobody else reads it before it is whose it shall be.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(fresh).map_err(Error::io("create", fresh))?;
    if let Some((user, group)) = access.owner {
        fchown(&file, Some(user), Some(group)).map_err(Error::io("give away", fresh))?;
    }
    file.set_permissions(Permissions::from_mode(access.mode)).map_err(Error::io("protect", fresh))?;
    file.write_all(bytes).map_err(Error::io("write", fresh))?;
    if lasting {
        file.sync_all().map_err(Error::io("write", fresh))?;
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A file's bytes, one more than `longest` of them at most; `None` where there is no such file.
pub(crate) fn read(path: &Path, longest: usize) -> io::Result<Option<Vec<u8>>> {
    // A link could lead anywhere, and a pipe would never end.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(longest as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Access = Access { mode: 0o600, owner: None };

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(folder.path().join(".a.new"), "a leftover").unwrap();
        for (text, lasting) in [("one", false), ("two", true)] {
            replace(&path, text.as_bytes(), OWN, lasting).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_plain_file_is_not_read_and_a_long_one_not_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        fs::write(at("long"), "12345").unwrap();
        std::os::unix::fs::symlink(at("long"), at("link")).unwrap();
        assert_eq!(read(&at("long"), 3).unwrap(), Some(b"1234".to_vec()));
        assert_eq!(read(&at("none"), 3).unwrap(), None);
        assert!(read(&at("link"), 3).is_err());
        assert!(read(folder.path(), 3).is_err());
    }

    #[test]
    fn what_could_not_be_replaced_is_as_before_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"x", OWN, false).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
