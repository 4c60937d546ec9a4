//! A proxy in front of an emulator that does what emulators do not: fails, hangs, cuts answers off, refuses keys and clocks.
//! It also writes down what was asked, which is how a test knows what was deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::site::content;

/// What happens to a request instead of what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error of the service: its status and its code.
    Error(u16, &'static str),
    /// The answer ends in the middle of its body.
    Cut,
    /// The connection is closed before there is an answer.
    Drop,
    /// There is never an answer.
    Hang,
    /// The request is carried out and its answer is lost.
    Lose,
    /// The first entry of a batch is not passed on and is reported as failed.
    OneEntry,
    /// The first entry of a batch is passed on with a receipt that nobody gave.
    WrongReceipt,
}

/// How the proxy behaves.
#[derive(Debug, Default)]
pub struct Rules {
    /// For an operation, what happens to its next requests, the first one first.
    pub faults: BTreeMap<&'static str, Vec<Fault>>,
    /// The only access key that is taken.
    pub key: Option<String>,
    /// By how many seconds the service's clock is ahead.
    pub ahead: i64,
    /// What receives are made to ask for.
    pub visibility: Option<u32>,
    /// What was asked, in order: when, and which operation.
    pub asked: Vec<(Instant, String)>,
    /// How many requests were refused for their key.
    pub refused: usize,
    /// The body that each delivered receipt is for.
    pub delivered: HashMap<String, String>,
    /// Where the file of an order must be before its message is deleted.
    pub destination: Option<PathBuf>,
    /// How many entries of batches the emulator itself has refused.
    pub refused_entries: usize,
    /// The orders that were deleted.
    pub deleted: BTreeSet<String>,
    /// Those of them whose file was not there at that moment.
    pub undone: Vec<String>,
}

/// A proxy on a port of its own.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    rules: Arc<Mutex<Rules>>,
}

impl Proxy {
    /// Starts one in front of `backend`.
    pub fn start(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let rules = Arc::new(Mutex::new(Rules::default()));
        let shared = rules.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), rules) = (client, shared.clone()) else { continue };
                std::thread::spawn(move || {
                    // A client that was killed in the middle is what these tests are about.
                    let _ = serve(client, backend, &rules);
                });
            }
        });
        Self { address, rules }
    }

    /// The URL of a queue that is called like `url`, through this proxy.
    pub fn url(&self, url: &str) -> String {
        let path = url.splitn(4, '/').nth(3).unwrap();
        format!("http://{}/{path}", self.address)
    }

    /// The rules, to read and to change.
    pub fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap()
    }

    /// How often `operation` was asked for.
    pub fn count(&self, operation: &str) -> usize {
        self.rules().asked.iter().filter(|(_, asked)| asked == operation).count()
    }

    /// Lets the next requests of `operation` fail.
    pub fn fail(&self, operation: &'static str, faults: &[Fault]) {
        self.rules().faults.insert(operation, faults.to_vec());
    }

    /// How many faults have not happened yet.
    pub fn outstanding(&self) -> usize {
        self.rules().faults.values().map(Vec::len).sum()
    }
}

struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(None),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut body = bytes.split_off(end);
        let message = Self { head, body: Vec::new() };
        match message.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => {
                while body.len() < length {
                    match stream.read(&mut buffer)? {
                        0 => break,
                        count => body.extend_from_slice(&buffer[..count]),
                    }
                }
            }
            None if message.head.starts_with("HTTP") => drop(stream.read_to_end(&mut body)?),
            None => {}
        }
        Ok(Some(Self { body, ..message }))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The head with one header replaced or added.
    fn set(&mut self, name: &str, value: &str) {
        let kept = self.head.trim_end().lines().filter(|line| {
            let found = line.split_once(':').map(|(found, _)| found);
            !found.is_some_and(|found| found.eq_ignore_ascii_case(name))
        });
        let kept: Vec<_> = kept.collect();
        self.head = format!("{}\r\n{name}: {value}\r\n\r\n", kept.join("\r\n"));
    }

    fn write(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        self.set("Content-Length", &self.body.len().to_string());
        stream.write_all(&[self.head.as_bytes(), &self.body].concat())
    }
}

fn serve(mut client: TcpStream, backend: SocketAddr, rules: &Mutex<Rules>) -> io::Result<()> {
    client.set_nodelay(true)?;
    while let Some(request) = Message::read(&mut client)? {
        // The store's calls have no name but the method.
        let method = request.head.split(' ').next().unwrap_or_default();
        let operation = request.header("x-amz-target").and_then(|target| target.rsplit('.').next());
        let operation = operation.unwrap_or(method).to_owned();
        let (fault, refusal, ahead, visibility) = {
            let mut rules = rules.lock().unwrap();
            rules.asked.push((Instant::now(), operation.clone()));
            let fault = rules.faults.get_mut(operation.as_str()).filter(|faults| !faults.is_empty());
            let fault = fault.map(|faults| faults.remove(0));
            let refusal = refusal(&request, &rules);
            rules.refused += usize::from(refusal.is_some());
            (fault, refusal, rules.ahead, rules.visibility)
        };
        if let Some((code, message)) = refusal {
            error(&mut client, 403, code, message, ahead)?;
            continue;
        }
        match fault {
            None => {}
            Some(Fault::Error(status, code)) => {
                error(&mut client, status, code, "made to fail", ahead)?;
                continue;
            }
            Some(Fault::Drop) => return client.shutdown(Shutdown::Both),
            Some(Fault::Hang) => {
                std::thread::sleep(Duration::from_secs(600));
                return Ok(());
            }
            Some(Fault::OneEntry) => {
                let answer = without_the_first(request, backend)?;
                answered(answer, ahead).write(&mut client)?;
                continue;
            }
            Some(Fault::Cut | Fault::Lose | Fault::WrongReceipt) => {}
        }
        let mut request = request;
        if fault == Some(Fault::WrongReceipt) {
            let mut body: Value = serde_json::from_slice(&request.body)?;
            body["Entries"][0]["ReceiptHandle"] = json!("given by nobody");
            request.body = body.to_string().into_bytes();
        }
        if let (Some(seconds), "ReceiveMessage") = (visibility, operation.as_str()) {
            let mut body: Value = serde_json::from_slice(&request.body)?;
            body["VisibilityTimeout"] = json!(seconds);
            request.body = body.to_string().into_bytes();
        }
        if operation == "DeleteMessageBatch" {
            note_deleted(&request, &mut rules.lock().unwrap())?;
        }
        let mut answer = answered(forward(request, backend)?, ahead);
        if operation == "ReceiveMessage" {
            note_delivered(&answer, &mut rules.lock().unwrap());
        }
        if operation == "DeleteMessageBatch" {
            let body: Value = serde_json::from_slice(&answer.body)?;
            rules.lock().unwrap().refused_entries += body["Failed"].as_array().map_or(0, Vec::len);
        }
        match fault {
            Some(Fault::Cut) => {
                answer.set("Content-Length", &answer.body.len().to_string());
                let half = answer.body.len() / 2;
                client.write_all(&[answer.head.as_bytes(), &answer.body[..half]].concat())?;
                return client.shutdown(Shutdown::Both);
            }
            Some(Fault::Lose) => return client.shutdown(Shutdown::Both),
            _ => answer.write(&mut client)?,
        }
    }
    Ok(())
}

fn note_delivered(answer: &Message, rules: &mut Rules) {
    if rules.destination.is_none() {
        return;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for message in body["Messages"].as_array().into_iter().flatten() {
        if let (Some(receipt), Some(body)) = (message["ReceiptHandle"].as_str(), message["Body"].as_str()) {
            rules.delivered.insert(receipt.to_owned(), body.to_owned());
        }
    }
}

/// Looks, before a message is deleted, whether its file is where it has to be.
fn note_deleted(request: &Message, rules: &mut Rules) -> io::Result<()> {
    let Some(destination) = rules.destination.clone() else { return Ok(()) };
    let body: Value = serde_json::from_slice(&request.body)?;
    for entry in body["Entries"].as_array().into_iter().flatten() {
        let receipt = entry["ReceiptHandle"].as_str().unwrap_or_default();
        let Some(name) = rules.delivered.get(receipt).cloned() else { continue };
        let moved = destination.join(format!("{name}_has_been_processed"));
        if std::fs::read(moved).ok() != Some(content(&name)) {
            rules.undone.push(name.clone());
        }
        rules.deleted.insert(name);
    }
    Ok(())
}

/// Whether the service would refuse who asks, or when.
fn refusal(request: &Message, rules: &Rules) -> Option<(&'static str, &'static str)> {
    let authorization = request.header("authorization").unwrap_or_default();
    if let Some(key) = &rules.key
        && !authorization.contains(&format!("Credential={key}/"))
    {
        return Some(("ExpiredTokenException", "The security token included in the request is expired"));
    }
    if rules.ahead != 0 {
        let date = request.header("x-amz-date").unwrap_or_default();
        let signed = seconds_of(date)?;
        if (signed - now(rules.ahead)).abs() > 300 {
            return Some(("InvalidSignatureException", "Signature expired: it is now later than 15 min."));
        }
    }
    None
}

fn now(ahead: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + ahead
}

/// Seconds since 1970 of `20261120T190000Z`.
fn seconds_of(date: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    // Days from civil, by Howard Hinnant's formula: March begins the year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(9..11)? * 3600 + number(11..13)? * 60 + number(13..15)?)
}

/// The service's `Date` header.
fn date(ahead: i64) -> String {
    let seconds = now(ahead);
    let time = aws_smithy_types::DateTime::from_secs(seconds);
    time.fmt(aws_smithy_types::date_time::Format::HttpDate).unwrap()
}

fn answered(mut answer: Message, ahead: i64) -> Message {
    if ahead != 0 {
        answer.set("Date", &date(ahead));
    }
    answer.set("Connection", "keep-alive");
    answer
}

fn error(client: &mut TcpStream, status: u16, code: &str, message: &str, ahead: i64) -> io::Result<()> {
    let body = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message }).to_string();
    let head = format!(
        "HTTP/1.1 {status} No\r\nContent-Type: application/x-amz-json-1.0\r\nDate: {}\r\n\r\n",
        date(ahead)
    );
    Message { head, body: body.into_bytes() }.write(client)
}

fn forward(mut request: Message, backend: SocketAddr) -> io::Result<Message> {
    let mut stream = TcpStream::connect(backend)?;
    stream.set_nodelay(true)?;
    request.set("Connection", "close");
    request.write(&mut stream)?;
    Message::read(&mut stream)?.ok_or_else(|| io::Error::other("the emulator closed the connection"))
}

fn without_the_first(mut request: Message, backend: SocketAddr) -> io::Result<Message> {
    let mut body: Value = serde_json::from_slice(&request.body)?;
    let first = body["Entries"].as_array_mut().map(|entries| entries.remove(0)).unwrap_or_default();
    let failed = json!({ "Id": first["Id"], "SenderFault": false, "Code": "InternalError", "Message": "made to fail" });
    if body["Entries"].as_array().is_none_or(Vec::is_empty) {
        let body = json!({ "Successful": [], "Failed": [failed] }).to_string().into_bytes();
        return Ok(Message {
            head: "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n\r\n".to_owned(),
            body,
        });
    }
    request.body = body.to_string().into_bytes();
    let mut answer = forward(request, backend)?;
    let mut body: Value = serde_json::from_slice(&answer.body)?;
    match body["Failed"].as_array_mut() {
        Some(all) => all.push(failed),
        None => body["Failed"] = json!([failed]),
    }
    answer.body = body.to_string().into_bytes();
    Ok(answer)
}
