//! The cache: download, resume, refuse, share.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use stayput_packages::{Cache, Error, Kind, Lock, Locked, Progress, Source};
use tempfile::TempDir;

use crate::archive::{TestArchive, TestPackage, package};
use crate::server::{Fault, Server};

#[derive(Default)]
struct Count {
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress for Count {
    fn total(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }
    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

struct Bench {
    archive: TestArchive,
    lock: Lock,
    server: Server,
    folder: TempDir,
    cache: Cache,
}

/// Packages large enough that a download has a middle: their content does not compress.
fn large(name: &str) -> TestPackage {
    let mut state = 2_654_435_761 ^ u32::from(name.as_bytes()[0]);
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    });
    TestPackage { content: noise.take(90_000).collect(), ..package(name, "1", "") }
}

impl Bench {
    fn with(names: &[&str]) -> Bench {
        let packages: Vec<TestPackage> = names.iter().map(|name| large(name)).collect();
        let archive = TestArchive::with(&packages);
        let lock = archive.lock_of(names);
        let server = Server::over(archive.folder.path());
        let folder = TempDir::new().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        Bench { archive, lock, server, folder, cache }
    }

    fn packages(&self) -> Vec<&Locked> {
        self.lock.packages.iter().collect()
    }

    fn fetch(&self) -> Result<Vec<std::path::PathBuf>, Error> {
        self.cache.fetch(&self.packages(), &Source::Mirror(self.server.mirror()), &())
    }

    fn url(&self, at: usize) -> String {
        format!("debian/{}", self.lock.packages[at].path)
    }

    fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for folder in fs::read_dir(self.folder.path().join("deb")).unwrap() {
            for file in fs::read_dir(folder.unwrap().path()).unwrap() {
                names.push(file.unwrap().file_name().into_string().unwrap());
            }
        }
        names
    }
}

#[test]
fn packages_come_in_order_with_the_right_bytes_and_all_progress() {
    let bench = Bench::with(&["aa", "bb", "cc", "dd", "ee", "ff"]);
    let count = Count::default();
    let paths = bench.cache.fetch(&bench.packages(), &Source::Mirror(bench.server.mirror()), &count).unwrap();
    for (path, package) in paths.iter().zip(bench.packages()) {
        assert_eq!(crate::archive::sha256(&fs::read(path).unwrap()), package.sha256);
        assert!(path.to_str().unwrap().ends_with(&format!("_{}_1_arm64.deb", package.name)));
    }
    let size: u64 = bench.packages().iter().map(|package| package.size).sum();
    assert_eq!((count.total.into_inner(), count.done.into_inner()), (size, size));
    assert!(bench.files().iter().all(|name| name.ends_with(".deb")), "{:?}", bench.files());
}

#[test]
fn what_is_in_the_cache_is_not_fetched_again_even_offline() {
    let bench = Bench::with(&["aa"]);
    bench.fetch().unwrap();
    bench.fetch().unwrap();
    assert_eq!(bench.server.requests(&bench.url(0)).len(), 1);
    bench.cache.fetch(&bench.packages(), &Source::Offline, &()).unwrap();
}

#[test]
fn a_directory_serves_as_a_mirror() {
    let bench = Bench::with(&["aa", "bb"]);
    bench.cache.fetch(&bench.packages(), &Source::Mirror(bench.archive.mirror()), &()).unwrap();
}

#[test]
fn a_cut_connection_is_resumed_where_it_ended() {
    let bench = Bench::with(&["aa"]);
    bench.server.fault(&bench.url(0), Fault::CutAfter(60_000, 1));
    let count = Count::default();
    bench.cache.fetch(&bench.packages(), &Source::Mirror(bench.server.mirror()), &count).unwrap();
    assert_eq!(bench.server.requests(&bench.url(0)), [None, Some("bytes=60000-".to_string())]);
    assert_eq!(count.done.into_inner(), bench.lock.packages[0].size);
}

#[test]
fn what_an_interrupted_build_left_is_resumed() {
    let bench = Bench::with(&["aa"]);
    bench.server.fault(&bench.url(0), Fault::CutAfter(60_000, 99));
    // Every attempt adds a little; give up after the first.
    let impatient = bench.server.mirror().with_patience(1, std::time::Duration::ZERO);
    let error = bench.cache.fetch(&bench.packages(), &Source::Mirror(impatient), &()).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    assert!(bench.files().iter().any(|name| name.ends_with(".part")), "{:?}", bench.files());
    bench.server.fault(&bench.url(0), Fault::Status(500, 0));
    bench.fetch().unwrap();
    assert_eq!(bench.server.requests(&bench.url(0)).last(), Some(&Some("bytes=60000-".to_string())));
    assert!(bench.files().iter().all(|name| name.ends_with(".deb")));
}

#[test]
fn a_bad_partial_file_is_thrown_away_and_the_download_begins_anew() {
    let bench = Bench::with(&["aa"]);
    let place = bench.cache.place(&bench.lock.packages[0]).with_extension("part");
    crate::archive::write(&place, &[0xee; 1000]);
    bench.fetch().unwrap();
    assert_eq!(bench.server.requests(&bench.url(0)), [Some("bytes=1000-".to_string()), None]);
    // Longer than the whole, or exactly as long and wrong: the same.
    let length = bench.lock.packages[0].size as usize;
    for length in [length, length + 1] {
        fs::remove_file(bench.cache.place(&bench.lock.packages[0])).unwrap();
        crate::archive::write(&place, &vec![0xee; length]);
        bench.fetch().unwrap();
    }
}

#[test]
fn a_server_that_does_not_resume_is_read_from_the_start() {
    let bench = Bench::with(&["aa"]);
    crate::archive::write(&bench.cache.place(&bench.lock.packages[0]).with_extension("part"), &[1; 1000]);
    bench.server.fault(&bench.url(0), Fault::NoRange);
    bench.fetch().unwrap();
}

#[test]
fn a_server_that_resumes_at_another_place_is_refused() {
    let bench = Bench::with(&["aa"]);
    crate::archive::write(&bench.cache.place(&bench.lock.packages[0]).with_extension("part"), &[1; 1000]);
    bench.server.fault(&bench.url(0), Fault::OtherPart);
    assert!(bench.fetch().unwrap_err().to_string().contains("another part"));
}

#[test]
fn wrong_bytes_are_refused_with_what_came_from_where_and_not_kept() {
    let bench = Bench::with(&["aa", "bb"]);
    bench.server.fault(&bench.url(1), Fault::WrongBytes);
    let error = bench.fetch().unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    let text = error.to_string();
    let package = &bench.lock.packages[1];
    assert!(
        text.contains("bb 1 arm64") && text.contains(&package.sha256) && text.contains(&package.path),
        "{text}"
    );
    assert!(!bench.cache.place(package).exists());
    let part = bench.cache.place(package).with_extension("part");
    assert!(fs::metadata(part).map_or(0, |metadata| metadata.len()) == 0);
    bench.server.fault(&bench.url(1), Fault::Status(500, 0));
    bench.fetch().unwrap();
}

#[test]
fn more_bytes_than_locked_are_refused() {
    let bench = Bench::with(&["aa"]);
    bench.server.fault(&bench.url(0), Fault::TooMany);
    let error = bench.fetch().unwrap_err();
    assert!(matches!(error, Error::WrongHash { .. }) && error.to_string().contains("more than"), "{error}");
}

#[test]
fn versions_gone_from_the_mirror_are_all_listed_with_the_remedies() {
    let bench = Bench::with(&["aa", "bb", "cc"]);
    for at in [0, 2] {
        fs::remove_file(bench.archive.main().join(&bench.lock.packages[at].path)).unwrap();
    }
    let error = bench.fetch().unwrap_err();
    assert_eq!(error.kind(), Kind::Gone);
    let text = error.to_string();
    for part in
        ["2 of the locked", "aa 1 arm64", "cc 1 arm64", "stayput lock --update", "--mirror", "hash differs"]
    {
        assert!(text.contains(part), "no '{part}' in: {text}");
    }
    assert!(!text.contains("bb 1"), "{text}");
    // What was there has been kept for the next time.
    assert!(bench.cache.place(&bench.lock.packages[1]).exists());
    assert!(!bench.files().iter().any(|name| name.ends_with(".part")), "{:?}", bench.files());
}

#[test]
fn offline_names_everything_that_the_cache_lacks() {
    let bench = Bench::with(&["aa", "bb", "cc"]);
    bench.cache.fetch(&bench.packages()[1..2], &Source::Mirror(bench.server.mirror()), &()).unwrap();
    let error = bench.cache.fetch(&bench.packages(), &Source::Offline, &()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("aa 1 arm64") && text.contains("cc 1 arm64") && !text.contains("bb 1 arm64"),
        "{text}"
    );
    assert_eq!(error.kind(), Kind::Network);
}

#[test]
fn a_file_that_changed_in_the_cache_is_fetched_again() {
    let bench = Bench::with(&["aa"]);
    let path = bench.fetch().unwrap().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        bench.cache.fetch(&bench.packages(), &Source::Offline, &()),
        Err(Error::Offline { .. })
    ));
    fs::write(&path, &bytes).unwrap();
    bench.fetch().unwrap();
    assert_eq!(crate::archive::sha256(&fs::read(&path).unwrap()), bench.lock.packages[0].sha256);
}

#[test]
fn several_builds_at_once_fetch_each_package_once() {
    let bench = Bench::with(&["aa", "bb", "cc", "dd"]);
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.fetch().unwrap())).collect();
        for build in builds {
            assert_eq!(build.join().unwrap().len(), 4);
        }
    });
    for at in 0..4 {
        assert_eq!(bench.server.requests(&bench.url(at)).len(), 1, "package {at}");
    }
    assert!(bench.files().iter().all(|name| name.ends_with(".deb")), "{:?}", bench.files());
}

#[test]
fn a_redirection_is_followed_and_a_circle_of_them_ends() {
    let bench = Bench::with(&["aa"]);
    let elsewhere = Server::over(bench.archive.folder.path());
    bench.server.fault(&bench.url(0), Fault::Redirect(format!("{}/{}", elsewhere.address, bench.url(0))));
    bench.fetch().unwrap();
    assert_eq!(elsewhere.requests(&bench.url(0)).len(), 1);
    let bench = Bench::with(&["aa"]);
    bench.server.fault(&bench.url(0), Fault::Redirect(format!("/{}", bench.url(0))));
    assert!(bench.fetch().unwrap_err().to_string().contains("redirections"));
}

#[test]
fn a_cache_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    crate::archive::write(&folder.path().join("file"), b"");
    let error = Cache::open(&folder.path().join("file/cache")).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.to_string().contains("file/cache"), "{error}");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let bench = Bench::with(&["aa"]);
    let part = bench.cache.place(&bench.lock.packages[0]).with_extension("part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    // Writing to this device fails as a full disk does.
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = bench.fetch().unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.to_string().contains("STAYPUT_CACHE"), "{error}");
}
