//! The sources whose code is inside a package without being a package of its own: what Debian's Go and Rust programs were
//! linked from. Debian writes it into the package's control file; the programs themselves do not say it.

use std::collections::BTreeSet;

use crate::control::paragraphs;
use crate::dependency::{Operator, parse_field};

/// The fields that say it: for licences that ask for the source, for static linking, and the older name of that.
const FIELDS: [&str; 3] = ["Built-Using", "Static-Built-Using", "X-Cargo-Built-Using"];

/// A source package of Debian.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The sources that a package's control file names; see [`crate::deb::control`].
pub fn built_using(control: &str) -> Result<BTreeSet<SourcePackage>, String> {
    let paragraph = paragraphs(control).next().ok_or("the control file is empty")?;
    let paragraph = paragraph.map_err(|error| format!("line {}: {}", error.line, error.reason))?;
    let mut sources = BTreeSet::new();
    for field in FIELDS {
        let Some(value) = paragraph.get(field) else { continue };
        let groups = parse_field(value).map_err(|reason| format!("{field}: {reason}"))?;
        for relation in groups.into_iter().flat_map(|group| group.0) {
            match relation.bound {
                Some(bound) if bound.operator == Operator::Exactly => {
                    sources.insert(SourcePackage { name: relation.name, version: bound.version.to_string() })
                }
                _ => return Err(format!("{field} names {} without its version", relation.name)),
            };
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(control: &str) -> Vec<String> {
        let found = built_using(control).unwrap();
        found.into_iter().map(|source| format!("{} {}", source.name, source.version)).collect()
    }

    #[test]
    fn the_sources_of_all_fields_are_named_once_each_with_their_version() {
        let control = "Package: docker.io\nBuilt-Using: golang-1.24 (= 1.24.4-1), runc (= 1.1.15+ds1-2)\n\
                       Static-Built-Using: golang-1.24 (= 1.24.4-1),\n containerd (= 1.7.24~ds1-6+deb13u1)\n";
        let wanted = ["containerd 1.7.24~ds1-6+deb13u1", "golang-1.24 1.24.4-1", "runc 1.1.15+ds1-2"];
        assert_eq!(names(control), wanted);
        assert_eq!(names(&control.replace('\n', "\r\n")), wanted);
        assert_eq!(names(&format!("\u{feff}{control}")), wanted);
    }

    #[test]
    fn a_package_that_names_none_has_none() {
        assert!(names("Package: tzdata\nVersion: 1\n").is_empty());
        assert!(names("Package: x\nBuilt-Using:\n").is_empty());
    }

    #[test]
    fn a_source_without_its_exact_version_is_refused_by_name() {
        for value in ["golang-1.24", "golang-1.24 (>= 1)", "golang-1.24 (= 1) | other"] {
            let error = built_using(&format!("Package: x\nBuilt-Using: {value}\n")).unwrap_err();
            assert!(error.starts_with("Built-Using names "), "{error}");
        }
        assert!(built_using("Package: x\nBuilt-Using: golang (= 1\n").unwrap_err().contains("parenthesis"));
        assert!(built_using("").is_err() && built_using("<html>").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = built_using(&format!("Built-Using: {text}"));
        }
    }
}
