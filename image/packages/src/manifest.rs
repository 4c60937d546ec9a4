//! `image/packages.toml`: which packages per feature and why, what is left out, which keys sign the suites.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::dependency::{is_architecture, is_package_name};
use crate::error::{Error, Result};
use crate::index::Archive;

/// The package list, checked.
#[derive(Debug, Clone)]
pub struct Manifest {
    path: PathBuf,
    /// The suites to read, in the order they are written.
    pub suites: Vec<Suite>,
    /// The keys that sign them.
    pub keys: BTreeMap<String, KeyPin>,
    /// The features.
    pub features: BTreeMap<String, Feature>,
}

/// One suite of the distribution.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Codename as in `dists/NAME`.
    pub name: String,
    /// Which archive serves it.
    pub archive: Archive,
    /// Names of the keys that may sign it.
    pub keys: Vec<String>,
    /// Whether its release file must carry a Valid-Until.
    pub expires: bool,
}

/// A key file and the fingerprint it must have.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPin {
    /// File, beside the package list.
    pub file: String,
    /// The primary key's fingerprint, 40 upper-case hex digits.
    pub fingerprint: String,
}

/// A group of packages that are wanted together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The architecture of its packages, unless a name says another one.
    pub architecture: String,
    /// What it is for.
    pub why: String,
    /// The one file that is taken out of its packages, where the rest is of no use: `usr/lib/…`, as in the package.
    #[serde(default)]
    pub file: Option<String>,
    /// The suites to take from, where not all.
    #[serde(default)]
    pub suites: Option<Vec<String>>,
    /// Roots of the walk, each with its reason.
    pub packages: BTreeMap<String, String>,
    /// Names where the walk stops, each with its reason.
    #[serde(default)]
    pub omit: BTreeMap<String, String>,
    /// For a virtual name or one of several alternatives: the package to take.
    #[serde(default)]
    pub prefer: BTreeMap<String, String>,
}

impl Feature {
    /// Whether packages of a suite may be taken.
    pub fn takes_from(&self, suite: &Suite) -> bool {
        self.suites.as_ref().is_none_or(|names| names.contains(&suite.name))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    suite: Vec<Suite>,
    keys: BTreeMap<String, KeyPin>,
    features: BTreeMap<String, Feature>,
}

impl Manifest {
    /// Reads and checks a package list.
    pub fn load(path: &Path) -> Result<Manifest> {
        Manifest::parse(&read_text(path)?, path)
    }

    /// Checks a package list; `path` names it in errors and is where the key files are looked for.
    pub fn parse(text: &str, path: &Path) -> Result<Manifest> {
        let raw: Raw = parse_toml(text, path)?;
        let manifest =
            Manifest { path: path.to_path_buf(), suites: raw.suite, keys: raw.keys, features: raw.features };
        if raw.version != 1 {
            return Err(
                manifest.fail(format!("version = {} is not known; expected version = 1", raw.version))
            );
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that holds the list; key files are named from here.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Every architecture whose index of a suite some feature needs.
    pub fn architectures(&self, suite: &Suite) -> BTreeSet<&str> {
        self.features
            .values()
            .filter(|feature| feature.takes_from(suite))
            .flat_map(|feature| {
                let named = feature.packages.keys().filter_map(|name| name.split_once(':').map(|(_, a)| a));
                named.chain([feature.architecture.as_str()])
            })
            .collect()
    }

    /// SHA-256 over what the list *means*: a reworded reason or comment leaves the lock good, a changed package does not.
    pub fn meaning(&self) -> String {
        let mut text = String::from("stayput packages 1\n");
        for suite in &self.suites {
            text += &format!(
                "suite {} {:?} {} {}\n",
                suite.name,
                suite.archive,
                suite.keys.join(","),
                suite.expires
            );
        }
        for (name, key) in &self.keys {
            text += &format!("key {name} {} {}\n", key.file, key.fingerprint);
        }
        for (name, feature) in &self.features {
            text += &format!("feature {name} {}\n", feature.architecture);
            for suite in feature.suites.iter().flatten() {
                text += &format!("from {suite}\n");
            }
            for package in feature.packages.keys() {
                text += &format!("package {package}\n");
            }
            for omitted in feature.omit.keys() {
                text += &format!("omit {omitted}\n");
            }
            for (instead, package) in &feature.prefer {
                text += &format!("prefer {instead} {package}\n");
            }
        }
        hex::encode(Sha256::digest(text.as_bytes()))
    }

    fn fail(&self, message: impl Into<String>) -> Error {
        Error::Manifest { path: self.path.clone(), message: message.into() }
    }

    fn check(&self) -> Result<()> {
        if self.suites.is_empty() || self.features.is_empty() {
            return Err(self.fail("expected at least one [[suite]] and one [features.NAME]"));
        }
        for suite in &self.suites {
            if !is_suite_name(&suite.name) {
                return Err(
                    self.fail(format!("suite '{}': expected a name like 'trixie-security'", suite.name))
                );
            }
            if suite.keys.is_empty() {
                return Err(self.fail(format!("suite '{}' names no key that may sign it", suite.name)));
            }
            if let Some(key) = suite.keys.iter().find(|key| !self.keys.contains_key(*key)) {
                return Err(self.fail(format!(
                    "suite '{}' names the key '{key}', and [keys] has none so named",
                    suite.name
                )));
            }
        }
        for (name, key) in &self.keys {
            let hex = key.fingerprint.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
            if key.fingerprint.len() != 40 || !hex {
                return Err(self.fail(format!(
                    "key '{name}': '{}' is no fingerprint; expected 40 hex digits in upper case",
                    key.fingerprint
                )));
            }
        }
        for (name, feature) in &self.features {
            self.check_feature(name, feature)?;
        }
        Ok(())
    }

    fn check_feature(&self, name: &str, feature: &Feature) -> Result<()> {
        let fail = |message: String| Err(self.fail(format!("feature '{name}': {message}")));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return fail("expected a name of lower-case letters, digits and dashes".into());
        }
        if !is_real_architecture(&feature.architecture) {
            return fail(format!("architecture '{}': expected one such as \"arm64\"", feature.architecture));
        }
        if feature.why.trim().is_empty() {
            return fail("'why' is empty; say what the feature is for".into());
        }
        if feature.packages.is_empty() {
            return fail("it has no packages".into());
        }
        if let Some(file) = feature.file.as_deref().filter(|file| !is_path_in_package(file)) {
            return fail(format!(
                "file: '{file}' is no path as in a package; expected one like \"usr/lib/x\""
            ));
        }
        for suite in feature.suites.iter().flatten() {
            if !self.suites.iter().any(|known| known.name == *suite) {
                return fail(format!("suites: there is no [[suite]] named '{suite}'"));
            }
        }
        for (table, entries) in [("packages", &feature.packages), ("omit", &feature.omit)] {
            for (package, why) in entries {
                let (bare, architecture) = split_name(package);
                if !is_package_name(bare) || !architecture.is_none_or(is_real_architecture) {
                    return fail(format!(
                        "{table}: '{package}' is no package name (expected name or name:architecture)"
                    ));
                }
                if why.trim().is_empty() {
                    return fail(format!("{table}: '{package}' has no reason; say why"));
                }
            }
        }
        for (instead, package) in &feature.prefer {
            if !is_package_name(instead) || !is_package_name(package) {
                return fail(format!("prefer: '{instead}' = '{package}': expected two package names"));
            }
        }
        if let Some(both) = feature.packages.keys().find(|package| feature.omit.contains_key(*package)) {
            return fail(format!("'{both}' is both wanted and omitted"));
        }
        Ok(())
    }
}

/// `name` or `name:architecture`.
pub(crate) fn split_name(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (text, None),
    }
}

fn is_real_architecture(text: &str) -> bool {
    is_architecture(text) && text != "any" && text != "all"
}

fn is_path_in_package(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn is_suite_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A text file of a person's: UTF-8, a BOM allowed.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let message = "not UTF-8 from here on; save the file as UTF-8".to_string();
        Error::Text { path: path.to_path_buf(), line, column: 1, message }
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// Reads TOML with the place of a mistake as line and column.
pub(crate) fn parse_toml<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..at).unwrap_or("");
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or("").chars().count();
        Error::Text { path: path.to_path_buf(), line, column, message: error.message().to_string() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
version = 1
[[suite]]
name = "trixie"
archive = "main"
keys = ["archive"]
expires = false
[keys.archive]
file = "keys/archive.asc"
fingerprint = "0123456789ABCDEF0123456789ABCDEF01234567"
[features.base]
architecture = "arm64"
why = "the system"
[features.base.packages]
systemd = "PID 1"
"libc6:armhf" = "both"
[features.base.omit]
perl = "no scripts"
"#;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text, Path::new("image/packages.toml"))
    }

    #[test]
    fn a_package_list_is_read_with_windows_line_ends_and_a_bom_too() {
        let manifest = parse(GOOD).unwrap();
        assert_eq!(manifest.architectures(&manifest.suites[0]), BTreeSet::from(["arm64", "armhf"]));
        assert_eq!(manifest.folder(), Path::new("image"));
        let windows = parse(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))).unwrap();
        assert_eq!(windows.meaning(), manifest.meaning());
    }

    #[test]
    fn only_a_change_of_meaning_changes_the_meaning() {
        let meaning = |from: &str, to: &str| parse(&GOOD.replace(from, to)).unwrap().meaning();
        let good = meaning("", "");
        assert_eq!(good, meaning("PID 1", "the first process"));
        assert_eq!(good, meaning("[features.base.omit]", "# why\n[features.base.omit]"));
        for (from, to) in [
            ("systemd", "systemd-resolved"),
            ("perl", "perl-base"),
            ("\"arm64\"", "\"amd64\""),
            ("false", "true"),
            ("01234567\"", "01234568\""),
            ("\"trixie\"", "\"trixie-updates\""),
            ("features.base", "features.core"),
            ("why = \"the system\"", "why = \"the system\"\nsuites = [\"trixie\"]"),
        ] {
            assert_ne!(good, meaning(from, to), "{to}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for (from, to, told) in [
            ("version = 1", "version = 2", "version = 2"),
            ("keys = [\"archive\"]", "keys = []", "no key"),
            ("keys = [\"archive\"]", "keys = [\"other\"]", "'other'"),
            ("0123456789ABCDEF", "0123456789abcdef", "upper case"),
            ("01234567\"", "0123\"", "40 hex digits"),
            ("\"trixie\"", "\"tri/xie\"", "tri/xie"),
            ("why = \"the system\"", "why = \"x\"\nfile = \"/usr/lib\"", "file"),
            ("why = \"the system\"", "why = \"x\"\nfile = \"a/../b\"", "file"),
            ("\"arm64\"", "\"all\"", "architecture 'all'"),
            ("\"the system\"", "\" \"", "'why' is empty"),
            ("\"PID 1\"", "\"\"", "'systemd' has no reason"),
            ("\"no scripts\"", "\"\"", "'perl' has no reason"),
            ("systemd", "Systemd", "'Systemd' is no package name"),
            ("libc6:armhf", "libc6:any", "'libc6:any'"),
            ("perl", "systemd", "both wanted and omitted"),
            ("features.base", "features.\"Base!\"", "lower-case"),
            ("why =", "suites = [\"sid\"]\nwhy =", "named 'sid'"),
            ("perl = \"no scripts\"", "[features.base.prefer]\nawk = \"M!\"", "prefer"),
            ("systemd = \"PID 1\"\n\"libc6:armhf\" = \"both\"", "", "no packages"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = parse(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("image/packages.toml"), "{to}: {error}");
        }
    }

    #[test]
    fn a_mistake_in_the_toml_has_line_and_column() {
        for (from, to, line) in [
            ("archive = \"main\"", "archive = \"mein\"", 5),
            ("expires = false", "expires = false\ncolour = \"red\"", 8),
            ("architecture = \"arm64\"", "architecture = ", 12),
        ] {
            match parse(&GOOD.replace(from, to)).unwrap_err() {
                Error::Text { line: found, column, .. } => {
                    assert_eq!((found, column > 0), (line, true), "{to}")
                }
                other => panic!("{other}"),
            }
        }
        assert!(matches!(parse("").unwrap_err(), Error::Text { .. }));
    }

    #[test]
    fn a_file_that_is_not_utf8_is_named_with_the_line() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("packages.toml");
        std::fs::write(&path, b"version = 1\n# caf\xe9\n").unwrap();
        assert!(matches!(Manifest::load(&path).unwrap_err(), Error::Text { line: 2, .. }));
        assert_eq!(Manifest::load(&folder.path().join("none")).unwrap_err().kind(), crate::Kind::Io);
    }
}
