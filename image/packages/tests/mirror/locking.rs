//! From a mirror to a lock, and the lock as a file.

use std::fs;

use stayput_packages::{Error, Kind, Lock, Mirror, change, lock};

use crate::archive::{NOW, TestArchive, package, roots, write, xz};
use crate::server::{Fault, Server};

#[test]
fn a_lock_comes_back_from_its_file_as_it_was_written() {
    let archive =
        TestArchive::with(&[package("one", "1:2.0-1", "Depends: two\n"), package("two", "3", "").of("all")]);
    let made = archive.lock_of(&["one"]);
    let path = archive.folder.path().join("tree/packages.lock");
    made.save(&path).unwrap();
    let read = Lock::load(&path).unwrap();
    assert_eq!(read, made);
    assert_eq!(read.to_text(), fs::read_to_string(&path).unwrap());
    let names: Vec<String> =
        read.feature("base").unwrap().iter().map(|package| package.to_string()).collect();
    assert_eq!(names, ["one 1:2.0-1 arm64", "two 3 all"]);
}

#[test]
fn the_same_mirror_gives_the_same_lock() {
    let archive = TestArchive::with(&[
        package("one", "1", "Depends: two, three\n"),
        package("two", "1", ""),
        package("three", "1", ""),
    ]);
    assert_eq!(archive.lock_of(&["one"]).to_text(), archive.lock_of(&["one"]).to_text());
}

#[test]
fn the_newest_version_of_all_suites_is_locked_and_its_archive_named() {
    let mut archive = TestArchive::with(&[package("one", "1.9-1", ""), package("two", "2", "")]);
    archive.packages.insert("trixie-security", vec![package("one", "1.10-1", ""), package("two", "1", "")]);
    archive.publish();
    let lock = archive.lock_of(&["one", "two"]);
    let locked: Vec<_> = lock.packages.iter().map(|p| (p.to_string(), format!("{:?}", p.archive))).collect();
    assert_eq!(
        locked,
        [("one 1.10-1 arm64".into(), "Security".into()), ("two 2 arm64".into(), "Main".to_string())]
    );
}

#[test]
fn a_feature_may_keep_to_some_suites() {
    let mut archive = TestArchive::with(&[package("one", "1", "")]);
    archive.packages.insert("trixie-security", vec![package("one", "2", "")]);
    archive.publish();
    let lock = archive.lock(&format!("suites = [\"trixie\"]\n{}", roots(&["one"]))).unwrap();
    assert_eq!(lock.packages[0].version, "1");
}

#[test]
fn a_lock_is_stale_once_the_package_list_means_something_else() {
    let archive = TestArchive::with(&[package("one", "1", ""), package("two", "1", "")]);
    let lock = archive.lock_of(&["one"]);
    lock.check_current(&archive.manifest(&roots(&["one"]))).unwrap();
    lock.check_current(
        &archive.manifest("[features.base.packages]\none = \"another reason\"\n# a comment\n"),
    )
    .unwrap();
    let error = lock.check_current(&archive.manifest(&roots(&["one", "two"]))).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("stayput lock"), "{error}");
}

#[test]
fn a_missing_lock_names_the_command_that_makes_it() {
    let error = Lock::load(std::path::Path::new("/nowhere/packages.lock")).unwrap_err();
    assert!(
        matches!(error, Error::NoLock { .. }) && error.to_string().contains("run: stayput lock"),
        "{error}"
    );
}

#[test]
fn an_unknown_feature_is_refused_with_the_known_ones() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    let error = archive.lock_of(&["one"]).feature("bose").unwrap_err().to_string();
    assert!(error.contains("'bose'") && error.contains("base"), "{error}");
}

#[test]
fn a_lock_edited_into_nonsense_is_refused_by_what_is_wrong() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    let good = archive.lock_of(&["one"]).to_text();
    let path = std::path::Path::new("image/packages.lock");
    Lock::parse(&good.replace('\n', "\r\n"), path).unwrap();
    Lock::parse(&format!("\u{feff}{good}"), path).unwrap();
    for (from, to, told) in [
        ("version = 1\n", "version = 2\n", "version = 2"),
        ("path = \"pool", "path = \"../pool", "no path below the archive"),
        ("path = \"pool", "path = \"/pool", "no path below the archive"),
        ("name = \"one\"", "name = \"../one\"", "no package name"),
        ("sha256 = \"", "sha256 = \"A", "64 lower-case hex"),
        ("version = \"1\"", "version = \"1/2\"", "character"),
        ("size = ", "size = -", "packages.lock:"),
        ("size = ", "colour = \"red\"\nsize = ", "unknown field"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Lock::parse(&good.replacen(from, to, 1), path).unwrap_err().to_string();
        assert!(error.contains(told), "{to}: {error}");
    }
    let block = &good[good.find("[[package]]").unwrap()..];
    assert!(Lock::parse(&format!("{good}\n{block}"), path).unwrap_err().to_string().contains("twice"));
    let cut = Lock::parse(&good[..good.len() - 8], path).unwrap_err();
    assert!(matches!(cut, Error::Text { .. }), "{cut}");
    assert!(matches!(Lock::parse("", path).unwrap_err(), Error::Text { .. }));
}

#[test]
fn an_index_that_does_not_fit_its_release_file_is_refused_and_named() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    let main = archive.main().join("dists/trixie/main/binary-arm64");
    for path in [
        main.join("Packages.xz"),
        fs::read_dir(main.join("by-hash/SHA256")).unwrap().next().unwrap().unwrap().path(),
    ] {
        let length = fs::metadata(&path).unwrap().len() as usize;
        write(&path, &vec![7; length]);
    }
    let error = archive.lock(&roots(&["one"])).unwrap_err();
    assert!(matches!(error, Error::WrongHash { .. }), "{error}");
    assert!(error.to_string().contains("main/binary-arm64/Packages.xz"), "{error}");
}

#[test]
fn an_index_that_unpacks_to_more_than_promised_is_refused() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    let bomb = xz(&vec![b'\n'; 30 << 20]);
    let text = archive.release_text("trixie");
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let name = "main/binary-arm64/Packages.xz";
    for line in lines.iter_mut().filter(|line| line.ends_with(name)) {
        *line = format!(" {} {} {name}", crate::archive::sha256(&bomb), bomb.len());
    }
    write(&archive.main().join("dists/trixie").join(name), &bomb);
    write(
        &archive.main().join("dists/trixie/InRelease"),
        archive.key.sign(&(lines.join("\n") + "\n")).as_bytes(),
    );
    let error = archive.lock(&roots(&["one"])).unwrap_err();
    assert!(matches!(error, Error::WrongHash { .. }), "{error}");
}

#[test]
fn the_index_is_asked_for_by_hash_and_then_by_name() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    let server = Server::over(archive.folder.path());
    let manifest = archive.manifest(&roots(&["one"]));
    lock::resolve_fresh(&manifest, &server.mirror(), NOW, &()).unwrap();
    assert!(server.requests("debian/dists/trixie/main/binary-arm64/Packages.xz").is_empty());
    fs::remove_dir_all(archive.main().join("dists/trixie/main/binary-arm64/by-hash")).unwrap();
    lock::resolve_fresh(&manifest, &server.mirror(), NOW, &()).unwrap();
    assert_eq!(server.requests("debian/dists/trixie/main/binary-arm64/Packages.xz").len(), 1);
}

#[test]
fn a_passing_fault_of_the_server_is_outlasted_and_a_lasting_one_named() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    let server = Server::over(archive.folder.path());
    let manifest = archive.manifest(&roots(&["one"]));
    server.fault("debian/dists/trixie/InRelease", Fault::Status(503, 2));
    lock::resolve_fresh(&manifest, &server.mirror(), NOW, &()).unwrap();
    server.fault("debian/dists/trixie/InRelease", Fault::CutAfter(100, 2));
    lock::resolve_fresh(&manifest, &server.mirror(), NOW, &()).unwrap();
    server.fault("debian/dists/trixie/InRelease", Fault::Status(503, 99));
    let error = lock::resolve_fresh(&manifest, &server.mirror(), NOW, &()).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(error.to_string().contains("HTTP 503"), "{error}");
}

#[test]
fn a_mirror_without_the_suite_is_named_as_such() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    fs::remove_dir_all(archive.main().join("dists")).unwrap();
    let error = archive.lock(&roots(&["one"])).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains("InRelease"), "{error}");
}

#[test]
fn without_a_network_the_error_says_what_to_do() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    // A port that was just free and is closed again: nobody answers there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mirror = Mirror::named(&format!("http://127.0.0.1:{port}/debian"), None).unwrap();
    let mirror = mirror.with_patience(2, std::time::Duration::from_millis(1));
    let error = lock::resolve_fresh(&archive.manifest(&roots(&["one"])), &mirror, NOW, &()).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(error.to_string().contains("--offline") && error.to_string().contains("proxy"), "{error}");
}

#[test]
fn apt_sources_of_a_machine_lead_to_its_mirror_past_the_third_parties() {
    let archive = TestArchive::with(&[package("one", "1", "")]);
    let foreign = TestArchive::with(&[package("one", "99", "")]);
    let root = tempfile::TempDir::new().unwrap();
    let line = format!(
        "deb [arch=amd64] file:{} bookworm main\ndeb file://{} bookworm main\ndeb file://{} bookworm-security main\n",
        foreign.main().display(),
        archive.main().display(),
        archive.folder.path().join("debian-security").display(),
    );
    write(&root.path().join("etc/apt/sources.list"), line.as_bytes());
    let mirror = Mirror::from_apt_below(root.path()).unwrap();
    // The first address has the suite, too, but under a key that the tree does not know.
    let lock = lock::resolve_fresh(&archive.manifest(&roots(&["one"])), &mirror, NOW, &()).unwrap();
    assert_eq!(lock.packages[0].version, "1");
}

#[test]
fn a_machine_without_debian_sources_is_told_about_mirror() {
    let root = tempfile::TempDir::new().unwrap();
    let error = Mirror::from_apt_below(root.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("--mirror"), "{error}");
}

#[test]
fn an_update_tells_the_security_upgrade() {
    let mut archive = TestArchive::with(&[package("one", "1", "")]);
    let old = archive.lock_of(&["one"]);
    archive.packages.insert("trixie-security", vec![package("one", "1+deb13u1", "")]);
    archive.publish();
    let told: Vec<String> =
        change::changes(&old, &archive.lock_of(&["one"])).iter().map(|c| c.to_string()).collect();
    assert_eq!(told, ["upgraded    one arm64 1 -> 1+deb13u1  [security]"]);
}

#[test]
fn a_mirror_that_replays_an_older_archive_is_refused_with_what_would_go_back() {
    let mut archive = TestArchive::with(&[package("tool", "2", "")]);
    let locked = archive.lock_of(&["tool"]);
    change::refuse_setbacks(&locked, &archive.lock_of(&["tool"])).unwrap();
    // The same signed key, a month earlier: the main suite has no Valid-Until that would give it away.
    archive.packages.insert("trixie", vec![package("tool", "1", "")]);
    let month_ago = format!("Date: {}\n", stayput_packages::date::format(NOW - 30 * 86_400));
    archive.release_fields.insert("trixie", month_ago);
    archive.publish();
    let error = change::refuse_setbacks(&locked, &archive.lock_of(&["tool"])).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    let said = error.to_string();
    for expected in ["trixie of", "DOWNGRADED  tool arm64 2 -> 1", "--allow-older"] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn the_lock_of_the_tree_fits_the_package_list_of_the_tree() {
    let image = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = stayput_packages::Manifest::load(&image.join("packages.toml")).unwrap();
    let lock = Lock::load(&image.join("packages.lock")).unwrap();
    lock.check_current(&manifest).unwrap();
    assert_eq!(lock.to_text(), fs::read_to_string(image.join("packages.lock")).unwrap());
    for name in manifest.features.keys() {
        lock.feature(name).unwrap();
    }
}
