//! QEMU's control socket: commands with their answers, events kept in order until somebody asks.

use crate::error::{Error, Result};
use crate::patience::{Deadline, Patience};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A command that takes longer than this on a quiet machine is not coming back. `savevm` of 512 MiB is the
/// slowest, a few seconds.
const ANSWER: Duration = Duration::from_secs(60);

/// One event, as QEMU sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `RESET`, `SHUTDOWN`, `WATCHDOG`, …
    pub name: String,
    /// Its particulars.
    pub data: Value,
}

/// One line from QEMU, understood.
#[derive(Debug, Clone, PartialEq)]
enum Message {
    Greeting,
    Answer { id: Option<u64>, outcome: Result<Value, String> },
    Event(Event),
}

fn understand(line: &str) -> Result<Message> {
    let odd = |what| Error::Protocol { what, text: line.chars().take(400).collect() };
    let mut value: Value = serde_json::from_str(line).map_err(|_| odd("a JSON object on one line"))?;
    let object = value.as_object_mut().ok_or_else(|| odd("a JSON object on one line"))?;
    if object.contains_key("QMP") {
        return Ok(Message::Greeting);
    }
    if let Some(name) = object.get("event").and_then(Value::as_str) {
        let name = name.to_owned();
        return Ok(Message::Event(Event { name, data: object.remove("data").unwrap_or(Value::Null) }));
    }
    let id = object.get("id").and_then(Value::as_u64);
    if let Some(answer) = object.remove("return") {
        return Ok(Message::Answer { id, outcome: Ok(answer) });
    }
    if let Some(error) = object.get("error") {
        let reason = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
        return Ok(Message::Answer { id, outcome: Err(reason) });
    }
    Err(odd("a greeting, an answer or an event"))
}

/// Bytes in, whole lines out; what has no end yet waits.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    searched: usize,
}

impl Lines {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole line without its end; empty lines are skipped.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = self.pending[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.pending.len();
                return None;
            };
            let rest = self.pending.split_off(self.searched + end + 1);
            let mut line = std::mem::replace(&mut self.pending, rest);
            self.searched = 0;
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.pending.clear();
        self.searched = 0;
    }
}

/// A connection to one running QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    lines: Lines,
    events: VecDeque<Event>,
    last_id: u64,
    patience: Patience,
}

impl Qmp {
    /// Waits for the greeting and switches to command mode.
    pub fn open(stream: UnixStream, patience: Patience) -> Result<Self> {
        let mut qmp = Self { stream, lines: Lines::default(), events: VecDeque::new(), last_id: 0, patience };
        let deadline = patience.deadline(ANSWER);
        while qmp.receive(&deadline, "QMP greeting")? != Message::Greeting {}
        qmp.execute("qmp_capabilities", Value::Null)?;
        Ok(qmp)
    }

    /// One command; `arguments` may be `Value::Null`. Events that arrive meanwhile are kept.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut order = json!({ "execute": command, "id": id });
        if !arguments.is_null() {
            order["arguments"] = arguments;
        }
        tracing::debug!(%order, "QMP");
        let mut line = order.to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes()).map_err(|error| self.lost(command, &error))?;
        let deadline = self.patience.deadline(ANSWER);
        loop {
            match self.receive(&deadline, command)? {
                Message::Answer { id: answered, outcome } if answered == Some(id) => {
                    return outcome.map_err(|reason| Error::Refused { command: command.to_owned(), reason });
                }
                // An answer without an id tells of a line that QEMU could not read.
                Message::Answer { id: None, outcome: Err(reason) } => {
                    return Err(Error::Refused { command: command.to_owned(), reason });
                }
                Message::Answer { .. } | Message::Greeting => {}
                Message::Event(event) => self.keep(event),
            }
        }
    }

    /// A line of the human monitor (`xp`, `savevm`, `loadvm`), which answers in prose.
    pub fn monitor(&mut self, line: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        match answer {
            Value::String(text) => Ok(text),
            other => Err(Error::Protocol { what: "the monitor's text", text: other.to_string() }),
        }
    }

    /// Waits for the next event of that name; those before it are dropped, for they are history then.
    pub fn wait_for_event(&mut self, name: &str, deadline: &Deadline) -> Result<Event> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if event.name == name {
                    return Ok(event);
                }
            }
            if let Message::Event(event) = self.receive(deadline, name)? {
                self.keep(event);
            }
        }
    }

    /// Forgets the events so far, before causing the one to wait for.
    pub fn forget_events(&mut self) -> Result<()> {
        // QEMU sends an event before the answer of any later command: one round trip collects them all.
        self.execute("query-name", Value::Null)?;
        self.events.clear();
        Ok(())
    }

    fn keep(&mut self, event: Event) {
        tracing::debug!(event = event.name, data = %event.data, "QMP");
        self.events.push_back(event);
    }

    fn receive(&mut self, deadline: &Deadline, what: &str) -> Result<Message> {
        loop {
            if let Some(line) = self.lines.next() {
                return understand(&String::from_utf8_lossy(&line));
            }
            let late = || Error::Late {
                what: format!("QEMU's answer ({what})"),
                allowed: deadline.allowed,
                seen: String::new(),
            };
            if deadline.passed() {
                return Err(late());
            }
            let wait = deadline.remaining().max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(wait)).map_err(|error| self.lost(what, &error))?;
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(self.lost(what, &"it closed the socket")),
                Ok(length) => self.lines.feed(&buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(late()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(what, &error)),
            }
        }
    }

    fn lost(&self, what: &str, why: &dyn std::fmt::Display) -> Error {
        Error::Ended {
            status: "its control socket is gone".into(),
            during: what.to_owned(),
            said: why.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{BufRead, BufReader};
    use std::thread;

    /// A QEMU that says its greeting, then for each order the given lines, `ID` replaced by the order's.
    fn qemu(script: Vec<Vec<&'static str>>) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            let mut writer = theirs;
            writer.write_all(b"{\"QMP\": {\"version\": {}}}\r\n").unwrap();
            for answers in script {
                let mut order = String::new();
                if reader.read_line(&mut order).unwrap() == 0 {
                    return;
                }
                let id = serde_json::from_str::<Value>(&order).unwrap()["id"].to_string();
                for answer in answers {
                    writer.write_all(answer.replace("ID", &id).as_bytes()).unwrap();
                    writer.write_all(b"\r\n").unwrap();
                }
            }
        });
        ours
    }

    const OK: &str = r#"{"return": {}, "id": ID}"#;

    #[test]
    fn an_event_between_order_and_answer_is_kept_for_later() {
        let events = vec![r#"{"event": "RESET", "data": {"guest": true}, "timestamp": {}}"#, OK];
        let mut qmp = Qmp::open(qemu(vec![vec![OK], events]), Patience::default()).unwrap();
        qmp.execute("system_reset", Value::Null).unwrap();
        let event =
            qmp.wait_for_event("RESET", &Patience::default().deadline(Duration::from_secs(5))).unwrap();
        assert_eq!(event.data, json!({"guest": true}));
    }

    #[test]
    fn a_refusal_carries_qemus_reason() {
        let refusal =
            vec![r#"{"error": {"class": "GenericError", "desc": "Device 'x' not found"}, "id": ID}"#];
        let mut qmp = Qmp::open(qemu(vec![vec![OK], refusal]), Patience::default()).unwrap();
        let error = qmp.execute("set_link", json!({"name": "x", "up": true})).unwrap_err().to_string();
        assert_eq!(error, "QEMU refused set_link: Device 'x' not found");
    }

    #[test]
    fn a_closed_socket_names_the_order_it_swallowed() {
        let mut qmp = Qmp::open(qemu(vec![vec![OK], vec![]]), Patience::default()).unwrap();
        assert!(qmp.execute("stop", Value::Null).unwrap_err().to_string().contains("while stop"));
    }

    #[test]
    fn an_event_that_never_comes_is_late_and_named() {
        let mut qmp = Qmp::open(qemu(vec![vec![OK], vec![OK]]), Patience::default()).unwrap();
        let (_keep, silent) = UnixStream::pair().unwrap();
        qmp.stream = silent;
        let error = qmp
            .wait_for_event("SHUTDOWN", &Patience::default().deadline(Duration::from_millis(30)))
            .unwrap_err();
        assert!(matches!(error, Error::Late { what, .. } if what.contains("SHUTDOWN")));
    }

    #[test]
    fn the_monitors_prose_comes_back_as_it_is() {
        let prose = vec![r#"{"return": "00000000090303fc: 0x00000001\r\n", "id": ID}"#];
        let mut qmp = Qmp::open(qemu(vec![vec![OK], prose]), Patience::default()).unwrap();
        assert_eq!(qmp.monitor("xp /1xw 0x090303fc").unwrap(), "00000000090303fc: 0x00000001\r\n");
    }

    #[test]
    fn lines_that_are_no_qmp_are_refused_with_their_text() {
        for line in ["[]", "hello", r#"{"x": 1}"#, "{\"return\":"] {
            assert!(matches!(understand(line), Err(Error::Protocol { .. })), "{line}");
        }
    }

    proptest! {
        #[test]
        fn lines_come_out_whole_however_the_bytes_were_cut(
            lines in prop::collection::vec("[a-z\"{}]{1,20}", 0..8), cut in 1usize..9
        ) {
            let text = lines.iter().map(|line| format!("{line}\r\n\n")).collect::<String>();
            let mut codec = Lines::default();
            let mut out = Vec::new();
            for piece in text.as_bytes().chunks(cut) {
                codec.feed(piece);
                while let Some(line) = codec.next() {
                    out.push(String::from_utf8(line).unwrap());
                }
            }
            prop_assert_eq!(out, lines);
        }

        #[test]
        fn no_line_panics(line in ".*") {
            let _ = understand(&line);
        }
    }
}
