//! Feeds damaged input to what reads untrusted bytes: order bodies, the protocol, records of the log, the credentials file.
//!
//! `cargo run --release -p stayput-worker --example fuzz_worker -- [bodies|protocol|log|credentials] [RUNS | SECONDSs] [SEED]`; see
//! `stayput_damage`.

use std::process::ExitCode;

use sha2::{Digest, Sha256};
use stayput_damage::Target;
use stayput_worker::credentials;
use stayput_worker::log::{Chain, Event, Record};
use stayput_worker::orders::Asked;
use stayput_worker::protocol::{Answer, Request};
use stayput_worker::{Naming, Order, OrderKey, Outcome};

const TARGETS: &[Target] = &[
    Target { name: "bodies", inputs: bodies, check: body },
    Target { name: "protocol", inputs: messages, check: message },
    Target { name: "log", inputs: records, check: record },
    Target { name: "credentials", inputs: credentials_files, check: credentials_file },
];

/// Pieces of orders and of credentials files.
const WORDS: &[&[u8]] = &[
    b"\"file\":",
    b"\"id\":",
    b"\"Records\":",
    b"\"s3\":",
    b"\"detail\":",
    b"\"Event\":",
    b"[default]",
    b"aws_access_key_id",
    b"aws_session_token = ",
];

fn main() -> ExitCode {
    stayput_damage::main(TARGETS, WORDS)
}

fn key() -> OrderKey {
    OrderKey::new(b"5fea7756-0ea4-451a-a703-a558b933e274").expect("a message's id is a key")
}

fn bodies() -> Vec<Vec<u8>> {
    let texts = [
        "order.csv",
        r#"{"file":"order.csv","id":"o-17"}"#,
        r#"{"file":"\u00e4\ud83d\ude00"}"#,
        r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},
           "object":{"key":"a+b%2Bc%C3%A4.csv","size":1024,"eTag":"d4","versionId":"v1","sequencer":"00"}}}]}"#,
        r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectRemoved:Delete"}]}"#,
        r#"{"version":"0","detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":"b"},"object":{"key":"k","size":5,"version-id":"v"}}}"#,
        r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn body(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match Asked::read(&key(), &text) {
        Ok(Asked::Move(order)) => {
            assert!((1..=Order::LONGEST_NAME).contains(&order.name.len()));
            // What is accepted can be sent on.
            assert!(Request::Move { batch: 1, orders: vec![order] }.encode().is_ok());
        }
        Ok(Asked::Fetch(objects)) => {
            assert!((1..=Asked::MOST).contains(&objects.len()));
            assert!(objects.iter().all(|object| (1..=1024).contains(&object.key.len())));
        }
        Ok(Asked::Nothing) | Err(_) => {}
    }
}

fn messages() -> Vec<Vec<u8>> {
    let order = |name: &[u8]| Order { key: key(), naming: Naming::Suffixed, name: name.to_vec() };
    let requests = [
        Request::Hello,
        Request::Count,
        Request::Ready,
        Request::Deleted(vec![key(), key()]),
        Request::Move { batch: 7, orders: vec![order(b"a"), order(&[b'x'; 255])] },
        Request::Complete { transfer: 3 },
        Request::Abort { transfer: 3 },
    ];
    let answers = [
        Answer::Welcome { batch: 32 },
        Answer::Moved { batch: 7, outcomes: Outcome::ALL.to_vec() },
        Answer::Counted(stayput_worker::Counters::default()),
    ];
    let requests = requests.iter().filter_map(|request| request.encode().ok());
    requests.chain(answers.iter().filter_map(|answer| answer.encode().ok())).collect()
}

fn message(input: &[u8]) {
    // What is understood has one spelling only.
    if let Ok(request) = Request::decode(input) {
        assert_eq!(request.encode().as_deref(), Ok(input));
    }
    if let Ok(answer) = Answer::decode(input) {
        assert_eq!(answer.encode().as_deref(), Ok(input));
    }
}

const BEFORE: Chain = [7; 32];

fn records() -> Vec<Vec<u8>> {
    let events = [
        Event::Opened { version: 1, head: BEFORE },
        Event::Kept { key: [1; 16], name: [2; 16], sequence: 9, time: 1, acknowledged: true },
        Event::Done { intent: 4 },
        Event::Abandoned { intent: 4, outcome: Some(Outcome::Conflict) },
        Event::Acknowledged { key: [1; 16] },
        Event::Recovered { cut: 12 },
    ];
    let write = |event: &Event| {
        let mut bytes = Vec::new();
        Record { sequence: 10, synced: 9, time: 1, event: event.clone() }.write(&BEFORE, &mut bytes);
        bytes
    };
    events.iter().map(write).collect()
}

fn record(input: &[u8]) {
    // Damage as it is: nothing that is not exactly a record passes.
    if let Some((record, size, chain)) = Record::read(Some(&BEFORE), input) {
        let mut again = Vec::new();
        assert_eq!(record.write(&BEFORE, &mut again), chain);
        assert_eq!(again, input[..size]);
    }
    let _ = Record::proves_damage(10, input);
    // The same with a length and a hash that fit, so that the reader of the body is reached.
    let Some(end) = input.len().checked_sub(32).filter(|end| *end >= 2) else { return };
    let mut fitting = input.to_vec();
    if let Ok(length) = u16::try_from(input.len() - 2) {
        fitting[..2].copy_from_slice(&length.to_le_bytes());
    }
    let chain = Sha256::new().chain_update(BEFORE).chain_update(&fitting[..end]).finalize();
    fitting[end..].copy_from_slice(&chain);
    if let Some((record, size, chain)) = Record::read(Some(&BEFORE), &fitting) {
        let mut again = Vec::new();
        assert_eq!(record.write(&BEFORE, &mut again), chain, "{record:?}");
        assert_eq!(again, fitting[..size]);
    }
}

/// No message may show it.
const SECRET: &str = "SeCrEtKeyThatNobodyMaySee0123456789abcd";

fn credentials_files() -> Vec<Vec<u8>> {
    let texts = [
        format!(
            "[default]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = {SECRET}\naws_session_token = t\n"
        ),
        format!(
            "\u{feff}# remark\r\n[other]\r\nx=y\r\n[default]\r\naws_access_key_id=a\r\naws_secret_access_key={SECRET}\r\n"
        ),
        "[default]\n".to_owned(),
    ];
    texts.map(String::into_bytes).to_vec()
}

fn credentials_file(input: &[u8]) {
    match credentials::parse(&String::from_utf8_lossy(input), "credentials", "default") {
        Ok(found) => {
            for text in
                [found.access_key_id(), found.secret_access_key(), found.session_token().unwrap_or("x")]
            {
                assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
            }
        }
        Err(wrong) => assert!(!wrong.to_string().contains(SECRET), "{wrong}"),
    }
}
