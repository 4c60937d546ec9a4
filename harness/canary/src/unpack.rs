//! What is inside something: packed, escaped, written in digits.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use memchr::memchr_iter;

/// What something was inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A member of gzip.
    Gzip,
    /// A stream of zlib.
    Zlib,
    /// Deflate without a header.
    Deflate,
    /// A run of base64.
    Base64,
    /// A run of hexadecimal digits.
    Hex,
    /// Percent signs, `\u` or `\x`.
    Escapes,
}

/// No more of a member is looked at: what packs a secret does not hide it behind so many bytes of something else.
const LONGEST: u64 = 4 << 20;
/// The shortest run of digits that is taken for something written in them.
const RUN: usize = 16;

/// Everything that is inside these bytes, one layer deep.
pub(crate) fn layers(bytes: &[u8]) -> Vec<(Layer, Vec<u8>)> {
    let mut found = Vec::new();
    let mut keep = |layer, inside: Vec<u8>| {
        if inside.len() >= crate::WINDOW {
            found.push((layer, inside));
        }
    };
    for at in memchr_iter(0x1f, bytes).filter(|at| bytes[*at..].starts_with(&[0x1f, 0x8b, 8])) {
        keep(Layer::Gzip, all_of(GzDecoder::new(&bytes[at..])));
    }
    for at in (0..bytes.len()).filter(|at| is_zlib(&bytes[*at..])) {
        keep(Layer::Zlib, all_of(ZlibDecoder::new(&bytes[at..])));
    }
    keep(Layer::Deflate, all_of(DeflateDecoder::new(bytes)));
    for run in runs(bytes, |byte| value(byte).is_some()) {
        // Where it begins is not known: a path may lead up to it.
        (0..4.min(run.len())).for_each(|skip| keep(Layer::Base64, digits(&run[skip..], 6, value)));
    }
    for run in runs(bytes, |byte| byte.is_ascii_hexdigit()) {
        (0..2).for_each(|skip| keep(Layer::Hex, digits(&run[skip..], 4, hexadecimal)));
    }
    keep(Layer::Escapes, unescaped(bytes).unwrap_or_default());
    found
}

/// What comes out until it ends, is enough, or goes wrong.
fn all_of(reader: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    // One that is broken off has said something before.
    let _ = reader.take(LONGEST).read_to_end(&mut out);
    out
}

fn is_zlib(bytes: &[u8]) -> bool {
    matches!(*bytes, [first, second, ..]
        if first & 0x8f == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31))
}

/// Runs of bytes of a kind, with line ends taken out of them.
fn runs(bytes: &[u8], is_one: impl Fn(u8) -> bool) -> Vec<Vec<u8>> {
    let (mut all, mut run) = (Vec::new(), Vec::new());
    for byte in bytes.iter().copied().chain([0]) {
        if is_one(byte) {
            run.push(byte);
        } else if !matches!(byte, b'\r' | b'\n') {
            let ended = std::mem::take(&mut run);
            if ended.len() >= RUN {
                all.push(ended);
            }
        }
    }
    all
}

/// Bytes out of digits of so many bits.
fn digits(text: &[u8], bits: u32, value: fn(u8) -> Option<u8>) -> Vec<u8> {
    let (mut out, mut held, mut have) = (Vec::with_capacity(text.len()), 0u32, 0);
    for digit in text.iter().filter_map(|byte| value(*byte)) {
        held = held << bits | u32::from(digit);
        have += bits;
        if have >= 8 {
            have -= 8;
            out.push((held >> have).to_le_bytes()[0]);
        }
    }
    out
}

fn hexadecimal(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A digit of base64, in either alphabet.
fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// The text with its escapes read; nothing where it has none.
fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut at, mut any) = (Vec::with_capacity(bytes.len()), 0, false);
    while at < bytes.len() {
        match escape(&bytes[at..]) {
            Some((character, length)) => {
                let mut buffer = [0; 4];
                match character {
                    Ok(byte) => out.push(byte),
                    Err(character) => out.extend(character.encode_utf8(&mut buffer).bytes()),
                }
                (at, any) = (at + length, true);
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    any.then_some(out)
}

/// An escape at the beginning: a byte or a character, and how long it is.
fn escape(bytes: &[u8]) -> Option<(Result<u8, char>, usize)> {
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0u32, |sum, digit| Some(sum * 16 + u32::from(hexadecimal(*digit)?)))
    };
    let byte = |digits| number(digits).and_then(|number| u8::try_from(number).ok()).map(Ok);
    match bytes {
        [b'%', rest @ ..] => Some((byte(rest.get(..2)?)?, 3)),
        [b'\\', b'x', rest @ ..] => Some((byte(rest.get(..2)?)?, 4)),
        [b'\\', b'u', rest @ ..] => Some((Err(char::from_u32(number(rest.get(..4)?)?)?), 6)),
        _ => None,
    }
}
