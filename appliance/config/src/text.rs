//! From a file's bytes to its text: everything an editor, a card pulled too early or the wrong file can do to it.

use stayput_health::Place;

use crate::finding::{Finding, Findings, Problem, Severity};

/// The longest configuration that is read; one with ten certificates inside has about 30,000 bytes.
pub const LONGEST: usize = 256 * 1024;

const UTF8: &str = "plain text in UTF-8";

/// The text in `bytes`, without a byte order mark.
pub(crate) fn text_of<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str, Findings> {
    let refuse = |place, problem, expected: &str, remedy: &str| {
        let (expected, remedy) = (expected.to_owned(), remedy.to_owned());
        Findings(vec![Finding { place, severity: Severity::Error, problem, expected, remedy }])
    };
    let start = Place::of(file, "", 0);
    if bytes.len() > LONGEST {
        let problem = Problem::TooLong { length: bytes.len(), limit: LONGEST };
        let remedy = "put the right file on the card; certificates can be files beside it";
        return Err(refuse(start, problem, "a configuration of a few thousand bytes", remedy));
    }
    if is_utf16(bytes) {
        let remedy = "save it again as UTF-8: in Notepad, Save as, Encoding: UTF-8";
        return Err(refuse(start, Problem::Utf16, UTF8, remedy));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let remedy =
            "type the character again, or save the file as UTF-8 (in Notepad: Save as, Encoding: UTF-8)";
        refuse(Place::of(file, &good, good.len()), Problem::NotUtf8, UTF8, remedy)
    })?;
    if let Some(at) = text.find('\0') {
        let remedy = "copy the file onto the card again and eject the card before pulling it; check the card if it happens again";
        return Err(refuse(Place::of(file, text, at), Problem::Nul, UTF8, remedy));
    }
    let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if is_empty {
        let remedy = "make one with 'stayput config new', or fill in the commented example";
        return Err(refuse(start, Problem::Empty, "at least version, [device] and [activation]", remedy));
    }
    Ok(text)
}

/// With its mark, or recognised by the zero in every second byte of Latin text.
fn is_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return true;
    }
    let head = &bytes[..bytes.len().min(64)];
    let zeros = |parity: usize| head.iter().skip(parity).step_by(2).filter(|&&byte| byte == 0).count();
    let pairs = head.len() / 2;
    pairs >= 4 && (zeros(0) * 10 >= pairs * 9 && zeros(1) == 0 || zeros(1) * 10 >= pairs * 9 && zeros(0) == 0)
}
