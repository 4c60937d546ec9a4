//! Plain HTTP through a proxy, the way proxies expect it: the whole address in the request line.
//!
//! The HTTP crate tunnels everything with CONNECT, which most proxies allow to port 443 only, and apt's mirrors are
//! plain HTTP as a rule. One GET in HTTP/1.0 needs neither chunks nor connection reuse.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use ureq::http::Uri;

/// What came back, the body still to be read.
pub(crate) struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub content_range: Option<String>,
    pub body: Box<dyn Read + Send>,
}

/// A proxy answers within this, or not at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// No header of a file server comes near.
const HEADER_LIMIT: u64 = 64 << 10;

/// GET of an http:// address through an http:// proxy, from an offset on.
pub(crate) fn get(proxy: &Uri, url: &str, offset: u64) -> io::Result<Answer> {
    let target: Uri = url.parse().map_err(io::Error::other)?;
    let host = proxy.host().ok_or_else(|| io::Error::other("the proxy's address names no host"))?;
    let mut stream = connect(host.trim_matches(['[', ']']), proxy.port_u16().unwrap_or(80))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (target_host, credentials) =
        split_authority(target.authority().map_or("", |authority| authority.as_str()));
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let mut request = format!("GET http://{target_host}{path} HTTP/1.0\r\nHost: {target_host}\r\n");
    request += concat!("User-Agent: stayput/", env!("CARGO_PKG_VERSION"), "\r\n");
    let (_, proxy_credentials) =
        split_authority(proxy.authority().map_or("", |authority| authority.as_str()));
    for (name, credentials) in [("Authorization", credentials), ("Proxy-Authorization", proxy_credentials)] {
        if let Some(credentials) = credentials {
            request += &format!("{name}: Basic {}\r\n", base64(percent_decoded(credentials).as_slice()));
        }
    }
    if offset > 0 {
        request += &format!("Range: bytes={offset}-\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes())?;
    read_answer(stream)
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("the proxy {host}:{port} has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = io::Error::new(error.kind(), format!("the proxy {host}:{port}: {error}")),
        }
    }
    Err(last)
}

fn read_answer(stream: impl Read + Send + 'static) -> io::Result<Answer> {
    let mut reader = BufReader::new(stream);
    let mut head = (&mut reader).take(HEADER_LIMIT);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("the proxy does not answer in HTTP"))?;
    let (mut location, mut content_range, mut length) = (None, None, None);
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the proxy's answer ends within its header",
            ));
        }
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim().to_string();
        match name.to_ascii_lowercase().as_str() {
            "location" => location = Some(value),
            "content-range" => content_range = Some(value),
            "content-length" => length = value.parse::<u64>().ok(),
            _ => {}
        }
    }
    let body: Box<dyn Read + Send> = match length {
        Some(left) => Box::new(Whole { inner: reader, left }),
        None => Box::new(reader),
    };
    Ok(Answer { status, location, content_range, body })
}

/// A body of known length: an early end is an error, as with any other HTTP client.
struct Whole<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended early"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// `user:password@host` to host and credentials.
fn split_authority(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once('@') {
        Some((credentials, host)) => (host, Some(credentials)),
        None => (authority, None),
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match code.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let place = (group >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() { char::from(DIGITS[place]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A proxy that answers once with these bytes; gives its address and, later, the request it saw.
    fn proxy(answer: &'static str) -> (Uri, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://us%65r:pass@{}", listener.local_addr().unwrap());
        let seen = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                reader.read_line(&mut request).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        (address.parse().unwrap(), seen)
    }

    #[test]
    fn the_proxy_gets_the_whole_address_the_range_and_its_password() {
        let (proxy, seen) =
            proxy("HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-6/7\r\nContent-Length: 2\r\n\r\nokmore");
        let mut answer = get(&proxy, "http://m.example:8080/debian/x?y", 5).unwrap();
        let mut body = String::new();
        answer.body.read_to_string(&mut body).unwrap();
        assert_eq!(
            (answer.status, body.as_str(), answer.content_range.as_deref()),
            (206, "ok", Some("bytes 5-6/7"))
        );
        let request = seen.join().unwrap();
        assert!(
            request.starts_with("GET http://m.example:8080/debian/x?y HTTP/1.0\r\nHost: m.example:8080\r\n"),
            "{request}"
        );
        assert!(
            request.contains("Range: bytes=5-\r\n") && request.contains("Basic dXNlcjpwYXNz\r\n"),
            "{request}"
        );
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let (proxy, _) = proxy("HTTP/1.0 200 OK\r\ncontent-length: 10\r\n\r\nshort");
        let mut answer = get(&proxy, "http://m.example/x", 0).unwrap();
        let error = answer.body.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        for answer in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nServer: x\r\n"] {
            let (proxy, _) = proxy(answer);
            assert!(get(&proxy, "http://m.example/x", 0).is_err(), "{answer}");
        }
    }

    #[test]
    fn base64_is_padded_to_fours() {
        for (text, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
