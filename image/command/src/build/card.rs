//! The last step of a build: the card image and its manifest, in place of the old ones only when they are whole.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use stayput_card::{egon, fat, image, mbr};
use stayput_health::Verity;
use stayput_rootfs::{Kind, Tree};

use super::Job;
use super::licences::Notices;
use super::outputs;
use super::slot::{Loaders, QEMU_UBOOT, Slot};
use crate::manifest::{self, Blob, Content, HashTree, Manifest, Package, Partition};
use crate::show::size;

/// The root file system of the image.
pub struct Root<'a> {
    /// What is in it.
    pub tree: &'a Tree,
    /// Where it lies, with its hash tree.
    pub file: &'a Path,
    /// What it is checked with.
    pub verity: Verity,
}

/// Writes image, manifest and QEMU's loader.
pub fn write(
    job: &Job<'_>,
    inputs: &str,
    root: &Root<'_>,
    slot: &Slot,
    loaders: &Loaders,
    notices: &Notices,
) -> anyhow::Result<(Manifest, String)> {
    let partial = job.output.join(".sdcard.img.partial");
    let drive = super::drive::files(job)?;
    let parts = write_image(job, &partial, loaders.board.as_deref(), root.file, slot, &drive)?;
    let image = Blob::of_file(&partial)?;
    let manifest = Manifest {
        version: manifest::VERSION,
        inputs: inputs.to_owned(),
        board: job.boards[0].board.name.to_string(),
        serves: job.boards.iter().map(|folder| folder.board.name.to_string()).collect(),
        toolchain: job.toolchain.clone(),
        profile: job.profile().to_owned(),
        lock_sha256: job.supply.lock_sha256()?,
        image,
        partitions: partitions(job, &parts, slot, &root.verity, &drive),
        packages: packages(job)?,
        files: files(root.tree),
    };
    // The image first: a manifest never describes an image that is not there.
    replace(&job.output.join(QEMU_UBOOT), &loaders.qemu)?;
    std::fs::rename(&partial, job.output.join("sdcard.img"))
        .context("could not put the image in its place")?;
    outputs::write(job, &manifest, notices)?;
    replace(&job.output.join("manifest.json"), &manifest.to_json()?)?;
    let said = size(manifest.image.size);
    Ok((manifest, said))
}

fn write_image(
    job: &Job<'_>,
    partial: &Path,
    spl: Option<&[u8]>,
    squashed: &Path,
    slot: &Slot,
    drive: &BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<Vec<image::Part>> {
    let failed = || format!("could not write {}", partial.display());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(partial)
        .with_context(failed)?;
    let mut root = File::open(squashed).with_context(|| format!("could not open {}", squashed.display()))?;
    let boot = fat_files(&slot.files);
    let stayput = fat_files(drive);
    let loader = [fat::File { name: "boot.scr", bytes: &slot.boot_script }];
    let content = image::Content {
        spl: spl.map(egon::Loader::check).transpose()?,
        stayput: &stayput,
        loader: &loader,
        boot: &boot,
        root: &mut root,
    };
    let parts = image::write(&mut file, &job.layout, content).with_context(failed)?;
    // What was written is read back and checked against the table, as a board would see it.
    image::inspect(&mut file, &job.layout, spl.is_some())?;
    Ok(parts)
}

/// Every region of the card in the order of its bytes.
fn partitions(
    job: &Job<'_>,
    parts: &[image::Part],
    slot: &Slot,
    verity: &Verity,
    drive: &BTreeMap<String, Vec<u8>>,
) -> Vec<Partition> {
    let content = |name: &str| {
        parts
            .iter()
            .find(|part| part.name == name)
            .map(|part| Blob { size: part.size, sha256: part.sha256.clone() })
    };
    let table = job.layout.partitions().iter().map(|partition| Partition {
        name: partition.name.clone(),
        number: Some(partition.number),
        offset: partition.start,
        room: (partition.name != "data").then_some(partition.size),
        content: content(&partition.name),
        files: match partition.name.as_str() {
            "loader" => [("boot.scr".to_owned(), Blob::of(&slot.boot_script))].into(),
            "boot-a" => blobs(&slot.files),
            "stayput" => blobs(drive),
            _ => BTreeMap::new(),
        },
        varies: partition.varies.clone(),
        copy_of: partition.copy_of.clone(),
        verbatim: None,
        hash_tree: (partition.name == "root-a").then(|| HashTree::of(verity)),
    });
    let named = |name: &str| job.layout.partitions().iter().any(|partition| partition.name == name);
    let outside = parts.iter().filter(|part| !named(&part.name)).map(|part| Partition {
        name: part.name.clone(),
        number: None,
        offset: part.offset,
        room: Some(part.size),
        content: content(&part.name),
        files: BTreeMap::new(),
        varies: None,
        copy_of: None,
        verbatim: (part.name == "table").then(|| hex::encode(mbr::table(&job.layout)[0].bytes)),
        hash_tree: None,
    });
    let mut all: Vec<_> = table.chain(outside).collect();
    all.sort_by_key(|partition| partition.offset);
    all
}

fn fat_files(files: &BTreeMap<String, Vec<u8>>) -> Vec<fat::File<'_>> {
    files.iter().map(|(name, bytes)| fat::File { name, bytes }).collect()
}

fn blobs(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Blob> {
    files.iter().map(|(name, bytes)| (name.clone(), Blob::of(bytes))).collect()
}

fn packages(job: &Job<'_>) -> anyhow::Result<Vec<Package>> {
    let locked = job.supply.locked(&super::image_features())?.into_iter();
    let entry = |locked: &stayput_packages::Locked| Package {
        name: locked.name.clone(),
        version: locked.version.clone(),
        download: locked.size,
    };
    Ok(locked.map(entry).collect())
}

fn files(tree: &Tree) -> Vec<manifest::File> {
    let file = |(path, node): (&str, &stayput_rootfs::Node)| manifest::File {
        path: path.to_owned(),
        mode: format!("{:04o}", node.mode),
        uid: node.uid,
        gid: node.gid,
        source: node.source.clone(),
        content: match &node.kind {
            Kind::Directory => Content::Directory,
            Kind::Symlink(target) => Content::Symlink { target: target.clone() },
            Kind::File(bytes) => Content::File(Blob::of(bytes)),
        },
    };
    tree.iter().map(file).collect()
}

/// Writes a small file so that it is either the old one or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("could not write {}", path.display());
    let folder = path.parent().context("an output has a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    std::io::Write::write_all(&mut file, bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    // A temporary file is its owner's alone; an output is for everyone who may enter the tree.
    file.as_file().set_permissions(Permissions::from_mode(0o644)).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
