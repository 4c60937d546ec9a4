//! The person's file on a card.

use std::path::Path;

use stayput_card::fat;
use stayput_harness::{Card, Result};

use super::partition::layout;

/// A card's length.
const CARD: u64 = 4096 << 20;

/// A card with the image on it.
pub fn card(folder: &Path) -> Result<Card> {
    Card::flash(&folder.join("card.img"), Path::new(&super::input("STAYPUT_IMAGE")), CARD)
}

/// Puts a file on the person's partition in the place of the one before, or takes it away.
pub fn put(card: &Card, text: Option<&str>) -> Result<()> {
    let layout = layout();
    let part = layout.partition("stayput").expect("a partition of the table");
    let kind = part.fat.as_ref().expect("it is a FAT");
    let bytes = card.read(part.start, part.size as usize)?;
    let mut files = fat::files(&kind.label, &bytes).expect("the files of a FAT");
    files.retain(|(name, _)| name != "stayput.toml");
    files.extend(text.map(|text| ("stayput.toml".to_owned(), text.replace('\n', "\r\n").into_bytes())));
    let files: Vec<_> = files.iter().map(|(name, bytes)| fat::File { name, bytes }).collect();
    card.write(part.start, &fat::image(kind, part.size, &files).expect("a FAT"))
}
