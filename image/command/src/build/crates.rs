//! The crates that are linked into the box's programs, as cargo resolves them for the box.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use super::Job;
use crate::exit::{Code, Fault};

/// A crate whose code is in a program of the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The licence it declares, as an SPDX expression.
    pub licence: Option<String>,
    /// SHA-256 of its package, from Cargo.lock; none for a crate of this tree.
    pub sha256: Option<String>,
    /// The crates it uses, by name and version, among those that are linked.
    pub uses: BTreeSet<(String, String)>,
    /// Its licence texts by file name.
    pub texts: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Resolved>,
}

#[derive(Deserialize)]
struct Resolved {
    id: String,
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// The crates linked into these packages' programs, sorted by name and version.
pub fn linked(job: &Job<'_>, programs: &[&str]) -> anyhow::Result<Vec<Crate>> {
    let target = job.toolchain.target.as_str();
    // Only `tree` resolves features, and for each program alone, as they are compiled; only `metadata` says where a
    // crate's files are.
    let tree = ["tree", "--target", target, "--edges", "normal,no-proc-macro", "--prefix", "none"];
    let mut listed = BTreeSet::new();
    for program in programs {
        let text =
            cargo(job, &[&tree[..], &["--no-dedupe", "--format", "{p}", "--package", program]].concat())?;
        listed.extend(names(&String::from_utf8_lossy(&text)));
    }
    let args = ["metadata", "--format-version", "1", "--filter-platform", target];
    let metadata: Metadata =
        serde_json::from_slice(&cargo(job, &args)?).context("`cargo metadata` did not answer as expected")?;
    let lock = job.tree.path("Cargo.lock");
    let lock =
        std::fs::read_to_string(&lock).with_context(|| format!("could not read {}", lock.display()))?;
    let lock: LockFile = toml::from_str(&lock).context("Cargo.lock is not one that this version reads")?;
    let mut crates = gather(&listed, &metadata, &lock)?;
    let own = texts(job.tree.root())?;
    crates.iter_mut().filter(|one| one.sha256.is_none()).for_each(|one| one.texts = own.clone());
    Ok(crates)
}

/// Runs cargo on the tree, without network: the build has fetched everything.
fn cargo(job: &Job<'_>, args: &[&str]) -> anyhow::Result<Vec<u8>> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(&program);
    command.args(args).args(["--locked", "--offline", "--manifest-path"]).arg(job.tree.path("Cargo.toml"));
    // What is preloaded into this program is not for the compiler's (docs/toolchain.md): some of it stops them for ever.
    command.env_remove("LD_PRELOAD").env("LC_ALL", "C").env("CARGO_TERM_COLOR", "never");
    let run = command.current_dir(job.tree.root()).output();
    let run = run.map_err(|error| Fault::new(Code::Missing, format!("could not start cargo ({error})")))?;
    anyhow::ensure!(
        run.status.success(),
        "`cargo {}` failed, so the crates of the box cannot be listed: {}",
        args.first().unwrap_or(&""),
        String::from_utf8_lossy(&run.stderr).trim()
    );
    Ok(run.stdout)
}

/// `name v1.2.3 (where)` in every line.
fn names(text: &str) -> BTreeSet<(String, String)> {
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

fn gather(
    listed: &BTreeSet<(String, String)>,
    metadata: &Metadata,
    lock: &LockFile,
) -> anyhow::Result<Vec<Crate>> {
    let by_id: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let pair = |package: &Package| (package.name.clone(), package.version.clone());
    let mut crates = Vec::new();
    for (name, version) in listed {
        let package =
            metadata.packages.iter().find(|package| package.name == *name && package.version == *version);
        let package =
            package.with_context(|| format!("cargo lists {name} {version} and does not describe it"))?;
        let node = metadata.resolve.nodes.iter().find(|node| node.id == package.id);
        let uses = node.into_iter().flat_map(|node| &node.dependencies);
        let uses = uses.filter_map(|id| by_id.get(id.as_str())).map(|package| pair(package));
        let locked = lock.package.iter().find(|locked| locked.name == *name && locked.version == *version);
        let folder = package.manifest_path.parent().unwrap_or(Path::new("/"));
        crates.push(Crate {
            name: name.clone(),
            version: version.clone(),
            // The old form of "or".
            licence: package.license.as_ref().map(|licence| licence.replace(" / ", "/").replace('/', " OR ")),
            sha256: locked.and_then(|locked| locked.checksum.clone()),
            uses: uses.filter(|pair| listed.contains(pair)).collect(),
            texts: texts(folder)?,
        });
    }
    Ok(crates)
}

/// The licence texts in a folder.
pub fn texts(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    const BEGINNINGS: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
    let mut texts = BTreeMap::new();
    let failed = || format!("could not read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let named = BEGINNINGS.iter().any(|start| name.to_ascii_uppercase().starts_with(start));
        // Source code may be named so, too.
        if named && !name.ends_with(".rs") && entry.path().is_file() {
            let bytes = std::fs::read(entry.path()).with_context(failed)?;
            texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_read_from_cargos_tree() {
        let text =
            "stayput-init v0.1.0 (/a b/init)\ntoml v1.2.1+spec-1.1.0\n\ntoml v1.2.1+spec-1.1.0 (*)\nodd\n";
        let found: Vec<_> = names(text).into_iter().collect();
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(found, [pair("stayput-init", "0.1.0"), pair("toml", "1.2.1+spec-1.1.0")]);
    }

    #[test]
    fn licence_texts_are_found_by_name_and_source_code_is_not_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["LICENSE-MIT", "Licence.md", "COPYING", "license.rs", "lib.rs"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("LICENSES")).unwrap();
        let found: Vec<_> = texts(folder.path()).unwrap().into_keys().collect();
        assert_eq!(found, ["COPYING", "LICENSE-MIT", "Licence.md"]);
    }

    #[test]
    fn a_crate_that_cargo_lists_and_does_not_describe_is_an_error() {
        let metadata = Metadata { packages: Vec::new(), resolve: Resolve { nodes: Vec::new() } };
        let listed = [("lost".to_owned(), "1.0.0".to_owned())].into();
        let error = gather(&listed, &metadata, &LockFile { package: Vec::new() }).unwrap_err();
        assert!(error.to_string().contains("lost 1.0.0"), "{error}");
    }
}
