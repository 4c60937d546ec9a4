//! The C compiler for the C parts of crates: locked by hash, unpacked privately, never the machine's.

use std::path::{Path, PathBuf};

use crate::locked::{Deb, Packages};
use crate::unpack::{self, Unpacked};
use crate::wrapper::{self, GCC, MUSL_HEADERS};
use crate::{Error, environment, subprocess};

/// The feature of the package list.
pub const FEATURE: &str = "compiler";

/// The unpacked compiler and its version line.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    pub set: Unpacked,
    pub version: String,
}

/// Unpacks the compiler and asks it for its version, which shows that it runs here.
pub(crate) fn ensure(
    debs: &[Deb],
    packages: &dyn Packages,
    cache: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<Compiler, Error> {
    let set = unpack::ensure("cc", debs, packages, &wrapper::compiler(), cache, say)?;
    let headers = PathBuf::from("usr").join(MUSL_HEADERS);
    if !set.root().join(&headers).is_dir() {
        return Err(Error::Incomplete { feature: FEATURE, file: headers, wanted: "musl-dev (arm64)" });
    }
    let version = version(&set)?;
    Ok(Compiler { set, version })
}

/// The first line of `gcc --version` of an unpacked set.
pub(crate) fn version(set: &Unpacked) -> Result<String, Error> {
    let file = PathBuf::from("usr").join(GCC);
    if !set.root().join(&file).exists() {
        return Err(Error::Incomplete { feature: FEATURE, file, wanted: "gcc-14-aarch64-linux-gnu (amd64)" });
    }
    let text = subprocess::output(environment::command(set.bin("gcc")).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
