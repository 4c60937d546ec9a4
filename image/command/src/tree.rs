//! Where things are: the source tree, the outputs, the shared cache.

use std::path::{Path, PathBuf};

use crate::exit::{Code, Fault};

/// The source tree that holds `image/packages.toml`.
pub struct SourceTree {
    root: PathBuf,
}

impl SourceTree {
    /// The tree around the working directory, as `git` would find it.
    pub fn find() -> anyhow::Result<Self> {
        let here = std::env::current_dir()?;
        let root = here.ancestors().find(|dir| dir.join("image/packages.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(Fault::new(
                Code::Usage,
                format!(
                    "no Stayput source tree at or above {}: change into the checkout, or name it with --tree",
                    here.display()
                ),
            )
            .into()),
        }
    }

    /// The tree that the user named.
    pub fn at(root: &Path) -> anyhow::Result<Self> {
        if root.join("image/packages.toml").is_file() {
            return Ok(Self { root: std::path::absolute(root)? });
        }
        let message =
            format!("{} is not a Stayput source tree (no image/packages.toml in it)", root.display());
        Err(Fault::new(Code::Usage, message).into())
    }

    /// A file or folder of the tree.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The tree itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `scripts/emulator ministack` puts the emulator of the region's queues and store.
    pub fn emulator(&self) -> PathBuf {
        self.root.join("output/emulators/ministack/bin/ministack")
    }

    /// Where the build for a board lands.
    pub fn output(&self, board: &str) -> PathBuf {
        self.root.join("output").join(board)
    }
}

/// The cache that all trees of this user share.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    stayput_packages::Cache::default_folder()
        .ok_or_else(|| Fault::new(Code::Usage, "no place for the cache: set STAYPUT_CACHE or HOME").into())
}
