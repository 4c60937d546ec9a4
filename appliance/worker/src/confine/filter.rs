//! The system-call filter: a list of what the mover needs; whatever is not on it is answered with "not permitted".

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::Failed;

/// Allowed with any arguments, and why.
const ALLOWED: &[(&[c_long], &str)] = &[
    (
        &[
            libc::SYS_read,
            libc::SYS_pread64,
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_close,
            libc::SYS_lseek,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_ftruncate,
            libc::SYS_flock,
            libc::SYS_fcntl,
        ],
        "files that are open",
    ),
    (
        &[
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_statx,
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_fstatfs,
            libc::SYS_getdents64,
            libc::SYS_renameat2,
            libc::SYS_renameat,
            libc::SYS_unlinkat,
            libc::SYS_fchmod,
            libc::SYS_utimensat,
            libc::SYS_flistxattr,
            libc::SYS_fgetxattr,
            libc::SYS_fsetxattr,
        ],
        "names, beneath the folders that the wall leaves in sight",
    ),
    (
        &[
            libc::SYS_accept4,
            libc::SYS_recvfrom,
            libc::SYS_sendmsg,
            libc::SYS_getsockopt,
            libc::SYS_shutdown,
            libc::SYS_pipe2,
            libc::SYS_ppoll,
        ],
        "the socket that was inherited, and pipes for what comes in",
    ),
    (
        &[
            libc::SYS_brk,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_madvise,
            libc::SYS_futex,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_sigaltstack,
            libc::SYS_restart_syscall,
            libc::SYS_sched_yield,
            libc::SYS_clock_gettime,
            libc::SYS_clock_nanosleep,
            libc::SYS_nanosleep,
            libc::SYS_getrandom,
            libc::SYS_getpid,
            libc::SYS_gettid,
            libc::SYS_dup3,
            libc::SYS_exit,
            libc::SYS_exit_group,
        ],
        "memory, time, signals and the end",
    ),
];

/// What the C library of this architecture uses in place of newer calls.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] =
    &[libc::SYS_open, libc::SYS_rename, libc::SYS_unlink, libc::SYS_poll, libc::SYS_dup2];
#[cfg(target_arch = "aarch64")]
const OLDER: &[c_long] = &[];

/// Allowed as long as one argument has a value under a mask: call, argument, mask, value, why.
const BOUNDED: &[(c_long, u8, u64, u64, &str)] = &[
    (libc::SYS_mmap, 2, libc::PROT_EXEC as u64, 0, "memory, but never to be run"),
    (libc::SYS_mprotect, 2, libc::PROT_EXEC as u64, 0, "memory, but never to be run"),
    (libc::SYS_sendto, 4, u64::MAX, 0, "sending to whom the socket is connected, and to no address"),
];

fn program() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    for call in ALLOWED.iter().flat_map(|(calls, _)| *calls).chain(OLDER) {
        rules.insert(*call, Vec::new());
    }
    for (call, argument, mask, value, _) in BOUNDED {
        let condition =
            SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(*mask), *value)?;
        rules.insert(*call, vec![SeccompRule::new(vec![condition])?]);
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    // An answer and not death: what was tried can then be told, and a library that asks for something else goes on.
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    Ok(SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture)?.try_into()?)
}

/// Sets the filter for this process, for good.
pub(super) fn apply() -> Result<(), Failed> {
    let failed = |error: seccompiler::Error| Failed::Filter(error.to_string());
    seccompiler::apply_filter(&program().map_err(failed)?).map_err(failed)
}
