//! Running a program of the root file system before that is the root.
//!
//! The program is dynamically linked against libraries that lie under `/sysroot`, where its loader would not look; the
//! loader is therefore called itself, with the path of the libraries. That needs no chroot, hence no code between fork
//! and exec.
//!
//! **A program is waited for, but not for ever, and never killed.** A check or a format that is ended half-way leaves
//! what it was mending worse than it was. One that takes too long goes on beside the box that comes up without its
//! partition, and what it writes goes to a file: a pipe that nobody reads any more would kill it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::log::Log;

/// How long all programs together may hold the start: far less than `watchdog.open_timeout` (image/card, script.rs) lets
/// the kernel pet the watchdog on its own, and many times what a healthy card of 128 GB needs.
const BUDGET: Duration = Duration::from_secs(80);

/// What each program gets, however long those before it took.
const LEAST: Duration = Duration::from_secs(10);

/// Between two looks whether a program is done.
const STEP: Duration = Duration::from_millis(10);

/// How often the log says that something is still waited for.
const WORD: Duration = Duration::from_secs(10);

/// How many lines of a program's output go to the log; a badly damaged file system gives thousands.
const LINES: usize = 20;

/// Where the programs' configuration and output is written, so that neither depends on files of the root.
const SCRATCH: &str = "/run/stayput";

/// Without a clock battery the box lives in the past until the network tells it the time, and e2fsck would call every
/// file system damaged whose last use lies ahead.
const E2FSCK: (&str, &str) = ("e2fsck.conf", "[options]\nbroken_system_clock = 1\n");

/// Features are given as arguments; without this the program complains that it knows no ext4.
const MKE2FS: (&str, &str) = ("mke2fs.conf", "[fs_types]\next4 = {\ninode_size = 256\n}\n");

/// Why a program gave no status.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It is not in the image, could not be started, or ended by a signal.
    #[error("{0}")]
    NotRun(#[from] io::Error),
    /// It is still at work, and will be for as long as it needs.
    #[error(
        "{program} is not done after {waited} s and goes on beside the box; leave the power on for an hour, then restart"
    )]
    Unfinished {
        /// Its name.
        program: String,
        /// How long was waited for it, in seconds.
        waited: u64,
    },
}

/// Programs of the root file system prepared at `root`.
#[derive(Debug)]
pub struct Programs<'a> {
    root: &'a Path,
    scratch: PathBuf,
    until: Instant,
    least: Duration,
}

impl<'a> Programs<'a> {
    /// Programs under `root`; from here on their time runs.
    pub fn under(root: &'a Path) -> Self {
        let scratch = PathBuf::from(SCRATCH);
        // Best effort: without the files the programs run as well, with a repair or a warning that is not needed.
        let _ = fs::create_dir_all(&scratch);
        for (name, text) in [E2FSCK, MKE2FS] {
            let _ = fs::write(scratch.join(name), text);
        }
        Self { root, scratch, until: Instant::now() + BUDGET, least: LEAST }
    }

    /// Runs `/usr/sbin/<name>` and gives its exit status; its output goes to the log.
    pub fn run(&self, name: &str, arguments: &[&str], log: &mut Log) -> Result<i32, Trouble> {
        let program = self.root.join("usr/sbin").join(name);
        if !program.exists() {
            return Err(missing(format!("{} is not in the image", program.display())).into());
        }
        let mut command = Command::new(self.loader()?);
        command
            .arg("--library-path")
            .arg(self.root.join("usr/lib/aarch64-linux-gnu"))
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("E2FSCK_CONFIG", self.scratch.join(E2FSCK.0))
            .env("MKE2FS_CONFIG", self.scratch.join(MKE2FS.0));
        // One that is still at work for the partition before must not have its file taken away.
        let of = arguments.last().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let output = self.scratch.join(format!("{name}-{of}.log"));
        self.wait_for(name, &mut command, &output, log)
    }

    fn wait_for(
        &self,
        name: &str,
        command: &mut Command,
        output: &Path,
        log: &mut Log,
    ) -> Result<i32, Trouble> {
        let file = File::create(output)?;
        let mut child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        let begun = Instant::now();
        let until = self.until.max(begun + self.least);
        let mut next_word = begun + WORD;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            let now = Instant::now();
            if now >= until {
                let waited = begun.elapsed().as_secs();
                return Err(Trouble::Unfinished { program: name.to_owned(), waited });
            }
            if now >= next_word {
                log.info(&format!(
                    "{name} is at work for {} s; leave the power on",
                    begun.elapsed().as_secs()
                ));
                next_word += WORD;
            }
            sleep(STEP);
        };
        for line in shown(&fs::read(output).unwrap_or_default()) {
            log.info(&format!("{name}: {line}"));
        }
        let _ = fs::remove_file(output);
        ended(name, status)
    }

    fn loader(&self) -> io::Result<PathBuf> {
        let places = ["usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"];
        let found = places.iter().map(|place| self.root.join(place)).find(|path| path.exists());
        found.ok_or_else(|| missing("the image has no dynamic loader".to_owned()))
    }
}

fn missing(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}

fn ended(name: &str, status: ExitStatus) -> Result<i32, Trouble> {
    let code = status.code().ok_or_else(|| io::Error::other(format!("{name} ended with {status}")));
    code.map_err(Trouble::from)
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

    fn programs(root: &Path) -> Programs<'_> {
        let until = Instant::now() + Duration::from_secs(60);
        Programs { root, scratch: root.to_owned(), until, least: Duration::from_millis(50) }
    }

    #[test]
    fn a_program_or_loader_that_the_image_lacks_is_named() {
        let root = tempfile::tempdir().unwrap();
        let programs = programs(root.path());
        let error = programs.run("e2fsck", &[], &mut Log::open()).unwrap_err();
        assert!(error.to_string().contains("usr/sbin/e2fsck is not in the image"), "{error}");
        fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        fs::write(root.path().join("usr/sbin/e2fsck"), "").unwrap();
        let error = programs.run("e2fsck", &[], &mut Log::open()).unwrap_err();
        assert!(error.to_string().contains("no dynamic loader"), "{error}");
    }

    #[test]
    fn a_programs_status_is_given_and_a_signal_is_none() {
        let root = tempfile::tempdir().unwrap();
        let output = root.path().join("log");
        let run = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            programs(root.path()).wait_for("sh", &mut command, &output, &mut Log::open())
        };
        assert_eq!(run("exit 4").unwrap(), 4);
        assert!(matches!(run("kill -9 $$"), Err(Trouble::NotRun(_))));
    }

    #[test]
    fn a_program_that_takes_too_long_is_left_at_work_and_does_its_work() {
        let root = tempfile::tempdir().unwrap();
        let (output, done) = (root.path().join("log"), root.path().join("done"));
        let programs = Programs { until: Instant::now(), ..programs(root.path()) };
        let mut command = Command::new("/bin/sh");
        // It writes after nobody waits for it any more, which must not be its end.
        command.args(["-c", "sleep 1; echo written; echo written >&2; : >\"$0\""]).arg(&done);
        let begun = Instant::now();
        let error = programs.wait_for("sh", &mut command, &output, &mut Log::open()).unwrap_err();
        assert!(matches!(error, Trouble::Unfinished { .. }), "{error}");
        assert!(begun.elapsed() >= programs.least);
        while !done.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it was ended half-way");
            sleep(STEP);
        }
    }
}
