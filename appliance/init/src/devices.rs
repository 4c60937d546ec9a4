//! The mounts that need no disk, the root file system, and `/var` in memory.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use crate::error::Error;

/// What `statfs` says of the kernel's initramfs: ramfs, or tmpfs where the kernel has it.
const RAMFS: u64 = 0x8584_58f6;
const TMPFS: u64 = 0x0102_1994;

/// The folders of the initramfs that move over to the root file system.
pub const MOVED: [&str; 4] = ["dev", "proc", "sys", "run"];

/// Whether this process is the first, in an initramfs: anywhere else everything here would do harm.
pub fn is_first_program() -> bool {
    rustix::process::getpid().is_init() && is_in_memory(Path::new("/"))
}

/// Whether `path` lies on a file system that is only in memory.
pub fn is_in_memory(path: &Path) -> bool {
    let kind = rustix::fs::statfs(path).map(|found| u64::try_from(found.f_type).unwrap_or_default());
    matches!(kind, Ok(RAMFS | TMPFS))
}

/// Mounts what the kernel itself provides.
pub fn mount_own() -> Result<(), Error> {
    let safe = MountFlags::NOSUID | MountFlags::NOEXEC;
    // `/run` takes at most a fifth of memory, as systemd would have it. No `noexec`: the engine starts programs there.
    let rows: [(&str, &'static str, MountFlags, &CStr); 4] = [
        ("/dev", "devtmpfs", safe, c"mode=0755,size=4m,nr_inodes=64k"),
        ("/proc", "proc", safe | MountFlags::NODEV, c""),
        ("/sys", "sysfs", safe | MountFlags::NODEV, c""),
        ("/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755,size=20%"),
    ];
    for (at, kind, flags, data) in rows {
        let at = Path::new(at);
        let failed = |source| Error::Devices { kind, at: at.to_owned(), source };
        match fs::DirBuilder::new().mode(0o755).create(at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)));
            }
            _ => {}
        }
        mount(kind, at, kind, flags, data).map_err(failed)?;
    }
    Ok(())
}

/// The kernel command line; what is not UTF-8 in it cannot be ours.
pub fn command_line() -> Result<String, Error> {
    let bytes = fs::read("/proc/cmdline").map_err(Error::CommandLine)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Mounts the root file system.
pub fn mount_root(device: &Path, at: &Path) -> Result<(), Error> {
    let made = fs::create_dir_all(at);
    made.map_err(|source| Error::Prepare { action: "make", path: at.to_owned(), source })?;
    mount(device, at, "squashfs", MountFlags::RDONLY, c"")
        .map_err(|source| Error::Root { device: device.to_owned(), source })
}

/// Mounts an empty `/var` in memory: what must last is bound into it, the rest is made by tmpfiles.
pub fn mount_var(root: &Path) -> Result<(), Error> {
    let at = root.join("var");
    mount("tmpfs", &at, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755,size=64m")
        .map_err(|source| Error::Prepare { action: "mount memory on", path: at, source: source.into() })
}
