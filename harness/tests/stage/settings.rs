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
    // With the line ends of the editor that a person may have.
    let text = text.map(|text| text.replace('\n', "\r\n"));
    stayput_desk::put(card, &layout(), "stayput.toml", text.as_deref().map(str::as_bytes)).expect("a card");
    Ok(())
}

/// The files of the person's partition, as a PC shows them.
pub fn files(card: &Card) -> Result<Vec<(String, Vec<u8>)>> {
    let part = layout().partition("stayput").expect("a partition of the table").clone();
    let bytes = card.read(part.start, part.size as usize)?;
    Ok(fat::files(&part.fat.expect("it is a FAT").label, &bytes).expect("the files of a FAT"))
}
