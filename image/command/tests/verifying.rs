//! `stayput verify` on the built image. Stage `image` of scripts/test, which builds it first.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod desk;

use std::os::unix::fs::FileExt;
use std::path::Path;

use desk::{beside, image, said, stayput, text};

/// A copy of the image with bytes changed, held against the image's manifest.
fn verify_with(changes: &[u64]) -> std::process::Output {
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(image(), copy.path()).unwrap();
    for at in changes {
        let mut byte = [0];
        copy.as_file().read_exact_at(&mut byte, *at).unwrap();
        copy.as_file().write_all_at(&[byte[0] ^ 1], *at).unwrap();
    }
    against(copy.path())
}

fn against(subject: &Path) -> std::process::Output {
    stayput(&["verify", text(subject), "--manifest", text(&beside("manifest.json"))])
}

/// Where a partition starts, and how much of it the image fills.
fn partition(name: &str) -> (u64, u64) {
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(beside("manifest.json")).unwrap()).unwrap();
    let parts = manifest["partitions"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == name).unwrap();
    (part["offset"].as_u64().unwrap(), part["content"]["size"].as_u64().unwrap())
}

/// The line of the report on a part.
fn line(report: &str, part: &str) -> String {
    let line = report.lines().find(|line| line.starts_with(&format!("{part} ")));
    line.unwrap_or_else(|| panic!("no line on {part} in\n{report}")).to_owned()
}

#[test]
#[ignore = "stage image"]
fn the_image_and_the_packed_image_are_identical_in_every_part() {
    for path in [image(), beside("sdcard.img.zst")] {
        let run = stayput(&["verify", text(&path)]);
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        assert!(!said(&run).contains("DIFFERENT"), "{}", said(&run));
        assert_eq!(said(&run).matches(" identical").count(), 7, "{}", said(&run));
    }
}

#[test]
#[ignore = "stage image"]
fn a_byte_of_the_kernel_is_named_by_partition_byte_and_file() {
    let (start, _) = partition("boot-a");
    // The kernel is by far the largest file; 4 MiB into the partition is in its middle.
    let at = start + (4 << 20) + 5;
    let run = verify_with(&[at]);
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    let line = line(&said(&run), "boot-a");
    assert!(line.contains("DIFFERENT") && line.contains(&format!("byte {at} of the card")), "{line}");
    assert!(line.ends_with("1 sector differs; in Image.gz"), "{line}");
    assert_eq!(said(&run).matches("DIFFERENT").count(), 1, "{}", said(&run));
}

#[test]
#[ignore = "stage image"]
fn a_byte_of_the_root_is_named_by_a_file_that_the_manifest_knows() {
    let (start, size) = partition("root-a");
    let run = verify_with(&[start + size / 2]);
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    let line = line(&said(&run), "root-a");
    let named = line.rsplit("; in ").next().unwrap().split(", ").next().unwrap();
    let manifest = std::fs::read_to_string(beside("manifest.json")).unwrap();
    assert!(manifest.contains(&format!("\"path\": \"{named}\"")), "{line}");
}

#[test]
#[ignore = "stage image"]
fn a_byte_of_the_hash_tree_is_named_as_such() {
    let (start, size) = partition("root-a");
    let run = verify_with(&[start + size - 1]);
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    let line = line(&said(&run), "root-a");
    assert!(line.ends_with("1 sector differs; in the hash tree"), "{line}");
}

#[test]
#[ignore = "stage image"]
fn loader_tables_and_hidden_bytes_are_each_found() {
    for (part, at) in [
        ("table", 440),
        ("spl", partition("spl").0 + 1000),
        ("loader", partition("loader").0 + 100),
        ("logical-tables", partition("logical-tables").0 + 450),
        ("unused space", 4096),
    ] {
        let run = verify_with(&[at]);
        assert_eq!(run.status.code(), Some(4), "{part}: {}", said(&run));
        assert!(line(&said(&run), part).contains("DIFFERENT"), "{part}: {}", said(&run));
        assert_eq!(said(&run).matches("DIFFERENT").count(), 1, "{part}: {}", said(&run));
    }
}

#[test]
#[ignore = "stage image"]
fn what_the_person_writes_is_variable_by_design() {
    let run = verify_with(&[partition("stayput").0 + 100, partition("boot-state").0]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    for part in ["stayput", "boot-state"] {
        let line = line(&said(&run), part);
        assert!(line.contains("variable by design") && line.contains("changed since"), "{line}");
    }
}

#[test]
#[ignore = "stage image"]
fn as_built_nothing_may_differ_that_the_image_fills() {
    assert_eq!(stayput(&["verify", "--pristine", text(&image())]).status.code(), Some(0));
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(image(), copy.path()).unwrap();
    let at = partition("stayput").0 + 50_000;
    copy.as_file().write_all_at(b"hidden", at).unwrap();
    let run =
        stayput(&["verify", "--pristine", text(copy.path()), "--manifest", text(&beside("manifest.json"))]);
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    assert!(line(&said(&run), "stayput").contains(&format!("first at byte {at} ")), "{}", said(&run));
}

#[test]
#[ignore = "stage image"]
fn a_truncated_image_and_a_packed_one_cut_short_are_integrity_failures() {
    for (path, says) in [(image(), "cut short"), (beside("sdcard.img.zst"), "not a whole zstd file")] {
        let copy = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy(&path, copy.path()).unwrap();
        copy.as_file().set_len(std::fs::metadata(&path).unwrap().len() - 1_000_000).unwrap();
        let run = against(copy.path());
        assert_eq!(run.status.code(), Some(4), "{}", said(&run));
        assert!(said(&run).contains(says), "{}", said(&run));
    }
}

#[test]
#[ignore = "stage image"]
fn no_source_tree_is_needed_where_the_manifest_lies_beside_the_image() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stayput"));
    let run = command.current_dir("/").arg("verify").arg(image().canonicalize().unwrap()).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
}

#[test]
fn a_file_that_is_not_there_and_a_folder_are_refused_by_name() {
    for (path, code) in [("/nowhere/sdcard.img", 6), ("/", 2)] {
        let run = stayput(&["verify", path]);
        assert_eq!(run.status.code(), Some(code), "{}", said(&run));
        assert!(said(&run).contains(path), "{}", said(&run));
    }
}

#[test]
fn a_manifest_that_is_none_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("sdcard.img");
    std::fs::write(&image, "x").unwrap();
    for text_of_manifest in ["", "{}", "\u{feff}{}", "{\"version\": 1", "[[[["] {
        std::fs::write(folder.path().join("manifest.json"), text_of_manifest).unwrap();
        let run = stayput(&["verify", text(&image)]);
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        assert!(said(&run).contains("manifest.json is not a manifest"), "{}", said(&run));
    }
}
