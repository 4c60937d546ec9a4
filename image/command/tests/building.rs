//! `stayput build` under good and bad conditions, in a copy of the tree. Stage `image` of scripts/test: the packages
//! must be in the cache, and every test makes real builds.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Everything that a build reads.
const SOURCES: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "appliance", "board", "harness", "image", "overlay"];

/// A copy of the tree. Its place is the same in every test: therefore one test at a time (`--test-threads 1`).
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn make() -> Self {
        Self::of(&top(), "tree")
    }

    /// A copy of the copy: whoever edits the tree meanwhile edits neither.
    fn again(&self, name: &str) -> Self {
        Self::of(&self.folder, name)
    }

    fn of(top: &Path, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for name in SOURCES {
            let copied = Command::new("cp").arg("-a").arg(top.join(name)).arg(&folder).status().unwrap();
            assert!(copied.success());
        }
        Self { folder }
    }

    fn output(&self) -> PathBuf {
        self.folder.join("output/nanopi-neo2")
    }

    fn image(&self) -> PathBuf {
        self.output().join("sdcard.img")
    }

    fn stayput(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stayput"));
        command.arg("--tree").arg(&self.folder).args(args);
        command
    }

    /// A build of the programs that the stage has compiled: what is looked at is what comes after.
    fn assembly(&self) -> Command {
        let mut command = self.stayput(&["build", "--offline", "--dev", "--programs"]);
        command.arg(programs());
        command
    }

    fn build(&self) -> Output {
        self.assembly().output().unwrap()
    }

    /// The hash that the build printed.
    fn built(&self) -> String {
        hash(&self.build())
    }

    /// Fails with what `stayput verify` says of the difference: partition, file, first byte.
    fn must_equal(&self, other: &Path) {
        let run = verify(&self.image(), other);
        assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), said(&run));
    }
}

/// The tree of this test.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The image that the stage has built before, and its manifest.
fn stage() -> (PathBuf, serde_json::Value) {
    let image =
        PathBuf::from(std::env::var_os("STAYPUT_IMAGE").expect("scripts/test image sets STAYPUT_IMAGE"));
    let manifest = std::fs::read(image.with_file_name("manifest.json")).unwrap();
    (image, serde_json::from_slice(&manifest).unwrap())
}

/// Where cargo put that image's programs.
fn programs() -> PathBuf {
    let (_, manifest) = stage();
    let word = |of: &serde_json::Value| of.as_str().unwrap().to_owned();
    let record = &manifest["toolchain"];
    let folder = if record["toolchain"] == "pinned" { "box" } else { "box-fallback" };
    top().join("target").join(folder).join(word(&record["target"])).join(word(&manifest["profile"]))
}

/// Holds one build against another's manifest, byte for byte.
fn verify(image: &Path, other: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stayput"));
    command
        .args(["verify", "--pristine"])
        .arg(image)
        .arg("--manifest")
        .arg(other.with_file_name("manifest.json"));
    command.output().unwrap()
}

fn hash(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Polls until `there` holds; a build that never gets so far fails the test.
fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while !there() {
        assert!(Instant::now() < deadline, "waited 300 s for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A command that builds where everything is unlike: user, umask, time zone, language, processor count, date, home, and
/// what a person's cargo is told to do.
fn unlike(build: &Command, home: &Path) -> Command {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let person = PathBuf::from(std::env::var_os("HOME").unwrap());
    let cargo = cargo.unwrap_or_else(|| person.join(".cargo"));
    std::os::unix::fs::symlink(cargo.join("registry"), home.join("registry")).unwrap();
    let given = |name: &str, usual: &str| std::env::var_os(name).unwrap_or_else(|| person.join(usual).into());
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-user=12345", "--map-group=12345"])
        .args(["faketime", "2031-05-05 05:05:05"])
        .args(["sh", "-c", "umask 077; exec taskset 1 \"$@\"", "sh"])
        .arg(build.get_program())
        .args(build.get_args())
        .envs([
            ("TZ", "Asia/Tokyo"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("RUSTFLAGS", "-C opt-level=1"),
            ("USER", "someone"),
        ])
        .env("STAYPUT_CACHE", given("STAYPUT_CACHE", ".cache/stayput"))
        .env("RUSTUP_HOME", given("RUSTUP_HOME", ".rustup"))
        .env("CARGO_HOME", home)
        .env("HOME", home);
    command
}

#[test]
#[ignore = "stage image"]
fn assembled_twice_in_unlike_surroundings_the_image_is_the_same() {
    let tree = Copy::make();
    let there = tree.again("another folder");
    hash(&tree.build());
    let home = tempfile::tempdir().unwrap();
    let run = unlike(&there.assembly(), home.path()).output().unwrap();
    hash(&run);
    there.must_equal(&tree.image());
    for name in ["sdcard.img.zst", "manifest.json", "sbom.cdx.json", "licences.txt", "qemu-u-boot.bin"] {
        let (one, two) = (tree.output().join(name), there.output().join(name));
        assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap(), "{name} differs");
    }
}

/// A compiler takes minutes, so this is done once for each state of code, toolchain and Cargo.lock; a clean machine has
/// no record of any. STAYPUT_COMPILE_TWICE=1 does it in any case.
#[test]
#[ignore = "stage image"]
fn compiled_twice_in_unlike_surroundings_the_image_is_the_same() {
    let done = record_of_compilation();
    if done.exists() && std::env::var_os("STAYPUT_COMPILE_TWICE").is_none() {
        eprintln!("compiled twice before, with this code, toolchain and Cargo.lock: {}", done.display());
        return;
    }
    let (image, manifest) = stage();
    let there = Copy::make().again("another folder");
    let profile: &[&str] = if manifest["profile"] == "box-dev" { &["--dev"] } else { &[] };
    let home = tempfile::tempdir().unwrap();
    let build = there.stayput(&[&["build", "--offline"], profile].concat());
    let run = unlike(&build, home.path()).output().unwrap();
    hash(&run);
    there.must_equal(&image);
    std::fs::create_dir_all(done.parent().unwrap()).unwrap();
    std::fs::write(done, "").unwrap();
}

/// A file that exists once these very inputs of the compiler were compiled twice to the same bytes on this machine.
fn record_of_compilation() -> PathBuf {
    use sha2::Digest;
    let mut sum = sha2::Sha256::new();
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        "appliance",
        "image/toolchain",
        "image/packages.lock",
    ] {
        add(&top().join(name), &mut sum);
    }
    let cache = std::env::var_os("STAYPUT_CACHE").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/stayput"));
    cache.join("compiled-twice").join(hex::encode(sum.finalize()))
}

fn add(path: &Path, sum: &mut sha2::Sha256) {
    use sha2::Digest;
    if !path.is_dir() {
        sum.update(path.as_os_str().as_encoded_bytes());
        return sum.update(sha2::Sha256::digest(std::fs::read(path).unwrap()));
    }
    let mut inside: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    inside.sort();
    inside.iter().for_each(|path| add(path, sum));
}

/// `STAYPUT_OTHER_ROOT` names the root folder of another release of the host, for example Debian 13's on Debian 12, made
/// with debootstrap; it takes root to enter it. docs/testing.md says how, and what came out.
#[test]
#[ignore = "stage image"]
fn assembled_on_another_release_of_the_host_the_image_is_the_same() {
    let Some(other) = std::env::var_os("STAYPUT_OTHER_ROOT") else {
        return eprintln!("NOT CHECKED: STAYPUT_OTHER_ROOT names no other release");
    };
    let tree = Copy::make();
    let there = tree.again("another folder");
    hash(&tree.build());
    // What the build reads and writes is there under the same name; every program and library is the other release's.
    let script = r#"root=$1; shift; for name in /proc /dev /tmp "$TOP" "$HOME"; do
        mkdir -p "$root$name" && mount --rbind "$name" "$root$name" || exit 1; done; exec chroot "$root" "$@""#;
    let build = there.assembly();
    let run = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(other)
        .arg(build.get_program())
        .args(build.get_args())
        .env("TOP", top())
        .output()
        .unwrap();
    hash(&run);
    there.must_equal(&tree.image());
}

#[test]
#[ignore = "stage image"]
fn a_difference_between_two_builds_is_named_by_partition_file_and_first_byte() {
    let tree = Copy::make();
    let there = tree.again("another folder");
    let file = there.folder.join("overlay/etc/hosts");
    let hosts = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, hosts.to_uppercase()).unwrap();
    let (one, two) = (tree.built(), there.built());
    assert_ne!(one, two);
    let run = verify(&there.image(), &tree.image());
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    let report = String::from_utf8(run.stdout).unwrap();
    let root = report.lines().find(|line| line.starts_with("root-a ")).unwrap();
    assert!(root.contains("DIFFERENT") && root.contains("first at byte "), "{report}");
    assert!(report.contains("\n  root-a: etc/hosts has other bytes\n"), "{report}");
    // The slot's script carries the hash of the root; nothing else has to do with that file.
    assert!(report.contains("\n  boot-a: slot.scr has other bytes\n"), "{report}");
    assert_eq!(report.matches(" has other bytes").count(), 2, "{report}");
}

#[test]
#[ignore = "stage image"]
fn a_build_without_changes_leaves_the_image_alone_and_a_change_makes_a_new_one() {
    let tree = Copy::make();
    let first = tree.built();
    let made = std::fs::metadata(tree.image()).unwrap().modified().unwrap();
    assert_eq!(tree.built(), first);
    assert_eq!(std::fs::metadata(tree.image()).unwrap().modified().unwrap(), made);
    std::fs::write(tree.folder.join("overlay/etc/extra"), "one more file\n").unwrap();
    assert_ne!(tree.built(), first);
}

#[test]
#[ignore = "stage image"]
fn two_builds_at_once_end_with_one_whole_image() {
    let tree = Copy::make();
    let start = || tree.assembly().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let (one, two) = (start().unwrap(), start().unwrap());
    let (one, two) = (hash(&one.wait_with_output().unwrap()), hash(&two.wait_with_output().unwrap()));
    assert_eq!(one, two);
    assert_eq!(one, tree.built());
}

#[test]
#[ignore = "stage image"]
fn an_interrupted_build_leaves_no_image_and_the_next_one_is_whole() {
    let tree = Copy::make();
    let mut build = tree.assembly().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the card to be written", || {
        assert!(build.try_wait().unwrap().is_none(), "the build was over before it could be interrupted");
        tree.output().join(".sdcard.img.partial").exists()
    });
    kill_process(Pid::from_child(&build), Signal::INT).unwrap();
    assert!(!build.wait().unwrap().success());
    assert!(!tree.image().exists());
    let after = tree.built();
    std::fs::remove_dir_all(tree.output()).unwrap();
    assert_eq!(tree.built(), after);
}

#[test]
#[ignore = "stage image"]
fn a_full_disk_is_named_and_leaves_no_image() {
    let tree = Copy::make();
    let output = tree.output();
    std::fs::create_dir_all(&output).unwrap();
    let script =
        r#"mount -t tmpfs -o size=40m full "$1" && shift && "$@"; status=$?; ls -a "$OUT"; exit $status"#;
    let build = tree.assembly();
    let run = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(&output)
        .arg(build.get_program())
        .args(build.get_args())
        .env("OUT", &output)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(6), "{}", said(&run));
    assert!(said(&run).contains("No space left"), "{}", said(&run));
    assert!(!String::from_utf8_lossy(&run.stdout).lines().any(|name| name == "sdcard.img"), "{run:?}");
}

#[test]
#[ignore = "stage image"]
fn a_package_that_was_altered_in_the_cache_is_refused_by_name() {
    let tree = Copy::make();
    let listed = tree.stayput(&["fetch", "loader"]).output().unwrap();
    let package = PathBuf::from(String::from_utf8(listed.stdout).unwrap().trim());
    // A cache that holds nothing but one altered package; without a network there is no other to be had.
    let cache = tempfile::tempdir().unwrap();
    let place = cache.path().join("deb").join(package.parent().unwrap().file_name().unwrap());
    std::fs::create_dir_all(&place).unwrap();
    let mut bytes = std::fs::read(&package).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(place.join(package.file_name().unwrap()), bytes).unwrap();
    let run = tree.stayput(&["fetch", "loader", "--mirror", "http://127.0.0.1:9/debian"]);
    let run = { run }.env("STAYPUT_CACHE", cache.path()).output().unwrap();
    // It is taken out of the cache, said, and asked for anew: here in vain, because nobody answers.
    assert_eq!(run.status.code(), Some(5), "{}", said(&run));
    assert!(said(&run).contains("had changed"), "{}", said(&run));
    assert!(!place.join(package.file_name().unwrap()).exists(), "the altered package is still in the cache");
    assert!(run.stdout.is_empty(), "an altered package must not be handed out");
}

#[test]
#[ignore = "stage image"]
fn a_version_that_the_mirror_no_longer_has_is_named_with_the_command_that_helps() {
    let tree = Copy::make();
    let (cache, mirror) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut fetch = tree.stayput(&["fetch", "loader", "--mirror"]);
    let run = fetch.arg(mirror.path()).env("STAYPUT_CACHE", cache.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(3), "{}", said(&run));
    let said = said(&run);
    assert!(said.contains("u-boot-sunxi") && said.contains("stayput lock --update"), "{said}");
}

#[test]
#[ignore = "stage image"]
fn a_mirror_out_of_reach_is_a_network_failure() {
    let tree = Copy::make();
    let cache = tempfile::tempdir().unwrap();
    // Nothing listens on the discard port of this machine.
    let mut fetch = tree.stayput(&["fetch", "loader", "--mirror", "http://127.0.0.1:9/debian"]);
    let run = fetch.env("STAYPUT_CACHE", cache.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(5), "{}", said(&run));
}

#[test]
fn a_board_that_does_not_exist_is_answered_with_those_that_do() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stayput = Command::new(env!("CARGO_BIN_EXE_stayput"));
    let run = stayput.arg("--tree").arg(top).args(["build", "--board", "nanopi-neo3"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        said(&run).contains("nanopi-neo3") && said(&run).contains("nanopi-neo2, qemu-virt"),
        "{}",
        said(&run)
    );
}
