//! Files for the card's own partition, put there from outside while no machine runs on it.

use stayput_card::{Layout, fat};
use stayput_harness::Card;

use crate::Result;

/// Puts a file onto the partition STAYPUT in the place of one of the same name, or takes that away.
pub fn put(card: &Card, layout: &Layout, name: &str, content: Option<&[u8]>) -> Result<()> {
    let part = layout.partition("stayput")?;
    let Some(kind) = &part.fat else { return Ok(()) };
    let bytes = card.read(part.start, usize::try_from(part.size).unwrap_or(usize::MAX))?;
    let mut files = fat::files(&kind.label, &bytes)?;
    files.retain(|(found, _)| found != name);
    files.extend(content.map(|content| (name.to_owned(), content.to_vec())));
    let files: Vec<_> = files.iter().map(|(name, bytes)| fat::File { name, bytes }).collect();
    Ok(card.write(part.start, &fat::image(kind, part.size, &files)?)?)
}
