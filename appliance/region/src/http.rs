//! HTTP/1.1 as far as a region's front needs it: whole requests in, whole replies out.

mod read;
mod write;

pub use read::{Flaw, request, response};
pub use write::{write_request, write_response};

/// The longest head that is read.
pub const LONGEST_HEAD: usize = 64 * 1024;

/// The longest body that is read: a file on its way into a bucket.
pub const LONGEST_BODY: u64 = 1 << 30;

/// A request, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `POST`
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// In the order they came, names as they were written.
    pub headers: Vec<(String, String)>,
    /// Without its transfer coding.
    pub body: Vec<u8>,
}

/// A reply, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP's status.
    pub status: u16,
    /// Without those that say how long the body is.
    pub headers: Vec<(String, String)>,
    /// Without its transfer coding.
    pub body: Vec<u8>,
    /// What a reply without a body says of its length: the answer to `HEAD`.
    pub announced: Option<u64>,
}

impl Response {
    /// A reply with a body of a kind.
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Self { status, headers, body: body.into(), announced: None }
    }
}

impl Request {
    /// The only value under a name; `None` where there is none, or more than one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Every value under a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(of, _)| of.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The path, as it came.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query, as it came; empty where there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The host's name in small letters, without the port.
    pub fn host(&self) -> Option<String> {
        let host = self.header("host")?;
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        Some(name.map_or(host, |(name, _)| name).to_ascii_lowercase())
    }
}
