//! The name of a module, in the one spelling that the kernel uses.

use std::fmt;

use crate::error::{Error, Result};

/// A module's name with '-' written as '_': file names and lists use both, the kernel only the latter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleName(String);

impl ModuleName {
    /// Checks and normalises what a person or a module wrote.
    pub fn new(name: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        // 55 characters is what the kernel itself has room for (MODULE_NAME_LEN on 64 bits, less the zero).
        if name.is_empty() || name.len() > 55 || !name.chars().all(fits) {
            return Err(Error::BadName { name: name.to_owned() });
        }
        Ok(Self(name.replace('-', "_")))
    }

    /// The module of a file: `kernel/fs/nls/nls_iso8859-1.ko.xz` is `nls_iso8859_1`.
    pub fn of_path(path: &str) -> Result<Self> {
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.split_once('.').map_or(file, |(stem, _)| stem);
        Self::new(stem)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_and_an_underscore_are_one_name() {
        assert_eq!(ModuleName::new("sunxi-mmc").unwrap(), ModuleName::new("sunxi_mmc").unwrap());
    }

    #[test]
    fn the_name_of_a_file_ends_at_its_first_dot() {
        let name = ModuleName::of_path("kernel/fs/nls/nls_iso8859-1.ko.xz").unwrap();
        assert_eq!(name.as_str(), "nls_iso8859_1");
    }

    #[test]
    fn a_path_a_file_name_and_an_empty_name_are_refused_with_what_was_expected() {
        for wrong in ["", "ext4.ko", "kernel/fs/ext4", "ext4\r", "\u{feff}ext4", "modülé", &"x".repeat(56)]
        {
            let message = ModuleName::new(wrong).unwrap_err().to_string();
            assert!(message.contains("as modprobe takes them"), "{message}");
        }
    }
}
