//! A mover behind a seqpacket socket: one courier at a time, one answer per request.
//!
//! The listener is made by whoever starts the mover (the service manager, or the parent process), so that the mover itself
//! never has to be allowed to make a socket.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use crate::disk::Disk;
use crate::protocol::{Answer, BATCH, LONGEST, Refusal, Request};
use crate::{Error, Mover, Result};

/// Who may give orders: processes of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The courier's user.
    pub uid: u32,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The courier closed it.
    Closed,
    /// Another user's process had opened it; nothing was read from it.
    Stranger,
    /// A message was refused, and the courier was told why.
    Refused(Refusal),
    /// The connection broke.
    Broken(Errno),
}

/// Serves connections of `peer`, one after the other, until `more` says no; `more` is told how each one ended.
///
/// # Errors
///
/// When the listener itself fails. What one connection does wrong ends that connection only.
pub fn serve<D: Disk>(
    listener: impl AsFd,
    mover: &mut Mover<D>,
    peer: Peer,
    mut more: impl FnMut(&Mover<D>, Ended) -> bool,
) -> Result<()> {
    loop {
        let connection = match rustix::net::accept_with(&listener, SocketFlags::CLOEXEC) {
            Ok(connection) => connection,
            // The courier was gone before it was accepted.
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(source) => return Err(Error::Socket { action: "accept a connection on", source }),
        };
        let ended = match rustix::net::sockopt::socket_peercred(&connection) {
            Ok(found) if found.uid.as_raw() == peer.uid => converse(&connection, mover),
            Ok(_) => Ended::Stranger,
            Err(error) => Ended::Broken(error),
        };
        drop(connection);
        if !more(mover, ended) {
            return Ok(());
        }
    }
}

/// One connection, from hello to its end.
pub fn converse<D: Disk>(connection: &OwnedFd, mover: &mut Mover<D>) -> Ended {
    // One byte more than any message, so that a longer one shows.
    let mut buffer = vec![0; LONGEST + 1];
    let mut greeted = false;
    loop {
        // TRUNC: the length that the message had, not the length that fitted.
        let received = rustix::net::recv(connection, &mut buffer[..], RecvFlags::TRUNC);
        let (kept, length) = match received {
            Ok((_, 0)) => return Ended::Closed,
            Ok((kept, length)) => (kept, length),
            Err(Errno::INTR) => continue,
            Err(Errno::CONNRESET) => return Ended::Closed,
            Err(error) => return Ended::Broken(error),
        };
        let request = if length > kept { Err(Refusal::Oversize) } else { Request::decode(&buffer[..kept]) };
        let answer = match request {
            Ok(Request::Hello) if !greeted => {
                greeted = true;
                Answer::Welcome { batch: BATCH as u16 }
            }
            Ok(Request::Hello) => Answer::Refused(Refusal::Turn),
            Ok(_) if !greeted => Answer::Refused(Refusal::Turn),
            Ok(Request::Move { batch, orders }) => {
                Answer::Moved { batch, outcomes: mover.carry_out(&orders) }
            }
            Ok(Request::Deleted(keys)) => {
                mover.acknowledge(&keys);
                Answer::Counted(*mover.counters())
            }
            Ok(Request::Count) => Answer::Counted(*mover.counters()),
            Err(refusal) => Answer::Refused(refusal),
        };
        if let Err(error) = send(connection, &answer) {
            return Ended::Broken(error);
        }
        if let Answer::Refused(refusal) = answer {
            return Ended::Refused(refusal);
        }
    }
}

fn send(connection: &OwnedFd, answer: &Answer) -> std::result::Result<(), Errno> {
    let bytes = answer.encode().expect("the mover answers no more orders than a request may have");
    loop {
        // A courier that went away must not end the mover with a signal.
        match rustix::net::send(connection, &bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other.map(|_| ()),
        }
    }
}
