//! `stayput build` under good and bad conditions, in a copy of the tree. Stage `image` of scripts/test: the packages
//! must be in the cache, and every test makes real builds.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A copy of the tree. Its place is the same in every test, so that cargo compiles the box's programs there once;
/// therefore one test at a time (`--test-threads 1`).
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn make() -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        Self::of(&top, "tree")
    }

    /// A copy of the copy: whoever edits the tree meanwhile edits neither.
    fn again(&self, name: &str) -> Self {
        Self::of(&self.folder, name)
    }

    fn of(top: &Path, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for name in [
            "Cargo.toml",
            "Cargo.lock",
            "rust-toolchain.toml",
            "appliance",
            "board",
            "harness",
            "image",
            "overlay",
        ] {
            let copied = Command::new("cp").arg("-a").arg(top.join(name)).arg(&folder).status().unwrap();
            assert!(copied.success());
        }
        std::os::unix::fs::symlink(top.join("target").canonicalize().unwrap(), folder.join("target"))
            .unwrap();
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

    fn build(&self) -> Output {
        self.stayput(&["build", "--offline", "--dev"]).output().unwrap()
    }

    /// The hash that the build printed.
    fn built(&self) -> String {
        hash(&self.build())
    }
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

#[test]
#[ignore = "stage image"]
fn the_same_tree_in_another_folder_gives_the_same_image() {
    let tree = Copy::make();
    let there = tree.again("another folder");
    let here = hash(&tree.stayput(&["build", "--offline"]).output().unwrap());
    // Another folder, umask, time zone, language, processor count and cargo home: the published hash is for everyone.
    let home = tempfile::tempdir().unwrap();
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cargo"));
    std::os::unix::fs::symlink(cargo.join("registry"), home.path().join("registry")).unwrap();
    let build = there.stayput(&["build", "--offline"]);
    let unlike = Command::new("sh")
        .args(["-c", "umask 077; exec taskset 1 \"$@\"", "sh"])
        .arg(build.get_program())
        .args(build.get_args())
        .envs([("TZ", "Asia/Tokyo"), ("LC_ALL", "tr_TR.UTF-8"), ("RUSTFLAGS", "-C opt-level=1")])
        .env("CARGO_HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(here, hash(&unlike));
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
    let start = || {
        tree.stayput(&["build", "--offline", "--dev"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let (one, two) = (start().unwrap(), start().unwrap());
    let (one, two) = (hash(&one.wait_with_output().unwrap()), hash(&two.wait_with_output().unwrap()));
    assert_eq!(one, two);
    assert_eq!(one, tree.built());
}

#[test]
#[ignore = "stage image"]
fn an_interrupted_build_leaves_no_image_and_the_next_one_is_whole() {
    let tree = Copy::make();
    let mut build = tree
        .stayput(&["build", "--offline", "--dev"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
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
    let build = tree.stayput(&["build", "--offline", "--dev"]);
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
