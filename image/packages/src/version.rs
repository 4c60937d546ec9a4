//! Debian version numbers: parsing and the order that dpkg gives them (deb-version(7)).

use std::cmp::Ordering;
use std::fmt;

/// A checked Debian version: `[epoch:]upstream[-revision]`.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    epoch: u32,
    upstream: (usize, usize),
}

/// What keeps a text from being a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing there.
    #[error("an empty version")]
    Empty,
    /// The part before the colon is no number.
    #[error("an epoch that is not a small number")]
    Epoch,
    /// A character that versions do not have.
    #[error("a character that a version cannot have: {0:?}")]
    Character(char),
    /// Longer than any real version.
    #[error("a version of more than 256 characters")]
    Length,
}

impl Version {
    /// Checks and takes apart a version.
    pub fn parse(text: &str) -> Result<Version, VersionError> {
        if text.len() > 256 {
            return Err(VersionError::Length);
        }
        let (epoch, start) = match text.find(':') {
            Some(colon) => {
                let digits = &text[..colon];
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(VersionError::Epoch);
                }
                (digits.parse().map_err(|_| VersionError::Epoch)?, colon + 1)
            }
            None => (0, 0),
        };
        let rest = &text[start..];
        if rest.is_empty() {
            return Err(VersionError::Empty);
        }
        if let Some(bad) = rest.chars().find(|c| !c.is_ascii_alphanumeric() && !".+-~:".contains(*c)) {
            return Err(VersionError::Character(bad));
        }
        let end = rest.rfind('-').map_or(text.len(), |dash| start + dash);
        if end == start {
            return Err(VersionError::Empty);
        }
        Ok(Version { text: text.to_string(), epoch, upstream: (start, end) })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn parts(&self) -> (&str, &str) {
        let (start, end) = self.upstream;
        (&self.text[start..end], self.text.get(end + 1..).unwrap_or(""))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((upstream, revision), (other_upstream, other_revision)) = (self.parts(), other.parts());
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(upstream.as_bytes(), other_upstream.as_bytes()))
            .then_with(|| compare_part(revision.as_bytes(), other_revision.as_bytes()))
    }
}

/// Runs of non-digits and digits in turn: `~` before the end, the end before letters, letters before the rest.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (left, right) = (weight(a.first()), weight(b.first()));
            if left == 0 && right == 0 {
                break;
            }
            if left != right {
                return left.cmp(&right);
            }
            (a, b) = (&a[1..], &b[1..]);
        }
        let (left, right) = (take_number(&mut a), take_number(&mut b));
        let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// A digit or the end ends the run of non-digits, and both weigh nothing.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// The leading digits, without their leading zeros: then the longer one is the greater.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        // Each line is smaller than the next one (checked with `dpkg --compare-versions`).
        let rising = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0+",
            "1.0~rc1-1",
            "1.0-1~deb13u1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb13u1",
            "1.0-1.1",
            "1.0-2",
            "1.0-10",
            "1.0a-1",
            "1.0+dfsg-1",
            "1.0.0-1",
            "1.1",
            "1.10",
            "9",
            "10",
            "1:0",
            "2:0~",
        ];
        for pair in rising.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn leading_zeros_and_a_zero_revision_do_not_matter() {
        assert_eq!(version("1.02"), version("1.2"));
        assert_eq!(version("0:1.2"), version("1.2"));
        assert_eq!(version("1.2-0"), version("1.2"));
    }

    #[test]
    fn the_last_dash_separates_the_revision() {
        assert_eq!(version("1-2-3").parts(), ("1-2", "3"));
        assert!(version("1-2-3") < version("1-3-0"));
    }

    #[test]
    fn what_is_no_version_is_refused_with_the_reason() {
        assert_eq!(Version::parse("").unwrap_err(), VersionError::Empty);
        assert_eq!(Version::parse("1:").unwrap_err(), VersionError::Empty);
        assert_eq!(Version::parse("-1").unwrap_err(), VersionError::Empty);
        assert_eq!(Version::parse("a:1").unwrap_err(), VersionError::Epoch);
        assert_eq!(Version::parse("99999999999:1").unwrap_err(), VersionError::Epoch);
        assert_eq!(Version::parse("1 2").unwrap_err(), VersionError::Character(' '));
        assert_eq!(Version::parse("1/../2").unwrap_err(), VersionError::Character('/'));
        assert_eq!(Version::parse(&"1".repeat(257)).unwrap_err(), VersionError::Length);
    }

    const SHAPE: &str = "([0-2]:)?[0-9a-b.~+]{1,6}(-[0-9a-b.~+]{1,4})?";

    proptest! {
        #[test]
        fn the_order_is_total(a in SHAPE, b in SHAPE, c in SHAPE) {
            let (a, b, c) = (version(&a), version(&b), version(&c));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }

        #[test]
        fn a_tilde_makes_it_older_and_a_letter_newer(a in "[0-9][0-9a-z.+]{0,6}") {
            let (older, newer) = (format!("{a}~"), format!("{a}a"));
            prop_assert!(version(&older) < version(&a));
            prop_assert!(version(&a) < version(&newer));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = Version::parse(&text);
        }
    }
}
