//! One QEMU process: alone in a network namespace with loopback, ended with us whatever happens to us.

use crate::error::{Error, Result, file, start};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Names the network name space that a program has entered by [`enter_private_network`].
const PRIVATE: &str = "STAYPUT_PRIVATE_NETWORK";
/// Raises loopback in the new name space and says which it is, then becomes the program.
const ENTER: &str =
    r#"ip link set lo up && export STAYPUT_PRIVATE_NETWORK="$(readlink /proc/self/ns/net)" && exec "$@""#;

/// Goes on in a network of its own, with loopback and nothing else; the machines that this program starts from then on share
/// it. For the beginning of a program, which it starts once more with the same arguments.
pub fn enter_private_network() -> Result<()> {
    if in_private_network() {
        return Ok(());
    }
    let me = std::env::current_exe().map_err(file("find", "this program"))?;
    let mut command = privately()?;
    command.arg(me).args(std::env::args_os().skip(1));
    Err(start("unshare", "util-linux")(command.exec()))
}

/// What was inherited from a parent counts only where it is still true.
fn in_private_network() -> bool {
    let here = std::fs::read_link("/proc/self/ns/net").map(std::path::PathBuf::into_os_string);
    matches!((std::env::var_os(PRIVATE), here), (Some(said), Ok(here)) if said == here)
}

/// The beginning of a command line that is to run in a new network.
fn privately() -> Result<Command> {
    require(OsStr::new("unshare"), "util-linux")?;
    require(OsStr::new("ip"), "iproute2")?;
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        // A user namespace gives the right to make the other one.
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--", "sh", "-c", ENTER, "sh"]).env("PATH", path());
    Ok(command)
}

/// A running program of the host.
#[derive(Debug)]
pub struct Process {
    /// Refers to this very process, even after its number was given to another.
    handle: OwnedFd,
    pid: u32,
    ended: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
    keeper: Option<JoinHandle<()>>,
}

/// Where its standard streams go.
#[derive(Debug)]
pub enum Streams<'a> {
    /// Nothing in, everything else into this log; a process group of its own, so that Ctrl-C reaches us alone.
    Log(&'a Path),
    /// Ours: the terminal and its Ctrl-C.
    Inherited,
}

impl Process {
    /// Starts `program` with `arguments` in a network of its own, or in that of this program where it has entered one. The
    /// kernel ends it when its parent ends.
    pub fn start(program: &OsStr, arguments: &[OsString], streams: &Streams<'_>) -> Result<Self> {
        require(program, "qemu-system-arm")?;
        require(OsStr::new("setpriv"), "util-linux")?;
        let mut command = if in_private_network() {
            Command::new("setpriv")
        } else {
            let mut command = privately()?;
            command.arg("setpriv");
            command
        };
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments).env("PATH", path());
        if let Streams::Log(log) = streams {
            let log = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .map_err(file("open", *log))?;
            let copy = log.try_clone().map_err(file("copy", "QEMU's log"))?;
            command.stdin(Stdio::null()).stdout(copy).stderr(log).process_group(0);
        }
        Self::spawn(command)
    }

    /// The kernel's "end it with its parent" means the parent *thread*, and a test's thread may end before the
    /// machine does. So each process has a thread that starts it, waits for it and does nothing else.
    fn spawn(mut command: Command) -> Result<Self> {
        let ended: Arc<(Mutex<Option<ExitStatus>>, Condvar)> = Arc::default();
        let (send, started) = mpsc::sync_channel(1);
        let for_keeper = Arc::clone(&ended);
        let keeper = std::thread::spawn(move || {
            let begin = |command: &mut Command| -> std::io::Result<(Child, OwnedFd)> {
                let child = command.spawn()?;
                let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
                Ok((child, handle))
            };
            let mut child = match begin(&mut command) {
                Ok((child, handle)) => {
                    let _ = send.send(Ok((child.id(), handle)));
                    child
                }
                Err(error) => {
                    let _ = send.send(Err(error));
                    return;
                }
            };
            if let Ok(status) = child.wait() {
                *for_keeper.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                for_keeper.1.notify_all();
            }
        });
        let (pid, handle) = started
            .recv()
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread that starts it ended")))
            .map_err(start("unshare", "util-linux"))?;
        Ok(Self { handle, pid, ended, keeper: Some(keeper) })
    }

    /// Its process id, for `nsenter`.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        *self.ended.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at most that long for its end.
    pub fn wait(&self, longest: Duration) -> Option<ExitStatus> {
        let ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.1.wait_timeout_while(ended, longest, |status| status.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        // An error says that it is gone already.
        let _ = pidfd_send_signal(&self.handle, Signal::TERM);
    }

    /// Ends it at once, as pulling the plug does, and waits until it is gone.
    pub fn kill(&mut self) {
        // An error says that it is gone already.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `ip` lives in a directory that not every user's path has.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/sbin:/sbin");
    path
}

/// A missing program is named with its package, before a shell names it without.
pub fn require(program: &OsStr, package: &'static str) -> Result<()> {
    let found = if program.as_encoded_bytes().contains(&b'/') {
        Path::new(program).is_file()
    } else {
        std::env::split_paths(&path()).any(|directory| directory.join(program).is_file())
    };
    if found {
        Ok(())
    } else {
        Err(Error::Missing { program: program.to_string_lossy().into_owned(), package })
    }
}

/// Runs a short host tool and returns what it says on its standard output.
pub fn tool(command: &mut Command, package: &'static str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(start(&program, package))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Tool { program, status: output.status, message });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    #[test]
    fn a_process_ends_with_its_handle_even_if_it_would_sleep_on() {
        let process = Process::spawn(command("sleep", &["600"])).unwrap();
        let pid = process.pid();
        assert_eq!(process.ended(), None);
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn how_it_ended_is_known_without_asking_in_time() {
        let process = Process::spawn(command("sh", &["-c", "exit 7"])).unwrap();
        assert_eq!(process.wait(Duration::from_secs(60)).unwrap().code(), Some(7));
        assert_eq!(process.ended().unwrap().code(), Some(7));
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = require(OsStr::new("qemu-system-none"), "qemu-system-arm").unwrap_err().to_string();
        assert!(
            error.contains("qemu-system-none") && error.contains("apt install qemu-system-arm"),
            "{error}"
        );
        assert!(require(OsStr::new("/nonexistent/qemu"), "x").is_err());
        require(OsStr::new("sh"), "dash").unwrap();
    }

    #[test]
    fn a_tool_that_fails_is_quoted() {
        let error =
            tool(&mut command("sh", &["-c", "echo no room >&2; exit 3"]), "dash").unwrap_err().to_string();
        assert!(error.contains("no room") && error.contains('3'), "{error}");
    }
}
