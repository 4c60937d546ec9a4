//! `stayput flash`: refusals, and real writes to files and loop devices. Stage `image` of scripts/test where an image is
//! needed. Loop devices need root: without it, those tests say that they did not run.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod desk;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Output;

use desk::{beside, card, image, not_allowed, oracle, said, stayput, text};

const STAYPUT: &str = "4194304";
const DATA: u64 = 1464 << 20;

fn flash(card: &Path, more: &[&str]) -> Output {
    let image = image();
    let mut args = vec!["flash", text(card), "--image", text(&image), "--yes"];
    args.extend(more);
    stayput(&args)
}

fn verify(card: &Path) -> Output {
    stayput(&["verify", text(card), "--manifest", text(&beside("manifest.json"))])
}

/// The first bytes of a card are those of the image.
fn holds_the_image(card: &Path) -> bool {
    let (mut wanted, mut seen) = (std::fs::read(image()).unwrap(), Vec::new());
    std::io::Read::read_to_end(
        &mut std::io::Read::take(File::open(card).unwrap(), wanted.len() as u64),
        &mut seen,
    )
    .unwrap();
    std::mem::take(&mut wanted) == seen
}

/// A loop device over a file, given back at the end.
struct Loop(String);

impl Loop {
    fn over(file: &Path) -> Option<Self> {
        let run = oracle("losetup", &["--find", "--show", text(file)])?;
        if !run.status.success() {
            not_allowed(&format!("no loop device here ({})", said(&run).trim()));
            return None;
        }
        Some(Self(String::from_utf8(run.stdout).unwrap().trim().to_owned()))
    }

    fn path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = oracle("losetup", &["--detach", &self.0]);
    }
}

#[test]
#[ignore = "stage image"]
fn a_flashed_card_holds_the_image_and_verifies() {
    let card = card();
    let run = flash(card.path(), &["--to-file"]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).contains("written and read back"), "{}", said(&run));
    assert!(holds_the_image(card.path()));
    let checked = verify(card.path());
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
}

#[test]
#[ignore = "stage image"]
fn the_packed_image_gives_the_same_card() {
    let card = card();
    let packed = beside("sdcard.img.zst");
    let run = stayput(&["flash", text(card.path()), "--image", text(&packed), "--yes", "--to-file"]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(holds_the_image(card.path()));
}

#[test]
#[ignore = "stage image"]
fn a_given_configuration_is_on_the_card_as_another_fat_reader_sees_it() {
    let (card, folder) = (card(), tempfile::tempdir().unwrap());
    let config = folder.path().join("my box.toml");
    // The example, as a Windows editor would save it.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/stayput.toml.example");
    let mine = std::fs::read_to_string(example).unwrap().replace('\n', "\r\n");
    std::fs::write(&config, &mine).unwrap();
    let run = flash(card.path(), &["--to-file", "--config", text(&config)]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let out = folder.path().join("out");
    let place = format!("{}@@{STAYPUT}", text(card.path()));
    let Some(run) = oracle("mcopy", &["-i", &place, "::stayput.toml", text(&out)]) else { return };
    assert!(run.status.success(), "{}", said(&run));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), mine);
    let checked = verify(card.path());
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
}

#[test]
#[ignore = "stage image"]
fn a_used_stayput_card_is_named_and_keeps_what_lies_behind_the_image() {
    let card = card();
    assert!(flash(card.path(), &["--to-file"]).status.success());
    let offset = format!("offset={DATA}");
    let Some(made) = oracle(
        "mke2fs",
        &["-q", "-t", "ext4", "-L", "stayput-data", "-E", &offset, text(card.path()), "256M"],
    ) else {
        return;
    };
    assert!(made.status.success(), "{}", said(&made));
    let behind = |card: &File| {
        let mut bytes = vec![0; 300 << 20];
        card.read_exact_at(&mut bytes, DATA - (20 << 20)).unwrap();
        bytes
    };
    let before = behind(card.as_file());
    let run = flash(card.path(), &["--to-file"]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).contains("a Stayput card with 'data' (ext, label 'stayput-data')"), "{}", said(&run));
    assert!(behind(card.as_file()) == before, "flashing touched the box's own partitions");
}

#[test]
#[ignore = "stage image"]
fn an_altered_image_is_refused_by_its_manifest_and_nothing_is_written() {
    let (card, folder) = (card(), tempfile::tempdir().unwrap());
    let copy = folder.path().join("sdcard.img");
    std::fs::copy(image(), &copy).unwrap();
    std::fs::copy(beside("manifest.json"), folder.path().join("manifest.json")).unwrap();
    File::options().write(true).open(&copy).unwrap().write_all_at(b"x", 100_000_000).unwrap();
    let run = stayput(&["flash", text(card.path()), "--image", text(&copy), "--yes", "--to-file"]);
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    assert_untouched(card.as_file());
}

fn assert_untouched(card: &File) {
    let mut start = vec![0; 16 << 20];
    card.read_exact_at(&mut start, 0).unwrap();
    assert!(start.iter().all(|byte| *byte == 0), "something was written");
}

#[test]
#[ignore = "stage image"]
fn without_a_terminal_and_without_yes_nothing_is_written() {
    let card = card();
    let run = stayput(&["flash", text(card.path()), "--image", text(&image()), "--to-file"]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains("--yes"), "{}", said(&run));
    assert_untouched(card.as_file());
}

#[test]
#[ignore = "stage image"]
fn a_loop_device_named_twice_is_flashed_and_verified_past_the_page_cache() {
    let card = card();
    let Some(device) = Loop::over(card.path()) else { return };
    let refused = flash(device.path(), &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("not a removable disk"), "{}", said(&refused));
    let run = flash(device.path(), &["--really", &device.0]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(holds_the_image(device.path()));
    let checked = verify(device.path());
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
}

#[test]
#[ignore = "stage image"]
fn a_mounted_disk_is_refused_even_when_named_twice() {
    let card = card();
    let Some(made) = oracle("mke2fs", &["-q", "-F", text(card.path())]) else { return };
    assert!(made.status.success(), "{}", said(&made));
    let Some(device) = Loop::over(card.path()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(mounted) = oracle("mount", &[&device.0, text(folder.path())]) else { return };
    if !mounted.status.success() {
        return not_allowed(&format!("nothing can be mounted here ({})", said(&mounted).trim()));
    }
    let run = flash(device.path(), &["--really", &device.0]);
    let _ = oracle("umount", &[text(folder.path())]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains(&format!("mounted at {}", text(folder.path()))), "{}", said(&run));
}

#[test]
#[ignore = "stage image"]
fn a_device_that_says_four_gigabytes_and_has_sixty_megabytes_ends_in_an_error_without_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = oracle("mount", &["-t", "tmpfs", "-o", "size=60m", "small", text(folder.path())]);
    let Some(mounted) = mounted else { return };
    if !mounted.status.success() {
        return not_allowed(&format!("nothing can be mounted here ({})", said(&mounted).trim()));
    }
    let backing = folder.path().join("card");
    File::create(&backing).unwrap().set_len(4_000_000_000 / 4096 * 4096).unwrap();
    let result = Loop::over(&backing).map(|device| {
        let run = flash(device.path(), &["--really", &device.0]);
        let mut start = [1; 512];
        File::open(&backing).unwrap().read_exact_at(&mut start, 0).unwrap();
        (run, start)
    });
    let _ = oracle("umount", &[text(folder.path())]);
    let Some((run, start)) = result else { return };
    assert_eq!(run.status.code(), Some(6), "{}", said(&run));
    assert!(said(&run).contains("smaller than it says"), "{}", said(&run));
    assert_eq!(start, [0; 512], "a half-written card must not look whole");
}

#[test]
fn without_a_device_the_removable_disks_are_listed_and_nothing_is_done() {
    let run = stayput(&["flash"]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains("emovable disk"), "{}", said(&run));
}

#[test]
fn what_is_no_disk_is_refused_by_name() {
    let file = card();
    for path in ["/dev/null", "/dev/nowhere", "/", text(file.path())] {
        let run = stayput(&["flash", path, "--yes"]);
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        assert!(said(&run).contains(path), "{}", said(&run));
    }
}

#[test]
fn a_file_too_small_for_the_table_is_refused_even_as_a_card() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len((1720 << 20) - 512).unwrap();
    let run = stayput(&["flash", text(file.path()), "--to-file", "--yes"]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains("1803550720 bytes"), "{}", said(&run));
}

#[test]
fn a_configuration_that_the_box_would_refuse_is_refused_before_anything_else() {
    let (card, config) = (card(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(config.path(), "version = 1\n[devise]\n").unwrap();
    let run = stayput(&["flash", text(card.path()), "--config", text(config.path()), "--to-file", "--yes"]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains("devise"), "{}", said(&run));
}

#[test]
fn what_is_no_image_is_refused() {
    let (card, other) = (card(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(other.path(), vec![7; 1 << 20]).unwrap();
    let run = stayput(&["flash", text(card.path()), "--image", text(other.path()), "--to-file", "--yes"]);
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    assert!(said(&run).contains("partition table of image/card.toml"), "{}", said(&run));
}
