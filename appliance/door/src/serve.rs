//! Packets in, packets out: one caller, one request after the other.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::wire::{self, Answer, LONGEST, Packet, Refusal, Request};

/// Who answers.
pub trait Desk {
    /// Answers one request.
    fn answer(&mut self, request: &Request<'_>) -> Result<Answer, Refusal>;
}

/// How a caller went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// At the end of a packet.
    Hung,
    /// In the middle of one, or with something that is no packet.
    Broken,
}

/// Serves a caller until he goes. What he had not finished is gone with the desk.
pub fn serve(desk: &mut dyn Desk, input: impl Read, mut output: impl Write) -> io::Result<Ended> {
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut packet = Vec::new();
    let mut answers = Vec::new();
    loop {
        // Answers leave when nothing more has come: one write for what a client asks at once.
        if input.buffer().is_empty() && !answers.is_empty() {
            output.write_all(&answers)?;
            output.flush()?;
            answers.clear();
        }
        if input.fill_buf()?.is_empty() {
            return Ok(Ended::Hung);
        }
        let mut length = [0; 4];
        if !filled(&mut input, &mut length)? {
            return Ok(Ended::Broken);
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Ok(Ended::Broken);
        }
        packet.resize(length, 0);
        if !filled(&mut input, &mut packet)? {
            return Ok(Ended::Broken);
        }
        match Packet::read(&packet) {
            Some(Packet::Hello) => answers.extend(wire::hello()),
            Some(Packet::Ask(number, request)) => answers.extend(wire::reply(number, &desk.answer(&request))),
            Some(Packet::Broken(number)) => answers.extend(wire::reply(number, &Err(Refusal::BROKEN))),
            None => return Ok(Ended::Broken),
        }
        if answers.len() > LONGEST {
            output.write_all(&answers)?;
            answers.clear();
        }
    }
}

/// Whether the whole of `buffer` came.
fn filled(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
