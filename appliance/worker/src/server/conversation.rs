//! One connection's state: whether it was greeted, and which files are coming in through which pipes.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::pipe::PipeFlags;

use super::Ended;
use crate::disk::Disk;
use crate::mover::Incoming;
use crate::protocol::{Answer, BATCH, Inbound, LONGEST, Refusal, Request, TRANSFERS};
use crate::{Mover, Outcome};

/// How much is read from a pipe at once: as much as one holds.
const CHUNK: usize = 64 * 1024;

/// One connection.
pub(super) struct Conversation<'a, D: Disk> {
    connection: &'a OwnedFd,
    greeted: bool,
    transfers: Vec<Transfer<D>>,
    /// One byte more than any message, so that a longer one shows.
    buffer: Vec<u8>,
}

/// A file that is coming in.
struct Transfer<D: Disk> {
    number: u32,
    state: Flow<D>,
}

enum Flow<D: Disk> {
    /// Bytes may come.
    Open { incoming: Box<Incoming<D>>, pipe: OwnedFd },
    /// All have come.
    Whole(Box<Incoming<D>>),
    /// It failed, and the courier has not asked yet.
    Failed(Outcome),
}

impl<'a, D: Disk> Conversation<'a, D> {
    pub(super) fn new(connection: &'a OwnedFd) -> Self {
        Self { connection, greeted: false, transfers: Vec::new(), buffer: vec![0; CHUNK.max(LONGEST + 1)] }
    }

    /// What may become readable: the connection, then the pipes.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let pipes = self.transfers.iter().filter_map(|transfer| match &transfer.state {
            Flow::Open { pipe, .. } => Some(pipe.as_fd()),
            _ => None,
        });
        std::iter::once(self.connection.as_fd()).chain(pipes).collect()
    }

    /// Reads what is `ready`, in the order of [`Conversation::descriptors`].
    pub(super) fn go_on(&mut self, mover: &mut Mover<D>, ready: &[bool]) -> Result<(), Ended> {
        let open = self.transfers.iter_mut().filter(|transfer| matches!(transfer.state, Flow::Open { .. }));
        for (transfer, _) in open.zip(&ready[1..]).filter(|(_, ready)| **ready) {
            read_pipe(transfer, mover, &mut self.buffer);
        }
        if ready[0] { self.answer(mover) } else { Ok(()) }
    }

    /// Throws away what has not come to its end.
    pub(super) fn end(self, mover: &mut Mover<D>) {
        for transfer in self.transfers {
            match transfer.state {
                Flow::Open { incoming, .. } | Flow::Whole(incoming) => {
                    mover.abort(*incoming, Outcome::Incomplete);
                }
                Flow::Failed(_) => {}
            }
        }
    }

    fn answer(&mut self, mover: &mut Mover<D>) -> Result<(), Ended> {
        // TRUNC: the length that the message had, not the length that fitted.
        let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
        let (kept, length) = match rustix::net::recv(self.connection, &mut self.buffer[..=LONGEST], flags) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => return Err(Ended::Closed),
            Ok((kept, length)) => (kept, length),
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(Ended::Broken(error)),
        };
        let request =
            if length > kept { Err(Refusal::Oversize) } else { Request::decode(&self.buffer[..kept]) };
        let answer = match request {
            Ok(Request::Hello) if !self.greeted => {
                self.greeted = true;
                Answer::Welcome { batch: BATCH as u16 }
            }
            Ok(Request::Hello) => Answer::Refused(Refusal::Turn),
            Ok(_) if !self.greeted => Answer::Refused(Refusal::Turn),
            Ok(Request::Move { batch, orders }) => {
                Answer::Moved { batch, outcomes: mover.carry_out(&orders) }
            }
            Ok(Request::Deleted(keys)) => {
                mover.acknowledge(&keys);
                Answer::Counted(*mover.counters())
            }
            Ok(Request::Count) => Answer::Counted(*mover.counters()),
            Ok(Request::Ready) => Answer::Ready { obstacle: mover.obstacle() },
            Ok(Request::Inbound(inbound)) => return self.begin(mover, &inbound),
            Ok(Request::Complete { transfer }) => self.complete(mover, transfer),
            Ok(Request::Abort { transfer }) => self.abort(mover, transfer),
            Err(refusal) => Answer::Refused(refusal),
        };
        send(self.connection, &answer, None).map_err(Ended::Broken)?;
        match answer {
            Answer::Refused(refusal) => Err(Ended::Refused(refusal)),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, mover: &mut Mover<D>, inbound: &Inbound) -> Result<(), Ended> {
        let number = inbound.transfer;
        if self.transfers.iter().any(|transfer| transfer.number == number) {
            let refused = Answer::Refused(Refusal::Turn);
            send(self.connection, &refused, None).map_err(Ended::Broken)?;
            return Err(Ended::Refused(Refusal::Turn));
        }
        let (answer, theirs) = match self.open(mover, inbound) {
            Ok(theirs) => (Answer::Open { transfer: number }, Some(theirs)),
            Err(outcome) => (Answer::Ended { transfer: number, outcome }, None),
        };
        send(self.connection, &answer, theirs.as_ref().map(AsFd::as_fd)).map_err(Ended::Broken)
    }

    /// Begins a transfer and returns the pipe's writing end.
    fn open(&mut self, mover: &mut Mover<D>, inbound: &Inbound) -> Result<OwnedFd, Outcome> {
        let is_same = |transfer: &Transfer<D>| match &transfer.state {
            Flow::Open { incoming, .. } | Flow::Whole(incoming) => *incoming.key() == inbound.order.key,
            Flow::Failed(_) => false,
        };
        if self.transfers.len() >= TRANSFERS || self.transfers.iter().any(is_same) {
            return Err(Outcome::Busy);
        }
        let incoming = Box::new(mover.begin(inbound)?);
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).and_then(|(ours, theirs)| {
            // Only this end: the other one is the courier's own to set.
            rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)?;
            Ok((ours, theirs))
        });
        match pipe {
            Ok((pipe, theirs)) => {
                let state = Flow::Open { incoming, pipe };
                self.transfers.push(Transfer { number: inbound.transfer, state });
                Ok(theirs)
            }
            Err(_) => Err(mover.abort(*incoming, Outcome::Failed)),
        }
    }

    fn complete(&mut self, mover: &mut Mover<D>, number: u32) -> Answer {
        let Some(mut transfer) = self.remove(number) else { return Answer::Refused(Refusal::Turn) };
        // What is still in the pipe. Whether its other end is closed by now says nothing: a program that the courier's process
        // is just starting may hold it for a moment. The length does.
        while matches!(transfer.state, Flow::Open { .. }) && read_pipe(&mut transfer, mover, &mut self.buffer)
        {
        }
        let outcome = match transfer.state {
            Flow::Whole(incoming) | Flow::Open { incoming, .. } => mover.complete(*incoming),
            Flow::Failed(outcome) => outcome,
        };
        Answer::Ended { transfer: number, outcome }
    }

    fn abort(&mut self, mover: &mut Mover<D>, number: u32) -> Answer {
        let Some(transfer) = self.remove(number) else { return Answer::Refused(Refusal::Turn) };
        let outcome = match transfer.state {
            Flow::Whole(incoming) | Flow::Open { incoming, .. } => {
                mover.abort(*incoming, Outcome::Incomplete)
            }
            Flow::Failed(outcome) => outcome,
        };
        Answer::Ended { transfer: number, outcome }
    }

    fn remove(&mut self, number: u32) -> Option<Transfer<D>> {
        let at = self.transfers.iter().position(|transfer| transfer.number == number)?;
        Some(self.transfers.remove(at))
    }
}

/// Reads once from a transfer's pipe, and says whether there may be more.
fn read_pipe<D: Disk>(transfer: &mut Transfer<D>, mover: &mut Mover<D>, buffer: &mut [u8]) -> bool {
    let Flow::Open { incoming, pipe } = &mut transfer.state else { return false };
    let outcome = match rustix::io::read(&*pipe, &mut buffer[..CHUNK]) {
        Ok(0) => {
            let state = std::mem::replace(&mut transfer.state, Flow::Failed(Outcome::Incomplete));
            if let Flow::Open { incoming, .. } = state {
                transfer.state = Flow::Whole(incoming);
            }
            return false;
        }
        Ok(count) => match mover.take(incoming, &buffer[..count]) {
            Ok(()) => return true,
            Err(outcome) => outcome,
        },
        Err(Errno::INTR) => return true,
        Err(Errno::AGAIN) => return false,
        Err(_) => Outcome::Failed,
    };
    // The pipe closes with this: the courier's next byte fails, and it asks why.
    if let Flow::Open { incoming, .. } = std::mem::replace(&mut transfer.state, Flow::Failed(outcome)) {
        transfer.state = Flow::Failed(mover.abort(*incoming, outcome));
    }
    false
}

fn send(connection: &OwnedFd, answer: &Answer, descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let bytes = answer.encode().expect("the mover answers no more orders than a request may have");
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS);
    }
    loop {
        // A courier that went away must not end the mover with a signal. One that does not read its answers is not waited
        // for: there are never more of them than it asked for.
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::net::sendmsg(connection, &[IoSlice::new(&bytes)], &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            other => return other.map(|_| ()),
        }
    }
}
