//! The few system calls that no well-kept crate offers a safe way to: leases, leaving a network, and forbidden calls for a try.

#![allow(unsafe_code, reason = "these calls have no safe interface in any well-kept crate")]

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

/// Moves this process into a network name space of its own, which is empty.
pub fn leave_network() -> Result<(), Errno> {
    // SAFETY: unshare is unsafe for what it may do to shared descriptors; this flag touches the network only.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
}

macro_rules! forbidden {
    ($($act:ident = $number:ident [$($argument:expr),*], $about:literal;)+) => {
        /// A system call that a mover must not be able to make, with arguments that do no harm even if it could.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Forbidden { $(#[doc = concat!("To ", $about, ".")] $act,)+ }

        impl Forbidden {
            /// Every call, with its name and what it would be good for.
            pub const ALL: &[(Self, &'static str, &'static str)] =
                &[$((Self::$act, stringify!($number), $about),)+];

            /// Makes the call and returns the kernel's answer.
            pub fn attempt(self) -> Result<(), Errno> {
                // SAFETY: the arguments are the table's and nobody else's. Their pointers are null and their descriptors
                // are none, so that the call is refused or does nothing to this process's memory.
                let result = unsafe {
                    match self {
                        $(Self::$act => libc::syscall(libc::$number $(, $argument as libc::c_long)*),)+
                    }
                };
                if result == -1 { Err(last_error()) } else { Ok(()) }
            }
        }
    };
}

forbidden! {
    Inet = SYS_socket [libc::AF_INET, libc::SOCK_STREAM, 0], "speak to the network";
    Inet6 = SYS_socket [libc::AF_INET6, libc::SOCK_DGRAM, 0], "speak to the network";
    Unix = SYS_socket [libc::AF_UNIX, libc::SOCK_STREAM, 0], "speak to other programs";
    Packet = SYS_socket [libc::AF_PACKET, libc::SOCK_RAW, 0], "speak to the network card";
    Netlink = SYS_socket [libc::AF_NETLINK, libc::SOCK_RAW, 0], "set up a network";
    Pair = SYS_socketpair [libc::AF_UNIX, libc::SOCK_STREAM, 0, 0], "make sockets";
    Connect = SYS_connect [-1, 0, 0], "connect a socket";
    Bind = SYS_bind [-1, 0, 0], "give a socket an address";
    Listen = SYS_listen [-1, 0], "listen";
    Uring = SYS_io_uring_setup [0, 0], "make calls that the filter does not see";
    Unshare = SYS_unshare [libc::CLONE_NEWUSER], "gain rights in a name space";
    Setns = SYS_setns [-1, 0], "enter another name space";
    Trace = SYS_ptrace [-1, 0, 0, 0], "steer another process";
    ReadOther = SYS_process_vm_readv [0, 0, 0, 0, 0, 0], "read another process's memory";
    WriteOther = SYS_process_vm_writev [0, 0, 0, 0, 0, 0], "write another process's memory";
    TakeDescriptor = SYS_pidfd_getfd [-1, 0, 0], "take another process's descriptor";
    Execute = SYS_execve [0, 0, 0], "become another program";
    ExecuteAt = SYS_execveat [-1, 0, 0, 0, 0], "become another program";
    Clone = SYS_clone3 [0, 0], "start a process";
    Kill = SYS_kill [0, 0], "signal other processes";
    Mount = SYS_mount [0, 0, 0, 0, 0], "mount";
    Unmount = SYS_umount2 [0, 0], "unmount";
    NewMount = SYS_fsopen [0, 0], "mount";
    Chroot = SYS_chroot [0], "change the root";
    Handle = SYS_open_by_handle_at [-1, 0, 0], "open a file without its path";
    Bpf = SYS_bpf [0, 0, 0], "load a program into the kernel";
    Perf = SYS_perf_event_open [0, 0, -1, -1, 0], "watch other processes";
    Faults = SYS_userfaultfd [0], "stop the kernel in the middle of a call";
    Keys = SYS_keyctl [0, 0, 0, 0, 0], "reach the kernel's keys";
    AddKey = SYS_add_key [0, 0, 0, 0, 0], "reach the kernel's keys";
    Module = SYS_init_module [0, 0, 0], "load a module";
    Reboot = SYS_reboot [0, 0, 0, 0], "restart the box";
    Clock = SYS_clock_settime [0, 0], "set the clock";
    Link = SYS_linkat [-1, 0, -1, 0, 0], "give a file a second name";
    Symlink = SYS_symlinkat [0, -1, 0], "make a link";
    Node = SYS_mknodat [-1, 0, 0, 0], "make a device";
    Owner = SYS_fchownat [-1, 0, 0, 0, 0], "give a file away";
    Memory = SYS_memfd_create [0, 0], "make a file that has no place";
    User = SYS_setuid [0], "become another user";
    Control = SYS_ioctl [-1, 0, 0], "control a device";
    Executable = SYS_mmap [0, 4096, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0],
        "run what was written into memory";
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
