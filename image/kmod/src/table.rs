//! The module lists: `image/modules.toml` for every board, with what each `board.toml` adds to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::name::ModuleName;

/// `image/modules.toml`: groups of modules that every image carries, each with its reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleTable {
    version: u32,
    /// The groups, in the order in which the initramfs loads them.
    #[serde(default, rename = "group")]
    pub groups: Vec<Group>,
    /// What is left out although a board has the device.
    #[serde(default)]
    pub unneeded: Vec<Unneeded>,
}

/// Modules that are there for one reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// A short name.
    pub name: String,
    /// Why the image carries them.
    pub why: String,
    /// Loaded by the initramfs, and in the root as well.
    #[serde(default)]
    pub initramfs: Vec<String>,
    /// In the root, for udev and modprobe to load when something asks.
    #[serde(default)]
    pub root: Vec<String>,
}

/// Drivers of devices that a board has and the product does not use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unneeded {
    /// The drivers.
    pub modules: Vec<String>,
    /// Why the image does without them.
    pub why: String,
}

/// The two lists of a board (`[modules]` in its `board.toml`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoardModules {
    /// Loaded by the initramfs in this order, and in the root as well.
    pub initramfs: Vec<String>,
    /// In the root.
    pub root: Vec<String>,
}

impl ModuleTable {
    /// Reads the table; `file` is its path, for messages.
    ///
    /// A name that stands twice is refused: two reasons for one module means that one of them is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let refuse = |message: String| Error::Table { file: file.to_owned(), message };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table: Self = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if table.version != 1 {
            return Err(refuse(format!("version is {}, expected 1", table.version)));
        }
        let mut seen: BTreeMap<ModuleName, &str> = BTreeMap::new();
        for group in &table.groups {
            if group.why.trim().is_empty() {
                return Err(refuse(format!(
                    "group {:?} has no reason: say in `why` what needs it",
                    group.name
                )));
            }
            for written in group.initramfs.iter().chain(&group.root) {
                let name = ModuleName::new(written).map_err(|error| refuse(error.to_string()))?;
                if let Some(other) = seen.insert(name, &group.name) {
                    return Err(refuse(format!(
                        "{written} is in group {other:?} and in group {:?}: keep one (what is in `initramfs` is in \
                         the root too)",
                        group.name
                    )));
                }
            }
        }
        for left_out in &table.unneeded {
            if left_out.why.trim().is_empty() {
                return Err(refuse(format!(
                    "{:?} are left out without a reason: say it in `why`",
                    left_out.modules
                )));
            }
            for written in &left_out.modules {
                let name = ModuleName::new(written).map_err(|error| refuse(error.to_string()))?;
                if let Some(group) = seen.get(&name) {
                    return Err(refuse(format!(
                        "{written} is unneeded and in group {group:?}: decide which"
                    )));
                }
            }
        }
        Ok(table)
    }

    /// What the initramfs loads, in this order: the boards' lists first (a board's watchdog is already
    /// running), then the groups. One image serves all boards, so all lists are in it; a driver
    /// without its device does nothing.
    pub fn initramfs(&self, boards: &[&BoardModules]) -> Vec<String> {
        let of_boards = boards.iter().flat_map(|board| &board.initramfs);
        once(of_boards.chain(self.groups.iter().flat_map(|group| &group.initramfs)))
    }

    /// What the root carries: everything of the initramfs too, because modprobe resolves dependencies by file.
    pub fn root(&self, boards: &[&BoardModules]) -> Vec<String> {
        let initramfs = self.initramfs(boards);
        let of_boards = boards.iter().flat_map(|board| &board.root);
        let of_groups = self.groups.iter().flat_map(|group| &group.root);
        once(initramfs.iter().chain(of_groups).chain(of_boards))
    }
}

/// Each name once, where it came first.
fn once<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(name.replace('-', "_"))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        version = 1
        [[group]]
        name = "root"
        why = "the root file system"
        initramfs = ["squashfs"]
        root = ["overlay"]
    "#;

    fn board(initramfs: &[&str], root: &[&str]) -> BoardModules {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        BoardModules { initramfs: owned(initramfs), root: owned(root) }
    }

    #[test]
    fn boards_come_first_in_the_initramfs_and_the_root_has_all_of_it() {
        let table = ModuleTable::parse("modules.toml", TABLE).unwrap();
        let (neo, virt) =
            (board(&["sunxi-wdt", "squashfs"], &["i2c_dev"]), board(&["virtio_blk"], &["i2c-dev"]));
        assert_eq!(table.initramfs(&[&neo, &virt]), ["sunxi-wdt", "squashfs", "virtio_blk"]);
        assert_eq!(table.root(&[&neo, &virt]), ["sunxi-wdt", "squashfs", "virtio_blk", "overlay", "i2c_dev"]);
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_taken() {
        let text = format!("\u{feff}{}", TABLE.replace('\n', "\r\n"));
        assert_eq!(ModuleTable::parse("modules.toml", &text).unwrap().groups.len(), 1);
    }

    #[test]
    fn mistakes_are_refused_with_the_file_and_what_to_do() {
        let cases = [
            ("", "missing field `version`"),
            ("version = 2", "expected 1"),
            ("version = 1\nmodules = []", "unknown field `modules`"),
            ("version = 1\n[[group]]\nname = 'x'\nwhy = ' '", "has no reason"),
            ("version = 1\n[[group]]\nname = 'x'\nwhy = 'y'\nroot = ['a-b', 'a_b']", "keep one"),
            ("version = 1\n[[group]]\nname = 'x'\nwhy = 'y'\nroot = ['a.ko']", "no \".ko\""),
            ("version = 1\n[[group]\n", "line 2"),
            ("version = 1\n[[unneeded]]\nmodules = ['x']\nwhy = ''", "without a reason"),
            (
                "version = 1\n[[group]]\nname = 'g'\nwhy = 'y'\nroot = ['a-b']\n[[unneeded]]\nmodules = ['a_b']\nwhy = 'z'",
                "decide which",
            ),
        ];
        for (text, expected) in cases {
            let message = ModuleTable::parse("image/modules.toml", text).unwrap_err().to_string();
            assert!(message.starts_with("image/modules.toml: ") && message.contains(expected), "{message}");
        }
    }
}
