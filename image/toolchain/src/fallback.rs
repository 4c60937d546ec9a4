//! The distribution's Rust, for when the pinned compiler cannot be had.
//!
//! Unpacked beside the locked C compiler, which links it against a static C library of the distribution: the programs
//! need no library either, but they are other bytes than the published ones.

use std::path::{Path, PathBuf};

use crate::locked::{Deb, Packages};
use crate::pin::Rustc;
use crate::unpack::{self, Unpacked};
use crate::{Error, environment, subprocess, wrapper};

/// What the fallback compiles for; the C library goes into the program (`crt-static`).
pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";
/// The feature of the package list.
pub const FEATURE: &str = "rust-fallback";

/// Files that the set must bring, and the package that each is in.
const NEEDED: &[(&str, &str)] = &[
    ("usr/bin/rustc", "rustc-web"),
    ("usr/lib/rustlib/x86_64-unknown-linux-gnu/lib", "libstd-rust-web-dev (amd64, for build scripts)"),
    ("usr/lib/rustlib/aarch64-unknown-linux-gnu/lib", "libstd-rust-web-dev (arm64)"),
    ("usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross"),
    ("usr/aarch64-linux-gnu/include/linux/limits.h", "linux-libc-dev-arm64-cross"),
];

/// The unpacked Rust and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Fallback {
    pub set: Unpacked,
    pub rustc: Rustc,
    pub linker: String,
}

/// Unpacks the set, C compiler included, and asks it for its version.
pub(crate) fn ensure(
    debs: &[Deb],
    packages: &dyn Packages,
    cache: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<Fallback, Error> {
    let set = unpack::ensure("rust", debs, packages, &wrapper::rustc(), cache, say)?;
    for (file, wanted) in NEEDED {
        let file = PathBuf::from(file);
        if !set.root().join(&file).exists() {
            return Err(Error::Incomplete { feature: FEATURE, file, wanted });
        }
    }
    let verbose = subprocess::output(environment::command(set.bin("rustc")).arg("-vV"))?;
    let rustc = Rustc::parse(&verbose).ok_or_else(|| Error::Text {
        path: set.bin("rustc"),
        reason: "its answer to -vV is not a rustc's; remove the directory and repeat".to_owned(),
    })?;
    let linker = subprocess::output(environment::command(set.bin("ld")).arg("--version"))?;
    Ok(Fallback { set, rustc, linker: linker.lines().next().unwrap_or_default().to_owned() })
}
