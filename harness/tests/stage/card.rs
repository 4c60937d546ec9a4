//! A copy of the card image to damage before it is booted; the image itself stays as it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare its card has failed")]

use serde_json::Value;
use stayput_card::{fat, script};
use stayput_harness::Options;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of the image under test.
pub fn image_size() -> u64 {
    std::fs::metadata(super::input("STAYPUT_IMAGE")).unwrap().len()
}

/// Where on the card a file of one of the image's FATs begins.
pub fn place_of(partition: &str, name: &str) -> u64 {
    let manifest = manifest();
    let found = in_manifest(&manifest, partition);
    let start = found["offset"].as_u64().unwrap();
    let mut bytes = vec![0; found["content"]["size"].as_u64().unwrap() as usize];
    File::open(super::input("STAYPUT_IMAGE")).unwrap().read_exact_at(&mut bytes, start).unwrap();
    let files = fat::files(partition, &bytes).unwrap();
    let (_, content) = files.iter().find(|(found, _)| found == name).unwrap();
    // In a file system that was written once, files lie in one piece.
    let mut sectors = (0..bytes.len()).step_by(512);
    start + sectors.find(|at| bytes[*at..].starts_with(content)).unwrap() as u64
}

/// What the manifest beside the image under test says.
fn manifest() -> Value {
    let image = PathBuf::from(super::input("STAYPUT_IMAGE"));
    serde_json::from_slice(&std::fs::read(image.with_file_name("manifest.json")).unwrap()).unwrap()
}

fn in_manifest<'a>(manifest: &'a Value, name: &str) -> &'a Value {
    let all = manifest["partitions"].as_array().unwrap();
    all.iter().find(|partition| partition["name"] == name).unwrap()
}

/// The copy, gone with the test.
pub struct Card {
    folder: tempfile::TempDir,
    file: File,
    manifest: Value,
}

impl Card {
    /// A copy of the image under test, with what its manifest says of it.
    pub fn copy() -> Self {
        let image = PathBuf::from(super::input("STAYPUT_IMAGE"));
        let folder = tempfile::Builder::new().prefix("stayput-card-").tempdir_in("/var/tmp").unwrap();
        let path = folder.path().join("sdcard.img");
        std::fs::copy(&image, &path).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self { folder, file, manifest: manifest() }
    }

    /// The board as users have it, with this card in it.
    pub fn virt(&self) -> Options {
        Options { image: self.folder.path().join("sdcard.img"), ..super::virt() }
    }

    /// What the manifest says of a partition.
    pub fn partition(&self, name: &str) -> &Value {
        in_manifest(&self.manifest, name)
    }

    /// Where a partition begins.
    pub fn start(&self, name: &str) -> u64 {
        self.partition(name)["offset"].as_u64().unwrap()
    }

    /// Bytes of the file system in the root partition; its hash tree follows.
    pub fn root_size(&self) -> u64 {
        self.partition("root-a")["hash_tree"]["data_size"].as_u64().unwrap()
    }

    /// Changes one byte, `at` bytes into a partition.
    pub fn flip(&self, partition: &str, at: u64) {
        let (at, mut byte) = (self.start(partition) + at, [0]);
        self.file.read_exact_at(&mut byte, at).unwrap();
        self.file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }

    /// Where in the root partition the first block of a file is that shares its block with no other file.
    pub fn block_of(&self, path: &str) -> u64 {
        let file = std::io::BufReader::new(self.file.try_clone().unwrap());
        let start = self.start("root-a");
        let system = backhand::FilesystemReader::from_reader_with_offset(file, start).unwrap();
        let mut nodes = system.files();
        let node = nodes.find(|node| node.fullpath == Path::new("/").join(path)).unwrap();
        match &node.inner {
            backhand::InnerNode::File(file) if !file.block_sizes().is_empty() => file.blocks_start(),
            _ => panic!("{path} has no block of its own: name a larger file"),
        }
    }

    /// Rewrites slot A's boot script with right checksums, as someone would who may write to the boot partition.
    pub fn edit_slot_script(&self, edit: impl FnOnce(&str) -> String) {
        let start = self.start("boot-a");
        let mut partition = vec![0; self.partition("boot-a")["content"]["size"].as_u64().unwrap() as usize];
        self.file.read_exact_at(&mut partition, start).unwrap();
        let files = fat::files("boot-a", &partition).unwrap();
        let (_, old) = files.iter().find(|(name, _)| name == "slot.scr").unwrap();
        // Header, length of the text, end of the list of lengths; then the text.
        let text = std::str::from_utf8(&old[72..]).unwrap();
        let new = script::image("stayput slot", &edit(text)).unwrap();
        assert_eq!(new.len(), old.len(), "a script of another length would need another FAT");
        assert_ne!(&new, old, "nothing was edited");
        let sectors = (0..partition.len()).step_by(512);
        let at = sectors.into_iter().find(|at| partition[*at..].starts_with(old)).unwrap();
        self.file.write_all_at(&new, start + at as u64).unwrap();
    }
}
