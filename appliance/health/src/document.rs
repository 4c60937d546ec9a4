//! From a file's bytes to a typed TOML document, with every mistake named by line and column.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::error::Place;
use crate::{Error, Result};

/// The longest TOML document that is read; the ones in the tree have a few thousand bytes.
const LONGEST: u64 = 1024 * 1024;

/// The text in `bytes`: UTF-8 of at most `limit` bytes, without a byte order mark.
pub(crate) fn text_of<'a>(bytes: &'a [u8], file: &str, limit: u64) -> Result<&'a str> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > limit {
        return Err(Error::TooLong { file: file.to_owned(), length, limit });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        Error::NotUtf8 { place: Place::of(file, &good, good.len()) }
    })
}

/// A TOML document that was read, and its text, in which rules over several values find their places.
pub(crate) struct Document<'a, T> {
    pub(crate) content: T,
    file: &'a str,
    text: &'a str,
}

impl<'a, T: DeserializeOwned> Document<'a, T> {
    /// Reads a document of version `known`.
    pub(crate) fn parse(bytes: &'a [u8], file: &'a str, known: u32) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: i64,
        }
        let text = text_of(bytes, file, LONGEST)?;
        // The version first: a later one may have keys that this program would call unknown.
        let Versioned { version } = toml::from_str(text).map_err(|error| malformed(file, text, &error))?;
        if version != i64::from(known) {
            return Err(Error::Version { file: file.to_owned(), found: version, known });
        }
        let content = toml::from_str(text).map_err(|error| malformed(file, text, &error))?;
        Ok(Self { content, file, text })
    }
}

impl<T> Document<'_, T> {
    /// An error at `value`'s place.
    pub(crate) fn broken<V>(&self, value: &Spanned<V>, what: String, remedy: &'static str) -> Error {
        Error::Rule { place: Place::of(self.file, self.text, value.span().start), what, remedy }
    }

    /// Refuses a value that occurs twice, naming the line of the first.
    pub(crate) fn distinct<V: Ord + Clone + fmt::Display>(
        &self,
        what: &str,
        values: &[Spanned<V>],
        remedy: &'static str,
    ) -> Result<()> {
        self.distinct_by(what, values, V::clone, remedy)
    }

    /// Refuses rows that share a key, naming the line of the first.
    pub(crate) fn distinct_by<V, K: Ord + fmt::Display>(
        &self,
        what: &str,
        rows: &[Spanned<V>],
        key: impl Fn(&V) -> K,
        remedy: &'static str,
    ) -> Result<()> {
        let mut seen = BTreeMap::new();
        for row in rows {
            let key = key(row.get_ref());
            if let Some(first) = seen.get(&key) {
                let line = Place::of(self.file, self.text, *first).line;
                return Err(self.broken(
                    row,
                    format!("{what} '{key}' is already used in line {line}"),
                    remedy,
                ));
            }
            seen.insert(key, row.span().start);
        }
        Ok(())
    }
}

fn malformed(file: &str, text: &str, error: &toml::de::Error) -> Error {
    let offset = error.span().map_or(0, |span| span.start);
    let what = error.message().trim().replace('\n', "; ");
    Error::Malformed { place: Place::of(file, text, offset), what }
}
