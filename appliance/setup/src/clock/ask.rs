//! Asking the region for its date over TLS, by a box whose own clock is not to be trusted.
//!
//! A certificate is judged by the time of day, which is what is to be found out. So the handshake only makes sure that the
//! other end holds its certificate's key; then it is asked for a page, and nothing secret is sent; and then chain, name and
//! dates are judged at the very date that it told. Somebody without a certificate for the name that is valid at that date
//! gets nothing believed.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::fmt::rfc2822::DateTimeParser;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use serde::{Deserialize, Serialize};

use super::ladder::{Heard, Obstacle};

/// How long a connection, and each piece of an answer, may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The longest head of an answer that is read.
const LONGEST: usize = 16 * 1024;

/// Who is asked, and on which way: what the set-up leaves for this part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The proxy, where the host is reached through it.
    pub proxy: Option<Proxy>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name and password with a colon between, where it wants them.
    pub user: Option<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Proxy({}:{})", self.host, self.port)
    }
}

/// The region's date, or why there is none.
pub fn ask(place: &Place, authorities: &[u8]) -> Heard {
    let roots = roots(authorities);
    let name = ServerName::try_from(place.host.clone()).map_err(|_| Obstacle::Silence)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let witness = Arc::new(Witness { provider: provider.clone(), chain: Mutex::default() });
    let socket = connect(place)?;
    let head = head(socket, name.clone(), provider.clone(), witness.clone(), &place.host)?;
    let date = date(&head).ok_or(Obstacle::Silence)?;
    let chain = witness.chain.lock().unwrap_or_else(PoisonError::into_inner).take();
    judge(&chain.ok_or(Obstacle::Stranger)?, &name, date, roots, provider)?;
    Ok(date)
}

fn roots(authorities: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok));
    roots
}

/// Whether this chain is one for `name` at `date`.
fn judge(
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    date: i64,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<(), Obstacle> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let (own, others) = chain.split_first().ok_or(Obstacle::Stranger)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(date).unwrap_or(0)));
    let verified = verifier.map(|verifier| verifier.verify_server_cert(own, others, name, &[], at));
    matches!(verified, Ok(Ok(_))).then_some(()).ok_or(Obstacle::Stranger)
}

/// Keeps the chain that was shown, and lets the handshake go on if its key is the other end's.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Option<Vec<CertificateDer<'static>>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = [own].into_iter().chain(others).map(|it| it.clone().into_owned()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain);
        // Judged by `judge`, at the date that the answer tells; nothing is believed before.
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, own, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, own, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection to the host, through the proxy where there is one.
fn connect(place: &Place) -> Result<TcpStream, Obstacle> {
    let silent = |_: io::Error| Obstacle::Silence;
    let Some(proxy) = &place.proxy else { return reach(&place.host, place.port).map_err(silent) };
    let mut socket = reach(&proxy.host, proxy.port).map_err(silent)?;
    let host = bracketed(&place.host);
    let mut request = format!("CONNECT {host}:{0} HTTP/1.1\r\nHost: {host}:{0}\r\n", place.port);
    if let Some(user) = &proxy.user {
        request += &format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user));
    }
    request += "\r\n";
    socket.write_all(request.as_bytes()).map_err(silent)?;
    let head = read_head(&mut socket).map_err(silent)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') { Ok(socket) } else { Err(Obstacle::Proxy) }
}

fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(socket) => {
                socket.set_read_timeout(Some(TIMEOUT))?;
                socket.set_write_timeout(Some(TIMEOUT))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn head(
    socket: TcpStream,
    name: ServerName<'static>,
    provider: Arc<CryptoProvider>,
    witness: Arc<Witness>,
    host: &str,
) -> Result<String, Obstacle> {
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|_| Obstacle::Silence)?.dangerous().with_custom_certificate_verifier(witness);
    let mut config = config.with_no_client_auth();
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|_| Obstacle::Silence)?;
    let mut stream = StreamOwned::new(connection, socket);
    let request = format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", bracketed(host));
    let of_tls = |error: io::Error| match error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        true => Obstacle::Stranger,
        false => Obstacle::Silence,
    };
    stream.write_all(request.as_bytes()).map_err(of_tls)?;
    read_head(&mut stream).map_err(of_tls)
}

/// An answer's head. Byte by byte would be slow over TLS; what is read beyond it belongs to nobody: after a HEAD and after a
/// CONNECT the other end waits.
fn read_head(from: &mut impl Read) -> io::Result<String> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        let read = from.read(&mut piece)?;
        bytes.extend_from_slice(piece.get(..read).unwrap_or_default());
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            bytes.truncate(end);
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        if read == 0 || bytes.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// `Date: Fri, 20 Nov 2026 17:05:00 GMT`, of any answer that HTTP knows: an error has one too.
fn date(head: &str) -> Option<i64> {
    let mut lines = head.split("\r\n");
    lines.next().filter(|status| status.starts_with("HTTP/1."))?;
    let mut dates = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then_some(value.trim())
    });
    let text = dates.next()?;
    // Two dates are no date.
    if dates.next().is_some() {
        return None;
    }
    Some(DateTimeParser::new().parse_timestamp(text).ok()?.as_second())
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_any_answer_is_read_and_of_nothing_else() {
        let good = "HTTP/1.1 405 Method Not Allowed\r\nserver: x\r\ndate: Fri, 20 Nov 2026 17:05:00 GMT";
        assert_eq!(date(good), Some(1_795_194_300));
        for bad in [
            "",
            "HTTP/1.1 200 OK",
            "Date: Fri, 20 Nov 2026 17:05:00 GMT",
            "HTTP/1.1 200 OK\r\nDate: soon",
            "HTTP/1.1 200 OK\r\nX-Date: Fri, 20 Nov 2026 17:05:00 GMT",
            "HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 17:05:00 GMT\r\nDate: Sat, 21 Nov 2026 17:05:00 GMT",
        ] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_head_that_never_ends_is_given_up() {
        assert!(read_head(&mut io::repeat(b'x')).is_err());
        assert!(read_head(&mut &b"HTTP/1.1 200"[..]).is_err());
        assert_eq!(read_head(&mut &b"HTTP/1.1 200\r\n\r\nbody"[..]).unwrap(), "HTTP/1.1 200");
    }

    #[test]
    fn a_proxy_shows_nobody_its_password() {
        let proxy = Proxy { host: "proxy".into(), port: 1, user: Some("robot:secret".into()) };
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy:1)");
    }
}
