//! Paths and pieces of file names: on the data partition, on the card's own partition, after a processed file.

use std::str::FromStr;

use super::{plain, text_type};
use crate::finding::Flaw;

text_type!(
    /// An absolute path of a folder on the data partition, below `/data`, without `.`, `..`, or doubled slashes.
    DataPath
);
text_type!(
    /// What is put behind a processed file's name; may be empty.
    NameSuffix
);
text_type!(
    /// A file on the `STAYPUT` partition, relative to its top.
    CardFile
);

impl FromStr for DataPath {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 1024)?;
        if text.contains('\\') || text.chars().nth(1) == Some(':') {
            return Err(Flaw::new("is a path of Windows", "write a path of the box, as in \"/data/source\""));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Flaw::new("does not begin with /", "write the whole path, as in \"/data/source\""));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.split('/').any(|step| step == "." || step == "..") {
            return Err(Flaw::new("goes through . or ..", "write the path directly"));
        }
        if rest.split('/').any(str::is_empty) {
            return Err(Flaw::new("has two slashes side by side, or nothing else", "write each slash once"));
        }
        if rest.split('/').any(|step| step.len() > 255) {
            return Err(Flaw::new("has a step of more than 255 bytes", "make the folder's name shorter"));
        }
        // Anywhere else is memory or read-only: files put there would be lost at the next power cut.
        if !rest.starts_with("data/") {
            return Err(Flaw::new(
                "is not on the data partition",
                "choose a folder below /data, as in \"/data/source\"",
            ));
        }
        Ok(Self(format!("/{rest}")))
    }
}

impl NameSuffix {
    /// Leaves a name 191 of the file system's 255 bytes.
    const LONGEST: usize = 64;
}

impl FromStr for NameSuffix {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        if text.is_empty() {
            return Ok(Self(String::new()));
        }
        let text = plain(text, Self::LONGEST)?;
        if text.contains('/') {
            return Err(Flaw::new("holds a slash", "a suffix stays inside the file's name: take it out"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for CardFile {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 255)?;
        let remedy = "copy the file beside stayput.toml and write its name, as in \"company-ca.pem\"";
        if text.starts_with('/') || text.contains('\\') || text.contains(':') {
            return Err(Flaw::new("is not relative to the card's partition", remedy));
        }
        if text.split('/').any(|step| matches!(step, "" | "." | "..")) {
            return Err(Flaw::new("leaves the card's partition, or has an empty step", remedy));
        }
        if text.contains(['*', '?', '"', '<', '>', '|']) {
            return Err(Flaw::new("holds a character that no file on the card can have", remedy));
        }
        Ok(Self(text.to_owned()))
    }
}
