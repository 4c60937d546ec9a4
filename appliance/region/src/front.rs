//! The front door: one port with TLS, behind which every name of the region has its service.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ServerConnection, StreamOwned};

use crate::authority::{Authority, Chain};
use crate::fault::{Outcome, Script};
use crate::http::{self, Flaw, Request, Response};
use crate::record::{Exchange, Recorder, Tap, Way};
use crate::service::{Service, serve};
use crate::{Clock, Error};

/// In which way the region is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// It is not.
    #[default]
    None,
    /// Nothing listens.
    Refused,
    /// Connections stand and nobody speaks.
    Silent,
    /// Every connection is reset.
    Reset,
}

/// A name and what stands behind it.
#[derive(Clone)]
pub(crate) struct Site {
    /// In small letters; `*.` in front stands for one label or more.
    pub host: String,
    /// The service.
    pub service: Arc<dyn Service>,
}

/// What can be changed while it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub cut: Cut,
    pub chain: Chain,
    /// Every answer is so much later.
    pub latency: Duration,
}

/// Everything that a connection needs.
pub(crate) struct Shared {
    pub authority: Authority,
    pub sites: Vec<Site>,
    pub script: Script,
    pub clock: Clock,
    pub recorder: Recorder,
    pub weather: Mutex<Weather>,
    pub ended: AtomicBool,
    pub open: Mutex<Vec<Weak<TcpStream>>>,
}

/// How long anything here sleeps before it looks whether it is to end.
pub(crate) const TICK: Duration = Duration::from_millis(25);

/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(300);

impl Shared {
    pub fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Breaks every connection.
    pub fn reset(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for socket in open.iter().filter_map(Weak::upgrade) {
            reset(&socket);
        }
    }

    fn remember(&self, socket: &Arc<TcpStream>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|one| one.strong_count() > 0);
        open.push(Arc::downgrade(socket));
    }

    fn site(&self, host: &str) -> Option<&Site> {
        let is = |site: &&Site| match site.host.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => site.host == host,
        };
        self.sites.iter().find(is)
    }

    /// Waits, unless all ends or a condition does; says whether it came to the end of its time.
    fn wait(&self, time: Duration, go_on: impl Fn() -> bool) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            if self.has_ended() || !go_on() {
                return false;
            }
            thread::sleep(left.min(TICK));
        }
    }
}

/// Opens the door; it closes when all has ended. Returns where it is.
pub(crate) fn open(
    shared: &Arc<Shared>,
    at: SocketAddr,
) -> Result<(SocketAddr, thread::JoinHandle<()>), Error> {
    let listen =
        |at| TcpListener::bind(at).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let wrong = |source| Error::Listen { what: "HTTPS", address: at, source };
    let listener = listen(at).map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    let shared = Arc::clone(shared);
    let door = thread::spawn(move || {
        let mut listener = Some(listener);
        while !shared.has_ended() {
            let cut = shared.weather().cut;
            if cut == Cut::Refused {
                listener = None;
                thread::sleep(TICK);
                continue;
            }
            // The port was ours a moment ago; a connection that still dies away does not keep it.
            let Some(door) = listener.take().or_else(|| listen(address).ok()) else {
                thread::sleep(TICK);
                continue;
            };
            accept(&shared, &door, cut);
            listener = Some(door);
        }
        shared.reset();
    });
    Ok((address, door))
}

fn accept(shared: &Arc<Shared>, door: &TcpListener, cut: Cut) {
    let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    let mut ready = [PollFd::new(door, PollFlags::IN)];
    if !matches!(poll(&mut ready, Some(&tick)), Ok(1..)) {
        return;
    }
    let Ok((socket, peer)) = door.accept() else { return };
    let socket = Arc::new(socket);
    if cut == Cut::Reset {
        return reset(&socket);
    }
    shared.remember(&socket);
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut tap = shared.recorder.open(peer);
        // What breaks a connection is in the record, and is no news to anyone else.
        if let Err(flaw) = converse(&shared, &socket, &mut tap) {
            tap.stream(|stream| stream.flaw = Some(flaw.to_string()));
        }
    });
}

/// One connection, from the handshake to its end.
fn converse(shared: &Shared, socket: &Arc<TcpStream>, tap: &mut Tap) -> Result<(), Flaw> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    if is_silent(shared) {
        return Ok(());
    }
    let tls =
        ServerConnection::new(shared.authority.config(shared.weather().chain)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(tls, Wire(Arc::clone(socket)));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let name = stream.conn.server_name().map(str::to_owned);
    tap.stream(|stream| stream.name = name);
    let number = tap.number;
    let mut talk = Talk(BufReader::new(Tapped { stream, tap }));
    loop {
        let request = match http::request(&mut talk) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(Flaw::Form(why)) => {
                talk.say(&http::write_response(&Response::new(400, "text/plain", why)))?;
                return Err(Flaw::Form(why));
            }
            Err(flaw) => return Err(flaw),
        };
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if is_silent(shared) {
            return Ok(());
        }
        let (late, outcome) = answer(shared, &request, number);
        if !shared.wait(late, || true) || is_silent(shared) {
            return Ok(());
        }
        match outcome {
            Outcome::Reply(reply) => talk.say(&http::write_response(&reply))?,
            Outcome::Torn(reply) => {
                let bytes = http::write_response(&reply);
                return Ok(talk.say(&bytes[..bytes.len() - reply.body.len().div_ceil(2)])?);
            }
            Outcome::Lost => return Ok(()),
            Outcome::Reset => {
                reset(socket);
                return Ok(());
            }
        }
        if last {
            return Ok(talk.close()?);
        }
    }
}

/// Holds a connection for as long as the region says nothing; whether it did.
fn is_silent(shared: &Shared) -> bool {
    let silent = || shared.weather().cut == Cut::Silent;
    silent() && {
        shared.wait(PATIENCE, silent);
        true
    }
}

fn answer(shared: &Shared, request: &Request, stream: usize) -> (Duration, Outcome) {
    let at = shared.clock.now();
    let host = request.host().unwrap_or_default();
    let mut exchange = Exchange {
        stream,
        at,
        service: String::new(),
        line: format!("{} {}", request.method, request.target),
        call: None,
        fault: None,
        status: Some(421),
        host,
    };
    let Some(site) = shared.site(&exchange.host) else {
        let reply = Response::new(421, "text/plain", format!("there is no {} here", exchange.host));
        shared.recorder.note(exchange);
        return (Duration::ZERO, Outcome::Reply(reply));
    };
    let served = serve(site.service.as_ref(), &shared.script, request, at);
    exchange.service = site.service.name().to_owned();
    exchange.status = match &served.outcome {
        Outcome::Reply(reply) | Outcome::Torn(reply) => Some(reply.status),
        Outcome::Lost | Outcome::Reset => None,
    };
    let late = served.fault.as_ref().map_or(Duration::ZERO, crate::Fault::late) + shared.weather().latency;
    (exchange.call, exchange.fault) = (served.call, served.fault);
    shared.recorder.note(exchange);
    (late, served.outcome)
}

/// Ends a connection so that the other end is told at once that nothing was kept.
fn reset(socket: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(socket.as_fd(), Some(Duration::ZERO));
    // Whoever still holds it reads its end; the reset goes out with the last to close it.
    let _ = socket.shutdown(std::net::Shutdown::Read);
}

/// A socket that several hold.
struct Wire(Arc<TcpStream>);

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

/// A decrypted stream whose bytes are kept.
struct Tapped<'a> {
    stream: StreamOwned<ServerConnection, Wire>,
    tap: &'a mut Tap,
}

impl Read for Tapped<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match self.stream.read(into) {
            // A client that goes without saying so is no worse for it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        self.tap.keep(Way::Up, &into[..read]);
        Ok(read)
    }
}

/// Reads by the line and writes.
struct Talk<'a>(BufReader<Tapped<'a>>);

impl Talk<'_> {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    fn close(&mut self) -> io::Result<()> {
        let stream = &mut self.0.get_mut().stream;
        stream.conn.send_close_notify();
        stream.flush()
    }
}

impl Read for Talk<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl BufRead for Talk<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl Write for Talk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let tapped = self.0.get_mut();
        // Kept before it leaves: whoever has seen an answer finds it in the record.
        tapped.tap.keep(Way::Down, bytes);
        tapped.stream.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().stream.flush()
    }
}
