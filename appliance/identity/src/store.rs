//! Where the capsule lies: two copies on the state partition, each replaced whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::capsule::{self, Capsule, Flaw};

/// Where a capsule is kept.
pub trait Shelf {
    /// The capsule that is there; `None` on a card that never had one.
    fn load(&self) -> Result<Option<Capsule>, Error>;

    /// Puts it in the place of the one before. When this returns, no power cut takes it back.
    fn save(&mut self, capsule: &mut Capsule) -> Result<(), Error>;
}

/// The folder on the state partition.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

/// The copies' names. Both hold the same after each writing; one is behind only when the power went in between.
const COPIES: [&str; 2] = ["capsule-1", "capsule-2"];

const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

impl Store {
    /// The store in `folder`, which must exist when it is used.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The bytes under a copy's name; `None` where there are none, and nothing where they cannot be read: that is what
    /// the second copy is for.
    fn copy(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.folder.join(name);
        let file = match OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::io("open", &path))?,
        };
        let mut bytes = Vec::new();
        let read = file.take(capsule::LONGEST + 1).read_to_end(&mut bytes);
        Ok(Some(if read.is_ok() { bytes } else { Vec::new() }))
    }
}

/// The capsule that two copies make: the newer whole one.
pub fn choose(first: Option<&[u8]>, second: Option<&[u8]>) -> Result<Option<Capsule>, Error> {
    let read = |copy: Option<&[u8]>| copy.map(Capsule::parse).transpose();
    match (read(first), read(second)) {
        (Err(Flaw::Version(found)), _) | (_, Err(Flaw::Version(found))) => {
            Err(Error::CapsuleVersion { found, known: capsule::VERSION })
        }
        (Ok(Some(first)), Ok(Some(second))) => {
            Ok(Some(if first.generation >= second.generation { first } else { second }))
        }
        (Ok(Some(capsule)), _) | (_, Ok(Some(capsule))) => Ok(Some(capsule)),
        (Ok(None), Ok(None)) => Ok(None),
        (first, second) => Err(Error::CapsuleLost { first: said(first), second: said(second) }),
    }
}

impl Shelf for Store {
    fn load(&self) -> Result<Option<Capsule>, Error> {
        choose(self.copy(COPIES[0])?.as_deref(), self.copy(COPIES[1])?.as_deref())
    }

    fn save(&mut self, capsule: &mut Capsule) -> Result<(), Error> {
        capsule.generation += 1;
        let bytes = capsule.to_bytes();
        // One after the other, each on the card before the next begins: a cut spoils one at most.
        COPIES.iter().try_for_each(|name| replace(&self.folder, name, &bytes, 0o600))
    }
}

fn said(found: Result<Option<Capsule>, Flaw>) -> String {
    found.err().map_or_else(|| "it is not there".to_owned(), |flaw| flaw.to_string())
}

/// Puts `bytes` under `name`, whole or not at all, and durably.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let (path, temporary) = (folder.join(name), folder.join(format!(".{name}.new")));
    // A leftover of a cut writing, or a link that someone put there: never opened.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary)(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(Error::io("create", &temporary))?;
    if mode & 0o077 != 0 {
        // The umask has taken bits away that its readers need.
        file.set_permissions(Permissions::from_mode(mode)).map_err(Error::io("open up", &temporary))?;
    }
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(Error::io("rename", &path))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))
}
