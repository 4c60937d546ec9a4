//! `worker both`: the two halves as two processes of two users in one container; if one ends, the other is ended as well.
//!
//! Nothing is restarted here: whoever started the container sees it end, with the code of the half that ended first, and
//! starts it again. Orders and files stand that at any moment.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::mover::WEAKER;
use super::{fail, misused, no_arguments};
use crate::station::{self, Station};
use crate::variables::{self, Variables};
use crate::{Error, Exit, Result};

/// How long the mover may take to end; it has no work that it could not leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// The job.
pub fn main(variables: &Variables, arguments: &[OsString]) -> ExitCode {
    if let Err(error) = no_arguments(arguments) {
        return misused(&error);
    }
    match run(variables) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn run(variables: &Variables) -> Result<ExitCode> {
    let station = Station::read(variables)?;
    let (mover, courier) = (mover_uid(&station, variables)?, station.peer.uid);
    if !rustix::process::geteuid().is_root() || mover == courier {
        return Err(Error::OneUser { mover, courier });
    }
    station.make_folders(Some(mover))?;
    if let Some(folder) = station.socket.parent() {
        // If it cannot be made, the socket's own error says so with its path.
        let _ = std::fs::create_dir_all(folder);
    }
    let listener = station::bind(&station.socket)?;
    let failed = |source| Error::Signals { source };
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD]).map_err(failed)?;
    let mut halves = Halves {
        mover: start_mover(mover, listener)?,
        courier: start("courier", courier, Stdio::null())?.spawn().map_err(not_started("courier"))?,
    };
    loop {
        for signal in signals.wait() {
            if signal != SIGCHLD {
                return Ok(halves.stop());
            }
        }
        if let Some(code) = halves.ended() {
            halves.stop();
            return Ok(code);
        }
    }
}

/// Who the mover runs as: who owns the files already, unless the variables say otherwise. Not root, unless they say so.
fn mover_uid(station: &Station, variables: &Variables) -> Result<u32> {
    if let Some(uid) = variables.parse(&variables::MOVER_UID, |text| text.parse::<u32>().ok())? {
        return Ok(uid);
    }
    let path = station.source.clone();
    match std::fs::metadata(&path) {
        Ok(found) if found.uid() == 0 => Err(Error::RootMover { path }),
        Ok(found) => Ok(found.uid()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(station::MOVER),
        Err(source) => Err(Error::NoFolder { path, source }),
    }
}

/// This program again, as one half and one user, with the worker's own variables only.
fn start(half: &'static str, uid: u32, input: Stdio) -> Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    // As this one was started: through the box's program, or by itself.
    let before = std::env::args_os().count().saturating_sub(1);
    command.args(std::env::args_os().take(before).skip(1)).arg(half);
    command.uid(uid).gid(uid).stdin(input);
    Ok(command)
}

fn start_mover(uid: u32, listener: OwnedFd) -> Result<Child> {
    let mut command = start("mover", uid, Stdio::from(listener))?;
    command.arg(WEAKER).stdout(Stdio::null()).env_clear();
    // No credentials, and whatever else the container was given for the other half.
    command
        .envs(variables::TABLE.iter().filter_map(|known| Some((known.name, std::env::var_os(known.name)?))));
    command.spawn().map_err(not_started("mover"))
}

fn not_started(half: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::NotStarted { half, source }
}

struct Halves {
    mover: Child,
    courier: Child,
}

impl Halves {
    /// The code of a half that has ended, if one has.
    fn ended(&mut self) -> Option<ExitCode> {
        for half in [&mut self.mover, &mut self.courier] {
            if let Ok(Some(status)) = half.try_wait() {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Some(ExitCode::from(code.unwrap_or(Exit::Wrong as u8)));
            }
        }
        None
    }

    /// Ends both: first the courier, which finishes or gives back what it has, for as long as whoever stops this allows.
    fn stop(&mut self) -> ExitCode {
        let _ = kill_process(Pid::from_child(&self.courier), Signal::TERM);
        let _ = self.courier.wait();
        let _ = kill_process(Pid::from_child(&self.mover), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.mover.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // At worst it is killed, which costs nothing but a look at its log at the next start.
        let _ = self.mover.kill();
        let _ = self.mover.wait();
        Exit::Fine.into()
    }
}
