//! Rhythms of one light, in the words that a person would use for them.

use std::fmt;
use std::str::FromStr;

use crate::program::{Segment, merge};
use crate::{Error, Result};

/// How long a short blink is lit, in milliseconds.
pub(crate) const SHORT: u32 = 200;
/// How long a long blink is lit: four times and a half a short one, so that nobody has to compare.
pub(crate) const LONG: u32 = 900;
/// How long it is dark between two blinks that are counted.
pub(crate) const BETWEEN: u32 = 300;
/// How long it is dark after the last counted blink.
pub(crate) const PAUSE: u32 = 1500;

/// What one light does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rhythm {
    /// Not lit.
    Dark,
    /// Lit.
    Steady,
    /// One second lit, one second dark.
    Slow,
    /// Two and a half blinks a second: what the kernel's own panic blink does, and slow enough to disturb no one.
    Fast,
    /// Lit, with a quick double break every two seconds. Lit and not dark in between, and without a pause, so that no one
    /// takes the double beat for two counted blinks.
    Heartbeat,
    /// Blinks to be counted, then a pause.
    Counted(Count),
}

/// A number of long blinks, then a number of short ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count {
    long: u8,
    short: u8,
}

impl Count {
    /// The most long blinks.
    pub const MOST_LONG: u8 = 3;
    /// The most short blinks: more can be counted, but not at the first look.
    pub const MOST_SHORT: u8 = 7;

    /// `long` long blinks, then `short` short ones; `None` where no one could count it, and for one long blink alone,
    /// which looks like a slow light.
    pub const fn new(long: u8, short: u8) -> Option<Self> {
        let countable = long <= Self::MOST_LONG && short <= Self::MOST_SHORT;
        let clear = long + short > 0 && !(long == 1 && short == 0);
        if countable && clear { Some(Self { long, short }) } else { None }
    }

    /// The same for numbers of the program's own, checked while compiling.
    pub(crate) const fn of(long: u8, short: u8) -> Self {
        match Self::new(long, short) {
            Some(count) => count,
            None => panic!("no one could count this"),
        }
    }

    /// How many long blinks come first.
    pub const fn long(self) -> u8 {
        self.long
    }

    /// How many short blinks follow.
    pub const fn short(self) -> u8 {
        self.short
    }

    /// The blinks and the darkness between them, without the pause.
    pub(crate) fn blinks(self) -> Vec<Segment> {
        let mut segments = Vec::new();
        for (count, lit) in [(self.long, LONG), (self.short, SHORT)] {
            for _ in 0..count {
                segments.extend([Segment::lit(lit), Segment::dark(BETWEEN)]);
            }
        }
        segments.pop();
        segments
    }
}

impl Rhythm {
    /// One turn of the rhythm, ending dark; empty for a light that is never lit.
    pub(crate) fn cycle(self) -> Vec<Segment> {
        let (lit, dark) = (Segment::lit, Segment::dark);
        match self {
            Self::Dark => Vec::new(),
            // The tenth of a second of darkness is never seen: the light is armed again long before.
            Self::Steady => vec![lit(9900), dark(100)],
            Self::Slow => vec![lit(1000), dark(1000)],
            Self::Fast => vec![lit(200), dark(200)],
            Self::Heartbeat => vec![lit(1600), dark(100), lit(100), dark(200)],
            Self::Counted(count) => {
                let mut segments = count.blinks();
                segments.push(dark(PAUSE));
                segments
            }
        }
    }

    /// The rhythm that a watched light showed: what was seen, in order, from any point on. `None` when it was watched
    /// for too short a time, or does what no row of the table does.
    pub fn seen(watched: &[Segment]) -> Option<Self> {
        let watched = merge(watched);
        let [first, inner @ .., _] = watched.as_slice() else {
            let only = watched.first()?;
            return Some(if only.lit { Self::Steady } else { Self::Dark });
        };
        if inner.is_empty() {
            return None;
        }
        // The first and the last were cut by the watching.
        let lit: Vec<u32> = inner.iter().filter(|seen| seen.lit).map(|seen| seen.ms).collect();
        let dark: Vec<u32> = inner.iter().filter(|seen| !seen.lit).map(|seen| seen.ms).collect();
        let within = |times: &[u32], least: u32, most: u32| {
            !times.is_empty() && times.iter().all(|time| (least..=most).contains(time))
        };
        if within(&lit, 750, 1250) && within(&dark, 750, 1250) {
            return Some(Self::Slow);
        }
        if lit.len() >= 9 && within(&lit, 100, 350) && within(&dark, 100, 350) {
            return Some(Self::Fast);
        }
        let longest = lit.iter().chain(first.lit.then_some(&first.ms)).max().copied()?;
        if within(&dark, 30, 400) && longest >= 1200 {
            return Some(Self::Heartbeat);
        }
        Self::counted(inner)
    }

    fn counted(inner: &[Segment]) -> Option<Self> {
        const PAUSED: u32 = 1250;
        let mut groups = inner.split(|seen| !seen.lit && seen.ms >= PAUSED);
        // Before the first pause and after the last one, blinks may be missing.
        groups.next();
        let mut whole: Vec<_> = groups.collect();
        whole.pop();
        let mut counts = whole.into_iter().map(|group| {
            let lit: Vec<_> = group.iter().filter(|seen| seen.lit).map(|seen| seen.ms).collect();
            let long = lit.iter().take_while(|ms| **ms >= 550).count();
            let plausible = |ms: &u32| (80..=400).contains(ms);
            if !lit[long..].iter().all(plausible) {
                return None;
            }
            Count::new(u8::try_from(long).ok()?, u8::try_from(lit.len() - long).ok()?)
        });
        let first = counts.next()??;
        counts.all(|count| count == Some(first)).then_some(Self::Counted(first))
    }
}

impl fmt::Display for Rhythm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dark => out.pad("dark"),
            Self::Steady => out.pad("steady"),
            Self::Slow => out.pad("slow"),
            Self::Fast => out.pad("fast"),
            Self::Heartbeat => out.pad("heartbeat"),
            Self::Counted(Count { long, short: 0 }) => write!(out, "{long} long, pause"),
            Self::Counted(Count { long: 0, short }) => write!(out, "{short} short, pause"),
            Self::Counted(Count { long, short }) => write!(out, "{long} long, {short} short, pause"),
        }
    }
}

impl FromStr for Rhythm {
    type Err = Error;

    /// Reads what a person says on the telephone: case, commas, "blinks", "then" and "pause" do not matter, and numbers
    /// may be words.
    fn from_str(text: &str) -> Result<Self> {
        let no_rhythm = || Error::NotARhythm(text.chars().take(60).collect());
        let lower = text.to_lowercase();
        let mut words = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .filter(|word| !["and", "then", "a", "the", "blink", "blinks", "pause", "times"].contains(word));
        let (mut long, mut short) = (None, None);
        while let Some(word) = words.next() {
            let plain = match word {
                "dark" | "off" | "nothing" => Self::Dark,
                "steady" | "on" => Self::Steady,
                "slow" | "slowly" => Self::Slow,
                "fast" | "quick" | "quickly" => Self::Fast,
                "heartbeat" => Self::Heartbeat,
                _ => {
                    let count = number(word).ok_or_else(no_rhythm)?;
                    let kind = words.next().ok_or_else(no_rhythm)?;
                    let slot = match kind {
                        "long" | "longs" if short.is_none() => &mut long,
                        "short" | "shorts" => &mut short,
                        _ => return Err(no_rhythm()),
                    };
                    if slot.replace(count).is_some() {
                        return Err(no_rhythm());
                    }
                    continue;
                }
            };
            let alone = long.is_none() && short.is_none() && words.next().is_none();
            return if alone { Ok(plain) } else { Err(no_rhythm()) };
        }
        let count = Count::new(long.unwrap_or(0), short.unwrap_or(0));
        count.map(Self::Counted).ok_or_else(no_rhythm)
    }
}

fn number(word: &str) -> Option<u8> {
    const WORDS: [&str; 10] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let spoken = WORDS.iter().position(|name| *name == word);
    spoken.and_then(|at| u8::try_from(at).ok()).or_else(|| word.parse().ok().filter(|number| *number <= 9))
}
