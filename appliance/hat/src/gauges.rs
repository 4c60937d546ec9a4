//! How the machine does: memory, temperature, wear of the card. The room for files is the mover's to tell: nothing else on
//! the box may look there.
//!
//! Read only while someone looks at the page. What cannot be read is not known; nothing is guessed.

use std::fs;
use std::path::Path;

/// How the machine does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Memory, used and whole, in bytes.
    pub memory: Option<(u64, u64)>,
    /// The processor's temperature in degrees Celsius.
    pub temperature: Option<i64>,
    /// How much of the card's life is used up, in percent, where the card says so.
    pub wear: Option<u8>,
}

impl Gauges {
    /// Reads all of them.
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).ok();
        Self {
            memory: text("/proc/meminfo").and_then(|text| memory(&text)),
            temperature: text("/sys/class/thermal/thermal_zone0/temp").and_then(|text| degrees(&text)),
            wear: card_life(Path::new("/sys/class/mmc_host")).and_then(|text| wear(&text)),
        }
    }
}

/// Used and whole memory from `/proc/meminfo`.
fn memory(text: &str) -> Option<(u64, u64)> {
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let (whole, available) = (kib("MemTotal")?, kib("MemAvailable")?);
    Some((whole.checked_sub(available)?, whole))
}

/// Whole degrees from the kernel's thousandths.
fn degrees(text: &str) -> Option<i64> {
    let thousandths: i64 = text.trim().parse().ok()?;
    (-50_000..=150_000).contains(&thousandths).then(|| (thousandths + 500).div_euclid(1000))
}

/// The text in which a card with a life of known length tells how much of it is used; SD cards mostly have none.
fn card_life(hosts: &Path) -> Option<String> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let cards = entries(hosts).flat_map(|host| entries(&host).collect::<Vec<_>>());
    cards.filter_map(|card| fs::read_to_string(card.join("life_time")).ok()).next()
}

/// Percent from JEDEC's two life times (`0x02 0x01`: below 20 and below 10 percent): the worse one.
fn wear(text: &str) -> Option<u8> {
    let step = |word: &str| u8::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let worst = text.split_ascii_whitespace().map(step).collect::<Option<Vec<_>>>()?.into_iter().max()?;
    (1..=11).contains(&worst).then(|| worst.min(10) * 10)
}

/// A size in at most four characters and its unit: `0 MB`, `496 MB`, `1.2 GB`, `28 GB`, `1.9 TB`.
pub(crate) fn amount(bytes: u64) -> String {
    const MEGA: u64 = 1 << 20;
    let tenths = |unit: u64| u128::from(bytes) * 10 / u128::from(unit);
    for (unit, name) in [(MEGA, "MB"), (MEGA << 10, "GB"), (MEGA << 20, "TB"), (MEGA << 30, "PB")] {
        let tenths = tenths(unit);
        if tenths < 10_000 || name == "PB" {
            let whole = name == "MB" || tenths >= 100;
            let number =
                if whole { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) };
            return format!("{number} {name}");
        }
    }
    String::new()
}

/// Percent of a life; from 100 on, nothing is promised any more.
pub(crate) fn worn(percent: u8) -> String {
    if percent >= 100 { "all of it".to_owned() } else { format!("{percent} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_programs_cannot_get_any_more() {
        let text = "MemTotal:         496128 kB\nMemFree:           12000 kB\nMemAvailable:     389632 kB\n";
        assert_eq!(memory(text), Some((106_496 << 10, 496_128 << 10)));
        for bad in ["", "MemTotal: 5 kB\n", "MemTotal: 5 kB\nMemAvailable: 6 kB\n", "MemTotal: x\n"] {
            assert_eq!(memory(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_temperature_that_no_board_has_is_not_known() {
        assert_eq!((degrees("48231\n"), degrees("-1499\n")), (Some(48), Some(-1)));
        for bad in ["", "hot", "999999999999999999999", "200000"] {
            assert_eq!(degrees(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn wear_is_the_worse_of_both_kinds_of_memory() {
        assert_eq!((wear("0x02 0x01\n"), wear("0x01 0x0b\n")), (Some(20), Some(100)));
        for bad in ["", "0x00 0x00\n", "0x0c 0x01\n", "2 1\n", "0x1ff\n"] {
            assert_eq!(wear(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_amount_is_never_wider_than_seven_characters() {
        let mega = 1 << 20;
        assert_eq!((amount(0), amount(496 * mega)), ("0 MB".to_owned(), "496 MB".to_owned()));
        assert_eq!((amount(1229 * mega), amount(28 << 30)), ("1.2 GB".to_owned(), "28 GB".to_owned()));
        for shift in 0..64 {
            for bytes in [1_u64 << shift, (1_u64 << shift) - 1, u64::MAX >> shift] {
                assert!(amount(bytes).len() <= 8, "{}", amount(bytes));
            }
        }
    }
}
