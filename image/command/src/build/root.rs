//! The root file system of a build: packages, overlay and what the builder makes, as one tree and as squashfs.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use stayput_card::verity;
use stayput_health::Verity;
use stayput_packages::{deb, elf};
use stayput_rootfs::{Generated, Kind, Node, Release, Rules, Tree, assemble as lay, squashfs};

use super::slot::Kernel;
use super::{BOX, Job};
use crate::show::size;
use crate::supply::Opened;

/// Lays the tree.
pub fn assemble(job: &Job<'_>, packages: Vec<Opened>, kernel: &Kernel) -> anyhow::Result<(Tree, String)> {
    let rules = Rules::load(&job.tree.path("image/rootfs.toml"))?;
    let packages = packages.into_iter().map(|package| (package.name, package.entries)).collect();
    let release = Release {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // Whoever looks at the box sees that such an image is not the published one.
        toolchain: match job.profile() {
            "box" => job.toolchain.toolchain.to_string(),
            "box-dev" => format!("{}+development", job.toolchain.toolchain),
            other => format!("{}+{other}", job.toolchain.toolchain),
        },
    };
    let mut generated = modules(kernel)?;
    generated.extend(boards(job));
    generated.push(Generated {
        path: "usr/lib/stayput/box".to_owned(),
        content: job.program(BOX)?,
        mode: 0o755,
        origin: "programs of the box".to_owned(),
    });
    let tree = lay(&rules, packages, &job.tree.path("overlay"), generated, &release)?;
    libraries(&tree)?;
    let said = format!("{} paths, {}", tree.len(), size(tree.content_bytes()));
    Ok((tree, said))
}

/// Refuses a tree in which a program would miss a shared library on the box.
fn libraries(tree: &Tree) -> anyhow::Result<()> {
    let entries: Vec<_> = tree.iter().map(|(path, node)| as_entry(path, node)).collect();
    let missing = elf::missing_libraries(&entries);
    let line = |missing: &elf::Missing| format!("\n  {}: {}", missing.library, missing.needed_by.join(", "));
    let list: String = missing.iter().map(line).collect();
    anyhow::ensure!(
        missing.is_empty(),
        "programs on the box would not start:{list}\n  correct a drop rule in image/rootfs.toml or an omit in image/packages.toml"
    );
    Ok(())
}

fn as_entry(path: &str, node: &Node) -> deb::Entry {
    let kind = match &node.kind {
        Kind::Directory => deb::EntryKind::Directory,
        Kind::File(bytes) => deb::EntryKind::File(bytes.clone()),
        Kind::Symlink(target) => deb::EntryKind::Symlink(target.clone()),
    };
    deb::Entry { path: path.to_owned(), kind, mode: node.mode, uid: node.uid, gid: node.gid }
}

/// The selected modules as they were shipped, and the indexes that kmod and udev read.
fn modules(kernel: &Kernel) -> anyhow::Result<Vec<Generated>> {
    let base = format!("usr/lib/modules/{}", kernel.release);
    let file = |origin: &str, path: &str, content: &[u8]| Generated {
        path: format!("{base}/{path}"),
        content: content.to_vec(),
        mode: 0o644,
        origin: origin.to_owned(),
    };
    let mut files: Vec<_> =
        kernel.root.modules.iter().map(|(path, bytes)| file("kernel modules", path, bytes)).collect();
    let indexes = stayput_kmod::indexes(&kernel.root)?;
    files.extend(indexes.iter().map(|(name, bytes)| file("module indexes", name, bytes)));
    Ok(files)
}

/// What the box may know about the boards that this image runs on.
fn boards(job: &Job<'_>) -> Vec<Generated> {
    let file = |folder: &crate::boards::BoardFolder| Generated {
        path: format!("usr/share/stayput/board/{}.toml", folder.board.name),
        content: folder.text.clone(),
        mode: 0o644,
        origin: format!("{}/board.toml", folder.folder),
    };
    job.boards.iter().map(file).collect()
}

/// Writes the tree as squashfs with its hash tree behind it, as a root partition holds both.
pub fn squash(job: &Job<'_>, tree: &Tree, path: &Path) -> anyhow::Result<Verity> {
    let failed = || format!("could not write {}", path.display());
    let mut file =
        File::options().read(true).write(true).create(true).truncate(true).open(path).with_context(failed)?;
    let epoch = job.supply.epoch()?;
    let settings =
        if job.dev { squashfs::Settings::quick(epoch) } else { squashfs::Settings::release(epoch) };
    squashfs::write(tree, &mut file, &settings).with_context(failed)?;
    verity::seal(&mut file).with_context(failed)
}
