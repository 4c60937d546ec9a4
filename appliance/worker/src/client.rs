//! The courier's end of the mover's socket: each call asks one thing and waits for its answer.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

use crate::protocol::{Answer, Inbound, LONGEST, Request};
use crate::{Counters, Error, Order, OrderKey, Outcome, Result};

/// How long a mover may take to greet. It serves one connection to its end before it greets the next.
const GREETING: Duration = Duration::from_secs(10);
/// How long a mover may take to answer: a batch may be of large files, copied from one file system to the other.
pub const PATIENCE: Duration = Duration::from_secs(1800);

/// A greeted connection to a mover.
#[derive(Debug)]
pub struct Client {
    connection: OwnedFd,
    batches: u32,
}

impl Client {
    /// Connects to the mover at `path` and says hello. Each later answer may take as long as `patience`.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self> {
        Self::greet(path, patience).map_err(|error| match error {
            Error::NoMover { source: Errno::AGAIN, .. } | Error::Silent => {
                Error::Engaged { path: path.to_owned() }
            }
            error => error,
        })
    }

    fn greet(path: &Path, patience: Duration) -> Result<Self> {
        let failed = |source| Error::NoMover { path: path.to_owned(), source };
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let connection =
            rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).map_err(failed)?;
        // Connecting waits as well, while as many others wait as the mover's socket holds.
        let wait = |which, time| set_socket_timeout(&connection, which, time).map_err(failed);
        wait(Timeout::Send, Some(GREETING))?;
        wait(Timeout::Recv, Some(GREETING))?;
        rustix::net::connect(&connection, &address).map_err(failed)?;
        send(&connection, &Request::Hello)?;
        match receive(&connection)? {
            (Answer::Welcome { .. }, None) => {}
            other => return Err(unexpected(&other.0)),
        }
        // From here on an answer takes as long as the work does.
        wait(Timeout::Send, Some(patience))?;
        wait(Timeout::Recv, Some(patience))?;
        Ok(Self { connection, batches: 0 })
    }

    /// Lets up to [`crate::protocol::BATCH`] orders be carried out; an outcome for each, in their order.
    pub fn carry_out(&mut self, orders: Vec<Order>) -> Result<Vec<Outcome>> {
        self.batches = self.batches.wrapping_add(1);
        let (asked, count) = (self.batches, orders.len());
        match self.ask(&Request::Move { batch: asked, orders })?.0 {
            Answer::Moved { batch, outcomes } if batch == asked && outcomes.len() == count => Ok(outcomes),
            other => Err(unexpected(&other)),
        }
    }

    /// Tells that the messages of these orders are deleted.
    pub fn deleted(&self, keys: Vec<OrderKey>) -> Result<Counters> {
        self.counted(&Request::Deleted(keys))
    }

    /// How often was what answered.
    pub fn counters(&self) -> Result<Counters> {
        self.counted(&Request::Count)
    }

    /// What every order would be answered now; `None` when orders can be carried out.
    pub fn obstacle(&self) -> Result<Option<Outcome>> {
        match self.ask(&Request::Ready)?.0 {
            Answer::Ready { obstacle } => Ok(obstacle),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins to send a file in: the pipe to write it to, or the order's outcome.
    pub fn send_in(&self, inbound: Inbound) -> Result<Result<OwnedFd, Outcome>> {
        let asked = inbound.transfer;
        match self.ask(&Request::Inbound(inbound))? {
            (Answer::Open { transfer }, Some(pipe)) if transfer == asked => Ok(Ok(pipe)),
            (Answer::Ended { transfer, outcome }, None) if transfer == asked => Ok(Err(outcome)),
            other => Err(unexpected(&other.0)),
        }
    }

    /// Ends a transfer whose bytes are all in its pipe.
    pub fn complete(&self, transfer: u32) -> Result<Outcome> {
        self.ended(&Request::Complete { transfer }, transfer)
    }

    /// Ends a transfer whose other bytes will not come.
    pub fn abort(&self, transfer: u32) -> Result<Outcome> {
        self.ended(&Request::Abort { transfer }, transfer)
    }

    fn counted(&self, request: &Request) -> Result<Counters> {
        match self.ask(request)?.0 {
            Answer::Counted(counters) => Ok(counters),
            other => Err(unexpected(&other)),
        }
    }

    fn ended(&self, request: &Request, asked: u32) -> Result<Outcome> {
        match self.ask(request)?.0 {
            Answer::Ended { transfer, outcome } if transfer == asked => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&self, request: &Request) -> Result<(Answer, Option<OwnedFd>)> {
        send(&self.connection, request)?;
        receive(&self.connection)
    }
}

/// Sends one request.
pub fn send(connection: impl AsFd, request: &Request) -> Result<()> {
    let bytes = request.encode()?;
    loop {
        match rustix::net::send(&connection, &bytes, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(Error::Closed),
            Err(Errno::AGAIN) => return Err(Error::Silent),
            Err(source) => return Err(Error::Socket { action: "write to", source }),
        }
    }
}

/// Receives one answer, and the descriptor that came with it, if one did.
pub fn receive(connection: impl AsFd) -> Result<(Answer, Option<OwnedFd>)> {
    let mut buffer = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(&mut buffer)];
        match rustix::net::recvmsg(&connection, &mut parts, &mut ancillary, flags) {
            Ok(received) => break received.bytes,
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Err(Error::Closed),
            Err(Errno::AGAIN) => return Err(Error::Silent),
            Err(source) => return Err(Error::Socket { action: "read from", source }),
        }
    };
    if received == 0 {
        return Err(Error::Closed);
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match Answer::decode(&buffer[..received])? {
        Answer::Refused(refusal) => Err(Error::Refused(refusal)),
        answer => Ok((answer, descriptor)),
    }
}

fn unexpected(answer: &Answer) -> Error {
    match answer {
        Answer::Refused(refusal) => Error::Refused(*refusal),
        _ => Error::Answer,
    }
}
