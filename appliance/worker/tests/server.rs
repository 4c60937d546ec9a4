//! A mover behind its socket, spoken to as a courier does, and as something that is no courier does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen,
    recv, send, socket_with,
};
use stayput_worker::client::{Client, PATIENCE};
use stayput_worker::disk::Linux;
use stayput_worker::protocol::{Answer, LONGEST, Refusal, Request};
use stayput_worker::server::{Ended, Notice, Peer, serve};
use stayput_worker::{Error, Mover, Naming, Order, OrderKey, Outcome, Settings};
use tempfile::TempDir;

fn socket() -> OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

/// A mover in a thread, serving one connection for each end that is expected.
fn start(connections: usize, uid: u32) -> (TempDir, SocketAddrUnix, JoinHandle<Vec<Ended>>) {
    let place = TempDir::new().unwrap();
    let folder = |name: &str| {
        fs::create_dir(place.path().join(name)).unwrap();
        Linux.folder(&place.path().join(name)).unwrap()
    };
    let settings = Settings { quiet: Duration::ZERO, reserve: 0, ..Settings::default() };
    let (source, destination, log) = (folder("source"), folder("destination"), folder("log"));
    let mut mover = Mover::open(Linux, source, destination, log, settings).unwrap();
    let address = SocketAddrUnix::new(place.path().join("socket")).unwrap();
    let listener = socket();
    bind(&listener, &address).unwrap();
    listen(&listener, 4).unwrap();
    let thread = std::thread::spawn(move || {
        let mut ends = Vec::new();
        serve(&listener, &mut mover, Peer { uid }, |_, notice| {
            if let Notice::Ended(ended) = notice {
                ends.push(ended);
            }
            ends.len() < connections
        })
        .unwrap();
        ends
    });
    (place, address, thread)
}

fn me() -> u32 {
    rustix::process::getuid().as_raw()
}

fn dial(address: &SocketAddrUnix) -> OwnedFd {
    let connection = socket();
    connect(&connection, address).unwrap();
    connection
}

fn ask_raw(connection: &OwnedFd, bytes: &[u8]) -> Option<Answer> {
    send(connection, bytes, SendFlags::NOSIGNAL).ok()?;
    let mut buffer = vec![0; LONGEST];
    match recv(connection, &mut buffer[..], RecvFlags::empty()) {
        Ok((_, 0)) | Err(_) => None,
        Ok((_, length)) => Some(Answer::decode(&buffer[..length]).unwrap()),
    }
}

fn ask(connection: &OwnedFd, request: &Request) -> Answer {
    ask_raw(connection, &request.encode().unwrap()).unwrap()
}

fn order(name: &str) -> Order {
    Order {
        key: OrderKey::new(name.as_bytes()).unwrap(),
        naming: Naming::Suffixed,
        name: name.as_bytes().to_vec(),
    }
}

#[test]
fn a_courier_says_hello_moves_files_and_reports_deleted_messages() {
    let (place, address, thread) = start(1, me());
    fs::write(place.path().join("source/a"), "content").unwrap();
    let connection = dial(&address);
    assert_eq!(ask(&connection, &Request::Hello), Answer::Welcome { batch: 32 });
    let request = Request::Move { batch: 9, orders: vec![order("a"), order("b")] };
    let outcomes = vec![Outcome::Done, Outcome::Waiting];
    assert_eq!(ask(&connection, &request), Answer::Moved { batch: 9, outcomes });
    let moved = fs::read(place.path().join("destination/a_has_been_processed")).unwrap();
    assert_eq!(moved, b"content");
    let deleted = Request::Deleted(vec![OrderKey::new(b"a").unwrap()]);
    let Answer::Counted(counters) = ask(&connection, &deleted) else { panic!("no counters") };
    assert_eq!((counters.of(Outcome::Done), counters.of(Outcome::Waiting)), (1, 1));
    drop(connection);
    assert_eq!(thread.join().unwrap(), [Ended::Closed]);
}

#[test]
fn what_is_no_proper_message_is_refused_and_the_next_connection_is_served() {
    let hello = Request::Hello.encode().unwrap();
    let table: &[(&str, Vec<Vec<u8>>, Refusal)] = &[
        ("garbage", vec![b"GET / HTTP/1.1\r\n".to_vec()], Refusal::Version),
        ("another version", vec![vec![2, 1, 0, 0]], Refusal::Version),
        ("no hello first", vec![Request::Count.encode().unwrap()], Refusal::Turn),
        ("hello twice", vec![hello.clone(), hello.clone()], Refusal::Turn),
        ("longer than any message", vec![vec![1; LONGEST + 100]], Refusal::Oversize),
        ("cut off", vec![hello.clone(), vec![1, 2, 50, 0, 1]], Refusal::Truncated),
    ];
    let (_place, address, thread) = start(table.len() + 1, me());
    for (what, messages, refusal) in table {
        let connection = dial(&address);
        let answers: Vec<_> = messages.iter().map(|message| ask_raw(&connection, message)).collect();
        assert_eq!(answers.last().unwrap(), &Some(Answer::Refused(*refusal)), "{what}");
        // The mover closed it.
        assert_eq!(ask_raw(&connection, &hello), None, "{what}");
    }
    let connection = dial(&address);
    assert_eq!(ask(&connection, &Request::Hello), Answer::Welcome { batch: 32 });
    drop(connection);
    let ends = thread.join().unwrap();
    let refusals: Vec<_> = table.iter().map(|(_, _, refusal)| Ended::Refused(*refusal)).collect();
    assert_eq!(ends[..table.len()], refusals);
}

#[test]
fn a_courier_that_vanishes_in_the_middle_leaves_the_mover_serving() {
    let (place, address, thread) = start(2, me());
    fs::write(place.path().join("source/a"), "content").unwrap();
    let connection = dial(&address);
    ask(&connection, &Request::Hello);
    let request = Request::Move { batch: 1, orders: vec![order("a")] };
    send(&connection, &request.encode().unwrap(), SendFlags::NOSIGNAL).unwrap();
    drop(connection);
    let connection = dial(&address);
    ask(&connection, &Request::Hello);
    let outcomes = vec![Outcome::AlreadyDone];
    assert_eq!(ask(&connection, &request), Answer::Moved { batch: 1, outcomes });
    drop(connection);
    assert_eq!(thread.join().unwrap().len(), 2);
}

#[test]
fn whoever_comes_while_another_is_served_is_told_so_after_a_moment() {
    let (place, address, thread) = start(2, me());
    let connection = dial(&address);
    ask(&connection, &Request::Hello);
    let path = place.path().join("socket");
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || said.send(Client::connect(&path, PATIENCE).err()));
    let error = heard.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    assert!(matches!(error, Error::Engaged { .. }), "{error}");
    assert!(error.to_string().contains("stop the courier"), "{error}");
    // Who is served is served on.
    assert_eq!(ask(&connection, &Request::Ready), Answer::Ready { obstacle: None });
    drop(connection);
    assert_eq!(thread.join().unwrap()[0], Ended::Closed);
}

#[test]
fn a_process_of_another_user_gets_nothing() {
    let (_place, address, thread) = start(1, me() + 1);
    let connection = dial(&address);
    assert_eq!(ask_raw(&connection, &Request::Hello.encode().unwrap()), None);
    assert_eq!(thread.join().unwrap(), [Ended::Stranger]);
}
