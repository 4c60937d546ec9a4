//! Where the boot scripts load what, and proof that nothing overlaps: U-Boot checks little of it itself.
//!
//! Addresses come from a board's `[boot]` table, sizes from what the slot really holds. U-Boot's own habits
//! (how much it keeps for itself at the end of memory, into which window it moves an initramfs) belong to its build
//! and are listed here, by the name that it gives itself in `${board}`.

use std::ops::Range;

use stayput_health::Board;

use crate::kernel::Header;
use crate::{Error, MIB, Result};

/// Sizes of what a slot's script puts into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The kernel's header: it needs more memory than its file has bytes.
    pub kernel: Header,
    /// The Image as it is unpacked.
    pub kernel_unpacked: u64,
    /// `Image.gz`.
    pub kernel_compressed: u64,
    /// `initrd.zst`.
    pub initrd: u64,
    /// The board's device tree, 0 where the machine hands one over.
    pub dtb: u64,
    /// `slot.scr`.
    pub script: u64,
}

/// A U-Boot that we know, and what it does with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uboot {
    /// Debian's u-boot-sunxi for 64-bit boards.
    Sunxi,
    /// Debian's u-boot-qemu, qemu_arm64.
    QemuArm,
}

/// What U-Boot keeps at the end of memory: itself, its heap (64 MiB on sunxi), stack, frame buffer.
const UBOOT_KEEPS: u64 = 128 * MIB;
/// The most that it unpacks (CONFIG_SYS_BOOTM_LEN of both builds).
const BOOTM_LEN: u64 = 64 * MIB;
/// What fdt commands and U-Boot's own fix-ups may add to a device tree.
const FDT_GROWTH: u64 = 0x1_0000;
/// QEMU's own device tree says 1 MiB of itself, and `fdt move` wants more than that.
const QEMU_FDT: u64 = 0x11_0000;

impl Uboot {
    /// By the name in a board's `uboot_board`.
    pub fn of(board: &Board) -> Result<Self> {
        match board.boot.uboot_board.as_str() {
            "sunxi" => Ok(Self::Sunxi),
            "qemu-arm" => Ok(Self::QemuArm),
            other => fail(
                board,
                format!(
                    "uboot_board = \"{other}\" is not one whose memory habits are known (sunxi, qemu-arm)"
                ),
            ),
        }
    }

    /// Where this build moves initramfs and device tree to before it starts the kernel: the end of `bootm_size`, which
    /// only sunxi sets.
    fn window(self, usable: &Range<u64>) -> Range<u64> {
        match self {
            Self::Sunxi => usable.start..usable.end.min(usable.start + 0x0a00_0000),
            Self::QemuArm => usable.clone(),
        }
    }

    /// The room that a board's script gives the device tree (`fdt resize` adds it, `fdt move` takes it as a whole).
    pub(crate) fn fdt_room(self) -> u64 {
        match self {
            Self::Sunxi => FDT_GROWTH,
            Self::QemuArm => QEMU_FDT,
        }
    }
}

/// A piece of memory in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// What is there.
    pub what: &'static str,
    /// From where to where.
    pub range: Range<u64>,
}

/// The memory map of a board at the moment of `booti`, if nothing overlaps in it.
pub fn check(board: &Board, sizes: &Sizes) -> Result<Vec<Region>> {
    let (boot, uboot) = (&board.boot, Uboot::of(board)?);
    // booti unpacks Image.gz from `kernel` to `kernel_compressed` (U-Boot's kernel_comp_addr_r) and moves it back.
    if sizes.kernel_unpacked > boot.kernel_compressed_size.min(BOOTM_LEN) {
        return fail(
            board,
            format!(
                "the kernel has {} bytes unpacked, kernel_compressed_size is {} and U-Boot unpacks {BOOTM_LEN} at most",
                sizes.kernel_unpacked, boot.kernel_compressed_size
            ),
        );
    }
    // booti moves a kernel from elsewhere to the next such boundary, over whatever is there.
    if boot.kernel % (2 * MIB) != 0 {
        return fail(board, format!("kernel = {:#x} is not a multiple of 2 MiB", boot.kernel));
    }
    if boot.fdt % 8 != 0 {
        return fail(board, format!("fdt = {:#x} is not a multiple of 8", boot.fdt));
    }
    let fdt = match uboot {
        Uboot::Sunxi => sizes.dtb + uboot.fdt_room(),
        Uboot::QemuArm => uboot.fdt_room(),
    };
    // The kernel maps a device tree in one piece of at most 2 MiB.
    if fdt > 2 * MIB {
        return fail(board, format!("the device tree takes {fdt} bytes, the kernel takes 2 MiB at most"));
    }
    let region = |what, start: u64, length: u64| Region { what, range: start..start.saturating_add(length) };
    let mut map = vec![
        region("kernel", boot.kernel, sizes.kernel.image_size.max(sizes.kernel_compressed)),
        region("kernel_compressed", boot.kernel_compressed, boot.kernel_compressed_size),
        region("initrd", boot.initrd, sizes.initrd.next_multiple_of(4096)),
        region("fdt", boot.fdt, fdt),
        region("script", boot.script, sizes.script),
    ];
    if uboot == Uboot::QemuArm {
        map.push(region("QEMU's device tree", boot.ram_start, MIB));
    }
    map.sort_by_key(|region| region.range.start);
    let usable = boot.ram_start..(boot.ram_start + boot.ram_size_mib * MIB).saturating_sub(UBOOT_KEEPS);
    for region in &map {
        if region.range.start < usable.start || region.range.end > usable.end {
            return fail(
                board,
                format!(
                    "{} would lie at {}, usable is {} (U-Boot keeps the last {} MiB)",
                    region.what,
                    hex(&region.range),
                    hex(&usable),
                    UBOOT_KEEPS / MIB
                ),
            );
        }
    }
    for pair in map.windows(2) {
        if let [one, two] = pair
            && two.range.start < one.range.end
        {
            return fail(
                board,
                format!(
                    "{} at {} and {} at {} overlap",
                    one.what,
                    hex(&one.range),
                    two.what,
                    hex(&two.range)
                ),
            );
        }
    }
    check_window(board, uboot.window(&usable), &map, sizes.initrd, fdt)?;
    Ok(map)
}

/// U-Boot moves initramfs and device tree to the top of its window, around what it knows to be in use: the kernel and
/// the places they were loaded to.
fn check_window(board: &Board, window: Range<u64>, map: &[Region], initrd: u64, fdt: u64) -> Result<()> {
    let mut start = window.start;
    let mut largest = 0;
    for region in map.iter().filter(|region| ["kernel", "initrd", "fdt"].contains(&region.what)) {
        largest = largest.max(region.range.start.min(window.end).saturating_sub(start));
        start = start.max(region.range.end);
    }
    largest = largest.max(window.end.saturating_sub(start));
    if map.iter().any(|region| region.what == "kernel" && region.range.end > window.end) {
        return fail(board, format!("the kernel does not lie in U-Boot's boot window {}", hex(&window)));
    }
    // Both are aligned to pages, and U-Boot leaves a page between them.
    let needed = initrd.next_multiple_of(4096) + fdt.next_multiple_of(4096) + 3 * 4096;
    if needed > largest {
        return fail(
            board,
            format!(
                "U-Boot moves initramfs and device tree ({needed} bytes) into {}, whose largest gap is {largest} bytes",
                hex(&window)
            ),
        );
    }
    Ok(())
}

fn fail<T>(board: &Board, problem: String) -> Result<T> {
    Err(Error::Address { board: board.name.to_string(), problem })
}

fn hex(range: &Range<u64>) -> String {
    format!("{:#x}..{:#x}", range.start, range.end)
}
