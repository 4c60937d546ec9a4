//! Numbers and bounded byte strings in a message, read without trust.

use super::{BATCH, HEADER, LONGEST, Refusal, VERSION};

/// Takes values off the front of a message's body.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The kind of the message in `bytes` and a reader of its body.
    pub(super) fn message(bytes: &'a [u8]) -> Result<(u8, Self), Refusal> {
        // The version before anything else: another one may have another header.
        match bytes.first() {
            None => return Err(Refusal::Truncated),
            Some(&version) if version != VERSION => return Err(Refusal::Version),
            Some(_) => {}
        }
        if bytes.len() > LONGEST {
            return Err(Refusal::Oversize);
        }
        let (&[_, kind, low, high], body) = bytes.split_first_chunk::<HEADER>().ok_or(Refusal::Truncated)?;
        match body.len().cmp(&usize::from(u16::from_le_bytes([low, high]))) {
            std::cmp::Ordering::Less => Err(Refusal::Truncated),
            std::cmp::Ordering::Equal => Ok((kind, Self(body))),
            std::cmp::Ordering::Greater => Err(Refusal::Oversize),
        }
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Oversize) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(Refusal::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (front, rest) = self.0.split_first_chunk::<N>().ok_or(Refusal::Truncated)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refusal> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refusal> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    /// How many items follow: 1 to [`BATCH`].
    pub(super) fn count(&mut self) -> Result<usize, Refusal> {
        let count = usize::from(self.u8()?);
        if (1..=BATCH).contains(&count) { Ok(count) } else { Err(Refusal::Value) }
    }

    /// Bytes with a length of one byte.
    pub(super) fn short(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// Bytes with a length of two bytes.
    pub(super) fn long(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

/// Builds a message; its header is filled in at the end.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(vec![0; HEADER])
    }

    /// The whole message.
    pub(super) fn message(mut self, kind: u8) -> Result<Vec<u8>, Refusal> {
        if self.0.len() > LONGEST {
            return Err(Refusal::Oversize);
        }
        let length = u16::try_from(self.0.len() - HEADER).map_err(|_| Refusal::Oversize)?;
        let [low, high] = length.to_le_bytes();
        self.0[..HEADER].copy_from_slice(&[VERSION, kind, low, high]);
        Ok(self.0)
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn count(&mut self, count: usize) -> Result<(), Refusal> {
        match u8::try_from(count) {
            Ok(number) if (1..=BATCH).contains(&count) => {
                self.u8(number);
                Ok(())
            }
            Ok(0) => Err(Refusal::Value),
            _ => Err(Refusal::Oversize),
        }
    }

    pub(super) fn short(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.u8(u8::try_from(bytes.len()).map_err(|_| Refusal::Oversize)?);
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn long(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.u16(u16::try_from(bytes.len()).map_err(|_| Refusal::Oversize)?);
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
