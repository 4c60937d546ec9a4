//! Bodies of messages: what a text that came from the region asks for, and that nothing else is guessed.
//!
//! | body | meaning |
//! |---|---|
//! | text that is no JSON object | the name of a file, byte by byte |
//! | `{"file": …}`, `{"file": …, "id": …}` | the same, with a key of its own |
//! | a bucket's notification, sent to the queue by S3 itself | objects that came (fetch) or went (nothing to do) |
//! | the same through EventBridge, where keys are not encoded | the same |
//! | `s3:TestEvent` | nothing to do |
//!
//! All else is [`Poison`]: left on the queue for its redrive policy.

mod bucket;

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{Naming, Order, OrderKey};

/// What one message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Move one file.
    Move(Order),
    /// Fetch these objects: 1 to [`Asked::MOST`].
    Fetch(Vec<Object>),
    /// Nothing: the message may be acknowledged.
    Nothing,
}

/// An object in a bucket, as a notification names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// Which version, where the bucket keeps versions.
    pub version: Option<String>,
    /// The length that the notification states.
    pub size: Option<u64>,
}

impl Object {
    /// How many bytes of memory it takes up.
    pub(crate) fn bytes(&self) -> usize {
        let version = self.version.as_ref().map_or(0, String::capacity);
        size_of::<Self>() + self.bucket.capacity() + self.key.capacity() + version
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Object(key of {} bytes, {:?} bytes)", self.key.len(), self.size)
    }
}

/// Why a body is no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Poison {
    /// No bytes at all.
    #[error("the body is empty; send the name of a file")]
    Empty,
    /// More than a name may have.
    #[error("the body is no JSON and longer than any name; send the name of a file")]
    Long,
    /// It begins like an object of JSON and is none.
    #[error("the body begins like JSON and is none, or not of a known form; send {{\"file\": …}}")]
    Json,
    /// A JSON object of no known form.
    #[error("the body is JSON of an unknown form; send {{\"file\": …}} or a bucket's notification")]
    Form,
    /// A key that is empty or too long.
    #[error("the order's id is empty or longer than 128 bytes; send a shorter one or none")]
    Key,
    /// A notification of an event that is no order.
    #[error(
        "the notification is of an event that is no order; restrict the bucket's notification to created objects"
    )]
    Event,
    /// A key that is not encoded as notifications are.
    #[error(
        "the notification's key is not encoded as S3 encodes it; do not rewrite notifications on their way"
    )]
    Encoding,
    /// A notification of more records than one can have.
    #[error("the notification has no records or too many of them; do not rewrite notifications on their way")]
    Records,
}

impl Asked {
    /// The most objects in one message.
    pub const MOST: usize = 32;

    /// What `body` asks for. `message` is the message's own id: the key of an order that has none.
    pub fn read(message: &OrderKey, body: &str) -> Result<Self, Poison> {
        // Editors on Windows begin a text with this; no name does, and JSON may not.
        let json = body.strip_prefix('\u{feff}').unwrap_or(body);
        if begins_like_an_object(json) {
            return Self::read_object(message, json);
        }
        match body.len() {
            0 => Err(Poison::Empty),
            1..=Order::LONGEST_NAME => Ok(Self::Move(order(message.clone(), body.to_owned()))),
            _ => Err(Poison::Long),
        }
    }

    fn read_object(message: &OrderKey, json: &str) -> Result<Self, Poison> {
        let shape: Shape = serde_json::from_str(json).map_err(|_| Poison::Json)?;
        match shape {
            Shape { file: Some(_), .. } => {
                let spelled: Spelled = serde_json::from_str(json).map_err(|_| Poison::Form)?;
                if spelled.file.is_empty() {
                    return Err(Poison::Empty);
                }
                if spelled.file.len() > Order::LONGEST_NAME {
                    return Err(Poison::Long);
                }
                let key = match spelled.id {
                    Some(id) => OrderKey::new(id.as_bytes()).ok_or(Poison::Key)?,
                    None => message.clone(),
                };
                Ok(Self::Move(order(key, spelled.file)))
            }
            Shape { records: Some(_), .. } => bucket::notification(json),
            Shape { detail: Some(_), .. } => bucket::event(json),
            Shape { event: Some(_), .. } => bucket::test(json),
            _ => Err(Poison::Form),
        }
    }
}

/// A name may begin with a brace, so only what must go on as an object does is taken for one.
fn begins_like_an_object(text: &str) -> bool {
    let space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let Some(inside) = text.trim_start_matches(space).strip_prefix('{') else { return false };
    inside.trim_start_matches(space).starts_with(['"', '}'])
}

fn order(key: OrderKey, name: String) -> Order {
    Order { key, naming: Naming::Suffixed, name: name.into_bytes() }
}

/// Which form an object has, by the keys that it holds.
#[derive(Deserialize)]
struct Shape {
    file: Option<IgnoredAny>,
    #[serde(rename = "Records")]
    records: Option<IgnoredAny>,
    detail: Option<IgnoredAny>,
    #[serde(rename = "Event")]
    event: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    file: String,
    id: Option<String>,
}
