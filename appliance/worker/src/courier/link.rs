//! The way to the mover: a thread that asks one thing after the other, and connects again for as long as it takes.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::desk::Event;
use crate::client::Client;
use crate::protocol::Inbound;
use crate::{Order, OrderKey, Outcome, Result};

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

/// Asks what comes in, until nobody can send any more. Every answer and every change of the connection is an event.
pub(super) fn serve(socket: PathBuf, asks: Receiver<Ask>, events: UnboundedSender<Event>) {
    let mut pause = Duration::from_millis(50);
    loop {
        if let Ok(client) = Client::connect(&socket) {
            pause = Duration::from_millis(50);
            if events.send(Event::MoverUp).is_err() || !converse(client, &asks, &events) {
                return;
            }
            if events.send(Event::MoverDown).is_err() {
                return;
            }
        }
        // What was asked before the desk knew is asked again by the desk.
        match asks.recv_timeout(pause) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(_) | Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(Duration::from_secs(2)),
        }
    }
}

/// One connection, to its end; whether there will be more to ask.
fn converse(mut client: Client, asks: &Receiver<Ask>, events: &UnboundedSender<Event>) -> bool {
    loop {
        let Ok(ask) = asks.recv() else { return false };
        match answer(&mut client, ask) {
            Ok(None) => {}
            Ok(Some(event)) => {
                if events.send(event).is_err() {
                    return false;
                }
            }
            Err(_) => return true,
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
