//! From what a person says about the lights to the states that it can be.

use stayput_health::Code;

use crate::look::Lamp;
use crate::row::rank;
use crate::{Error, Result, Rhythm, row};

/// The states whose lights are as `text` says, the most urgent first: "2 short, pause" for a box with one light,
/// "red 2 short, yellow 1 short" for one with three. Lights that are not mentioned may do anything.
pub fn heard(text: &str) -> Result<Vec<Code>> {
    let lower = text.to_lowercase();
    let mut lamps: Vec<(Lamp, Vec<&str>)> = Vec::new();
    let mut before = Vec::new();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match (Lamp::ALL.into_iter().find(|lamp| lamp.name() == word), lamps.last_mut()) {
            (Some(lamp), _) => lamps.push((lamp, Vec::new())),
            (None, Some((_, words))) => words.push(word),
            (None, None) => before.push(word),
        }
    }
    let once = Lamp::ALL.iter().all(|lamp| lamps.iter().filter(|(named, _)| named == lamp).count() <= 1);
    if !once || !(before.is_empty() || lamps.is_empty()) {
        return Err(Error::NotARhythm(text.chars().take(60).collect()));
    }
    let mut codes: Vec<Code> = if lamps.is_empty() {
        let alone: Rhythm = text.parse()?;
        Code::ALL.iter().copied().filter(|code| row(*code).alone() == alone).collect()
    } else {
        let said = lamps.into_iter().map(|(lamp, words)| Ok((lamp, words.join(" ").parse()?)));
        let said: Vec<(Lamp, Rhythm)> = said.collect::<Result<_>>()?;
        let fits = |code: &Code| said.iter().all(|(lamp, rhythm)| row(*code).look().rhythm(*lamp) == *rhythm);
        Code::ALL.iter().copied().filter(fits).collect()
    };
    codes.sort_by_key(|code| std::cmp::Reverse(rank(*code)));
    Ok(codes)
}
