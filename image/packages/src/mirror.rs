//! Where the archives are: addresses to try in order, over HTTP or in a directory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::http::Client;
use crate::index::Archive;
use crate::sources;

/// A Debian mirror: main and security archive, each with one or more addresses.
#[derive(Debug, Clone)]
pub struct Mirror {
    main: Vec<Base>,
    security: Vec<Base>,
    client: Arc<Client>,
    attempts: u32,
    first_wait: Duration,
}

/// One address of an archive: the folder that holds `dists` and `pool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    Web(String),
    Directory(PathBuf),
}

/// A file being read from a mirror.
pub(crate) struct Body {
    pub reader: Box<dyn Read + Send>,
    /// Where in the file the reader starts: the mirror may not honour the offset that was asked for.
    pub offset: u64,
}

/// Why a mirror did not give a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It says that it has no such file.
    Missing(String),
    /// Something that may pass.
    Passing(String),
    /// Something that will not.
    Lasting(String),
}

impl Mirror {
    /// The mirror that this machine's apt uses.
    pub fn from_apt() -> Result<Mirror> {
        Mirror::from_apt_below(Path::new("/"))
    }

    /// The same for a machine whose root directory is elsewhere.
    pub fn from_apt_below(root: &Path) -> Result<Mirror> {
        let found = sources::read(root);
        let main = parse_all(&found.main)?;
        let mut security = parse_all(&found.security)?;
        if main.is_empty() {
            let searched = root.join("etc/apt").display().to_string() + "/sources.list, sources.list.d";
            return Err(Error::NoMirror { searched });
        }
        for base in main.iter().flat_map(Base::security_beside) {
            if !security.contains(&base) {
                security.push(base);
            }
        }
        Ok(Mirror::of(main, security))
    }

    /// A mirror named by a person: an address or directory for the main archive, and one for security, which
    /// otherwise is looked for beside it (`…/debian` and `…/debian-security`, also in a snapshot archive).
    pub fn named(main: &str, security: Option<&str>) -> Result<Mirror> {
        let main = Base::parse(main)?;
        let security = match security {
            Some(address) => vec![Base::parse(address)?],
            None => main.security_beside(),
        };
        Ok(Mirror::of(vec![main], security))
    }

    /// How often and how patiently a passing fault is tried again (4 times from half a second on).
    #[must_use]
    pub fn with_patience(mut self, attempts: u32, first_wait: Duration) -> Mirror {
        self.attempts = attempts.max(1);
        self.first_wait = first_wait;
        self
    }

    fn of(main: Vec<Base>, security: Vec<Base>) -> Mirror {
        let (attempts, first_wait) = (4, Duration::from_millis(500));
        Mirror { main, security, client: Arc::new(Client::new()), attempts, first_wait }
    }

    pub(crate) fn bases(&self, archive: Archive) -> &[Base] {
        match archive {
            Archive::Main => &self.main,
            Archive::Security => &self.security,
        }
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Waits before the next attempt: twice as long each time, half a minute at most.
    pub(crate) fn wait(&self, attempt: u32) {
        sleep(self.first_wait.saturating_mul(1 << attempt.min(6)).min(Duration::from_secs(30)));
    }

    /// Starts to read a file from an offset on. One attempt.
    pub(crate) fn open(&self, base: &Base, path: &str, offset: u64) -> Result<Body, Refusal> {
        match base {
            Base::Web(_) => self.client.get(&base.place(path), offset),
            Base::Directory(folder) => {
                let path = folder.join(path);
                let mut file = File::open(&path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => Refusal::Missing("no such file".into()),
                    _ => Refusal::Lasting(error.to_string()),
                })?;
                file.seek(SeekFrom::Start(offset)).map_err(|error| Refusal::Lasting(error.to_string()))?;
                Ok(Body { reader: Box::new(file), offset })
            }
        }
    }

    /// Reads a whole file of at most `limit` bytes, trying again where that helps.
    pub(crate) fn read(&self, base: &Base, path: &str, limit: u64) -> Result<Vec<u8>> {
        let mut attempt = 0;
        loop {
            let refusal = match self.open(base, path, 0) {
                Ok(body) => {
                    let mut bytes = Vec::new();
                    match body.reader.take(limit + 1).read_to_end(&mut bytes) {
                        Ok(_) if bytes.len() as u64 > limit => {
                            Refusal::Lasting(format!("more than the {limit} bytes that it should have"))
                        }
                        Ok(_) => return Ok(bytes),
                        Err(error) => Refusal::Passing(error.to_string()),
                    }
                }
                Err(refusal) => refusal,
            };
            attempt += 1;
            let url = base.shown(path);
            match refusal {
                Refusal::Missing(reason) => return Err(Error::NotFound { url, reason }),
                Refusal::Passing(reason) if attempt < self.attempts => {
                    tracing::debug!(%url, %reason, attempt, "trying again");
                    self.wait(attempt - 1);
                }
                Refusal::Passing(reason) | Refusal::Lasting(reason) => {
                    return Err(Error::Unreachable { url, reason });
                }
            }
        }
    }
}

fn parse_all(addresses: &[String]) -> Result<Vec<Base>> {
    addresses.iter().map(|address| Base::parse(address)).collect()
}

impl Base {
    /// Reads an address as a person writes it.
    pub(crate) fn parse(address: &str) -> Result<Base> {
        let bad =
            |reason: &str| Error::BadMirror { address: without_secret(address), reason: reason.to_string() };
        let trimmed = address.trim().trim_end_matches('/');
        if trimmed.is_empty() {
            return Err(bad("it is empty"));
        }
        let lower = trimmed.to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            if trimmed.contains(char::is_whitespace) || trimmed.contains(['?', '#']) {
                return Err(bad("white space, '?' or '#' has no place in it"));
            }
            if trimmed.split('/').nth(2).is_none_or(str::is_empty) {
                return Err(bad("it names no host"));
            }
            return Ok(Base::Web(trimmed.to_string()));
        }
        let folder = match lower.strip_prefix("file:") {
            Some(_) => {
                let rest = &trimmed["file:".len()..];
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(bad(
                        "a file: address needs an absolute path, as in file:///srv/mirror/debian",
                    ));
                }
                PathBuf::from(path)
            }
            None if trimmed.contains("://") => return Err(bad("that kind of address is not known here")),
            None => PathBuf::from(trimmed),
        };
        if !folder.is_dir() {
            return Err(bad("there is no such directory"));
        }
        Ok(Base::Directory(folder))
    }

    /// A file's place as a person can follow it.
    pub(crate) fn place(&self, path: &str) -> String {
        match self {
            Base::Web(address) => format!("{address}/{path}"),
            Base::Directory(folder) => folder.join(path).display().to_string(),
        }
    }

    /// The same without a password that the address may hold.
    pub(crate) fn shown(&self, path: &str) -> String {
        without_secret(&self.place(path))
    }

    /// Where the security archive is likely to be, given the main one.
    fn security_beside(&self) -> Vec<Base> {
        match self {
            Base::Web(address) => {
                let parts: Vec<&str> = address.split('/').collect();
                // The host's own name is no part of the path.
                let Some(at) = (3..parts.len()).rev().find(|at| parts[*at] == "debian") else {
                    return vec![self.clone()];
                };
                let mut parts = parts;
                parts[at] = "debian-security";
                vec![Base::Web(parts.join("/")), self.clone()]
            }
            Base::Directory(folder) => {
                let beside = folder.parent().map(|parent| parent.join("debian-security"));
                beside
                    .filter(|folder| folder.is_dir())
                    .map(Base::Directory)
                    .into_iter()
                    .chain([self.clone()])
                    .collect()
            }
        }
    }
}

/// Hides `user:password@` of an address.
pub(crate) fn without_secret(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_string() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://…@{}", &rest[at + 1..]),
        None => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security_of(main: &str) -> Vec<String> {
        Base::parse(main).unwrap().security_beside().iter().map(|base| base.place("x")).collect()
    }

    #[test]
    fn the_security_archive_is_looked_for_beside_the_main_one() {
        assert_eq!(
            security_of("http://m.example/debian/"),
            ["http://m.example/debian-security/x", "http://m.example/debian/x"]
        );
        assert_eq!(
            security_of("https://snapshot.example/archive/debian/20261120T000000Z"),
            [
                "https://snapshot.example/archive/debian-security/20261120T000000Z/x",
                "https://snapshot.example/archive/debian/20261120T000000Z/x"
            ]
        );
        assert_eq!(security_of("http://debian/mirror"), ["http://debian/mirror/x"]);
    }

    #[test]
    fn a_directory_beside_is_found_too() {
        let folder = tempfile::TempDir::new().unwrap();
        let main = folder.path().join("debian");
        std::fs::create_dir(&main).unwrap();
        let main = main.to_str().unwrap();
        assert_eq!(security_of(main), [format!("{main}/x")]);
        std::fs::create_dir(folder.path().join("debian-security")).unwrap();
        assert_eq!(
            security_of(&format!("file://{main}")),
            [format!("{main}-security/x"), format!("{main}/x")]
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_forms_that_are() {
        for bad in [
            "",
            "  ",
            "http://",
            "ftp://m.example/debian",
            "file:relative",
            "http://m.example/a b",
            "/no/such/place",
        ] {
            let error = Base::parse(bad).unwrap_err();
            assert!(matches!(error, Error::BadMirror { .. }), "{bad}");
            assert!(error.to_string().contains("file:///"), "{error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_never_shown() {
        let base = Base::parse("https://user:secret@m.example/debian").unwrap();
        assert_eq!(base.shown("dists"), "https://…@m.example/debian/dists");
        assert_eq!(without_secret("https://m.example/a@b"), "https://m.example/a@b");
        assert!(!Base::parse("ftp://user:secret@m.example").unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn waiting_grows_and_stays_bounded() {
        let mirror = Mirror::named("http://m.example/debian", None).unwrap().with_patience(0, Duration::ZERO);
        assert_eq!(mirror.attempts(), 1);
        mirror.wait(u32::MAX);
    }
}
