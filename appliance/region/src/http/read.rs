//! Bytes to requests and replies.

use std::io::{self, BufRead, Read, Write};

use super::{LONGEST_BODY, LONGEST_HEAD, Request, Response};

/// Why bytes are no request or reply.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// It ended in the middle.
    #[error("it ended in the middle")]
    Cut,
    /// It is not HTTP, or more of it than an honest one has.
    #[error("{0}")]
    Form(&'static str),
}

const HEADERS: usize = 100;

/// The next request on a connection; `None` when the other end closed it. A body that waits to be asked for is asked for.
pub fn request(stream: &mut (impl BufRead + Write)) -> Result<Option<Request>, Flaw> {
    let Some(head) = head(stream)? else { return Ok(None) };
    let mut space = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut space);
    match parsed.parse(&head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(Flaw::Form("this is no HTTP request")),
    }
    if parsed.version != Some(1) {
        return Err(Flaw::Form("this is not HTTP/1.1"));
    }
    let headers = headers(parsed.headers)?;
    let method = parsed.method.unwrap_or_default().to_owned();
    let target = parsed.path.unwrap_or_default().to_owned();
    let is = |name: &str, value: &str| {
        headers.iter().any(|(of, is)| of.eq_ignore_ascii_case(name) && is.eq_ignore_ascii_case(value))
    };
    if is("expect", "100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.flush()?;
    }
    let body = match length(&headers)? {
        Length::Known(length) => exactly(stream, length)?,
        Length::Chunked => chunks(stream)?,
        Length::Unsaid => Vec::new(),
    };
    Ok(Some(Request { method, target, headers, body }))
}

/// The reply to a request of this method.
pub fn response(stream: &mut impl BufRead, method: &str) -> Result<Response, Flaw> {
    loop {
        let head = head(stream)?.ok_or(Flaw::Cut)?;
        let mut space = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut space);
        match parsed.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Flaw::Form("this is no HTTP reply")),
        }
        let status = parsed.code.unwrap_or_default();
        // Not the reply yet.
        if (100..200).contains(&status) {
            continue;
        }
        let headers = headers(parsed.headers)?;
        let length = length(&headers)?;
        let bodiless = method == "HEAD" || status == 204 || status == 304;
        let (body, announced) = match length {
            Length::Known(length) if bodiless => (Vec::new(), Some(length)),
            _ if bodiless => (Vec::new(), None),
            Length::Known(length) => (exactly(stream, length)?, None),
            Length::Chunked => (chunks(stream)?, None),
            Length::Unsaid => (rest(stream)?, None),
        };
        let frames = ["content-length", "transfer-encoding", "connection", "keep-alive"];
        let headers = headers
            .into_iter()
            .filter(|(name, _)| !frames.iter().any(|frame| name.eq_ignore_ascii_case(frame)));
        return Ok(Response { status, headers: headers.collect(), body, announced });
    }
}

/// Everything up to the empty line.
fn head(stream: &mut impl BufRead) -> Result<Option<Vec<u8>>, Flaw> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let left = LONGEST_HEAD.saturating_sub(head.len());
        let read = stream.by_ref().take(left as u64).read_until(b'\n', &mut head)?;
        match read {
            0 if head.is_empty() => return Ok(None),
            0 if left == 0 => return Err(Flaw::Form("the head is longer than any honest one")),
            0 => return Err(Flaw::Cut),
            // An empty line before a request is nothing.
            2 if head == b"\r\n" => head.clear(),
            _ => {}
        }
    }
    Ok(Some(head))
}

fn headers(parsed: &[httparse::Header<'_>]) -> Result<Vec<(String, String)>, Flaw> {
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| Flaw::Form("a header is not UTF-8"));
    parsed.iter().map(|header| Ok((header.name.to_owned(), text(header.value)?))).collect()
}

enum Length {
    Known(u64),
    Chunked,
    Unsaid,
}

fn length(headers: &[(String, String)]) -> Result<Length, Flaw> {
    let all = |wanted: &str| {
        let wanted = wanted.to_owned();
        headers
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(&wanted))
            .map(|(_, value)| value.as_str())
    };
    let (codings, lengths): (Vec<_>, Vec<_>) =
        (all("transfer-encoding").collect(), all("content-length").collect());
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Length::Unsaid),
        // Digits alone: a sign or a second opinion is how one request becomes two.
        ([], [length]) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            match length.parse() {
                Ok(length) if length <= LONGEST_BODY => Ok(Length::Known(length)),
                _ => Err(Flaw::Form("the body is longer than is read here")),
            }
        }
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
        _ => {
            Err(Flaw::Form("how long the body is, is said in a way that two readers would read differently"))
        }
    }
}

fn exactly(stream: &mut impl BufRead, length: u64) -> Result<Vec<u8>, Flaw> {
    let mut body = Vec::new();
    let read = stream.by_ref().take(length).read_to_end(&mut body)?;
    if read as u64 == length { Ok(body) } else { Err(Flaw::Cut) }
}

fn rest(stream: &mut impl BufRead) -> Result<Vec<u8>, Flaw> {
    let mut body = Vec::new();
    stream.by_ref().take(LONGEST_BODY).read_to_end(&mut body)?;
    Ok(body)
}

fn chunks(stream: &mut impl BufRead) -> Result<Vec<u8>, Flaw> {
    let mut body = Vec::new();
    loop {
        let line = line(stream)?;
        let size = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(size).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let size = size
            .and_then(|text| u64::from_str_radix(text, 16).ok())
            .ok_or(Flaw::Form("a chunk has no size"))?;
        if size.saturating_add(body.len() as u64) > LONGEST_BODY {
            return Err(Flaw::Form("the body is longer than is read here"));
        }
        if size == 0 {
            // What may follow are headers of no use here.
            while !self::line(stream)?.is_empty() {}
            return Ok(body);
        }
        body.append(&mut exactly(stream, size)?);
        if !self::line(stream)?.is_empty() {
            return Err(Flaw::Form("a chunk is longer than it said"));
        }
    }
}

fn line(stream: &mut impl BufRead) -> Result<Vec<u8>, Flaw> {
    let mut line = Vec::new();
    stream.by_ref().take(8192).read_until(b'\n', &mut line)?;
    match line.as_slice() {
        [.., b'\r', b'\n'] => Ok(line[..line.len() - 2].to_vec()),
        _ => Err(Flaw::Cut),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// What stands on the wire, read.
    fn read(bytes: &[u8]) -> Result<Option<Request>, Flaw> {
        request(&mut Cursor::new(bytes.to_vec()))
    }

    fn flaw(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_body_with_a_length_and_one_in_chunks_are_the_same_body() {
        let plain = read(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").unwrap().unwrap();
        let chunks = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: x\r\n\r\n";
        assert_eq!(plain.body, b"hello");
        assert_eq!(read(chunks).unwrap().unwrap().body, b"hello");
    }

    #[test]
    fn an_end_between_requests_is_no_flaw_and_one_within_is() {
        assert!(read(b"").unwrap().is_none());
        for cut in
            [&b"POST / HT"[..], b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell", b"GET / HTTP/1.1\r\n"]
        {
            assert!(flaw(cut).contains("ended in the middle"), "{cut:?}");
        }
    }

    #[test]
    fn a_length_that_two_readers_would_read_differently_is_refused() {
        for lines in [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: +5",
            "Content-Length: ",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let request = format!("POST / HTTP/1.1\r\n{lines}\r\n\r\nhello");
            assert!(flaw(request.as_bytes()).contains("two readers"), "{lines}");
        }
    }

    #[test]
    fn hostile_input_is_refused_and_not_collected() {
        let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 2 * LONGEST_HEAD]].concat();
        assert!(flaw(&endless).contains("longer than any honest one"));
        for bad in [
            "\u{16}\u{3}\u{1}\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert!(matches!(read(bad.as_bytes()), Err(Flaw::Form(_))), "{bad}");
        }
    }

    #[test]
    fn a_reply_to_head_has_a_length_and_no_body() {
        let mut bytes =
            &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: x\r\n\r\n"[..];
        let reply = response(&mut bytes, "HEAD").unwrap();
        assert_eq!((reply.announced, reply.body.len(), reply.headers.len()), (Some(7), 0, 1));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
            let _ = response(&mut bytes.as_slice(), "GET");
        }
    }
}
