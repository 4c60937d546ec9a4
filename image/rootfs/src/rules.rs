//! `image/rootfs.toml`: every decision about the root file system that is data, each with its reason.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Deserializer, de};

use crate::error::{Error, Result};

/// The one version of the table this program reads.
const VERSION: u32 = 1;

/// The checked table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    version: u32,
    #[serde(default, rename = "drop")]
    pub(crate) drops: Vec<Drop>,
    #[serde(default, rename = "keep")]
    pub(crate) keeps: Vec<Keep>,
    #[serde(default, rename = "symlink")]
    pub(crate) symlinks: Vec<Symlink>,
    #[serde(default, rename = "directory")]
    pub(crate) directories: Vec<Directory>,
    #[serde(default, rename = "setuid")]
    pub(crate) setuids: Vec<Rights>,
    #[serde(default, rename = "strip")]
    pub(crate) strips: Vec<Reasoned>,
    #[serde(default, rename = "user")]
    pub(crate) users: Vec<User>,
    #[serde(default, rename = "group")]
    pub(crate) groups: Vec<Group>,
    #[serde(default)]
    pub(crate) unneeded: Vec<Unneeded>,
    #[serde(default, rename = "mask")]
    pub(crate) masks: Vec<Mask>,
    #[serde(default)]
    pub(crate) runtime: Vec<Reasoned>,
    #[serde(default)]
    pub(crate) runtime_units: Vec<RuntimeUnits>,
    /// Where the table came from, for messages.
    #[serde(skip)]
    pub(crate) file: String,
}

/// Files of packages that stay out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drop {
    /// Globs (`*` within a name, `**` over folders); a folder goes with all that is in it.
    pub paths: Vec<String>,
    pub why: String,
    /// Allowed to match nothing: a package may or may not ship it.
    #[serde(default)]
    pub optional: bool,
}

/// Exceptions from the drop rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keep {
    pub paths: Vec<String>,
    pub why: String,
}

/// A link that a maintainer script would have made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Symlink {
    pub path: String,
    pub to: String,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// A directory, mostly a mount point.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Directory {
    pub path: String,
    pub mode: Mode,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// A setuid or setgid file that may stay, with exactly this mode.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rights {
    pub path: String,
    pub mode: Mode,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// A path and the reason for what the table's name says about it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reasoned {
    pub path: String,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// An account with its pinned number. Its primary group has the same name unless `group` says otherwise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub name: String,
    pub uid: u32,
    pub group: Option<String>,
    pub home: Option<String>,
    pub shell: Option<String>,
    pub why: String,
}

/// A group with its pinned number.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub name: String,
    pub gid: u32,
    #[serde(default)]
    pub members: Vec<String>,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// Accounts that packages name and nothing on the box uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unneeded {
    #[serde(default)]
    pub users: Vec<String>,
    #[serde(default)]
    pub groups: Vec<String>,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// A unit that nothing may start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mask {
    pub unit: String,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// Units that exist on the running box only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeUnits {
    pub units: Vec<String>,
    #[allow(dead_code, reason = "read by people, required by the parser")]
    pub why: String,
}

/// Permission bits, written as an octal string: `"0755"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let octal = text.len() == 4 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if octal => Ok(Self(bits)),
            _ => {
                Err(de::Error::custom(format!("{text:?} is no mode; write four octal digits, like \"0755\"")))
            }
        }
    }
}

impl Rules {
    /// Reads and checks the table.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Checks the table's text; `file` is its name in messages.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules: Self = toml::from_str(text)
            .map_err(|error| Error::Rules { file: file.to_owned(), message: error.to_string() })?;
        file.clone_into(&mut rules.file);
        if rules.version != VERSION {
            return Err(rules.wrong("version", format!("is {}, this builder reads {VERSION}", rules.version)));
        }
        rules.check_reasons()?;
        crate::accounts::check(&rules)?;
        Ok(rules)
    }

    /// An error about one entry of this table.
    pub(crate) fn wrong(&self, entry: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Table { file: self.file.clone(), entry: entry.into(), problem: problem.into() }
    }

    /// A rule without a reason is a rule that nobody dares to remove.
    fn check_reasons(&self) -> Result<()> {
        let mut reasons: Vec<(String, &str)> = Vec::new();
        reasons.extend(self.drops.iter().map(|rule| (format!("[[drop]] {:?}", rule.paths), &*rule.why)));
        reasons.extend(self.keeps.iter().map(|rule| (format!("[[keep]] {:?}", rule.paths), &*rule.why)));
        reasons.extend(self.symlinks.iter().map(|rule| (format!("[[symlink]] {}", rule.path), &*rule.why)));
        reasons
            .extend(self.directories.iter().map(|rule| (format!("[[directory]] {}", rule.path), &*rule.why)));
        reasons.extend(self.setuids.iter().map(|rule| (format!("[[setuid]] {}", rule.path), &*rule.why)));
        reasons.extend(self.strips.iter().map(|rule| (format!("[[strip]] {}", rule.path), &*rule.why)));
        reasons.extend(self.users.iter().map(|rule| (format!("[[user]] {}", rule.name), &*rule.why)));
        reasons.extend(self.groups.iter().map(|rule| (format!("[[group]] {}", rule.name), &*rule.why)));
        reasons
            .extend(self.unneeded.iter().map(|rule| (format!("[[unneeded]] {:?}", rule.users), &*rule.why)));
        reasons.extend(self.masks.iter().map(|rule| (format!("[[mask]] {}", rule.unit), &*rule.why)));
        reasons.extend(self.runtime.iter().map(|rule| (format!("[[runtime]] {}", rule.path), &*rule.why)));
        reasons.extend(
            self.runtime_units.iter().map(|rule| (format!("[[runtime_units]] {:?}", rule.units), &*rule.why)),
        );
        match reasons.into_iter().find(|(_, why)| why.trim().is_empty()) {
            Some((entry, _)) => Err(self.wrong(entry, "has an empty `why`; every rule says its reason")),
            None => Ok(()),
        }
    }

    /// Names that packages may use without an account of that name.
    pub(crate) fn unneeded_users(&self) -> BTreeSet<&str> {
        self.unneeded.iter().flat_map(|rule| &rule.users).map(String::as_str).collect()
    }

    /// The same for groups.
    pub(crate) fn unneeded_groups(&self) -> BTreeSet<&str> {
        self.unneeded.iter().flat_map(|rule| &rule.groups).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Rules::parse(text, "rootfs.toml").unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = "version = 1\n\n[[drop]]\npaths = [\"a\"]\nwhy = \"b\"\nwhen = \"c\"\n";
        let message = message(text);
        assert!(message.contains("line 6") && message.contains("when"), "{message}");
    }

    #[test]
    fn a_rule_without_a_reason_is_refused() {
        assert!(message("version = 1\n[[drop]]\npaths = [\"a\"]\nwhy = \" \"\n").contains("reason"));
        assert!(message("version = 1\n[[drop]]\npaths = [\"a\"]\n").contains("why"));
    }

    #[test]
    fn a_mode_that_is_not_four_octal_digits_is_refused() {
        for mode in ["755", "0o755", "0789", "+755", ""] {
            let text = format!("version = 1\n[[directory]]\npath = \"a\"\nmode = \"{mode}\"\nwhy = \"b\"\n");
            assert!(message(&text).contains("octal"), "{mode}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        assert!(message("version = 2\n").contains("reads 1"));
    }

    #[test]
    fn crlf_and_a_byte_order_mark_are_accepted() {
        let text = "\u{feff}version = 1\r\n[[drop]]\r\npaths = [\"a\"]\r\nwhy = \"b\"\r\n";
        assert_eq!(Rules::parse(text, "rootfs.toml").unwrap().drops.len(), 1);
    }
}
