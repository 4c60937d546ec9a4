//! The other side of a queue: who makes it, sends orders, and looks what is left.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use aws_sdk_sqs::{Client, Config};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// A client of its own, straight to the emulator.
pub struct Control {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

/// A queue and the one that it sets messages aside on.
#[derive(Debug, Clone)]
pub struct Queues {
    pub orders: String,
    pub aside: String,
}

/// How many messages a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    pub visible: u32,
    pub hidden: u32,
}

impl Control {
    pub fn new(emulator: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(format!("http://{emulator}"))
            .credentials_provider(Credentials::new("control", "secret", None, None, "test"))
            .http_client(http)
            .build();
        Self { runtime, client: Client::from_conf(config) }
    }

    /// Makes a queue that sets messages aside after `receives` deliveries and keeps them for `retention` seconds.
    pub fn make(&self, name: &str, receives: u32, retention: u32) -> Queues {
        self.runtime.block_on(async {
            let aside = self.client.create_queue().queue_name(format!("{name}-aside")).send().await.unwrap();
            let aside = aside.queue_url.unwrap();
            let arn = self.client.get_queue_attributes().queue_url(&aside);
            let arn = arn.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
            let arn = arn.attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
            let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": receives });
            let orders = self
                .client
                .create_queue()
                .queue_name(name)
                .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
                .attributes(QueueAttributeName::MessageRetentionPeriod, retention.to_string())
                .send()
                .await
                .unwrap();
            Queues { orders: orders.queue_url.unwrap(), aside }
        })
    }

    /// Sets for how many seconds a queue keeps messages.
    pub fn keep(&self, queue: &str, seconds: u32) {
        let set = self.client.set_queue_attributes().queue_url(queue);
        let set = set.attributes(QueueAttributeName::MessageRetentionPeriod, seconds.to_string());
        self.runtime.block_on(set.send()).unwrap();
    }

    pub fn send(&self, queue: &str, bodies: impl IntoIterator<Item = String>) {
        let bodies: Vec<_> = bodies.into_iter().collect();
        self.runtime.block_on(async {
            // Large ones would not fit one call together.
            let most = if bodies.iter().any(|body| body.len() > 20_000) { 1 } else { 10 };
            for batch in bodies.chunks(most) {
                let entries = batch.iter().enumerate().map(|(index, body)| {
                    let entry = SendMessageBatchRequestEntry::builder().id(index.to_string());
                    entry.message_body(body).build().unwrap()
                });
                let sent = self.client.send_message_batch().queue_url(queue);
                let sent = sent.set_entries(Some(entries.collect())).send().await.unwrap();
                assert!(sent.failed.is_empty(), "{:?}", sent.failed);
            }
        });
    }

    pub fn depth(&self, queue: &str) -> Depth {
        self.runtime.block_on(async {
            let asked =
                self.client.get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::All);
            let all: HashMap<_, _> = asked.send().await.unwrap().attributes.unwrap();
            let number = |name| all.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0);
            Depth {
                visible: number(QueueAttributeName::ApproximateNumberOfMessages),
                hidden: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            }
        })
    }

    /// The bodies of what is visible on a queue now.
    pub fn bodies(&self, queue: &str) -> HashSet<String> {
        let mut found = HashSet::new();
        self.runtime.block_on(async {
            loop {
                let received = self.client.receive_message().queue_url(queue).max_number_of_messages(10);
                let received = received.visibility_timeout(600).send().await.unwrap();
                let messages = received.messages.unwrap_or_default();
                if messages.is_empty() {
                    return found;
                }
                found.extend(messages.into_iter().filter_map(|message| message.body));
            }
        })
    }
}
