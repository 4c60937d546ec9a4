//! Packages indexes: what a suite offers for an architecture, found by name or by what is provided.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::control::{ControlError, Paragraph, paragraphs};
use crate::dependency::{Bound, Operator, is_architecture, is_package_name, parse_field};
use crate::error::{Error, Result};
use crate::version::Version;

/// Which of the two archives a package comes from; its pool path is below that archive's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Archive {
    /// The main archive.
    Main,
    /// The security archive.
    Security,
}

/// Whether a package may stand in for another architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiArch {
    /// Its own architecture only.
    No,
    /// Installable beside itself for another architecture.
    Same,
    /// Serves any architecture.
    Foreign,
    /// Serves any architecture where the dependency says `:any`.
    Allowed,
}

/// One paragraph of a Packages file: what the resolver and the lock need.
#[derive(Debug, Clone)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: Version,
    /// `arm64`, `amd64`, …, or `all`.
    pub architecture: String,
    /// Where its pool path is.
    pub archive: Archive,
    /// Path below the archive's address.
    pub path: String,
    /// Size of the .deb.
    pub size: u64,
    /// SHA-256 of the .deb, lower case hex.
    pub sha256: String,
    /// Size when unpacked, as the package says it.
    pub installed_size: u64,
    /// What it stands in for.
    pub multi_arch: MultiArch,
    /// Priority: required 0, important 1, standard 2, the rest 3.
    pub priority: u8,
    /// Depends and Pre-Depends, unparsed: most packages are never walked.
    pub depends: String,
    /// Conflicts and Breaks, unparsed.
    pub conflicts: String,
    /// Virtual names, with their versions.
    pub provides: Vec<(String, Option<Version>)>,
    /// Where the paragraph starts.
    pub line: usize,
}

/// What one suite offers for one architecture.
#[derive(Debug, Default)]
pub struct Index {
    packages: Vec<Package>,
    by_name: HashMap<String, Vec<usize>>,
    by_provided: HashMap<String, Vec<usize>>,
}

/// No .deb of the archive comes near; a larger figure is a broken index.
const LARGEST_PACKAGE: u64 = 4 << 30;

impl Index {
    /// Reads a Packages file into the index; `origin` names it in errors.
    pub fn add(&mut self, text: &str, archive: Archive, origin: &str) -> Result<()> {
        let bad = |error: ControlError| Error::Index {
            origin: origin.into(),
            line: error.line,
            reason: error.reason,
        };
        for paragraph in paragraphs(text) {
            let package = read_package(&paragraph.map_err(bad)?, archive).map_err(bad)?;
            let at = self.packages.len();
            self.by_name.entry(package.name.clone()).or_default().push(at);
            for (name, _) in &package.provides {
                self.by_provided.entry(name.clone()).or_default().push(at);
            }
            self.packages.push(package);
        }
        Ok(())
    }

    /// How many packages there are.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether nothing has been read.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    fn at<'a>(
        &'a self,
        map: &'a HashMap<String, Vec<usize>>,
        name: &str,
    ) -> impl Iterator<Item = &'a Package> {
        map.get(name).into_iter().flatten().map(|at| &self.packages[*at])
    }
}

/// What several suites offer for one architecture.
#[derive(Debug, Clone, Default)]
pub struct Offer<'a>(Vec<&'a Index>);

impl<'a> Offer<'a> {
    /// Adds a suite's index.
    pub fn push(&mut self, index: &'a Index) {
        self.0.push(index);
    }

    /// The versions of a name that a bound admits, newest first; of equal versions the main archive's.
    pub fn named(&self, name: &str, bound: Option<&Bound>) -> Vec<&'a Package> {
        let of_name = self.0.iter().flat_map(|index| index.at(&index.by_name, name));
        let mut found: Vec<&Package> =
            of_name.filter(|package| bound.is_none_or(|bound| bound.admits(&package.version))).collect();
        found.sort_by(|a, b| b.version.cmp(&a.version).then(a.archive.cmp(&b.archive)));
        found
    }

    /// The packages that provide a name as the bound asks, the newest version of each, important ones first.
    pub fn providers(&self, name: &str, bound: Option<&Bound>) -> Vec<&'a Package> {
        let mut newest: Vec<&Package> = Vec::new();
        let providers = self.0.iter().flat_map(|index| index.at(&index.by_provided, name));
        for package in providers.filter(|package| package.provides(name, bound)) {
            match newest.iter_mut().find(|known| known.name == package.name) {
                Some(known) if package.version > known.version => *known = package,
                Some(_) => {}
                None => newest.push(package),
            }
        }
        newest.sort_by(|a, b| a.priority.cmp(&b.priority).then_with(|| a.name.cmp(&b.name)));
        newest
    }
}

impl Package {
    /// Whether this package provides a virtual name as the bound asks.
    pub fn provides(&self, name: &str, bound: Option<&Bound>) -> bool {
        self.provides.iter().any(|(provided, version)| {
            provided == name
                && match (bound, version) {
                    (None, _) => true,
                    (Some(bound), Some(version)) => bound.admits(version),
                    // Debian policy 7.5: an unversioned Provides meets no versioned dependency.
                    (Some(_), None) => false,
                }
        })
    }
}

fn read_package(paragraph: &Paragraph<'_>, archive: Archive) -> Result<Package, ControlError> {
    let fail = |field: &str, reason: String| ControlError { line: paragraph.line_of(field), reason };
    let need = |field: &str| {
        paragraph.get(field).ok_or_else(|| fail(field, format!("a package without the field '{field}'")))
    };
    let name = need("Package")?;
    if !is_package_name(name) {
        return Err(fail("Package", format!("'{}' is no package name", shortened(name))));
    }
    let version = Version::parse(need("Version")?)
        .map_err(|error| fail("Version", format!("package '{name}' has {error}")))?;
    let architecture = need("Architecture")?;
    if !is_architecture(architecture) {
        return Err(fail("Architecture", format!("'{}' is no architecture", shortened(architecture))));
    }
    let path = need("Filename")?;
    if !is_pool_path(path) {
        return Err(fail("Filename", format!("'{}' is no path below the archive", shortened(path))));
    }
    let size = need("Size")?;
    let size: u64 = size
        .parse()
        .ok()
        .filter(|size| (1..LARGEST_PACKAGE).contains(size))
        .ok_or_else(|| fail("Size", format!("'{}' is no package size", shortened(size))))?;
    let sha256 = need("SHA256")?;
    if !is_sha256(sha256) {
        return Err(fail(
            "SHA256",
            format!("'{}' is no SHA-256 (64 lower-case hex digits)", shortened(sha256)),
        ));
    }
    let mut provides = Vec::new();
    for group in parse_field(paragraph.get("Provides").unwrap_or(""))
        .map_err(|reason| fail("Provides", format!("package '{name}': {reason}")))?
    {
        for relation in group.0 {
            let version =
                relation.bound.filter(|bound| bound.operator == Operator::Exactly).map(|bound| bound.version);
            provides.push((relation.name, version));
        }
    }
    Ok(Package {
        name: name.to_string(),
        version,
        architecture: architecture.to_string(),
        archive,
        path: path.to_string(),
        size,
        sha256: sha256.to_string(),
        installed_size: paragraph.get("Installed-Size").and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
            << 10,
        multi_arch: match paragraph.get("Multi-Arch") {
            Some("same") => MultiArch::Same,
            Some("foreign") => MultiArch::Foreign,
            Some("allowed") => MultiArch::Allowed,
            _ => MultiArch::No,
        },
        priority: match paragraph.get("Priority") {
            Some("required") => 0,
            Some("important") => 1,
            Some("standard") => 2,
            _ => 3,
        },
        depends: both(paragraph, "Pre-Depends", "Depends"),
        conflicts: both(paragraph, "Conflicts", "Breaks"),
        provides,
        line: paragraph.line,
    })
}

fn both(paragraph: &Paragraph<'_>, first: &str, second: &str) -> String {
    match (paragraph.get(first), paragraph.get(second)) {
        (Some(first), Some(second)) => format!("{first}, {second}"),
        (Some(one), None) | (None, Some(one)) => one.to_string(),
        (None, None) => String::new(),
    }
}

/// A relative path of plain characters that cannot leave the archive.
pub fn is_pool_path(path: &str) -> bool {
    (1..=512).contains(&path.len())
        && path.ends_with(".deb")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+~%:-".contains(&byte))
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// 64 lower-case hex digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paragraph(change: (&str, &str)) -> String {
        let sum = "a".repeat(64);
        let fields = [
            ("Package", "libfoo1"),
            ("Version", "1:2.0-1+b1"),
            ("Architecture", "arm64"),
            ("Filename", "pool/main/f/foo/libfoo1_2.0-1+b1_arm64.deb"),
            ("Size", "1000"),
            ("SHA256", &sum),
            ("Provides", "libfoo (= 2.0), foo-api, foo-abi (>= 1)"),
            ("Multi-Arch", "same"),
            ("Priority", "required"),
            ("Installed-Size", "12"),
            ("Depends", "libc6"),
            ("Pre-Depends", "base-files"),
        ];
        let lines =
            fields.map(|(name, value)| if name == change.0 { (name, change.1) } else { (name, value) });
        lines
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect()
    }

    fn read(text: &str) -> Result<Index> {
        let mut index = Index::default();
        index.add(text, Archive::Main, "trixie arm64 Packages")?;
        Ok(index)
    }

    #[test]
    fn a_paragraph_becomes_a_package() {
        let index = read(&format!("{}\n\n{}", paragraph(("", "")), paragraph(("Package", "other")))).unwrap();
        assert_eq!(index.len(), 2);
        let mut offer = Offer::default();
        offer.push(&index);
        let package = offer.named("libfoo1", None)[0];
        assert_eq!((package.depends.as_str(), package.installed_size), ("base-files, libc6", 12 << 10));
        assert_eq!((package.multi_arch, package.priority), (MultiArch::Same, 0));
        let of = |field: &str| crate::dependency::parse_relation(field).unwrap();
        for (relation, expected) in [
            ("libfoo (>= 2)", 2),
            ("libfoo (>= 3)", 0),
            ("foo-api", 2),
            ("foo-api (>= 1)", 0),
            ("foo-abi (>= 1)", 0),
        ] {
            let relation = of(relation);
            assert_eq!(
                offer.providers(&relation.name, relation.bound.as_ref()).len(),
                expected,
                "{relation}"
            );
        }
    }

    #[test]
    fn a_bad_field_is_refused_with_its_line_and_the_index_named() {
        for (field, value) in [
            ("Package", ""),
            ("Package", "../../x"),
            ("Package", "UPPER"),
            ("Version", ""),
            ("Version", "1 2"),
            ("Architecture", "a/b"),
            ("Filename", "/etc/passwd"),
            ("Filename", "pool/../../x.deb"),
            ("Filename", "pool/x.rpm"),
            ("Filename", "pool/a b.deb"),
            ("Filename", "pool//x.deb"),
            ("Size", "0"),
            ("Size", "-1"),
            ("Size", "99999999999999999999"),
            ("SHA256", "abc"),
            ("SHA256", ""),
            ("Provides", "(= 1)"),
        ] {
            let text = format!("\n{}", paragraph((field, value)));
            match read(&text).unwrap_err() {
                Error::Index { origin, line, .. } => {
                    assert_eq!(origin, "trixie arm64 Packages");
                    assert!(line >= 2, "{field}: {value}");
                }
                other => panic!("{other}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = read(&text);
        }
    }
}
