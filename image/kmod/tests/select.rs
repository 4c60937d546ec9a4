//! What a list of names brings with it, on small kernels made for the purpose.

#![allow(clippy::unwrap_used, reason = "a test's own functions may fail loudly too")]

mod synthetic;

use object::{Architecture, Endianness};
use stayput_kmod::{Error, Module, Selection, select};
use synthetic::{Ko, kernel, names};

fn chosen(modules: &[Ko], wanted: &[&str]) -> Result<Selection, Error> {
    select(&kernel(modules), &names(wanted), "", b"", "")
}

fn order(modules: &[Ko], wanted: &[&str]) -> Vec<String> {
    chosen(modules, wanted).unwrap().load_order
}

fn refused(modules: &[Ko], wanted: &[&str]) -> String {
    match chosen(modules, wanted) {
        Ok(selection) => panic!("taken: {:?}", selection.load_order),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_module_brings_what_it_depends_on_and_comes_after_it() {
    let modules = [
        Ko::new("kernel/fs/ext4/ext4.ko.xz").needs(&["jbd2", "mbcache"]),
        Ko::new("kernel/fs/jbd2/jbd2.ko.xz").needs(&["crc"]),
        Ko::new("kernel/fs/mbcache.ko.xz"),
        Ko::new("kernel/lib/crc.ko.zst"),
        Ko::new("kernel/fs/unrelated.ko.xz"),
    ];
    let selection = chosen(&modules, &["ext4"]).unwrap();
    assert_eq!(selection.load_order, ["crc", "jbd2", "mbcache", "ext4"]);
    assert_eq!(selection.modules.len(), 4);
}

#[test]
fn the_bytes_stay_as_shipped_and_the_plain_module_is_there_on_demand() {
    let module = Ko::new("kernel/sunxi-mmc.ko.xz").info("name", "sunxi_mmc");
    let selection = chosen(std::slice::from_ref(&module), &["sunxi_mmc"]).unwrap();
    assert_eq!(selection.modules["kernel/sunxi-mmc.ko.xz"], module.file());
    assert_eq!(selection.decompressed("sunxi-mmc").unwrap(), module.elf());
    assert_eq!(selection.path("sunxi_mmc").unwrap(), "kernel/sunxi-mmc.ko.xz");
    assert!(matches!(selection.decompressed("ext4"), Err(Error::NotSelected { .. })));
}

#[test]
fn the_list_decides_the_order_where_nothing_else_does() {
    let modules = ["kernel/a.ko", "kernel/b.ko", "kernel/c.ko"].map(Ko::new);
    assert_eq!(order(&modules, &["c", "a", "b", "a"]), ["c", "a", "b"]);
}

#[test]
fn a_name_that_exists_nowhere_is_refused_with_a_name_that_does() {
    let modules = [Ko::new("kernel/sunxi-mmc.ko"), Ko::new("kernel/ext4.ko")];
    let message = refused(&modules, &["ext4", "sunxi_mcm"]);
    assert!(message.contains("\"sunxi_mcm\" (did you mean sunxi_mmc?)"), "{message}");
    let message = refused(&modules, &["wireguard"]);
    assert!(message.contains("\"wireguard\": correct"), "{message}");
    assert!(refused(&modules, &["ext4.ko"]).contains("as modprobe takes them"));
}

#[test]
fn a_name_that_is_built_in_is_taken_and_reported() {
    let modules = kernel(&[Ko::new("kernel/a.ko").info("depends", "fuse")]);
    let selection = select(&modules, &names(&["fuse", "a"]), "kernel/fs/fuse/fuse.ko\n", b"", "").unwrap();
    assert_eq!((selection.builtin, selection.load_order), (names(&["fuse"]), names(&["a"])));
}

#[test]
fn a_dependency_that_the_kernel_does_not_have_is_refused() {
    let message = refused(&[Ko::new("kernel/a.ko").info("depends", "b,gone")], &["a"]);
    assert!(message.contains("a depends on b"), "{message}");
}

#[test]
fn a_soft_dependency_by_alias_brings_its_provider_before_the_module() {
    let modules = [
        Ko::new("kernel/libcrc32c.ko").info("softdep", "pre: crc32c"),
        Ko::new("kernel/crc32c_generic.ko").info("alias", "crypto-crc32c").info("alias", "crc32c"),
        Ko::new("kernel/ext4.ko").info("softdep", "pre: crypto-crc32c"),
        Ko::new("kernel/other.ko").info("alias", "crypto-sha256"),
    ];
    assert_eq!(order(&modules, &["libcrc32c"]), ["crc32c_generic", "libcrc32c"]);
    assert_eq!(order(&modules, &["ext4", "crc32c-generic"]), ["crc32c_generic", "ext4"]);
}

#[test]
fn a_soft_dependency_by_name_may_bring_dependencies_of_its_own() {
    let modules = [
        Ko::new("kernel/genet.ko").info("softdep", "pre: mdio-unimac post: late"),
        Ko::new("kernel/mdio-unimac.ko").needs(&["libphy"]),
        Ko::new("kernel/libphy.ko"),
        Ko::new("kernel/late.ko"),
    ];
    assert_eq!(order(&modules, &["genet"]), ["libphy", "mdio_unimac", "genet", "late"]);
}

#[test]
fn a_soft_dependency_that_is_built_in_or_nowhere_stops_nothing() {
    let modules = kernel(&[
        Ko::new("kernel/a.ko").info("softdep", "pre: crypto-sha256 governor_x"),
        Ko::new("kernel/b.ko"),
    ]);
    let selection =
        select(&modules, &names(&["a"]), "kernel/sha.ko\n", b"sha.alias=crypto-sha256\0", "").unwrap();
    assert_eq!(selection.load_order, ["a"]);
    assert_eq!(selection.unmet.len(), 1);
    assert_eq!((&*selection.unmet[0].module, &*selection.unmet[0].wish), ("a", "governor_x"));
}

#[test]
fn a_wish_that_closes_a_circle_comes_after_what_needs_it() {
    let modules = [
        Ko::new("kernel/a.ko").info("softdep", "pre: b"),
        Ko::new("kernel/b.ko").needs(&["c"]),
        Ko::new("kernel/c.ko").info("softdep", "pre: d"),
        Ko::new("kernel/d.ko").needs(&["a"]),
    ];
    for wanted in [["a"], ["b"], ["c"], ["d"]] {
        let order = order(&modules, &wanted);
        let place = |name: &str| order.iter().position(|other| other == name).unwrap();
        assert_eq!(order.len(), 4, "{order:?}");
        assert!(place("c") < place("b") && place("a") < place("d"), "{order:?}");
    }
}

#[test]
fn modules_that_depend_on_each_other_are_refused_by_name() {
    let modules = [
        Ko::new("kernel/a.ko").needs(&["b"]),
        Ko::new("kernel/b.ko").needs(&["c"]),
        Ko::new("kernel/c.ko").needs(&["b"]),
    ];
    assert!(refused(&modules, &["a"]).contains("b -> c -> b"));
    assert!(refused(&[Ko::new("kernel/x.ko").needs(&["x"])], &["x"]).contains("x -> x"));
}

#[test]
fn a_chain_of_ten_thousand_modules_is_no_matter() {
    let mut modules: Vec<Ko> =
        (1..10_000).map(|n| Ko::new(&format!("kernel/m{n}.ko")).needs(&[&format!("m{}", n - 1)])).collect();
    modules.push(Ko::new("kernel/m0.ko"));
    let order = order(&modules, &["m9999"]);
    assert_eq!((order.len(), &*order[0], &*order[9999]), (10_000, "m0", "m9999"));
}

#[test]
fn two_files_of_one_module_are_refused() {
    let message = refused(&[Ko::new("kernel/a-b.ko"), Ko::new("updates/a_b.ko.xz")], &["a_b"]);
    assert!(message.contains("kernel/a-b.ko and updates/a_b.ko.xz are both the module a_b"), "{message}");
}

#[test]
fn a_file_that_says_another_name_is_refused() {
    let message = refused(&[Ko::new("kernel/a.ko").info("name", "b")], &["a"]);
    assert!(message.contains("says that it is the module b"), "{message}");
}

#[test]
fn modinfo_that_no_index_can_hold_is_refused_and_other_bytes_are_not_looked_at() {
    let cases: [&[u8]; 5] = [
        b"alias=sch\xc3\xb6n\0",
        b"alias=\xff\0",
        b"softdep=pre: a\nsoftdep x\0",
        b"depends=../a\0",
        b"depends=a b\0",
    ];
    for record in cases {
        let message = refused(&[Ko::new("kernel/a.ko").raw_info(record)], &["a"]);
        assert!(message.starts_with("kernel/a.ko: .modinfo has"), "{message}");
    }
    let long = format!("usb:{}", "x".repeat(5000));
    assert!(refused(&[Ko::new("kernel/a.ko").info("alias", &long)], &["a"]).contains("longer than modprobe"));
    let module = Ko::new("kernel/a.ko").raw_info(b"author=J\xf6rg\0\0\0noequals\0alias=last");
    let parsed = Module::parse("kernel/a.ko", &module.elf()).unwrap();
    assert_eq!(parsed.aliases, ["last"]);
}

#[test]
fn what_is_no_arm64_module_is_refused_by_name() {
    let module = Ko::new("kernel/a.ko");
    let elf = module.elf();
    let mut program = elf.clone();
    program[16] = 2;
    let other_word = module.elf_for(Architecture::Arm, Endianness::Little);
    let other_end = module.elf_for(Architecture::Aarch64, Endianness::Big);
    let without_modinfo =
        object::write::Object::new(object::BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little)
            .write()
            .unwrap();
    for (what, bytes) in [
        ("empty", &b""[..]),
        ("text", b"#!/bin/sh\n"),
        ("a program", &program),
        ("32 bits", &other_word),
        ("big-endian", &other_end),
        ("no .modinfo", &without_modinfo),
    ] {
        match Module::parse("kernel/a.ko", bytes) {
            Err(error @ Error::NotAModule { .. }) => {
                assert!(error.to_string().starts_with("kernel/a.ko: "), "{error}")
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_module_cut_short_or_with_any_byte_changed_never_panics() {
    let elf =
        Ko::new("kernel/a.ko").needs(&["b"]).info("alias", "x*").with_versions(&["module_layout"]).elf();
    for length in 0..elf.len() {
        // The section headers are at the end, so nothing shorter is a module.
        assert!(Module::parse("kernel/a.ko", &elf[..length]).is_err(), "{length}");
    }
    for at in 0..elf.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut changed = elf.clone();
            changed[at] = value;
            let _ = Module::parse("kernel/a.ko", &changed);
        }
    }
}

#[test]
fn symbols_are_read_with_and_without_versions() {
    let plain = Ko::new("kernel/a.ko").exports("give").imports("take");
    let versioned = plain.clone().with_checksums().with_versions(&["take", "module_layout"]);
    let plain = Module::parse("kernel/a.ko", &plain.elf()).unwrap();
    let versioned = Module::parse("kernel/a.ko", &versioned.elf()).unwrap();
    assert_eq!(plain.exports, ["of_a", "give"]);
    assert_eq!(plain.imports, ["take"]);
    assert_eq!(versioned.exports, ["of_a", "give"]);
    assert_eq!(versioned.imports, ["take", "module_layout"]);
}

#[test]
fn a_kernel_without_modules_serves_an_empty_list() {
    let selection = chosen(&[], &[]).unwrap();
    assert!(selection.modules.is_empty() && selection.load_order.is_empty());
}
