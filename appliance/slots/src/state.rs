//! The boot state: which slot comes first, and of each slot what it is worth and how often it may still try.
//!
//! Names and words are those of `board/loader.cmd`, which reads and writes the same variables; numbers are hexadecimal,
//! because U-Boot reads and writes all of its own so.

use std::fmt;
use std::str::FromStr;

use crate::environment::{Environment, SECTOR};
use crate::{Error, Result};

/// How often a slot may try to come up before the other one is started.
pub const TRIES: u8 = 3;

/// One of the two systems on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both, in the order of the card.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The slot in the words of the boot scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl FromStr for Slot {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|slot| slot.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a slot is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was ever put there.
    Empty,
    /// It is being written: a piece of a system.
    Copying,
    /// A whole system, checked after it was written, that has not come up yet.
    Whole,
    /// It has come up, and all of it could be read.
    Good,
}

impl Standing {
    const ALL: [Self; 4] = [Self::Empty, Self::Copying, Self::Whole, Self::Good];

    /// The word in the boot state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Copying => "copying",
            Self::Whole => "whole",
            Self::Good => "good",
        }
    }

    /// Whether the boot script may start such a slot.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Whole | Self::Good)
    }
}

/// How often a slot may still try: 0 to [`TRIES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tries(u8);

impl Tries {
    /// All of them.
    pub const ALL: Self = Self(TRIES);
    /// Used up.
    pub const NONE: Self = Self(0);

    /// As a number.
    pub const fn left(self) -> u8 {
        self.0
    }
}

/// Counts the times that the boot state was written; the copy with the higher one decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(u32);

impl Generation {
    /// U-Boot compares as signed numbers, which have 32 bits on a 32-bit board.
    const HIGHEST: u32 = i32::MAX as u32;

    /// Of so many writes; none beyond what the boot script can compare.
    pub const fn new(number: u32) -> Option<Self> {
        if number <= Self::HIGHEST { Some(Self(number)) } else { None }
    }

    /// The next one. The highest one is never reached: a card is worn out long before.
    pub fn next(self) -> Self {
        Self((self.0 + 1).min(Self::HIGHEST))
    }
}

impl FromStr for Generation {
    type Err = ();

    /// Hexadecimal digits and nothing else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = plain.then(|| u32::from_str_radix(text, 16).ok()).flatten();
        number.and_then(Self::new).ok_or(())
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}", self.0)
    }
}

/// What is known of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotState {
    /// What it is worth.
    pub standing: Standing,
    /// How often it may still try.
    pub tries: Tries,
    /// The generation that counted its last try; 0 for none.
    pub last: Generation,
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootState {
    /// How often it was written.
    pub generation: Generation,
    /// The slot that the boot script tries first.
    pub first: Slot,
    a: SlotState,
    b: SlotState,
}

/// The names of one slot's variables.
struct Names {
    standing: &'static str,
    tries: &'static str,
    last: &'static str,
}

const GENERATION: &str = "stayput_generation";
const FIRST: &str = "stayput_first";
const A: Names = Names { standing: "stayput_a", tries: "stayput_a_tries", last: "stayput_a_last" };
const B: Names = Names { standing: "stayput_b", tries: "stayput_b_tries", last: "stayput_b_last" };

impl BootState {
    /// The variables in which the boot script and the box keep it, in the order of their names.
    pub const NAMES: [&str; 8] =
        [A.standing, A.last, A.tries, B.standing, B.last, B.tries, FIRST, GENERATION];

    /// A new card's, and what holds when no copy can be read: slot A first, slot B not there.
    pub const fn new_card() -> Self {
        let never = Generation(0);
        Self {
            generation: never,
            first: Slot::A,
            a: SlotState { standing: Standing::Whole, tries: Tries::ALL, last: never },
            b: SlotState { standing: Standing::Empty, tries: Tries::NONE, last: never },
        }
    }

    /// What is known of a slot.
    pub const fn slot(&self, slot: Slot) -> &SlotState {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }

    /// The same with another word on a slot: its standing, and all tries for one that is usable, none for another.
    #[must_use]
    pub fn with(mut self, slot: Slot, standing: Standing) -> Self {
        let one = match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        };
        one.standing = standing;
        one.tries = if standing.is_usable() { Tries::ALL } else { Tries::NONE };
        self
    }

    /// Reads a sector.
    pub fn parse(sector: &[u8]) -> Result<Self> {
        let environment = Environment::parse(sector)?;
        let generation = generation(&environment, GENERATION)?;
        // The boot script looks for a higher one than 0.
        if generation == Generation(0) {
            let value = environment.need(GENERATION)?.to_owned();
            return Err(Error::Value { name: GENERATION, value, expected: "1 or more" });
        }
        let first = value(&environment, FIRST, "a or b", |text| text.parse().ok())?;
        Ok(Self { generation, first, a: slot(&environment, &A)?, b: slot(&environment, &B)? })
    }

    /// The sector of a state that was written at least once.
    pub fn sector(&self) -> Result<[u8; SECTOR]> {
        let mut environment = Environment::default();
        environment.set(GENERATION, self.generation.to_string());
        environment.set(FIRST, self.first.as_str());
        for (names, slot) in [(A, self.a), (B, self.b)] {
            environment.set(names.standing, slot.standing.as_str());
            environment.set(names.tries, format!("{:x}", slot.tries.0));
            environment.set(names.last, slot.last.to_string());
        }
        environment.sector()
    }
}

fn value<T>(
    environment: &Environment,
    name: &'static str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    let text = environment.need(name)?;
    read(text).ok_or_else(|| Error::Value { name, value: text.to_owned(), expected })
}

fn generation(environment: &Environment, name: &'static str) -> Result<Generation> {
    value(environment, name, "a hexadecimal number below 80000000", |text| text.parse().ok())
}

fn slot(environment: &Environment, names: &Names) -> Result<SlotState> {
    let standing = |text: &str| Standing::ALL.into_iter().find(|standing| standing.as_str() == text);
    let tries = |text: &str| match text.parse() {
        Ok(left @ 0..=TRIES) if text.len() == 1 => Some(Tries(left)),
        _ => None,
    };
    Ok(SlotState {
        standing: value(environment, names.standing, "empty, copying, whole or good", standing)?,
        tries: value(environment, names.tries, "0 to 3", tries)?,
        last: generation(environment, names.last)?,
    })
}

/// Where a state came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Both copies could be read.
    Both,
    /// One could; the other is torn, or never written.
    One,
    /// None could: a new card, or a damaged one. The state of a new card holds.
    Neither,
}

/// The state out of its two copies, and which of them the next write goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// The state that holds.
    pub state: BootState,
    /// Where it came from.
    pub origin: Origin,
    /// The copy to overwrite: never the one that decides.
    pub spare: usize,
}

impl Copies {
    /// Decides between two sectors, as the boot script does.
    pub fn read(sectors: [&[u8]; 2]) -> Self {
        match sectors.map(|sector| BootState::parse(sector).ok()) {
            [Some(first), Some(second)] if second.generation > first.generation => {
                Self { state: second, origin: Origin::Both, spare: 0 }
            }
            [Some(state), Some(_)] => Self { state, origin: Origin::Both, spare: 1 },
            [Some(state), None] => Self { state, origin: Origin::One, spare: 1 },
            [None, Some(state)] => Self { state, origin: Origin::One, spare: 0 },
            [None, None] => Self { state: BootState::new_card(), origin: Origin::Neither, spare: 0 },
        }
    }

    /// What to write where, so that `change` holds from then on: the state with the next generation, and its copy.
    #[must_use]
    pub fn next(&self, change: impl FnOnce(BootState) -> BootState) -> (BootState, usize) {
        let generation = self.state.generation.next();
        (BootState { generation, ..change(self.state) }, self.spare)
    }
}
