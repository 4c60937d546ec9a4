//! Requests and replies to bytes.

use super::{Request, Response};

/// A request as bytes, with its length, for one connection of its own.
pub fn write_request(request: &Request) -> Vec<u8> {
    let Request { method, target, headers, body } = request;
    let frames = ["content-length", "transfer-encoding", "connection", "expect"];
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in headers {
        if !frames.iter().any(|frame| name.eq_ignore_ascii_case(frame)) {
            text += &format!("{name}: {value}\r\n");
        }
    }
    text += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [text.into_bytes(), body.clone()].concat()
}

/// A reply as bytes.
pub fn write_response(response: &Response) -> Vec<u8> {
    let Response { status, headers, body, announced } = response;
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(*status));
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if *status != 204 && *status != 304 {
        text += &format!("Content-Length: {}\r\n", announced.unwrap_or(body.len() as u64));
    }
    text += "\r\n";
    [text.into_bytes(), body.clone()].concat()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        421 => "Misdirected Request",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
