//! The two system calls that no crate offers a safe way to: leases, and any call at all with arguments that do no harm.

#![allow(
    unsafe_code,
    reason = "fcntl's leases and raw system calls have no safe interface in any well-kept crate"
)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// `fcntl`'s command for a lease's signal, the same on every architecture that we have; libc lacks it.
const F_SETSIG: libc::c_int = 10;

/// What the kernel says to the wish for a read lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Nobody has the file open for writing; who wants to from now on waits until it is closed here.
    Taken,
    /// Somebody has it open for writing.
    Written,
    /// No leases here, or none on a file of another owner.
    Refused(Errno),
}

/// Takes a read lease on a file that is open for reading. Closing the file gives it up.
pub fn lease(file: BorrowedFd<'_>) -> Lease {
    // The default signal to a lease's holder would end the process; this one is ignored unless someone asked for it.
    // SAFETY: both calls take two numbers and no memory, on a descriptor that the borrow keeps open.
    let result = unsafe {
        match libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) {
            -1 => -1,
            _ => libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK),
        }
    };
    match result {
        -1 => match last_error() {
            Errno::AGAIN => Lease::Written,
            error => Lease::Refused(error),
        },
        _ => Lease::Taken,
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
