//! The other side of the queue: who makes it, sends orders, and looks what is left. Straight to the emulator, past the front
//! door, as an application in the region would be.

use serde_json::{Value, json};

use crate::emulator::{Asked, ask};
use crate::{Emulator, Error, Result};

/// As many as a call takes.
const BATCH: usize = 10;
/// The emulator's account.
const ACCOUNT: &str = "000000000000";

/// A queue and the one that it sets messages aside on.
#[derive(Debug, Clone)]
pub struct Queue {
    region: String,
    name: String,
}

/// How many messages a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be taken.
    pub visible: u64,
    /// Taken, and not deleted yet.
    pub hidden: u64,
    /// Set aside.
    pub aside: u64,
}

impl Depth {
    /// Nothing anywhere.
    pub const EMPTY: Self = Self { visible: 0, hidden: 0, aside: 0 };

    /// Every message, wherever it is.
    pub fn all(self) -> u64 {
        self.visible + self.hidden + self.aside
    }
}

impl Queue {
    /// Makes a queue that sets a message aside after so many deliveries.
    pub fn make(region: &str, name: &str, deliveries: u32) -> Result<Self> {
        let queue = Self { region: region.to_owned(), name: name.to_owned() };
        queue.call("CreateQueue", json!({ "QueueName": queue.aside() }))?;
        let arn = format!("arn:aws:sqs:{region}:{ACCOUNT}:{}", queue.aside());
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": deliveries }).to_string();
        let attributes = json!({ "RedrivePolicy": policy, "MessageRetentionPeriod": "345600" });
        queue.call("CreateQueue", json!({ "QueueName": name, "Attributes": attributes }))?;
        Ok(queue)
    }

    /// The queue as the box calls it.
    pub fn url(region: &str, suffix: &str, name: &str) -> String {
        format!("https://sqs.{region}.{suffix}/{ACCOUNT}/{name}")
    }

    /// Sends orders.
    pub fn send<T: AsRef<str>>(&self, bodies: impl IntoIterator<Item = T>) -> Result<()> {
        let bodies: Vec<_> = bodies.into_iter().collect();
        for batch in bodies.chunks(BATCH) {
            let entries: Vec<_> = (0..)
                .zip(batch)
                .map(|(id, body)| json!({ "Id": id.to_string(), "MessageBody": body.as_ref() }))
                .collect();
            let sent = self.call(
                "SendMessageBatch",
                json!({ "QueueUrl": self.address(&self.name), "Entries": entries }),
            )?;
            if sent["Failed"].as_array().is_some_and(|failed| !failed.is_empty()) {
                return Err(Error::Call { call: "SendMessageBatch", why: sent.to_string() });
            }
        }
        Ok(())
    }

    /// Lets the store say to this queue what comes into a bucket.
    pub(crate) fn let_in(&self, bucket: &str) -> Result<()> {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "s3.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": self.arn(),
            "Condition": { "ArnLike": { "aws:SourceArn": format!("arn:aws:s3:::{bucket}") } },
        }] });
        let attributes = json!({ "Policy": policy.to_string() });
        let asked = json!({ "QueueUrl": self.address(&self.name), "Attributes": attributes });
        self.call("SetQueueAttributes", asked).map(drop)
    }

    /// Its region.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Its name among all.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:sqs:{}:{ACCOUNT}:{}", self.region, self.name)
    }

    /// Throws away every message, set aside or not.
    pub fn purge(&self) -> Result<()> {
        for name in [&self.name, &self.aside()] {
            self.call("PurgeQueue", json!({ "QueueUrl": self.address(name) }))?;
        }
        Ok(())
    }

    /// How many messages there are.
    pub fn depth(&self) -> Result<Depth> {
        let [visible, hidden] = self.count(&self.name)?;
        let aside = self.count(&self.aside())?;
        Ok(Depth { visible, hidden, aside: aside.iter().sum() })
    }

    fn count(&self, name: &str) -> Result<[u64; 2]> {
        let asked = json!({ "QueueUrl": self.address(name), "AttributeNames": ["All"] });
        let told = self.call("GetQueueAttributes", asked)?;
        let number = |name: &str| told["Attributes"][name].as_str().and_then(|text| text.parse().ok());
        ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            .map(|name| number(name).ok_or_else(|| told.to_string()))
            .into_iter()
            .collect::<std::result::Result<Vec<_>, _>>()
            .ok()
            .and_then(|counts| counts.try_into().ok())
            .ok_or_else(|| Error::Call { call: "GetQueueAttributes", why: told.to_string() })
    }

    fn aside(&self) -> String {
        format!("{}-aside", self.name)
    }

    fn address(&self, name: &str) -> String {
        format!("http://{}/{ACCOUNT}/{name}", Emulator::address())
    }

    fn call(&self, call: &'static str, body: Value) -> Result<Value> {
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", format!("AmazonSQS.{call}")),
        ];
        let asked = Asked { service: "sqs", region: &self.region, method: "POST", target: "/" };
        let body = ask(call, &asked, &headers, body.to_string().into_bytes())?;
        let text = String::from_utf8_lossy(&body);
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        let failed = |why: String| Error::Call { call, why };
        serde_json::from_str(&text).map_err(|error| failed(format!("{error} in {text}")))
    }
}
