//! Bodies of messages, honest and hostile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use stayput_worker::orders::{Asked, Object, Poison};
use stayput_worker::{Naming, Order, OrderKey};

fn message() -> OrderKey {
    OrderKey::new(b"5fea7756-0ea4-451a-a703-a558b933e274").unwrap()
}

fn read(body: &str) -> Result<Asked, Poison> {
    Asked::read(&message(), body)
}

fn moved(key: &str, name: &str) -> Result<Asked, Poison> {
    let key = OrderKey::new(key.as_bytes()).unwrap();
    Ok(Asked::Move(Order { key, naming: Naming::Suffixed, name: name.as_bytes().to_vec() }))
}

fn plain(name: &str) -> Result<Asked, Poison> {
    moved("5fea7756-0ea4-451a-a703-a558b933e274", name)
}

fn fetched(objects: &[(&str, &str, Option<&str>, Option<u64>)]) -> Result<Asked, Poison> {
    let object = |(bucket, key, version, size): &(&str, &str, Option<&str>, Option<u64>)| Object {
        bucket: (*bucket).to_owned(),
        key: (*key).to_owned(),
        version: version.map(str::to_owned),
        size: *size,
    };
    Ok(Asked::Fetch(objects.iter().map(object).collect()))
}

#[test]
fn a_plain_body_is_the_name_byte_by_byte() {
    let names = [
        "order.csv",
        " order.csv ",
        "order.csv\r\n",
        "\u{feff}order",
        "{a}.txt",
        "{",
        "[1]",
        "\"x\"",
        "../x",
    ];
    for name in names {
        assert_eq!(read(name), plain(name), "{name:?}");
    }
}

#[test]
fn an_order_in_json_has_its_own_key_or_the_messages() {
    assert_eq!(read(r#"{"file":"a.csv"}"#), plain("a.csv"));
    assert_eq!(read(r#"{"file":"a.csv","id":null}"#), plain("a.csv"));
    assert_eq!(read(r#"{"file":"a.csv","id":"o-17"}"#), moved("o-17", "a.csv"));
    assert_eq!(read("\u{feff} {\r\n \"id\": \"o-17\",\r\n \"file\": \"a\\u0000\\ud83d\\ude00\" }\r\n"), {
        moved("o-17", "a\0\u{1f600}")
    });
}

#[test]
fn what_is_no_order_is_poison_each_for_its_reason() {
    let deep = format!("{{\"file\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!(r#"{{"file":"{}"}}"#, "x".repeat(1025));
    let key = format!(r#"{{"file":"a","id":"{}"}}"#, "x".repeat(129));
    let many = format!(
        r#"{{"Records":[{}]}}"#,
        vec![r#"{"eventSource":"aws:s3","eventName":"ObjectRemoved:Delete"}"#; 33].join(",")
    );
    let huge = "x".repeat(1024 * 1024);
    let table: &[(&str, Poison)] = &[
        ("", Poison::Empty),
        (r#"{"file":""}"#, Poison::Empty),
        (&huge, Poison::Long),
        (&long, Poison::Long),
        (r#"{"file":"a.csv""#, Poison::Json),
        (r#"{"file":"a.csv"} {"file":"b.csv"}"#, Poison::Json),
        (r#"{"file":"\ud800"}"#, Poison::Form),
        (&deep, Poison::Form),
        ("{}", Poison::Form),
        (r#"{"name":"a.csv"}"#, Poison::Form),
        (r#"{"file":17}"#, Poison::Form),
        (r#"{"file":"a","files":"b"}"#, Poison::Form),
        (r#"{"file":"a","file":"b"}"#, Poison::Json),
        (r#"{"file":"a","id":""}"#, Poison::Key),
        (&key, Poison::Key),
        (r#"{"Records":[]}"#, Poison::Records),
        (&many, Poison::Records),
        (r#"{"Records":17}"#, Poison::Form),
        (r#"{"Records":[{"eventSource":"aws:dynamodb","eventName":"INSERT"}]}"#, Poison::Event),
        (r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectRestore:Post"}]}"#, Poison::Event),
        (r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put"}]}"#, Poison::Event),
        (&s3("ObjectCreated:Put", "b", "a%2"), Poison::Encoding),
        (&s3("ObjectCreated:Put", "b", "a%zz"), Poison::Encoding),
        (&s3("ObjectCreated:Put", "b", "%ff"), Poison::Encoding),
        (&s3("ObjectCreated:Put", "b", ""), Poison::Form),
        (r#"{"Service":"Amazon S3","Event":"s3:OtherEvent"}"#, Poison::Event),
        (r#"{"Type":"Notification","Message":"order.csv"}"#, Poison::Form),
        (r#"{"source":"aws.ec2","detail-type":"x","detail":{}}"#, Poison::Form),
        (&bridge("Object Tags Added", "a"), Poison::Event),
    ];
    for (body, poison) in table {
        let shown = &body[..body.len().min(80)];
        assert_eq!(read(body), Err(*poison), "{shown}");
    }
}

/// A notification as S3 documents it.
fn s3(event: &str, bucket: &str, key: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1",
        "eventTime":"2026-11-20T00:00:00.000Z","eventName":"{event}","userIdentity":{{"principalId":"X"}},
        "requestParameters":{{"sourceIPAddress":"192.0.2.1"}},"responseElements":{{"x-amz-request-id":"X"}},
        "s3":{{"s3SchemaVersion":"1.0","configurationId":"c","bucket":{{"name":"{bucket}","ownerIdentity":{{"principalId":"X"}},
        "arn":"arn:aws:s3:::{bucket}"}},"object":{{"key":"{key}","size":1024,"eTag":"d4","versionId":"v1","sequencer":"00"}}}}}}]}}"#
    )
}

/// An event as EventBridge documents it.
fn bridge(kind: &str, key: &str) -> String {
    format!(
        r#"{{"version":"0","id":"17793124","detail-type":"{kind}","source":"aws.s3","account":"111122223333",
        "time":"2026-11-20T00:00:00Z","region":"eu-central-1","resources":["arn:aws:s3:::b"],
        "detail":{{"version":"0","bucket":{{"name":"b"}},"object":{{"key":"{key}","size":5,"etag":"b1","version-id":"v2","sequencer":"00"}},
        "request-id":"N4","requester":"1","source-ip-address":"1.2.3.4","reason":"PutObject"}}}}"#
    )
}

#[test]
fn a_notifications_key_is_decoded_and_an_events_key_is_not() {
    let body = s3("ObjectCreated:Put", "inbox", "in/a+b%2Bc%C3%A4.csv");
    assert_eq!(read(&body), fetched(&[("inbox", "in/a b+cä.csv", Some("v1"), Some(1024))]));
    let body = bridge("Object Created", "in/a+b%2Bc.csv");
    assert_eq!(read(&body), fetched(&[("b", "in/a+b%2Bc.csv", Some("v2"), Some(5))]));
}

#[test]
fn of_several_records_the_created_ones_are_fetched_and_the_removed_ones_are_not() {
    let record = |event: &str, key: &str| {
        format!(
            r#"{{"eventSource":"aws:s3","eventName":"{event}","s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}"}}}}}}"#
        )
    };
    let records = [
        record("ObjectCreated:Put", "a"),
        record("ObjectRemoved:Delete", "b"),
        record("s3:ObjectCreated:CompleteMultipartUpload", "c"),
    ];
    let body = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    assert_eq!(read(&body), fetched(&[("b", "a", None, None), ("b", "c", None, None)]));
}

#[test]
fn test_events_and_removals_ask_for_nothing() {
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b","RequestId":"5","HostId":"8"}"#;
    let bodies = [
        test.to_owned(),
        s3("ObjectRemoved:DeleteMarkerCreated", "b", "a"),
        s3("LifecycleExpiration:Delete", "b", "a"),
        bridge("Object Deleted", "a"),
    ];
    for body in bodies {
        assert_eq!(read(&body), Ok(Asked::Nothing), "{body}");
    }
}

#[test]
fn debug_text_shows_neither_key_nor_bucket() {
    let text = format!("{:?}", read(&s3("ObjectCreated:Put", "erika-bucket", "erika.pdf")));
    assert!(!text.contains("erika"), "{text}");
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(body in any::<String>()) {
        let _ = read(&body);
    }

    #[test]
    fn any_name_in_json_arrives_as_it_is(name in "\\PC{1,200}|[\\x00-\\x7f]{1,100}", id in "\\PC{1,30}") {
        let body = serde_json::json!({ "file": name, "id": id }).to_string();
        prop_assert_eq!(read(&body), moved(&id, &name));
    }

    #[test]
    fn a_key_encoded_as_s3_does_arrives_as_it_is(key in "\\PC{1,60}") {
        let encoded: String = key.bytes().map(|byte| match byte {
            b' ' => "+".to_owned(),
            b'a'..=b'z' | b'/' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        }).collect();
        prop_assert_eq!(read(&s3("ObjectCreated:Put", "b", &encoded)), fetched(&[("b", &key, Some("v1"), Some(1024))]));
    }

    #[test]
    fn a_notification_cut_anywhere_is_poison(cut in any::<prop::sample::Index>()) {
        let body = s3("ObjectCreated:Put", "b", "a");
        let cut = 3 + cut.index(body.len() - 3);
        prop_assert!(read(&body[..cut]).is_err());
    }
}
