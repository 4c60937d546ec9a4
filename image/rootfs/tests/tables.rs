//! The tables of this repository: that they fit each other, the overlay, and the locked packages.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stayput_health::PersistTable;
use stayput_packages::{Cache, Lock, Source, deb};
use stayput_rootfs::{Generated, Kind, Release, Rules, Tree, assemble};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rules() -> Rules {
    Rules::load(&top().join("image/rootfs.toml")).unwrap()
}

/// The box from the locked packages, where the cache has them all; this test downloads nothing.
fn real_tree() -> Option<Tree> {
    let lock = Lock::load(&top().join("image/packages.lock")).unwrap();
    let cache = Cache::open(&Cache::default_folder()?).ok()?;
    let features = ["base", "door", "engine"].map(|feature| lock.feature(feature).unwrap());
    let mut packages = features.concat();
    let mut seen = BTreeSet::new();
    packages.retain(|package| seen.insert(package.name.clone()));
    let paths = match cache.fetch(&packages, &Source::Offline, &()) {
        Ok(paths) => paths,
        Err(error) => {
            let required = std::env::var_os("STAYPUT_REQUIRE_ORACLES").is_some_and(|value| value == "1");
            assert!(!required, "the locked packages are not all in the cache: {error}");
            eprintln!("SKIPPED: the locked packages are not all in the cache ({error}); run `stayput fetch`");
            return None;
        }
    };
    let contents = deb::read_all(&paths, &()).unwrap();
    let packages = packages.iter().zip(contents).map(|(package, entries)| (package.name.clone(), entries));
    let release = Release { version: "0.0.0".into(), toolchain: "pinned".into() };
    // The builder compiles it; here it only has to be in its place, for the units that start it.
    let program = Generated {
        path: "usr/lib/stayput/box".into(),
        content: Vec::new(),
        mode: 0o755,
        origin: "a stand-in for the box's program".into(),
    };
    match assemble(&rules(), packages.collect(), &top().join("overlay"), vec![program], &release) {
        Ok(tree) => Some(tree),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_locked_packages_make_a_box_without_shell_login_or_privilege() {
    let Some(tree) = real_tree() else { return };
    let programs =
        tree.iter().filter(|(path, _)| path.starts_with("usr/bin/") || path.starts_with("usr/sbin/"));
    let programs: BTreeSet<&str> = programs.filter_map(|(path, _)| path.rsplit('/').next()).collect();
    for name in [
        "sh",
        "bash",
        "dash",
        "login",
        "su",
        "passwd",
        "perl",
        "ctr",
        "docker",
        "containerd-shim",
        "ssh",
        "scp",
        "ssh-keygen",
    ] {
        assert!(!programs.contains(name), "{name}");
    }
    let login = tree.iter().find(|(path, _)| path.contains("getty") || path.contains("sulogin"));
    assert_eq!(login, None);
    let privileged: Vec<_> =
        tree.iter().filter(|(_, node)| node.mode & 0o6000 != 0).map(|(path, _)| path).collect();
    assert!(privileged.is_empty(), "{privileged:?}");
    let engine = tree.iter().filter(|(path, _)| path.starts_with("etc/systemd/system/"));
    assert_eq!(engine.filter(|(path, _)| path.contains("docker") || path.contains("containerd")).count(), 0);
    // sshd is started by the door's socket alone, and nobody's account has a program that the box itself could start.
    let sshd = tree.iter().filter(|(path, node)| {
        path.contains("systemd/system/")
            && tree.text(path).is_some_and(|text| text.contains("/usr/sbin/sshd"))
            && matches!(node.kind, Kind::File(_))
    });
    let sshd: Vec<_> = sshd.map(|(path, _)| path).collect();
    assert_eq!(sshd, ["usr/lib/systemd/system/stayput-door@.service"]);
    for line in tree.text("etc/passwd").unwrap().lines() {
        let shell = line.rsplit(':').next().unwrap();
        assert!(tree.file(shell.trim_start_matches('/')).is_none(), "{line}");
    }
    assert!(tree.get("usr/sbin/dockerd").is_some() && tree.get("usr/bin/containerd").is_some());
    assert_eq!(tree.get("etc/machine-id").unwrap().kind, Kind::File(Vec::new()));
}

#[test]
fn every_kept_path_belongs_to_a_pinned_account() {
    let table = PersistTable::load(&top().join("overlay/usr/share/stayput/persist.toml")).unwrap();
    let Some(tree) = real_tree() else { return };
    let numbers = |file: &str| -> BTreeSet<u32> {
        let text = tree.text(file).unwrap();
        text.lines().map(|line| line.split(':').nth(2).unwrap().parse().unwrap()).collect()
    };
    let (users, groups) = (numbers("etc/passwd"), numbers("etc/group"));
    assert!(!table.paths.is_empty());
    for path in table.paths {
        assert!(users.contains(&path.uid) && groups.contains(&path.gid), "{}", path.at);
        assert!(path.at.as_str().starts_with("/var/"), "{} is not below the tmpfs", path.at);
    }
}

#[test]
fn the_tables_in_the_tree_are_those_of_this_repository() {
    rules();
    PersistTable::load(&top().join("overlay/usr/share/stayput/persist.toml")).unwrap();
}

#[test]
fn the_kept_journal_belongs_to_the_group_that_may_read_it() {
    let accounts: toml::Table =
        std::fs::read_to_string(top().join("image/rootfs.toml")).unwrap().parse().unwrap();
    let groups = accounts["group"].as_array().unwrap();
    let group = groups.iter().find(|group| group["name"].as_str() == Some("systemd-journal")).unwrap();
    let table = PersistTable::load(&top().join("overlay/usr/share/stayput/persist.toml")).unwrap();
    let journal = table.paths.iter().find(|path| path.at.as_str() == "/var/log/journal").unwrap();
    assert_eq!(Some(i64::from(journal.gid)), group["gid"].as_integer());
    assert_eq!(journal.uid, 0);
}
