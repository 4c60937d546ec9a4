//! A cargo home of our own: the person's downloaded crates, without the person's build settings.
//!
//! `~/.cargo/config.toml` can change the optimisation level, the linker or the flags of every build, and cargo has no
//! switch to leave it out. The settings that say where crates come from are kept: the lock file's checksums guard those.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::Error;

/// The tables of cargo's configuration that say where crates come from.
const KEPT: &[&str] = &["http", "net", "registries", "registry", "source"];
/// Keys in them that hold a path relative to the configuration's own place.
const PATHS: &[&str] = &["cainfo", "directory", "local-registry"];
/// What is shared with the person's home: downloads, their credentials, and the locks that guard them.
const SHARED_DIRECTORIES: &[&str] = &["git", "registry"];
const SHARED_FILES: &[&str] = &[".package-cache", ".package-cache-mutate"];

/// Makes or refreshes the home at `home`, which uses the downloads in `person`.
pub(crate) fn ensure(home: &Path, person: &Path) -> Result<(), Error> {
    fs::create_dir_all(home).map_err(Error::file("create", home))?;
    for name in SHARED_DIRECTORIES {
        let shared = person.join(name);
        fs::create_dir_all(&shared).map_err(Error::file("create", &shared))?;
        link(&shared, &home.join(name))?;
    }
    for name in SHARED_FILES {
        let shared = person.join(name);
        let made = fs::OpenOptions::new().create(true).append(true).open(&shared);
        made.map_err(Error::file("create", &shared))?;
        link(&shared, &home.join(name))?;
    }
    let credentials = person.join("credentials.toml");
    if credentials.exists() {
        link(&credentials, &home.join("credentials.toml"))?;
    }
    let target = home.join("config.toml");
    let text = config(person)?;
    if fs::read_to_string(&target).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let part = home.join(format!("config.toml.{}", std::process::id()));
    fs::write(&part, text).map_err(Error::file("write", &part))?;
    fs::rename(&part, &target).map_err(Error::file("write", &target))
}

fn config(person: &Path) -> Result<String, Error> {
    for name in ["config", "config.toml"] {
        let path = person.join(name); // cargo, too, prefers the old name where both are
        match fs::read_to_string(&path) {
            Ok(text) => {
                // Paths in it count from the directory that holds the cargo home.
                let base = person.parent().unwrap_or(person);
                return kept(&text, base).map_err(|reason| Error::Text { path, reason });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("read", &path)(error)),
        }
    }
    Ok(String::new())
}

/// The part of a cargo configuration that says where crates come from.
fn kept(text: &str, base: &Path) -> Result<String, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut table: Table =
        text.parse().map_err(|error: toml::de::Error| error.to_string().trim().to_owned())?;
    table.retain(|key, _| KEPT.contains(&key));
    rebase(&mut table, base);
    toml::to_string(&table).map_err(|error| error.to_string())
}

fn rebase(table: &mut Table, base: &Path) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => rebase(inner, base),
            Value::String(path) if PATHS.contains(&key.as_str()) => {
                if let Some(absolute) = base.join(&*path).to_str() {
                    *path = absolute.to_owned();
                }
            }
            _ => {}
        }
    }
}

fn link(target: &Path, link: &Path) -> Result<(), Error> {
    if fs::read_link(link).is_ok_and(|there| there == target) {
        return Ok(());
    }
    match fs::remove_file(link) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::file("replace", link)(error)),
        _ => {}
    }
    match symlink(target, link) {
        // Another build linked it just now, to the same home.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::file("create link", link)(error))
        }
        _ => Ok(()),
    }
}

/// Every place where the sources of crates lie in this home. Their names depend on the mirror that a machine uses.
pub(crate) fn source_directories(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home.join("registry/src")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_change_bytes_stay_behind_and_mirrors_come_along() {
        let text = "\u{feff}[build]\r\nrustflags = [\"-Copt-level=0\"]\r\n[profile.box]\r\nopt-level = 1\r\n\
            [target.aarch64-unknown-linux-musl]\r\nlinker = \"x\"\r\n[env]\r\nCFLAGS = \"-O0\"\r\n\
            [source.crates-io]\r\nreplace-with = \"near\"\r\n[source.near]\r\ndirectory = \"vendor\"\r\n\
            [http]\r\ncainfo = \"/etc/ca.pem\"\r\n";
        let kept: Table = kept(text, Path::new("/home/x")).unwrap().parse().unwrap();
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["http", "source"]);
        assert_eq!(kept["source"]["crates-io"]["replace-with"].as_str(), Some("near"));
        assert_eq!(kept["source"]["near"]["directory"].as_str(), Some("/home/x/vendor"));
        assert_eq!(kept["http"]["cainfo"].as_str(), Some("/etc/ca.pem"));
    }

    #[test]
    fn a_configuration_that_is_no_toml_is_named_with_its_line() {
        let person = tempfile::tempdir().unwrap();
        fs::write(person.path().join("config.toml"), "[http]\nproxy = \n").unwrap();
        let home = tempfile::tempdir().unwrap();
        let error = ensure(home.path(), person.path()).unwrap_err().to_string();
        assert!(error.contains("config.toml") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn the_home_shares_downloads_and_can_be_made_twice() {
        let (home, person) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = person.path().join("registry/src/index-1");
        fs::create_dir_all(&source).unwrap();
        for _ in 0..2 {
            ensure(home.path(), person.path()).unwrap();
        }
        assert_eq!(source_directories(home.path()), [home.path().join("registry/src/index-1")]);
        assert_eq!(fs::read_to_string(home.path().join("config.toml")).unwrap(), "");
    }

    #[test]
    fn another_person_on_the_same_cache_gets_their_own_downloads() {
        let home = tempfile::tempdir().unwrap();
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        ensure(home.path(), first.path()).unwrap();
        ensure(home.path(), second.path()).unwrap();
        assert_eq!(fs::read_link(home.path().join("git")).unwrap(), second.path().join("git"));
    }
}
