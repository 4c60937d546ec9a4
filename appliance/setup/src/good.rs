//! The good copy: the last settings that were right, on `state`, so that a file that was spoilt costs nobody the box.
//!
//! One file: a line with the SHA-256 of the rest, then the person's text and the certificates that it named, as JSON. It holds
//! what the person's file holds, the activation's code included, and is root's alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::file::{self, Access};
use crate::{Error, Result};

/// The copy's name in its folder.
pub const NAME: &str = "good";

/// What its first line begins with; the number is the format's version.
const HEAD: &str = "stayput-settings 1 ";

/// The longest that is read: a text and certificates at their longest, escaped.
const LONGEST: usize = 4 * 1024 * 1024;

/// What is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// The text of `stayput.toml`.
    pub text: String,
    /// The certificates that it named, in PEM.
    pub authorities: String,
}

impl Copy {
    /// The copy as the bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).expect("texts are JSON, and memory is the only thing written to");
        let mut bytes = format!("{HEAD}{}\n", hex::encode(Sha256::digest(&body))).into_bytes();
        bytes.extend(body);
        bytes
    }

    /// The copy in a file's bytes; otherwise what is wrong with them, as the rest of a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let hash = line.strip_prefix(HEAD.as_bytes()).ok_or("was not written by this version")?;
        let body = bytes.get(line.len() + 1..).unwrap_or_default();
        if hash != hex::encode(Sha256::digest(body)).as_bytes() {
            return Err("is damaged");
        }
        serde_json::from_slice(body).map_err(|_| "is damaged")
    }
}

impl std::fmt::Debug for Copy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Copy({} bytes, not shown)", self.text.len())
    }
}

/// Where the copy is kept.
#[derive(Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// The copy in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join(NAME))
    }

    /// The copy that is there.
    pub fn load(&self) -> Result<Option<Copy>> {
        let Some(bytes) = file::read(&self.0, LONGEST).map_err(Error::io("read", &self.0))? else {
            return Ok(None);
        };
        Copy::parse(&bytes).map(Some).map_err(|what| Error::Copy { path: self.0.clone(), what })
    }

    /// Puts a copy in the place of the one before, durably; the same one again costs the card nothing.
    pub fn keep(&self, copy: &Copy) -> Result<()> {
        let bytes = copy.to_bytes();
        if matches!(file::read(&self.0, LONGEST), Ok(Some(kept)) if kept == bytes) {
            return Ok(());
        }
        file::replace(&self.0, &bytes, Access { mode: 0o600, owner: None }, true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use proptest::prelude::*;

    use super::*;

    fn copy(text: &str) -> Copy {
        Copy { text: text.to_owned(), authorities: "-----BEGIN".to_owned() }
    }

    #[test]
    fn what_was_kept_is_there_for_root_alone_and_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::in_folder(folder.path());
        assert_eq!(shelf.load().unwrap(), None);
        shelf.keep(&copy("one")).unwrap();
        shelf.keep(&copy("two\r\n")).unwrap();
        assert_eq!(shelf.load().unwrap(), Some(copy("two\r\n")));
        let path = folder.path().join(NAME);
        let before = fs::metadata(&path).unwrap();
        assert_eq!(before.permissions().mode() & 0o777, 0o600);
        shelf.keep(&copy("two\r\n")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino(), "it was written again");
    }

    #[test]
    fn a_copy_of_another_version_is_told_from_a_damaged_one() {
        let damaged = Copy::parse(format!("{HEAD}00\n{{}}").as_bytes()).unwrap_err();
        assert_eq!(damaged, "is damaged");
        for other in ["", "\n", "stayput-settings 2 00\n{}", "{}"] {
            assert_eq!(Copy::parse(other.as_bytes()).unwrap_err(), "was not written by this version");
        }
    }

    #[test]
    fn a_damaged_copy_does_not_keep_the_next_good_one_out() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::in_folder(folder.path());
        fs::write(folder.path().join(NAME), "rubbish").unwrap();
        assert!(shelf.load().is_err());
        shelf.keep(&copy("one")).unwrap();
        assert_eq!(shelf.load().unwrap(), Some(copy("one")));
    }

    #[test]
    fn a_copy_shows_nobody_its_text() {
        assert!(!format!("{:?}", copy("EXAMPLE/CodeOf20Char")).contains("EXAMPLE"));
    }

    proptest! {
        #[test]
        fn one_wrong_byte_anywhere_is_noticed(at in any::<prop::sample::Index>(), by in 1u8..) {
            let mut bytes = copy("version = 1\n").to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            prop_assert!(Copy::parse(&bytes).is_err());
        }

        #[test]
        fn a_piece_of_a_copy_is_none(length in any::<prop::sample::Index>()) {
            let bytes = copy("version = 1\n").to_bytes();
            prop_assert!(Copy::parse(&bytes[..length.index(bytes.len())]).is_err());
        }
    }
}
