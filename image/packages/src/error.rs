//! What can go wrong between a mirror and a package in memory: one variant per failure, remedy included.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The broad class of an error: what the command turns into its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The person asked for something that cannot be: an option, the package list, a stale lock.
    Usage,
    /// The mirror could not be reached, or `--offline` was asked and something is missing.
    Network,
    /// A locked version is no longer on the mirror.
    Gone,
    /// A hash, a signature or a validity date does not hold.
    Integrity,
    /// A file is not what it should be: broken package, unreadable index.
    Input,
    /// This machine's disk: full, not writable, not readable.
    Io,
}

/// One failure, with its data and its remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the tree or of the machine could not be read, written or made.
    #[error("could not {action} '{}': {source}", path.display())]
    Io {
        /// What was tried: "read", "write", "create".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The disk has no room.
    #[error("the disk is full: could not write '{}'\n  free some space, or put the cache elsewhere with STAYPUT_CACHE=DIR; a partial download is kept and resumed", path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },

    /// A file that a person wrote has a mistake in it.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong and what was expected.
        message: String,
    },

    /// The package list contradicts itself or names what does not exist.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The package list.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },

    /// The lock was made from another package list.
    #[error("'{}' was made from another package list than the present one\n  run: stayput lock", path.display())]
    StaleLock {
        /// The lock.
        path: PathBuf,
    },

    /// There is no lock at all.
    #[error("there is no lock at '{}'\n  run: stayput lock", path.display())]
    NoLock {
        /// Where it should be.
        path: PathBuf,
    },

    /// A feature was asked for that the lock does not have.
    #[error("no feature '{name}' in the lock; it has: {known}")]
    NoFeature {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },

    /// This machine has no apt source that could serve the suite.
    #[error(
        "no Debian mirror found in this machine's apt sources ({searched})\n  name one: --mirror URL (or a directory), for example the address your other Debian machines use"
    )]
    NoMirror {
        /// Where it was looked for.
        searched: String,
    },

    /// A mirror's address cannot be used.
    #[error(
        "'{address}' is not a mirror address: {reason}\n  use http://…, https://…, file:///… or a directory"
    )]
    BadMirror {
        /// As it was given.
        address: String,
        /// Why not.
        reason: String,
    },

    /// The mirror did not answer.
    #[error(
        "could not reach {url}: {reason}\n  check the network and the proxy (http_proxy, https_proxy), choose another mirror with --mirror, or build from the cache with --offline"
    )]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },

    /// The mirror does not have a file that it must have.
    #[error(
        "{url} is not there ({reason})\n  is this a complete Debian mirror with the suite in it? choose another with --mirror"
    )]
    NotFound {
        /// What was asked for.
        url: String,
        /// Status or system message.
        reason: String,
    },

    /// Locked package versions that no mirror at hand has any more.
    #[error("{}", gone_message(packages))]
    Gone {
        /// The packages, each with the place last asked.
        packages: Vec<GonePackage>,
    },

    /// A new lock would go back in time.
    #[error(
        "the mirror is behind the lock; nothing was written:\n{}\n  try again later or take another mirror (--mirror); to go back on purpose: stayput lock --update --allow-older",
        listing(setbacks)
    )]
    Setback {
        /// Suites and packages that would become older, or other bytes under the same version.
        setbacks: Vec<String>,
    },

    /// `--offline`, and the cache lacks something.
    #[error("offline, and the cache '{}' lacks {} of the packages:\n{}\n  run the same command once without --offline", cache.display(), missing.len(), listing(missing))]
    Offline {
        /// The cache.
        cache: PathBuf,
        /// What it lacks: "name version architecture".
        missing: Vec<String>,
    },

    /// The bytes are not those that the lock or the release file names.
    #[error(
        "wrong content: {what}\n  from      {origin}\n  expected  {expected}\n  got       {got}\n  refused; nothing was kept. A broken proxy or mirror does this: try again, or another --mirror"
    )]
    WrongHash {
        /// Which file or package.
        what: String,
        /// Where the bytes came from.
        origin: String,
        /// What was expected: SHA-256 and size.
        expected: String,
        /// What came.
        got: String,
    },

    /// A release file is not signed by a key of the tree.
    #[error("{origin} is not signed by a key that this tree trusts: {reason}\n  keys: {}\n  a tampered or foreign mirror does this; choose another with --mirror", keys.join(", "))]
    Signature {
        /// The release file's place.
        origin: String,
        /// What is wrong with it.
        reason: String,
        /// The fingerprints that would have done.
        keys: Vec<String>,
    },

    /// A key file does not match its pinned fingerprint, or is not a key.
    #[error("key file '{}': {reason}", path.display())]
    Key {
        /// The file under image/keys.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },

    /// A release file's dates do not hold today.
    #[error(
        "{origin}: {reason}\n  the mirror stopped updating, or this machine's clock is wrong (it says {now}); check the clock or choose another --mirror"
    )]
    Expired {
        /// The release file's place.
        origin: String,
        /// Which date.
        reason: String,
        /// The clock that was used.
        now: String,
    },

    /// A release file is not the one that was asked for, or lacks something.
    #[error("{origin}: {reason}")]
    Release {
        /// The release file's place.
        origin: String,
        /// What is wrong.
        reason: String,
    },

    /// A package index cannot be understood.
    #[error("{origin}, line {line}: {reason}")]
    Index {
        /// The index' place.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },

    /// The walk over dependencies found no answer.
    #[error("feature '{feature}': {message}")]
    Unresolved {
        /// The feature whose walk stopped.
        feature: String,
        /// Why, by which package, and what to do.
        message: String,
    },

    /// A package file is not a good package.
    #[error("package '{}': {reason}", path.display())]
    Package {
        /// The .deb file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A locked package that the mirror no longer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GonePackage {
    /// Name, version and architecture as one reads them.
    pub package: String,
    /// The last place asked.
    pub url: String,
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Io { .. } | Error::DiskFull { .. } => Kind::Io,
            Error::Manifest { .. }
            | Error::StaleLock { .. }
            | Error::NoLock { .. }
            | Error::NoFeature { .. }
            | Error::NoMirror { .. }
            | Error::BadMirror { .. }
            | Error::Unresolved { .. } => Kind::Usage,
            Error::Unreachable { .. } | Error::NotFound { .. } | Error::Offline { .. } => Kind::Network,
            Error::Gone { .. } => Kind::Gone,
            Error::WrongHash { .. }
            | Error::Signature { .. }
            | Error::Key { .. }
            | Error::Setback { .. }
            | Error::Expired { .. } => Kind::Integrity,
            Error::Text { .. } | Error::Release { .. } | Error::Index { .. } | Error::Package { .. } => {
                Kind::Input
            }
        }
    }

    /// For `map_err`: a system error on a path, with a full disk told apart.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path },
            _ => Error::Io { action, path, source },
        }
    }
}

fn listing(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn gone_message(packages: &[GonePackage]) -> String {
    let mut lines: Vec<String> = packages.iter().map(|gone| gone.package.clone()).collect();
    lines.sort();
    let place = packages.first().map(|gone| gone.url.as_str()).unwrap_or_default();
    format!(
        "the mirror no longer has {} of the locked package versions:\n{}\n  (asked last: {place})\n  \
         take today's versions:  stayput lock --update\n  \
         or keep these versions: the same command with --mirror and a snapshot mirror of the lock's date\n  \
         After lock --update the image's hash differs from the published one; with a snapshot it stays the same.",
        packages.len(),
        listing(&lines)
    )
}
