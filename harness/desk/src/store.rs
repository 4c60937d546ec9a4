//! The other side of the object store: who makes a bucket, and puts objects into it. Straight to the emulator, as the queue's is.

use crate::emulator::{Asked, ask};
use crate::{Queue, Result};

/// A bucket whose new objects are told to a queue.
#[derive(Debug, Clone)]
pub struct Store {
    region: String,
    bucket: String,
}

impl Store {
    /// Makes a bucket that says to `queue` what comes into it.
    pub fn make(bucket: &str, queue: &Queue) -> Result<Self> {
        let store = Self { region: queue.region().to_owned(), bucket: bucket.to_owned() };
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            store.region
        );
        store.put("CreateBucket", &format!("/{bucket}"), &[], place.into_bytes())?;
        queue.let_in(bucket)?;
        let told = format!(
            "<NotificationConfiguration><QueueConfiguration><Id>orders</Id><Queue>{}</Queue>\
             <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
            queue.arn()
        );
        let target = format!("/{bucket}?notification");
        store.put("PutBucketNotificationConfiguration", &target, &[], told.into_bytes())?;
        Ok(store)
    }

    /// Puts an object in; the store keeps a checksum over all of it.
    pub fn bring(&self, key: &str, content: &[u8]) -> Result<()> {
        let asked = [("x-amz-sdk-checksum-algorithm", "SHA256".to_owned())];
        self.put("PutObject", &format!("/{}/{key}", self.bucket), &asked, content.to_vec())
    }

    fn put(&self, call: &'static str, target: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<()> {
        let asked = Asked { service: "s3", region: &self.region, method: "PUT", target };
        ask(call, &asked, headers, body).map(drop)
    }
}
