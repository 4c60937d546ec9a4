//! Every forbidden act, tried: the kernel's answers are the proof, and `--explain-confinement` prints them.
//!
//! Each act is tried in a process of its own that has been confined as a mover is, and for comparison in one that has not.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::system::Forbidden;

/// The option that makes a process try one act.
pub const ATTEMPT: &str = "--attempt";

/// The option that leaves it unconfined, for comparison.
pub const UNCONFINED: &str = "--unconfined";

/// The option that asks for all of them.
pub const EXPLAIN: &str = "--explain-confinement";

/// An act that is no single call.
#[derive(Debug, Clone, Copy)]
enum Open {
    Read(&'static str),
    Write(&'static str),
    Make(&'static str),
}

const OPENS: &[(&str, Open, &str)] = &[
    ("read /", Open::Read("/"), "see what else is there"),
    ("read /etc/passwd", Open::Read("/etc/passwd"), "read a file that is not its own"),
    ("read /proc/1/environ", Open::Read("/proc/1/environ"), "read another process's settings"),
    ("write /proc/self/mem", Open::Write("/proc/self/mem"), "write where memory forbids it"),
    ("make /tmp/stayput-attempt", Open::Make("/tmp/stayput-attempt"), "leave a file elsewhere"),
    ("make /dev/shm/stayput-attempt", Open::Make("/dev/shm/stayput-attempt"), "leave a file elsewhere"),
];

impl Open {
    fn attempt(self) -> Result<(), Errno> {
        let (path, flags) = match self {
            Self::Read(path) => (path, OFlags::RDONLY),
            Self::Write(path) => (path, OFlags::WRONLY),
            Self::Make(path) => (path, OFlags::WRONLY | OFlags::CREATE),
        };
        openat(CWD, path, flags | OFlags::CLOEXEC, Mode::RUSR).map(|_| {
            if let Self::Make(path) = self {
                // Only what was just made; the path is this table's.
                let _ = std::fs::remove_file(path);
            }
        })
    }
}

/// Every act: what it is called, and what it would be good for.
fn acts() -> impl Iterator<Item = (String, &'static str)> {
    let calls = Forbidden::ALL.iter().enumerate().map(|(number, (_, call, about))| {
        let call = call.trim_start_matches("SYS_");
        (format!("{number:02} {call}"), *about)
    });
    calls.chain(OPENS.iter().map(|(name, _, about)| ((*name).to_owned(), *about)))
}

/// Tries the act of that name in this process. The exit code is the kernel's answer: 0 when it was allowed.
pub fn attempt(name: &str) -> ExitCode {
    let call = name.split(' ').next().and_then(|number| number.parse::<usize>().ok());
    let result = match call.and_then(|number| Forbidden::ALL.get(number)) {
        Some((act, ..)) => act.attempt(),
        None => match OPENS.iter().find(|(known, ..)| *known == name) {
            Some((_, open, _)) => open.attempt(),
            None => Err(Errno::INVAL),
        },
    };
    ExitCode::from(result.err().map_or(0, |error| u8::try_from(error.raw_os_error()).unwrap_or(u8::MAX)))
}

/// What the kernel said to one act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The act.
    pub act: String,
    /// What it would be good for.
    pub about: &'static str,
    /// The answer to a confined process; `None` when it ended otherwise.
    pub confined: Option<Answer>,
    /// The answer to an unconfined one.
    pub free: Option<Answer>,
}

/// The kernel's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer(u8);

impl Answer {
    /// Whether the process was not permitted to.
    pub fn is_refusal(self) -> bool {
        self.0 == Errno::PERM.raw_os_error() as u8 || self.0 == Errno::ACCESS.raw_os_error() as u8
    }

    fn text(self) -> String {
        match self.0 {
            0 => "allowed".to_owned(),
            number => std::io::Error::from_raw_os_error(i32::from(number)).to_string(),
        }
    }
}

impl Tried {
    /// Whether the confined process was refused.
    pub fn is_refused(&self) -> bool {
        self.confined.is_some_and(Answer::is_refusal)
    }
}

/// Tries every act, by starting `program` with `arguments` and the options of this module.
pub fn all(program: &Path, arguments: &[OsString]) -> std::io::Result<Vec<Tried>> {
    let ask = |act: &str, unconfined: bool| -> std::io::Result<Option<Answer>> {
        let mut command = Command::new(program);
        command.args(arguments.iter().filter(|argument| *argument != EXPLAIN));
        command.arg(format!("{ATTEMPT}={act}"));
        if unconfined {
            command.arg(UNCONFINED);
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).map(Answer))
    };
    acts()
        .map(|(act, about)| Ok(Tried { confined: ask(&act, false)?, free: ask(&act, true)?, act, about }))
        .collect()
}

/// What was tried as a table for a terminal.
pub fn table(tried: &[Tried]) -> String {
    let mut text =
        format!("{:<30} {:<36} {:<36} {}\n", "act", "confined", "unconfined", "it would be a way to");
    for Tried { act, about, confined, free } in tried {
        let answer =
            |answer: &Option<Answer>| answer.map_or_else(|| "ended by a signal".to_owned(), Answer::text);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{act:<30} {:<36} {:<36} {about}", answer(confined), answer(free));
    }
    text
}
