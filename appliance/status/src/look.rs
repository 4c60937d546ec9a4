//! What three lights show together, and what the one light of a box without others shows.

use std::fmt;

use crate::program::{Program, Segment, duration};
use crate::rhythm::{Count, PAUSE, Rhythm};

/// Darkness between the count on one light and the count on the next.
const HAND_OVER: u32 = 500;

/// One of the three lights, in the order in which they sit on the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lamp {
    /// The light for "it works".
    Green,
    /// The light for "it is busy", and for what should be looked at.
    Yellow,
    /// The light for "it does not work".
    Red,
}

impl Lamp {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Green, Self::Yellow, Self::Red];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// What three lights show together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    /// Each light has its own rhythm, all begun at once: green, yellow, red.
    Together([Rhythm; 3]),
    /// One light counts, and when it is done, another one counts; then a pause. The third is dark.
    InTurn {
        /// The light that counts first, and what.
        first: (Lamp, Count),
        /// The light that counts second, and what.
        second: (Lamp, Count),
    },
}

impl Look {
    /// What `lamp` does, as a person watching only that light would say.
    pub const fn rhythm(&self, lamp: Lamp) -> Rhythm {
        match self {
            Self::Together(rhythms) => rhythms[lamp as usize],
            Self::InTurn { first, second } => {
                if first.0 as u8 == lamp as u8 {
                    Rhythm::Counted(first.1)
                } else if second.0 as u8 == lamp as u8 {
                    Rhythm::Counted(second.1)
                } else {
                    Rhythm::Dark
                }
            }
        }
    }

    /// The programs of green, yellow and red. Where they count in turn, both last equally long: arm them together.
    pub fn programs(&self) -> [Program; 3] {
        let cycle = |lamp| match self {
            Self::Together(rhythms) => rhythms[lamp as usize].cycle(),
            Self::InTurn { first, second } => {
                let (leading, following) = (first.1.blinks(), second.1.blinks());
                let (lead, follow) = (duration(&leading), duration(&following));
                if lamp == first.0 {
                    [leading, vec![Segment::dark(HAND_OVER + follow + PAUSE)]].concat()
                } else if lamp == second.0 {
                    [vec![Segment::dark(lead + HAND_OVER)], following, vec![Segment::dark(PAUSE)]].concat()
                } else {
                    Vec::new()
                }
            }
        };
        Lamp::ALL.map(|lamp| Program::of(&cycle(lamp)))
    }
}

impl fmt::Display for Look {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Together(rhythms) => {
                let lit = Lamp::ALL.iter().zip(rhythms).filter(|(_, rhythm)| **rhythm != Rhythm::Dark);
                let words: Vec<_> = lit.map(|(lamp, rhythm)| format!("{} {rhythm}", lamp.name())).collect();
                if words.is_empty() { out.write_str("all dark") } else { out.write_str(&words.join("; ")) }
            }
            Self::InTurn { first, second } => {
                let count = |(lamp, count): &(Lamp, Count)| {
                    let said = Rhythm::Counted(*count).to_string();
                    format!("{} {}", lamp.name(), said.trim_end_matches(", pause"))
                };
                write!(out, "{}, then {}, pause", count(first), count(second))
            }
        }
    }
}
