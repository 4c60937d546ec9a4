//! What was said over TCP, put together from its segments.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One direction of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// The packet that it begins with, from 1.
    pub packet: usize,
    /// Everything up to the first byte that is missing.
    pub bytes: Vec<u8>,
    /// Whether something is missing before the last that was seen.
    pub has_gap: bool,
}

/// A segment as it came.
pub(crate) struct Segment<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub packet: usize,
    pub number: u32,
    pub opens: bool,
    pub payload: &'a [u8],
}

#[derive(Debug)]
struct Direction {
    packet: usize,
    first: u32,
    /// By their place from the beginning.
    pieces: BTreeMap<u32, Vec<u8>>,
}

/// Connections as they are seen.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: BTreeMap<(SocketAddr, SocketAddr), Direction>,
    done: Vec<Said>,
}

impl Connections {
    pub fn take(&mut self, segment: &Segment<'_>) {
        let key = (segment.from, segment.to);
        let first = segment.number.wrapping_add(u32::from(segment.opens));
        // The same two ports again, for another connection.
        if segment.opens
            && self.open.get(&key).is_some_and(|direction| direction.first != first)
            && let Some(old) = self.open.remove(&key)
        {
            self.done.push(put_together(key, old));
        }
        let new = || Direction { packet: segment.packet, first, pieces: BTreeMap::new() };
        let direction = self.open.entry(key).or_insert_with(new);
        let place = first.wrapping_sub(direction.first);
        // What lies before the beginning is a question whether the other side is still there.
        if segment.payload.is_empty() || place > u32::MAX / 2 {
            return;
        }
        let piece = direction.pieces.entry(place).or_default();
        if piece.len() < segment.payload.len() {
            *piece = segment.payload.to_vec();
        }
    }

    pub fn end(mut self) -> Vec<Said> {
        self.done.extend(self.open.into_iter().map(|(key, direction)| put_together(key, direction)));
        self.done
    }
}

fn put_together((from, to): (SocketAddr, SocketAddr), direction: Direction) -> Said {
    let (mut bytes, mut has_gap) = (Vec::new(), false);
    for (place, piece) in direction.pieces {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if place > bytes.len() {
            has_gap = true;
            break;
        }
        let known = bytes.len() - place;
        bytes.extend_from_slice(piece.get(known..).unwrap_or_default());
    }
    Said { from, to, packet: direction.packet, bytes, has_gap }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(segments: &[(u32, bool, &str)]) -> Vec<Said> {
        let (from, to) = ("10.0.2.15:4000".parse().unwrap(), "10.0.2.2:443".parse().unwrap());
        let mut connections = Connections::default();
        for (packet, (number, opens, payload)) in (1..).zip(segments) {
            let (number, opens, payload) = (*number, *opens, payload.as_bytes());
            connections.take(&Segment { from, to, packet, number, opens, payload });
        }
        connections.end()
    }

    #[test]
    fn segments_are_put_in_their_places_however_they_come_and_over_the_end_of_all_numbers() {
        let all = said(&[
            (u32::MAX - 2, true, ""),
            (u32::MAX - 1, false, "abc"),
            (u32::MAX - 2, false, "\0"),
            (4, false, "gh"),
            (1, false, "def"),
            (u32::MAX - 1, false, "abcd"),
        ]);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].bytes.as_slice(), all[0].has_gap), (&b"abcdefgh"[..], false));
    }

    #[test]
    fn what_is_missing_is_said_and_the_same_ports_again_are_another_connection() {
        let all =
            said(&[(9, true, ""), (10, false, "ab"), (14, false, "ef"), (99, true, ""), (100, false, "x")]);
        let seen: Vec<_> =
            all.iter().map(|said| (said.packet, said.bytes.as_slice(), said.has_gap)).collect();
        assert_eq!(seen, [(1, &b"ab"[..], true), (4, &b"x"[..], false)]);
    }
}
