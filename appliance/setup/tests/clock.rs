//! The clock's question, asked of a region of the test's own: on loopback, with certificates of any date.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use stayput_setup::clock::Obstacle;
use stayput_setup::clock::ask::{Place, Proxy, ask};

/// What the region says unless a test wants otherwise.
const DATE: &str = "Fri, 20 Nov 2026 17:05:00 GMT";
const UNIX: i64 = 1_795_194_300;

/// An authority, and a certificate for a name that holds in 2026.
struct Papers {
    authority: String,
    server: Arc<ServerConfig>,
}

fn papers(name: &str) -> Papers {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
    let certificate = params.signed_by(&own, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    Papers { authority, server: Arc::new(server) }
}

fn head(from: &mut impl Read) -> String {
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with("\r\n\r\n") && from.read(&mut byte).is_ok_and(|read| read == 1) {
        text.push(char::from(byte[0]));
    }
    text
}

/// Answers one question on `socket`.
fn answer(socket: TcpStream, server: Arc<ServerConfig>, said: &str) {
    let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), socket);
    if head(&mut stream).starts_with("HEAD / HTTP/1.1\r\nHost: localhost\r\n") {
        let _ = stream.write_all(said.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
}

fn region(server: Arc<ServerConfig>, said: String) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || answer(listener.accept().unwrap().0, server, &said));
    Place { host: "localhost".into(), port, proxy: None }
}

fn saying(date: &str) -> String {
    format!("HTTP/1.1 404 Not Found\r\nServer: x\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn the_regions_date_is_believed_whatever_this_machines_clock_says() {
    let papers = papers("localhost");
    let place = region(papers.server, saying(DATE));
    assert_eq!(ask(&place, papers.authority.as_bytes()), Ok(UNIX));
}

#[test]
fn a_date_outside_the_certificates_own_dates_is_not_believed() {
    for date in
        ["Wed, 31 Dec 2025 23:59:59 GMT", "Sat, 02 Jan 2027 00:00:00 GMT", "Mon, 01 Jan 1900 00:00:00 GMT"]
    {
        let papers = papers("localhost");
        let place = region(papers.server, saying(date));
        assert_eq!(ask(&place, papers.authority.as_bytes()), Err(Obstacle::Stranger), "{date}");
    }
}

#[test]
fn who_has_no_certificate_of_a_trusted_authority_for_that_name_is_a_stranger() {
    let (trusted, other) = (papers("localhost"), papers("localhost"));
    let place = region(other.server, saying(DATE));
    assert_eq!(ask(&place, trusted.authority.as_bytes()), Err(Obstacle::Stranger), "another authority");
    let elsewhere = papers("elsewhere");
    let place = region(elsewhere.server, saying(DATE));
    assert_eq!(ask(&place, elsewhere.authority.as_bytes()), Err(Obstacle::Stranger), "another name");
    let nobody = papers("localhost");
    let place = region(nobody.server, saying(DATE));
    assert_eq!(ask(&place, b""), Err(Obstacle::Stranger), "nobody is trusted");
}

#[test]
fn no_answer_or_one_without_a_date_is_silence() {
    let papers = papers("localhost");
    let place = region(papers.server, "HTTP/1.1 200 OK\r\n\r\n".to_owned());
    assert_eq!(ask(&place, papers.authority.as_bytes()), Err(Obstacle::Silence));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let nobody = Place { host: "localhost".into(), port, proxy: None };
    assert_eq!(ask(&nobody, papers.authority.as_bytes()), Err(Obstacle::Silence));
}

/// A proxy that lets one question through, or does not.
fn proxy(lets: bool) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let request = head(&mut client);
        // "robot:secret" in Base64.
        if !lets || !request.contains("Proxy-Authorization: Basic cm9ib3Q6c2VjcmV0\r\n") {
            let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
            return;
        }
        let to = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap();
        let mut region = TcpStream::connect(to).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut from, mut back) = (client.try_clone().unwrap(), region.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut back));
        let _ = std::io::copy(&mut region, &mut client);
    });
    Proxy { host: "127.0.0.1".into(), port, user: Some("robot:secret".into()) }
}

#[test]
fn the_question_goes_through_a_proxy_that_is_told_its_password() {
    let papers = papers("localhost");
    let through = |lets| {
        let place = region(papers.server.clone(), saying(DATE));
        ask(&Place { proxy: Some(proxy(lets)), ..place }, papers.authority.as_bytes())
    };
    assert_eq!(through(true), Ok(UNIX));
    assert_eq!(through(false), Err(Obstacle::Proxy));
}
