//! The shared cache: files by their SHA-256, brought by several threads, resumed, checked, put in place in one step.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use crate::error::{Error, GonePackage, Result};
use crate::lock::Locked;
use crate::mirror::{Base, Mirror, Refusal};
use crate::progress::Progress;

/// Where packages may come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The cache first, then this mirror.
    Mirror(Mirror),
    /// The cache only.
    Offline,
}

/// A folder of packages that several checkouts and several builds at once may share.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// More than a few only annoys a mirror.
const THREADS: usize = 4;

impl Cache {
    /// Opens a cache folder, and makes it where it is not there yet.
    pub fn open(folder: &Path) -> Result<Cache> {
        let packages = folder.join("deb");
        fs::create_dir_all(&packages).map_err(Error::io("create", &packages))?;
        Ok(Cache { folder: folder.to_path_buf() })
    }

    /// `$STAYPUT_CACHE`, else `$XDG_CACHE_HOME/stayput`, else `~/.cache/stayput`.
    pub fn default_folder() -> Option<PathBuf> {
        let named =
            |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        named("STAYPUT_CACHE")
            .or_else(|| {
                named("XDG_CACHE_HOME")
                    .filter(|folder| folder.is_absolute())
                    .map(|folder| folder.join("stayput"))
            })
            .or_else(|| named("HOME").map(|home| home.join(".cache/stayput")))
    }

    /// Where a package is, or would be.
    pub fn place(&self, package: &Locked) -> PathBuf {
        let folder = self.folder.join("deb").join(&package.sha256[..2]);
        folder.join(format!("{}_{}", package.sha256, package.file_name()))
    }

    /// Brings packages; the paths are in the order of the packages. Every file has been read and its hash compared
    /// when this returns, those that were there before included.
    pub fn fetch(
        &self,
        packages: &[&Locked],
        source: &Source,
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>> {
        progress.total(packages.iter().map(|package| package.size).sum());
        let outcomes: Vec<Mutex<Option<Outcome>>> = packages.iter().map(|_| Mutex::new(None)).collect();
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..THREADS.min(packages.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(package) = packages.get(at) else { break };
                        let outcome = self.bring(package, source, progress);
                        stop.fetch_or(matches!(outcome, Outcome::Failed(_)), Ordering::Relaxed);
                        if let Ok(mut slot) = outcomes[at].lock() {
                            *slot = Some(outcome);
                        }
                    }
                });
            }
        });
        let outcomes = outcomes.into_iter().filter_map(|slot| slot.into_inner().ok().flatten());
        self.conclude(packages, outcomes)
    }

    /// One answer from many: a failure first, then all that is missing or gone in one list.
    fn conclude(
        &self,
        packages: &[&Locked],
        outcomes: impl Iterator<Item = Outcome>,
    ) -> Result<Vec<PathBuf>> {
        let (mut paths, mut gone, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        let mut failure = None;
        for (package, outcome) in packages.iter().zip(outcomes) {
            match outcome {
                Outcome::There(path) => paths.push(path),
                Outcome::Gone(url) => gone.push(GonePackage { package: package.to_string(), url }),
                Outcome::Missing => missing.push(package.to_string()),
                Outcome::Failed(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if !gone.is_empty() {
            return Err(Error::Gone { packages: gone });
        }
        if !missing.is_empty() {
            return Err(Error::Offline { cache: self.folder.clone(), missing });
        }
        Ok(paths)
    }

    fn bring(&self, package: &Locked, source: &Source, progress: &dyn Progress) -> Outcome {
        let path = self.place(package);
        match is_good(&path, package) {
            Ok(true) => {
                progress.advance(package.size);
                return Outcome::There(path);
            }
            Ok(false) => {}
            Err(error) => return Outcome::Failed(error),
        }
        match source {
            Source::Offline => Outcome::Missing,
            Source::Mirror(mirror) => {
                self.download(package, &path, mirror, progress).unwrap_or_else(Outcome::Failed)
            }
        }
    }

    fn download(
        &self,
        package: &Locked,
        path: &Path,
        mirror: &Mirror,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let partial = path.with_extension("part");
        let file = open_alone(&partial)?;
        // Another build may have finished it while we waited.
        if is_good(path, package)? {
            fs::remove_file(&partial).map_err(Error::io("remove", &partial))?;
            progress.advance(package.size);
            return Ok(Outcome::There(path.to_path_buf()));
        }
        let mut transfer = Transfer { package, partial: &partial, file, mirror, progress, counted: 0 };
        let mut gone = String::new();
        let mut failure = None;
        for base in mirror.bases(package.archive) {
            match transfer.run(base) {
                Ok(()) => {
                    fs::rename(&partial, path).map_err(Error::io("rename", &partial))?;
                    return Ok(Outcome::There(path.to_path_buf()));
                }
                Err(Error::NotFound { url, .. }) => gone = url,
                // The next address cannot help against a full disk.
                Err(error @ (Error::Io { .. } | Error::DiskFull { .. })) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "trying the next address, if there is one");
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => {
                // Nothing came: leave no empty file behind.
                let _ = fs::remove_file(&partial);
                Ok(Outcome::Gone(gone))
            }
        }
    }
}

/// What became of one package.
enum Outcome {
    There(PathBuf),
    Gone(String),
    Missing,
    Failed(Error),
}

/// One download into a partial file that is locked by us.
struct Transfer<'a> {
    package: &'a Locked,
    partial: &'a Path,
    file: File,
    mirror: &'a Mirror,
    progress: &'a dyn Progress,
    /// How much has been told to `progress`; a second start tells nothing twice.
    counted: u64,
}

/// Why one attempt did not end with the whole file.
enum Stop {
    Refused(Refusal),
    /// The whole length came, with this hash.
    Wrong(String),
    Failed(Error),
}

impl Transfer<'_> {
    /// Downloads from one address, again and again while that helps.
    fn run(&mut self, base: &Base) -> Result<()> {
        let url = base.shown(&self.package.path);
        let mut attempt = 0;
        loop {
            let (start, hash) = self.resume_point()?;
            let reason = match self.attempt(base, start, hash) {
                Ok(()) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Wrong(got)) => {
                    self.restart()?;
                    if start == 0 {
                        return Err(self.wrong(url, got));
                    }
                    // What an earlier, interrupted download left may have been the bad part.
                    continue;
                }
                Err(Stop::Refused(Refusal::Missing(reason))) => return Err(Error::NotFound { url, reason }),
                Err(Stop::Refused(Refusal::Lasting(reason))) => {
                    return Err(Error::Unreachable { url, reason });
                }
                Err(Stop::Refused(Refusal::Passing(reason))) => reason,
            };
            attempt += 1;
            if attempt >= self.mirror.attempts() {
                return Err(Error::Unreachable { url, reason });
            }
            tracing::debug!(%url, %reason, attempt, "trying again");
            self.mirror.wait(attempt - 1);
        }
    }

    fn attempt(&mut self, base: &Base, start: u64, mut hash: Sha256) -> Result<(), Stop> {
        let mut at = start;
        if at < self.package.size {
            let mut body = self.mirror.open(base, &self.package.path, start).map_err(Stop::Refused)?;
            if body.offset != at {
                self.restart().map_err(Stop::Failed)?;
                (at, hash) = (0, Sha256::new());
            }
            let mut buffer = vec![0; 128 << 10];
            loop {
                let read = body.reader.read(&mut buffer);
                let read = read.map_err(|error| Stop::Refused(Refusal::Passing(error.to_string())))?;
                if read == 0 {
                    break;
                }
                at += read as u64;
                if at > self.package.size {
                    self.restart().map_err(Stop::Failed)?;
                    let reason = format!("more than the {} bytes that the lock names", self.package.size);
                    return Err(Stop::Failed(self.wrong(base.shown(&self.package.path), reason)));
                }
                hash.update(&buffer[..read]);
                let written = self.file.write_all(&buffer[..read]);
                written.map_err(|error| Stop::Failed(Error::io("write", self.partial)(error)))?;
                self.progress.advance(at.saturating_sub(self.counted));
                self.counted = self.counted.max(at);
            }
            if at < self.package.size {
                let reason = format!("it ended after {at} of {} bytes", self.package.size);
                return Err(Stop::Refused(Refusal::Passing(reason)));
            }
        }
        let got = hex::encode(hash.finalize());
        if got == self.package.sha256 { Ok(()) } else { Err(Stop::Wrong(got)) }
    }

    /// How much of the file is there, and the hash so far.
    fn resume_point(&mut self) -> Result<(u64, Sha256)> {
        let failed = |error| Error::io("read", self.partial)(error);
        let length = self.file.metadata().map_err(failed)?.len();
        if length > self.package.size {
            self.restart()?;
            return Ok((0, Sha256::new()));
        }
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let (hash, length) = hash_of(&mut (&self.file).take(length)).map_err(failed)?;
        self.progress.advance(length.saturating_sub(self.counted));
        self.counted = self.counted.max(length);
        Ok((length, hash))
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(Error::io("write", self.partial))?;
        self.file.seek(SeekFrom::Start(0)).map_err(Error::io("write", self.partial))?;
        Ok(())
    }

    fn wrong(&self, origin: String, got: String) -> Error {
        Error::WrongHash {
            what: self.package.to_string(),
            origin,
            expected: format!("{}, {} bytes", self.package.sha256, self.package.size),
            got,
        }
    }
}

/// Whether the file is there with the right bytes. A wrong one is taken away: a bad disk or a hand in the cache.
fn is_good(path: &Path, package: &Locked) -> Result<bool> {
    let mut file = match File::open(path) {
        // One byte more than it should have tells that it has more.
        Ok(file) => file.take(package.size + 1),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let (hash, length) = hash_of(&mut file).map_err(Error::io("read", path))?;
    if length == package.size && hex::encode(hash.finalize()) == package.sha256 {
        return Ok(true);
    }
    tracing::warn!(path = %path.display(), "a cached package had changed; it is taken away and fetched again");
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(false),
    }
}

fn hash_of(file: &mut impl Read) -> std::io::Result<(Sha256, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((hash, length)),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}

/// Opens the partial file so that no other build has it at the same time. The lock is the kernel's: it ends with the
/// process, however that ends.
fn open_alone(path: &Path) -> Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("create", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tracing::info!(path = %path.display(), "another build is fetching this; waiting for it");
                file.lock().map_err(Error::io("lock", path))?;
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
        }
        // Who held it may have renamed it into place meanwhile: then our lock is on another file than the path names.
        let ours = file.metadata().map_err(Error::io("read", path))?.ino();
        if fs::metadata(path).is_ok_and(|named| named.ino() == ours) {
            return Ok(file);
        }
    }
}
