//! The pinned rustc, found or fetched: the person's own where it is whole, else a private one of the same commit.

use std::fs;
use std::path::{Path, PathBuf};

use crate::pin::{Pin, Rustc, TARGET};
use crate::{Error, environment, subprocess, unpack};

/// A rustc with everything that a build for the box needs of it.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    pub sysroot: PathBuf,
    pub rustc: Rustc,
    /// `rust-lld --version`.
    pub linker: String,
}

/// What a toolchain lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lack {
    /// The standard library of the box's target.
    Target,
    /// A program, and what happened when it was asked for its version.
    Program(String),
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lack::Target => write!(f, "the standard library of {TARGET}"),
            Lack::Program(why) => f.write_str(why),
        }
    }
}

/// Finds or fetches the pinned toolchain; says what it does and why before it does it.
pub(crate) fn ensure(
    tree: &Path,
    cache: &Path,
    offline: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Pinned, Error> {
    let pin = Pin::load(&tree.join("rust-toolchain.toml"))?;
    let mut tried = Vec::new();
    match own(&pin, tree, offline, say) {
        Ok(pinned) => return Ok(pinned),
        Err(why) => {
            tracing::debug!(%why, "the person's own toolchain does not do");
            tried.push(why);
        }
    }
    match private(&pin, cache, offline, &tried, say) {
        Ok(pinned) => Ok(pinned),
        Err(why) => {
            tried.push(why);
            Err(Error::NoPinned { release: pin.release, target: TARGET, tried })
        }
    }
}

/// The toolchain that the person's `rustc` is in this tree. It gets the target added, as rust-toolchain.toml asks;
/// nothing else of it is touched.
fn own(pin: &Pin, tree: &Path, offline: bool, say: &mut dyn FnMut(&str)) -> Result<Pinned, String> {
    let ask = |question: &[&str]| {
        // Looking must not install: rustup would otherwise fetch the whole of rust-toolchain.toml right here.
        let mut rustc = environment::command("rustc");
        subprocess::output(rustc.args(question).current_dir(tree).env("RUSTUP_AUTO_INSTALL", "0"))
    };
    let label = "this machine's own rustc";
    let verbose = ask(&["-vV"]).map_err(|error| format!("{label}: {error}"))?;
    let rustc =
        Rustc::parse(&verbose).ok_or_else(|| format!("{label}: `rustc -vV` is not a rustc's answer"))?;
    if let Some(reason) = pin.differs(&rustc) {
        return Err(format!("{label}: {reason}"));
    }
    let sysroot = ask(&["--print", "sysroot"]).map_err(|error| format!("{label}: {error}"))?;
    let sysroot = PathBuf::from(sysroot.trim());
    let mut found = probe(&sysroot, rustc.clone());
    if matches!(found, Err(Lack::Target)) && !offline {
        say(&format!(
            "adding the target {TARGET} to Rust {} (the box's programs are compiled for it)",
            pin.release
        ));
        let mut rustup = environment::command("rustup");
        subprocess::output(rustup.args(["target", "add", "--toolchain", &pin.release, TARGET]))
            .map_err(|error| format!("{label} lacks {}: {error}", Lack::Target))?;
        found = probe(&sysroot, rustc);
    }
    found.map_err(|lack| format!("{label} in {} lacks {lack}", sysroot.display()))
}

/// A toolchain of our own: same release, same commit, complete; the person's rustup does the fetching and checking.
fn private(
    pin: &Pin,
    cache: &Path,
    offline: bool,
    tried: &[String],
    say: &mut dyn FnMut(&str),
) -> Result<Pinned, String> {
    let home = cache.join(format!("rustup-{}", pin.release));
    let text = |error: Error| error.to_string();
    fs::create_dir_all(cache).map_err(Error::file("create", cache)).map_err(text)?;
    let _held = unpack::hold(&home.with_extension("lock")).map_err(text)?;
    let label = format!("a private toolchain in {}", home.display());
    let lacks = match look_in(&home, pin) {
        Ok(pinned) => return Ok(pinned),
        Err(lacks) => lacks,
    };
    if offline {
        return Err(format!("{label}: {lacks}, and fetching one needs the network (--offline was given)"));
    }
    say(&format!(
        "fetching a complete Rust {} privately into {}, because {}",
        pin.release,
        home.display(),
        tried.join("; ")
    ));
    unpack::remove(&home).map_err(text)?; // cut short, or of another origin
    let mut rustup = environment::command("rustup");
    rustup
        .args(["toolchain", "install", &pin.release, "--profile", "minimal", "--target", TARGET])
        .arg("--no-self-update")
        .env("RUSTUP_HOME", &home);
    subprocess::output(&mut rustup).map_err(|error| format!("{label}: {error}"))?;
    look_in(&home, pin).map_err(|lacks| format!("{label}: {lacks}"))
}

/// A cargo to drive the distribution's rustc with: any will do, best the one that runs this very command.
pub(crate) fn any_cargo(tree: &Path) -> PathBuf {
    let running = std::env::var_os("CARGO").map(PathBuf::from);
    let beside_rustc = || {
        let mut rustc = environment::command("rustc");
        rustc.args(["--print", "sysroot"]).current_dir(tree).env("RUSTUP_AUTO_INSTALL", "0");
        Some(Path::new(subprocess::output(&mut rustc).ok()?.trim()).join("bin/cargo"))
    };
    running
        .filter(|path| path.exists())
        .or_else(beside_rustc)
        .filter(|path| path.exists())
        .unwrap_or("cargo".into())
}

fn look_in(home: &Path, pin: &Pin) -> Result<Pinned, String> {
    let prefix = format!("{}-", pin.release);
    let toolchains = fs::read_dir(home.join("toolchains")).map_err(|_| "there is none yet".to_owned())?;
    let sysroot = toolchains
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .ok_or_else(|| format!("it holds no Rust {}", pin.release))?
        .path();
    let mut command = environment::command(sysroot.join("bin/rustc"));
    let verbose = subprocess::output(command.arg("-vV")).map_err(|error| error.to_string())?;
    let rustc = Rustc::parse(&verbose).ok_or("its rustc does not answer `-vV`")?;
    if let Some(reason) = pin.differs(&rustc) {
        return Err(reason);
    }
    probe(&sysroot, rustc).map_err(|lack| format!("it lacks {lack}"))
}

/// Looks whether the target's standard library, the linker and cargo are there and run.
fn probe(sysroot: &Path, rustc: Rustc) -> Result<Pinned, Lack> {
    let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let has_std = fs::read_dir(&library).is_ok_and(|dir| {
        dir.filter_map(Result::ok).any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    });
    // Asked to run, not only looked for: rust-lld wants the machine's zlib.
    let runs = |name: &str, path: PathBuf, arguments: &[&str]| {
        subprocess::output(environment::command(path).args(arguments))
            .map(|text| text.trim().to_owned())
            .map_err(|error| Lack::Program(format!("a working {name} ({error})")))
    };
    let lld = sysroot.join("lib/rustlib").join(&rustc.host).join("bin/rust-lld");
    let linker = runs("rust-lld", lld, &["-flavor", "gnu", "--version"])?;
    runs("cargo", sysroot.join("bin/cargo"), &["--version"])?;
    // Last, because it is what can be added to a toolchain that is otherwise whole.
    if has_std { Ok(Pinned { sysroot: sysroot.to_owned(), rustc, linker }) } else { Err(Lack::Target) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const HOST: &str = "x86_64-unknown-linux-gnu";

    fn rustc() -> Rustc {
        let text = format!(
            "rustc 1.95.0\ncommit-hash: 59807616e1fa2540724bfbac14d7976d7e4a3860\nhost: {HOST}\nrelease: 1.95.0\n"
        );
        Rustc::parse(&text).unwrap()
    }

    fn script(path: &Path, text: &str) {
        fixture::script(path, &format!("#!/bin/sh\n{text}\n"));
    }

    /// A sysroot of scripts: whole, unless the test takes something away.
    fn whole(sysroot: &Path) -> PathBuf {
        let lld = sysroot.join("lib/rustlib").join(HOST).join("bin/rust-lld");
        script(&lld, "echo LLD 22.1.2");
        script(&sysroot.join("bin/cargo"), "echo cargo 1.95.0");
        script(&sysroot.join("bin/rustc"), &format!("cat <<'END'\n{}\nEND", rustc().text));
        let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        fs::create_dir_all(&library).unwrap();
        fs::write(library.join("libstd-0123.rlib"), "").unwrap();
        lld
    }

    #[test]
    fn a_whole_toolchain_is_taken_with_its_linkers_version() {
        let dir = tempfile::tempdir().unwrap();
        whole(dir.path());
        assert_eq!(probe(dir.path(), rustc()).unwrap().linker, "LLD 22.1.2");
    }

    #[test]
    fn a_toolchain_without_linker_is_named_as_such_even_if_the_target_is_missing_too() {
        let dir = tempfile::tempdir().unwrap();
        let lld = whole(dir.path());
        fs::remove_file(lld).unwrap();
        fs::remove_dir_all(dir.path().join("lib/rustlib").join(TARGET)).unwrap();
        assert!(probe(dir.path(), rustc()).unwrap_err().to_string().contains("a working rust-lld"));
    }

    #[test]
    fn a_linker_that_does_not_run_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let lld = whole(dir.path());
        script(&lld, "echo libz.so.1: cannot open >&2; exit 127");
        assert!(probe(dir.path(), rustc()).unwrap_err().to_string().contains("libz.so.1"));
    }

    #[test]
    fn a_target_directory_without_standard_library_counts_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        whole(dir.path());
        fs::remove_file(dir.path().join("lib/rustlib").join(TARGET).join("lib/libstd-0123.rlib")).unwrap();
        assert_eq!(probe(dir.path(), rustc()).unwrap_err(), Lack::Target);
    }

    #[test]
    fn a_private_toolchain_of_another_origin_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let pin = Pin { release: "1.95.0".into(), commit: "59807616e1fa2540724bfbac14d7976d7e4a3860" };
        let sysroot = dir.path().join(format!("rustup-1.95.0/toolchains/1.95.0-{HOST}"));
        whole(&sysroot);
        assert!(private(&pin, dir.path(), true, &[], &mut |_| {}).is_ok());
        script(
            &sysroot.join("bin/rustc"),
            &format!("cat <<'END'\n{}\nEND", rustc().text.replace("59807616", "0badc0de")),
        );
        let why = private(&pin, dir.path(), true, &[], &mut |_| {}).unwrap_err();
        assert!(why.contains("another origin") && why.contains("--offline"), "{why}");
    }
}
