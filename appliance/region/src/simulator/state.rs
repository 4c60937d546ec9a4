//! What the service keeps.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use rsa::RsaPublicKey;
use sha2::{Digest as _, Sha256};

use super::{Rule, Tally};

/// An activation.
#[derive(Clone, PartialEq, Eq)]
pub struct Activation {
    /// A UUID.
    pub id: String,
    /// Twenty characters.
    pub code: String,
    /// For how many boxes.
    pub limit: u32,
    /// How many it was used for.
    pub used: u32,
    /// Until when.
    pub expires: Timestamp,
}

/// A managed instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `mi-` and seventeen digits.
    pub id: String,
    /// What it was made from.
    pub activation: String,
    /// What it said of itself.
    pub fingerprint: String,
    /// Its key.
    pub key: RsaPublicKey,
    /// Since when it has the key.
    pub key_since: Timestamp,
    /// Whether a new one is wanted.
    pub asked: bool,
    /// Whether an operator dropped it.
    pub dropped: bool,
    /// Whether its role may nothing.
    pub denied: bool,
    /// How many role tokens it got.
    pub tokens: u32,
    /// How often it gave a sign of life.
    pub pings: u32,
}

/// Credentials that were given.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose they are.
    pub instance: String,
    /// The access key.
    pub access: String,
    /// The secret key.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// Until when.
    pub expires: Timestamp,
}

/// Everything.
#[derive(Debug)]
pub(super) struct State {
    pub rule: Rule,
    pub activations: BTreeMap<String, Activation>,
    pub instances: Vec<Instance>,
    /// By access key.
    pub sessions: BTreeMap<String, Session>,
    pub tally: Tally,
    pub complaints: Vec<String>,
    /// The second that was counted last, and how many calls were in it.
    pub second: (i64, u32),
    seed: u64,
    drawn: u64,
}

impl State {
    pub fn new(rule: Rule, seed: u64) -> Self {
        Self {
            rule,
            activations: BTreeMap::new(),
            instances: Vec::new(),
            sessions: BTreeMap::new(),
            tally: Tally::default(),
            complaints: Vec::new(),
            second: (0, 0),
            seed,
            drawn: 0,
        }
    }

    pub fn activate(&mut self, limit: u32, expires: Timestamp) -> Activation {
        let text = self.draw(32, b"0123456789abcdef");
        let id =
            format!("{}-{}-4{}-8{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..]);
        let activation = Activation { id: id.clone(), code: self.draw(20, LETTERS), limit, used: 0, expires };
        self.activations.insert(id, activation.clone());
        activation
    }

    /// So many characters, each as likely as the others and the same for the same seed.
    pub fn draw(&mut self, length: usize, from: &[u8]) -> String {
        let mut text = String::new();
        while text.len() < length {
            self.drawn += 1;
            let bytes = [self.seed.to_le_bytes(), self.drawn.to_le_bytes()].concat();
            let rolls = Sha256::digest(bytes);
            let left = length - text.len();
            text.extend(
                rolls.iter().take(left).map(|roll| char::from(from[usize::from(*roll) % from.len()])),
            );
        }
        text
    }

    pub fn instance(&mut self, id: &str) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.id == id && !instance.dropped)
    }

    /// Whether a call more is one too many for this second.
    pub fn is_too_many(&mut self, now: Timestamp) -> bool {
        let second = now.as_second();
        self.second =
            if self.second.0 == second { (second, self.second.1.saturating_add(1)) } else { (second, 1) };
        self.rule.per_second.is_some_and(|most| self.second.1 > most)
    }
}

/// What secrets and codes are made of.
pub(super) const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+";

impl fmt::Debug for Activation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Activation({}, {} of {} used, until {})", self.id, self.used, self.limit, self.expires)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Session({} of {}, until {})", self.access, self.instance, self.expires)
    }
}
