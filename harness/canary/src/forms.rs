//! The forms that eight bytes may be written in.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

/// So many bytes of a canary in a row give it away.
pub const WINDOW: usize = 8;

/// The form that something was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Plain,
    /// In hexadecimal digits.
    Hex,
    /// In base64.
    Base64,
    /// One byte in every so many.
    Spread(usize),
    /// With delimiters in between.
    Delimited,
    /// In two pieces.
    Pieces,
}

/// What may stand between two pairs of hexadecimal digits.
const BETWEEN: &[&str] = &["", ":", "-", " ", ",", ", ", ";", "%", "=", "\\x", "0x", " 0x", ",0x", ", 0x"];

/// Every way to write these bytes in hexadecimal, in small letters.
pub(crate) fn hex(window: &[u8]) -> impl Iterator<Item = String> {
    let pairs: Vec<String> = window.iter().map(|byte| format!("{byte:02x}")).collect();
    BETWEEN.iter().map(move |between| pairs.join(between))
}

/// Every way in which base64 can hold these bytes: the digits that depend on them alone.
pub(crate) fn base64(window: &[u8]) -> impl Iterator<Item = String> {
    let alphabets = [&alphabet::STANDARD, &alphabet::URL_SAFE];
    let written = |before: usize, letters| {
        let bytes = [&vec![0; before][..], window].concat();
        let text = GeneralPurpose::new(letters, NO_PAD).encode(&bytes);
        let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        text[first..end].to_owned()
    };
    (0..3).flat_map(move |before| alphabets.map(|letters| written(before, letters)))
}

/// Letters and digits alone.
pub(crate) fn squeezed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(u8::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    #[test]
    fn whatever_stands_around_a_window_its_base64_holds_one_of_the_needles() {
        let window = b"\xff\xfb~?>x1\xfe";
        for before in 0..7 {
            for after in 0..4 {
                let text = [&vec![b'a'; before][..], window, &vec![b'z'; after]].concat();
                for written in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    assert!(base64(window).any(|needle| written.contains(&needle)), "{before} {after}");
                }
            }
        }
        // None is so short that chance would find it.
        assert!(base64(window).all(|needle| needle.len() >= 9));
    }
}
