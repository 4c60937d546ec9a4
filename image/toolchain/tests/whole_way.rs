//! From the lock to a program: the compilers unpacked and run for real, with everything hostile that a person's
//! environment can hold. Needs the locked packages (cache or mirror) and the pinned rustc, hence `--ignored`.

#![allow(clippy::unwrap_used, reason = "a test, its fixtures included, ends where something is amiss")]

use std::fs;
use std::path::{Path, PathBuf};

use stayput_packages::{Cache, Lock, Mirror, Source};
use stayput_toolchain::{Choice, FromLock, Kind, Order, Profile, Program, Request, Toolchain, ensure};

/// A workspace of one program with C in it. The C part refuses every compiler but the locked one, and both halves
/// print the path of their own source.
const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[workspace]\nmembers = [\"part\"]\nresolver = \"3\"\n[profile.box-dev]\ninherits = \"release\"\n\
         panic = \"abort\"\nstrip = true\n[profile.box]\ninherits = \"box-dev\"\nlto = \"fat\"\ncodegen-units = 1\n",
    ),
    ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"part\"\nversion = \"0.1.0\"\n"),
    ("part/Cargo.toml", "[package]\nname = \"part\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
    (
        "part/build.rs",
        r#"use std::{env, path::PathBuf, process::Command};
fn main() {
    let of = |name: &str| env::var(format!("{name}_{}", env::var("TARGET").unwrap().replace('-', "_"))).unwrap();
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap()).join("part.c");
    let object = out.join("part.o");
    let musl = if env::var("TARGET").unwrap().ends_with("musl") { "-DPINNED" } else { "" };
    let line = format!("\"$0\" {} {musl} -Os -c \"$1\" -o \"$2\"", of("CFLAGS"));
    let cc = |c: &mut Command| assert!(c.status().unwrap().success());
    cc(Command::new("sh").arg("-c").arg(line).arg(of("CC")).arg(&source).arg(&object));
    cc(Command::new(of("AR")).arg("crs").arg(out.join("libpart.a")).arg(&object));
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=part");
}
"#,
    ),
    (
        "part/part.c",
        "#include <stdint.h>\n#include <string.h>\n#include <limits.h>\n#include <linux/types.h>\n\
         #if !defined(__aarch64__) || __GNUC__ != 14\n#error not the locked compiler\n#endif\n\
         #if defined(PINNED) && defined(__GLIBC__)\n#error headers of another C library than the target's\n#endif\n\
         const char *part(void) { return __FILE__; }\nuint32_t length(const char *text) { return strlen(text); }\n",
    ),
    (
        "part/src/main.rs",
        "unsafe extern \"C\" {\n    fn part() -> *const core::ffi::c_char;\n    fn length(text: *const core::ffi::c_char) -> u32;\n}\n\
         fn main() {\n    let text = unsafe { std::ffi::CStr::from_ptr(part()) };\n    \
         println!(\"{} {text:?} {}\", file!(), unsafe { length(text.as_ptr()) });\n    \
         assert!(std::env::args().count() < 9, \"{}\", env!(\"CARGO_PKG_NAME\"));\n}\n",
    ),
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn workspace(tree: &Path) {
    for (name, text) in FILES {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::copy(project().join("rust-toolchain.toml"), tree.join("rust-toolchain.toml")).unwrap();
    // Configuration in the tree and above it is the person's, too.
    fs::create_dir_all(tree.join(".cargo")).unwrap();
    fs::write(tree.join(".cargo/config.toml"), "[profile.box]\nopt-level = 0\nstrip = false\n").unwrap();
}

fn toolchain(tree: &Path, cache: &Path, choice: Choice) -> Toolchain {
    let lock = Lock::load(&project().join("image/packages.lock")).unwrap();
    let packages = Cache::open(&Cache::default_folder().expect("HOME is set")).unwrap();
    let source = Source::Mirror(Mirror::from_apt().unwrap());
    let packages = FromLock { lock: &lock, cache: &packages, source: &source, progress: &() };
    let request = Request { tree, cache, choice, offline: false, packages: &packages };
    ensure(&request, &mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error}"))
}

fn compile(toolchain: &Toolchain, tree: &Path) -> (Program, Vec<u8>) {
    let order = Order { tree, packages: &["part"], profile: Profile::Box, offline: false };
    let made =
        toolchain.compile(&order, &mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error}"));
    let bytes = fs::read(&made[0].path).unwrap();
    (made[0].clone(), bytes)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
#[ignore = "unpacks the locked compilers: needs the package cache or a mirror"]
fn two_unlike_directories_and_caches_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for (tree, cache) in [("one", "cache"), ("an other/and deeper", "it's another cache")] {
        let tree = dir.path().join(tree);
        workspace(&tree);
        let toolchain = toolchain(&tree, &dir.path().join(cache), Choice::Pinned);
        assert_eq!(toolchain.kind(), Kind::Pinned);
        assert!(toolchain.record().c_compiler.contains("Debian 14."), "{:?}", toolchain.record());
        made.push(compile(&toolchain, &tree));
    }
    let [(program, first), (_, second)] = &made[..] else { unreachable!("two trees") };
    assert!(first == second, "the programs differ");
    assert_eq!(program.name, "part");
    assert!(
        !holds(first, ".symtab"),
        "the configuration above the tree was obeyed: the program is not stripped"
    );
    assert!(holds(first, "GCC: (Debian 14."), "the C part is not the locked compiler's");
    assert!(holds(first, "/src/part/part.c"), "the C part does not hold the mapped path");
}

#[test]
#[ignore = "unpacks the distribution's Rust: needs the package cache or a mirror"]
fn the_fallback_makes_a_static_program_and_says_that_it_is_the_fallback() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    workspace(&tree);
    let toolchain = toolchain(&tree, &dir.path().join("cache"), Choice::Fallback);
    assert_eq!(toolchain.record().toolchain, Kind::Fallback);
    // compile() itself refuses a program that wants a loader.
    let (_, bytes) = compile(&toolchain, &tree);
    assert!(holds(&bytes, "GCC: (Debian 14."));
}

#[test]
#[ignore = "unpacks the locked compilers: needs the package cache or a mirror"]
fn a_mistake_in_the_program_is_shown_in_the_compilers_own_words() {
    let dir = tempfile::tempdir().unwrap();
    workspace(dir.path());
    fs::write(dir.path().join("part/src/main.rs"), "fn main() { let x: u8 = \"text\"; }\n").unwrap();
    let toolchain = toolchain(dir.path(), &dir.path().join("cache"), Choice::Pinned);
    let order = Order { tree: dir.path(), packages: &["part"], profile: Profile::BoxDev, offline: true };
    let error = toolchain.compile(&order, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("part/src/main.rs:1:") && error.contains("mismatched types"), "{error}");
}
