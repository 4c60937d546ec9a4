//! The worker's variables (docs/worker.md), where the box itself starts it.

use std::fmt::Write;

use stayput_config::{Endpoint, S3Rule};

use super::{AUTHORITIES, CREDENTIALS, LEDGER};
use crate::intake::Settings;

/// What both halves are told. Nothing in it is secret: the mover has no business with any.
pub(super) fn both(settings: &Settings) -> Option<String> {
    let worker = &settings.config.worker;
    let mut variables = Variables::of(settings)?;
    variables.set("EFS_SOURCE_FOLDER", worker.source.as_str());
    variables.set("EFS_DESTINATION_FOLDER", worker.destination.as_str());
    variables.set("STAYPUT_LEDGER_FOLDER", LEDGER);
    variables.set("STAYPUT_SUFFIX", worker.suffix.as_str());
    variables.set("STAYPUT_SUBFOLDERS", worker.subfolders.word());
    // The mover takes no more than the largest of them all from any bucket.
    if let Some(largest) = worker.s3.iter().map(|rule| rule.largest_mib).max() {
        variables.set("STAYPUT_LARGEST_MIB", &largest.to_string());
    }
    Some(variables.0)
}

/// What the courier is told beside that: where it calls, and on which way.
pub(super) fn courier(settings: &Settings) -> Option<String> {
    let config = &settings.config;
    let mut variables = Variables::of(settings)?;
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
    if let Some(proxy) = &config.network.proxy {
        for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
            variables.set(name, &proxy.expose());
        }
        let without: Vec<_> = config.network.no_proxy.iter().map(ToString::to_string).collect();
        if !without.is_empty() {
            variables.set("NO_PROXY", &without.join(","));
        }
    }
    Some(variables.0)
}

fn bucket(rule: &S3Rule) -> String {
    match rule.prefix.as_str() {
        "" => rule.bucket.to_string(),
        prefix => format!("{}/{prefix}", rule.bucket),
    }
}

/// A file for `EnvironmentFile=`.
struct Variables(String);

impl Variables {
    /// An empty one, where the box itself starts the worker.
    fn of(settings: &Settings) -> Option<Self> {
        super::is_hosted(settings).then(|| Self(String::new()))
    }

    /// In double quotation marks systemd takes everything as it is but these four.
    fn set(&mut self, name: &str, value: &str) {
        let mut quoted = String::new();
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '`' | '$') {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        // Memory is the only thing written to.
        let _ = writeln!(self.0, "{name}=\"{quoted}\"");
    }
}
