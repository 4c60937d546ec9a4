//! Facts for `STATUS.txt`: a closed list, each with its own rule, so that no secret and no free text fits in.

use std::collections::BTreeMap;

use crate::{Error, Result};

macro_rules! facts {
    ($($(#[$doc:meta])+ $variant:ident = $title:literal, $expected:literal, $rule:expr;)+) => {
        /// One fact about the box, in the order in which `STATUS.txt` lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fact { $($(#[$doc])+ $variant,)+ }

        impl Fact {
            /// Every fact.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// What the file calls it.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            const fn expected(self) -> &'static str {
                match self { $(Self::$variant => $expected,)+ }
            }

            fn allows(self, value: &str) -> bool {
                let rule: fn(&str) -> bool = match self { $(Self::$variant => $rule,)+ };
                (1..=Self::LONGEST).contains(&value.len()) && rule(value)
            }
        }
    };
}

facts! {
    /// The box's own name.
    Name = "Name", "a host name of at most 64 of a-z, 0-9, '.' and '-'", host_name;
    /// The board's title.
    Board = "Board", "a board's title of at most 40 letters, digits, spaces and hyphens",
        |value| value.len() <= 40 && of(value, |c| c.is_ascii_alphanumeric() || " -".contains(c));
    /// The version that runs.
    Version = "Version", "a version of at most 32 of 0-9, a-z, '.', '+' and '-'",
        |value| value.len() <= 32 && of(value, |c| c.is_ascii_digit() || c.is_ascii_lowercase() || ".+-".contains(c));
    /// The slot that runs.
    Slot = "System", "'A' or 'B'", |value| value == "A" || value == "B";
    /// Its addresses on the network.
    Addresses = "Addresses", "one to four IP addresses, separated by a comma and a space", addresses;
    /// The key by which callers know the SFTP door.
    DoorKey = "Door's key", "'SHA256:' and 43 letters, digits, '+' and '/'", |value| {
        value.strip_prefix("SHA256:").is_some_and(|rest| {
            rest.len() == 43 && of(rest, |c| c.is_ascii_alphanumeric() || "+/".contains(c))
        })
    };
    /// The region that it belongs to.
    Region = "Region", "a region's name, as in eu-central-1", |value| value.len() <= 32 && host_name(value);
    /// Its identity in the region.
    Instance = "Instance", "'mi-' and 17 hexadecimal digits", |value| {
        value.strip_prefix("mi-").is_some_and(|digits| digits.len() == 17 && of(digits, is_hex))
    };
    /// What became of the activation's code on the card.
    Code = "Activation code", "'overwritten' or 'still on the card'",
        |value| value == "overwritten" || value == "still on the card";
    /// How many orders were carried out.
    Processed = "Orders done", "a number", number;
    /// How many orders wait for their files.
    Waiting = "Orders waiting", "a number", number;
    /// How many orders were set aside.
    Parked = "Orders set aside", "a number", number;
    /// The number of the ledger's last record.
    LedgerLength = "Ledger records", "a number", number;
    /// The ledger's head: whoever keeps it can prove later that no record was taken out.
    LedgerHead = "Ledger head", "64 hexadecimal digits", |value| value.len() == 64 && of(value, is_hex);
}

fn of(value: &str, allowed: impl Fn(char) -> bool) -> bool {
    value.chars().all(allowed)
}

fn is_hex(c: char) -> bool {
    c.is_ascii_digit() || ('a'..='f').contains(&c)
}

fn number(value: &str) -> bool {
    value.len() <= 20 && of(value, |c| c.is_ascii_digit())
}

fn host_name(value: &str) -> bool {
    value.len() <= 64 && of(value, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
}

fn addresses(value: &str) -> bool {
    let mut parts = value.split(", ");
    value.split(", ").count() <= 4 && parts.all(|part| part.parse::<std::net::IpAddr>().is_ok())
}

impl Fact {
    /// The longest value: four IPv6 addresses.
    pub const LONGEST: usize = 4 * 39 + 3 * 2;
}

/// The facts that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    known: BTreeMap<Fact, String>,
}

impl Facts {
    /// States a fact. A value that breaks the fact's rule is refused and not repeated in the error.
    pub fn set(&mut self, fact: Fact, value: &str) -> Result<()> {
        if !fact.allows(value) {
            return Err(Error::BadFact { fact: fact.title(), expected: fact.expected() });
        }
        self.known.insert(fact, value.to_owned());
        Ok(())
    }

    /// What is known of `fact`.
    pub fn get(&self, fact: Fact) -> Option<&str> {
        self.known.get(&fact).map(String::as_str)
    }

    /// The facts that are known, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Fact, &str)> {
        self.known.iter().map(|(fact, value)| (*fact, value.as_str()))
    }
}
