//! What an image depends on, as one hash: the same hash means that nothing needs to be built again.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::{Job, read};

/// Folders and files of the tree that the builder reads.
const READ: &[&str] = &[
    "board",
    "overlay",
    "image/card.toml",
    "image/modules.toml",
    "image/packages.lock",
    "image/packages.toml",
    "image/rootfs.toml",
    super::drive::FOLDER,
];

/// SHA-256 over every input: tables, overlay, boards, the box's programs, and the builder itself.
pub fn sha256(job: &Job<'_>) -> anyhow::Result<String> {
    let mut sum = Sha256::new();
    let mut files = Vec::new();
    for name in READ {
        list(&job.tree.path(name), &mut files)?;
    }
    files.sort();
    for path in &files {
        let name = path.strip_prefix(job.tree.root()).unwrap_or(path);
        add(&mut sum, &name.to_string_lossy(), &content(path)?);
    }
    for program in &job.programs {
        add(&mut sum, &program.name, &read(&program.path)?);
    }
    add(&mut sum, "toolchain", serde_json::to_string(&job.toolchain)?.as_bytes());
    add(&mut sum, "board", job.boards[0].board.name.to_string().as_bytes());
    add(&mut sum, "dev", &[u8::from(job.dev)]);
    add(&mut sum, "profile", job.profile().as_bytes());
    // The program that is running, even where its file has been replaced meanwhile.
    add(&mut sum, "builder", &read(Path::new("/proc/self/exe"))?);
    Ok(hex::encode(sum.finalize()))
}

/// Length first, so that no two lists of inputs look alike.
fn add(sum: &mut Sha256, name: &str, bytes: &[u8]) {
    for part in [name.as_bytes(), bytes] {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
}

/// A file's bytes with its mode, or a link's target.
fn content(path: &Path) -> anyhow::Result<Vec<u8>> {
    let about = std::fs::symlink_metadata(path)?;
    if about.is_symlink() {
        return Ok(std::fs::read_link(path)?.into_os_string().into_encoded_bytes());
    }
    use std::os::unix::fs::PermissionsExt;
    let mut bytes = read(path)?;
    bytes.extend((about.permissions().mode() & 0o111).to_le_bytes());
    Ok(bytes)
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let about =
        std::fs::symlink_metadata(path).with_context(|| format!("could not read {}", path.display()))?;
    if !about.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(|| format!("could not list {}", path.display()))? {
        list(&entry?.path(), files)?;
    }
    Ok(())
}
