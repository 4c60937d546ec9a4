//! Board facts as text: what is read, and how each mistake is told.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, which is its job")]

use proptest::prelude::*;
use stayput_health::board::{Board, LedColor, LedRole};
use stayput_health::{Error, Place};

const WHOLE: &str = include_str!("board/nanopi.toml");

fn parse(text: &str) -> Result<Board, Error> {
    Board::parse(text.as_bytes(), "board.toml")
}

/// The message for the whole board with `from` replaced by `to`.
fn mistake(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    parse(&WHOLE.replacen(from, to, 1)).unwrap_err().to_string()
}

/// Line and column of the first `needle`, as a person counts them.
fn place_of(needle: &str) -> String {
    Place::of("board.toml", WHOLE, WHOLE.find(needle).unwrap()).to_string()
}

#[test]
fn a_whole_board_is_read() {
    let board = parse(WHOLE).unwrap();
    assert_eq!(board.name.as_str(), "nanopi-neo2");
    assert_eq!(board.serves[0].as_str(), "qemu-virt");
    assert_eq!((board.boot.kernel, board.boot.arguments[0].as_str()), (0x4020_0000, "kpti=off"));
    assert_eq!(board.loader.unwrap().offset, 8192);
    assert_eq!(board.modules.initramfs[2].normal(), "sunxi_mmc");
    assert_eq!((board.leds[0].role, board.leds[0].color), (LedRole::Power, LedColor::Green));
    assert!(board.leds[0].builtin && !board.leds[0].active_low);
    assert!(!board.leds[1].builtin && board.leds[1].active_low);
    assert_eq!(board.keys[0].code, 59);
    assert_eq!(u8::from(board.oled.unwrap().address), 0x3c);
}

#[test]
fn a_board_without_loader_dtb_lights_keys_and_screen_is_a_board() {
    let mut kept = String::new();
    for section in WHOLE.split("\n\n") {
        if !["[loader]", "[[led]]", "[[key]]", "[oled]"].iter().any(|optional| section.starts_with(optional))
        {
            kept.push_str(&section.replace("dtb = ", "# dtb = "));
            kept.push_str("\n\n");
        }
    }
    let board = parse(&kept.replace("serves", "# serves")).unwrap();
    assert!(board.loader.is_none() && board.boot.dtb.is_none() && board.oled.is_none());
    assert!(board.leds.is_empty() && board.keys.is_empty() && board.serves.is_empty());
}

#[test]
fn carriage_returns_and_a_byte_order_mark_change_nothing() {
    let windows = format!("\u{feff}{}", WHOLE.replace('\n', "\r\n"));
    assert_eq!(parse(&windows).unwrap(), parse(WHOLE).unwrap());
    let broken = windows.replace("console =", "consol =");
    assert!(parse(&broken).unwrap_err().to_string().starts_with(&place_of("console =")), "{broken}");
}

#[test]
fn an_unknown_key_is_refused_at_its_place_with_the_known_ones() {
    let message = mistake("console = ", "consol = ");
    assert!(message.starts_with(&place_of("console = ")), "{message}");
    assert!(message.contains("`consol`") && message.contains("`console`"), "{message}");
    let message = mistake("color = \"red\"", "colour = \"red\"");
    assert!(message.starts_with(&place_of("color = \"red\"")) && message.contains("`color`"), "{message}");
}

#[test]
fn every_rule_for_a_single_value_names_the_place_and_what_was_expected() {
    let rows = [
        ("\"nanopi-neo2\"", "\"NanoPi NEO2\"", "a board's name"),
        ("\"friendlyarm,nanopi-neo2\"", "\"friendly arm\"", "a device tree's compatible"),
        ("\"ttyS0,115200\"", "\"ttyS0 quiet\"", "a console"),
        ("\"kpti=off\"", "\"kpti=off quiet\"", "a kernel argument"),
        ("\"kpti=off\"", "\"kpti=${board}\"", "a kernel argument"),
        ("\"kpti=off\"", "\"stayput.slot=b\"", "stayput. is the image's own"),
        ("\"usr/lib/u-boot", "\"../u-boot", "a relative path without '..'"),
        ("\"sunxi-mmc\"", "\"sunxi-mmc.ko\"", "a module's name"),
        ("\"1f02c00.pinctrl\"", "\"gpiochip0\"", "a GPIO chip's label"),
        ("\"/soc/i2c@1c2ac00\"", "\"i2c-0\"", "the device-tree path"),
        ("0x3c", "0x80", "expected 0x08 to 0x77"),
        ("\"power\"", "\"powr\"", "`status`"),
        ("\"sunxi\"\n\n[boot]", "\"rockchip\"\n\n[boot]", "`sunxi`"),
        ("line = 10", "line = -10", "integer `-10`"),
        ("active_low = true", "active_low = 1", "expected a boolean"),
    ];
    for (from, to, expected) in rows {
        let message = mistake(from, to);
        let line = place_of(from).rsplit_once(':').unwrap().0.to_owned();
        assert!(message.starts_with(&line), "{to}: {message}");
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn a_missing_key_is_named() {
    assert!(mistake("console = \"ttyS0,115200\"\n", "").contains("missing field `console`"));
    assert!(mistake("initrd = 0x4ff00000\n", "").contains("missing field `initrd`"));
}

#[test]
fn what_may_be_there_once_is_refused_twice() {
    let same_line = mistake("line = 0\n", "line = 1\n");
    assert!(same_line.contains("line '1 of 1c20800.pinctrl' is already used in line 40"), "{same_line}");
    assert!(mistake("status:red", "nanopi:green:pwr").contains("light 'nanopi:green:pwr' is already used"));
    assert!(mistake("\"fixed\"", "\"sunxi_wdt\"").contains("module 'sunxi_wdt' is already used"));
    assert!(mistake("\"fixed\"", "\"sunxi_mmc\"").contains("module 'sunxi_mmc' is already used"));
    assert!(mistake("[\"qemu-virt\"]", "[\"nanopi-neo2\"]").contains("serves itself"));
    let twice = mistake("title =", "name = \"again\"\ntitle =");
    assert!(twice.contains("duplicate key"), "{twice}");
}

#[test]
fn addresses_that_collide_or_leave_memory_are_refused() {
    assert!(mistake("kernel = 0x40200000", "kernel = 0x40280000").contains("not a multiple of 2 MiB"));
    assert!(
        mistake("initrd = 0x4ff00000", "initrd = 0x80000000")
            .contains("initrd = 0x80000000 is outside memory")
    );
    assert!(
        mistake("fdt = 0x4fa00000", "fdt = 0x45000000").contains("inside the room of the compressed kernel")
    );
    assert!(mistake("ram_size_mib = 512", "ram_size_mib = 0").contains("memory of 0 MiB"));
    assert!(mistake("ram_size_mib = 512", "ram_size_mib = 9223372036854775807").contains("not possible"));
    assert!(mistake("size = 0x2000000", "size = 0x7fffffffffffffff").contains("outside memory"));
}

#[test]
fn a_later_version_is_refused_as_such_even_with_keys_that_this_one_does_not_know() {
    let message = mistake("version = 1", "version = 2\nholograms = true");
    assert!(message.contains("version 2") && message.contains("reads version 1"), "{message}");
    assert!(mistake("version = 1\n", "").contains("missing field `version`"));
}

#[test]
fn text_that_is_empty_truncated_binary_or_huge_is_refused_by_name() {
    assert!(parse("").is_err());
    assert!(parse(&WHOLE[..WHOLE.len() / 2]).is_err());
    let place = Board::parse(b"version = 1\nname = \"\xff\"", "b.toml").unwrap_err().to_string();
    assert!(place.starts_with("b.toml:2:9: this byte is not UTF-8"), "{place}");
    let huge = vec![b'#'; 2 << 20];
    assert!(matches!(Board::parse(&huge, "b.toml"), Err(Error::TooLong { .. })));
    assert!(parse(&format!("x = {}", "[".repeat(100_000))).is_err());
}

fn with(name: &str, compatible: &str) -> Board {
    let text = WHOLE.replacen("\"nanopi-neo2\"", &format!("\"{name}\""), 1);
    parse(&text.replacen("\"friendlyarm,nanopi-neo2\"", compatible, 1)).unwrap()
}

#[test]
fn the_most_particular_compatible_decides_which_board_it_is() {
    let boards = [
        with("family", "\"allwinner,sun50i-h5\""),
        with("neo2", "\"friendlyarm,nanopi-neo2\""),
        with("virt", "\"linux,dummy-virt\""),
    ];
    let name = |compatibles: &[u8]| Board::matching(&boards, compatibles).map(|board| board.name.as_str());
    assert_eq!(name(b"friendlyarm,nanopi-neo2\0allwinner,sun50i-h5\0"), Some("neo2"));
    assert_eq!(name(b"friendlyarm,nanopi-neo-plus2\0allwinner,sun50i-h5\0"), Some("family"));
    assert_eq!(name(b"linux,dummy-virt\0"), Some("virt"));
    assert_eq!(name(b"linux,dummy-virt"), Some("virt"));
    for nobody in [&b""[..], b"\0", b"\0\0\0", b"linux", b"linux,dummy-virtual\0", b"\xff\xfe\0"] {
        assert_eq!(name(nobody), None, "{nobody:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_stop(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Board::parse(&bytes, "b.toml");
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_parser_stop(
        at in 0..WHOLE.len(), length in 0..40_usize, patch in "\\PC{0,20}",
    ) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, patch.into_bytes());
        if let Err(error) = Board::parse(&bytes, "b.toml") {
            prop_assert!(error.to_string().starts_with("b.toml"), "{error}");
        }
    }
}

#[test]
fn every_board_of_the_tree_is_read_and_has_its_folders_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../board");
    let mut boards = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            let board = Board::load(&entry.path().join("board.toml")).unwrap();
            assert_eq!(board.name.as_str(), entry.file_name());
            boards.push(board);
        }
    }
    for served in boards.iter().flat_map(|board| &board.serves) {
        assert!(boards.iter().any(|board| &board.name == served), "{served} has no folder");
    }
    assert!(Board::matching(&boards, b"friendlyarm,nanopi-neo2\0allwinner,sun50i-h5\0").is_some());
    assert!(Board::matching(&boards, b"linux,dummy-virt\0").is_some());
}
