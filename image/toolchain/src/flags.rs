//! The flags that make the result the same in every directory, and the compiler of C parts the locked one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Kind, Toolchain, cargo_home};

/// What a build gets besides its order.
pub(crate) struct Flags {
    rust: OsString,
    c: OsString,
}

impl Flags {
    /// The flags for a tree whose crates lie in `home`, which shares the downloads of `person`.
    pub fn new(toolchain: &Toolchain, tree: &Path, home: &Path, person: &Path) -> Self {
        let mut maps = vec![(tree.to_owned(), "/src".to_owned())];
        for home in [home, person] {
            maps.push((home.to_owned(), "/cargo".to_owned()));
            if let Ok(real) = home.canonicalize() {
                maps.push((real, "/cargo".to_owned()));
            }
            let sources = cargo_home::source_directories(home);
            maps.extend(sources.into_iter().map(|from| (from, "/cargo/src".to_owned())));
        }
        // Where the component rust-src is installed, rustc may write that path for the standard library's own.
        maps.push((toolchain.sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{}", toolchain.commit)));
        Self::from_maps(&maps, toolchain.record.toolchain)
    }

    /// The last map that fits wins, in rustc as in gcc.
    fn from_maps(maps: &[(PathBuf, String)], kind: Kind) -> Self {
        let mut rust = Vec::new();
        let mut c = Vec::new();
        for (from, to) in maps {
            rust.push(mapping("--remap-path-prefix=", from, to));
            c.push(quoted(&mapping("-ffile-prefix-map=", from, to)));
        }
        if kind == Kind::Fallback {
            rust.push("-Ctarget-feature=+crt-static".into());
        }
        // No other flag for the pinned target: whatever stands here goes into the name of every symbol.
        Flags { rust: rust.join(OsStr::new("\u{1f}")), c: c.join(OsStr::new(" ")) }
    }

    /// Puts the flags and the compilers into a cargo command's environment, where they win over any configuration.
    pub fn give(&self, command: &mut Command, toolchain: &Toolchain) {
        let target = toolchain.record.target.replace('-', "_");
        let bin = |name: &str| toolchain.compiler.join("bin").join(name);
        command
            .env("CARGO_ENCODED_RUSTFLAGS", &self.rust)
            .env(format!("CARGO_TARGET_{}_LINKER", target.to_uppercase()), &toolchain.linker)
            .env(format!("CC_{target}"), bin(toolchain.cc))
            .env(format!("CXX_{target}"), bin("c++"))
            .env(format!("AR_{target}"), bin("ar"))
            .env(format!("RANLIB_{target}"), bin("ranlib"))
            .env(format!("CFLAGS_{target}"), &self.c)
            .env("CC_SHELL_ESCAPED_FLAGS", "1")
            // What __DATE__ and __TIME__ of a C file say.
            .env("SOURCE_DATE_EPOCH", "0");
    }
}

fn mapping(flag: &str, from: &Path, to: &str) -> OsString {
    let mut text = OsString::from(flag);
    text.push(from);
    text.push("=");
    text.push(to);
    text
}

/// One word of shell: single quotes, and a quote in it leaves them for a moment.
fn quoted(word: &OsStr) -> OsString {
    // A path that is not UTF-8 has passed cargo by then only if cargo could use it, which it cannot.
    format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> Vec<(PathBuf, String)> {
        vec![("/home/x y/tree".into(), "/src".into()), ("/home/x y/tree/it's".into(), "/cargo".into())]
    }

    #[test]
    fn the_narrower_map_comes_later_because_the_last_wins() {
        let flags = Flags::from_maps(&maps(), Kind::Pinned);
        let rust = flags.rust.into_string().unwrap();
        let words: Vec<&str> = rust.split('\u{1f}').collect();
        assert_eq!(words[0], "--remap-path-prefix=/home/x y/tree=/src");
        assert_eq!(words[1], "--remap-path-prefix=/home/x y/tree/it's=/cargo");
        assert_eq!(words.len(), 2, "the pinned target takes no flag that a path does not need");
    }

    #[test]
    fn a_path_with_space_and_quote_reaches_the_c_compiler_as_one_word() {
        let flags = Flags::from_maps(&maps(), Kind::Pinned);
        let shell = format!("printf '%s\\n' {}", flags.c.to_str().unwrap());
        let done = Command::new("sh").args(["-c", &shell]).output().unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            ["-ffile-prefix-map=/home/x y/tree=/src", "-ffile-prefix-map=/home/x y/tree/it's=/cargo"]
        );
    }

    #[test]
    fn the_fallback_takes_the_c_library_in() {
        let flags = Flags::from_maps(&[], Kind::Fallback);
        assert_eq!(flags.rust, "-Ctarget-feature=+crt-static");
    }
}
