//! The region as the identity sees it: one request, and how certain it is that it never left.

use jiff::Timestamp;

use crate::wire::Call;

/// A request, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Which call it is.
    pub call: Call,
    /// Headers beside host, length, content type and target.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP's status.
    pub status: u16,
    /// The `Date` header.
    pub date: Option<Timestamp>,
    /// The body, as much of it as an honest one has.
    pub body: Vec<u8>,
}

/// What was in the way of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// The name was not answered.
    Name,
    /// No connection, or it broke, or nothing came in time.
    Connection,
    /// Someone answered whose certificate no trusted authority signed for this name.
    Stranger,
    /// The certificate is not valid today, as far as this box knows the day.
    Dates,
    /// The proxy refused.
    Proxy,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It was answered.
    Answered(Reply),
    /// Not one byte of it left: it certainly had no effect.
    Never(Obstacle),
    /// It may have arrived; there was no answer.
    Unanswered(Obstacle),
}

/// The service, or what stands in for it in a test.
pub trait Region {
    /// The host that signatures name, with its port where that is not the usual one.
    fn host(&self) -> &str;

    /// Finds out, without effect, whether a request would arrive now.
    fn reach(&mut self) -> Result<(), Obstacle>;

    /// Sends a request and waits for its answer.
    fn send(&mut self, request: &Request) -> Sent;
}

impl std::fmt::Debug for Request {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Request({:?}, {} bytes, not shown)", self.call, self.body.len())
    }
}
