//! The built image held against tools that others wrote. Stage `image` of scripts/test, which builds it first.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The image under test with its manifest.
struct Image {
    path: PathBuf,
    manifest: Value,
}

impl Image {
    fn open() -> Self {
        let path =
            PathBuf::from(std::env::var_os("STAYPUT_IMAGE").expect("scripts/test image sets STAYPUT_IMAGE"));
        let text =
            std::fs::read(path.with_file_name("manifest.json")).expect("the manifest lies beside the image");
        Self { path, manifest: serde_json::from_slice(&text).expect("the manifest is JSON") }
    }

    fn partition(&self, name: &str) -> &Value {
        let parts = self.manifest["partitions"].as_array().expect("partitions are listed");
        parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name} is in the manifest"))
    }

    /// The content of a partition as a file of its own.
    fn extract(&self, name: &str) -> tempfile::NamedTempFile {
        let part = self.partition(name);
        let size = part["content"]["size"].as_u64().expect("the image fills it");
        let mut image = File::open(&self.path).unwrap();
        image.seek(SeekFrom::Start(part["offset"].as_u64().unwrap())).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::copy(&mut image.take(size), &mut file).unwrap();
        file.flush().unwrap();
        file
    }

    /// The image as it lies on a card of 4 GB: the table speaks of room that the file leaves out.
    fn on_a_card(&self) -> tempfile::NamedTempFile {
        let card = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy(&self.path, card.path()).unwrap();
        card.as_file().set_len(4_000_000_000 / 512 * 512).unwrap();
        card
    }
}

fn tool(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).env("LC_ALL", "C").output();
    output.unwrap_or_else(|error| panic!("{program} could not run ({error}): scripts/setup test installs it"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("temporary paths are plain")
}

#[test]
#[ignore = "stage image"]
fn sfdisk_finds_no_fault_in_the_partition_table() {
    let card = Image::open().on_a_card();
    let output = tool("sfdisk", &["--verify", path(&card)]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("No errors detected"), "{}", text(&output));
}

#[test]
#[ignore = "stage image"]
fn sfdisk_reads_the_partitions_where_the_manifest_says() {
    let image = Image::open();
    let card = image.on_a_card();
    let output = tool("sfdisk", &["--json", path(&card)]);
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(table["partitiontable"]["id"], "0x53544159");
    let seen = table["partitiontable"]["partitions"].as_array().unwrap();
    for part in
        image.manifest["partitions"].as_array().unwrap().iter().filter(|part| !part["number"].is_null())
    {
        let number = part["number"].to_string();
        let suffix =
            |node: &str| node.strip_prefix(path(&card)).map(|tail| tail.trim_start_matches('p').to_owned());
        let found = seen.iter().find(|row| suffix(row["node"].as_str().unwrap()) == Some(number.clone()));
        let found = found.unwrap_or_else(|| panic!("sfdisk does not see {part}"));
        assert_eq!(found["start"].as_u64().unwrap() * 512, part["offset"].as_u64().unwrap(), "{part}");
    }
}

#[test]
#[ignore = "stage image"]
fn fsck_finds_no_fault_in_the_fat_partitions() {
    let image = Image::open();
    for name in ["stayput", "loader", "boot-a"] {
        let output = tool("fsck.fat", &["-n", path(&image.extract(name))]);
        assert!(output.status.success(), "{name}: {}", text(&output));
    }
}

#[test]
#[ignore = "stage image"]
fn another_fat_reader_sees_what_the_slot_boots_from() {
    let image = Image::open();
    let output = tool("mdir", &["-b", "-i", path(&image.extract("boot-a")), "::"]);
    let names = text(&output);
    for name in ["slot.scr", "Image.gz", "initrd.zst", "sun50i-h5-nanopi-neo2.dtb"] {
        assert!(names.contains(name), "{name} is missing in\n{names}");
    }
}

#[test]
#[ignore = "stage image"]
fn the_drive_that_a_pc_shows_holds_words_for_the_person_and_the_reports_at_their_size() {
    let image = Image::open();
    let drive = image.extract("stayput");
    let told = image.partition("stayput")["files"].as_object().unwrap();
    for name in ["README.txt", "STATUS.json", "STATUS.txt", "stayput.toml.example"] {
        let read = tool("mtype", &["-i", path(&drive), &format!("::{name}")]);
        assert!(read.status.success(), "{name}: {}", text(&read));
        assert_eq!(sha256(&read.stdout), told[name]["sha256"].as_str().unwrap(), "{name}");
        let seen = String::from_utf8(read.stdout).unwrap();
        assert!(seen.contains("\r\n") && !seen.replace("\r\n", "").contains('\n'), "{name}: line ends");
    }
    let sizes = ["STATUS.txt", "STATUS.json"].map(|name| told[name]["size"].as_u64().unwrap());
    assert_eq!(sizes, [8192, 8192]);
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
#[ignore = "stage image"]
fn one_partition_alone_is_of_a_type_that_a_pc_shows() {
    let image = Image::open();
    let card = image.on_a_card();
    let output = tool("sfdisk", &["--json", path(&card)]);
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    // Extended; hidden FAT and Linux, which udisks' own rules name; raw data with no file system to be found in it.
    let hidden = ["f", "1e", "c2", "da"];
    let seen: Vec<_> =
        partitions.iter().filter(|row| !hidden.contains(&row["type"].as_str().unwrap())).collect();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(
        seen[0]["start"].as_u64().unwrap() * 512,
        image.partition("stayput")["offset"].as_u64().unwrap()
    );
}

#[test]
#[ignore = "stage image"]
fn dumpimage_accepts_both_boot_scripts() {
    let image = Image::open();
    for (partition, script) in [("loader", "boot.scr"), ("boot-a", "slot.scr")] {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join(script);
        let target = target.to_str().unwrap();
        tool("mcopy", &["-i", path(&image.extract(partition)), &format!("::{script}"), target]);
        let output = tool("dumpimage", &["-l", target]);
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("AArch64 Linux Script"), "{}", text(&output));
    }
}

#[test]
#[ignore = "stage image"]
fn unsquashfs_reads_every_path_of_the_manifest_and_no_other_with_its_rights_and_owner() {
    let image = Image::open();
    let output = tool("unsquashfs", &["-lln", path(&image.extract("root-a"))]);
    assert!(output.status.success(), "{}", text(&output));
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen: BTreeSet<String> = listing.lines().filter_map(row).collect();
    let told = image.manifest["files"].as_array().unwrap().iter().map(|file| {
        let mode = u32::from_str_radix(file["mode"].as_str().unwrap(), 8).unwrap();
        format!(
            "{} {}/{} {}",
            rights(file["type"].as_str().unwrap(), mode),
            file["uid"],
            file["gid"],
            file["path"].as_str().unwrap()
        )
    });
    let told: BTreeSet<String> = told.collect();
    assert!(seen.len() > 1000, "{} paths", seen.len());
    let differ: Vec<_> = seen.symmetric_difference(&told).take(10).collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

/// Rights, owner and path of a row of `unsquashfs -lln`: `-rwxr-xr-x 0/0 12 2026-01-01 00:00 squashfs-root/usr/bin/x`.
fn row(row: &str) -> Option<String> {
    let (about, path) = row.split_once(" squashfs-root/")?;
    let mut words = about.split_whitespace();
    let (rights, owner) = (words.next()?, words.next()?);
    Some(format!("{rights} {owner} {}", path.split(" -> ").next().unwrap_or(path)))
}

/// As `ls -l` writes them.
fn rights(kind: &str, mode: u32) -> String {
    let first = match kind {
        "directory" => 'd',
        "symlink" => 'l',
        _ => '-',
    };
    let letters = (0..9).map(|place| {
        let set = mode & (0o400 >> place) != 0;
        let special = place % 3 == 2 && mode & (0o4000 >> (place / 3)) != 0;
        match (place % 3, special, set) {
            (_, true, _) => [['S', 's'], ['S', 's'], ['T', 't']][place / 3][usize::from(set)],
            (_, false, false) => '-',
            (which, ..) => ['r', 'w', 'x'][which],
        }
    });
    std::iter::once(first).chain(letters).collect()
}

#[test]
#[ignore = "stage image"]
fn unsquashfs_extracts_the_bytes_that_the_manifest_hashes() {
    let image = Image::open();
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("root");
    let root = image.extract("root-a");
    let output = tool("unsquashfs", &["-q", "-n", "-no-xattrs", "-d", target.to_str().unwrap(), path(&root)]);
    assert!(output.status.success(), "{}", text(&output));
    let mut compared = 0;
    for file in image.manifest["files"].as_array().unwrap().iter().filter(|file| file["type"] == "file") {
        let bytes = std::fs::read(target.join(file["path"].as_str().unwrap())).unwrap();
        assert_eq!(sha256(&bytes), file["sha256"].as_str().unwrap(), "{file}");
        compared += 1;
    }
    assert!(compared > 500, "only {compared} files compared");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[ignore = "stage image"]
fn veritysetup_accepts_the_root_by_the_manifest_and_the_boot_script_names_the_same_hash() {
    let image = Image::open();
    let tree = &image.partition("root-a")["hash_tree"];
    let (root, data) = (tree["root"].as_str().unwrap(), tree["data_size"].as_u64().unwrap());
    assert_eq!(tree["tree_size"].as_u64().unwrap() + data, image.partition("root-a")["content"]["size"]);
    let partition = image.extract("root-a");
    let shape = ["--no-superblock", "--format=1", "--hash=sha256", "--salt=-"];
    let blocks = ["--data-block-size=4096", "--hash-block-size=4096"];
    let place = [format!("--data-blocks={}", data / 4096), format!("--hash-offset={data}")];
    let mut arguments = vec!["verify", path(&partition), path(&partition), root];
    arguments.extend(shape.into_iter().chain(blocks).chain(place.iter().map(String::as_str)));
    let output = tool("veritysetup", &arguments);
    assert!(output.status.success(), "{}", text(&output));

    let script = tool("mtype", &["-i", path(&image.extract("boot-a")), "::slot.scr"]).stdout;
    let script = String::from_utf8_lossy(&script);
    let line = format!("setenv stayput_verity {}:{root}\n", data / 4096);
    assert!(script.contains(&line), "{line} is not in {script}");
}

#[test]
#[ignore = "stage image"]
fn nothing_in_the_root_gives_privilege_and_no_shell_is_there() {
    let image = Image::open();
    for file in image.manifest["files"].as_array().unwrap() {
        let mode = u32::from_str_radix(file["mode"].as_str().unwrap(), 8).unwrap();
        assert!(file["type"] != "file" || mode & 0o6000 == 0, "setuid or setgid: {file}");
        let name = Path::new(file["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap();
        let in_bin = file["path"].as_str().unwrap().contains("bin/");
        assert!(
            !in_bin || !["sh", "bash", "dash", "busybox", "login", "su", "sudo", "agetty"].contains(&name),
            "{file}"
        );
    }
}

#[test]
#[ignore = "stage image"]
fn the_image_file_is_what_the_manifest_hashes() {
    let image = Image::open();
    let bytes = std::fs::read(&image.path).unwrap();
    assert_eq!(sha256(&bytes), image.manifest["image"]["sha256"].as_str().unwrap());
}
