//! The credentials files: one for the agent, one for the courier's user alone, each replaced whole.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};

use crate::Error;
use crate::store::replace;
use crate::wire::Token;

/// A place where credentials are wanted: a folder, because whoever reads gets the folder, and a rename in it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// Whose it is; `None` leaves it to whoever runs this.
    pub owner: Option<u32>,
}

/// The file's name in each folder, as the tools of the region expect it.
pub const NAME: &str = "credentials";

/// Writes the same credentials to every place.
pub fn write(places: &[Place], token: &Token) -> Result<(), Error> {
    places.iter().try_for_each(|place| put(place, &text(token)))
}

fn put(place: &Place, text: &str) -> Result<(), Error> {
    let folder = &place.folder;
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(Error::io("protect", folder))?;
    replace(folder, NAME, text.as_bytes(), 0o600)?;
    let Some(owner) = place.owner else { return Ok(()) };
    // The file first: until the folder is its own, the user sees the one before or none.
    for path in [folder.join(NAME), folder.clone()] {
        give(&path, owner)?;
    }
    Ok(())
}

fn give(path: &Path, owner: u32) -> Result<(), Error> {
    let (user, group) = (Uid::from_raw(owner), Gid::from_raw(owner));
    rustix::fs::chown(path, Some(user), Some(group))
        .map_err(|errno| Error::io("give away", path)(errno.into()))
}

fn text(token: &Token) -> String {
    let Token { access_key, secret_key, session, .. } = token;
    format!(
        "[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\naws_session_token = {session}\n"
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn token(secret: &str) -> Token {
        Token {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: secret.to_owned(),
            session: "token".to_owned(),
            expires: Timestamp::UNIX_EPOCH,
            wants_new_key: false,
        }
    }

    #[test]
    fn credentials_are_replaced_by_a_file_that_only_its_owner_reads() {
        let box_ = tempfile::tempdir().unwrap();
        let place = Place { folder: box_.path().join("agent"), owner: None };
        for secret in ["one", "two"] {
            write(std::slice::from_ref(&place), &token(secret)).unwrap();
            let path = place.folder.join(NAME);
            assert!(
                fs::read_to_string(&path).unwrap().contains(&format!("aws_secret_access_key = {secret}\n"))
            );
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(fs::metadata(&place.folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
