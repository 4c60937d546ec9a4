//! The boot arguments about the slots, from the kernel command line. Pure.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Generation, Result, Slot, words};

/// Why the boot script started this slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is the one that comes first.
    First,
    /// The one before it has used up its tries.
    Tries,
    /// The one before it could not be loaded.
    Load,
    /// The one before it is no whole system: it was being written.
    Piece,
    /// Nothing else was left, and the tries of both were given back.
    Last,
}

impl Why {
    const ALL: [Self; 5] = [Self::First, Self::Tries, Self::Load, Self::Piece, Self::Last];

    /// The word of the boot script.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Tries => "tries",
            Self::Load => "load",
            Self::Piece => "piece",
            Self::Last => "last",
        }
    }
}

impl FromStr for Why {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|why| why.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The two partitions of a slot, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitions {
    /// Kernel, initramfs, device trees, script.
    pub boot: u16,
    /// The root file system.
    pub root: u16,
}

/// What the command line says of the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arguments {
    /// `stayput.slot`: the one that runs.
    pub slot: Slot,
    /// `stayput.why`
    pub why: Why,
    /// `stayput.generation`: of the boot state that counted this try.
    pub generation: Generation,
    /// `stayput.marks`: the raw partition of boot state and notes.
    pub partition: u16,
    /// `stayput.copies_at`: where on it the copies of the boot state are, in bytes.
    pub copies_at: [u64; 2],
    /// `stayput.notes_at`: where on it each slot's note is, in bytes.
    pub notes_at: [u64; 2],
    slots: [Partitions; 2],
}

const PLACES: &str = "two multiples of 512 below 2 TiB, with a comma between";
const SLOTS: &str = "four different partitions: boot and root of slot a, then of slot b, with commas between";

impl Arguments {
    /// The arguments in `line`. Of one that is given twice the last counts, as for the kernel's own.
    pub fn parse(line: &str) -> Result<Self> {
        let words = words(line);
        let find = |key: &str| words.iter().rev().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let slots = argument(&find, "stayput.slots", SLOTS, |text| {
            let numbers =
                list::<4>(text, |number| u16::try_from(number).ok().filter(|n| (1..=255).contains(n)))?;
            let repeated = numbers.iter().enumerate().any(|(at, number)| numbers[..at].contains(number));
            let [boot_a, root_a, boot_b, root_b] = numbers;
            let of = |boot, root| Partitions { boot, root };
            (!repeated).then(|| [of(boot_a, root_a), of(boot_b, root_b)])
        })?;
        Ok(Self {
            slot: argument(&find, "stayput.slot", "a or b", |text| text.parse().ok())?,
            why: argument(&find, "stayput.why", "first, tries, load, piece or last", |text| {
                text.parse().ok()
            })?,
            generation: argument(&find, "stayput.generation", "a hexadecimal number", |text| {
                text.parse().ok()
            })?,
            partition: argument(&find, "stayput.marks", "a partition's number, 1 to 255", |text| {
                let [number] = list::<1>(text, |number| u16::try_from(number).ok())?;
                (1..=255).contains(&number).then_some(number)
            })?,
            copies_at: argument(&find, "stayput.copies_at", PLACES, places)?,
            notes_at: argument(&find, "stayput.notes_at", PLACES, places)?,
            slots,
        })
    }

    /// A slot's partitions.
    pub const fn partitions(&self, slot: Slot) -> Partitions {
        match slot {
            Slot::A => self.slots[0],
            Slot::B => self.slots[1],
        }
    }

    /// Where a slot's note is, in bytes.
    pub const fn note_at(&self, slot: Slot) -> u64 {
        match slot {
            Slot::A => self.notes_at[0],
            Slot::B => self.notes_at[1],
        }
    }
}

fn argument<'a, T>(
    find: &impl Fn(&str) -> Option<&'a str>,
    key: &'static str,
    expected: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T> {
    let value = find(key);
    value.and_then(read).ok_or_else(|| {
        let value = value.map(|text| text.chars().take(100).collect());
        Error::Argument { key, value, expected }
    })
}

/// Exactly so many decimal numbers between commas, each of which `take` accepts.
fn list<const COUNT: usize>(text: &str, take: impl Fn(u64) -> Option<u16>) -> Option<[u16; COUNT]> {
    numbers(text)?.into_iter().map(take).collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    // The standard library would take a plus sign as well.
    let plain = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    text.split(',').map(|word| Some(word).filter(plain)?.parse().ok()).collect()
}

/// Two different sectors of a partition.
fn places(text: &str) -> Option<[u64; 2]> {
    let places: [u64; 2] = numbers(text)?.try_into().ok()?;
    let sound = places.iter().all(|place| *place < 0x200_0000_0000 && place % 512 == 0);
    (sound && places[0] != places[1]).then_some(places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "console=ttyAMA0 panic=10 stayput.slot=b stayput.why=tries stayput.generation=1f \
                        stayput.marks=5 stayput.copies_at=0,4194304 stayput.notes_at=2097152,6291456 \
                        stayput.slots=6,7,8,9\n";

    #[test]
    fn the_boot_scripts_line_is_understood() {
        let read = Arguments::parse(LINE).unwrap();
        assert_eq!((read.slot, read.why, read.partition), (Slot::B, Why::Tries, 5));
        assert_eq!(Some(read.generation), Generation::new(0x1f));
        assert_eq!((read.copies_at, read.notes_at), ([0, 4 << 20], [2 << 20, 6 << 20]));
        assert_eq!(read.partitions(Slot::A), Partitions { boot: 6, root: 7 });
        assert_eq!(read.partitions(Slot::B), Partitions { boot: 8, root: 9 });
        assert_eq!((read.note_at(Slot::A), read.note_at(Slot::B)), (2 << 20, 6 << 20));
    }

    #[test]
    fn each_argument_that_is_missing_or_wrong_is_named() {
        let missing = Arguments::parse("").unwrap_err().to_string();
        assert!(missing.starts_with("the boot argument stayput.slots= is missing"), "{missing}");
        for (good, bad) in [
            ("slot=b", "slot=B"),
            ("why=tries", "why="),
            ("why=tries", "why=because"),
            ("generation=1f", "generation=0x1f"),
            ("generation=1f", "generation=80000000"),
            ("generation=1f", "generation=+1"),
            ("marks=5", "marks=0"),
            ("marks=5", "marks=256"),
            ("marks=5", "marks=5,6"),
            ("copies_at=0,4194304", "copies_at=0"),
            ("copies_at=0,4194304", "copies_at=0,0"),
            ("copies_at=0,4194304", "copies_at=0,4194305"),
            ("copies_at=0,4194304", "copies_at=0,+512"),
            ("copies_at=0,4194304", "copies_at=0,2199023255552"),
            ("notes_at=2097152,6291456", "notes_at=2097152,6291456,"),
            ("slots=6,7,8,9", "slots=6,7,8"),
            ("slots=6,7,8,9", "slots=6,7,8,8"),
            ("slots=6,7,8,9", "slots=6,7,8,0"),
            ("slots=6,7,8,9", "slots=6,7,8,99999999999999999999"),
        ] {
            let key = good.split('=').next().unwrap();
            let message = Arguments::parse(&LINE.replace(good, bad)).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("the boot argument stayput.{key}= is \"")),
                "{bad}: {message}"
            );
        }
    }

    #[test]
    fn the_last_of_two_counts_and_what_follows_two_hyphens_does_not() {
        let line = format!("{} stayput.why=last -- stayput.why=load", LINE.trim());
        assert_eq!(Arguments::parse(&line).unwrap().why, Why::Last);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_stop(line in "\\PC{0,200}") {
            let _ = Arguments::parse(&line);
        }

        #[test]
        fn no_value_makes_the_parser_stop(value in "[0-9,a-f]{0,40}") {
            let _ = Arguments::parse(&LINE.replace("6,7,8,9", &value));
            let _ = Arguments::parse(&LINE.replace("0,4194304", &value));
        }
    }
}
