//! The command at work on a built image: what every test of flashing, verifying and the outputs needs.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The image under test.
pub fn image() -> PathBuf {
    PathBuf::from(std::env::var_os("STAYPUT_IMAGE").expect("scripts/test image sets STAYPUT_IMAGE"))
}

/// A file beside the image.
pub fn beside(name: &str) -> PathBuf {
    image().with_file_name(name)
}

/// Runs the command on this tree, with nobody at the keyboard.
pub fn stayput(args: &[&str]) -> Output {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stayput"));
    command.arg("--tree").arg(tree).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Everything that a run said.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are plain")
}

/// An empty card of 4 GB: a file with a hole in it.
pub fn card() -> tempfile::NamedTempFile {
    let card = tempfile::NamedTempFile::new().unwrap();
    card.as_file().set_len(4_000_000_000 / 4096 * 4096).unwrap();
    card
}

/// A tool that another wrote; none where it is not installed, which is said, and a failure under
/// STAYPUT_REQUIRE_ORACLES=1.
pub fn oracle(program: &str, args: &[&str]) -> Option<Output> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match Command::new(program).args(args).env("PATH", path).env("LC_ALL", "C").output() {
        Ok(output) => Some(output),
        Err(error) => {
            not_checked(&format!("{program} could not run ({error})"));
            None
        }
    }
}

/// Says that a test cannot run here.
pub fn not_checked(why: &str) {
    let required = std::env::var("STAYPUT_REQUIRE_ORACLES").is_ok_and(|value| value == "1");
    assert!(!required, "{why}, and STAYPUT_REQUIRE_ORACLES=1 asks for it");
    eprintln!("NOT CHECKED: {why}");
}

/// Says that this machine gives the test no loop device or mount: that takes root, which CI may not have.
pub fn not_allowed(why: &str) {
    eprintln!("NOT CHECKED: {why}; it takes root");
}

/// SHA-256 of a file.
pub fn sha256(path: &Path) -> String {
    use sha2::Digest;
    let sum = sha2::Sha256::digest(std::fs::read(path).unwrap());
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}
