//! The indexes against depmod itself, on the kernel package's modules.
//!
//! The box has kmod 34, so its bytes are the standard. Older ones (kmod 30 is in Debian 12) write the same
//! entries in another layout: children before parents in the `.bin` files, and no modules.weakdep. With such a
//! host the `.bin` files are compared entry by entry, the text files byte by byte. STAYPUT_DEPMOD names
//! another depmod than the host's.

#![allow(clippy::unwrap_used, reason = "a test's own functions may fail loudly too")]

#[path = "kernel/mod.rs"]
mod kernel;
#[allow(dead_code, reason = "not every test file wants every list")]
#[path = "kernel/lists.rs"]
mod lists;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use kernel::{Kernel, absent, kernel};
use stayput_kmod::{INDEX_FILES, Selection, indexes, select, trie};

struct Depmod {
    program: String,
    version: u32,
}

/// The depmod to compare with, or word that there is none.
fn depmod() -> Option<Depmod> {
    let program = std::env::var("STAYPUT_DEPMOD").unwrap_or_else(|_| {
        // Not on everybody's PATH in Debian.
        if Path::new("/usr/sbin/depmod").exists() { "/usr/sbin/depmod".into() } else { "depmod".into() }
    });
    let Ok(output) = Command::new(&program).arg("--version").output() else {
        absent("depmod (Debian package kmod)");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(2).and_then(|word| word.split('.').next()?.parse().ok());
    let version = version.unwrap_or_else(|| panic!("{program} --version said {text:?}"));
    Some(Depmod { program, version })
}

/// What depmod makes of a selection.
fn oracle(depmod: &Depmod, kernel: &Kernel, selection: &Selection) -> BTreeMap<String, Vec<u8>> {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("lib/modules").join(&kernel.version);
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for (path, bytes) in &selection.modules {
        write(path, bytes);
    }
    // The whole order, not ours: cutting it down must not change anything.
    write("modules.order", kernel.order.as_bytes());
    write("modules.builtin", kernel.builtin.as_bytes());
    write("modules.builtin.modinfo", &kernel.builtin_modinfo);
    let output =
        Command::new(&depmod.program).arg("-b").arg(base.path()).arg(&kernel.version).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = INDEX_FILES.iter().filter(|name| **name != "modules.order");
    files.filter_map(|name| Some(((*name).to_owned(), std::fs::read(folder.join(name)).ok()?))).collect()
}

fn compare(depmod: &Depmod, kernel: &Kernel, wanted: &[String]) {
    let selection =
        select(&kernel.modules, wanted, &kernel.builtin, &kernel.builtin_modinfo, &kernel.order).unwrap();
    let ours = indexes(&selection).unwrap();
    assert_eq!(ours.keys().map(String::as_str).collect::<Vec<_>>(), INDEX_FILES);
    let theirs = oracle(depmod, kernel, &selection);
    let expected = if depmod.version >= 34 { INDEX_FILES.len() - 1 } else { INDEX_FILES.len() - 2 };
    assert_eq!(theirs.len(), expected, "files that depmod {} writes", depmod.version);
    for (name, bytes) in &theirs {
        if depmod.version < 34 && name.ends_with(".bin") {
            assert_eq!(trie::entries(&ours[name]).unwrap(), trie::entries(bytes).unwrap(), "{name}");
        } else if ours[name] != *bytes {
            let at = ours[name].iter().zip(bytes).take_while(|(a, b)| a == b).count();
            let around = |bytes: &[u8]| {
                String::from_utf8_lossy(&bytes[at.saturating_sub(80)..bytes.len().min(at + 80)]).into_owned()
            };
            panic!(
                "{name} differs from depmod {} at byte {at}:\nours   {:?}\ntheirs {:?}",
                depmod.version,
                around(&ours[name]),
                around(bytes)
            );
        }
    }
    eprintln!("{} modules: as depmod {} writes them", selection.modules.len(), depmod.version);
}

#[test]
fn the_indexes_of_the_image_are_those_of_depmod() {
    if let (Some(depmod), Some(kernel)) = (depmod(), kernel()) {
        compare(&depmod, kernel, &lists::root());
    }
}

#[test]
fn the_indexes_of_the_whole_kernel_are_those_of_depmod() {
    if let (Some(depmod), Some(kernel)) = (depmod(), kernel()) {
        let everything: Vec<String> = kernel
            .modules
            .keys()
            .map(|path| path.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned())
            .collect();
        compare(&depmod, kernel, &everything);
    }
}

#[test]
fn the_indexes_of_no_module_at_all_are_those_of_depmod() {
    if let (Some(depmod), Some(kernel)) = (depmod(), kernel()) {
        compare(&depmod, kernel, &[]);
    }
}
