//! The tests' eyes inside the box: injected by QEMU, never part of the image.
//!
//! Reads requests from its virtio port, answers each on a thread of its own. Started by a unit that the
//! harness hands to systemd as a credential (docs/testing.md); ends only with the box.

use rustix::event::{PollFd, PollFlags, poll};
use stayput_probe::work::{Open, carry_out};
use stayput_probe::{LINE_LIMIT, Outcome, PORT, Reply, Request};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Between two looks for the port, or for a harness at its other end.
const STEP: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stayput-probe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let port = find_port()?;
    let file = OpenOptions::new().read(true).write(true).open(&port)?;
    let answers = Arc::new(Mutex::new(file.try_clone()?));
    let open = Arc::new(Open::default());
    let mut line = Vec::new();
    let mut reader = file;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = read_some(&mut reader, &mut buffer)?;
        for &byte in &buffer[..length] {
            if byte != b'\n' {
                // A line beyond the limit is dropped as it comes: its end will not parse and is answered so.
                if line.len() < LINE_LIMIT {
                    line.push(byte);
                }
                continue;
            }
            let taken = std::mem::take(&mut line);
            if !taken.trim_ascii().is_empty() {
                take(taken, &answers, &open);
            }
        }
    }
}

fn take(line: Vec<u8>, answers: &Arc<Mutex<File>>, open: &Arc<Open>) {
    let (answers, open) = (Arc::clone(answers), Arc::clone(open));
    thread::spawn(move || {
        let reply = match serde_json::from_slice::<Request>(&line) {
            Ok(Request { id, op }) => Reply { id: Some(id), outcome: carry_out(op, &open) },
            Err(error) => Reply { id: None, outcome: Outcome::Failed(format!("not a request: {error}")) },
        };
        let mut text = serde_json::to_vec(&reply).expect("a reply has string keys only");
        text.push(b'\n');
        let mut port = answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = port.write_all(&text) {
            eprintln!("stayput-probe: cannot answer: {error}");
        }
    });
}

/// A virtio port reads as ended while nobody holds its other end: that is "later", not "over".
fn read_some(port: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        poll(&mut [PollFd::new(&*port, PollFlags::IN)], None)?;
        match port.read(buffer)? {
            0 => thread::sleep(STEP),
            length => return Ok(length),
        }
    }
}

/// The kernel's own list, not udev's link: the probe may be up before udev has got to it.
fn find_port() -> io::Result<PathBuf> {
    let class = PathBuf::from("/sys/class/virtio-ports");
    loop {
        let entries = fs::read_dir(&class).map(|dir| dir.flatten().collect()).unwrap_or_else(|_| Vec::new());
        for entry in entries {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim_end() == PORT {
                return Ok(PathBuf::from("/dev").join(entry.file_name()));
            }
        }
        thread::sleep(STEP);
    }
}
