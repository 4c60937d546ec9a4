//! A mover behind a seqpacket socket: one courier at a time, one answer per request.
//!
//! The listener is made by whoever starts the mover (the service manager, or the parent process), so that the mover itself
//! never has to be allowed to make a socket.

mod conversation;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::disk::Disk;
use crate::protocol::Refusal;
use crate::{Error, Mover, Result};
use conversation::Conversation;

/// Who may give orders: processes of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The courier's user.
    pub uid: u32,
}

/// How long a connection may be silent before it is closed: the courier asks more often, so it hangs or is no courier.
pub const SILENCE: Duration = Duration::from_secs(120);

/// How long the mover waits for another order before it makes durable what the last batch left in the log.
const PAUSE: Duration = Duration::from_millis(100);

/// How often at least [`serve`] calls back.
const TICK: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The courier closed it.
    Closed,
    /// Another user's process had opened it; nothing was read from it.
    Stranger,
    /// Nothing came for too long.
    Silent,
    /// A message was refused, and the courier was told why.
    Refused(Refusal),
    /// The connection broke.
    Broken(Errno),
}

/// What [`serve`] calls back for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A second has passed, or a request was answered.
    Tick,
    /// A connection has ended.
    Ended(Ended),
}

/// Serves connections of `peer`, one after the other, until `notice` says no.
///
/// # Errors
///
/// When the listener itself fails. What one connection does wrong ends that connection only.
pub fn serve<D: Disk>(
    listener: impl AsFd,
    mover: &mut Mover<D>,
    peer: Peer,
    mut notice: impl FnMut(&mut Mover<D>, Notice) -> bool,
) -> Result<()> {
    loop {
        let ready = wait(&[listener.as_fd()], TICK)
            .map_err(|source| Error::Socket { action: "wait for a connection on", source })?;
        if !ready[0] {
            if !notice(mover, Notice::Tick) {
                return Ok(());
            }
            continue;
        }
        let connection = match rustix::net::accept_with(&listener, SocketFlags::CLOEXEC) {
            Ok(connection) => connection,
            // The courier was gone before it was accepted, or another signal came.
            Err(Errno::INTR | Errno::CONNABORTED | Errno::AGAIN) => continue,
            Err(source) => return Err(Error::Socket { action: "accept a connection on", source }),
        };
        let ended = match rustix::net::sockopt::socket_peercred(&connection) {
            Ok(found) if found.uid.as_raw() == peer.uid => match converse(&connection, mover, &mut notice) {
                Some(ended) => ended,
                None => return Ok(()),
            },
            Ok(_) => Ended::Stranger,
            Err(error) => Ended::Broken(error),
        };
        drop(connection);
        if !notice(mover, Notice::Ended(ended)) {
            return Ok(());
        }
    }
}

/// One connection, from hello to its end; `None` when `notice` said no.
fn converse<D: Disk>(
    connection: &OwnedFd,
    mover: &mut Mover<D>,
    notice: &mut impl FnMut(&mut Mover<D>, Notice) -> bool,
) -> Option<Ended> {
    let mut conversation = Conversation::new(connection);
    let mut silent = Duration::ZERO;
    let mut asked = Instant::now();
    let ended = loop {
        let pause = if mover.is_unsettled() { PAUSE } else { TICK };
        let ready = match wait(&conversation.descriptors(), pause) {
            Ok(ready) => ready,
            Err(error) => break Some(Ended::Broken(error)),
        };
        if ready.iter().any(|ready| *ready) {
            silent = Duration::ZERO;
            if let Err(ended) = conversation.go_on(mover, &ready) {
                break Some(ended);
            }
            if ready[0] {
                asked = Instant::now();
            }
        } else {
            silent += pause;
            if silent >= SILENCE {
                break Some(Ended::Silent);
            }
        }
        // However busy the pipes are: a file may come in for hours.
        if asked.elapsed() >= PAUSE {
            mover.settle();
        }
        if !notice(mover, Notice::Tick) {
            break None;
        }
    };
    conversation.end(mover);
    mover.settle();
    ended
}

/// Waits until something can be read from one of `descriptors`, or the time is over, or a signal came.
fn wait(descriptors: &[std::os::fd::BorrowedFd<'_>], time: Duration) -> Result<Vec<bool>, Errno> {
    let mut polled: Vec<_> =
        descriptors.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)).collect();
    let time = Timespec::try_from(time).map_err(|_| Errno::INVAL)?;
    match poll(&mut polled, Some(&time)) {
        Ok(_) => Ok(polled.iter().map(|polled| !polled.revents().is_empty()).collect()),
        Err(Errno::INTR) => Ok(vec![false; descriptors.len()]),
        Err(error) => Err(error),
    }
}
