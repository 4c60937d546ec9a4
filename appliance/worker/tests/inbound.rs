//! Files that come in through the mover's pipe: hashed, limited, published, and thrown away when they are not what was said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use sha2::{Digest, Sha256};
use stayput_worker::checksum::{Algorithm, Checksum};
use stayput_worker::client::{Client, PATIENCE};
use stayput_worker::disk::Linux;
use stayput_worker::log::{Event, Log, Record};
use stayput_worker::protocol::Inbound;
use stayput_worker::server::{Notice, Peer, serve};
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};
use tempfile::TempDir;

struct Bench {
    place: TempDir,
    thread: JoinHandle<()>,
    /// Whether the log's end is not synced yet.
    unsettled: Arc<AtomicBool>,
}

impl Bench {
    /// A mover that serves one connection.
    fn start(settings: Settings) -> (Self, Client) {
        let place = TempDir::new().unwrap();
        let folder = |name: &str| {
            fs::create_dir(place.path().join(name)).unwrap();
            Linux.folder(&place.path().join(name)).unwrap()
        };
        let settings = Settings { quiet: Duration::ZERO, reserve: 0, ..settings };
        let (source, destination, log) = (folder("source"), folder("destination"), folder("log"));
        let mut mover = Mover::open(Linux, source, destination, log, settings).unwrap();
        let path = place.path().join("socket");
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&listener, 4).unwrap();
        let uid = rustix::process::getuid().as_raw();
        let unsettled = Arc::new(AtomicBool::new(false));
        let said = Arc::clone(&unsettled);
        let thread = std::thread::spawn(move || {
            let notice = |mover: &mut Mover<Linux>, notice| {
                said.store(mover.is_unsettled(), Ordering::Relaxed);
                notice == Notice::Tick
            };
            serve(&listener, &mut mover, Peer { uid }, notice).unwrap();
        });
        let client = Client::connect(&path, PATIENCE).unwrap();
        (Self { place, thread, unsettled }, client)
    }

    fn destination(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.place.path().join("destination").join(name)).ok()
    }

    /// Ends the connection and returns what the log says, after making sure that nothing temporary is left.
    fn end(self, client: Client) -> Vec<Event> {
        drop(client);
        self.thread.join().unwrap();
        let left = fs::read_dir(self.place.path().join("destination")).unwrap();
        let hidden: Vec<_> = left
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with(".stayput"))
            .collect();
        assert!(hidden.is_empty(), "{hidden:?}");
        events(&self.place.path().join("log"))
    }
}

fn events(log: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    let mut note = |record: &Record| events.push(record.event.clone());
    Log::open(&Linux, Linux.folder(log).unwrap(), &mut note).unwrap();
    events
}

fn inbound(transfer: u32, name: &str, content: &[u8]) -> Inbound {
    let key = OrderKey::new(name.as_bytes()).unwrap();
    let order = Order { key, naming: Naming::Unchanged, name: name.as_bytes().to_vec() };
    Inbound { transfer, order, length: content.len() as u64, checksum: None, version: b"v7".to_vec() }
}

fn pipe(answer: Result<OwnedFd, Outcome>) -> fs::File {
    fs::File::from(answer.unwrap())
}

#[test]
fn a_file_that_comes_in_has_its_name_its_bytes_and_its_place_in_the_ledger() {
    let (bench, client) = Bench::start(Settings::default());
    let content: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let digest: [u8; 32] = Sha256::digest(&content).into();
    let checksum = Checksum::new(Algorithm::Sha256, &digest);
    let request = Inbound { checksum, ..inbound(1, "in.csv", &content) };
    let mut pipe = pipe(client.send_in(request.clone()).unwrap());
    pipe.write_all(&content).unwrap();
    assert_eq!(bench.destination("in.csv"), None, "it has its name before it is whole");
    drop(pipe);
    assert_eq!(client.complete(1).unwrap(), Outcome::Done);
    assert_eq!(bench.destination("in.csv"), Some(content));
    // Whoever collects reads it by the folder's group, and nobody else does.
    let mode = fs::metadata(bench.place.path().join("destination/in.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    // The same order again is not sent again; the name under another key is not given again.
    assert_eq!(client.send_in(request.clone()).unwrap().unwrap_err(), Outcome::AlreadyDone);
    let other = Order { key: OrderKey::new(b"other").unwrap(), ..request.order.clone() };
    assert_eq!(client.send_in(Inbound { order: other, ..request }).unwrap().unwrap_err(), Outcome::Conflict);
    let events = bench.end(client);
    let received = events.iter().find_map(|event| match event {
        Event::Received { digest, verified, version, .. } => Some((*digest, *verified, version.clone())),
        _ => None,
    });
    assert_eq!(received, Some((digest, Some(Algorithm::Sha256), b"v7".to_vec())));
    assert!(matches!(events.last(), Some(Event::Done { .. })));
}

#[test]
fn each_of_the_stores_checksums_is_compared_and_none_is_recorded_as_unverified() {
    let (bench, client) = Bench::start(Settings::default());
    // Over "123456789": the catalogues' check values.
    let table: [(Algorithm, &[u8]); 3] = [
        (Algorithm::Crc32, &[0xcb, 0xf4, 0x39, 0x26]),
        (Algorithm::Crc32c, &[0xe3, 0x06, 0x92, 0x83]),
        (Algorithm::Crc64Nvme, &[0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88]),
    ];
    for (number, (algorithm, digest)) in table.into_iter().enumerate() {
        for (content, outcome) in [(b"123456789", Outcome::Done), (b"123456780", Outcome::Mismatch)] {
            let name = format!("{number}-{outcome:?}");
            let checksum = Checksum::new(algorithm, digest);
            let request = Inbound { checksum, ..inbound(7, &name, content) };
            let mut pipe = pipe(client.send_in(request).unwrap());
            pipe.write_all(content).unwrap();
            drop(pipe);
            assert_eq!(client.complete(7).unwrap(), outcome, "{algorithm:?}");
            assert_eq!(bench.destination(&name).is_some(), outcome == Outcome::Done);
        }
    }
    let mut pipe = pipe(client.send_in(inbound(8, "plain", b"x")).unwrap());
    pipe.write_all(b"x").unwrap();
    drop(pipe);
    assert_eq!(client.complete(8).unwrap(), Outcome::Done);
    let unverified = bench
        .end(client)
        .iter()
        .filter(|event| matches!(event, Event::Received { verified: None, .. }))
        .count();
    assert_eq!(unverified, 1);
}

#[test]
fn what_is_short_long_cut_or_taken_back_leaves_nothing() {
    let (bench, client) = Bench::start(Settings::default());
    let begin = |name: &str| pipe(client.send_in(inbound(1, name, b"12345")).unwrap());
    let mut short = begin("short");
    short.write_all(b"1234").unwrap();
    drop(short);
    assert_eq!(client.complete(1).unwrap(), Outcome::Incomplete);
    let mut long = begin("long");
    long.write_all(b"123456").unwrap();
    drop(long);
    assert_eq!(client.complete(1).unwrap(), Outcome::Mismatch);
    let mut open = begin("open");
    open.write_all(b"1234").unwrap();
    assert_eq!(client.complete(1).unwrap(), Outcome::Incomplete, "the pipe was not closed");
    drop(open);
    let mut aborted = begin("aborted");
    aborted.write_all(b"12345").unwrap();
    assert_eq!(client.abort(1).unwrap(), Outcome::Incomplete);
    drop(aborted);
    let mut left = begin("left");
    left.write_all(b"1").unwrap();
    for name in ["short", "long", "open", "aborted", "left"] {
        assert_eq!(bench.destination(name), None, "{name}");
    }
    // The connection ends with one still open.
    bench.end(client);
}

#[test]
fn a_file_that_is_too_large_or_finds_no_room_is_refused_before_a_byte_is_sent() {
    let (bench, client) = Bench::start(Settings { largest: 4, ..Settings::default() });
    assert_eq!(client.send_in(inbound(1, "a", b"12345")).unwrap().unwrap_err(), Outcome::TooLarge);
    assert_eq!(client.send_in(inbound(1, "../a", b"1")).unwrap().unwrap_err(), Outcome::BadName);
    assert_eq!(client.send_in(inbound(1, ".stayput-x", b"1")).unwrap().unwrap_err(), Outcome::BadName);
    bench.end(client);
    let (bench, client) = Bench::start(Settings { largest: u64::MAX, ..Settings::default() });
    let request = Inbound { length: u64::MAX / 2, ..inbound(1, "a", b"") };
    assert_eq!(client.send_in(request).unwrap().unwrap_err(), Outcome::Failed);
    // That is said of this file, and not of the disk: others come in.
    assert_eq!(client.obstacle().unwrap(), None);
    assert!(client.send_in(inbound(2, "b", b"1")).unwrap().is_ok());
    bench.end(client);
}

#[test]
fn a_whole_file_is_whole_although_someone_still_holds_the_pipe() {
    let (bench, client) = Bench::start(Settings::default());
    let mut pipe = pipe(client.send_in(inbound(1, "held", b"12345")).unwrap());
    pipe.write_all(b"12345").unwrap();
    assert_eq!(client.complete(1).unwrap(), Outcome::Done);
    assert_eq!(bench.destination("held").as_deref(), Some(&b"12345"[..]));
    drop(pipe);
    bench.end(client);
}

#[test]
fn files_come_in_beside_each_other_and_moves_go_on_meanwhile() {
    let (bench, mut client) = Bench::start(Settings::default());
    fs::write(bench.place.path().join("source/m"), "m").unwrap();
    let mut pipes: Vec<_> = (0..4)
        .map(|number| pipe(client.send_in(inbound(number, &format!("f{number}"), &[b'x'; 100_000])).unwrap()))
        .collect();
    assert_eq!(client.send_in(inbound(4, "f4", b"x")).unwrap().unwrap_err(), Outcome::Busy);
    for _ in 0..10 {
        for pipe in &mut pipes {
            pipe.write_all(&[b'x'; 10_000]).unwrap();
        }
    }
    let order = Order { key: OrderKey::new(b"m").unwrap(), naming: Naming::Suffixed, name: b"m".to_vec() };
    assert_eq!(client.carry_out(vec![order]).unwrap(), [Outcome::Done]);
    drop(pipes);
    for number in [2, 0, 3, 1] {
        assert_eq!(client.complete(number).unwrap(), Outcome::Done);
        assert_eq!(bench.destination(&format!("f{number}")).unwrap().len(), 100_000);
    }
    assert_eq!(client.obstacle().unwrap(), None);
    assert_eq!(client.counters().unwrap().of(Outcome::Done), 5);
    bench.end(client);
}

#[test]
fn what_was_done_is_made_durable_a_moment_later_although_a_file_comes_in_all_the_while() {
    let (bench, mut client) = Bench::start(Settings::default());
    let mut pipe = pipe(client.send_in(inbound(1, "slow", &[b'x'; 1_000])).unwrap());
    fs::write(bench.place.path().join("source/m"), "m").unwrap();
    let order = Order { key: OrderKey::new(b"m").unwrap(), naming: Naming::Suffixed, name: b"m".to_vec() };
    assert_eq!(client.carry_out(vec![order]).unwrap(), [Outcome::Done]);
    let started = Instant::now();
    let mut was_unsettled = false;
    // A byte every few milliseconds: the pipe never has nothing to read for as long as a tenth of a second.
    while started.elapsed() < Duration::from_secs(3) {
        pipe.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let is_unsettled = bench.unsettled.load(Ordering::Relaxed);
        if was_unsettled && !is_unsettled {
            bench.end(client);
            return;
        }
        was_unsettled |= is_unsettled;
    }
    panic!("the log was not synced in three seconds (unsettled: {was_unsettled})");
}

#[test]
fn an_end_of_a_transfer_that_was_never_begun_ends_the_connection() {
    let (bench, client) = Bench::start(Settings::default());
    assert!(client.complete(3).is_err());
    assert!(client.counters().is_err());
    bench.end(client);
}
