//! The pin: which rustc is *the* compiler, and whether a given one is it.
//!
//! A release number alone does not make the same bytes: a distribution's 1.95.0 has another LLVM. So the
//! commit hash of the official release is on record here, and a compiler that reports another is not the pin.

use std::path::Path;

use serde::Deserialize;

use crate::Error;

/// What the box's programs are compiled for: one static program, no C library to agree with.
pub(crate) const TARGET: &str = "aarch64-unknown-linux-musl";

/// Official releases and the commit that their `rustc -vV` reports.
const COMMITS: &[(&str, &str)] = &[("1.95.0", "59807616e1fa2540724bfbac14d7976d7e4a3860")];

/// The compiler that `rust-toolchain.toml` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub release: String,
    pub commit: &'static str,
}

#[derive(Deserialize)]
struct File {
    toolchain: Section,
}

#[derive(Deserialize)]
struct Section {
    channel: String,
}

impl Pin {
    /// Reads the pin of the tree.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let bad = |reason: String| Error::Pin { path: path.to_owned(), reason };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: File = toml::from_str(text).map_err(|error| bad(error.to_string().trim().to_owned()))?;
        let release = file.toolchain.channel;
        if !is_release(&release) {
            return Err(bad(format!("channel '{release}' can mean another compiler tomorrow")));
        }
        match COMMITS.iter().find(|(known, _)| *known == release) {
            Some((_, commit)) => Ok(Pin { release, commit }),
            None => Err(Error::UnknownRelease { path: path.to_owned(), release }),
        }
    }

    /// Why this compiler is not the pinned one; `None` when it is.
    pub fn differs(&self, rustc: &Rustc) -> Option<String> {
        if rustc.release != self.release {
            return Some(format!("it is Rust {}, not {}", rustc.release, self.release));
        }
        if rustc.commit != self.commit {
            let (got, want) = (&rustc.commit, self.commit);
            return Some(format!("it is a {} of another origin (commit {got}, not {want})", self.release));
        }
        None
    }
}

fn is_release(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// What `rustc -vV` says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rustc {
    pub release: String,
    pub commit: String,
    pub host: String,
    /// All of it, for the manifest.
    pub text: String,
}

impl Rustc {
    /// Reads the output of `rustc -vV`; `None` when something else is called rustc.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
                .map(|v| v.trim().to_owned())
        };
        Some(Rustc {
            release: value("release")?,
            commit: value("commit-hash")?,
            host: value("host")?,
            text: text.trim().replace("\r\n", "\n"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFICIAL: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\n\
        commit-hash: 59807616e1fa2540724bfbac14d7976d7e4a3860\ncommit-date: 2026-04-14\n\
        host: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2\n";

    fn parse(text: &str) -> Result<Pin, String> {
        Pin::parse(text, Path::new("rust-toolchain.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_trees_own_file_pins_a_release_on_record() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rust-toolchain.toml");
        let pin = Pin::load(&file).unwrap();
        assert_eq!(pin.commit.len(), 40);
    }

    #[test]
    fn a_byte_order_mark_and_crlf_are_accepted() {
        let pin = parse("\u{feff}[toolchain]\r\nchannel = \"1.95.0\"\r\n").unwrap();
        assert_eq!(pin.release, "1.95.0");
    }

    #[test]
    fn a_moving_channel_is_refused() {
        for channel in ["stable", "nightly-2026-01-01", "1.95", "1.95.x", "1..0", ""] {
            let error = parse(&format!("[toolchain]\nchannel = \"{channel}\"\n")).unwrap_err();
            assert!(error.contains("exact release"), "{channel}: {error}");
        }
    }

    #[test]
    fn an_empty_file_says_what_belongs_into_it() {
        let error = parse("").unwrap_err();
        assert!(error.contains("toolchain") && error.contains("channel ="), "{error}");
    }

    #[test]
    fn a_release_without_commit_on_record_says_where_to_write_it() {
        let error = parse("[toolchain]\nchannel = \"1.1.0\"\n").unwrap_err();
        assert!(error.contains("COMMITS in image/toolchain/src/pin.rs"), "{error}");
    }

    #[test]
    fn the_official_release_is_the_pin() {
        let pin = parse("[toolchain]\nchannel = \"1.95.0\"\n").unwrap();
        assert_eq!(pin.differs(&Rustc::parse(OFFICIAL).unwrap()), None);
    }

    #[test]
    fn the_same_number_from_another_origin_is_not_the_pin() {
        let pin = parse("[toolchain]\nchannel = \"1.95.0\"\n").unwrap();
        let distribution = OFFICIAL.replace("commit-hash: 59807616e1fa", "commit-hash: 000000000000");
        let reason = pin.differs(&Rustc::parse(&distribution).unwrap()).unwrap();
        assert!(reason.contains("another origin"), "{reason}");
        let older = OFFICIAL.replace("release: 1.95.0", "release: 1.94.1");
        assert_eq!(pin.differs(&Rustc::parse(&older).unwrap()).unwrap(), "it is Rust 1.94.1, not 1.95.0");
    }

    #[test]
    fn something_else_called_rustc_is_not_taken_for_a_compiler() {
        assert_eq!(Rustc::parse(""), None);
        assert_eq!(Rustc::parse("rustc 1.95.0\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_fall_over(text in any::<String>()) {
            let _ = Rustc::parse(&text);
            let _ = parse(&text);
        }
    }
}
