//! Boot scripts: text with `@NAMES@` filled in from the tables, wrapped as U-Boot's legacy script image.
//!
//! Every name in a text must have a value and every value of a board must be used: a script that says less than the
//! tables is as wrong as one that says more. Lines of comment stay on the desk.

use std::collections::{BTreeMap, BTreeSet};

use stayput_health::{Board, RESTART_AFTER, Verity, verity};
use stayput_slots::{BootState, TRIES, WATCHDOG_OPENED_WITHIN};

use crate::addresses::Uboot;
use crate::{Error, Layout, Result, SECTOR};

/// Values by the names that a script calls them.
pub type Values = BTreeMap<String, String>;

/// A board's own part of a slot's script.
#[derive(Debug, Clone, Copy)]
pub struct BoardScript<'a> {
    /// The board's data.
    pub board: &'a Board,
    /// Where `text` was read, for messages: `board/<name>/slot.cmd`.
    pub file: &'a str,
    /// The text.
    pub text: &'a str,
}

/// The text of `boot.scr`: `board/loader.cmd` with what a board has to do first, under a test for that board's U-Boot.
pub fn loader(file: &str, text: &str, boards: &[BoardScript<'_>], layout: &Layout) -> Result<String> {
    let mut values = Values::new();
    values.insert("BOARDS".into(), under_tests(boards, |_| Ok(Values::new()))?);
    values.insert("STATE".into(), BootState::NAMES.join(" "));
    values.insert("TRIES".into(), format!("{TRIES:x}"));
    let state = layout.partition("boot-state")?.start;
    for (name, copy) in [("COPY_0", 0), ("COPY_1", 1)] {
        values.insert(name.into(), format!("{:x}", (state + layout.boot_state().copies[copy]) / SECTOR));
    }
    for (name, partition) in [("BOOT_A", "boot-a"), ("BOOT_B", "boot-b")] {
        // U-Boot reads partition numbers as hexadecimal.
        values.insert(name.into(), format!("{:x}", layout.partition(partition)?.number));
    }
    fill(file, text, &values)
}

/// What a slot's script fits, and nothing else: one root file system and the files that it loads.
#[derive(Debug, Clone, Copy)]
pub struct Fits<'a> {
    /// The root file system, named by its root hash.
    pub root: &'a Verity,
    /// The files of the slot's boot partition by their names, named in the script by their checksums.
    pub files: &'a BTreeMap<String, Vec<u8>>,
}

/// The kernel in a slot's boot partition.
pub const KERNEL: &str = "Image.gz";
/// The initramfs there.
pub const INITRD: &str = "initrd.zst";

/// The text of `slot.scr`: `board/slot.cmd` with a part for each board, under a test for that board's U-Boot.
pub fn slot(
    file: &str,
    text: &str,
    boards: &[BoardScript<'_>],
    layout: &Layout,
    fits: Fits<'_>,
) -> Result<String> {
    let mut values = Values::new();
    for (name, partition) in [("ROOT_A", "root-a"), ("ROOT_B", "root-b")] {
        values.insert(name.into(), layout.partition(partition)?.number.to_string());
    }
    values.insert("BOARDS".into(), under_tests(boards, |board| board_values(board, layout, fits.files))?);
    values.insert("VERITY".into(), fits.root.to_string());
    fill(file, text, &values)
}

/// The boards' parts, each under a test for the name that the board's U-Boot gives itself.
fn under_tests(boards: &[BoardScript<'_>], values: impl Fn(&Board) -> Result<Values>) -> Result<String> {
    let mut parts = String::new();
    let mut uboots = BTreeSet::new();
    for part in boards {
        let name = &part.board.boot.uboot_board;
        if !uboots.insert(name) {
            return Err(Error::Script {
                script: part.file.to_owned(),
                line: 0,
                problem: format!("another board of this image is \"{name}\" to its U-Boot too"),
                remedy: "build an image of its own for one of them".into(),
            });
        }
        let body = fill(part.file, part.text, &values(part.board)?)?;
        parts.push_str(&format!("if test \"${{board}}\" = \"{name}\"; then\n{body}fi\n"));
    }
    Ok(parts.trim_end().to_owned())
}

/// The root file system that a `slot.scr` fits: the one value of its `stayput_verity`, none where there is no such line
/// or more than one.
pub fn root_of_slot(script: &[u8]) -> Option<Verity> {
    let text = String::from_utf8_lossy(script);
    let mut values = text.split("setenv stayput_verity ").skip(1).filter_map(|rest| rest.lines().next());
    let only = values.next()?;
    if values.next().is_some() { None } else { only.parse().ok() }
}

/// The kernel's command line, with U-Boot's variables for what the slot decides.
pub fn command_line(board: &Board, layout: &Layout) -> Result<String> {
    let number = |name| Ok::<_, Error>(u64::from(layout.partition(name)?.number));
    let slots = [number("boot-a")?, number("root-a")?, number("boot-b")?, number("root-b")?];
    let own: String = board.boot.arguments.iter().map(|argument| format!(" {argument}")).collect();
    Ok(format!(
        "console={} audit=0 panic={} stayput.slot=${{stayput_slot}} stayput.disk={} stayput.root=${{stayput_root}} \
         {}=${{stayput_verity}} stayput.state={} stayput.data={} stayput.marks={} stayput.marks_at={} \
         stayput.why=${{stayput_why}} stayput.generation=${{stayput_generation}} stayput.slots={} \
         stayput.copies_at={} stayput.notes_at={} watchdog.open_timeout={}{own}",
        board.console,
        RESTART_AFTER.as_secs(),
        layout.disk_id_hex(),
        verity::ARGUMENT,
        layout.partition("state")?.number,
        layout.partition("data")?.number,
        layout.boot_state().number,
        layout.boot_state().marks,
        list(slots),
        list(layout.boot_state().copies),
        list(layout.boot_state().notes),
        WATCHDOG_OPENED_WITHIN.as_secs(),
    ))
}

/// Numbers with commas between.
fn list<const COUNT: usize>(numbers: [u64; COUNT]) -> String {
    numbers.map(|number| number.to_string()).join(",")
}

/// Everything that a board's part may, and must, mention.
fn board_values(board: &Board, layout: &Layout, files: &BTreeMap<String, Vec<u8>>) -> Result<Values> {
    let (boot, uboot) = (&board.boot, Uboot::of(board)?);
    let mut values = Values::new();
    let mut set = |name: &str, value: String| values.insert(name.to_owned(), value);
    set("CMDLINE", command_line(board, layout)?);
    set("KERNEL", format!("{:#x}", boot.kernel));
    set("KERNEL_UNPACK", format!("{:#x}", boot.kernel_compressed));
    set("INITRD", format!("{:#x}", boot.initrd));
    set("FDT", format!("{:#x}", boot.fdt));
    set("FDT_ROOM", format!("{:#x}", uboot.fdt_room()));
    let dtb = dtb_name(board);
    for (name, file) in [("KERNEL", Some(KERNEL)), ("INITRD", Some(INITRD)), ("DTB", dtb.as_deref())] {
        let Some(file) = file else { continue };
        let missing = || Error::Script {
            script: file.to_owned(),
            line: 0,
            problem: "the slot's script loads it, and the slot has no such file".into(),
            remedy: "add it to the slot's files before its script is written".into(),
        };
        set(&format!("{name}_SUM"), sums(files.get(file).ok_or_else(missing)?));
    }
    if let Some(dtb) = dtb {
        set("DTB", dtb);
    }
    for led in board.leds.iter().filter(|led| !led.builtin) {
        set(&format!("LED_{}", upper(&led.name)), cells(uboot, led.line, flags(led.active_low, false)));
    }
    // A key that the machine's own device tree has needs no node of ours.
    for key in board.keys.iter().filter(|_| uboot == Uboot::Sunxi) {
        set(&format!("KEY_{}", upper(&key.name)), cells(uboot, key.line, flags(false, true)));
        set(&format!("KEY_{}_CODE", upper(&key.name)), format!("{:#x}", key.code));
    }
    Ok(values)
}

/// The board's device tree as it lies in the slot: its file name without the folders of the kernel package.
pub fn dtb_name(board: &Board) -> Option<String> {
    let path = board.boot.dtb.as_ref()?.to_string();
    Some(path.rsplit('/').next().unwrap_or(&path).to_owned())
}

/// A file's checksum as U-Boot's `crc32` leaves it in memory: in the network's byte order in most builds, in the
/// processor's in the smallest ones. `itest.l` reads either as the processor does.
fn sums(bytes: &[u8]) -> String {
    let sum = crc32fast::hash(bytes);
    format!("{:#x} {sum:#x}", sum.swap_bytes())
}

/// `GPIO_ACTIVE_LOW` and `GPIO_PULL_DOWN` of the device-tree bindings.
fn flags(active_low: bool, pull_down: bool) -> u32 {
    u32::from(active_low) | if pull_down { 0x20 } else { 0 }
}

/// A line in its chip's own cells. With 0x everywhere: U-Boot guesses the base of a bare number by its digits.
fn cells(uboot: Uboot, line: u32, flags: u32) -> String {
    match uboot {
        // Bank, pin, flags; a bank has 32 pins.
        Uboot::Sunxi => format!("{:#x} {:#x} {flags:#x}", line / 32, line % 32),
        Uboot::QemuArm => format!("{line:#x} {flags:#x}"),
    }
}

fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Fills `@NAMES@`, drops comments and empty lines. An unknown name and an unused value are errors.
pub fn fill(file: &str, text: &str, values: &Values) -> Result<String> {
    let fault = |line: usize, problem: String, remedy: &str| Error::Script {
        script: file.to_owned(),
        line,
        problem,
        remedy: remedy.to_owned(),
    };
    let mut out = String::new();
    let mut used = BTreeSet::new();
    for (number, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(bad) = line.chars().find(|c| !c.is_ascii() || (c.is_ascii_control() && *c != '\t')) {
            return Err(fault(
                number,
                format!("character {bad:?} is not plain ASCII"),
                "U-Boot reads ASCII only: replace it",
            ));
        }
        if line.trim_start().starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let mut rest = line;
        while let Some(at) = rest.find('@') {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            match name(&after[1..]) {
                None => {
                    out.push('@');
                    rest = &after[1..];
                }
                Some(name) => {
                    let Some(value) = values.get(name) else {
                        let known = values.keys().cloned().collect::<Vec<_>>().join(", ");
                        return Err(fault(
                            number,
                            format!("@{name}@ has no value"),
                            &format!("known here: {known}"),
                        ));
                    };
                    used.insert(name);
                    out.push_str(value);
                    rest = &after[name.len() + 2..];
                }
            }
        }
        out.push_str(rest);
        out.push('\n');
    }
    if let Some(unused) = values.keys().find(|name| !used.contains(name.as_str())) {
        let problem = format!("@{unused}@ is never used");
        return Err(fault(0, problem, "use it, or remove it from the board's table"));
    }
    Ok(out)
}

/// The name in front of the next '@', if this is one: device-tree paths have an '@' too, but lower-case digits.
fn name(text: &str) -> Option<&str> {
    let name = &text[..text.find('@')?];
    let right = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    right.then_some(name)
}

const MAGIC: u32 = 0x2705_1956;
const LINUX: u8 = 5;
const ARM64: u8 = 22;
const SCRIPT: u8 = 6;

/// A text as U-Boot's legacy script image: what `mkimage -A arm64 -T script -C none` writes, at the epoch's first second.
pub fn image(name: &str, text: &str) -> Result<Vec<u8>> {
    let refuse = |problem: &str| Error::Script {
        script: name.to_owned(),
        line: 0,
        problem: problem.to_owned(),
        remedy: "write a script of plain ASCII lines".into(),
    };
    if text.trim().is_empty() {
        return Err(refuse("it is empty"));
    }
    if !text.is_ascii() || text.contains('\0') || text.contains('\r') {
        return Err(refuse("it holds bytes that are not plain ASCII lines"));
    }
    let length = u32::try_from(text.len()).map_err(|_| refuse("it is larger than 4 GiB"))?;
    // A list of the lengths of the texts, closed by 0; then the texts.
    let mut data = Vec::with_capacity(text.len() + 8);
    data.extend(length.to_be_bytes());
    data.extend([0; 4]);
    data.extend(text.as_bytes());
    let mut header = [0u8; 64];
    header[..4].copy_from_slice(&MAGIC.to_be_bytes());
    header[12..16].copy_from_slice(&(data.len() as u32).to_be_bytes());
    header[24..28].copy_from_slice(&crc32fast::hash(&data).to_be_bytes());
    header[28..32].copy_from_slice(&[LINUX, ARM64, SCRIPT, 0]);
    // 32 bytes with a NUL at the end.
    for (place, byte) in header[32..63].iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    let sum = crc32fast::hash(&header);
    header[4..8].copy_from_slice(&sum.to_be_bytes());
    let mut out = header.to_vec();
    out.extend(data);
    Ok(out)
}
