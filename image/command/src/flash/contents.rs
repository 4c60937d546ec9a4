//! What is on a card before it is overwritten, in words for the person who decides.

use std::io::{self, Read, Seek, SeekFrom};

use stayput_card::{Layout, SECTOR};

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// For the person.
    pub text: String,
    /// It is a Stayput card on which a box has made its own partitions.
    pub kept: bool,
}

/// The ext superblock's magic number and label, counted from the file system's start.
const EXT_MAGIC: usize = 1024 + 0x38;
const EXT_LABEL: std::ops::Range<usize> = 1024 + 0x78..1024 + 0x88;

/// Looks at a card. Reads a few sectors; never fails on what they say.
pub fn look(card: &mut (impl Read + Seek), layout: &Layout) -> io::Result<Contents> {
    let start = read(card, 0, 2 * SECTOR as usize)?;
    let plain = |text: &str| Contents { text: text.to_owned(), kept: false };
    if start.iter().all(|byte| *byte == 0) {
        return Ok(plain("Its first sectors are empty."));
    }
    if start[510..512] != [0x55, 0xaa] {
        return Ok(plain("It has no partition table."));
    }
    if start[440..444] == layout.disk_id().to_le_bytes() {
        return stayput(card, layout);
    }
    if start[512..].starts_with(b"EFI PART") {
        return Ok(plain("It has a partition table (GPT), not Stayput's."));
    }
    let used = start[446..510].chunks(16).filter(|line| line[4] != 0).count();
    Ok(plain(&format!("It has a partition table with {used} of 4 lines used, not Stayput's.")))
}

fn stayput(card: &mut (impl Read + Seek), layout: &Layout) -> io::Result<Contents> {
    let mut made = Vec::new();
    for name in ["state", "data"] {
        let Some(part) = layout.partitions().iter().find(|part| part.name == name) else { continue };
        // A card cut short has no such partition, whatever its table says.
        let Ok(block) = read(card, part.start, 2048) else { continue };
        if block[EXT_MAGIC..EXT_MAGIC + 2] == [0x53, 0xef] {
            let label: Vec<u8> = block[EXT_LABEL].iter().copied().take_while(|byte| *byte != 0).collect();
            made.push(format!(
                "'{name}' (ext, label '{}')",
                String::from_utf8_lossy(&label).escape_default()
            ));
        }
    }
    let kept = !made.is_empty();
    let text = match kept {
        true => format!(
            "It is a Stayput card with {}. These lie behind the image and are not overwritten; its system, its second \
             slot's state and the files on STAYPUT are.",
            made.join(" and ")
        ),
        false => "It is a Stayput card that no box has used yet.".to_owned(),
    };
    Ok(Contents { text, kept })
}

fn read(card: &mut (impl Read + Seek), at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    card.seek(SeekFrom::Start(at))?;
    card.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::path::Path;

    fn layout() -> Layout {
        Layout::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../card.toml")).unwrap()
    }

    fn table(change: impl FnOnce(&mut Vec<u8>)) -> Contents {
        let mut bytes = vec![0; 4096];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        change(&mut bytes);
        look(&mut Cursor::new(bytes), &layout()).unwrap()
    }

    #[test]
    fn empty_foreign_and_gpt_cards_are_told_apart() {
        assert!(look(&mut Cursor::new(vec![0; 4096]), &layout()).unwrap().text.contains("empty"));
        assert!(table(|bytes| bytes[511] = 1).text.contains("no partition table"));
        assert!(table(|bytes| bytes[450] = 0x0c).text.contains("1 of 4"));
        assert!(table(|bytes| bytes[512..520].copy_from_slice(b"EFI PART")).text.contains("GPT"));
    }

    #[test]
    fn a_stayput_card_cut_short_is_one_that_no_box_has_used() {
        let id = layout().disk_id().to_le_bytes();
        let contents = table(|bytes| bytes[440..444].copy_from_slice(&id));
        assert!(contents.text.contains("no box has used") && !contents.kept);
    }

    #[test]
    fn a_stayput_card_with_data_is_named_with_its_label() {
        let layout = layout();
        let start = layout.partition("data").unwrap().start;
        let mut file = tempfile::tempfile().unwrap();
        let mut sector = [0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector[440..444].copy_from_slice(&layout.disk_id().to_le_bytes());
        let mut block = vec![0; 2048];
        block[EXT_MAGIC..EXT_MAGIC + 2].copy_from_slice(&[0x53, 0xef]);
        block[EXT_LABEL][..12].copy_from_slice(b"stayput-data");
        std::os::unix::fs::FileExt::write_all_at(&file, &sector, 0).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &block, start).unwrap();
        let contents = look(&mut file, &layout).unwrap();
        assert!(contents.kept);
        assert!(contents.text.contains("'data' (ext, label 'stayput-data')"), "{}", contents.text);
    }

    #[test]
    fn a_device_too_short_to_look_at_is_an_error() {
        assert!(look(&mut Cursor::new(vec![0; 100]), &layout()).is_err());
    }
}
