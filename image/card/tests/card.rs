//! A whole card: written, looked at from its bytes alone, and put before the tools that others wrote.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic, and so may what tests share")]

mod oracle;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stayput_card::image::{Content, Part, inspect, write};
use stayput_card::{Error, Layout, MIB, cpio, egon, fat, kernel, script, verity};
use stayput_health::Verity;

fn layout() -> Layout {
    Layout::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../card.toml")).unwrap()
}

fn build(file: &mut File, root: &mut dyn Read) -> Result<Vec<Part>, Error> {
    let spl = egon::specimen(792_949);
    let scr = script::image("boot.scr", "echo\n").unwrap();
    let slot = script::image("slot.scr", &format!("setenv stayput_verity {}\n", sealed().0)).unwrap();
    let gz = kernel::gzip(&kernel::specimen(100_000, 200_000));
    let boot = [
        fat::File { name: "slot.scr", bytes: &slot },
        fat::File { name: "Image.gz", bytes: &gz },
        fat::File { name: "initrd.zst", bytes: b"initrd" },
        fat::File { name: "sun50i-h5-nanopi-neo2.dtb", bytes: b"tree" },
    ];
    let content = Content {
        spl: Some(egon::Loader::check(&spl)?),
        stayput: &[fat::File { name: "stayput.toml", bytes: b"version = 1\r\n" }],
        loader: &[fat::File { name: "boot.scr", bytes: &scr }],
        boot: &boot,
        root,
    };
    write(file, &layout(), content)
}

/// A root file system with its tree.
fn sealed() -> (Verity, Vec<u8>) {
    let mut root = b"hsqs".to_vec();
    root.resize(3 * MIB as usize + 5, 7);
    let tree = verity::Tree::over(&mut &root[..]).unwrap();
    root.resize(tree.verity.data_size() as usize, 0);
    root.extend(&tree.bytes);
    (tree.verity, root)
}

fn root() -> Vec<u8> {
    sealed().1
}

fn card() -> (tempfile::NamedTempFile, Vec<Part>) {
    // sfdisk puts a 'p' between a name that ends in a digit and the number.
    let mut file = tempfile::Builder::new().suffix(".img").tempfile().unwrap();
    let parts = build(file.as_file_mut(), &mut &root()[..]).unwrap();
    (file, parts)
}

#[test]
fn the_image_ends_after_the_root_file_system_and_has_holes() {
    let (file, _) = card();
    let meta = file.as_file().metadata().unwrap();
    assert_eq!(meta.len(), (136 + 4) * MIB);
    assert!(meta.blocks() * 512 < 16 * MIB, "{} bytes on disk", meta.blocks() * 512);
}

#[test]
fn the_parts_are_what_the_image_holds_at_these_places() {
    use sha2::Digest;
    let (mut file, parts) = card();
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(
        names,
        ["table", "spl", "stayput", "loader", "logical-tables", "boot-state", "boot-a", "root-a"]
    );
    for (part, next) in parts.iter().zip(parts.iter().skip(1)) {
        assert!(part.offset + part.size <= next.offset, "{part:?} {next:?}");
    }
    for part in parts {
        let mut bytes = vec![0; part.size as usize];
        file.seek(SeekFrom::Start(part.offset)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        let sum: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, part.sha256, "{}", part.name);
    }
}

#[test]
fn what_was_in_the_file_before_does_not_shine_through() {
    let (mut one, parts) = card();
    let mut two = tempfile::NamedTempFile::new().unwrap();
    two.write_all(&vec![0xff; 200 * MIB as usize]).unwrap();
    assert_eq!(build(two.as_file_mut(), &mut &root()[..]).unwrap(), parts);
    let mut bytes = (Vec::new(), Vec::new());
    one.rewind().unwrap();
    two.rewind().unwrap();
    one.read_to_end(&mut bytes.0).unwrap();
    two.read_to_end(&mut bytes.1).unwrap();
    assert!(bytes.0 == bytes.1);
}

#[test]
fn egon_checksum_offsets_and_overlaps_hold_in_a_built_image() {
    let (mut file, _) = card();
    inspect(file.as_file_mut(), &layout(), true).unwrap();
}

#[test]
fn an_image_damaged_anywhere_that_matters_is_noticed() {
    let (mut file, _) = card();
    let state = layout().partition("boot-state").unwrap().start;
    let mut loader = vec![0; MIB as usize];
    file.seek(SeekFrom::Start(64 * MIB)).unwrap();
    file.read_exact(&mut loader).unwrap();
    let script_entry = 64 * MIB + loader.windows(11).position(|name| name == b"BOOT    SCR").unwrap() as u64;
    let places = [
        ("the disk id", 440),
        ("the table's signature", 510),
        ("the loader's magic", 8 * 1024 + 4),
        ("the middle of the SPL", 20 * 1024),
        ("the FIT image's magic", 40 * 1024),
        ("an extended table", 72 * MIB + 512 + 446),
        ("the boot script's name", script_entry),
        ("the mark of a new state", state + 8 * MIB),
        ("the mark of new data", state + 8 * MIB + 512),
        ("the end of the mark of new data", state + 8 * MIB + 1023),
        ("the root's magic", 136 * MIB),
        ("a byte in the middle of the root", 138 * MIB),
        ("the zeros that fill the root's last block", 139 * MIB + 4095),
        ("the top of the hash tree", 139 * MIB + 4096),
        ("the end of the hash tree", 136 * MIB + sealed().0.size() - 1),
    ];
    for (what, at) in places {
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        for value in [byte[0] ^ 0x40, byte[0]] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[value]).unwrap();
            assert_eq!(
                inspect(file.as_file_mut(), &layout(), true).is_ok(),
                value == byte[0],
                "{what} at {at}"
            );
        }
    }
    file.as_file().set_len(136 * MIB).unwrap();
    let error = inspect(file.as_file_mut(), &layout(), true).unwrap_err().to_string();
    assert!(error.contains("root-a") && error.contains("cannot be read"), "{error}");
}

#[test]
fn a_root_larger_than_its_partition_is_refused_before_it_overwrites_the_next() {
    let mut file = tempfile::tempfile().unwrap();
    let error = build(&mut file, &mut std::io::repeat(1).take(384 * MIB + 1)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { ref part, .. } if part == "root-a"), "{error}");
    assert!(file.metadata().unwrap().len() <= 520 * MIB);
    let error = build(&mut file, &mut std::io::empty()).unwrap_err().to_string();
    assert!(error.contains("is empty"), "{error}");
}

#[test]
fn a_loader_larger_than_its_region_is_refused() {
    let bytes = egon::specimen(4 * MIB as usize);
    let loader = egon::Loader::check(&bytes).unwrap();
    assert!(matches!(loader.place(&layout()), Err(Error::LoaderRegion { end: 4_202_496, .. })));
}

#[test]
fn a_full_disk_says_so() {
    // /dev/full takes no byte; it has no length either, so only the first write fails.
    let Ok(mut full) = File::options().write(true).open("/dev/full") else { return };
    let error = build(&mut full, &mut &root()[..]).unwrap_err().to_string();
    assert!(error.contains("into the image"), "{error}");
}

#[test]
fn sfdisk_finds_nothing_to_complain_about_and_the_same_partitions() {
    let (file, _) = card();
    file.as_file().set_len(2048 * MIB).unwrap();
    let path = file.path().to_str().unwrap();
    let Some((content, text)) = oracle::ask("sfdisk", &["--verify", path]) else { return };
    assert!(content && text.contains("No errors detected"), "{text}");
    let (_, dump) = oracle::ask("sfdisk", &["--dump", path]).unwrap();
    assert!(dump.contains("label-id: 0x53544159"), "{dump}");
    for partition in layout().partitions() {
        let line =
            dump.lines().find(|line| line.starts_with(&format!("{path}{} ", partition.number))).unwrap();
        let words: Vec<_> = line.split([' ', ',', '=', ':']).filter(|word| !word.is_empty()).collect();
        let expected = [
            "start".to_owned(),
            partition.first_sector().to_string(),
            "size".to_owned(),
            partition.sectors().to_string(),
            "type".to_owned(),
            format!("{:x}", partition.kind),
        ];
        assert_eq!(words[1..7], expected, "{line}");
        assert_eq!(words.contains(&"bootable"), partition.active, "{line}");
    }
}

#[test]
fn libblkid_reads_the_chain_of_tables_too() {
    let (file, _) = card();
    file.as_file().set_len(2048 * MIB).unwrap();
    let path = file.path().to_str().unwrap();
    let Some((content, text)) = oracle::ask("partx", &["-g", "-o", "NR,START,SECTORS,UUID", path]) else {
        return;
    };
    assert!(content, "{text}");
    for partition in layout().partitions() {
        let expected = [
            partition.number.to_string(),
            partition.first_sector().to_string(),
            partition.sectors().to_string(),
            format!("53544159-{:02x}", partition.number),
        ];
        let found = text.lines().any(|line| line.split_whitespace().eq(expected.iter().map(String::as_str)));
        assert!(found, "{expected:?}\n{text}");
    }
}

#[test]
fn fsck_finds_every_fat_clean() {
    let (mut file, parts) = card();
    for part in parts.iter().filter(|part| ["stayput", "loader", "boot-a"].contains(&part.name.as_str())) {
        let mut bytes = vec![0; part.size as usize];
        file.seek(SeekFrom::Start(part.offset)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        let mut one = tempfile::NamedTempFile::new().unwrap();
        one.write_all(&bytes).unwrap();
        let path = one.path().to_str().unwrap();
        let Some((content, text)) = oracle::ask("fsck.fat", &["-n", "-v", path]) else { return };
        // It also ends well after differences that it deems harmless: those are said in words.
        let clean = !["differ", "dirty", "wrong", "ERROR", "Bad", "Free cluster"]
            .iter()
            .any(|word| text.contains(word));
        assert!(content && clean, "{}: {text}", part.name);
    }
}

#[test]
fn dumpimage_reads_the_script_with_right_checksums() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = "echo one\necho two\n";
    file.write_all(&script::image("slot.scr", text).unwrap()).unwrap();
    let path = file.path().to_str().unwrap();
    let Some((content, listed)) = oracle::ask("dumpimage", &["-l", path]) else { return };
    assert!(content, "{listed}");
    for part in [
        "slot.scr",
        "Thu Jan  1 00:00:00 1970",
        "AArch64 Linux Script (uncompressed)",
        "26 Bytes",
        "18 Bytes",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
}

#[test]
fn mkimage_makes_the_very_same_script_image() {
    let directory = tempfile::tempdir().unwrap();
    let (source, made) = (directory.path().join("slot.cmd"), directory.path().join("slot.scr"));
    let text = "echo one\necho two\n";
    std::fs::write(&source, text).unwrap();
    let (source, target) = (source.to_str().unwrap(), made.to_str().unwrap());
    let options =
        ["SOURCE_DATE_EPOCH=0", "mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-n", "slot.scr"];
    let Some((content, said)) = oracle::ask("mkimage", &["-V"]) else { return };
    assert!(content, "{said}");
    let (content, said) = oracle::ask("env", &[&options[..], &["-d", source, target]].concat()).unwrap();
    assert!(content, "{said}");
    assert!(std::fs::read(made).unwrap() == script::image("slot.scr", text).unwrap());
}

#[test]
fn a_script_with_a_flipped_bit_is_not_accepted_by_dumpimage() {
    let mut bytes = script::image("slot.scr", "echo one\n").unwrap();
    bytes[33] ^= 1;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let Some((_, listed)) = oracle::ask("dumpimage", &["-l", file.path().to_str().unwrap()]) else { return };
    assert!(!listed.contains("AArch64 Linux Script"), "{listed}");
}

#[test]
fn zstd_unpacks_the_initramfs_to_sorted_entries_of_root() {
    // That Linux itself unpacks it is seen whenever the image boots.
    let mut archive = cpio::Archive::new();
    archive.file("init", 0o755, b"program".to_vec()).unwrap();
    archive.file("modules/load", 0o644, b"fixed\nsunxi-mmc\n".to_vec()).unwrap();
    archive.link("modules/first", "load").unwrap();
    archive.character("dev/console", 0o600, 5, 1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (packed, plain) = (directory.path().join("initrd.zst"), directory.path().join("initrd"));
    std::fs::write(&packed, archive.zstd().unwrap()).unwrap();
    let Some((content, text)) =
        oracle::ask("zstd", &["-d", packed.to_str().unwrap(), "-o", plain.to_str().unwrap()])
    else {
        return;
    };
    assert!(content, "{text}");
    let bytes = std::fs::read(plain).unwrap();
    assert!(bytes == archive.bytes().unwrap());
    // A header is "070701" and 13 numbers of 8 digits: inode, mode, uid, gid, links, time, size, ..., name's length.
    let mut listed = Vec::new();
    let mut at = 0;
    while bytes[at..].starts_with(b"070701") {
        let field = |index: usize| {
            let digits = &bytes[at + 6 + index * 8..at + 14 + index * 8];
            usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
        };
        let name = at + 110;
        let content = (name + field(11)).next_multiple_of(4);
        let path = String::from_utf8(bytes[name..name + field(11) - 1].to_vec()).unwrap();
        assert_eq!((field(2), field(3), field(5)), (0, 0, 0), "{path}");
        listed.push(format!("{} {:o} {} {path}", field(0), field(1), field(6)));
        at = (content + field(6)).next_multiple_of(4);
    }
    assert_eq!(
        listed[..6],
        [
            "1 40755 0 dev",
            "2 20600 0 dev/console",
            "3 100755 7 init",
            "4 40755 0 modules",
            "5 120777 4 modules/first",
            "6 100644 16 modules/load",
        ]
    );
    assert!(listed[6].ends_with(" TRAILER!!!") && listed.len() == 7, "{listed:?}");
}

#[test]
fn gzip_unpacks_the_kernel() {
    let image = kernel::specimen(1_000_000, 2_000_000);
    let mut file = tempfile::Builder::new().suffix(".gz").tempfile().unwrap();
    file.write_all(&kernel::gzip(&image)).unwrap();
    let Some((content, text)) = oracle::ask("gzip", &["-tv", file.path().to_str().unwrap()]) else { return };
    assert!(content && text.contains("OK"), "{text}");
}
