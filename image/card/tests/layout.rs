//! The card's table: the one in the tree is right, and every way to break it is refused with line and remedy.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic, and so may what tests share")]

use std::path::Path;

use proptest::prelude::*;
use stayput_card::{Error, Layout, MIB};

fn text() -> String {
    std::fs::read_to_string(path()).unwrap()
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../card.toml")
}

fn refused(text: &str) -> String {
    Layout::parse("card.toml", text).unwrap_err().to_string()
}

#[test]
fn the_table_of_the_tree_is_what_init_and_scripts_are_told() {
    let layout = Layout::load(&path()).unwrap();
    let numbers: Vec<_> = layout
        .partitions()
        .iter()
        .map(|p| (p.number, p.name.as_str(), p.start / MIB, p.size / MIB))
        .collect();
    let expected = [
        (1, "stayput", 4, 60),
        (2, "loader", 64, 8),
        (5, "boot-state", 76, 12),
        (6, "boot-a", 88, 48),
        (7, "root-a", 136, 384),
        (8, "boot-b", 520, 48),
        (9, "root-b", 568, 384),
        (10, "state", 952, 512),
        (4, "data", 1464, 256),
    ];
    assert_eq!(numbers, expected);
    assert_eq!(layout.disk_id_hex(), "53544159");
    assert_eq!(layout.extended().start, 72 * MIB);
    let state = layout.boot_state();
    assert_eq!((state.number, state.copies, state.notes), (5, [0, 4 * MIB], [2 * MIB, 6 * MIB]));
    // Cards erase 4 MiB at a time: nothing that is written at each start may lie beside the marks.
    let often = state.copies.iter().chain(&state.notes);
    assert!(often.clone().all(|place| place / (4 * MIB) != state.marks / (4 * MIB)), "{state:?}");
    // A card sold as 2 GB has 2,000,000,000 bytes at best, often a tenth less.
    assert!(layout.end() <= 1_810_000_000, "{}", layout.end());
    let named = |name: &str| layout.partition(name).unwrap();
    let varying: Vec<_> =
        layout.partitions().iter().filter(|p| p.varies.is_some()).map(|p| p.name.as_str()).collect();
    assert_eq!(varying, ["stayput", "boot-state", "boot-b", "root-b", "state", "data"]);
    assert_eq!(named("boot-b").copy_of.as_deref(), Some("boot-a"));
    assert_eq!(named("root-b").copy_of.as_deref(), Some("root-a"));
    // Both slots hold the same things: an update writes the same bytes to either.
    for (a, b) in [("boot-a", "boot-b"), ("root-a", "root-b")] {
        let (a, b) = (layout.partition(a).unwrap(), layout.partition(b).unwrap());
        assert_eq!((a.size, a.kind, &a.fat), (b.size, b.kind, &b.fat));
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let windows = format!("\u{feff}{}", text().replace('\n', "\r\n"));
    assert_eq!(Layout::parse("x", &windows).unwrap(), Layout::load(&path()).unwrap());
}

#[test]
fn an_unknown_partition_is_answered_with_the_known_ones() {
    let error = Layout::load(&path()).unwrap().partition("root-c").unwrap_err().to_string();
    assert!(error.contains("'root-c'") && error.contains("root-a, boot-b"), "{error}");
}

/// What is wrong, the text to replace, with what, and what the message must say.
const WRONG: &[(&str, &str, &str, &[&str])] = &[
    ("unknown_version", "version = 1", "version = 2", &["version 2", "write version = 1"]),
    ("unknown_key", "marks_mib = 8", "marks_mib = 8\nmark = 1", &["unknown field `mark`"]),
    ("missing_key", "disk_id = 0x53544159", "", &["missing field `disk_id`"]),
    ("disk_id_zero", "disk_id = 0x53544159", "disk_id = 0", &["disk_id is 0"]),
    ("negative_start", "start_mib = 88", "start_mib = -88", &["card.toml:"]),
    (
        "loader_where_no_rom_looks",
        "start_kib = 8",
        "start_kib = 16",
        &["where no boot ROM looks", "start_kib = 8"],
    ),
    ("loader_region_without_end", "end_kib = 4096", "end_kib = 4", &["ends at 4 KiB"]),
    (
        "partition_in_the_loader_region",
        "start_mib = 4\n",
        "start_mib = 3\n",
        &["'stayput' starts at 3 MiB", "loader region", "start it at 4 MiB"],
    ),
    (
        "overlap",
        "start_mib = 88",
        "start_mib = 87",
        &["'boot-a' starts at 87 MiB, inside 'boot-state' (76 to 88 MiB)", "start it at 88 MiB"],
    ),
    ("two_of_one_name", "name = \"boot-b\"", "name = \"boot-a\"", &["'boot-a' is there twice"]),
    ("a_name_missing", "name = \"root-b\"", "name = \"rootb\"", &["no partition 'root-b'", "all of stayput"]),
    ("two_of_one_number", "number = 8", "number = 6", &["both have number 6"]),
    ("number_of_the_extended", "number = 4", "number = 3", &["'data' has the extended partition's number 3"]),
    ("number_zero", "number = 5", "number = 0", &["number 0"]),
    ("logical_out_of_order", "number = 9", "number = 11", &["'root-b' has number 11, by its place it is 9"]),
    (
        "logical_over_the_tables",
        "start_mib = 76",
        "start_mib = 75",
        &["'boot-state' starts at 75 MiB, the tables take up to 76 MiB"],
    ),
    ("primary_inside_the_extended", "number = 10", "number = 3", &["extended partition's number"]),
    (
        "extended_over_a_primary",
        "start_mib = 72",
        "start_mib = 70",
        &["'loader' (64 to 72 MiB) lies over the extended partition"],
    ),
    ("extended_with_a_plain_type", "type = 0x0f", "type = 0x83", &["0x83 is not an extended partition's"]),
    ("extended_without_tables", "tables_mib = 4", "tables_mib = 0", &["tables_mib is 0"]),
    (
        "partition_of_extended_type",
        "type = 0xc2\nstart_mib = 136",
        "type = 0x05\nstart_mib = 136",
        &["'root-a' has type 0x05"],
    ),
    ("no_size", "size_mib = 384", "size_mib = 0", &["'root-a' has no size"]),
    ("beyond_two_tib", "size_mib = 256", "size_mib = 4000000", &["beyond 2 TiB"]),
    (
        "larger_than_the_smallest_card",
        "size_mib = 256",
        "size_mib = 257",
        &["ends at 1721 MiB, beyond smallest_card_mib = 1720"],
    ),
    ("none_active", "active = true", "", &["no partition is active"]),
    ("two_active", "name = \"data\"", "name = \"data\"\nactive = true", &["not the only active partition"]),
    (
        "active_without_fat",
        "fat = { bits = 16, label = \"LOADER\", serial = 0x53540002 }",
        "",
        &["'loader' is not a primary FAT"],
    ),
    ("name_in_capitals", "name = \"state\"", "name = \"State\"", &["\"State\" is not of the form"]),
    ("fat_of_twelve_bits", "bits = 32", "bits = 12", &["a FAT of 12 bits"]),
    ("fat_label_too_long", "\"STAYPUT\"", "\"STAYPUT-CARD\"", &["FAT label \"STAYPUT-CARD\"", "1 to 11"]),
    ("marks_beyond_the_partition", "marks_mib = 8", "marks_mib = 12", &["beyond the end of 'boot-state'"]),
    (
        "a_copy_of_nothing",
        "copy_of = \"boot-a\"",
        "copy_of = \"boot-c\"",
        &["'boot-c', which is not in the table"],
    ),
    ("a_copy_of_another_size", "copy_of = \"boot-a\"", "copy_of = \"root-a\"", &["another size or type"]),
    ("a_copy_of_itself", "copy_of = \"boot-a\"", "copy_of = \"boot-b\"", &["that is one too"]),
    ("copies_on_one_place", "copies_mib = [0, 4]", "copies_mib = [4, 4]", &["places are the same"]),
    (
        "boot_state_nowhere",
        "partition = \"boot-state\"",
        "partition = \"bootstate\"",
        &["'bootstate', which is not in the table"],
    ),
];

#[test]
fn every_broken_rule_is_refused_with_its_line_and_what_to_write_instead() {
    let right = text();
    for (name, from, to, expected) in WRONG {
        assert!(right.contains(from), "{name}: the table no longer says {from:?}");
        let wrong = right.replacen(from, to, 1);
        let message = refused(&wrong);
        assert!(message.starts_with("card.toml:") && message.contains("; "), "{name}: {message}");
        for part in *expected {
            assert!(message.contains(part), "{name}: {message}");
        }
    }
}

#[test]
fn the_line_in_the_message_is_the_line_of_the_partition() {
    let wrong = text().replace("start_mib = 88", "start_mib = 87");
    let (head, _) = wrong.split_once("number = 6").unwrap();
    // The table's own header is a line above its first key.
    let line = head.lines().count();
    assert!(refused(&wrong).starts_with(&format!("card.toml:{line}:")), "{} {line}", refused(&wrong));
}

#[test]
fn a_table_cut_short_or_in_another_encoding_is_refused() {
    let whole = text();
    let last = whole.find("\"data\"").unwrap();
    for at in (0..last).step_by(37) {
        assert!(Layout::parse("x", &whole[..at]).is_err(), "{at}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("card.toml");
    std::fs::write(&file, b"version = 1\n\xff\xfe").unwrap();
    let message = Layout::load(&file).unwrap_err().to_string();
    assert!(message.contains("card.toml:2: this is not UTF-8"), "{message}");
    assert!(matches!(Layout::load(&directory.path().join("none")), Err(Error::Read { .. })));
}

proptest! {
    #[test]
    fn no_numbers_make_it_panic(start in any::<u32>(), size in any::<u32>(), number in any::<u32>(), loader in any::<u32>(), tables in any::<u32>()) {
        let text = text()
            .replace("start_mib = 88", &format!("start_mib = {start}"))
            .replace("size_mib = 512", &format!("size_mib = {size}"))
            .replace("number = 8", &format!("number = {number}"))
            .replace("end_kib = 4096", &format!("end_kib = {loader}"))
            .replace("tables_mib = 4", &format!("tables_mib = {tables}"))
            .replace("marks_mib = 8", &format!("marks_mib = {tables}"));
        if let Ok(layout) = Layout::parse("x", &text) {
            stayput_card::mbr::table(&layout);
        }
    }
}
