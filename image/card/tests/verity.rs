//! The hash tree before the tool that wrote the format: veritysetup of Debian's cryptsetup-bin.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic, and so may what tests share")]

mod oracle;

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use stayput_card::verity::{Tree, seal};
use stayput_health::verity::{BLOCK, Verity};

/// What differs from block to block and is the same every time.
fn data(blocks: u64) -> Vec<u8> {
    (0..blocks * BLOCK / 4).flat_map(|n| (n as u32).wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn ask(verb: &str, device: &str, tree: &str, verity: &Verity) -> Option<(bool, String)> {
    let blocks = format!("--data-blocks={}", verity.blocks());
    let (offset, root) = (format!("--hash-offset={}", verity.data_size()), verity.root_hex());
    let mut arguments = vec![verb, device, tree];
    if verb == "verify" {
        arguments.push(&root);
    }
    let format = ["--no-superblock", "--format=1", "--hash=sha256", "--salt=-"];
    arguments.extend(format);
    arguments.extend(["--data-block-size=4096", "--hash-block-size=4096", &blocks, &offset]);
    oracle::ask("veritysetup", &arguments)
}

fn sealed(blocks: u64) -> (tempfile::NamedTempFile, Verity) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&data(blocks)).unwrap();
    let verity = seal(file.as_file_mut()).unwrap();
    (file, verity)
}

/// A block alone is the tool's to refuse; 16,385 blocks need three levels.
const SIZES: [u64; 5] = [2, 128, 129, 3000, 128 * 128 + 1];

#[test]
fn veritysetup_accepts_every_tree() {
    for blocks in SIZES {
        let (file, verity) = sealed(blocks);
        let path = file.path().to_str().unwrap();
        let Some((content, text)) = ask("verify", path, path, &verity) else { return };
        assert!(content, "{blocks} blocks: {text}");
    }
}

#[test]
fn veritysetup_makes_the_same_tree_and_root_hash() {
    for blocks in SIZES {
        let data = data(blocks);
        let tree = Tree::over(&mut &data[..]).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&data).unwrap();
        let path = file.path().to_str().unwrap();
        let Some((content, text)) = ask("format", path, path, &tree.verity) else { return };
        assert!(content, "{blocks} blocks: {text}");
        assert!(text.contains(&tree.verity.root_hex()), "{blocks} blocks: {} and\n{text}", tree.verity);
        let mut made = vec![0; tree.bytes.len()];
        file.as_file().read_exact_at(&mut made, tree.verity.data_size()).unwrap();
        assert!(made == tree.bytes, "{blocks} blocks");
        assert_eq!(file.as_file().metadata().unwrap().len(), tree.verity.size());
    }
}

#[test]
fn veritysetup_refuses_a_changed_byte_in_data_and_in_the_tree() {
    for at in [5, 2999 * BLOCK, 3000 * BLOCK + 1, 3001 * BLOCK + 1] {
        let (mut file, verity) = sealed(3000);
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xee]).unwrap();
        let path = file.path().to_str().unwrap();
        let Some((content, text)) = ask("verify", path, path, &verity) else { return };
        assert!(!content, "byte {at}: {text}");
    }
}
