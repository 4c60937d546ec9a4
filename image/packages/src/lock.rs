//! `image/packages.lock`: every package of every feature, pinned by name, version, size and SHA-256.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::date;
use crate::dependency::{is_architecture, is_package_name};
use crate::error::{Error, Result};
use crate::index::{Archive, Index, is_pool_path, is_sha256};
use crate::manifest::{Manifest, Suite, parse_toml, read_text};
use crate::mirror::Mirror;
use crate::progress::Progress;
use crate::release;
use crate::resolve::{Offers, resolve};
use crate::version::Version;

/// The lock: what a build may take, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    path: PathBuf,
    /// [`Manifest::meaning`] of the package list it was made from.
    pub manifest: String,
    /// The release files it was made from.
    pub releases: Vec<LockedRelease>,
    /// The packages, by name, architecture and version.
    pub packages: Vec<Locked>,
}

/// A release file that the lock was made from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRelease {
    /// The suite.
    pub suite: String,
    /// Which archive serves it.
    pub archive: Archive,
    /// Its Date.
    pub date: String,
    /// Its Valid-Until, where it has one.
    #[serde(default)]
    pub valid_until: Option<String>,
    /// Fingerprint of the key whose signature was good.
    pub signed_by: String,
}

/// One binary package.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture, or `all`.
    pub architecture: String,
    /// Which archive serves it.
    pub archive: Archive,
    /// Path below that archive's address.
    pub path: String,
    /// Size of the .deb.
    pub size: u64,
    /// SHA-256 of the .deb, lower-case hex.
    pub sha256: String,
    /// The features that need it.
    pub features: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    manifest: String,
    #[serde(default)]
    release: Vec<LockedRelease>,
    #[serde(default)]
    package: Vec<Locked>,
}

/// Makes a new lock from today's suites: release files checked, indexes checked, every feature resolved.
/// `now` is the clock in seconds since 1970 (see [`now`]).
pub fn resolve_fresh(
    manifest: &Manifest,
    mirror: &Mirror,
    now: u64,
    progress: &dyn Progress,
) -> Result<Lock> {
    let mut releases = Vec::new();
    for suite in &manifest.suites {
        let (release, base) = release::fetch(manifest, suite, mirror, now)?;
        tracing::info!(suite = suite.name, date = %date::format(release.date), signed_by = release.signed_by, "release");
        releases.push((suite, release, base));
    }
    let mut total = 0;
    for (suite, release, _) in &releases {
        for architecture in manifest.architectures(suite) {
            total += release.index_size(architecture)?;
        }
    }
    progress.total(total);
    let mut indexes: Vec<(&Suite, &str, Index)> = Vec::new();
    for (suite, release, base) in &releases {
        let mut texts: HashMap<&str, String> = HashMap::new();
        for architecture in manifest.architectures(suite) {
            // A small suite often has the same bytes for every architecture, and not every mirror has them thrice.
            let text = match texts.entry(release.index_sum(architecture)?) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(release.fetch_index(mirror, base, architecture)?),
            };
            let mut index = Index::default();
            index.add(text, suite.archive, &format!("{} {architecture} Packages", suite.name))?;
            indexes.push((suite, architecture, index));
            progress.advance(release.index_size(architecture)?);
        }
    }
    let mut packages: BTreeMap<(String, String, String), Locked> = BTreeMap::new();
    for (name, feature) in &manifest.features {
        let mut offers = Offers::new();
        for (_, architecture, index) in indexes.iter().filter(|(suite, ..)| feature.takes_from(suite)) {
            offers.entry(architecture.to_string()).or_default().push(index);
        }
        for package in resolve(name, feature, &offers)? {
            let key = (package.name.clone(), package.architecture.clone(), package.version.to_string());
            let locked = packages.entry(key).or_insert_with(|| Locked {
                name: package.name.clone(),
                version: package.version.to_string(),
                architecture: package.architecture.clone(),
                archive: package.archive,
                path: package.path.clone(),
                size: package.size,
                sha256: package.sha256.clone(),
                features: BTreeSet::new(),
            });
            locked.features.insert(name.clone());
        }
    }
    let releases = releases.into_iter().map(|(suite, release, _)| LockedRelease {
        suite: suite.name.clone(),
        archive: suite.archive,
        date: date::format(release.date),
        valid_until: release.valid_until.map(date::format),
        signed_by: release.signed_by,
    });
    Ok(Lock {
        path: manifest.path().with_extension("lock"),
        manifest: manifest.meaning(),
        releases: releases.collect(),
        packages: packages.into_values().collect(),
    })
}

/// This machine's clock, in seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

impl Lock {
    /// Reads a lock.
    pub fn load(path: &Path) -> Result<Lock> {
        match read_text(path) {
            Ok(text) => Lock::parse(&text, path),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NoLock { path: path.to_path_buf() })
            }
            Err(error) => Err(error),
        }
    }

    /// Checks a lock's text; `path` names it in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Lock> {
        let raw: Raw = parse_toml(text, path)?;
        let fail = |message: String| Error::Manifest {
            path: path.to_path_buf(),
            message: format!("{message}; the lock is written by `stayput lock`, not by hand"),
        };
        if raw.version != 1 {
            return Err(fail(format!("version = {} is not known; expected version = 1", raw.version)));
        }
        let mut seen = BTreeSet::new();
        for package in &raw.package {
            if let Some(what) = package.mistake() {
                return Err(fail(format!("package '{}': {what}", package.name)));
            }
            if !seen.insert((&package.name, &package.version, &package.architecture)) {
                return Err(fail(format!("package '{package}' is there twice")));
            }
        }
        Ok(Lock {
            path: path.to_path_buf(),
            manifest: raw.manifest,
            releases: raw.release,
            packages: raw.package,
        })
    }

    /// The file it belongs in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error that names the remedy when the package list has changed since.
    pub fn check_current(&self, manifest: &Manifest) -> Result<()> {
        if self.manifest == manifest.meaning() {
            return Ok(());
        }
        Err(Error::StaleLock { path: self.path.clone() })
    }

    /// The names of the features.
    pub fn features(&self) -> BTreeSet<&str> {
        self.packages.iter().flat_map(|package| &package.features).map(String::as_str).collect()
    }

    /// The packages of a feature, in the lock's order.
    pub fn feature(&self, name: &str) -> Result<Vec<&Locked>> {
        let found: Vec<&Locked> =
            self.packages.iter().filter(|package| package.features.contains(name)).collect();
        if found.is_empty() {
            let known = self.features().into_iter().collect::<Vec<_>>().join(", ");
            return Err(Error::NoFeature { name: name.to_string(), known });
        }
        Ok(found)
    }

    /// The lock as it is written: a block per package, in a stable order.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Every package that a build may take. Written by `stayput lock` from packages.toml; do not edit.\n\
             # The build trusts these hashes and nothing else; the dates are those of the signed release files.\n",
        );
        let _ = writeln!(text, "version = 1\nmanifest = \"{}\"", self.manifest);
        for release in &self.releases {
            let archive = archive_name(release.archive);
            let _ = write!(
                text,
                "\n[[release]]\nsuite = \"{}\"\narchive = \"{archive}\"\ndate = \"{}\"\n",
                release.suite, release.date
            );
            if let Some(end) = &release.valid_until {
                let _ = writeln!(text, "valid_until = \"{end}\"");
            }
            let _ = writeln!(text, "signed_by = \"{}\"", release.signed_by);
        }
        for package in &self.packages {
            let features: Vec<String> = package.features.iter().map(|name| format!("\"{name}\"")).collect();
            let _ = write!(
                text,
                "\n[[package]]\nname = \"{}\"\nversion = \"{}\"\narchitecture = \"{}\"\narchive = \"{}\"\npath = \"{}\"\nsize = {}\nsha256 = \"{}\"\nfeatures = [{}]\n",
                package.name,
                package.version,
                package.architecture,
                archive_name(package.archive),
                package.path,
                package.size,
                package.sha256,
                features.join(", ")
            );
        }
        text
    }

    /// Writes the lock in one step: the old one stays until the new one is whole.
    pub fn save(&self, path: &Path) -> Result<()> {
        let partial = path.with_extension("lock.new");
        let write = || {
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&partial, path)
        };
        write().map_err(Error::io("write", path))
    }
}

impl Locked {
    /// The file name in the cache: readable, and safe because name, version and architecture are checked.
    pub(crate) fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }

    fn mistake(&self) -> Option<String> {
        if !is_package_name(&self.name) {
            return Some("its name is no package name".into());
        }
        if let Err(error) = Version::parse(&self.version) {
            return Some(format!("it has {error}"));
        }
        if !is_architecture(&self.architecture) {
            return Some(format!("'{}' is no architecture", self.architecture));
        }
        if !is_pool_path(&self.path) {
            return Some(format!("'{}' is no path below the archive", self.path));
        }
        if !is_sha256(&self.sha256) {
            return Some("its sha256 is not 64 lower-case hex digits".into());
        }
        if self.size == 0 {
            return Some("its size is 0".into());
        }
        if self.features.is_empty() {
            return Some("it belongs to no feature".into());
        }
        None
    }
}

impl std::fmt::Display for Locked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} {}", self.name, self.version, self.architecture)
    }
}

fn archive_name(archive: Archive) -> &'static str {
    match archive {
        Archive::Main => "main",
        Archive::Security => "security",
    }
}
