//! Libraries that a closure needs and lacks, over small ELF files made here.

use stayput_packages::deb::{Entry, EntryKind};
use stayput_packages::elf::{missing_libraries, read_dynamic};

const ARM64: u16 = 183;
const AMD64: u16 = 62;
const NEEDED: u64 = 1;
const RUN_PATH: u64 = 29;

/// A 64-bit ELF library with nothing but a dynamic section: header, strings, entries, three section headers.
fn elf(machine: u16, needed: &[&str], run_path: Option<&str>) -> Vec<u8> {
    let mut strings = vec![0];
    let mut entries: Vec<u8> = Vec::new();
    let texts = needed.iter().map(|name| (NEEDED, *name)).chain(run_path.map(|path| (RUN_PATH, path)));
    for (tag, text) in texts {
        entries.extend(tag.to_le_bytes());
        entries.extend((strings.len() as u64).to_le_bytes());
        strings.extend(text.bytes().chain([0]));
    }
    entries.extend([0; 16]);
    strings.resize(strings.len().next_multiple_of(8), 0);
    let (strings_at, entries_at) = (64, 64 + strings.len() as u64);
    let sections_at = entries_at + entries.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(3u16.to_le_bytes()); // ET_DYN
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend([0; 16]); // entry, program headers
    file.extend(sections_at.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    for value in [64u16, 56, 0, 64, 3, 1] {
        file.extend(value.to_le_bytes());
    }
    file.extend(&strings);
    file.extend(&entries);
    for (kind, at, size, link, each) in [
        (0u32, 0, 0, 0u32, 0u64),
        (3, strings_at, strings.len() as u64, 0, 0),
        (6, entries_at, entries.len() as u64, 1, 16),
    ] {
        file.extend(0u32.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for value in [0, 0, at, size] {
            file.extend(value.to_le_bytes());
        }
        file.extend(link.to_le_bytes());
        file.extend(0u32.to_le_bytes());
        file.extend(8u64.to_le_bytes());
        file.extend(each.to_le_bytes());
    }
    file
}

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry { path: path.into(), kind, mode: 0o644, uid: 0, gid: 0 }
}

fn library(path: &str, content: Vec<u8>) -> Entry {
    entry(path, EntryKind::File(content))
}

fn missing(entries: &[Entry]) -> Vec<(String, Vec<String>)> {
    missing_libraries(entries).into_iter().map(|missing| (missing.library, missing.needed_by)).collect()
}

#[test]
fn what_a_file_needs_is_read() {
    let dynamic = read_dynamic(&elf(ARM64, &["libc.so.6", "libm.so.6"], Some("/usr/lib/a:$ORIGIN"))).unwrap();
    assert_eq!(dynamic.needed, ["libc.so.6", "libm.so.6"]);
    assert_eq!(dynamic.search, ["/usr/lib/a", "$ORIGIN"]);
}

#[test]
fn a_needed_library_that_no_package_brings_is_told_with_its_users() {
    let entries = [
        library("usr/bin/b", elf(ARM64, &["libc.so.6", "libgone.so.1"], None)),
        library("usr/bin/a", elf(ARM64, &["libgone.so.1"], None)),
        library("usr/lib/aarch64-linux-gnu/libc.so.6", elf(ARM64, &[], None)),
    ];
    assert_eq!(
        missing(&entries),
        [("libgone.so.1".to_string(), vec!["usr/bin/a".to_string(), "usr/bin/b".into()])]
    );
}

#[test]
fn links_to_a_library_are_followed_and_circles_end() {
    let link = |path: &str, to: &str| entry(path, EntryKind::Symlink(to.into()));
    let entries = [
        library("usr/bin/a", elf(ARM64, &["liba.so.1", "libb.so.1", "libc.so.1"], None)),
        link("usr/lib/aarch64-linux-gnu/liba.so.1", "liba.so.1.2"),
        library("usr/lib/aarch64-linux-gnu/liba.so.1.2", elf(ARM64, &[], None)),
        link("usr/lib/libb.so.1", "/lib/aarch64-linux-gnu/liba.so.1"),
        link("usr/lib/libc.so.1", "libc.so.1"),
    ];
    assert_eq!(missing(&entries), [("libc.so.1".to_string(), vec!["usr/bin/a".to_string()])]);
}

#[test]
fn a_run_path_counts_for_its_own_file_only() {
    let entries = [
        library("usr/bin/a", elf(ARM64, &["libown.so"], Some("$ORIGIN/../lib/own"))),
        library("usr/bin/b", elf(ARM64, &["libown.so"], None)),
        library("usr/lib/own/libown.so", elf(ARM64, &[], None)),
    ];
    // A file without an interpreter is a library and finds what is beside it; `b` has nothing beside it.
    assert_eq!(missing(&entries), [("libown.so".to_string(), vec!["usr/bin/b".to_string()])]);
}

#[test]
fn a_library_for_another_machine_does_not_count() {
    let entries = [
        library("usr/bin/a", elf(ARM64, &["libx.so"], None)),
        library("usr/lib/libx.so", elf(AMD64, &[], None)),
    ];
    assert_eq!(missing(&entries).len(), 1);
    let text = [
        library("usr/bin/a", elf(ARM64, &["libx.so"], None)),
        library("usr/lib/libx.so", b"INPUT(y)".to_vec()),
    ];
    assert_eq!(missing(&text).len(), 1);
}

#[test]
fn what_is_no_elf_file_or_a_broken_one_needs_nothing() {
    let whole = elf(ARM64, &["libx.so"], None);
    for length in 0..whole.len() {
        let _ = read_dynamic(&whole[..length]);
    }
    for text in [b"".as_slice(), b"#!/bin/sh", b"\x7fELF", &[0xff; 200]] {
        assert_eq!(read_dynamic(text), None);
    }
    let mut hostile = whole;
    hostile[0x28..0x30].copy_from_slice(&u64::MAX.to_le_bytes());
    let _ = read_dynamic(&hostile);
}
