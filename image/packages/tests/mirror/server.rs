//! A web server over a directory, with the faults that real mirrors have.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stayput_packages::Mirror;

/// What goes wrong with a file.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection ends after so many bytes of the body, so many times.
    CutAfter(usize, u32),
    /// This status, so many times.
    Status(u16, u32),
    /// Other bytes of the same length, whatever is asked for.
    WrongBytes,
    /// More bytes than the file has.
    TooMany,
    /// Range is not understood: always the whole file.
    NoRange,
    /// Elsewhere.
    Redirect(String),
    /// Range is answered with the wrong part.
    OtherPart,
}

/// Requests seen: path and Range.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

pub struct Server {
    pub address: String,
    pub seen: Seen,
    faults: Arc<Mutex<HashMap<String, Fault>>>,
}

impl Server {
    /// Serves a directory on a free port of the loopback, for as long as the test process lives.
    pub fn over(folder: &Path) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Seen::default();
        let faults: Arc<Mutex<HashMap<String, Fault>>> = Arc::default();
        let server = Server { address, seen: seen.clone(), faults: faults.clone() };
        let folder = folder.to_path_buf();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, seen, faults) = (folder.clone(), seen.clone(), faults.clone());
                std::thread::spawn(move || {
                    let _ = answer(stream, &folder, &seen, &faults);
                });
            }
        });
        server
    }

    pub fn fault(&self, path: &str, fault: Fault) {
        self.faults.lock().unwrap().insert(path.to_string(), fault);
    }

    pub fn mirror(&self) -> Mirror {
        let mirror = Mirror::named(&format!("{}/debian", self.address), None).unwrap();
        mirror.with_patience(3, Duration::from_millis(1))
    }

    pub fn requests(&self, path: &str) -> Vec<Option<String>> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(asked, _)| asked == path).map(|(_, range)| range.clone()).collect()
    }
}

fn answer(
    mut stream: TcpStream,
    folder: &Path,
    seen: &Seen,
    faults: &Mutex<HashMap<String, Fault>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_string();
    let mut range = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_string());
        }
    }
    seen.lock().unwrap().push((path.clone(), range.clone()));
    let fault = take_fault(faults, &path);
    if let Some(Fault::Status(status, _)) = fault {
        return write!(stream, "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if let Some(Fault::Redirect(to)) = fault {
        let head =
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return stream.write_all(head.as_bytes());
    }
    let Ok(mut body) = fs::read(folder.join(PathBuf::from(&path))) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let full = body.len();
    let mut start = 0;
    match fault {
        Some(Fault::WrongBytes) => body.iter_mut().for_each(|byte| *byte ^= 0x55),
        Some(Fault::TooMany) => body.extend_from_slice(&[0; 100]),
        _ => {}
    }
    let asked =
        range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    if !matches!(fault, Some(Fault::NoRange)) {
        start = asked.unwrap_or(0);
    }
    if start >= full && start > 0 {
        return write!(stream, "HTTP/1.1 416 Range\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let told = if matches!(fault, Some(Fault::OtherPart)) { start / 2 } else { start };
    let body = &body[start..];
    match start {
        0 => write!(stream, "HTTP/1.1 200 OK\r\n")?,
        _ => write!(stream, "HTTP/1.1 206 Partial\r\nContent-Range: bytes {told}-{}/{full}\r\n", full - 1)?,
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    match fault {
        Some(Fault::CutAfter(bytes, _)) => stream.write_all(&body[..bytes.min(body.len())]),
        _ => stream.write_all(body),
    }
}

fn take_fault(faults: &Mutex<HashMap<String, Fault>>, path: &str) -> Option<Fault> {
    let mut faults = faults.lock().unwrap();
    let fault = faults.get_mut(path)?;
    let (Fault::CutAfter(_, left) | Fault::Status(_, left)) = fault else { return Some(fault.clone()) };
    *left = left.checked_sub(1)?;
    Some(fault.clone())
}
