//! The supply of packages: the lock, the shared cache and a mirror, as the other commands use them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use stayput_packages::{Cache, Lock, Locked, Manifest, Mirror, Progress, Source, date, deb};
use stayput_toolchain::FromLock;

use crate::cli::MirrorArgs;
use crate::tree::{SourceTree, cache_dir};

/// A package, opened in memory.
pub struct Opened {
    /// Its name.
    pub name: String,
    /// The features of the package list that it is in the lock for.
    pub features: BTreeSet<String>,
    /// Everything in it, in the package's order.
    pub entries: Vec<deb::Entry>,
}

/// Where packages come from while a command runs.
pub struct Supply {
    manifest: Manifest,
    lock: Lock,
    cache: Cache,
    source: Source,
    lock_path: PathBuf,
}

impl Supply {
    /// The tree's lock with this user's cache; refuses a lock that no longer fits the package list.
    pub fn open(tree: &SourceTree, mirror: &MirrorArgs, offline: bool) -> anyhow::Result<Self> {
        let manifest = Manifest::load(&tree.path("image/packages.toml"))?;
        let lock_path = tree.path("image/packages.lock");
        let lock = Lock::load(&lock_path)?;
        lock.check_current(&manifest)?;
        let source = if offline { Source::Offline } else { Source::Mirror(self::mirror(mirror)?) };
        Ok(Self { manifest, lock, cache: Cache::open(&cache_dir()?)?, source, lock_path })
    }

    /// SHA-256 of the lock file.
    pub fn lock_sha256(&self) -> anyhow::Result<String> {
        let text = std::fs::read(&self.lock_path).context("could not read the lock again")?;
        Ok(crate::manifest::Blob::of(&text).sha256)
    }

    /// The same supply as the toolchain wants it, for the compilers that it unpacks.
    pub fn compilers<'a>(&'a self, progress: &'a dyn Progress) -> FromLock<'a> {
        FromLock { lock: &self.lock, cache: &self.cache, source: &self.source, progress }
    }

    /// When the archive last changed for this lock: the time stamp of everything in the image.
    pub fn epoch(&self) -> anyhow::Result<u32> {
        let dates = self.lock.releases.iter().filter_map(|release| date::parse(&release.date));
        let newest = dates.max().context("the lock names no release file")?;
        u32::try_from(newest).context("the lock's release files are dated beyond 2106")
    }

    /// The packages of these features, each once, in the lock's order.
    pub fn locked(&self, features: &[&str]) -> anyhow::Result<Vec<&Locked>> {
        for feature in features {
            self.lock.feature(feature)?;
        }
        let wanted = |package: &&Locked| features.iter().any(|feature| package.features.contains(*feature));
        Ok(self.lock.packages.iter().filter(wanted).collect())
    }

    /// The files of these features in the cache, downloaded where they are missing.
    pub fn fetch(&self, packages: &[&Locked], progress: &dyn Progress) -> anyhow::Result<Vec<PathBuf>> {
        Ok(self.cache.fetch(packages, &self.source, progress)?)
    }

    /// The one file that a feature is wanted for, as image/packages.toml names it, out of its opened packages.
    pub fn taken<'a>(&self, feature: &str, packages: &'a [Opened]) -> anyhow::Result<&'a [u8]> {
        let named = self.manifest.features.get(feature).and_then(|feature| feature.file.as_deref());
        let path = named.with_context(|| {
            format!("image/packages.toml names no file of the feature '{feature}': add file = \"...\" to it")
        })?;
        let of_feature = packages.iter().filter(|opened| opened.features.contains(feature));
        let mut entries = of_feature.flat_map(|opened| &opened.entries);
        match entries.find(|entry| entry.path == path).map(|entry| &entry.kind) {
            Some(deb::EntryKind::File(bytes)) => Ok(bytes),
            _ => anyhow::bail!(
                "no package of the feature '{feature}' holds the file /{path}: correct image/packages.toml"
            ),
        }
    }

    /// Opens the packages of these features on all cores; the order is the lock's.
    pub fn read(&self, features: &[&str], progress: &dyn Progress) -> anyhow::Result<Vec<Opened>> {
        let packages = self.locked(features)?;
        let paths = self.fetch(&packages, &())?;
        let contents = deb::read_all(&paths, progress)?;
        let opened = packages.into_iter().zip(contents).map(|(locked, entries)| Opened {
            name: locked.name.clone(),
            features: locked.features.clone(),
            entries,
        });
        Ok(opened.collect())
    }
}

/// The mirror that the user named, else the one of this machine's apt.
pub fn mirror(args: &MirrorArgs) -> anyhow::Result<Mirror> {
    Ok(match &args.mirror {
        Some(main) => Mirror::named(main, args.security_mirror.as_deref())?,
        None => Mirror::from_apt()?,
    })
}

/// The one file of an opened package at `path`.
pub fn file<'a>(packages: &'a [Opened], package: &str, path: &Path) -> anyhow::Result<&'a [u8]> {
    let wanted = path.to_string_lossy();
    let found = packages.iter().filter(|opened| opened.name == package);
    let mut entries = found.flat_map(|opened| &opened.entries);
    match entries.find(|entry| entry.path == wanted).map(|entry| &entry.kind) {
        Some(deb::EntryKind::File(bytes)) => Ok(bytes),
        Some(_) => anyhow::bail!("/{wanted} in package {package} is not a regular file"),
        None => anyhow::bail!(
            "package {package} has no file /{wanted}: correct the path where the board or table names it"
        ),
    }
}
