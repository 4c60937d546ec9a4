//! The worker's variables (docs/worker.md), where the box itself starts it.

use stayput_config::{Endpoint, S3Rule};

use super::variables::Variables;
use super::{AUTHORITIES, CREDENTIALS, LEDGER, is_hosted};
use crate::intake::Settings;

/// What both halves are told. Nothing in it is secret: the mover has no business with any.
pub(super) fn both(settings: &Settings) -> Option<String> {
    let worker = &settings.config.worker;
    let mut variables = is_hosted(settings).then(Variables::default)?;
    variables.set("EFS_SOURCE_FOLDER", worker.source.as_str());
    variables.set("EFS_DESTINATION_FOLDER", worker.destination.as_str());
    variables.set("STAYPUT_LEDGER_FOLDER", LEDGER);
    variables.set("STAYPUT_SUFFIX", worker.suffix.as_str());
    variables.set("STAYPUT_SUBFOLDERS", worker.subfolders.word());
    // The mover takes no more than the largest of them all from any bucket.
    if let Some(largest) = worker.s3.iter().map(|rule| rule.largest_mib).max() {
        variables.set("STAYPUT_LARGEST_MIB", &largest.to_string());
    }
    Some(variables.text())
}

/// What the courier is told beside that: where it calls, and on which way.
pub(super) fn courier(settings: &Settings) -> Option<String> {
    let config = &settings.config;
    let mut variables = is_hosted(settings).then(Variables::default)?;
    if let Some(queue) = &config.worker.queue {
        variables.set("SQS_QUEUE_URL", &queue.to_string());
    }
    variables.set("AWS_REGION", config.activation.region.as_str());
    variables.set("AWS_SHARED_CREDENTIALS_FILE", &format!("{CREDENTIALS}/credentials"));
    let buckets: Vec<_> = config.worker.s3.iter().map(bucket).collect();
    if !buckets.is_empty() {
        variables.set("STAYPUT_BUCKETS", &buckets.join(" "));
    }
    let endpoints =
        [("AWS_ENDPOINT_URL_SQS", &config.endpoints.sqs), ("AWS_ENDPOINT_URL_S3", &config.endpoints.s3)];
    for (name, endpoint) in endpoints {
        if let Some(endpoint) = endpoint.as_ref().map(Endpoint::to_string) {
            variables.set(name, &endpoint);
        }
    }
    if !settings.copy.authorities.is_empty() {
        variables.set("AWS_CA_BUNDLE", AUTHORITIES);
    }
    variables.set_proxy(&config.network, &[]);
    Some(variables.text())
}

fn bucket(rule: &S3Rule) -> String {
    match rule.prefix.as_str() {
        "" => rule.bucket.to_string(),
        prefix => format!("{}/{prefix}", rule.bucket),
    }
}
