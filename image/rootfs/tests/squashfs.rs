//! The squashfs as other people's tools see it: unsquashfs is the oracle.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use stayput_rootfs::squashfs::{Settings, write};
use stayput_rootfs::{Kind, Node, Tree};

const EPOCH: u32 = 1_700_000_000;
const BLOCK: usize = 4096;

fn settings() -> Settings {
    Settings { level: 3, block_size: BLOCK as u32, epoch: EPOCH }
}

/// Bytes that do not compress and are the same every time.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// One of everything that a root file system has, at the sizes where blocks begin and end.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let mut add = |path: &str, node: Node| tree.insert(path, node).unwrap();
    add("etc/machine-id", Node::file("", 0o444, "t"));
    for len in [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK] {
        add(&format!("usr/lib/size-{len}"), Node::file(noise(len, len as u64), 0o644, "t"));
    }
    add("usr/lib/twin-1", Node::file(noise(3 * BLOCK, 7), 0o644, "t"));
    add("usr/lib/twin-2", Node::file(noise(3 * BLOCK, 7), 0o755, "t"));
    add("usr/lib/zeros", Node::file(vec![0; 9 * BLOCK + 5], 0o644, "t"));
    add("usr/lib/text", Node::file("all work and no play\n".repeat(3000), 0o600, "t"));
    add("usr/bin/setuid", Node::file("x", 0o4755, "t"));
    add("tmp", Node::directory(0o1777, "t"));
    add("root", Node::directory(0o700, "t"));
    add("var/log/journal", Node { uid: 0, gid: 999, ..Node::directory(0o2755, "t") });
    add("etc/owned", Node { uid: 801, gid: 65534, ..Node::file("mine", 0o640, "t") });
    add("bin", Node::symlink("usr/bin", "t"));
    add("etc/mtab", Node::symlink("../proc/self/mounts", "t"));
    add(&format!("usr/share/{}", "n".repeat(255)), Node::file("long", 0o644, "t"));
    add("usr/share/Größe und Maß", Node::file("name", 0o644, "t"));
    for number in 0..700 {
        add(&format!("usr/share/many/{number:04}"), Node::file(format!("{number}"), 0o644, "t"));
    }
    tree
}

fn image(tree: &Tree, settings: &Settings) -> Vec<u8> {
    let mut out = Vec::new();
    let bytes = write(tree, &mut out, settings).unwrap();
    assert_eq!(bytes, out.len() as u64);
    out
}

/// Runs unsquashfs, or says that it is not there.
fn unsquashfs(arguments: &[&str], image: &Path) -> Option<String> {
    match Command::new("unsquashfs").args(arguments).arg(image).env("TZ", "UTC").output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "unsquashfs: {errors}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(_) => {
            eprintln!(
                "SKIPPED: no unsquashfs on this machine (package squashfs-tools), nothing was compared"
            );
            None
        }
    }
}

#[test]
fn unsquashfs_finds_every_path_with_its_mode_owner_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.squashfs");
    let tree = tree();
    std::fs::write(&path, image(&tree, &settings())).unwrap();
    let Some(listing) = unsquashfs(&["-quiet", "-lln"], &path) else { return };
    let mut found: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in listing.lines().filter(|line| line.contains("squashfs-root")) {
        let (head, path) = line.split_once(" squashfs-root").unwrap();
        let words: Vec<&str> = head.split_whitespace().collect();
        let path = path.split(" -> ").next().unwrap().trim_start_matches('/').to_owned();
        // The writer has no setting for the root's own time; it is always 0.
        let time = if path.is_empty() { "1970-01-01 00:00" } else { "2023-11-14 22:13" };
        assert!(line.contains(time), "another time: {line}");
        found.insert(path, (words[0].to_owned(), words[1].to_owned()));
    }
    assert_eq!(found.remove(""), Some(("drwxr-xr-x".into(), "0/0".into())), "the root itself");
    assert_eq!(found.len(), tree.len());
    for (path, node) in tree.iter() {
        let want = (letters(node), format!("{}/{}", node.uid, node.gid));
        assert_eq!(found[path], want, "{path}");
    }
}

fn letters(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Directory => 'd',
        Kind::File(_) => '-',
        Kind::Symlink(_) => 'l',
    };
    let mut text = String::from(kind);
    for (shift, special, with, without) in
        [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bits = node.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (node.mode & special != 0, bits & 1 != 0) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[test]
fn unsquashfs_unpacks_every_file_and_link_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.squashfs");
    let tree = tree();
    std::fs::write(&path, image(&tree, &settings())).unwrap();
    let out = folder.path().join("out");
    // Owners can only be set by root, and are compared above.
    let Some(_) =
        unsquashfs(&["-quiet", "-no-progress", "-ignore-errors", "-d", out.to_str().unwrap()], &path)
    else {
        return;
    };
    for (path, node) in tree.iter() {
        let at = out.join(path);
        match &node.kind {
            Kind::Directory => assert!(at.is_dir(), "{path}"),
            Kind::File(content) => assert!(std::fs::read(&at).unwrap() == *content, "{path} differs"),
            Kind::Symlink(target) => {
                assert_eq!(std::fs::read_link(&at).unwrap(), Path::new(target), "{path}")
            }
        }
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes_in_whatever_order_it_was_filled() {
    let first = tree();
    let mut second = Tree::new();
    let mut backwards: Vec<_> = first.iter().collect();
    backwards.reverse();
    for (path, node) in backwards {
        second.insert(path, node.clone()).unwrap();
    }
    assert!(image(&first, &settings()) == image(&second, &settings()));
}

#[test]
fn the_epoch_changes_the_bytes_and_nothing_of_today_does() {
    let tree = tree();
    let image = |epoch| image(&tree, &Settings { epoch, ..settings() });
    assert!(image(EPOCH) != image(EPOCH + 1));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // The superblock's time is its third 32-bit number.
    let time = u32::from_le_bytes(image(EPOCH)[8..12].try_into().unwrap());
    assert_eq!(time, EPOCH);
    assert!(u64::from(time) < now);
}

#[test]
fn files_of_the_same_content_are_stored_once() {
    let one = |second: &[u8]| {
        let mut tree = Tree::new();
        tree.insert("a", Node::file(noise(16 * BLOCK, 1), 0o644, "t")).unwrap();
        tree.insert("b", Node::file(second, 0o644, "t")).unwrap();
        image(&tree, &settings()).len()
    };
    let (same, other) = (one(&noise(16 * BLOCK, 1)), one(&noise(16 * BLOCK, 2)));
    assert!(other - same >= 15 * BLOCK, "{same} {other}");
}

#[test]
fn settings_that_the_format_does_not_have_are_refused() {
    for (level, block_size) in [(0, 4096), (23, 4096), (3, 0), (3, 2048), (3, 5000), (3, 2 << 20)] {
        let settings = Settings { level, block_size, epoch: 0 };
        let error = write(&tree(), &mut Vec::new(), &settings).unwrap_err();
        assert!(error.to_string().contains("use "), "{error}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = write(&tree(), &mut Full(20_000), &settings()).unwrap_err();
    assert!(error.to_string().contains("could not write out the root file system"), "{error}");
}
