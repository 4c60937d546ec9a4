//! `worker metrics`: what courier and mover count, for a Prometheus on the same machine. A process of its own, so that whoever
//! asks and does not listen keeps no order waiting.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::ValueExt;
use stayput_health::{DIRECTORY, Moment, read_in};

use super::misused;
use crate::Exit;
use crate::metrics::{PARTS, render};
use crate::variables::{self, Variables};

/// How long somebody who asks may take for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest question that is listened to.
const LONGEST: usize = 8 * 1024;

/// The job.
pub fn main(variables: &Variables, arguments: &[OsString]) -> ExitCode {
    let socket = match read(arguments) {
        Ok(socket) => socket,
        Err(error) => return misused(&error),
    };
    let health = variables.get(&variables::HEALTH).map_or_else(|| PathBuf::from(DIRECTORY), PathBuf::from);
    let Some(socket) = socket else {
        return match io::stdout().write_all(now(&health).as_bytes()) {
            Ok(()) => Exit::Fine.into(),
            Err(error) => {
                eprintln!("cannot write to standard output: {error}");
                Exit::Wrong.into()
            }
        };
    };
    match listen(&socket) {
        Ok(listener) => serve(&listener, &health),
        Err(error) => {
            eprintln!(
                "cannot listen at '{}': {error}; name a place in a folder that this user may write to, where nobody listens",
                socket.display()
            );
            Exit::Place.into()
        }
    }
}

fn read(arguments: &[OsString]) -> std::result::Result<Option<PathBuf>, lexopt::Error> {
    use lexopt::Arg::Long;
    let (mut parser, mut socket) = (lexopt::Parser::from_args(arguments), None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("socket") => socket = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(socket)
}

fn now(health: &Path) -> String {
    let moment = Moment::now();
    render(&PARTS.map(|part| (part, read_in(health, part, moment))))
}

/// A socket in the place of one that nobody listens at any more.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// Answers one after the other, for ever.
fn serve(listener: &UnixListener, health: &Path) -> ! {
    loop {
        match listener.accept() {
            // Whoever hangs up before the answer has none; the next one is asked for its own question.
            Ok((caller, _)) => drop(answer(caller, health)),
            // Out of descriptors or memory for a moment: not a reason to use the processor up.
            Err(_) => std::thread::sleep(PATIENCE),
        }
    }
}

/// Reads a question up to its empty line, whatever it asks for, and answers it.
fn answer(mut caller: UnixStream, health: &Path) -> io::Result<()> {
    caller.set_read_timeout(Some(PATIENCE))?;
    caller.set_write_timeout(Some(PATIENCE))?;
    let (mut question, mut piece, began) = (Vec::new(), [0; 1024], Instant::now());
    while !question.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = caller.read(&mut piece)?;
        if read == 0 || question.len() + read > LONGEST || began.elapsed() > PATIENCE {
            return Ok(());
        }
        question.extend_from_slice(&piece[..read]);
    }
    let text = now(health);
    write!(
        caller,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
}
