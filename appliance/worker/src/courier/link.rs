//! The way to the mover: a thread that asks one thing after the other, and connects again for as long as it takes.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::desk::Event;
use crate::client::Client;
use crate::protocol::Inbound;
use crate::{Order, OrderKey, Outcome, Result};

/// How soon and how late it is connected again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What the mover is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Move { batch: u32, orders: Vec<Order> },
    Deleted(Vec<OrderKey>),
    Probe,
    SendIn(Inbound, oneshot::Sender<std::result::Result<OwnedFd, Outcome>>),
    Complete(u32, oneshot::Sender<Outcome>),
    Abort(u32, oneshot::Sender<Outcome>),
}

/// What the link says.
#[derive(Debug)]
pub(super) enum Said {
    /// There is a mover, which is asked through this, until it is gone or this is dropped.
    Up(Sender<Ask>),
    Event(Event),
}

/// Connects, and asks what comes in, until nobody listens any more. Every answer and every change of the connection is said.
pub(super) fn serve(socket: PathBuf, patience: Duration, said: UnboundedSender<Said>) {
    let mut pause = PAUSES.0;
    while !said.is_closed() {
        if let Ok(client) = Client::connect(&socket, patience) {
            pause = PAUSES.0;
            // A channel for each connection: what was to be asked of the last one is not asked of this one, whose answer would
            // be taken for another's. Who asked it asks again, or hears that there is no answer.
            let (asks, asked) = mpsc::channel();
            let _ = said.send(Said::Up(asks));
            converse(client, &asked, &said);
            let _ = said.send(Said::Event(Event::MoverDown));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// One connection, until it breaks or nobody can ask anything through it.
fn converse(mut client: Client, asks: &Receiver<Ask>, said: &UnboundedSender<Said>) {
    while let Ok(ask) = asks.recv() {
        match answer(&mut client, ask) {
            Ok(None) => {}
            Ok(Some(event)) => drop(said.send(Said::Event(event))),
            Err(_) => return,
        }
    }
}

/// The event that an answer is. Who waits for an answer of its own gets that; one that does not wait any more has lost its
/// message, and nothing else.
fn answer(client: &mut Client, ask: Ask) -> Result<Option<Event>> {
    Ok(Some(match ask {
        Ask::Move { batch, orders } => Event::Moved { batch, outcomes: client.carry_out(orders)? },
        Ask::Deleted(keys) => {
            client.deleted(keys)?;
            Event::Noted
        }
        Ask::Probe => Event::Obstacle(client.obstacle()?),
        Ask::SendIn(inbound, waiting) => {
            let _ = waiting.send(client.send_in(inbound)?);
            return Ok(None);
        }
        Ask::Complete(transfer, waiting) => {
            let _ = waiting.send(client.complete(transfer)?);
            return Ok(None);
        }
        Ask::Abort(transfer, waiting) => {
            let _ = waiting.send(client.abort(transfer)?);
            return Ok(None);
        }
    }))
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, listen,
    };
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::protocol::{Answer, BATCH, LONGEST, Request};

    const SOON: Duration = Duration::from_secs(20);

    /// A listener where the mover's would be, and a link to it.
    struct Site {
        listener: OwnedFd,
        said: UnboundedReceiver<Said>,
        _place: tempfile::TempDir,
    }

    impl Site {
        fn new() -> Self {
            Self::with(SOON)
        }

        fn with(patience: Duration) -> Self {
            let place = tempfile::TempDir::new().unwrap();
            let path = place.path().join("socket");
            let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
            let listener = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
            bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
            listen(&listener, 4).unwrap();
            set_socket_timeout(&listener, Timeout::Recv, Some(SOON)).unwrap();
            let (sender, said) = unbounded_channel();
            std::thread::spawn(move || serve(path, patience, sender));
            Self { listener, said, _place: place }
        }

        /// The next connection, greeted.
        fn meet(&self) -> OwnedFd {
            let connection = rustix::net::accept(&self.listener).unwrap();
            set_socket_timeout(&connection, Timeout::Recv, Some(SOON)).unwrap();
            assert_eq!(hear(&connection), Some(Request::Hello));
            tell(&connection, &Answer::Welcome { batch: BATCH as u16 });
            connection
        }

        fn next(&mut self) -> Said {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let next = runtime.block_on(async { tokio::time::timeout(SOON, self.said.recv()).await });
            next.expect("nothing is said").unwrap()
        }

        fn up(&mut self) -> Sender<Ask> {
            match self.next() {
                Said::Up(asks) => asks,
                other => panic!("{other:?}"),
            }
        }

        fn down(&mut self) {
            let said = self.next();
            assert!(matches!(said, Said::Event(Event::MoverDown)), "{said:?}");
        }
    }

    /// The next request; nothing when the connection was closed.
    fn hear(connection: &OwnedFd) -> Option<Request> {
        let mut buffer = vec![0; LONGEST];
        let (_, length) = rustix::net::recv(connection, &mut buffer[..], RecvFlags::empty()).unwrap();
        (length > 0).then(|| Request::decode(&buffer[..length]).unwrap())
    }

    fn tell(connection: &OwnedFd, answer: &Answer) {
        rustix::net::send(connection, &answer.encode().unwrap(), SendFlags::NOSIGNAL).unwrap();
    }

    #[test]
    fn what_was_to_be_asked_of_one_connection_is_not_asked_of_the_next() {
        let mut site = Site::new();
        let first = site.meet();
        let asks = site.up();
        for ask in [Ask::Probe, Ask::Move { batch: 1, orders: Vec::new() }, Ask::Deleted(Vec::new())] {
            asks.send(ask).unwrap();
        }
        assert_eq!(hear(&first), Some(Request::Ready));
        drop(first);
        site.down();
        let second = site.meet();
        let later = site.up();
        let (answer, answered) = oneshot::channel();
        assert!(asks.send(Ask::Complete(1, answer)).is_err() && answered.blocking_recv().is_err());
        later.send(Ask::Probe).unwrap();
        assert_eq!(hear(&second), Some(Request::Ready));
    }

    #[test]
    fn a_mover_that_nobody_asks_any_more_is_left_and_met_again() {
        let mut site = Site::new();
        let first = site.meet();
        drop(site.up());
        assert_eq!(hear(&first), None);
        site.down();
        let _second = site.meet();
        site.up();
    }

    #[test]
    fn a_mover_that_is_silent_is_left_and_met_again() {
        let mut site = Site::with(Duration::from_secs(1));
        // Before it says welcome, and after.
        let _silent = rustix::net::accept(&site.listener).unwrap();
        let first = site.meet();
        site.up().send(Ask::Probe).unwrap();
        assert_eq!(hear(&first), Some(Request::Ready));
        site.down();
        let _second = site.meet();
        site.up();
    }
}
