//! The queue, through the SDK. Each call is one attempt within a time of its own: what is tried again, and when, is the
//! desk's decision, and a call that hangs (aws-sdk-rust#1094) is given up.

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::{BehaviorVersion, IdentityCache, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, QueueAttributeName,
};
use aws_sdk_sqs::{Client, Config};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;

use super::desk::{Entry, Fault, Received, Trouble, VISIBILITY};
use super::{Error, Rules, Settings, wire};
use crate::OrderKey;
use crate::credentials::Provider;
use crate::orders::Asked;

/// How long a receive waits for a message when nothing else is in flight; the service's limit.
const LONG: Duration = Duration::from_secs(20);
/// How long a further one waits.
const SHORT: Duration = Duration::from_secs(1);
/// How long the answer may take beyond that.
const ANSWER: Duration = Duration::from_secs(10);

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
    credentials: Provider,
}

/// What a queue says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// After how many deliveries a message is set aside.
    pub receives: Option<u32>,
    /// The ARN of the queue that it is set aside on.
    pub aside: Option<String>,
    /// For how long messages are kept.
    pub retention: Duration,
    /// How many messages are in flight.
    pub flying: u32,
    /// Whether the queue keeps an order.
    pub fifo: bool,
}

impl Attributes {
    /// The rules that waiting depends on.
    pub fn rules(&self) -> Rules {
        Rules { receives: self.receives, retention: self.retention }
    }
}

impl Queue {
    /// The queue of `settings`. Nothing is asked of it yet.
    pub fn new(settings: &Settings, credentials: Provider) -> Result<Self, Error> {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .endpoint_url(&settings.endpoint)
            .credentials_provider(credentials.clone())
            // The provider keeps what it has, and knows better when it is out of date.
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            // A wrong clock is to be seen and put right: signed with what the region's answers say it should be, calls would
            // go through, and every time in the ledger be wrong.
            .disable_clock_skew_correction(true)
            .http_client(wire::client(settings.authorities.as_deref())?)
            .build();
        Ok(Self { client: Client::from_conf(config), url: settings.queue.clone(), credentials })
    }

    /// Receives at most `most` messages; their bodies are read at once and not kept.
    pub async fn receive(&self, most: usize, long: bool) -> Result<Vec<Received>, Trouble> {
        let wait = if long { LONG } else { SHORT };
        let call = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(1))
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(0))
            .visibility_timeout(i32::try_from(VISIBILITY.as_secs()).unwrap_or(0))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send();
        let output = self.within(wait + ANSWER, call).await?;
        let mut messages = Vec::new();
        for message in output.messages.unwrap_or_default() {
            let receives = message
                .attributes
                .as_ref()
                .and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount))
                .and_then(|count| count.parse().ok())
                .unwrap_or(1);
            let id = message.message_id.as_deref().and_then(|id| OrderKey::new(id.as_bytes()));
            // Without these a message can neither be known again nor deleted; it comes again by itself.
            let (Some(receipt), Some(message_id)) = (message.receipt_handle, id) else { continue };
            let body = message.body.unwrap_or_default();
            messages.push(Received {
                receipt,
                receives,
                bytes: body.len(),
                asked: Asked::read(&message_id, &body),
                message: message_id,
            });
        }
        Ok(messages)
    }

    /// Deletes messages; the ones that were not deleted, with the reason.
    pub async fn delete(&self, entries: &[Entry]) -> Result<Vec<(u64, Fault)>, Trouble> {
        let entry = |entry: &Entry| {
            let built = DeleteMessageBatchRequestEntry::builder()
                .id(entry.slot.to_string())
                .receipt_handle(&entry.receipt);
            built.build().map_err(|_| Trouble::Answer)
        };
        let entries = entries.iter().map(entry).collect::<Result<_, _>>()?;
        let call = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send();
        Ok(faults(&self.within(ANSWER, call).await?.failed))
    }

    /// Hides messages for their seconds; the ones that were not, with the reason.
    pub async fn hide(&self, entries: &[Entry]) -> Result<Vec<(u64, Fault)>, Trouble> {
        let entry = |entry: &Entry| {
            let built = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(entry.slot.to_string())
                .receipt_handle(&entry.receipt)
                .visibility_timeout(i32::try_from(entry.seconds).unwrap_or(0));
            built.build().map_err(|_| Trouble::Answer)
        };
        let entries = entries.iter().map(entry).collect::<Result<_, _>>()?;
        let call = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send();
        Ok(faults(&self.within(ANSWER, call).await?.failed))
    }

    /// What the queue says about itself.
    pub async fn attributes(&self) -> Result<Attributes, Trouble> {
        self.attributes_of(&self.url).await
    }

    /// What the queue at `arn` says about itself; it is looked for under the same account and host.
    pub async fn attributes_beside(&self, arn: &str) -> Result<Attributes, Trouble> {
        let mut parts = arn.rsplit(':');
        let (Some(name), Some(account)) = (parts.next(), parts.next()) else { return Err(Trouble::Answer) };
        let call = self.client.get_queue_url().queue_name(name).queue_owner_aws_account_id(account).send();
        let url = self.within(ANSWER, call).await?.queue_url.ok_or(Trouble::Answer)?;
        self.attributes_of(&url).await
    }

    async fn attributes_of(&self, url: &str) -> Result<Attributes, Trouble> {
        // FifoQueue may not be asked for by name where it does not apply, so the name of the queue tells.
        let call = self
            .client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .attribute_names(QueueAttributeName::MessageRetentionPeriod)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send();
        let all = self.within(ANSWER, call).await?.attributes.unwrap_or_default();
        let number = |name| all.get(&name).and_then(|value| value.parse::<u32>().ok());
        let redrive = all.get(&QueueAttributeName::RedrivePolicy);
        let redrive: Option<Redrive> = redrive.and_then(|policy| serde_json::from_str(policy).ok());
        Ok(Attributes {
            receives: redrive.as_ref().and_then(|redrive| redrive.receives()),
            aside: redrive.and_then(|redrive| redrive.target),
            // The service's own default.
            retention: Duration::from_secs(u64::from(
                number(QueueAttributeName::MessageRetentionPeriod).unwrap_or(4 * 24 * 3600),
            )),
            flying: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap_or(0),
            fifo: url.ends_with(".fifo"),
        })
    }

    async fn within<T, E>(
        &self,
        time: Duration,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Trouble>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Ok(result) = tokio::time::timeout(time, call).await else { return Err(Trouble::Hung) };
        result.map_err(|error| {
            let trouble = trouble_of(&error);
            if trouble == Trouble::Credentials {
                self.credentials.distrust();
            }
            trouble
        })
    }
}

#[derive(serde::Deserialize)]
struct Redrive {
    /// A number, or a text that is one: the service takes and gives back either.
    #[serde(rename = "maxReceiveCount")]
    receives: serde_json::Value,
    #[serde(rename = "deadLetterTargetArn")]
    target: Option<String>,
}

impl Redrive {
    fn receives(&self) -> Option<u32> {
        let number = self.receives.as_u64().or_else(|| self.receives.as_str()?.parse().ok())?;
        u32::try_from(number).ok()
    }
}

fn faults(failed: &[BatchResultErrorEntry]) -> Vec<(u64, Fault)> {
    let fault = |entry: &BatchResultErrorEntry| {
        let code = entry.code();
        let receipt = ["ReceiptHandle", "InvalidParameterValue", "MessageNotInflight"];
        let is_receipt = receipt.iter().any(|part| code.contains(part));
        Some((entry.id().parse().ok()?, if is_receipt { Fault::Receipt } else { Fault::Other }))
    };
    failed.iter().filter_map(fault).collect()
}

fn trouble_of<E>(error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if comes_from_credentials(error) {
        return Trouble::Credentials;
    }
    match error {
        SdkError::TimeoutError(_) => Trouble::Hung,
        SdkError::DispatchFailure(_) => Trouble::Unreachable,
        // An answer that ends in the middle is the connection's fault, and looks like one that cannot be read.
        SdkError::ResponseError(response) if response.raw().status().is_success() => Trouble::Unreachable,
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let error = service.err();
            of_code(status, error.code().unwrap_or_default(), error.message().unwrap_or_default())
        }
        SdkError::ResponseError(response) => of_code(response.raw().status().as_u16(), "", ""),
        _ => Trouble::Answer,
    }
}

fn comes_from_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// What a service's error means. Codes differ between the two languages that the service speaks; both are known here.
pub(super) fn of_code(status: u16, code: &str, message: &str) -> Trouble {
    let any = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    let skewed = ["Signature expired", "Signature not yet current", "RequestExpired", "skewed"];
    if any(&["RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"])
        || skewed.iter().any(|part| message.contains(part))
    {
        Trouble::Clock
    } else if any(&[
        "ExpiredToken",
        "InvalidClientTokenId",
        "UnrecognizedClient",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "InvalidSignature",
        "InvalidAccessKeyId",
        "AuthFailure",
        "IncompleteSignature",
    ]) {
        Trouble::Credentials
    } else if any(&["Throttl", "TooManyRequests", "SlowDown", "RequestLimitExceeded"]) || status == 429 {
        Trouble::Throttled
    } else if any(&["OverLimit"]) {
        Trouble::Quota
    } else if any(&[
        "NonExistentQueue",
        "QueueDoesNotExist",
        "NoSuch",
        "AccessDenied",
        "Kms",
        "OptInRequired",
    ]) {
        Trouble::Denied
    } else if status >= 500 {
        Trouble::Service
    } else {
        Trouble::Answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_service_has_its_trouble() {
        let table = [
            (400, "AWS.SimpleQueueService.NonExistentQueue", "", Trouble::Denied),
            (400, "QueueDoesNotExist", "", Trouble::Denied),
            (403, "AccessDeniedException", "", Trouble::Denied),
            (403, "ExpiredTokenException", "", Trouble::Credentials),
            (403, "InvalidClientTokenId", "", Trouble::Credentials),
            (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match",
                Trouble::Credentials,
            ),
            (
                403,
                "SignatureDoesNotMatch",
                "Signature expired: 20160101T000000Z is now earlier than",
                Trouble::Clock,
            ),
            (403, "InvalidSignatureException", "Signature not yet current: 2099", Trouble::Clock),
            (400, "RequestThrottled", "", Trouble::Throttled),
            (429, "", "", Trouble::Throttled),
            (403, "OverLimit", "", Trouble::Quota),
            (500, "InternalError", "", Trouble::Service),
            (503, "", "", Trouble::Service),
            (400, "InvalidParameterValue", "", Trouble::Answer),
        ];
        for (status, code, message, trouble) in table {
            assert_eq!(of_code(status, code, message), trouble, "{status} {code} {message}");
        }
    }
}
