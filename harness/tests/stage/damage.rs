//! Cards to damage: what is where on one, and what someone who can write to it could change.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare its card has failed")]

use super::partition::{layout, place};
use serde_json::Value;
use stayput_card::{fat, script};
use stayput_harness::{Card, Result};
use stayput_slots::{Copies, Environment};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the manifest says of the root file system's hash tree.
pub fn hash_tree() -> Value {
    let path = PathBuf::from(super::input("STAYPUT_IMAGE")).with_file_name("manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let parts = manifest["partitions"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == "root-a").unwrap()["hash_tree"].clone()
}

/// Changes one byte, `at` bytes into a partition.
pub fn flip(card: &Card, partition: &str, at: u64) -> Result<()> {
    let at = place(card, partition).0 + at;
    let byte = card.read(at, 1)?;
    card.write(at, &[byte[0] ^ 0x10])
}

/// Where in a slot's boot partition a file lies, and what is in it. The builder writes each file in one piece.
pub fn file_of_slot(card: &Card, partition: &str, name: &str) -> Result<(u64, Vec<u8>)> {
    let (start, size) = place(card, partition);
    let bytes = card.read(start, size as usize)?;
    let files = fat::files(partition, &bytes).unwrap();
    let (_, content) = files.into_iter().find(|(found, _)| found == name).unwrap();
    let at = (0..bytes.len()).step_by(512).find(|at| bytes[*at..].starts_with(&content)).unwrap();
    Ok((at as u64, content))
}

/// Bytes of the image under test.
pub fn image_size() -> u64 {
    std::fs::metadata(super::input("STAYPUT_IMAGE")).unwrap().len()
}

/// Where on a card a file of slot A's boot partition begins.
pub fn place_of(name: &str) -> u64 {
    let image = Card::open_at(super::input("STAYPUT_IMAGE").as_ref());
    place(&image, "boot-a").0 + file_of_slot(&image, "boot-a", name).unwrap().0
}

/// Rewrites slot A's boot script with right checksums, as someone would who may write to the boot partition.
pub fn edit_slot_script(card: &Card, edit: impl FnOnce(&str) -> String) -> Result<()> {
    let (at, old) = file_of_slot(card, "boot-a", "slot.scr")?;
    // Header, length of the text, end of the list of lengths; then the text.
    let text = std::str::from_utf8(&old[72..]).unwrap();
    let new = script::image("stayput slot", &edit(text)).unwrap();
    assert_eq!(new.len(), old.len(), "a script of another length would need another FAT");
    assert_ne!(new, old, "nothing was edited");
    card.write(place(card, "boot-a").0 + at, &new)
}

/// Where in the root partition a block of a file is that shares it with no other file.
pub fn block_of(card: &Card, path: &str) -> u64 {
    let file = std::io::BufReader::new(File::open(card.path()).unwrap());
    let start = place(card, "root-a").0;
    let system = backhand::FilesystemReader::from_reader_with_offset(file, start).unwrap();
    let mut nodes = system.files();
    let node = nodes.find(|node| node.fullpath == Path::new("/").join(path)).unwrap();
    match &node.inner {
        backhand::InnerNode::File(file) if !file.block_sizes().is_empty() => file.blocks_start(),
        _ => panic!("{path} has no block of its own: name a larger file"),
    }
}

/// Makes slot B a copy of slot A and both of them good, as the box itself does in its first hours.
pub fn copy_slot(card: &Card, folder: &Path) -> Result<()> {
    for (from, to) in [("boot-a", "boot-b"), ("root-a", "root-b")] {
        let part = super::partition::take_out(card, from, folder);
        card.write_file(place(card, to).0, &part)?;
        std::fs::remove_file(part).unwrap();
    }
    let good =
        [("stayput_a", "good"), ("stayput_a_tries", "3"), ("stayput_b", "good"), ("stayput_b_tries", "3")];
    set_boot_state(card, &good)
}

/// Sets variables of the boot state, in both copies.
pub fn set_boot_state(card: &Card, variables: &[(&str, &str)]) -> Result<()> {
    for _ in copies(card) {
        let [first, second] = copies(card).map(|at| card.read(at, 512));
        let (next, copy) = Copies::read([&first?, &second?]).next(|state| state);
        let mut environment = Environment::parse(&next.sector().unwrap()).unwrap();
        for (name, value) in variables {
            environment.set(name, *value);
        }
        card.write(copies(card)[copy], &environment.sector().unwrap())?;
    }
    Ok(())
}

/// Where the two copies of the boot state are on the card.
fn copies(card: &Card) -> [u64; 2] {
    let start = place(card, "boot-state").0;
    layout().boot_state().copies.map(|at| start + at)
}
