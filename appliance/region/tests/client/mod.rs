//! A plain client of the front door: TLS, one request, whatever comes back.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use stayput_region::Region;
use stayput_region::http::{Request, write_request};

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection to `name` at the region's door, which trusts the region's authority alone.
pub fn connect(region: &Region, name: &str) -> io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(region.authority().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect_timeout(&at(region), Duration::from_secs(5))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

pub fn at(region: &Region) -> SocketAddr {
    region.addresses().front
}

/// Sends a request and reads to the end.
pub fn ask(region: &Region, name: &str, request: &Request) -> io::Result<String> {
    let mut stream = connect(region, name)?;
    stream.write_all(&write_request(request))?;
    stream.flush()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
