//! What S3 says about a bucket, to a queue by itself or through EventBridge.

use serde::Deserialize;

use super::{Asked, Object, Poison};

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventSource")]
    source: String,
    #[serde(rename = "eventName")]
    name: String,
    s3: Option<Entity>,
}

#[derive(Deserialize)]
struct Entity {
    bucket: Bucket,
    object: Thing,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Thing {
    key: String,
    size: Option<u64>,
    #[serde(rename = "versionId", alias = "version-id")]
    version: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    source: String,
    #[serde(rename = "detail-type")]
    kind: String,
    detail: Entity,
}

#[derive(Deserialize)]
struct Test {
    #[serde(rename = "Service")]
    service: String,
    #[serde(rename = "Event")]
    event: String,
}

/// A notification that S3 sent to the queue itself. Keys are encoded as forms are.
pub(super) fn notification(json: &str) -> Result<Asked, Poison> {
    let notification: Notification = serde_json::from_str(json).map_err(|_| Poison::Form)?;
    if !(1..=Asked::MOST).contains(&notification.records.len()) {
        return Err(Poison::Records);
    }
    let mut objects = Vec::new();
    for record in notification.records {
        // "ObjectCreated:Put"; older ones begin with "s3:".
        let name = record.name.strip_prefix("s3:").unwrap_or(&record.name);
        match (record.source.as_str(), name.split(':').next().unwrap_or_default(), record.s3) {
            ("aws:s3", "ObjectCreated", Some(Entity { bucket, mut object })) => {
                object.key = decoded(&object.key).ok_or(Poison::Encoding)?;
                objects.push(named(bucket, object)?);
            }
            ("aws:s3", "ObjectRemoved" | "LifecycleExpiration", _) => {}
            _ => return Err(Poison::Event),
        }
    }
    Ok(if objects.is_empty() { Asked::Nothing } else { Asked::Fetch(objects) })
}

/// A notification that came through EventBridge. Keys are as they are.
pub(super) fn event(json: &str) -> Result<Asked, Poison> {
    let event: Event = serde_json::from_str(json).map_err(|_| Poison::Form)?;
    match (event.source.as_str(), event.kind.as_str()) {
        ("aws.s3", "Object Created") => {
            Ok(Asked::Fetch(vec![named(event.detail.bucket, event.detail.object)?]))
        }
        ("aws.s3", "Object Deleted") => Ok(Asked::Nothing),
        _ => Err(Poison::Event),
    }
}

/// What S3 sends when a notification is set up.
pub(super) fn test(json: &str) -> Result<Asked, Poison> {
    let test: Test = serde_json::from_str(json).map_err(|_| Poison::Form)?;
    if test.service == "Amazon S3" && test.event == "s3:TestEvent" {
        Ok(Asked::Nothing)
    } else {
        Err(Poison::Event)
    }
}

fn named(bucket: Bucket, object: Thing) -> Result<Object, Poison> {
    // The service's own limits: nothing longer can exist.
    let version = object.version;
    let fits = (1..=1024).contains(&object.key.len())
        && (1..=255).contains(&bucket.name.len())
        && version.as_ref().is_none_or(|version| version.len() <= 1024);
    if !fits {
        return Err(Poison::Form);
    }
    Ok(Object { bucket: bucket.name, key: object.key, version, size: object.size })
}

/// A key from the form encoding: `+` is a space, `%xx` a byte.
fn decoded(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    // Encoded, it may have been three times as long, and it may be held for hours.
    bytes.shrink_to_fit();
    String::from_utf8(bytes).ok()
}
