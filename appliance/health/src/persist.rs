//! The table of paths that survive a reboot: the schema of `/usr/share/stayput/persist.toml`.
//!
//! The root file system is read-only and `/var` is memory; whatever must be kept is kept on the `state` partition and
//! is listed in this one table. The initramfs program makes each path there and binds it to its place.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::board::RelativePath;
use crate::document::Document;
use crate::{Error, Result};

/// The version of the schema.
pub const VERSION: u32 = 1;

/// All paths that are kept, each parent before its children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersistTable {
    /// The paths, in the order in which they are bound.
    pub paths: Vec<PersistPath>,
    /// The folders of the data partition.
    pub folders: Vec<DataFolder>,
}

/// A folder on the data partition. It is bound nowhere: the partition is mounted at `/data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFolder {
    /// Its name below `/data`.
    pub data: RelativePath,
    /// Its permissions; 0755 where not given.
    pub mode: Option<Mode>,
    /// Its owner.
    #[serde(default)]
    pub uid: u32,
    /// Its group.
    #[serde(default)]
    pub gid: u32,
    /// What it is for.
    pub why: String,
}

impl DataFolder {
    /// The permissions, given or usual.
    pub fn permissions(&self) -> u32 {
        self.mode.map_or(0o755, |Mode(bits)| bits)
    }
}

/// One path that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistPath {
    /// Where it is kept, relative to the state partition's root.
    pub state: RelativePath,
    /// Where it appears.
    pub at: MountPlace,
    /// Whether it is a directory or a file.
    #[serde(default)]
    pub kind: PersistKind,
    /// Its permissions; 0755 for a directory and 0644 for a file where not given.
    pub mode: Option<Mode>,
    /// Its owner.
    #[serde(default)]
    pub uid: u32,
    /// Its group.
    #[serde(default)]
    pub gid: u32,
    /// Why it must be kept.
    pub why: String,
}

impl PersistPath {
    /// Whether `other` is a path inside this one, here as on the state partition: bound with it.
    pub fn brings(&self, other: &Self) -> bool {
        let there = other.state.as_str().strip_prefix(self.state.as_str());
        let here = other.at.as_str().strip_prefix(self.at.as_str());
        there == here && here.is_some_and(|rest| rest.starts_with('/'))
    }

    /// The permissions, given or usual.
    pub fn permissions(&self) -> u32 {
        match (self.mode, self.kind) {
            (Some(Mode(bits)), _) => bits,
            (None, PersistKind::Directory) => 0o755,
            (None, PersistKind::File) => 0o644,
        }
    }
}

/// What a kept path is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersistKind {
    /// A directory, made empty.
    #[default]
    Directory,
    /// A file, made empty.
    File,
}

/// An absolute path that something kept may be bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct MountPlace(String);

impl MountPlace {
    /// The path as text, beginning with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its slash, for joining to the root that is being prepared.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// Whether `other` lies inside this path.
    fn contains(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl std::fmt::Display for MountPlace {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(&self.0)
    }
}

impl TryFrom<String> for MountPlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("{text:?} is not allowed here; expected an absolute path"));
        };
        if let Err(error) = RelativePath::try_from(rest) {
            return Err(error.replace("a relative path", "an absolute path"));
        }
        // Made anew at each boot by the kernel or by init itself; something kept would be hidden, or hide them.
        let top = rest.split('/').next().unwrap_or_default();
        if matches!(top, "dev" | "proc" | "sys" | "run" | "state" | "data") || rest == "var" || rest == "etc"
        {
            return Err(format!(
                "{text:?} cannot be kept; expected a path inside /var, /etc or another folder"
            ));
        }
        // The machine id is kept by init itself, with rules of its own.
        if rest == "etc/machine-id" {
            return Err(format!("{text:?} is kept by the initramfs program; remove it from the table"));
        }
        Ok(Self(text))
    }
}

/// Permission bits in octal text (`"0755"`). Set-user-id is refused; set-group-id is for directories (the journal's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if digits && bits <= 0o3777 => Ok(Self(bits)),
            _ => Err(format!(
                "{text:?} is no mode; expected three or four octal digits up to 3777, as in \"0755\""
            )),
        }
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        format!("{:04o}", mode.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "version")]
    _version: i64,
    #[serde(default)]
    path: Vec<Spanned<PersistPath>>,
    #[serde(default)]
    folder: Vec<Spanned<DataFolder>>,
}

impl PersistTable {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// The table in `bytes`; `file` is only for messages.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let document = Document::<Raw>::parse(bytes, file, VERSION)?;
        let rows = &document.content.path;
        document.distinct_by("the place", rows, |row| row.at.clone(), "bind each place once")?;
        document.distinct_by("the state path", rows, |row| row.state.clone(), "keep each path once")?;
        for (number, row) in rows.iter().enumerate() {
            let PersistPath { at, why, kind, .. } = row.get_ref();
            if *kind == PersistKind::File && row.get_ref().permissions() > 0o777 {
                let what = format!("the file '{at}' has a mode above 0777");
                return Err(document.broken(row, what, "give a file read, write and execute bits only"));
            }
            if why.trim().is_empty() {
                let what = format!("'{at}' does not say why it is kept");
                return Err(document.broken(row, what, "say in 'why' what is lost without it"));
            }
            for earlier in &rows[..number] {
                let earlier = earlier.get_ref();
                if at.contains(&earlier.at) {
                    let what = format!("'{at}' would hide '{}', which comes before it", earlier.at);
                    return Err(document.broken(row, what, "put parents before their children"));
                }
                if earlier.kind == PersistKind::File && earlier.at.contains(at) {
                    let what = format!("'{at}' lies inside '{}', which is a file", earlier.at);
                    return Err(document.broken(row, what, "make the outer path a directory"));
                }
            }
        }
        let folders = &document.content.folder;
        document.distinct_by("the folder", folders, |row| row.data.clone(), "make each folder once")?;
        for row in folders {
            let DataFolder { data, why, .. } = row.get_ref();
            if data.as_str().contains('/') {
                let what = format!("'{data}' lies inside another folder");
                return Err(document.broken(row, what, "name folders directly below /data"));
            }
            if why.trim().is_empty() {
                let what = format!("'{data}' does not say what it is for");
                return Err(document.broken(row, what, "say in 'why' what it is for"));
            }
        }
        Ok(Self {
            paths: document.content.path.into_iter().map(Spanned::into_inner).collect(),
            folders: document.content.folder.into_iter().map(Spanned::into_inner).collect(),
        })
    }
}
