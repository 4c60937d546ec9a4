//! Running a program of the root file system before that is the root.
//!
//! The program is dynamically linked against libraries that lie under `/sysroot`, where its loader would not look; the
//! loader is therefore called itself, with the path of the libraries. That needs no chroot, hence no code between fork
//! and exec.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::log::Log;

/// How many lines of a program's output go to the log; a badly damaged file system gives thousands.
const LINES: usize = 20;

/// A configuration under which the programs do not depend on files of the root, nor on a clock that is right.
const E2FSCK_CONFIG: (&str, &str) = ("/run/stayput/e2fsck.conf", "[options]\nbroken_system_clock = 1\n");

/// Programs of the root file system prepared at `root`.
#[derive(Debug)]
pub struct Programs<'a> {
    root: &'a Path,
}

impl<'a> Programs<'a> {
    /// Programs under `root`.
    pub fn under(root: &'a Path) -> Self {
        // Without a clock battery the box lives in the past until the network tells it the time, and e2fsck would call
        // every file system damaged whose last use lies ahead. Best effort: without the file it repairs a date.
        let _ = std::fs::create_dir_all("/run/stayput");
        let _ = std::fs::write(E2FSCK_CONFIG.0, E2FSCK_CONFIG.1);
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
            .env("E2FSCK_CONFIG", E2FSCK_CONFIG.0)
            // Empty, so that what the built-in defaults and the arguments say is all there is.
            .env("MKE2FS_CONFIG", "/dev/null")
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
        std::fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        std::fs::write(root.path().join("usr/sbin/e2fsck"), "").unwrap();
        let error = programs.run("e2fsck", &[], &mut Log::open()).unwrap_err();
        assert!(error.to_string().contains("no dynamic loader"), "{error}");
    }
}
