//! The serial console: every byte into a log file, the text without colours for whoever waits for a line.

use crate::error::{Error, Result, file};
use crate::patience::Deadline;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How much of the console's end an error message shows.
const TAIL_LINES: usize = 25;

/// A place in the console's text: "from here on".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark(usize);

#[derive(Debug, Default)]
struct Heard {
    text: String,
    filter: Plain,
    closed: bool,
}

/// One console. Survives a power cut: the next QEMU's output continues the same text.
#[derive(Debug)]
pub struct Console {
    heard: Arc<(Mutex<Heard>, Condvar)>,
    writer: Option<UnixStream>,
    log: Arc<File>,
}

impl Console {
    /// A console that nobody speaks on yet.
    pub fn new(log: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log).map_err(file("open", log))?;
        Ok(Self { heard: Arc::default(), writer: None, log: Arc::new(log) })
    }

    /// Listens to a freshly started machine.
    pub fn attach(&mut self, stream: UnixStream) -> Result<()> {
        let mut reader = stream.try_clone().map_err(file("copy", "the console's socket"))?;
        self.writer = Some(stream);
        self.lock().closed = false;
        let (heard, log) = (Arc::clone(&self.heard), Arc::clone(&self.log));
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            loop {
                let length = match reader.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => length,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                // A full disk must not end the listening; the text in memory is what tests look at.
                let _ = (&*log).write_all(&buffer[..length]);
                let mut now = lock(&heard.0);
                let Heard { text, filter, .. } = &mut *now;
                filter.feed(&buffer[..length], text);
                drop(now);
                heard.1.notify_all();
            }
            lock(&heard.0).closed = true;
            heard.1.notify_all();
        });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard.0)
    }

    /// Everything so far, without colours and carriage returns.
    pub fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// Everything since `mark`.
    pub fn since(&self, mark: Mark) -> String {
        self.lock().text[mark.0..].to_owned()
    }

    /// The present end of the text.
    pub fn mark(&self) -> Mark {
        Mark(self.lock().text.len())
    }

    /// The last lines, for an error message.
    pub fn tail(&self) -> String {
        tail(&self.lock().text).to_owned()
    }

    /// The last so many lines.
    pub fn last(&self, lines: usize) -> Vec<String> {
        let heard = self.lock();
        let mut last: Vec<_> = heard.text.trim_end().rsplit('\n').take(lines).map(str::to_owned).collect();
        last.reverse();
        last
    }

    /// Types something.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let writer = self.writer.as_mut().ok_or(Error::Off { what: "the console" })?;
        writer.write_all(text.as_bytes()).map_err(file("write to", "the console"))
    }

    /// Waits until `pattern` (plain text) appears after `from`; answers the place behind it.
    pub fn wait_for(&self, pattern: &str, from: Mark, deadline: &Deadline) -> Result<Mark> {
        self.wait_for_any(&[pattern], from, deadline).map(|(_, mark)| mark)
    }

    /// Waits until one of `patterns` appears after `from`; answers which, and the place behind it. Of several
    /// that are there, the earliest in the text counts.
    pub fn wait_for_any(&self, patterns: &[&str], from: Mark, deadline: &Deadline) -> Result<(usize, Mark)> {
        let mut heard = self.lock();
        loop {
            let found = patterns
                .iter()
                .enumerate()
                .filter_map(|(which, pattern)| {
                    heard.text[from.0..].find(pattern).map(|at| (at, which, from.0 + at + pattern.len()))
                })
                .min();
            if let Some((_, which, end)) = found {
                return Ok((which, Mark(end)));
            }
            let what = || format!("{patterns:?} on the console");
            if heard.closed {
                let said = tail(&heard.text).to_owned();
                return Err(Error::Ended { status: "its console is closed".into(), during: what(), said });
            }
            if deadline.passed() {
                let seen = format!("The console ends with:\n{}", tail(&heard.text[from.0..]));
                return Err(Error::Late { what: what(), allowed: deadline.allowed, seen });
            }
            let wait = deadline.remaining().min(Duration::from_secs(1));
            heard = self.heard.1.wait_timeout(heard, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tail(text: &str) -> &str {
    let text = text.trim_end();
    match text.rmatch_indices('\n').nth(TAIL_LINES - 1) {
        Some((at, _)) => &text[at + 1..],
        None => text,
    }
}

/// Takes terminal control sequences and carriage returns out of a byte stream that arrives in pieces.
#[derive(Debug, Default)]
struct Plain {
    state: State,
    /// The begun UTF-8 character at the end of the last piece.
    begun: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After `ESC [`: until a byte from `@` to `~`.
    Control,
    /// After `ESC ]`, `P`, `X`, `^`, `_`: until BEL or `ESC \`.
    Command,
    /// In such a command, after ESC.
    CommandEscape,
    /// After `ESC (` and its like: one more byte.
    Charset,
}

impl Plain {
    fn feed(&mut self, bytes: &[u8], out: &mut String) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Text, 0x1b) => State::Escape,
                (State::Text, b'\n' | b'\t' | 0x20..=0x7e | 0x80..) => {
                    self.begun.push(byte);
                    State::Text
                }
                (State::Text, _) => State::Text,
                (State::Escape, b'[') => State::Control,
                (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Command,
                (State::Escape, b'(' | b')' | b'*' | b'+' | b'#' | b'%') => State::Charset,
                (State::Escape, 0x1b) => State::Escape,
                // No sequence goes on like that: it was cut off, and the text goes on.
                (State::Escape | State::Charset | State::Control, b'\n' | 0x80..) => {
                    self.begun.push(byte);
                    State::Text
                }
                (State::Escape | State::Charset, _) => State::Text,
                (State::Control, 0x40..=0x7e) => State::Text,
                (State::Control, _) => State::Control,
                (State::Command, 0x07) => State::Text,
                (State::Command, 0x1b) => State::CommandEscape,
                (State::Command, _) => State::Command,
                (State::CommandEscape, b'\\') => State::Text,
                (State::CommandEscape, _) => State::Command,
            };
        }
        let mut whole = 0;
        // Wrong bytes become U+FFFD; a character that is only begun waits for its rest.
        while let Err(error) = std::str::from_utf8(&self.begun[whole..])
            && let Some(wrong) = error.error_len()
        {
            whole += error.valid_up_to() + wrong;
        }
        whole += match std::str::from_utf8(&self.begun[whole..]) {
            Ok(rest) => rest.len(),
            Err(error) => error.valid_up_to(),
        };
        out.push_str(&String::from_utf8_lossy(&self.begun[..whole]));
        self.begun.drain(..whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::Patience;
    use proptest::prelude::*;

    fn plain(pieces: &[&[u8]]) -> String {
        let (mut filter, mut out) = (Plain::default(), String::new());
        for piece in pieces {
            filter.feed(piece, &mut out);
        }
        out
    }

    fn console() -> (Console, UnixStream, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let mut console = Console::new(&dir.path().join("console.log")).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        console.attach(ours).unwrap();
        (console, theirs, dir)
    }

    fn soon(ms: u64) -> Deadline {
        Patience::default().deadline(Duration::from_millis(ms))
    }

    #[test]
    fn colours_titles_and_carriage_returns_are_not_text() {
        assert_eq!(
            plain(&[b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[1mx\x1b[0m.\r\n"]),
            "[  OK  ] Started x.\n"
        );
        assert_eq!(plain(&[b"\x1b]0;title\x07a\x1b]8;;x\x1b\\b\x1b(Bc\x1bM"]), "abc");
    }

    #[test]
    fn a_sequence_cut_by_the_wire_is_still_one() {
        assert_eq!(plain(&[b"a\x1b", b"[0;3", b"2mb", b"\xc3", b"\xa9"]), "ab\u{e9}");
    }

    #[test]
    fn a_line_is_found_even_if_it_came_before_the_waiting_began() {
        let (console, mut far, dir) = console();
        far.write_all(b"U-Boot 2025.01\r\nHit any key\r\n").unwrap();
        let mark = console.wait_for("U-Boot", Mark::default(), &soon(10_000)).unwrap();
        let (which, _) = console.wait_for_any(&["never", "any key"], mark, &soon(10_000)).unwrap();
        assert_eq!(which, 1);
        let log = std::fs::read(dir.path().join("console.log")).unwrap();
        assert!(log.ends_with(b"key\r\n"), "the log keeps the raw bytes");
    }

    #[test]
    fn what_stands_before_the_mark_does_not_count() {
        let (console, mut far, _dir) = console();
        far.write_all(b"reset\n").unwrap();
        let mark = console.wait_for("reset\n", Mark::default(), &soon(10_000)).unwrap();
        let error = console.wait_for("reset", mark, &soon(30)).unwrap_err();
        assert!(matches!(error, Error::Late { .. }), "{error}");
    }

    #[test]
    fn a_console_that_closes_ends_the_wait_and_shows_its_last_lines() {
        let (console, mut far, _dir) = console();
        far.write_all(b"Kernel panic - not syncing\n").unwrap();
        drop(far);
        let error = console.wait_for("login", Mark::default(), &soon(60_000)).unwrap_err().to_string();
        assert!(error.contains("Kernel panic"), "{error}");
    }

    #[test]
    fn typed_text_arrives() {
        let (mut console, mut far, _dir) = console();
        console.send("printenv\n").unwrap();
        let mut got = [0; 9];
        far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"printenv\n");
    }

    #[test]
    fn the_tail_is_the_last_lines_only() {
        let text: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(tail(&text).starts_with("75\n") && tail(&text).ends_with("99"));
        assert_eq!(tail("one"), "one");
    }

    proptest! {
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 1usize..7) {
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(plain(&pieces), plain(&[&bytes]));
        }
    }
}
