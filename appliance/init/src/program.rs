//! Running a program of the root file system before that is the root.
//!
//! The program is dynamically linked against libraries that lie under `/sysroot`, where its loader would not look; the
//! loader is therefore called itself, with the path of the libraries. That needs no chroot, hence no code between fork
//! and exec.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::log::Log;

/// How many lines of a program's output go to the log; a badly damaged file system gives thousands.
const LINES: usize = 20;

/// Where the programs' configuration is written, so that it does not depend on files of the root.
const CONFIGURATION: &str = "/run/stayput";

/// Without a clock battery the box lives in the past until the network tells it the time, and e2fsck would call every
/// file system damaged whose last use lies ahead.
const E2FSCK: (&str, &str) = ("e2fsck.conf", "[options]\nbroken_system_clock = 1\n");

/// Features are given as arguments; without this the program complains that it knows no ext4.
const MKE2FS: (&str, &str) = ("mke2fs.conf", "[fs_types]\next4 = {\ninode_size = 256\n}\n");

/// Programs of the root file system prepared at `root`.
#[derive(Debug)]
pub struct Programs<'a> {
    root: &'a Path,
}

impl<'a> Programs<'a> {
    /// Programs under `root`.
    pub fn under(root: &'a Path) -> Self {
        // Best effort: without the files the programs run as well, with a repair or a warning that is not needed.
        let _ = fs::create_dir_all(CONFIGURATION);
        for (name, text) in [E2FSCK, MKE2FS] {
            let _ = fs::write(Path::new(CONFIGURATION).join(name), text);
        }
        Self { root }
    }

    /// Runs `/usr/sbin/<name>` and gives its exit status; its output goes to the log.
    pub fn run(&self, name: &str, arguments: &[&str], log: &mut Log) -> io::Result<i32> {
        let program = self.root.join("usr/sbin").join(name);
        if !program.exists() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} is not in the image", program.display()),
            ));
        }
        let output = Command::new(self.loader()?)
            .arg("--library-path")
            .arg(self.root.join("usr/lib/aarch64-linux-gnu"))
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("E2FSCK_CONFIG", Path::new(CONFIGURATION).join(E2FSCK.0))
            .env("MKE2FS_CONFIG", Path::new(CONFIGURATION).join(MKE2FS.0))
            .output()?;
        for line in shown(&[output.stdout, output.stderr].concat()) {
            log.info(&format!("{name}: {line}"));
        }
        output.status.code().ok_or_else(|| io::Error::other(format!("{name} ended with {}", output.status)))
    }

    fn loader(&self) -> io::Result<PathBuf> {
        let places = ["usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"];
        let found = places.iter().map(|place| self.root.join(place)).find(|path| path.exists());
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the image has no dynamic loader"))
    }
}

/// The lines to be shown of a program's output.
fn shown(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let mut shown: Vec<_> = lines.iter().take(LINES).map(|line| (*line).to_owned()).collect();
    if lines.len() > LINES {
        shown.push(format!("and {} lines more", lines.len() - LINES));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_output_is_cut_and_says_so() {
        assert_eq!(shown(b"one\r\n\n two\n"), ["one", " two"]);
        let long = "x\n".repeat(1000);
        let lines = shown(long.as_bytes());
        assert_eq!((lines.len(), lines[LINES].as_str()), (LINES + 1, "and 980 lines more"));
    }

    #[test]
    fn a_program_or_loader_that_the_image_lacks_is_named() {
        let root = tempfile::tempdir().unwrap();
        let programs = Programs { root: root.path() };
        let error = programs.run("e2fsck", &[], &mut Log::open()).unwrap_err();
        assert!(error.to_string().contains("usr/sbin/e2fsck is not in the image"), "{error}");
        fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        fs::write(root.path().join("usr/sbin/e2fsck"), "").unwrap();
        let error = programs.run("e2fsck", &[], &mut Log::open()).unwrap_err();
        assert!(error.to_string().contains("no dynamic loader"), "{error}");
    }
}
