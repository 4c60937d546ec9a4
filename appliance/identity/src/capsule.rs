//! The capsule: who this box is, in one small text that says whether it is whole.
//!
//! Two copies of it lie on the state partition ([`crate::store`]). The text is for people, too: a header, a checksum,
//! and JSON.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sign::hex;

/// The version written and read here.
pub const VERSION: u32 = 1;

/// The longest capsule that is read; an honest one has some five kilobytes.
pub const LONGEST: u64 = 64 * 1024;

const HEADER: &str = "stayput-capsule";

/// Everything that makes this box itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capsule {
    /// Counts up with each writing: the higher of two whole copies is the newer one.
    pub generation: u64,
    /// Activations that gave an identity, by id: none of them is used again.
    pub used: BTreeSet<String>,
    /// The identity in use.
    pub identity: Option<Identity>,
    /// A registration that has begun and has not given a token yet.
    pub pending: Option<Pending>,
}

/// An identity that the region knows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The board that it belongs to ([`crate::board`]).
    pub board: String,
    /// `mi-…`
    pub instance: String,
    /// The region that gave it.
    pub region: String,
    /// The random name that the box gave itself; the region compares it and nothing else.
    pub fingerprint: String,
    /// The key, as [`crate::Key`] writes it.
    pub key: String,
    /// A key that is to take its place: safe here before the region is told.
    pub next_key: Option<String>,
}

/// A registration under way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The activation's id.
    pub activation: String,
    /// How often it was sent without our knowing what became of it. Counted before the first byte leaves.
    pub unanswered: u32,
    /// The identity that it will be; the instance is empty until the region has answered.
    pub identity: Identity,
}

impl Pending {
    /// Whether the region has answered.
    pub fn is_registered(&self) -> bool {
        !self.identity.instance.is_empty()
    }
}

/// Why a text is no capsule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It does not begin as one: empty, cut, or something else.
    Foreign,
    /// Written by a later version.
    Version(u32),
    /// The checksum and the text do not fit.
    Torn,
    /// Whole, and not in this version's form.
    Form(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => out.write_str("it does not begin as a capsule"),
            Self::Version(version) => write!(out, "it is of version {version}"),
            Self::Torn => out.write_str("its checksum does not fit: a write was cut, or the card forgets"),
            Self::Form(what) => out.write_str(what),
        }
    }
}

impl Capsule {
    /// The capsule of a card that has no identity yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The capsule as the bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = serde_json::to_string_pretty(self)
            .expect("texts and numbers are JSON, and nothing else is in it");
        let sum = hex(&Sha256::digest(body.as_bytes()));
        format!("{HEADER} {VERSION}\nsha256 {sum}\n{body}\n").into_bytes()
    }

    /// The capsule in the bytes of a file. Nothing in it is believed before the checksum fits.
    pub fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes.len() as u64 > LONGEST {
            return Err(Flaw::Foreign);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Flaw::Foreign)?;
        let (header, rest) = text.split_once('\n').ok_or(Flaw::Foreign)?;
        let version =
            header.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix(' ')).ok_or(Flaw::Foreign)?;
        let number: u32 = version.parse().map_err(|_| Flaw::Foreign)?;
        if number > VERSION {
            return Err(Flaw::Version(number));
        }
        // The checksum does not cover this line: it has one spelling.
        if version != VERSION.to_string() {
            return Err(Flaw::Foreign);
        }
        let (sum, rest) = rest.split_once('\n').ok_or(Flaw::Torn)?;
        let body = rest.strip_suffix('\n').ok_or(Flaw::Torn)?;
        if sum != format!("sha256 {}", hex(&Sha256::digest(body.as_bytes()))) {
            return Err(Flaw::Torn);
        }
        serde_json::from_str(body).map_err(|error| Flaw::Form(error.to_string()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changing = if self.next_key.is_some() { ", changing its key" } else { "" };
        write!(out, "Identity({} in {}{changing})", self.instance, self.region)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Pending({}, unanswered {}, {:?})", self.activation, self.unanswered, self.identity)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full() -> Capsule {
        let identity = Identity {
            board: "serial:1".to_owned(),
            instance: "mi-0123456789abcdef0".to_owned(),
            region: "eu-central-1".to_owned(),
            fingerprint: "f".to_owned(),
            key: "SECRET".to_owned(),
            next_key: Some("SECRET2".to_owned()),
        };
        let pending = Pending { activation: "a".to_owned(), unanswered: 1, identity: identity.clone() };
        Capsule {
            generation: 7,
            used: BTreeSet::from(["b".to_owned()]),
            identity: Some(identity),
            pending: Some(pending),
        }
    }

    #[test]
    fn a_capsule_comes_back_as_it_was() {
        for capsule in [Capsule::new(), full()] {
            assert_eq!(Capsule::parse(&capsule.to_bytes()), Ok(capsule));
        }
    }

    #[test]
    fn no_cut_capsule_is_believed() {
        let whole = full().to_bytes();
        for end in 0..whole.len() {
            assert!(Capsule::parse(&whole[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn no_changed_byte_is_believed() {
        let whole = full().to_bytes();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            assert!(Capsule::parse(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_later_version_is_told_as_such() {
        let later = String::from_utf8(full().to_bytes()).unwrap().replacen("capsule 1", "capsule 2", 1);
        assert_eq!(Capsule::parse(later.as_bytes()), Err(Flaw::Version(2)));
    }

    #[test]
    fn a_version_that_was_never_written_is_no_capsule() {
        for bad in ["0", "01", "+1", "", "-1", "1 "] {
            let text = String::from_utf8(full().to_bytes()).unwrap();
            let text = text.replacen("capsule 1\n", &format!("capsule {bad}\n"), 1);
            assert_eq!(Capsule::parse(text.as_bytes()), Err(Flaw::Foreign), "{bad:?}");
        }
    }

    #[test]
    fn no_key_shows_itself() {
        assert!(!format!("{:?}", full()).contains("SECRET"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Capsule::parse(&bytes);
        }
    }
}
