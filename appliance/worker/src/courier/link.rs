//! The way to the mover: a thread that asks one thing after the other, and connects again for as long as it takes.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::desk::Event;
use crate::client::Client;
use crate::{Order, OrderKey, Result};

/// What the mover is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Move { batch: u32, orders: Vec<Order> },
    Deleted(Vec<OrderKey>),
    Probe,
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
            Ok(event) => {
                if events.send(event).is_err() {
                    return false;
                }
            }
            Err(_) => return true,
        }
    }
}

fn answer(client: &mut Client, ask: Ask) -> Result<Event> {
    Ok(match ask {
        Ask::Move { batch, orders } => Event::Moved { batch, outcomes: client.carry_out(orders)? },
        Ask::Deleted(keys) => {
            client.deleted(keys)?;
            Event::Noted
        }
        Ask::Probe => Event::Obstacle(client.obstacle()?),
    })
}
