//! Objects that a message names, fetched one after the other through the mover's pipe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::desk::Trouble;
use super::link::Ask;
use super::store::Store;
use crate::orders::Object;
use crate::protocol::{self, Inbound};
use crate::{Disposition, OrderKey, Outcome};

/// Which buckets orders may name, and how keys in them must begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Vec<(String, String)>);

impl Allowed {
    /// The buckets in `text`: each as `bucket` or `bucket/how-keys-begin`, separated by spaces.
    pub fn read(text: &str) -> Option<Self> {
        let rule = |word: &str| {
            let (bucket, start) = word.split_once('/').unwrap_or((word, ""));
            let is_name =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
            let good = (3..=63).contains(&bucket.len()) && bucket.bytes().all(is_name);
            good.then(|| (bucket.to_owned(), start.to_owned()))
        };
        text.split_ascii_whitespace().map(rule).collect::<Option<_>>().map(Self)
    }

    /// Whether there is no bucket at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `object` may be fetched.
    pub fn allows(&self, object: &Object) -> bool {
        self.0
            .iter()
            .any(|(bucket, start)| *bucket == object.bucket && object.key.starts_with(start.as_str()))
    }
}

/// What came of a message's objects: the worst outcome, and the keys of those that are done.
pub type Fetched = (Outcome, Vec<OrderKey>);

/// The way from the store to the mover.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) store: Arc<Store>,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) transfers: Arc<AtomicU32>,
}

impl Way {
    /// Fetches all, until one is not done.
    pub(super) async fn fetch(self, objects: Vec<Object>) -> Result<Fetched, Trouble> {
        let mut done = Vec::new();
        for object in &objects {
            let (outcome, key) = self.fetch_one(object).await?;
            if outcome.disposition() != Disposition::Delete {
                return Ok((outcome, done));
            }
            done.push(key);
        }
        Ok((Outcome::Done, done))
    }

    async fn fetch_one(&self, wanted: &Object) -> Result<(Outcome, OrderKey), Trouble> {
        let object = self.store.get(&wanted.bucket, &wanted.key, wanted.version.as_deref()).await?;
        let order = object.order(&wanted.bucket, &wanted.key);
        let key = order.key.clone();
        let transfer = self.transfers.fetch_add(1, Ordering::Relaxed);
        let inbound = Inbound {
            transfer,
            order,
            length: object.length,
            checksum: object.checksum.clone(),
            version: protocol::version(&object.version),
        };
        let begun = self.ask(|answer| Ask::SendIn(inbound, answer)).await;
        let pipe = match begun {
            Some(Ok(pipe)) => pipe,
            Some(Err(outcome)) => return Ok((outcome, key)),
            // The mover went away, and with it what had come.
            None => return Ok((Outcome::Incomplete, key)),
        };
        let poured = object.pour(pipe).await;
        let ended = match &poured {
            Ok(()) => self.ask(|answer| Ask::Complete(transfer, answer)).await,
            Err(_) => self.ask(|answer| Ask::Abort(transfer, answer)).await,
        };
        poured?;
        Ok((ended.unwrap_or(Outcome::Incomplete), key))
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(ask(answer)).ok()?;
        answered.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bucket: &str, key: &str) -> Object {
        Object { bucket: bucket.to_owned(), key: key.to_owned(), version: None, size: None }
    }

    #[test]
    fn only_what_a_rule_names_is_fetched() {
        let allowed = Allowed::read("inbox/in/  other").unwrap();
        assert!(allowed.allows(&object("inbox", "in/a")) && allowed.allows(&object("other", "x")));
        assert!(!allowed.allows(&object("inbox", "out/a")) && !allowed.allows(&object("inbox2", "in/a")));
        assert!(
            Allowed::read("").unwrap().is_empty() && !Allowed::default().allows(&object("inbox", "in/a"))
        );
        for wrong in ["s3://inbox", "Inbox", "a", "in_box"] {
            assert_eq!(Allowed::read(wrong), None, "{wrong}");
        }
    }
}
