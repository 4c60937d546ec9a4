//! The front door, names and time: what clients of other makers see, and what each fault looks like from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod client;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::json;
use stayput_region::http::Request;
use stayput_region::names::Manner;
use stayput_region::{Chain, Cut, Fault, Keep, Plan, Region, words};

use agent::{REGION, post};
use client::{ask, at, connect};

const SSM: &str = "ssm.eu-central-1.amazonaws.com";

fn region() -> Region {
    Region::start(Plan::on_loopback(REGION)).unwrap()
}

/// A call that is refused for its empty body: all that a test of the door needs.
fn call() -> Request {
    post("RegisterManagedInstance", &json!({}))
}

#[test]
fn each_name_has_its_service_and_no_other_name_is_there() {
    let region = region();
    for host in [SSM, "localhost"] {
        let mut request = call();
        agent::set(&mut request, "Host", &format!("{host}:443"));
        let reply = ask(&region, host, &request).unwrap();
        assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("ValidationException"), "{reply}");
        assert!(reply.contains("\r\nDate: "), "{reply}");
    }
    let mut stranger = call();
    agent::set(&mut stranger, "Host", "sqs.eu-central-1.amazonaws.com");
    assert!(ask(&region, SSM, &stranger).unwrap().starts_with("HTTP/1.1 421"));
    assert!(connect(&region, "sqs.eu-central-1.amazonaws.com").is_err(), "and it has no certificate for it");
    let exchanges = region.recorder().exchanges();
    assert_eq!(exchanges[0].call.as_deref(), Some("RegisterManagedInstance"));
    assert_eq!((exchanges[0].status, exchanges[2].status), (Some(400), Some(421)));
}

#[test]
fn several_requests_share_a_connection_and_every_byte_of_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let streams = folder.path().join("streams");
    // What a record before left behind, and what is somebody else's.
    fs::create_dir(&streams).unwrap();
    for name in ["00000.up", "00007.down", "notes.up"] {
        fs::write(streams.join(name), "earlier").unwrap();
    }
    let keep = Keep::Folder(streams.clone());
    let region = Region::start(Plan { keep, ..Plan::on_loopback(REGION) }).unwrap();
    let mut stream = connect(&region, SSM).unwrap();
    let one = format!("POST / HTTP/1.1\r\nHost: {SSM}\r\nContent-Length: 6\r\n\r\ncanary");
    let mut seen = Vec::new();
    for _ in 0..3 {
        stream.write_all(one.as_bytes()).unwrap();
        stream.flush().unwrap();
        let mut reply = [0; 4096];
        let length = stream.read(&mut reply).unwrap();
        seen.extend_from_slice(&reply[..length]);
    }
    drop(stream);
    let recorder = region.recorder();
    assert_eq!(recorder.search(b"canary"), [0]);
    assert_eq!(recorder.search(b"never said"), Vec::<usize>::new());
    let kept = &recorder.streams()[0];
    assert_eq!((kept.up.as_slice(), kept.name.as_deref()), (one.repeat(3).as_bytes(), Some(SSM)));
    assert!(kept.down == seen, "what was told and what was kept differ");
    assert_eq!(fs::read(folder.path().join("streams/00000.up")).unwrap(), kept.up);
    assert_eq!(fs::read(folder.path().join("streams/00000.down")).unwrap(), kept.down);
    assert_eq!(recorder.exchanges().len(), 3);
    let mut left: Vec<_> = fs::read_dir(streams).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["00000.down", "00000.up", "notes.up"]);
}

#[test]
fn each_fault_of_a_call_looks_as_it_should_from_outside() {
    let region = region();
    let script = region.script();
    let rows: [(Fault, &str); 7] = [
        (Fault::refused("ThrottlingException"), "ThrottlingException"),
        (Fault::Page(503), "<html>"),
        (Fault::Garbled, "200 OK"),
        (Fault::LostBefore, "!UnexpectedEof"),
        (Fault::LostAfter, "!UnexpectedEof"),
        (Fault::Torn, "!UnexpectedEof"),
        (Fault::Reset, "!ConnectionReset"),
    ];
    for (fault, expected) in rows {
        script.next("RegisterManagedInstance", fault.clone());
        let seen = match ask(&region, SSM, &call()) {
            Ok(reply) => reply,
            Err(error) => format!("!{:?}", error.kind()),
        };
        assert!(seen.contains(expected), "{fault:?}: {seen}");
    }
    let exchanges = region.recorder().exchanges();
    let statuses: Vec<_> = exchanges.iter().map(|exchange| exchange.status).collect();
    assert_eq!(statuses, [Some(400), Some(503), Some(200), None, None, Some(400), None]);
    assert!(exchanges.iter().all(|exchange| exchange.fault.is_some()));
    let started = Instant::now();
    script.next("ssm", Fault::Late(Duration::from_millis(300)));
    region.latency(Duration::from_millis(200));
    ask(&region, SSM, &call()).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(500));
}

#[test]
fn a_region_that_is_away_in_three_ways_is_away_in_three_ways_and_comes_back_at_the_same_place() {
    let region = region();
    let place = at(&region);
    for cut in [Cut::Refused, Cut::Reset, Cut::Silent] {
        let mut open = connect(&region, SSM).unwrap();
        region.cut(cut);
        thread::sleep(Duration::from_millis(100));
        let said = TcpStream::connect(place).and_then(|mut socket| {
            socket.set_read_timeout(Some(Duration::from_millis(300)))?;
            socket.write_all(b"\x16\x03\x01")?;
            socket.read(&mut [0; 16])
        });
        let kind = said.map_err(|error| error.kind());
        let expected = match cut {
            Cut::Refused => ErrorKind::ConnectionRefused,
            Cut::Reset => ErrorKind::ConnectionReset,
            _ => ErrorKind::WouldBlock,
        };
        assert_eq!(kind, Err(expected), "{cut:?}");
        // What was connected before notices it, too.
        open.sock.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let _ = open.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").and_then(|()| open.flush());
        assert!(open.read(&mut [0; 16]).is_err(), "{cut:?}");
        region.cut(Cut::None);
        thread::sleep(Duration::from_millis(100));
        assert!(ask(&region, SSM, &call()).is_ok(), "{cut:?}");
    }
}

#[test]
fn a_region_that_is_dropped_leaves_its_ports_to_the_next() {
    let first = region();
    let addresses = first.addresses();
    let mut open = connect(&first, SSM).unwrap();
    drop(first);
    open.sock.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let end = open.read(&mut [0; 16]).map_err(|error| error.kind());
    assert!(
        end.is_err_and(|kind| kind != ErrorKind::WouldBlock),
        "{end:?}: whoever was connected hears of it"
    );
    let plan = Plan {
        front: addresses.front,
        dns: addresses.dns,
        time: addresses.time,
        ..Plan::on_loopback(REGION)
    };
    let second = Region::start(plan.clone()).unwrap();
    assert_eq!(second.addresses(), addresses);
    let taken = Region::start(plan).err().unwrap().to_string();
    assert!(taken.contains("could not listen") && taken.contains("port"), "{taken}");
}

fn oracles_are_wanted() -> bool {
    std::env::var("STAYPUT_REQUIRE_ORACLES").is_ok_and(|value| value == "1")
}

/// What openssl says of the chain, where it is installed: another maker's opinion.
#[test]
fn openssl_takes_the_good_chain_and_names_what_is_wrong_with_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let region = region();
    let authority = folder.path().join("ca.pem");
    fs::write(&authority, region.authority()).unwrap();
    let look = || {
        let output = Command::new("openssl")
            .args(["s_client", "-verify_return_error", "-verify_hostname", SSM, "-servername", SSM])
            .arg("-connect")
            .arg(at(&region).to_string())
            .arg("-CAfile")
            .arg(&authority)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        Some([output.stdout, output.stderr].concat())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let rows = [
        (Chain::Good, "Verify return code: 0 (ok)"),
        (Chain::Stranger, "unable to get local issuer certificate"),
        (Chain::Expired, "certificate has expired"),
        (Chain::Early, "certificate is not yet valid"),
        (Chain::OtherName, "hostname mismatch"),
    ];
    for (chain, expected) in rows {
        region.show(chain);
        let Some(said) = look() else {
            assert!(
                !oracles_are_wanted(),
                "openssl is not installed, and STAYPUT_REQUIRE_ORACLES=1 asks for it"
            );
            return;
        };
        assert!(said.to_lowercase().contains(&expected.to_lowercase()), "{chain:?}: {said}");
    }
}

/// Python's client, the strictest about how an authority has to look.
#[test]
fn pythons_client_reads_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let region = region();
    let authority = folder.path().join("ca.pem");
    fs::write(&authority, region.authority()).unwrap();
    let program = "\
import ssl, sys, http.client
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT
connection = http.client.HTTPSConnection('localhost', int(sys.argv[2]), context=context)
for _ in range(2):
    connection.request('POST', '/', body=b'{}', headers={'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': 'AmazonSSM.RegisterManagedInstance'})
    reply = connection.getresponse()
    print(reply.status, reply.read().decode())
";
    let port = at(&region).port().to_string();
    let output = Command::new("python3").args(["-c", program]).arg(&authority).arg(port).output();
    let Ok(output) = output else {
        assert!(!oracles_are_wanted(), "python3 is not installed, and STAYPUT_REQUIRE_ORACLES=1 asks for it");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        said.matches("400 {\"__type\":\"ValidationException\"").count(),
        2,
        "{said}{:?}",
        output.stderr
    );
    assert_eq!(region.recorder().streams().len(), 1, "one connection for both");
}

/// A question as `dig` writes it, and what came back: code, answers, the last four bytes.
fn dig(region: &Region, name: &str) -> Option<(u8, u8, [u8; 4])> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let mut packet = vec![0xab, 0xcd, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    socket.send_to(&packet, region.addresses().dns.unwrap()).unwrap();
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply).ok()?;
    assert_eq!(reply[..2], packet[..2]);
    Some((reply[3] & 15, reply[7], reply[length - 4..length].try_into().unwrap()))
}

#[test]
fn the_names_lead_to_the_door_and_what_was_asked_is_kept() {
    let plan = Plan { address: [10, 0, 2, 2].into(), ..Plan::on_loopback(REGION) };
    let region = Region::start(plan).unwrap();
    assert_eq!(dig(&region, SSM), Some((0, 1, [10, 0, 2, 2])));
    assert_eq!(dig(&region, "2.debian.pool.ntp.org"), Some((0, 1, [10, 0, 2, 2])));
    assert_eq!(dig(&region, "canary.example.com").unwrap().0, 3);
    region.answer_names(Manner::Silent);
    assert_eq!(dig(&region, SSM), None);
    let asked: Vec<_> =
        region.names().asked().into_iter().map(|question| (question.name, question.code)).collect();
    assert_eq!(asked[2], ("canary.example.com".to_owned(), Some(3)));
    assert_eq!(asked[3], (SSM.to_owned(), None));
}

#[test]
fn the_time_service_tells_the_regions_time_with_its_own_error_or_nothing() {
    let region = region();
    let told = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let mut packet = [0; 48];
        packet[0] = 0x23;
        socket.send_to(&packet, region.addresses().time.unwrap()).unwrap();
        let mut reply = [0; 64];
        let length = socket.recv(&mut reply).ok()?;
        assert_eq!(length, 48);
        Some(i64::from(u32::from_be_bytes(reply[40..44].try_into().unwrap())) - 2_208_988_800)
    };
    let off = || told().map(|seconds| seconds - jiff::Timestamp::now().as_second());
    assert!(off().unwrap().abs() <= 1);
    region.tell_time(Some(SignedDuration::from_secs(-600)));
    assert!((off().unwrap() + 600).abs() <= 1);
    region.clock().skew(SignedDuration::from_secs(3600));
    assert!((off().unwrap() - 3000).abs() <= 1);
    region.tell_time(None);
    assert_eq!(told(), None);
}

/// An emulator that says back what it was asked.
fn emulator() -> (std::net::SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut seen = Vec::new();
        for (socket, reply) in [
            "HTTP/1.1 200 OK\r\nContent-Type: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\nETag: \"x\"\r\n\r\n",
            "HTTP/1.0 404 No\r\n\r\ngone",
        ]
        .into_iter()
        .map(|reply| (listener.accept().unwrap().0, reply))
        {
            let mut socket = socket;
            let mut bytes = [0; 4096];
            let length = socket.read(&mut bytes).unwrap();
            seen.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            socket.write_all(reply.as_bytes()).unwrap();
        }
        seen
    });
    (address, served)
}

#[test]
fn what_is_meant_for_an_emulator_arrives_there_as_it_was_and_its_answer_comes_back() {
    let (address, served) = emulator();
    let region =
        Region::start(Plan { emulator: Some(address), lenient: true, ..Plan::on_loopback(REGION) }).unwrap();
    let get = |method: &str, host: &str| {
        let mut request = Request { method: method.to_owned(), target: "/a%20b?x=1".to_owned(), ..call() };
        agent::set(&mut request, "Host", host);
        ask(&region, host, &request).unwrap()
    };
    let one = get("POST", "sqs.eu-central-1.amazonaws.com");
    assert!(one.ends_with("\r\n\r\none") && one.contains("Content-Length: 3\r\n"), "{one}");
    let two = get("HEAD", "bucket.s3.eu-central-1.amazonaws.com");
    assert!(
        two.contains("Content-Length: 1048576\r\n")
            && two.contains("ETag: \"x\"")
            && two.ends_with("\r\n\r\n"),
        "{two}"
    );
    let three = get("GET", "s3.eu-central-1.amazonaws.com");
    assert!(three.starts_with("HTTP/1.1 404") && three.ends_with("gone"), "{three}");
    let seen = served.join().unwrap();
    assert!(seen[0].starts_with("POST /a%20b?x=1 HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[1].contains("Host: bucket.s3.eu-central-1.amazonaws.com\r\n"), "{}", seen[1]);
    // Now it is gone.
    let four = get("GET", "s3.eu-central-1.amazonaws.com");
    assert!(four.starts_with("HTTP/1.1 503"), "{four}");
}

#[test]
fn nobody_without_a_session_of_this_region_reaches_an_emulator() {
    let (address, _served) = emulator();
    let region = Region::start(Plan { emulator: Some(address), ..Plan::on_loopback(REGION) }).unwrap();
    let refused = |host: &str, authorization: Option<&str>| {
        let mut request = call();
        agent::set(&mut request, "Host", host);
        if let Some(value) = authorization {
            agent::set(&mut request, "Authorization", value);
        }
        ask(&region, host, &request).unwrap()
    };
    let forged = "AWS4-HMAC-SHA256 Credential=AKID/20261120/eu-central-1/sqs/aws4_request, SignedHeaders=host, Signature=00";
    let sqs = "sqs.eu-central-1.amazonaws.com";
    assert!(refused(sqs, None).contains("com.amazonaws.sqs#MissingAuthenticationToken"));
    assert!(refused(sqs, Some(forged)).contains("UnrecognizedClientException"));
    assert!(
        refused("s3.eu-central-1.amazonaws.com", Some(forged)).contains("<Code>InvalidAccessKeyId</Code>")
    );
}

#[test]
fn what_is_not_http_or_not_tls_is_answered_or_left_and_harms_nobody() {
    let region = region();
    let mut plain = TcpStream::connect(at(&region)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    let mut stream = connect(&region, SSM).unwrap();
    stream.write_all(b"SMTP is another thing\r\n\r\n").unwrap();
    let mut reply = String::new();
    let _ = stream.read_to_string(&mut reply);
    assert!(reply.starts_with("HTTP/1.1 400"), "{reply}");
    assert!(ask(&region, SSM, &call()).is_ok());
    let flaws: Vec<_> = region.recorder().streams().into_iter().map(|stream| stream.flaw.is_some()).collect();
    assert_eq!(flaws, [true, true, false]);
}

#[test]
fn a_person_changes_the_region_with_words() {
    let region = region();
    for line in [
        "next RegisterManagedInstance lost-after",
        "times 2 ssm late:0.001",
        "always * refused:TooManyUpdates",
        "clear *",
        "cut off",
        "certificate good",
        "latency 0",
        "clock -3600",
        "time silent",
        "names 192.0.2.1",
        "names honest",
        "expire",
        "activation 3",
        "tally",
        "",
    ] {
        let said = words::obey(&region, line);
        assert!(said.is_ok(), "{line}: {said:?}");
    }
    assert_eq!(region.simulator().activations()[0].limit, 3);
    for (line, expected) in [
        ("nxt ssm torn", "there is no word 'nxt'"),
        ("next ssm", "next NAME FAULT"),
        ("next ssm broken", "next NAME FAULT"),
        ("latency -1", "latency SECONDS"),
        ("clock 1e99", "clock SECONDS"),
        ("page:200", "no word"),
        ("next ssm page:200", "NAME FAULT"),
        ("drop mi-1", "drop INSTANCE"),
        ("times 0 ssm torn", "times N"),
        ("cut", "cut refused|"),
    ] {
        let said = words::obey(&region, line).unwrap_err();
        assert!(said.contains(expected), "{line}: {said}");
    }
}
