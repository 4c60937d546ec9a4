//! Stopping another process at its system calls: ptrace, for which the tree has no crate.

#![allow(
    unsafe_code,
    reason = "ptrace and its waiting have no safe interface among the crates that the tree has"
)]

use std::io::Error;

use rustix::io::Errno;

/// What a traced process has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The entry to a system call, or the exit from one.
    Call,
    /// A signal is about to reach it.
    Signal(i32),
    /// Something else of the tracer's own.
    Other,
    /// Its end.
    Ended,
}

/// A process whose calls are watched; by the thread that began it.
#[derive(Debug, Clone, Copy)]
pub struct Traced(libc::pid_t);

/// What the kernel adds to the stop signal of a system call, as it is asked to.
const CALL: i32 = libc::SIGTRAP | 0x80;

fn ask(request: libc::c_uint, pid: libc::pid_t, data: usize) -> Result<(), Errno> {
    // SAFETY: none of the requests below reads or writes memory of this process: their addresses are null, and their data
    // are numbers.
    match unsafe { libc::ptrace(request as _, pid, std::ptr::null_mut::<libc::c_void>(), data) } {
        -1 => Err(Errno::from_io_error(&Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}

impl Traced {
    /// Begins to watch a process, which stops.
    pub fn begin(pid: u32) -> Result<Self, Errno> {
        let pid = libc::pid_t::try_from(pid).map_err(|_| Errno::SRCH)?;
        ask(libc::PTRACE_SEIZE as _, pid, usize::try_from(libc::PTRACE_O_TRACESYSGOOD).unwrap_or(0))?;
        ask(libc::PTRACE_INTERRUPT as _, pid, 0)?;
        let this = Self(pid);
        this.wait()?;
        Ok(this)
    }

    /// Lets it run to its next stop, and passes a signal on to it.
    pub fn go_on(self, signal: i32) -> Result<Stop, Errno> {
        ask(libc::PTRACE_SYSCALL as _, self.0, usize::try_from(signal).unwrap_or(0))?;
        self.wait()
    }

    /// Waits for its next stop.
    pub fn wait(self) -> Result<Stop, Errno> {
        let mut status = 0;
        // SAFETY: the status is this function's own.
        if unsafe { libc::waitpid(self.0, &raw mut status, libc::__WALL) } == -1 {
            return Err(Errno::from_io_error(&Error::last_os_error()).unwrap_or(Errno::IO));
        }
        Ok(if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            Stop::Ended
        } else if status >> 16 != 0 {
            Stop::Other
        } else {
            match libc::WSTOPSIG(status) {
                CALL => Stop::Call,
                signal => Stop::Signal(signal),
            }
        })
    }
}
