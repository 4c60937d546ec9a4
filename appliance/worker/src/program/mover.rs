//! `worker mover`: takes its socket, gives up everything else, and serves its courier until it is told to stop.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, openat};
use signal_hook::consts::{SIGINT, SIGTERM};
use stayput_health::Code;

use super::notify::Notifier;
use super::{fail, misused};
use crate::confine::attempts::{self, ATTEMPT, EXPLAIN, UNCONFINED};
use crate::confine::{self, Confinement, Paths};
use crate::disk::{Linux, LinuxFolder};
use crate::report::{Reporter, Separation};
use crate::server::{Notice, serve};
use crate::station::Station;
use crate::variables::Variables;
use crate::{Error, Exit, Mover, Result};

/// What the command line asks for.
#[derive(Debug, Default)]
struct Asked {
    explain: bool,
    attempt: Option<String>,
    unconfined: bool,
    weaker: bool,
}

/// The option by which `both` starts its mover.
pub(super) const WEAKER: &str = "--weaker-separation";

/// The job.
pub fn main(variables: &Variables, arguments: &[OsString]) -> ExitCode {
    let asked = match Asked::read(arguments) {
        Ok(asked) => asked,
        Err(error) => return misused(&error),
    };
    let station = match Station::read(variables) {
        Ok(station) => station,
        Err(error) => return fail(&error),
    };
    if asked.explain {
        // Each attempt opens the folders; one that is not there is said once, and not as an answer of the kernel.
        return match station.folders() {
            Ok(_) => explain(),
            Err(error) => fail(&error),
        };
    }
    if let Some(act) = &asked.attempt {
        if !asked.unconfined
            && let Err(error) = station.folders().and_then(|folders| give_up(&folders, &station))
        {
            return fail(&error);
        }
        return attempts::attempt(act);
    }
    let separation = if asked.weaker { Separation::Weaker } else { Separation::Own };
    let mut reporter = Reporter::new(&station.health, separation);
    match work(&station, &mut reporter) {
        Ok(exit) => exit.into(),
        Err(error) => {
            reporter.failed(code_of(&error));
            fail(&error)
        }
    }
}

impl Asked {
    fn read(arguments: &[OsString]) -> std::result::Result<Self, lexopt::Error> {
        use lexopt::ValueExt;
        let mut asked = Self::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            let lexopt::Arg::Long(name) = argument else { return Err(argument.unexpected()) };
            match name {
                name if name == &EXPLAIN[2..] => asked.explain = true,
                name if name == &UNCONFINED[2..] => asked.unconfined = true,
                name if name == &WEAKER[2..] => asked.weaker = true,
                name if name == &ATTEMPT[2..] => asked.attempt = Some(parser.value()?.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(asked)
    }
}

fn work(station: &Station, reporter: &mut Reporter) -> Result<Exit> {
    station.make_folders(None)?;
    let folders = station.folders()?;
    let listener = station.listener()?;
    let notifier = Notifier::of_process();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // Only signals that cannot be caught are refused.
        let _ = signal_hook::flag::register(signal, Arc::clone(&stop));
    }
    let nowhere = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok();
    reporter.confined(give_up(&folders, station)?);

    let [source, destination, log] = folders;
    let mut mover = Mover::open(Linux, source, destination, log, station.settings.clone())?;
    // From here on this process knows names, and has nobody to tell them to.
    silence(nowhere);
    reporter.look(&mut mover);
    notifier.ready();
    let mut seconds = Seconds::default();
    serve(&listener, &mut mover, station.peer, |mover, notice| {
        if notice != Notice::Tick || seconds.is_next() {
            reporter.look(mover);
            notifier.alive();
        }
        // A mover that stopped itself ends, so that its next start reads what the disk holds.
        !stop.load(Ordering::Relaxed) && !mover.is_stopped()
    })?;
    if mover.is_stopped() {
        reporter.failed(Code::StorageFault);
        return Ok(Exit::Wrong);
    }
    reporter.stopped();
    Ok(Exit::Fine)
}

/// Confines this process to its folders.
fn give_up(folders: &[LinuxFolder; 3], station: &Station) -> Result<Confinement> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let health = openat(CWD, &station.health, flags, Mode::empty()).ok();
    let [source, destination, log] = folders;
    let own = std::iter::once(log.as_fd()).chain(health.as_ref().map(AsFd::as_fd)).collect();
    let paths = Paths { files: vec![source.as_fd(), destination.as_fd()], own };
    Ok(confine::confine(&paths)?)
}

/// Leads all three standard streams to nowhere: what a mover could say there would leave the box with a container's log.
fn silence(nowhere: Option<OwnedFd>) {
    let Some(nowhere) = nowhere else { return };
    let _ = rustix::stdio::dup2_stdin(&nowhere);
    let _ = rustix::stdio::dup2_stdout(&nowhere);
    let _ = rustix::stdio::dup2_stderr(&nowhere);
}

fn explain() -> ExitCode {
    // As it was started: through the box's program, or by itself.
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match attempts::all(std::path::Path::new("/proc/self/exe"), &arguments) {
        Ok(tried) => {
            print!("{}", attempts::table(&tried));
            let allowed = tried.iter().filter(|tried| !tried.is_refused()).count();
            println!("{} acts tried, {allowed} not refused", tried.len());
            if allowed == 0 { Exit::Fine.into() } else { Exit::Wrong.into() }
        }
        Err(error) => {
            eprintln!("could not start a process to try it in: {error}");
            Exit::Unconfined.into()
        }
    }
}

/// The state that a mover shows which does not start.
fn code_of(error: &Error) -> Code {
    match error {
        Error::Folder { .. } | Error::NoFolder { .. } => Code::DataMissing,
        Error::Log { .. } | Error::Damaged { .. } | Error::Recovery { .. } => Code::StorageFault,
        _ => Code::PartFailed,
    }
}

/// Tells seconds apart, so that a busy mover does not report after each request.
#[derive(Debug, Default)]
struct Seconds(i64);

impl Seconds {
    fn is_next(&mut self) -> bool {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
        std::mem::replace(&mut self.0, now) != now
    }
}
