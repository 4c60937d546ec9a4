//! Where the unpacked compilers' packages come from: the lock names them, the cache brings them.

use std::error::Error as StdError;
use std::path::PathBuf;

use stayput_packages::{Cache, Lock, Locked, Progress, Source};

type Outcome<T> = Result<T, Box<dyn StdError + Send + Sync>>;

/// What identifies a locked package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deb {
    /// The package's name.
    pub name: String,
    /// Its architecture, as in the lock.
    pub architecture: String,
    /// Its version, as in the lock.
    pub version: String,
    /// The SHA-256 of the file, in hex, as in the lock.
    pub sha256: String,
}

/// A source of locked packages. Asked for files only when they are not yet unpacked on this machine.
pub trait Packages {
    /// All packages of one feature of the package list.
    fn list(&self, feature: &str) -> Outcome<Vec<Deb>>;

    /// The packages' files, checked against their hashes, in the same order.
    fn fetch(&self, debs: &[Deb]) -> Outcome<Vec<PathBuf>>;
}

/// The tree's lock and the person's cache.
pub struct FromLock<'a> {
    /// `image/packages.lock`.
    pub lock: &'a Lock,
    /// Where fetched packages are kept.
    pub cache: &'a Cache,
    /// Where the others come from.
    pub source: &'a Source,
    /// Who is told how far the fetching is.
    pub progress: &'a dyn Progress,
}

impl Packages for FromLock<'_> {
    fn list(&self, feature: &str) -> Outcome<Vec<Deb>> {
        let locked = self.lock.feature(feature)?;
        Ok(locked.into_iter().map(Deb::from).collect())
    }

    fn fetch(&self, debs: &[Deb]) -> Outcome<Vec<PathBuf>> {
        let find = |deb: &Deb| self.lock.packages.iter().find(|locked| locked.sha256 == deb.sha256);
        let wanted: Vec<&Locked> = debs.iter().filter_map(find).collect();
        if wanted.len() != debs.len() {
            return Err("a package was asked for that the lock does not hold".into());
        }
        Ok(self.cache.fetch(&wanted, self.source, self.progress)?)
    }
}

impl From<&Locked> for Deb {
    fn from(locked: &Locked) -> Self {
        Deb {
            name: locked.name.clone(),
            architecture: locked.architecture.clone(),
            version: locked.version.clone(),
            sha256: locked.sha256.clone(),
        }
    }
}
