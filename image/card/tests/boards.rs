//! The boards of the tree: their scripts fill, their addresses do not collide, and each way to get that wrong is refused.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic, and so may what tests share")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stayput_card::addresses::{self, Sizes};
use stayput_card::kernel::Header;
use stayput_card::{Error, Layout, script};
use stayput_health::{Board, Verity};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn layout() -> Layout {
    Layout::load(&root().join("image/card.toml")).unwrap()
}

fn board(name: &str) -> Board {
    Board::load(&root().join("board").join(name).join("board.toml")).unwrap()
}

/// Debian's 6.12.117 and an initramfs five times ours.
fn sizes() -> Sizes {
    Sizes {
        kernel: Header { image_size: 0x250_0000, text_offset: 0, flags: 0xa },
        kernel_unpacked: 37_732_288,
        kernel_compressed: 13_712_470,
        initrd: 16 << 20,
        dtb: 21_915,
        script: 4_000,
    }
}

fn slot(names: &[&str]) -> Result<String, Error> {
    let boards: Vec<_> = names.iter().map(|name| (board(name), format!("board/{name}/slot.cmd"))).collect();
    let texts: Vec<_> = boards.iter().map(|(_, file)| read(file)).collect();
    let scripts: Vec<_> = boards
        .iter()
        .zip(&texts)
        .map(|((board, file), text)| script::BoardScript { board, file, text })
        .collect();
    let (root, files) = (verity(), files());
    let fits = script::Fits { root: &root, files: &files };
    script::slot("board/slot.cmd", &read("board/slot.cmd"), &scripts, &layout(), fits)
}

/// What lies in a slot's boot partition. The checksum of "123456789" is the one that every table of CRCs prints.
fn files() -> BTreeMap<String, Vec<u8>> {
    let names = [script::KERNEL, script::INITRD, "sun50i-h5-nanopi-neo2.dtb"];
    names.map(|name| (name.to_owned(), b"123456789".to_vec())).into()
}

fn verity() -> Verity {
    Verity::new(13_870, [0xab; 32]).unwrap()
}

#[test]
fn the_slots_script_serves_both_boards_with_the_tables_numbers() {
    let text = slot(&["nanopi-neo2", "qemu-virt"]).unwrap();
    assert!(!text.contains('#') && !text.lines().any(|line| line.trim().is_empty()), "{text}");
    for part in [
        "if test \"${board}\" = \"sunxi\"; then",
        "if test \"${board}\" = \"qemu-arm\"; then",
        "setenv stayput_root 7",
        "console=ttyS0,115200 audit=0 panic=10 stayput.slot=${stayput_slot} stayput.disk=53544159 \
         stayput.root=${stayput_root} stayput.verity=${stayput_verity} stayput.state=10 stayput.data=4 stayput.marks=5 \
         stayput.marks_at=8388608 stayput.why=${stayput_why} stayput.generation=${stayput_generation} \
         stayput.slots=6,7,8,9 stayput.copies_at=0,4194304 stayput.notes_at=2097152,6291456 \
         watchdog.open_timeout=600 kpti=off",
        "console=ttyAMA0 audit=0",
        "booti 0x40200000 0x4ff00000:${stayput_initrd} 0x4fa00000",
        // PG11, PA6, PA1; PA0, PA2, PA3 pulled down.
        "gpios <${stayput_pio} 0x6 0xb 0x0>",
        "gpios <${stayput_pio} 0x0 0x6 0x0>",
        "gpios <${stayput_pio} 0x0 0x1 0x0>",
        "gpios <${stayput_pio} 0x0 0x3 0x20>",
        "linux,code <0x3d>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let words = |wanted: &str| text.split([' ', ';', '\n']).filter(|word| *word == wanted).count();
    assert_eq!((words("if"), words("do")), (words("fi"), words("done")), "{text}");
}

#[test]
fn the_slots_script_knows_the_checksum_of_each_file_that_it_loads() {
    let text = slot(&["nanopi-neo2", "qemu-virt"]).unwrap();
    let known = text.matches("setenv stayput_sums \"0x2639f4cb 0xcbf43926\" && run stayput_check").count();
    // Kernel and initramfs of both, the device tree of one: QEMU makes its own.
    assert_eq!((known, text.matches("load ${devtype}").count()), (5, 5), "{text}");
}

#[test]
fn a_file_that_the_script_loads_and_the_slot_lacks_is_an_error() {
    let (root, mut files) = (verity(), files());
    files.remove(script::INITRD);
    let (neo2, text) = (board("nanopi-neo2"), read("board/nanopi-neo2/slot.cmd"));
    let part = script::BoardScript { board: &neo2, file: "slot.cmd", text: &text };
    let fits = script::Fits { root: &root, files: &files };
    let error = script::slot("x", "@BOARDS@ @ROOT_A@ @ROOT_B@ @VERITY@", &[part], &layout(), fits);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("initrd.zst") && error.contains("no such file"), "{error}");
}

fn loader() -> String {
    let (neo2, text) = (board("nanopi-neo2"), read("board/nanopi-neo2/loader.cmd"));
    let part = script::BoardScript { board: &neo2, file: "board/nanopi-neo2/loader.cmd", text: &text };
    script::loader("board/loader.cmd", &read("board/loader.cmd"), &[part], &layout()).unwrap()
}

#[test]
fn the_slots_script_names_one_root_hash_and_a_second_line_would_not_count() {
    let text = slot(&["nanopi-neo2", "qemu-virt"]).unwrap();
    assert_eq!(script::root_of_slot(text.as_bytes()), Some(verity()));
    let image = script::image("stayput slot", &text).unwrap();
    assert_eq!(script::root_of_slot(&image), Some(verity()));
    let line = format!("setenv stayput_verity {}", verity());
    for wrong in [
        text.replace(&line, ""),
        text.replace(&line, &format!("{line}\n{line}")),
        text.replace("abab", "xyxy"),
    ] {
        assert_eq!(script::root_of_slot(wrong.as_bytes()), None);
    }
}

#[test]
fn boot_scr_knows_the_boot_partitions_and_never_falls_through_to_the_network() {
    let text = loader();
    assert!(text.contains("stayput_boot 6") && text.contains("stayput_boot 8"), "{text}");
    assert_eq!(text.lines().last(), Some("reset"));
}

#[test]
fn boot_scr_reads_and_writes_the_variables_of_the_box_at_the_tables_sectors() {
    let text = loader();
    // 76 MiB and 80 MiB in sectors.
    assert!(text.contains("for copy in 26000 28000; do"), "{text}");
    let names = stayput_slots::BootState::NAMES.join(" ");
    assert!(text.contains(&format!("env import -c ${{scriptaddr}} 200 {names}\n")), "{text}");
    assert!(text.contains(&format!("env export -c -s 200 ${{scriptaddr}} {names} && ")), "{text}");
    // CONFIG_SYS_MAXARGS of the smallest U-Boot: more words than this and it refuses the command.
    assert!("env export -c -s 200 addr".split(' ').count() + stayput_slots::BootState::NAMES.len() <= 16);
}

#[test]
fn boot_scr_starts_the_watchdog_of_the_board_that_has_one_before_anything_else() {
    let text = loader();
    let start = text.find("if test \"${board}\" = \"sunxi\"; then\nsetenv stayput_watchdog \"mw.l").unwrap();
    let (armed, reads) = (text.find("\nrun stayput_arm").unwrap(), text.find(" read ").unwrap());
    assert!(start < armed && armed < reads, "{text}");
    let slot = slot(&["nanopi-neo2", "qemu-virt"]).unwrap();
    let (armed, boots) = (slot.find("run stayput_watchdog").unwrap(), slot.find("booti 0x40200000").unwrap());
    assert!(armed < boots && !slot[armed..boots].contains("load "), "{slot}");
}

#[test]
fn two_boards_that_their_uboot_cannot_tell_apart_are_refused() {
    let error = slot(&["nanopi-neo2", "nanopi-neo2"]).unwrap_err().to_string();
    assert!(error.contains("\"sunxi\" to its U-Boot too"), "{error}");
}

#[test]
fn a_light_in_the_table_that_the_script_leaves_out_is_an_error() {
    let neo2 = board("nanopi-neo2");
    let text = read("board/nanopi-neo2/slot.cmd").replace("@LED_STATUS_RED@", "0 0 0");
    let part = script::BoardScript { board: &neo2, file: "slot.cmd", text: &text };
    let (root, files) = (verity(), files());
    let fits = script::Fits { root: &root, files: &files };
    let error = script::slot("x", "@BOARDS@ @ROOT_A@ @ROOT_B@ @VERITY@", &[part], &layout(), fits)
        .unwrap_err()
        .to_string();
    assert!(error.contains("slot.cmd:0: @LED_STATUS_RED@ is never used"), "{error}");
}

#[test]
fn a_name_without_a_value_is_an_error_with_its_line() {
    let error =
        script::fill("boot.cmd", "echo\nload @BOOT_C@\n", &script::Values::new()).unwrap_err().to_string();
    assert!(error.starts_with("boot.cmd:2: @BOOT_C@ has no value"), "{error}");
}

#[test]
fn at_signs_of_the_device_tree_stay_and_comments_go() {
    let text = "\u{feff}# @NOT_A_VALUE@\r\n  fdt set /soc/i2c@1c2ac00/x@0 a @A\r\n\r\n";
    assert_eq!(
        script::fill("x", text, &script::Values::new()).unwrap(),
        "  fdt set /soc/i2c@1c2ac00/x@0 a @A\n"
    );
}

#[test]
fn letters_that_uboot_cannot_read_are_refused_with_their_line() {
    for bad in ["echo caf\u{e9}", "echo \u{1b}[0m", "echo \0"] {
        let error =
            script::fill("x", &format!("echo\n{bad}\n"), &script::Values::new()).unwrap_err().to_string();
        assert!(error.contains("x:2:") && error.contains("ASCII"), "{error}");
    }
    for bad in ["", " \n", "echo \u{e9}", "a\r\n", "a\0"] {
        assert!(script::image("slot.scr", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_boards_loader_goes_where_the_card_keeps_room_for_it() {
    let loader = board("nanopi-neo2").loader.unwrap();
    assert_eq!(loader.offset, layout().loader_region().start);
    assert!(board("qemu-virt").loader.is_none());
}

#[test]
fn nothing_overlaps_in_512_mb_with_the_kernel_of_today() {
    for name in ["nanopi-neo2", "qemu-virt"] {
        let board = board(name);
        assert_eq!(board.boot.ram_size_mib, 512, "the smallest of these boards");
        let map = addresses::check(&board, &sizes()).unwrap();
        assert!(map.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{map:?}");
    }
}

/// What is wrong, how, and what the message must say.
type Change = (&'static str, fn(&mut Board, &mut Sizes), &'static str);

const WRONG: &[Change] = &[
    ("kernel_off_its_boundary", |b, _| b.boot.kernel = 0x4028_0000, "not a multiple of 2 MiB"),
    (
        "kernel_over_the_unpacked",
        |_, s| s.kernel.image_size = 0x400_0000,
        "kernel at 0x40200000..0x44200000 and kernel_compressed",
    ),
    (
        "unpacked_kernel_too_large",
        |b, _| b.boot.kernel_compressed_size = 0x200_0000,
        "37732288 bytes unpacked, kernel_compressed_size is 33554432",
    ),
    (
        "unpacked_kernel_too_large_for_uboot",
        |b, s| {
            b.boot.kernel_compressed_size = 1 << 28;
            s.kernel_unpacked = 65 << 20
        },
        "U-Boot unpacks 67108864 at most",
    ),
    (
        "initrd_into_uboot",
        |_, s| s.initrd = 200 << 20,
        "initrd would lie at 0x4ff00000..0x5c700000, usable is 0x40000000..0x58000000",
    ),
    ("initrd_larger_than_anything", |_, s| s.initrd = u64::MAX - 8191, "initrd would lie at"),
    (
        "initrd_larger_than_the_boot_window",
        |_, s| s.initrd = 125 << 20,
        "U-Boot moves initramfs and device tree",
    ),
    ("device_tree_over_the_script", |_, s| s.dtb = 0x1f_f000, "the kernel takes 2 MiB at most"),
    ("device_tree_off_its_boundary", |b, _| b.boot.fdt += 4, "not a multiple of 8"),
    (
        "script_over_the_device_tree",
        |b, _| b.boot.script = 0x4fa0_0100,
        "fdt at 0x4fa00000..0x4fa1559b and script at",
    ),
    (
        "kernel_behind_the_boot_window",
        |b, _| b.boot.kernel = 0x5200_0000,
        "does not lie in U-Boot's boot window",
    ),
    ("more_memory_than_the_board_has", |b, _| b.boot.ram_size_mib = 256, "usable is 0x40000000..0x48000000"),
    ("a_uboot_nobody_knows", |b, _| b.boot.uboot_board = "rpi".into(), "uboot_board = \"rpi\""),
];

#[test]
fn every_collision_is_named_with_both_ranges() {
    addresses::check(&board("nanopi-neo2"), &sizes()).unwrap();
    for (name, change, expected) in WRONG {
        let (mut board, mut sizes) = (board("nanopi-neo2"), sizes());
        change(&mut board, &mut sizes);
        let message = addresses::check(&board, &sizes).unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
        assert!(message.contains("board/nanopi-neo2/board.toml"), "{name}: {message}");
    }
}

#[test]
fn qemus_own_device_tree_is_kept_free() {
    let mut board = board("qemu-virt");
    board.boot.script = 0x4000_8000;
    let message = addresses::check(&board, &sizes()).unwrap_err().to_string();
    assert!(message.contains("QEMU's device tree at 0x40000000..0x40100000 and script"), "{message}");
}
