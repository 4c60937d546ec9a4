//! Packages unpacked into a directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use stayput_packages::deb;
use tar::EntryType as T;
use tempfile::TempDir;

use crate::archive::{Raw, deb as make, entry, file, write};

struct Bench(TempDir);

impl Bench {
    fn new() -> Bench {
        Bench(TempDir::new().unwrap())
    }

    fn unpack(&self, entries: &[Raw]) -> stayput_packages::Result<()> {
        let path = self.0.path().join("test.deb");
        write(&path, &make(".zst", entries));
        deb::unpack(&path, &self.0.path().join("root"))
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join("root").join(path)
    }
}

#[test]
fn files_links_and_modes_arrive() {
    let bench = Bench::new();
    let mut tool = file("./usr/bin/tool", b"bytes");
    tool.mode = 0o4755;
    bench
        .unpack(&[
            entry("./usr/lib", T::Directory, ""),
            tool,
            file("./usr/share/text", b"text"),
            entry("./usr/bin/same", T::Link, "usr/bin/tool"),
            entry("./usr/bin/link", T::Symlink, "tool"),
        ])
        .unwrap();
    assert_eq!(fs::read(bench.path("usr/bin/link")).unwrap(), b"bytes");
    assert_eq!(
        fs::metadata(bench.path("usr/bin/same")).unwrap().ino(),
        fs::metadata(bench.path("usr/bin/tool")).unwrap().ino()
    );
    // Executable, but not setuid: it is a host tool in a user's own folder.
    assert_eq!(fs::metadata(bench.path("usr/bin/tool")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(fs::metadata(bench.path("usr/share/text")).unwrap().permissions().mode() & 0o7777, 0o644);
    assert!(bench.path("usr/lib").is_dir());
}

#[test]
fn a_second_package_or_a_second_time_replaces_files() {
    let bench = Bench::new();
    bench.unpack(&[file("./a/b", b"first")]).unwrap();
    bench.unpack(&[file("./a/b", b"second"), entry("./a/c", T::Symlink, "b")]).unwrap();
    bench.unpack(&[file("./a/b", b"third"), entry("./a/c", T::Symlink, "b")]).unwrap();
    assert_eq!(fs::read(bench.path("a/c")).unwrap(), b"third");
}

#[test]
fn a_link_of_one_package_leads_no_file_of_the_next_outside() {
    let bench = Bench::new();
    let outside = TempDir::new().unwrap();
    bench.unpack(&[entry("./usr", T::Symlink, outside.path().to_str().unwrap())]).unwrap();
    let error = bench.unpack(&[file("./usr/evil", b"x")]).unwrap_err();
    assert!(error.to_string().contains("usr"), "{error}");
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_not_followed() {
    let bench = Bench::new();
    let outside = TempDir::new().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, b"mine").unwrap();
    bench.unpack(&[entry("./file", T::Symlink, victim.to_str().unwrap())]).unwrap();
    bench.unpack(&[file("./file", b"theirs")]).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
    assert_eq!(fs::read(bench.path("file")).unwrap(), b"theirs");
}

#[test]
fn many_directories_are_no_matter() {
    let bench = Bench::new();
    let entries: Vec<Raw> = (0..300).map(|n| file(&format!("./d{n}/e{n}/f"), b"x")).collect();
    bench.unpack(&entries).unwrap();
    assert!(bench.path("d299/e299/f").is_file());
}
