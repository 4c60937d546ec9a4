//! A card and an image for tests.

use std::collections::BTreeMap;
use std::io;

use stayput_setup::intake::Around;

/// A certificate as far as anyone here looks at it.
#[allow(dead_code)] // not every test has one
pub const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";

/// Files by name, on a box that knows two time zones.
#[derive(Debug, Default)]
pub struct Made(pub BTreeMap<String, Vec<u8>>);

impl Made {
    /// A card with this `stayput.toml`.
    pub fn with(text: &str) -> Self {
        Self::default().and("stayput.toml", text)
    }

    /// And this file.
    pub fn and(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.0.insert(name.to_owned(), content.as_ref().to_owned());
        self
    }
}

impl Around for Made {
    fn file(&self, name: &str, longest: usize) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(name).map(|bytes| bytes[..bytes.len().min(longest + 1)].to_owned()))
    }

    fn has_zone(&self, zone: &str) -> bool {
        ["Europe/Berlin", "UTC"].contains(&zone)
    }
}
