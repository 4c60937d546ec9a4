//! U-Boot's environment in one sector: a checksum, then `name=value` texts, each closed by a zero byte, and zeros to the end.
//!
//! What `env export -c -s 200` writes and `env import -c` reads; `fw_printenv` and `mkenvimage` know it too.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// Bytes in a copy: what a card writes whole or not at all.
pub const SECTOR: usize = 512;

/// The checksum comes first, lowest byte first.
const CHECKSUM: usize = 4;

/// Variables, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Reads a sector. Anything but a whole one with a fitting checksum is refused.
    pub fn parse(sector: &[u8]) -> Result<Self> {
        if sector.len() != SECTOR {
            return Err(Error::Length(sector.len()));
        }
        let (checksum, content) = sector.split_at(CHECKSUM);
        let found = u32::from_le_bytes([checksum[0], checksum[1], checksum[2], checksum[3]]);
        let expected = crc32fast::hash(content);
        if found != expected {
            return Err(Error::Checksum { found, expected });
        }
        let mut variables = BTreeMap::new();
        // An empty entry ends the list, whatever follows.
        let entries = content.split(|byte| *byte == 0).take_while(|entry| !entry.is_empty());
        for (number, entry) in (1..).zip(entries) {
            let parsed = std::str::from_utf8(entry).ok().filter(|text| is_plain(text));
            let Some((name, value)) = parsed.and_then(|text| text.split_once('=')) else {
                return Err(Error::Entry(number));
            };
            if name.is_empty() {
                return Err(Error::Entry(number));
            }
            variables.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self { variables })
    }

    /// The sector, in the order of the names, as U-Boot sorts them.
    pub fn sector(&self) -> Result<[u8; SECTOR]> {
        let mut content = Vec::new();
        for (number, (name, value)) in (1..).zip(&self.variables) {
            let wrong = name.is_empty() || name.contains('=') || !is_plain(name) || !is_plain(value);
            if wrong {
                return Err(Error::Entry(number));
            }
            content.extend_from_slice(name.as_bytes());
            content.push(b'=');
            content.extend_from_slice(value.as_bytes());
            content.push(0);
        }
        // One more zero ends the list.
        if content.len() + 1 > SECTOR - CHECKSUM {
            return Err(Error::Room(content.len() + 1));
        }
        content.resize(SECTOR - CHECKSUM, 0);
        let mut sector = [0; SECTOR];
        sector[..CHECKSUM].copy_from_slice(&crc32fast::hash(&content).to_le_bytes());
        sector[CHECKSUM..].copy_from_slice(&content);
        Ok(sector)
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// A variable that must be there.
    pub(crate) fn need(&self, name: &'static str) -> Result<&str> {
        self.get(name).ok_or(Error::Missing(name))
    }
}

/// What U-Boot's parser and a person's eyes agree on.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let mut environment = Environment::default();
        for (name, value) in pairs {
            environment.set(name, *value);
        }
        environment
    }

    fn with_checksum(content: &[u8]) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        sector[CHECKSUM..CHECKSUM + content.len()].copy_from_slice(content);
        let sum = crc32fast::hash(&sector[CHECKSUM..]);
        sector[..CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        sector
    }

    #[test]
    fn a_sector_of_a_new_or_wiped_card_is_refused_by_its_checksum() {
        for sector in [[0; SECTOR], [0xff; SECTOR]] {
            assert!(matches!(Environment::parse(&sector), Err(Error::Checksum { .. })));
        }
    }

    #[test]
    fn anything_but_one_sector_is_refused() {
        for length in [0, 1, 4, 511, 513, 4096, 1 << 20] {
            assert!(
                matches!(Environment::parse(&vec![0; length]), Err(Error::Length(found)) if found == length)
            );
        }
    }

    #[test]
    fn entries_that_are_no_variables_are_refused_though_the_checksum_fits() {
        for content in
            [&b"no equals sign\0\0"[..], b"=value\0\0", b"a=\xff\0\0", b"a=1\r\n\0\0", b"\xef\xbb\xbfa=1\0\0"]
        {
            let refused = Environment::parse(&with_checksum(content));
            assert!(matches!(refused, Err(Error::Entry(1))), "{content:?}: {refused:?}");
        }
    }

    #[test]
    fn what_stands_behind_the_end_of_the_list_does_not_count() {
        let read = Environment::parse(&with_checksum(b"a=1\0\0b=2\0")).unwrap();
        assert_eq!(read, environment(&[("a", "1")]));
        assert_eq!(Environment::parse(&with_checksum(b"")).unwrap(), Environment::default());
    }

    #[test]
    fn a_content_without_an_end_is_read_to_the_last_byte() {
        let full = [b"a=", &[b'x'; SECTOR - CHECKSUM - 2][..]].concat();
        assert_eq!(Environment::parse(&with_checksum(&full)).unwrap().get("a").map(str::len), Some(506));
    }

    #[test]
    fn more_than_a_sector_holds_is_refused_and_not_cut() {
        let room = SECTOR - CHECKSUM - "a=".len() - 2;
        assert!(environment(&[("a", &"x".repeat(room))]).sector().is_ok());
        assert!(matches!(environment(&[("a", &"x".repeat(room + 1))]).sector(), Err(Error::Room(509))));
    }

    #[test]
    fn a_name_or_value_that_would_read_as_another_is_refused() {
        for (name, value) in [("", "1"), ("a=b", "1"), ("a", "1\0b=2"), ("a", "1\n"), ("ä", "1")] {
            assert!(matches!(environment(&[(name, value)]).sector(), Err(Error::Entry(1))), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            pairs in proptest::collection::btree_map("[a-z_]{1,12}", "[ -~]{0,20}", 0..12),
        ) {
            let mut written = Environment::default();
            for (name, value) in &pairs {
                written.set(name, value.as_str());
            }
            prop_assert_eq!(Environment::parse(&written.sector().unwrap()).unwrap(), written);
        }

        #[test]
        fn no_content_makes_the_parser_stop(content in proptest::collection::vec(any::<u8>(), 0..=508)) {
            let _ = Environment::parse(&with_checksum(&content));
        }

        #[test]
        fn one_changed_bit_is_noticed(at in 0..SECTOR, bit in 0..8_u8) {
            let mut sector = environment(&[("stayput_first", "a")]).sector().unwrap();
            sector[at] ^= 1 << bit;
            prop_assert!(
                matches!(Environment::parse(&sector), Err(Error::Checksum { .. })),
                "byte {} bit {}", at, bit
            );
        }
    }
}
