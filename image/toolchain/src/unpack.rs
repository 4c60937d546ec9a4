//! Locked packages unpacked into a private directory that is named by their hashes.
//!
//! The directory appears under its final name in one rename, complete or not at all; it is made once and reused by
//! every tree on the machine. Nothing is installed and no maintainer script runs.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use stayput_packages::deb::{self, Entry, EntryKind};

use crate::Error;
use crate::locked::{Deb, Packages};
use crate::wrapper::Wrapper;

/// An unpacked set: `root/` as in the packages, `bin/` with the programs that start them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub dir: PathBuf,
    /// SHA-256 over the names, versions and hashes of the packages.
    pub lock: String,
}

impl Unpacked {
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    pub fn bin(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }
}

/// The set's identity: the same packages give the same text on every machine and in every order.
pub(crate) fn lock_hash(debs: &[Deb]) -> String {
    let mut lines: Vec<String> =
        debs.iter().map(|d| format!("{} {} {} {}\n", d.name, d.architecture, d.version, d.sha256)).collect();
    lines.sort();
    lines.dedup();
    hex::encode(Sha256::digest(lines.concat()))
}

/// Gives the unpacked set, made now if this machine does not have it yet.
pub(crate) fn ensure(
    kind: &str,
    debs: &[Deb],
    packages: &dyn Packages,
    wrappers: &[Wrapper],
    cache: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<Unpacked, Error> {
    // The dynamic loader and gcc both split lists of directories at these.
    if cache.as_os_str().to_string_lossy().contains([':', ';']) {
        let reason =
            "a path with ':' or ';' in it cannot hold a compiler; choose another cache directory".to_owned();
        return Err(Error::Text { path: cache.to_owned(), reason });
    }
    let lock = lock_hash(debs);
    let mut key = Sha256::new();
    key.update(&lock);
    for wrapper in wrappers {
        key.update(wrapper.name);
        key.update(&wrapper.text);
    }
    let name = format!("{kind}-{}", &hex::encode(key.finalize())[..16]);
    let made = Unpacked { dir: cache.join(&name), lock };
    if made.dir.is_dir() {
        return Ok(made);
    }
    fs::create_dir_all(cache).map_err(Error::file("create", cache))?;
    let _held = hold(&cache.join(format!("{name}.lock")))?;
    if made.dir.is_dir() {
        return Ok(made); // another build made it while this one waited
    }
    say(&format!("unpacking {} packages privately into {}", debs.len(), made.dir.display()));
    let files = packages.fetch(debs).map_err(|source| Error::Packages { wanted: kind.to_owned(), source })?;
    let part = cache.join(format!("{name}.part"));
    remove(&part)?; // what an interrupted build left: the lock is ours, so nobody is writing it
    unpack_all(debs.iter().zip(&files), wrappers, &part)?;
    fs::rename(&part, &made.dir).map_err(Error::file("give the final name to", &part))?;
    Ok(made)
}

/// Holds a lock file until dropped; waits while another build holds it.
pub(crate) fn hold(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::file("create", path))?;
    file.lock().map_err(Error::file("lock", path))?;
    Ok(file)
}

/// Removes a directory tree; that it is not there is fine.
pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", dir)(error)),
        _ => Ok(()),
    }
}

fn unpack_all<'a>(
    debs: impl Iterator<Item = (&'a Deb, &'a PathBuf)>,
    wrappers: &[Wrapper],
    part: &Path,
) -> Result<(), Error> {
    let root = part.join("root");
    let bin = part.join("bin");
    for dir in [&root, &bin] {
        fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    }
    for (package, file) in debs {
        let label = format!("{} {} {}", package.name, package.version, package.architecture);
        let entries = deb::read(file)
            .map_err(|error| Error::Unpack { package: label.clone(), source: error.into() })?;
        for entry in entries {
            place(&root, &label, entry)?;
        }
    }
    for wrapper in wrappers {
        write(&bin.join(wrapper.name), wrapper.text.as_bytes(), 0o755)?;
    }
    // The rename must never be on the disk before the files are: a compiler cut short would be reused for ever.
    let handle = File::open(part).map_err(Error::file("open", part))?;
    rustix::fs::syncfs(&handle).map_err(|error| Error::file("flush", part)(error.into()))
}

/// Documentation, locales and configuration are nothing a compiler reads.
fn wanted(path: &str) -> bool {
    path.starts_with("usr/") && !path.starts_with("usr/share/")
}

fn place(root: &Path, package: &str, entry: Entry) -> Result<(), Error> {
    let refuse = |reason| Error::Entry { package: package.to_owned(), entry: entry.path.clone(), reason };
    if !inside(Path::new(""), Path::new(&entry.path)) {
        return Err(refuse("the path leads out of the package's own tree"));
    }
    if !wanted(&entry.path) {
        return Ok(());
    }
    let path = root.join(&entry.path);
    let parent = path.parent().unwrap_or(root);
    fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    match &entry.kind {
        EntryKind::Directory => fs::create_dir_all(&path).map_err(Error::file("create", &path)),
        EntryKind::File(bytes) => {
            if path.exists() {
                let there = fs::read(&path).map_err(Error::file("read", &path))?;
                return if there == *bytes {
                    Ok(())
                } else {
                    Err(refuse("another package of the set holds it otherwise"))
                };
            }
            write(&path, bytes, if entry.mode & 0o111 != 0 { 0o755 } else { 0o644 })
        }
        EntryKind::Symlink(target) => {
            let from = Path::new(&entry.path).parent().unwrap_or(Path::new(""));
            if !inside(from, Path::new(target)) {
                return Err(refuse(
                    "the link leads out of the package's own tree, to this machine's own files",
                ));
            }
            match symlink(target, &path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    Err(Error::file("create link", &path)(error))
                }
                _ => Ok(()),
            }
        }
        EntryKind::Hardlink(target) => {
            if !inside(Path::new(""), Path::new(target)) {
                return Err(refuse("the link leads out of the package's own tree"));
            }
            fs::hard_link(root.join(target), &path).map_err(Error::file("create link", &path))
        }
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(Error::file("create", path))?;
    file.write_all(bytes).map_err(Error::file("write", path))
}

/// Whether `path`, taken from the directory `from`, stays within the tree.
fn inside(from: &Path, path: &Path) -> bool {
    let mut depth = from.components().count();
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deb(name: &str, sha256: &str) -> Deb {
        let (version, architecture) = ("1".to_owned(), "amd64".to_owned());
        Deb { name: name.to_owned(), architecture, version, sha256: sha256.to_owned() }
    }

    /// Hands over the same file for every package.
    struct One(PathBuf);

    impl Packages for One {
        fn list(&self, _: &str) -> Result<Vec<Deb>, Box<dyn std::error::Error + Send + Sync>> {
            Ok(Vec::new())
        }

        fn fetch(&self, debs: &[Deb]) -> Result<Vec<PathBuf>, Box<dyn std::error::Error + Send + Sync>> {
            Ok(vec![self.0.clone(); debs.len()])
        }
    }

    fn nothing() -> One {
        One(PathBuf::new())
    }

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.to_owned(), kind, mode: 0o644, uid: 0, gid: 0 }
    }

    #[test]
    fn the_hash_of_a_set_does_not_know_their_order() {
        let (a, b) = (deb("a", "11"), deb("b", "22"));
        assert_eq!(lock_hash(&[a.clone(), b.clone()]), lock_hash(&[b.clone(), a.clone(), b]));
        assert_ne!(lock_hash(&[a]), lock_hash(&[deb("a", "12")]));
    }

    #[test]
    fn a_path_that_climbs_out_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["usr/../../x", "/usr/x", "../x"] {
            let error = place(dir.path(), "evil 1 amd64", entry(path, EntryKind::File(vec![]))).unwrap_err();
            assert!(
                error.to_string().contains("evil 1 amd64") && error.to_string().contains(path),
                "{error}"
            );
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_to_the_machines_own_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for target in ["/usr/bin/gcc", "../../../etc/passwd"] {
            let link = entry("usr/bin/gcc", EntryKind::Symlink(target.to_owned()));
            assert!(matches!(place(dir.path(), "p", link), Err(Error::Entry { .. })), "{target}");
        }
        let fine = entry("usr/bin/gcc", EntryKind::Symlink("../lib/gcc".to_owned()));
        place(dir.path(), "p", fine).unwrap();
    }

    #[test]
    fn one_path_with_two_contents_is_refused_and_with_one_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let file = |byte| entry("usr/lib/x.so", EntryKind::File(vec![byte]));
        place(dir.path(), "first", file(1)).unwrap();
        place(dir.path(), "second", file(1)).unwrap();
        assert!(place(dir.path(), "third", file(2)).unwrap_err().to_string().contains("third"));
    }

    #[test]
    fn documentation_is_left_packed() {
        let dir = tempfile::tempdir().unwrap();
        place(dir.path(), "p", entry("usr/share/doc/p/copyright", EntryKind::File(vec![1]))).unwrap();
        assert!(!dir.path().join("usr").exists());
    }

    #[test]
    fn what_an_interrupted_build_left_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let made = ensure("cc", &[], &nothing(), &[], dir.path(), &mut |_| {}).unwrap();
        fs::remove_dir_all(&made.dir).unwrap();
        let part = made.dir.with_extension("part");
        fs::create_dir_all(part.join("root/usr/half")).unwrap();
        let again = ensure("cc", &[], &nothing(), &[], dir.path(), &mut |_| {}).unwrap();
        assert!(!part.exists() && !again.root().join("usr").exists());
    }

    #[test]
    fn a_set_is_unpacked_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut said = Vec::new();
        for _ in 0..2 {
            ensure("cc", &[], &nothing(), &[], dir.path(), &mut |line| said.push(line.to_owned())).unwrap();
        }
        assert_eq!(said.len(), 1, "{said:?}");
    }

    #[test]
    fn a_package_that_is_no_package_leaves_nothing_under_the_final_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("truncated.deb");
        fs::write(&path, b"!<arch>\ndebian").unwrap();
        let cache = dir.path().join("cache");
        let error = ensure("cc", &[deb("gcc", "11")], &One(path), &[], &cache, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("cannot unpack gcc 1 amd64"), "{error}");
        let left: Vec<_> = fs::read_dir(&cache).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name.to_string_lossy().contains('.')), "{left:?}");
    }

    #[test]
    fn a_cache_path_that_the_loader_would_split_is_refused() {
        let error = ensure("cc", &[], &nothing(), &[], Path::new("/tmp/a:b"), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("/tmp/a:b"), "{error}");
    }
}
