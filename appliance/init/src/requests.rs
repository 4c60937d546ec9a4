//! Requests to the kernel that have no wrapper in a well-kept crate: the length of a partition, a device that nobody may
//! write to, and the growth of a mounted ext4. The one place of this program that is not checked by the compiler.

#![allow(unsafe_code, reason = "ioctl has no safe form; each request below names the kernel's own structure")]

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::mem::size_of;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `BLKPG` of `linux/blkpg.h`.
const BLKPG: Opcode = opcode::none(0x12, 105);

/// `BLKROSET` of `linux/fs.h`.
const BLKROSET: Opcode = opcode::none(0x12, 93);

/// `EXT4_IOC_RESIZE_FS` of `linux/ext4.h`.
const EXT4_IOC_RESIZE_FS: Opcode = opcode::write::<u64>(b'f', 16);

/// `BLKPG_RESIZE_PARTITION`.
const RESIZE_PARTITION: c_int = 3;

/// `struct blkpg_partition`; the names are not looked at.
#[repr(C)]
struct Partition {
    start: i64,
    length: i64,
    number: c_int,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct Order<'a> {
    what: c_int,
    flags: c_int,
    length: c_int,
    partition: &'a mut Partition,
}

/// Tells the kernel that partition `number` of `disk`, which begins at byte `start`, is `length` bytes long now. It may
/// be in use, and so may all others.
pub fn resize_partition(disk: &File, number: u8, start: u64, length: u64) -> io::Result<()> {
    let signed = |value: u64| i64::try_from(value).map_err(io::Error::other);
    let mut partition =
        Partition { start: signed(start)?, length: signed(length)?, number: number.into(), names: [0; 128] };
    let length = c_int::try_from(size_of::<Partition>()).map_err(io::Error::other)?;
    let order = Order { what: RESIZE_PARTITION, flags: 0, length, partition: &mut partition };
    // SAFETY: the opcode is BLKPG's, its argument the structure that the kernel reads, and both live until it returns.
    unsafe { ioctl(disk, Setter::<BLKPG, Order<'_>>::new(order)) }.map_err(io::Error::from)
}

/// Makes the kernel refuse every write to `device`, a file system's own included, until the next start.
pub fn make_read_only(device: &File) -> io::Result<()> {
    // SAFETY: the opcode is BLKROSET's, whose argument is a pointer to an int that the kernel reads.
    unsafe { ioctl(device, Setter::<BLKROSET, c_int>::new(1)) }.map_err(io::Error::from)
}

/// Grows the mounted ext4 of which `folder` is part to `blocks` blocks. Journalled: a power cut leaves the old size, the
/// new one, or one between.
pub fn resize_ext4(folder: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: the opcode is EXT4_IOC_RESIZE_FS's, whose argument is a pointer to a 64-bit number that the kernel reads.
    unsafe { ioctl(folder, Setter::<EXT4_IOC_RESIZE_FS, u64>::new(blocks)) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_shape() {
        assert_eq!(size_of::<Partition>(), 152);
        assert_eq!(size_of::<Order<'_>>(), 24);
        assert_eq!((BLKPG, BLKROSET, EXT4_IOC_RESIZE_FS), (0x1269, 0x125d, 0x4008_6610));
    }

    #[test]
    fn what_is_no_block_device_and_no_ext4_refuses() {
        let file = tempfile::tempfile().unwrap();
        assert!(resize_partition(&file, 4, 0, 512).is_err());
        assert!(resize_partition(&file, 4, u64::MAX, 512).is_err());
        assert!(make_read_only(&file).is_err());
        assert!(resize_ext4(&File::open("/proc").unwrap(), 1).is_err());
    }
}
