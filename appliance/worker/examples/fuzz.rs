//! Feeds damaged input to what reads untrusted bytes: order bodies, the protocol, records of the log.
//!
//! `cargo run --release -p stayput-worker --example fuzz -- [bodies|protocol|log] [RUNS | SECONDSs] [SEED]`, all three and 100,000
//! runs each by default. Inputs are honest ones, damaged a few times over by a generator with a seed, so that a failure can be
//! repeated: the run's number and seed are in the message. Coverage does not guide it, which a stable compiler cannot.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use stayput_worker::log::{Chain, Event, Record};
use stayput_worker::orders::Asked;
use stayput_worker::protocol::{Answer, Request};
use stayput_worker::{Naming, Order, OrderKey, Outcome};

/// A target: honest inputs, and what must hold for any.
type Target = (&'static str, fn() -> Vec<Vec<u8>>, fn(&[u8]));

const TARGETS: &[Target] =
    &[("bodies", bodies, body), ("protocol", messages, message), ("log", records, record)];

/// Pieces that change what a reader does.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"\"file\":",
    b"\"id\":",
    b"\"Records\":",
    b"\"s3\":",
    b"\"detail\":",
    b"\"Event\":",
    b"%",
    b"%00",
    b"%2F",
    b"%e4",
    b"+",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\0",
    b"\xff",
    b"..",
    b"/",
    b"1e999",
    b"18446744073709551616",
    b"-1",
];

/// xorshift64*: enough to damage things with, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() >> 33).unwrap_or(0) % end.max(1)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let named = arguments.iter().filter_map(|name| TARGETS.iter().find(|target| target.0 == name));
    let named: Vec<_> = named.collect();
    let targets = if named.is_empty() { TARGETS.iter().collect() } else { named };
    let seconds = arguments.iter().find_map(|text| text.strip_suffix('s')?.parse::<u64>().ok());
    let mut numbers = arguments.iter().filter_map(|text| text.parse::<u64>().ok());
    let runs = if seconds.is_some() { u64::MAX } else { numbers.next().unwrap_or(100_000) };
    let seed = numbers.next().unwrap_or(0x5eed);
    let share = Duration::from_secs(seconds.unwrap_or(u64::MAX / 4) / targets.len() as u64);
    for (name, inputs, check) in targets {
        let started = Instant::now();
        let inputs = inputs();
        let mut done = 0;
        let mut slice = |run: u64| -> ControlFlow<()> {
            let mut dice = Dice(seed ^ run.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let input = damaged(&mut dice, &inputs);
            let outcome = std::panic::catch_unwind(|| check(&input));
            if outcome.is_err() {
                eprintln!("{name}: run {run} with seed {seed} failed on {input:02x?}");
                return ControlFlow::Break(());
            }
            done = run + 1;
            let late = run.is_multiple_of(1024) && started.elapsed() >= share;
            if late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let ended = (0..runs).try_for_each(&mut slice);
        let time = started.elapsed();
        if ended.is_break() && time < share {
            return ExitCode::FAILURE;
        }
        println!("{name}: {done} runs in {:.1} s, nothing wrong", time.as_secs_f64());
    }
    ExitCode::SUCCESS
}

/// One of the inputs, damaged up to eight times.
fn damaged(dice: &mut Dice, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[dice.below(inputs.len())].clone();
    for _ in 0..dice.below(9) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.roll().to_le_bytes()[0],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..bytes.len().min(at + 1 + dice.below(16)))),
            4 => drop(bytes.splice(at..at, WORDS[dice.below(WORDS.len())].iter().copied())),
            5 => {
                let again = bytes[at..bytes.len().min(at + 1 + dice.below(32))].to_vec();
                bytes.splice(at..at, again);
            }
            6 => {
                let other = &inputs[dice.below(inputs.len())];
                let from = dice.below(other.len());
                bytes.splice(at..at, other[from..].iter().copied().take(64));
            }
            _ => {
                let many = 1usize << dice.below(11);
                let byte = WORDS[dice.below(5)][0];
                bytes.splice(at..at, std::iter::repeat_n(byte, many));
            }
        }
    }
    bytes
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
