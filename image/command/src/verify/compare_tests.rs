//! Tests of the comparison, on a card of a few parts.

use std::io::Cursor;

use super::*;
use crate::manifest::Blob;

const MIB: u64 = 1 << 20;
/// Where the small image ends: after its root.
const IMAGE: u64 = 6 * MIB;
/// Where its table ends.
const CARD: u64 = 12 * MIB;

/// A table, two fixed parts, one of the person's, a second slot and data; with its manifest.
struct Card {
    image: Vec<u8>,
    manifest: Manifest,
    pristine: bool,
}

fn card() -> Card {
    let mut image = vec![0; IMAGE as usize];
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image[502..506].copy_from_slice(&((11 * MIB / 512) as u32).to_le_bytes());
    image[506..510].copy_from_slice(&((MIB / 512) as u32).to_le_bytes());
    image[MIB as usize..][..1000].fill(1);
    image[2 * MIB as usize..][..2000].fill(2);
    image[4 * MIB as usize..][..3000].fill(3);
    let blob = |offset: u64, size: u64| Blob::of(&image[offset as usize..][..size as usize]);
    let part = |name: &str, offset: u64, room: u64, content: u64| Partition {
        name: name.to_owned(),
        number: (name == "data").then_some(4),
        offset,
        room: (name != "data").then_some(room),
        content: (content > 0).then(|| blob(offset, content)),
        files: Default::default(),
        varies: (!matches!(name, "table" | "spl" | "boot-a" | "root-a")).then(|| "by design".to_owned()),
        copy_of: name.strip_suffix("-b").map(|slot| format!("{slot}-a")),
        verbatim: (name == "table").then(|| hex::encode(&image[..512])),
        hash_tree: None,
    };
    let partitions = vec![
        part("table", 0, 512, 512),
        part("spl", MIB, 1000, 1000),
        part("stayput", 2 * MIB, MIB, MIB),
        part("boot-a", 4 * MIB, 2 * MIB, 3000),
        part("boot-b", 6 * MIB, 2 * MIB, 0),
        part("data", 11 * MIB, 0, 0),
    ];
    let manifest = Manifest {
        partitions,
        image: Blob::of(&image),
        ..serde_json::from_value(serde_json::json!({
            "version": 1, "inputs": "", "board": "b", "serves": [], "lock_sha256": "", "profile": "box",
            "toolchain": {"toolchain": "pinned", "target": "", "rustc": "", "linker": "", "c_compiler": "", "locked": ""},
            "image": {"size": 0, "sha256": ""}, "partitions": [], "packages": [], "files": [],
        }))
        .unwrap()
    };
    Card { image, manifest, pristine: false }
}

impl Card {
    fn on_a_card(mut self, size: u64) -> Self {
        self.image.resize(size as usize, 0);
        self
    }

    fn compare(&self, reference: Option<&mut ImageFile>) -> anyhow::Result<Vec<Row>> {
        let size = self.image.len() as u64;
        let mut bytes = Cursor::new(&self.image);
        let mut subject = Subject {
            path: "card".into(),
            bytes: &mut bytes,
            size,
            device: size != IMAGE,
            pristine: self.pristine,
        };
        compare(&self.manifest, &mut subject, reference, &())
    }

    fn rows(&self) -> Vec<Row> {
        self.compare(None).unwrap()
    }
}

fn verdict<'a>(rows: &'a [Row], part: &str) -> &'a Verdict {
    &rows.iter().find(|row| row.part == part).unwrap().verdict
}

fn different(rows: &[Row]) -> Vec<&str> {
    let rows = rows.iter().filter(|row| matches!(row.verdict, Verdict::Different(_)));
    rows.map(|row| row.part.as_str()).collect()
}

fn code(error: anyhow::Error) -> Code {
    crate::exit::code(&error)
}

#[test]
fn an_image_is_identical_to_itself_in_every_part() {
    let rows = card().rows();
    assert!(different(&rows).is_empty(), "{rows:?}");
    let names: Vec<_> = rows.iter().map(|row| row.part.as_str()).collect();
    assert_eq!(names, ["table", "spl", "stayput", "boot-a", "boot-b", "data", UNUSED]);
}

#[test]
fn a_changed_byte_is_found_in_its_part_and_only_there() {
    for (at, part) in [(0, "table"), (MIB + 999, "spl"), (4 * MIB, "boot-a"), (4 * MIB + 2999, "boot-a")] {
        let mut card = card();
        card.image[at as usize] ^= 1;
        assert_eq!(different(&card.rows()), [part], "byte {at}");
    }
}

#[test]
fn a_byte_hidden_between_the_parts_is_found() {
    for at in [512, MIB - 1, MIB + 1000, 3 * MIB, 4 * MIB + 3000, IMAGE - 1] {
        let mut card = card();
        card.image[at as usize] = 1;
        let rows = card.rows();
        assert_eq!(different(&rows), [UNUSED], "byte {at}");
        let Verdict::Different(how) = verdict(&rows, UNUSED) else { panic!("{rows:?}") };
        assert!(how.contains(&format!("byte {at} ")), "{how}");
    }
}

#[test]
fn what_the_person_or_the_box_wrote_is_variable_by_design_and_said() {
    let mut card = card().on_a_card(CARD);
    assert_eq!(verdict(&card.rows(), "stayput"), &Verdict::Variable("by design; as in the image".into()));
    card.image[2 * MIB as usize + 77] ^= 1;
    card.image[11 * MIB as usize] = 9;
    let rows = card.rows();
    assert!(different(&rows).is_empty(), "{rows:?}");
    assert_eq!(
        verdict(&rows, "stayput"),
        &Verdict::Variable("by design; changed since the image was made".into())
    );
}

#[test]
fn the_second_slot_is_told_as_empty_as_a_copy_or_as_something_else() {
    let mut card = card().on_a_card(CARD);
    let told = |card: &Card| match verdict(&card.rows(), "boot-b") {
        Verdict::Variable(note) => note.clone(),
        other => panic!("{other:?}"),
    };
    assert!(told(&card).ends_with("; empty"), "{}", told(&card));
    card.image.copy_within(4 * MIB as usize..4 * MIB as usize + 3000, 6 * MIB as usize);
    assert!(told(&card).ends_with("; a whole copy of boot-a"), "{}", told(&card));
    card.image[6 * MIB as usize] ^= 1;
    assert!(told(&card).ends_with("; not a copy of the first"), "{}", told(&card));
}

#[test]
fn the_growth_of_data_is_identical_and_said() {
    let mut card = card().on_a_card(2 * CARD);
    card.image[506..510].copy_from_slice(&((13 * MIB / 512) as u32).to_le_bytes());
    let rows = card.rows();
    let Verdict::Identical(note) = verdict(&rows, "table") else { panic!("{rows:?}") };
    assert!(note.contains("'data' was 1.0 MB and is 13.6 MB"), "{note}");
}

#[test]
fn a_file_or_card_cut_short_is_an_integrity_failure_that_says_how_much_is_missing() {
    for size in [0, 1, 511, IMAGE - 1] {
        let mut card = card();
        card.image.truncate(size as usize);
        let error = card.compare(None).unwrap_err();
        assert!(error.to_string().contains("cut short"), "{error}");
        assert!(error.to_string().contains(&format!("{size} bytes")), "{error}");
        assert_eq!(code(error), Code::Integrity);
    }
    for size in [IMAGE + 1, CARD - 1] {
        let error = card().on_a_card(size).compare(None).unwrap_err();
        assert!(error.to_string().contains("neither the image"), "{error}");
    }
}

#[test]
fn a_card_that_ends_before_the_size_it_says_is_a_failure_to_read() {
    let card = card().on_a_card(CARD);
    let mut bytes = Cursor::new(&card.image[..5 * MIB as usize]);
    let mut subject =
        Subject { path: "liar".into(), bytes: &mut bytes, size: CARD, device: true, pristine: false };
    let error = compare(&card.manifest, &mut subject, None, &()).unwrap_err();
    assert!(error.to_string().contains("smaller than it says"), "{error}");
    assert_eq!(code(error), Code::Storage);
}

fn reference(card: &Card) -> (tempfile::NamedTempFile, ImageFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &card.image).unwrap();
    let image = ImageFile::open(file.path()).unwrap();
    (file, image)
}

#[test]
fn with_the_image_at_hand_the_first_differing_byte_is_told() {
    let (_file, mut image) = reference(&card());
    let mut card = card();
    card.image[4 * MIB as usize + 700] ^= 1;
    card.image[4 * MIB as usize + 2000] ^= 1;
    let rows = card.compare(Some(&mut image)).unwrap();
    let Verdict::Different(how) = verdict(&rows, "boot-a") else { panic!("{rows:?}") };
    let first = 4 * MIB + 700;
    assert!(
        how.starts_with(&format!("first at byte {first} of the card, 700 of the partition; 2 sectors")),
        "{how}"
    );
}

#[test]
fn a_reference_of_another_build_is_refused() {
    let mut other = card();
    other.image[MIB as usize] ^= 1;
    let (_file, mut image) = reference(&other);
    let error = card().compare(Some(&mut image)).unwrap_err();
    assert!(error.to_string().contains("not the image that the manifest describes"), "{error}");
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let mut beyond = card();
    beyond.manifest.partitions[1].offset = u64::MAX - 5;
    let mut other_table = card();
    other_table.manifest.partitions[0].verbatim = Some("00".repeat(512));
    for card in [beyond, other_table] {
        let error = card.compare(None).unwrap_err();
        assert!(error.to_string().contains("contradicts itself"), "{error}");
    }
}

#[test]
fn a_pristine_image_has_no_part_that_may_differ() {
    for at in [2 * MIB, 506] {
        let mut card = card().on_a_card(2 * CARD);
        card.image[at as usize + 1] ^= 0x10;
        assert!(different(&card.rows()).is_empty(), "byte {at}");
        card.pristine = true;
        assert_eq!(different(&card.rows()).len(), 1, "byte {at}");
    }
}
