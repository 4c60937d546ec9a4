//! The compiler of what runs on the box: pinned rustc, locked C compiler, marked fallback.
//!
//! Two machines must make the same bytes, so neither the person's settings nor the machine's compilers take part:
//!
//! - [`ensure`] finds the rustc that `rust-toolchain.toml` pins, or fetches it, and unpacks the locked C compiler
//!   for the C parts of crates. Where the pinned rustc cannot be had, it takes the distribution's Rust from locked
//!   packages, and says so: [`Kind::Fallback`].
//! - [`Toolchain::compile`] makes the programs of the given packages.
//! - [`Toolchain::record`] is what the image's manifest says of all this.
//!
//! Nothing is printed here: callers pass a function for lines that a person should see. Numbers and decisions are in
//! `docs/toolchain.md`.

#![warn(missing_docs)]

mod c_library;
mod cargo_home;
mod compile;
mod compiler;
mod environment;
mod error;
mod fallback;
#[cfg(test)]
mod fixture;
mod flags;
mod locked;
mod pin;
mod program;
mod record;
mod rustup;
mod subprocess;
mod unpack;
mod wrapper;

use std::path::{Path, PathBuf};

pub use compile::{Order, Profile, Program};
pub use compiler::FEATURE as COMPILER_FEATURE;
pub use error::Error;
pub use fallback::FEATURE as FALLBACK_FEATURE;
pub use locked::{Deb, FromLock, Packages};
pub use record::{Kind, Record};

/// Which toolchain a person wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The pinned one; the fallback where it cannot be had.
    #[default]
    Auto,
    /// The pinned one or an error.
    Pinned,
    /// The fallback, even where the pinned one is there.
    Fallback,
}

impl Choice {
    /// The environment variable that holds the choice.
    pub const VARIABLE: &'static str = "STAYPUT_TOOLCHAIN";

    /// Reads the choice from the environment; unset and empty mean [`Choice::Auto`].
    pub fn from_environment() -> Result<Self, Error> {
        Self::parse(&std::env::var_os(Self::VARIABLE).unwrap_or_default().to_string_lossy())
    }

    fn parse(word: &str) -> Result<Self, Error> {
        match word {
            "" | "auto" => Ok(Choice::Auto),
            "pinned" => Ok(Choice::Pinned),
            "fallback" => Ok(Choice::Fallback),
            other => Err(Error::Choice { value: other.to_owned() }),
        }
    }
}

/// What [`ensure`] needs to know.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The workspace, where `rust-toolchain.toml` is.
    pub tree: &'a Path,
    /// Where unpacked and fetched toolchains are kept, for all trees of this person.
    pub cache: &'a Path,
    /// Which toolchain is wanted.
    pub choice: Choice,
    /// Whether the network must not be used.
    pub offline: bool,
    /// Where locked packages come from.
    pub packages: &'a dyn Packages,
}

/// A toolchain that is ready to compile.
#[derive(Clone, Debug)]
pub struct Toolchain {
    record: Record,
    cargo: PathBuf,
    rustc: PathBuf,
    /// The name in the sysroot, or a path; a path of the machine would change the pinned result.
    linker: PathBuf,
    sysroot: PathBuf,
    commit: String,
    host: String,
    /// The unpacked set with the C compiler in it.
    compiler: PathBuf,
    /// Which of its programs compiles for the target's C library.
    cc: &'static str,
    cache: PathBuf,
}

impl Toolchain {
    /// What the image's manifest and os-release say of the toolchain.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Pinned or fallback.
    pub fn kind(&self) -> Kind {
        self.record.toolchain
    }

    /// The licence texts of the standard library, by name: in every toolchain that rustup brings.
    pub fn licences(&self) -> std::collections::BTreeMap<String, String> {
        let folder = self.sysroot.join("share/doc/rust/licenses");
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        ["Apache-2.0.txt", "MIT.txt"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), text(name)?)))
            .collect()
    }

    /// Compiles the programs of the given packages; `say` gets cargo's lines as they come.
    pub fn compile(&self, order: &Order<'_>, say: &mut dyn FnMut(&str)) -> Result<Vec<Program>, Error> {
        compile::compile(self, order, say)
    }
}

/// Finds or fetches a toolchain; `say` gets a line before anything is fetched or unpacked, with the reason.
pub fn ensure(request: &Request<'_>, say: &mut dyn FnMut(&str)) -> Result<Toolchain, Error> {
    supported(std::env::consts::ARCH, std::env::consts::OS)?;
    let cache = std::path::absolute(request.cache).map_err(Error::file("find", request.cache))?;
    if request.choice == Choice::Fallback {
        return distribution(request, &cache, say);
    }
    // First the question that may end the whole attempt; the C compiler's packages only when they are of use.
    let pinned = match rustup::ensure(request.tree, &cache, request.offline, say) {
        Ok(pinned) => pinned,
        Err(why @ Error::NoPinned { .. }) if request.choice == Choice::Auto => {
            say(&format!("warning: {why}"));
            say("building with the distribution's Rust; the image is marked 'toolchain: fallback'");
            return distribution(request, &cache, say)
                .map_err(|fallback| Error::Nothing { pinned: Box::new(why), fallback: Box::new(fallback) });
        }
        Err(other) => return Err(other),
    };
    let compiler = compiler::ensure(&list(request, compiler::FEATURE)?, request.packages, &cache, say)?;
    Ok(Toolchain {
        record: Record {
            toolchain: Kind::Pinned,
            target: pin::TARGET.to_owned(),
            rustc: pinned.rustc.text,
            linker: pinned.linker,
            c_compiler: compiler.version,
            c_library: c_library::pinned(&pinned.sysroot)?,
            locked: compiler.set.lock,
        },
        cargo: pinned.sysroot.join("bin/cargo"),
        rustc: pinned.sysroot.join("bin/rustc"),
        linker: "rust-lld".into(),
        sysroot: pinned.sysroot,
        commit: pinned.rustc.commit,
        host: pinned.rustc.host,
        compiler: compiler.set.dir,
        cc: "cc",
        cache,
    })
}

fn distribution(request: &Request<'_>, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Toolchain, Error> {
    let mut debs = list(request, compiler::FEATURE)?;
    debs.extend(list(request, fallback::FEATURE)?);
    debs.sort();
    debs.dedup_by(|a, b| (&a.name, &a.architecture) == (&b.name, &b.architecture));
    let rust = fallback::ensure(&debs, request.packages, cache, say)?;
    let version = compiler::version(&rust.set)?;
    Ok(Toolchain {
        record: Record {
            toolchain: Kind::Fallback,
            target: fallback::TARGET.to_owned(),
            rustc: rust.rustc.text,
            linker: rust.linker,
            c_compiler: version,
            c_library: c_library::distribution(&debs),
            locked: rust.set.lock.clone(),
        },
        cargo: rustup::any_cargo(request.tree),
        rustc: rust.set.bin("rustc"),
        linker: rust.set.bin("gcc"),
        sysroot: rust.set.root().join("usr"),
        commit: rust.rustc.commit,
        host: rust.rustc.host,
        compiler: rust.set.dir,
        cc: "gcc",
        cache: cache.to_owned(),
    })
}

fn list(request: &Request<'_>, feature: &str) -> Result<Vec<Deb>, Error> {
    request
        .packages
        .list(feature)
        .map_err(|source| Error::Packages { wanted: format!("feature '{feature}'"), source })
}

fn supported(architecture: &str, os: &str) -> Result<(), Error> {
    if (architecture, os) == ("x86_64", "linux") {
        return Ok(());
    }
    Err(Error::Host { architecture: architecture.to_owned(), os: os.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_the_locked_compiler_does_not_run_on_is_told_where_to_build() {
        let error = supported("aarch64", "macos").unwrap_err().to_string();
        assert!(error.contains("aarch64 macos") && error.contains("x86_64 virtual machine"), "{error}");
        assert!(supported("x86_64", "linux").is_ok());
    }

    #[test]
    fn a_choice_that_means_nothing_is_refused_with_the_words_that_do() {
        let error = Choice::parse("falback").unwrap_err().to_string();
        assert!(error.contains("'falback'") && error.contains("'fallback'"), "{error}");
        assert_eq!(Choice::parse("").unwrap(), Choice::Auto);
        assert_eq!(Choice::parse("fallback").unwrap(), Choice::Fallback);
    }
}
