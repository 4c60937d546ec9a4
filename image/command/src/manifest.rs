//! `manifest.json`: what a built image holds, so that it can be shown and later verified.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stayput_health::{Verity, verity};

use crate::exit::{Code, Fault};

/// The version of the format.
pub const VERSION: u32 = 1;

/// Everything about one built image.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of this file.
    pub version: u32,
    /// SHA-256 over everything that it was made from.
    pub inputs: String,
    /// The board that the image was built for.
    pub board: String,
    /// Every board that boots from these bytes.
    pub serves: Vec<String>,
    /// `pinned`, or `fallback`: an image with no promise about its hash.
    pub toolchain: stayput_toolchain::Record,
    /// How the box's programs were compiled: `box`, or `box-dev` for an image that is only for work on them.
    pub profile: String,
    /// SHA-256 of image/packages.lock.
    pub lock_sha256: String,
    /// The image file as a whole.
    pub image: Blob,
    /// What the card's table says, in order; partitions that the image leaves empty have no content.
    pub partitions: Vec<Partition>,
    /// The packages inside.
    pub packages: Vec<Package>,
    /// The root file system, every path.
    pub files: Vec<File>,
}

/// A sequence of bytes with its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// A region of the card.
#[derive(Debug, Serialize, Deserialize)]
pub struct Partition {
    /// Its name in image/card.toml.
    pub name: String,
    /// Its number in the partition table; the loader and the tables have none.
    pub number: Option<u32>,
    /// Where it starts on the card, in bytes.
    pub offset: u64,
    /// How much room it has; `data` takes the rest of the card.
    pub room: Option<u64>,
    /// What the image puts there.
    pub content: Option<Blob>,
    /// The files in it, where it is a FAT.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Blob>,
    /// Why a box writes to it, where it does by design: the person's files, the tries, the second slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub varies: Option<String>,
    /// The part that a box which never had an update copies here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
    /// The bytes themselves in hex, of the one sector that a box may change in a known way: the partition table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbatim: Option<String>,
    /// How the box checks it while it runs, where it is a root file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_tree: Option<HashTree>,
}

/// The hash tree behind a root file system, in the words of dm-verity; no super block, so all of it is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashTree {
    /// dm-verity's format of the tree.
    pub format: u32,
    /// The hash.
    pub hash: String,
    /// Bytes in a block, of the data and of the tree.
    pub block: u64,
    /// In hex; the image's has none.
    pub salt: String,
    /// Bytes of the file system; the tree follows.
    pub data_size: u64,
    /// Bytes of the tree.
    pub tree_size: u64,
    /// The root hash in hex, as it is in the slot's boot script.
    pub root: String,
}

impl HashTree {
    /// Of what the box checks its root with.
    pub fn of(verity: &Verity) -> Self {
        Self {
            format: 1,
            hash: "sha256".to_owned(),
            block: verity::BLOCK,
            salt: String::new(),
            data_size: verity.data_size(),
            tree_size: verity.tree_size(),
            root: verity.root_hex(),
        }
    }
}

/// A package whose files are in the image.
#[derive(Debug, Serialize, Deserialize)]
pub struct Package {
    /// Debian's name.
    pub name: String,
    /// Debian's version.
    pub version: String,
    /// Size of the .deb.
    pub download: u64,
}

/// A path of the root file system.
#[derive(Debug, Serialize, Deserialize)]
pub struct File {
    /// Without a leading slash.
    pub path: String,
    /// Octal permission bits.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The package or table it came from.
    pub source: String,
    /// Bytes, for a regular file.
    #[serde(flatten)]
    pub content: Content,
}

/// What is at a path.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Content {
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: String,
    },
    /// A regular file.
    File(Blob),
}

impl Blob {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
    }

    /// Of a file, read piece by piece.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("could not read {}", path.display());
        let mut file = std::fs::File::open(path).with_context(failed)?;
        let (mut sum, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let length = file.read(&mut buffer).with_context(failed)?;
            if length == 0 {
                return Ok(Self { size, sha256: hex::encode(sum.finalize()) });
            }
            sum.update(&buffer[..length]);
            size += length as u64;
        }
    }
}

impl Manifest {
    /// Reads the manifest beside an image.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message =
                    format!("no image yet ({} is missing): run `stayput build` first", path.display());
                return Err(Fault::new(Code::Usage, message).into());
            }
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        };
        serde_json::from_slice(&text).map_err(|error| {
            let message =
                format!("{} is not a manifest of this version ({error}): build again", path.display());
            Fault::new(Code::Usage, message).into()
        })
    }

    /// The manifest as it is written, with a line end.
    pub fn to_json(&self) -> anyhow::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}
