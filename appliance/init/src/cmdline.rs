//! The boot arguments that are ours, from the kernel command line. Pure.

use std::fmt;

use stayput_health::{Verity, verity};
use stayput_slots::{Slot, words};

/// Why the boot arguments cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One is missing.
    #[error("the boot argument {key}= is missing; expected {expected}")]
    Missing {
        /// Its key.
        key: &'static str,
        /// What it would be.
        expected: &'static str,
    },
    /// One has a value that it cannot have.
    #[error("the boot argument {key}={value:?} is not usable; expected {expected}")]
    Wrong {
        /// Its key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Two name one partition.
    #[error(
        "the boot arguments {first}= and {second}= both name partition {number}; expected different ones"
    )]
    SamePartition {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// The partition.
        number: u16,
    },
}

/// The id that the image's master boot record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskId(pub u32);

impl fmt::Display for DiskId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

/// Our boot arguments, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arguments {
    /// `stayput.slot`
    pub slot: Slot,
    /// `stayput.disk`
    pub disk: DiskId,
    /// `stayput.root`: the partition of the root file system.
    pub root: u16,
    /// `stayput.verity`: what the root file system is checked with. There is no box without: a root that nobody checks
    /// is not started in silence.
    pub verity: Verity,
    /// `stayput.state`: the partition that keeps state.
    pub state: u16,
    /// `stayput.data`: the partition that keeps the files.
    pub data: u16,
    /// `stayput.marks`: the raw partition with the marks of a new card.
    pub marks: u16,
    /// `stayput.marks_at`: where on it they begin, in bytes.
    pub marks_at: u64,
}

impl Arguments {
    /// The arguments in `line`. Of one that is given twice the last counts, as for the kernel's own.
    pub fn parse(line: &str) -> Result<Self, Error> {
        let words = words(line);
        let value = |key: &'static str, expected: &'static str| {
            let prefix = format!("{key}=");
            let found = words.iter().rev().find_map(|word| word.strip_prefix(&prefix));
            found.ok_or(Error::Missing { key, expected })
        };
        let partition = |key| {
            let expected = "a partition's number, 1 to 255";
            let text = value(key, expected)?;
            match text.parse::<u16>() {
                Ok(number @ 1..=255) if !text.starts_with('+') => Ok(number),
                _ => Err(Error::Wrong { key, value: text.to_owned(), expected }),
            }
        };
        let slot = value("stayput.slot", "a or b")?;
        let slot = slot.parse().map_err(|()| {
            let value = slot.to_owned();
            Error::Wrong { key: "stayput.slot", value, expected: "a or b" }
        })?;
        let arguments = Self {
            slot,
            disk: disk(value("stayput.disk", EIGHT)?)?,
            root: partition("stayput.root")?,
            verity: checked(value(verity::ARGUMENT, CHECKED)?)?,
            state: partition("stayput.state")?,
            data: partition("stayput.data")?,
            marks: partition("stayput.marks")?,
            marks_at: place(value("stayput.marks_at", PLACE)?)?,
        };
        let all = [
            ("stayput.root", arguments.root),
            ("stayput.state", arguments.state),
            ("stayput.data", arguments.data),
            ("stayput.marks", arguments.marks),
        ];
        for (at, (first, number)) in all.into_iter().enumerate() {
            if let Some((second, _)) = all[at + 1..].iter().find(|(_, other)| *other == number) {
                return Err(Error::SamePartition { first, second, number });
            }
        }
        Ok(arguments)
    }
}

const EIGHT: &str = "eight hexadecimal digits that are not all zero";

fn disk(text: &str) -> Result<DiskId, Error> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u32::from_str_radix(text, 16) {
        // Zero is what an unpartitioned or foreign disk may well carry.
        Ok(id) if digits && id != 0 => Ok(DiskId(id)),
        _ => Err(Error::Wrong { key: "stayput.disk", value: text.to_owned(), expected: EIGHT }),
    }
}

const CHECKED: &str = "the root's length in blocks, a colon, and the root hash as 64 digits of 0-9 and a-f";

fn checked(text: &str) -> Result<Verity, Error> {
    text.parse().map_err(|_| Error::Wrong {
        key: verity::ARGUMENT,
        value: text.to_owned(),
        expected: CHECKED,
    })
}

const PLACE: &str = "a multiple of 512 below 2 TiB";

fn place(text: &str) -> Result<u64, Error> {
    match text.parse() {
        // More than a master boot record can say is no place on a partition.
        Ok(at @ ..0x200_0000_0000) if at % 512 == 0 && !text.starts_with('+') => Ok(at),
        _ => Err(Error::Wrong { key: "stayput.marks_at", value: text.to_owned(), expected: PLACE }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "console=ttyAMA0 audit=0 panic=10 stayput.slot=a stayput.disk=53544159 stayput.root=7 \
                        stayput.verity=13870:abababababababababababababababababababababababababababababababab \
                        stayput.state=10 stayput.data=4 stayput.marks=5 stayput.marks_at=8388608\n";

    #[test]
    fn the_boot_scripts_line_is_understood() {
        let expected = Arguments {
            slot: Slot::A,
            disk: DiskId(0x5354_4159),
            root: 7,
            verity: Verity::new(13_870, [0xab; 32]).unwrap(),
            state: 10,
            data: 4,
            marks: 5,
            marks_at: 8 << 20,
        };
        assert_eq!(Arguments::parse(LINE), Ok(expected));
    }

    #[test]
    fn the_last_of_two_counts_and_what_follows_two_hyphens_does_not() {
        let line = format!("{} stayput.root=9 -- stayput.root=8", LINE.trim());
        assert_eq!(Arguments::parse(&line).unwrap().root, 9);
    }

    #[test]
    fn quotes_keep_blanks_inside_a_word() {
        let line = format!("foo=\"a stayput.slot=b\" {} \"stayput.slot=b\"", LINE.trim());
        assert_eq!(Arguments::parse(&line).unwrap().slot, Slot::B);
        let line = format!("{} foo=\"a stayput.slot=b\"", LINE.trim());
        assert_eq!(Arguments::parse(&line).unwrap().slot, Slot::A);
    }

    #[test]
    fn each_argument_that_is_missing_or_wrong_is_named() {
        for key in ["slot", "disk", "root", "verity", "state", "data", "marks", "marks_at"] {
            let line = LINE.replace(&format!("stayput.{key}="), &format!("stayput.{key}s="));
            let message = Arguments::parse(&line).unwrap_err().to_string();
            assert!(message.contains(&format!("stayput.{key}= is missing")), "{message}");
        }
        for (good, bad) in [
            ("slot=a", "slot=A"),
            ("slot=a", "slot="),
            ("disk=53544159", "disk=0x534159"),
            ("disk=53544159", "disk=5354415"),
            ("disk=53544159", "disk=+3544159"),
            ("disk=53544159", "disk=00000000"),
            ("root=7", "root=0"),
            ("root=7", "root=256"),
            ("root=7", "root=+7"),
            ("root=7", "root=7x"),
            ("verity=13870:", "verity="),
            ("verity=13870:", "verity=0:"),
            ("verity=13870:ab", "verity=13870:"),
            ("verity=13870:ab", "verity=13870:AB"),
            ("state=10", "state=99999999999999999999"),
            ("marks_at=8388608", "marks_at="),
            ("marks_at=8388608", "marks_at=8388609"),
            ("marks_at=8388608", "marks_at=0x800000"),
            ("marks_at=8388608", "marks_at=+8388608"),
            ("marks_at=8388608", "marks_at=8M"),
            ("marks_at=8388608", "marks_at=2199023255552"),
            ("marks_at=8388608", "marks_at=99999999999999999999"),
        ] {
            let error = Arguments::parse(&LINE.replace(good, bad)).unwrap_err();
            assert!(matches!(&error, Error::Wrong { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn one_partition_cannot_be_two_things() {
        let error = Arguments::parse(&LINE.replace("state=10", "state=7")).unwrap_err();
        assert_eq!(error, Error::SamePartition { first: "stayput.root", second: "stayput.state", number: 7 });
        let error = Arguments::parse(&LINE.replace("data=4", "data=5")).unwrap_err();
        assert_eq!(error, Error::SamePartition { first: "stayput.data", second: "stayput.marks", number: 5 });
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_stop(line in "\\PC{0,200}") {
            let _ = Arguments::parse(&line);
        }
    }
}
