//! The index files of small kernels: as text, as depmod writes them, and as modprobe reads them.

#![allow(clippy::unwrap_used, reason = "a test's own functions may fail loudly too")]

mod synthetic;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use stayput_kmod::{Error, INDEX_FILES, indexes, select, trie};
use synthetic::{Ko, kernel, names};

const BUILTIN: &str = "kernel/fs/fuse/fuse.ko\nkernel/crypto/sha256-generic.ko\n";
const BUILTIN_MODINFO: &[u8] =
    b"fuse.alias=fs-fuseblk\0fuse.license=GPL\0sha256_generic.alias=crypto-sha256\0";
const ORDER: &str = "kernel/net/top.ko\nkernel/net/left-side.ko\nkernel/net/right.ko\nkernel/net/base.ko\n";
const VERSION: &str = "6.12.117-test";

/// A diamond with everything that an index can say about a module, and one that the link order does not know.
fn modules() -> Vec<Ko> {
    vec![
        Ko::new("kernel/net/top.ko.xz")
            .needs(&["left-side", "right"])
            .info("alias", "of:N*T*Cvendor,thing-1")
            .info("alias", "usb:v05ACp[0-9A-F]*d*")
            .info("alias", "broken]bracket")
            .info("softdep", "pre: right post: extra"),
        Ko::new("kernel/net/left-side.ko.xz").needs(&["base"]).info("alias", "net-pf-16-proto-12"),
        Ko::new("kernel/net/right.ko").needs(&["base"]).info("alias", "net-pf-16-proto-12"),
        Ko::new("kernel/net/base.ko.zst")
            .exports("nf_register")
            .info("alias", "devname:mapper/control")
            .info("alias", "char-major-10-236")
            .info("weakdep", "right"),
        Ko::new("extra/extra.ko").info("alias", "char-major-5-*").info("alias", "devname:nowhere"),
    ]
}

fn made() -> BTreeMap<String, Vec<u8>> {
    let all = kernel(&modules());
    indexes(&select(&all, &names(&["top", "extra"]), BUILTIN, BUILTIN_MODINFO, ORDER).unwrap()).unwrap()
}

fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

#[test]
fn dependencies_are_listed_users_first_in_the_link_order_of_the_kernel() {
    let files = made();
    assert_eq!(
        text(&files, "modules.dep"),
        "kernel/net/top.ko.xz: kernel/net/right.ko kernel/net/left-side.ko.xz kernel/net/base.ko.zst\n\
         kernel/net/left-side.ko.xz: kernel/net/base.ko.zst\n\
         kernel/net/right.ko: kernel/net/base.ko.zst\n\
         kernel/net/base.ko.zst:\n\
         extra/extra.ko:\n"
    );
    assert_eq!(text(&files, "modules.order"), ORDER);
}

#[test]
fn a_device_node_needs_both_its_name_and_its_number() {
    assert_eq!(
        text(&made(), "modules.devname"),
        "# Device nodes to trigger on-demand module loading.\nbase mapper/control c10:236\n"
    );
}

#[test]
fn two_modules_with_one_alias_keep_the_link_order() {
    let values = trie::entries(&made()["modules.alias.bin"]).unwrap();
    let of: Vec<_> = values.iter().filter(|(key, ..)| key == "net_pf_16_proto_12").collect();
    assert_eq!(of.iter().map(|(_, _, module)| &**module).collect::<Vec<_>>(), ["left_side", "right"]);
}

#[test]
fn an_alias_with_a_bracket_that_was_never_opened_is_in_the_text_only() {
    let files = made();
    assert!(text(&files, "modules.alias").contains("alias broken]bracket top\n"));
    assert!(
        trie::entries(&files["modules.alias.bin"]).unwrap().iter().all(|(key, ..)| !key.contains("broken"))
    );
}

#[test]
fn every_file_that_libkmod_opens_is_there_even_without_modules() {
    let files = indexes(&select(&BTreeMap::new(), &[], "", b"", "").unwrap()).unwrap();
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), INDEX_FILES);
}

#[test]
fn modules_whose_symbols_go_round_in_a_circle_are_refused() {
    // `depends` says nothing of it, so only the symbols show it.
    let all = kernel(&[Ko::new("kernel/a.ko").imports("of_b"), Ko::new("kernel/b.ko").imports("of_a")]);
    let selection = select(&all, &names(&["a", "b"]), "", b"", "").unwrap();
    assert!(matches!(indexes(&selection), Err(Error::Circle { .. })));
}

/// Lays the modules out as on the box; with our indexes, or for depmod to make its own.
fn lay_out(base: &Path, files: Option<&BTreeMap<String, Vec<u8>>>) {
    let folder = base.join("lib/modules").join(VERSION);
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for module in modules() {
        write(module.path(), &module.file());
    }
    match files {
        Some(files) => files.iter().for_each(|(name, bytes)| write(name, bytes)),
        None => {
            write("modules.order", ORDER.as_bytes());
            write("modules.builtin", BUILTIN.as_bytes());
            write("modules.builtin.modinfo", BUILTIN_MODINFO);
        }
    }
}

/// A program of kmod (STAYPUT_DEPMOD and STAYPUT_MODPROBE name others than the host's), or word that it is
/// not here.
fn tool(name: &str) -> Option<String> {
    let path = format!("/usr/sbin/{name}");
    let program = match std::env::var(format!("STAYPUT_{}", name.to_uppercase())) {
        Ok(program) => program,
        Err(_) if Path::new(&path).exists() => path,
        Err(_) => name.to_owned(),
    };
    if Command::new(&program).arg("--version").output().is_ok() {
        return Some(program);
    }
    let required = std::env::var_os("STAYPUT_REQUIRE_ORACLES").is_some_and(|value| value == "1");
    assert!(!required, "missing: {name} (Debian package kmod)");
    eprintln!("NOT TESTED, missing: {name} (Debian package kmod)");
    None
}

#[test]
fn depmod_makes_the_same_of_a_small_kernel() {
    let Some(depmod) = tool("depmod") else { return };
    let base = tempfile::tempdir().unwrap();
    lay_out(base.path(), None);
    let output = Command::new(depmod).arg("-b").arg(base.path()).arg(VERSION).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut compared = 0;
    for (name, ours) in made() {
        // What depmod does not write, and modules.weakdep, which kmod 30 does not.
        let Ok(theirs) = std::fs::read(base.path().join("lib/modules").join(VERSION).join(&name)) else {
            continue;
        };
        compared += 1;
        if name.ends_with(".bin") {
            // Older kmods lay the same entries out in another order.
            assert_eq!(trie::entries(&ours).unwrap(), trie::entries(&theirs).unwrap(), "{name}");
        } else if name != "modules.order" {
            assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{name}");
        }
    }
    assert!(compared >= 12, "{compared} files");
}

#[test]
fn modprobe_finds_modules_by_name_alias_symbol_and_soft_dependency() {
    let Some(modprobe) = tool("modprobe") else { return };
    let base = tempfile::tempdir().unwrap();
    lay_out(base.path(), Some(&made()));
    // An empty folder of settings: the machine's own must not matter.
    let settings = base.path().join("modprobe.d");
    std::fs::create_dir(&settings).unwrap();
    let asks = |name: &str| -> Vec<String> {
        let mut command = Command::new(&modprobe);
        command.arg("-C").arg(&settings).arg("-d").arg(base.path()).args([
            "-S",
            VERSION,
            "--show-depends",
            name,
        ]);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| line.trim().rsplit('/').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(asks("left_side"), ["base.ko.zst", "left-side.ko.xz"]);
    let thing = asks("of:NxT(null)Cvendor,thing-1");
    assert_eq!(thing[thing.len() - 2..], ["top.ko.xz", "extra.ko"], "and its soft dependency after it");
    assert_eq!(asks("symbol:nf_register"), ["base.ko.zst"]);
    assert_eq!(asks("fuse"), ["builtin fuse"]);
    assert_eq!(asks("nothing-like-it"), [""; 0]);
}
