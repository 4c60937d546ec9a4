//! The kernel package that the measured tests run against.
//!
//! `STAYPUT_KERNEL_DEB` names it (a linux-image .deb, from the builder's cache). Without it these tests say that they
//! did not run, and fail under STAYPUT_REQUIRE_ORACLES=1.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the tests need of the package.
pub struct Kernel {
    pub version: String,
    /// Module files by path within the kernel's module directory.
    pub modules: BTreeMap<String, Vec<u8>>,
    pub builtin: String,
    pub builtin_modinfo: Vec<u8>,
    pub order: String,
    /// The NEO2's device tree.
    pub neo2: Vec<u8>,
}

/// The package, opened once for all tests of a file.
pub fn kernel() -> Option<&'static Kernel> {
    static KERNEL: OnceLock<Option<Kernel>> = OnceLock::new();
    KERNEL
        .get_or_init(|| match std::env::var_os("STAYPUT_KERNEL_DEB") {
            Some(path) => Some(read(Path::new(&path))),
            None => {
                absent("the kernel package: set STAYPUT_KERNEL_DEB to a linux-image .deb");
                None
            }
        })
        .as_ref()
}

/// Says that a test cannot run here; with STAYPUT_REQUIRE_ORACLES=1 that is a failure.
pub fn absent(what: &str) {
    assert!(std::env::var_os("STAYPUT_REQUIRE_ORACLES").is_none_or(|value| value != "1"), "missing: {what}");
    eprintln!("NOT TESTED, missing: {what}");
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Kernel {
    let mut kernel = Kernel {
        version: String::new(),
        modules: BTreeMap::new(),
        builtin: String::new(),
        builtin_modinfo: Vec::new(),
        order: String::new(),
        neo2: Vec::new(),
    };
    let mut package = ar::Archive::new(std::fs::File::open(path).expect("the kernel package opens"));
    while let Some(member) = package.next_entry() {
        let member = member.unwrap();
        if !member.header().identifier().starts_with(b"data.tar") {
            continue;
        }
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let plain: Box<dyn Read> = match name.rsplit('.').next() {
            Some("xz") => Box::new(liblzma::read::XzDecoder::new(member)),
            Some("zst") => Box::new(zstd::stream::read::Decoder::new(member).unwrap()),
            _ => Box::new(member),
        };
        for entry in tar::Archive::new(plain).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().trim_start_matches("./").to_owned();
            let mut bytes = Vec::new();
            if let Some(rest) = path.strip_prefix("usr/lib/modules/") {
                let Some((version, rest)) = rest.split_once('/') else { continue };
                kernel.version = version.to_owned();
                entry.read_to_end(&mut bytes).unwrap();
                match rest {
                    "modules.builtin" => kernel.builtin = String::from_utf8(bytes).unwrap(),
                    "modules.order" => kernel.order = String::from_utf8(bytes).unwrap(),
                    "modules.builtin.modinfo" => kernel.builtin_modinfo = bytes,
                    _ if rest.contains(".ko") => drop(kernel.modules.insert(rest.to_owned(), bytes)),
                    _ => {}
                }
            } else if path.ends_with("/sun50i-h5-nanopi-neo2.dtb") {
                entry.read_to_end(&mut kernel.neo2).unwrap();
            }
        }
    }
    assert!(kernel.modules.len() > 1000, "{} is not a kernel package", path.display());
    kernel
}
