//! What a new lock changes against an old one: for a person to read before it is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::date;
use crate::error::{Error, Result};
use crate::index::Archive;
use crate::lock::{Lock, Locked};
use crate::version::Version;

/// One package's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Name.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// What happened.
    pub what: What,
    /// Whether the new version comes from the security archive.
    pub security: bool,
}

/// The kinds of change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// New in the lock, in this version.
    Added(String),
    /// No longer in the lock; this was its version.
    Removed(String),
    /// A newer version: from, to.
    Upgraded(String, String),
    /// An older version: from, to. Mirrors do not do this by themselves; look twice.
    Downgraded(String, String),
    /// The same version with other bytes. The archive never does this; look twice.
    Replaced(String),
    /// The same package for other features: gained, lost.
    Features(Vec<String>, Vec<String>),
}

/// The changes from one lock to another, by name.
pub fn changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let (before, after) = (by_name(old), by_name(new));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    keys.into_iter()
        .filter_map(|(name, architecture)| {
            let (was, is) = (before.get(&(name, architecture)), after.get(&(name, architecture)));
            let what = match (was, is) {
                (None, None) => return None,
                (None, Some(is)) => What::Added(is.version.clone()),
                (Some(was), None) => What::Removed(was.version.clone()),
                (Some(was), Some(is)) => compare(was, is)?,
            };
            let security = is.is_some_and(|is| is.archive == Archive::Security)
                && !matches!(what, What::Features(..) | What::Removed(_));
            Some(Change { name: name.to_string(), architecture: architecture.to_string(), what, security })
        })
        .collect()
}

fn by_name(lock: &Lock) -> BTreeMap<(&str, &str), &Locked> {
    lock.packages
        .iter()
        .map(|package| ((package.name.as_str(), package.architecture.as_str()), package))
        .collect()
}

fn compare(was: &Locked, is: &Locked) -> Option<What> {
    if was.version != is.version {
        let newer = match (Version::parse(&was.version), Version::parse(&is.version)) {
            (Ok(was), Ok(is)) => is >= was,
            _ => true,
        };
        let (from, to) = (was.version.clone(), is.version.clone());
        return Some(if newer { What::Upgraded(from, to) } else { What::Downgraded(from, to) });
    }
    if was.sha256 != is.sha256 {
        return Some(What::Replaced(is.version.clone()));
    }
    if was.features != is.features {
        let gained = is.features.difference(&was.features).cloned().collect();
        let lost = was.features.difference(&is.features).cloned().collect();
        return Some(What::Features(gained, lost));
    }
    None
}

/// Refuses a new lock that goes back in time against an old one: an older release file of a suite, an older version of
/// a package, or other bytes under a version that was there before. A signature stays good for ever, so a mirror (or
/// whoever sits before it) could serve the archive of last year, holes included.
pub fn refuse_setbacks(old: &Lock, new: &Lock) -> Result<()> {
    let mut setbacks = Vec::new();
    for release in &new.releases {
        let Some(before) = old.releases.iter().find(|before| before.suite == release.suite) else { continue };
        if date::parse(&release.date) < date::parse(&before.date) {
            setbacks.push(format!("{} of {}, locked before: {}", release.suite, release.date, before.date));
        }
    }
    let back = |change: &&Change| matches!(change.what, What::Downgraded(..) | What::Replaced(_));
    setbacks.extend(changes(old, new).iter().filter(back).map(Change::to_string));
    if setbacks.is_empty() { Ok(()) } else { Err(Error::Setback { setbacks }) }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{} {}", self.name, self.architecture);
        match &self.what {
            What::Added(version) => write!(out, "added       {name} {version}"),
            What::Removed(version) => write!(out, "removed     {name} {version}"),
            What::Upgraded(from, to) => write!(out, "upgraded    {name} {from} -> {to}"),
            What::Downgraded(from, to) => write!(out, "DOWNGRADED  {name} {from} -> {to}"),
            What::Replaced(version) => write!(out, "REPLACED    {name} {version}: other bytes, same version"),
            What::Features(gained, lost) => {
                write!(out, "features    {name}")?;
                gained.iter().try_for_each(|feature| write!(out, " +{feature}"))?;
                lost.iter().try_for_each(|feature| write!(out, " -{feature}"))
            }
        }?;
        if self.security { write!(out, "  [security]") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn lock(packages: &[(&str, &str, &str, &str, &str)]) -> Lock {
        let mut text = "version = 1\nmanifest = \"m\"\n".to_string();
        for (name, version, archive, digit, features) in packages {
            text += &format!(
                "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\narchitecture = \"arm64\"\narchive = \"{archive}\"\n\
                 path = \"pool/{name}.deb\"\nsize = 1\nsha256 = \"{}\"\nfeatures = [{features}]\n",
                digit.repeat(64)
            );
        }
        Lock::parse(&text, Path::new("packages.lock")).unwrap()
    }

    #[test]
    fn every_kind_of_change_is_told_and_security_is_marked() {
        let old = lock(&[
            ("gone", "1", "main", "a", "\"base\""),
            ("same", "1", "security", "a", "\"base\""),
            ("newer", "1.9-1", "main", "a", "\"base\""),
            ("older", "2", "main", "a", "\"base\""),
            ("swapped", "1", "main", "a", "\"base\""),
            ("moved", "1", "security", "a", "\"base\", \"x\""),
        ]);
        let new = lock(&[
            ("fresh", "1", "main", "a", "\"base\""),
            ("same", "1", "security", "a", "\"base\""),
            ("newer", "1.10-1", "security", "b", "\"base\""),
            ("older", "1", "main", "b", "\"base\""),
            ("swapped", "1", "main", "b", "\"base\""),
            ("moved", "1", "security", "a", "\"base\", \"y\""),
        ]);
        let told: Vec<String> = changes(&old, &new).iter().map(Change::to_string).collect();
        assert_eq!(
            told,
            [
                "added       fresh arm64 1",
                "removed     gone arm64 1",
                "features    moved arm64 +y -x",
                "upgraded    newer arm64 1.9-1 -> 1.10-1  [security]",
                "DOWNGRADED  older arm64 2 -> 1",
                "REPLACED    swapped arm64 1: other bytes, same version",
            ]
        );
    }

    #[test]
    fn equal_locks_have_no_changes() {
        let one = lock(&[("same", "1", "security", "a", "\"base\"")]);
        assert!(changes(&one, &one.clone()).is_empty());
    }
}
