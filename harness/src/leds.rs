//! The three lights of the QEMU board, read from outside: lines 0, 1 and 2 of the PL061.
//!
//! The kernel drives them through leds-gpio exactly as it drives the pins of a real board; the monitor's
//! `xp` reads the register that the pins would hang on (facts: board, chapter 5).

use crate::error::{Error, Result};

/// GPIO data, all eight lines in the address mask.
pub const DATA: u64 = 0x0903_03fc;
/// GPIO direction: 1 is output.
pub const DIRECTION: u64 = 0x0903_0400;

/// Which lights are lit at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leds {
    /// Line 0.
    pub green: bool,
    /// Line 1.
    pub yellow: bool,
    /// Line 2.
    pub red: bool,
}

impl Leds {
    /// All dark.
    pub const DARK: Self = Self { green: false, yellow: false, red: false };

    /// From the two registers. A line that nobody drives lights nothing, whatever its data bit says.
    pub fn decode(data: u32, direction: u32) -> Self {
        let lit = |line: u32| data & direction & (1 << line) != 0;
        Self { green: lit(0), yellow: lit(1), red: lit(2) }
    }
}

/// One word out of the monitor's answer to `xp /1xw ADDRESS`: `00000000090303fc: 0x00000001`.
pub fn parse_word(answer: &str, address: u64) -> Result<u32> {
    let word = || {
        let (place, value) = answer.trim().split_once(':')?;
        (u64::from_str_radix(place.trim(), 16).ok()? == address).then_some(())?;
        u32::from_str_radix(value.trim().strip_prefix("0x")?, 16).ok()
    };
    word().ok_or_else(|| Error::Text {
        what: "the monitor's memory dump",
        line: 1,
        text: answer.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_colour() {
        let with = |data| Leds::decode(data, 0b111);
        assert_eq!(with(0b001), Leds { green: true, ..Leds::DARK });
        assert_eq!(with(0b010), Leds { yellow: true, ..Leds::DARK });
        assert_eq!(with(0b100), Leds { red: true, ..Leds::DARK });
        assert_eq!(with(0b1111_1000), Leds::DARK);
    }

    #[test]
    fn a_line_that_is_still_an_input_is_dark() {
        assert_eq!(Leds::decode(0xff, 0b010), Leds { yellow: true, ..Leds::DARK });
    }

    #[test]
    fn the_monitors_dump_gives_the_word_at_its_address() {
        assert_eq!(parse_word("00000000090303fc: 0x00000005\r\n", DATA).unwrap(), 5);
        for bad in [
            "",
            "Cannot access memory",
            "0000000009030400: 0x00000005",
            "00000000090303fc: 5",
            "00000000090303fc: 0x123456789",
        ] {
            assert!(parse_word(bad, DATA).is_err(), "{bad}");
        }
    }
}
