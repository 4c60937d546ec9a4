//! Names of counters and facts: short words of a small alphabet, so that no text travels in a health file.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A word of 1 to 32 characters `a-z`, `0-9` and `-`, not beginning or ending with a hyphen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Word(String);

impl Word {
    /// The longest word.
    pub const LONGEST: usize = 32;

    /// The word as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is a word; usable where a constant is checked while compiling.
    pub const fn is_word(text: &str) -> bool {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > Self::LONGEST {
            return false;
        }
        if bytes[0] == b'-' || bytes[bytes.len() - 1] == b'-' {
            return false;
        }
        let mut at = 0;
        while at < bytes.len() {
            if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
                return false;
            }
            at += 1;
        }
        true
    }
}

impl TryFrom<String> for Word {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        if Self::is_word(&text) { Ok(Self(text)) } else { Err(Error::BadWord(text)) }
    }
}

impl TryFrom<&str> for Word {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl Borrow<str> for Word {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_no_capitals_spaces_or_hyphens_at_its_ends() {
        for good in ["a", "orders", "machine-id", "sha256", &"x".repeat(32)] {
            assert!(Word::is_word(good), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "A", "a b", "a_b", "ä", "a\n", &"x".repeat(33)] {
            assert!(!Word::is_word(bad), "{bad}");
        }
    }
}
