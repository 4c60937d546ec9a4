//! Dependency fields: groups of alternatives, each a name with an optional architecture and version bound.

use std::cmp::Ordering;
use std::fmt;

use crate::version::Version;

/// `a (>= 1) | b`: any one of these will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group(pub Vec<Relation>);

/// One name with what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Package name, real or virtual.
    pub name: String,
    /// `any` or an architecture after a colon.
    pub architecture: Option<String>,
    /// The version bound.
    pub bound: Option<Bound>,
}

/// A version bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// How to compare.
    pub operator: Operator,
    /// With what.
    pub version: Version,
}

/// The five comparisons of a dependency field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    AtMost,
    /// `=`
    Exactly,
    /// `>=`
    AtLeast,
    /// `>>`
    Later,
}

impl Bound {
    /// Whether a version keeps the bound.
    pub fn admits(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.operator {
            Operator::Earlier => order == Ordering::Less,
            Operator::AtMost => order != Ordering::Greater,
            Operator::Exactly => order == Ordering::Equal,
            Operator::AtLeast => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }
}

/// Reads a whole field, commas and alternatives included.
pub fn parse_field(text: &str) -> Result<Vec<Group>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty())
        .map(|group| group.split('|').map(parse_relation).collect::<Result<_, _>>().map(Group))
        .collect()
}

/// Reads one relation: `name[:arch] [(op version)]`.
pub fn parse_relation(text: &str) -> Result<Relation, String> {
    let text = text.trim();
    let bad = |what: &str| format!("{what} in dependency '{}'", text.chars().take(120).collect::<String>());
    let (head, bound) = match text.split_once('(') {
        Some((head, rest)) => {
            let inside = rest.trim_end().strip_suffix(')').ok_or_else(|| bad("no closing parenthesis"))?;
            (head.trim(), Some(parse_bound(inside.trim()).map_err(|what| bad(&what))?))
        }
        None => (text, None),
    };
    let (name, architecture) = match head.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (head, None),
    };
    if !is_package_name(name) {
        return Err(bad("a name that is no package name"));
    }
    if !architecture.is_none_or(is_architecture) {
        return Err(bad("an architecture that is none"));
    }
    Ok(Relation { name: name.to_string(), architecture: architecture.map(str::to_string), bound })
}

fn parse_bound(text: &str) -> Result<Bound, String> {
    let end = text.find(|c| !"<>=".contains(c)).unwrap_or(text.len());
    let (operator, version) = text.split_at(end);
    let operator = match operator {
        "<<" => Operator::Earlier,
        "<=" => Operator::AtMost,
        "=" => Operator::Exactly,
        ">=" => Operator::AtLeast,
        ">>" => Operator::Later,
        other => return Err(format!("the comparison '{other}' (expected <<, <=, =, >= or >>)")),
    };
    Ok(Bound { operator, version: Version::parse(version.trim()).map_err(|error| error.to_string())? })
}

/// What Debian policy allows as a package name, with a bound on its length; keeps file names safe, too.
pub fn is_package_name(text: &str) -> bool {
    (2..=128).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// `amd64`, `arm64`, `all`, `any`, `kfreebsd-amd64`: lower case letters, digits, dashes.
pub fn is_architecture(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl fmt::Display for Relation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(out, ":{architecture}")?;
        }
        if let Some(bound) = &self.bound {
            let operator = match bound.operator {
                Operator::Earlier => "<<",
                Operator::AtMost => "<=",
                Operator::Exactly => "=",
                Operator::AtLeast => ">=",
                Operator::Later => ">>",
            };
            write!(out, " ({operator} {})", bound.version)?;
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, relation) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str(" | ")?;
            }
            write!(out, "{relation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_is_groups_of_alternatives() {
        let groups = parse_field("libc6 (>= 2.41), perl:any | perl-base (<<5) , debconf").unwrap();
        let shown: Vec<String> = groups.iter().map(Group::to_string).collect();
        assert_eq!(shown, ["libc6 (>= 2.41)", "perl:any | perl-base (<< 5)", "debconf"]);
        assert_eq!(groups[1].0[0].architecture.as_deref(), Some("any"));
    }

    #[test]
    fn a_bound_admits_what_its_operator_says() {
        let admitted = |field: &str| -> Vec<&str> {
            let relation = parse_relation(field).unwrap();
            let versions = ["1", "2", "3"];
            versions
                .into_iter()
                .filter(|v| relation.bound.as_ref().unwrap().admits(&Version::parse(v).unwrap()))
                .collect()
        };
        assert_eq!(admitted("a1 (<< 2)"), ["1"]);
        assert_eq!(admitted("a1 (<= 2)"), ["1", "2"]);
        assert_eq!(admitted("a1 (= 2)"), ["2"]);
        assert_eq!(admitted("a1 (>= 2)"), ["2", "3"]);
        assert_eq!(admitted("a1 (>> 2)"), ["3"]);
    }

    #[test]
    fn what_is_no_dependency_is_refused_and_quoted() {
        for bad in
            ["libc6 (>= 2.41", "libc6 (~> 1)", "lib c6", "../etc (= 1)", "a|", "x (= )", "UPPER", "libc6:a/b"]
        {
            let error = parse_field(bad).unwrap_err();
            assert!(error.contains("dependency '"), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = parse_field(&text);
        }

        #[test]
        fn what_is_shown_parses_to_the_same(name in "[a-z][a-z0-9+.-]{1,8}", version in "[0-9]{1,3}", op in "<<|<=|=|>=|>>") {
            let relation = parse_relation(&format!("{name} ({op} {version})")).unwrap();
            prop_assert_eq!(parse_relation(&relation.to_string()).unwrap(), relation);
        }
    }
}
