//! Kernel modules: `/modules/*.ko`, loaded in the order that `/modules/load` gives.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use stayput_health::board::ModuleName;

use crate::log::Log;

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Loaded now.
    pub loaded: u64,
    /// There before, or without the hardware that they are for.
    pub passed: u64,
    /// Neither.
    pub failed: u64,
    /// The list itself could not be read, so that nobody knows which are missing.
    pub no_list: bool,
}

impl Loaded {
    /// Whether a module is missing, or may be.
    pub fn is_incomplete(&self) -> bool {
        self.failed > 0 || self.no_list
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loaded, passed, failed, no_list } = self;
        if *no_list {
            return out.write_str("none loaded, for want of a list");
        }
        write!(out, "{loaded} loaded, {passed} not needed, {failed} failed")
    }
}

/// Loads what the list says. A module that fails is told and counted, not more: whether it mattered shows when the
/// disk or the root file system is not there.
pub fn load(directory: &Path, log: &mut Log) -> Loaded {
    let mut result = Loaded::default();
    let list = directory.join("load");
    let text = match fs::read(&list) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            log.warn(&format!(
                "could not read {}: {error}; going on with what the kernel has",
                list.display()
            ));
            return Loaded { no_list: true, ..result };
        }
    };
    let files = files(directory);
    for entry in entries(&text) {
        let loaded = match &entry {
            Ok(name) => match files.get(&name.normal()) {
                Some(path) => load_file(path),
                None => {
                    Err(io::Error::new(io::ErrorKind::NotFound, "it is in the list but not in the initramfs"))
                }
            },
            Err(wrong) => Err(io::Error::other(wrong.clone())),
        };
        match loaded {
            Ok(true) => result.loaded += 1,
            Ok(false) => result.passed += 1,
            Err(error) => {
                result.failed += 1;
                let name = entry.as_ref().map_or("a line", ModuleName::as_str);
                log.warn(&format!("could not load {name}: {error}"));
            }
        }
    }
    result
}

/// The names in the list, one a line; the ending `.ko` may be there. What is no name comes back as the reason.
fn entries(text: &str) -> Vec<Result<ModuleName, String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| ModuleName::try_from(line.strip_suffix(".ko").unwrap_or(line))).collect()
}

/// The module files, by the form of their name in which `-` and `_` are one.
fn files(directory: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "ko"))
        .filter_map(|path| {
            let name = ModuleName::try_from(path.file_stem()?.to_str()?).ok()?;
            Some((name.normal(), path))
        })
        .collect()
}

/// Whether the module was loaded now; `false` when it is there already or finds nothing to do.
fn load_file(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    match rustix::system::finit_module(&file, c"", 0) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST | Errno::NODEV) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_line_by_line_in_its_order() {
        let names = entries("\u{feff}sunxi_wdt\r\n\r\n# the card\nsunxi-mmc.ko\n  ext4  \n");
        let names: Vec<_> = names.iter().map(|name| name.as_ref().unwrap().as_str()).collect();
        assert_eq!(names, ["sunxi_wdt", "sunxi-mmc", "ext4"]);
        assert!(entries("").is_empty());
    }

    #[test]
    fn a_line_that_is_no_name_cannot_lead_out_of_the_folder() {
        for bad in ["../etc/passwd", "/ext4", "kernel/fs/ext4.ko", "a b", "ext4.ko.xz"] {
            assert!(entries(bad)[0].is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_is_not_a_list_without_failures() {
        let directory = tempfile::tempdir().unwrap();
        let loaded = load(directory.path(), &mut Log::open());
        assert!(loaded.no_list && loaded.is_incomplete(), "{loaded:?}");
        assert!(loaded.to_string().contains("want of a list"), "{loaded}");
        fs::write(directory.path().join("load"), "").unwrap();
        assert!(!load(directory.path(), &mut Log::open()).is_incomplete());
        fs::write(directory.path().join("load"), "ext4\n").unwrap();
        assert!(load(directory.path(), &mut Log::open()).is_incomplete());
    }

    #[test]
    fn a_file_is_found_whichever_dash_the_list_uses() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["sunxi-mmc.ko", "crc32c_generic.ko", "load", "notes.txt"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let files = files(directory.path());
        assert_eq!(files.keys().collect::<Vec<_>>(), ["crc32c_generic", "sunxi_mmc"]);
        assert!(files["sunxi_mmc"].ends_with("sunxi-mmc.ko"));
    }
}
