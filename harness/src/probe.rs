//! The host's end of the probe: orders as typed calls, each with a deadline, answers matched by number.

use crate::error::{Error, Result};
use crate::patience::{Deadline, Patience};
use crate::qmp::Lines;
use stayput_probe::{Answer, Entry, Op, Outcome, Packet, Process, Ran, Reply, Request, Whole};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A small order on an emulated processor that is busy booting.
const SMALL: Duration = Duration::from_secs(60);
/// A program that a test runs on the box.
const PROGRAM: Duration = Duration::from_secs(90);
/// Between two pings while nobody may be there yet.
const KNOCK: Duration = Duration::from_millis(500);
/// No file that a test reads is longer.
const READ_LIMIT: u64 = 16 * 1024 * 1024;

/// A connection to the probe on the box.
#[derive(Debug)]
pub struct Probe {
    stream: UnixStream,
    lines: Lines,
    last_id: u64,
    early: BTreeMap<u64, Outcome>,
    patience: Patience,
}

/// An order that was sent and whose answer was not asked for yet.
#[derive(Debug)]
#[must_use = "the answer has to be fetched with Probe::finish"]
pub struct Pending {
    id: u64,
    question: String,
}

/// A file that the probe holds open on the box.
#[derive(Debug, Clone, Copy)]
pub struct OpenFile(u64);

impl Probe {
    /// Over a socket whose other end is the virtio port.
    pub fn new(stream: UnixStream, patience: Patience) -> Self {
        Self { stream, lines: Lines::default(), last_id: 0, early: BTreeMap::new(), patience }
    }

    /// Knocks until the probe answers: after the start, a reset, or a restored snapshot. What was on the
    /// wire before is void; a line of another time that was cut in half ends here.
    pub fn greet(&mut self, deadline: &Deadline) -> Result<()> {
        self.lines.clear();
        self.early.clear();
        let first = self.last_id + 1;
        loop {
            match self.send(Op::Ping, "\n", KNOCK) {
                // The socket is full of knocks that nobody has heard yet: the last ones count as well.
                Ok(_) | Err(Error::Late { .. }) => {}
                Err(other) => return Err(other),
            }
            let knock = self.patience.deadline(KNOCK);
            match self.wait_for("its first answer", &knock, |id| id >= first) {
                Ok(_) => {
                    self.early.clear();
                    return Ok(());
                }
                Err(Error::Late { .. }) if !deadline.passed() => {}
                Err(Error::Late { .. }) => {
                    let seen = "It comes up with the box: see its console.".to_owned();
                    return Err(Error::Late {
                        what: "the probe's first answer".into(),
                        allowed: deadline.allowed,
                        seen,
                    });
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Sends an order without waiting: for what has to be under way while the test does something else.
    pub fn begin(&mut self, op: Op) -> Result<Pending> {
        self.send(op, "", SMALL)
    }

    /// The answer to a begun order.
    pub fn finish(&mut self, pending: Pending, longest: Duration) -> Result<Answer> {
        let deadline = self.patience.deadline(longest);
        match self.receive(&pending, &deadline)? {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Failed(why) => Err(Error::OnTheBox(why)),
        }
    }

    fn ask(&mut self, op: Op, longest: Duration) -> Result<Answer> {
        let pending = self.begin(op)?;
        self.finish(pending, longest)
    }

    /// Runs a program; an exit code other than 0 is an answer, not an error.
    pub fn run(&mut self, argv: &[&str]) -> Result<Ran> {
        self.run_for(argv, PROGRAM)
    }

    /// The same with another limit (stretched by the patience, too).
    pub fn run_for(&mut self, argv: &[&str], limit: Duration) -> Result<Ran> {
        let on_the_box = self.patience.stretch(limit);
        let op = Op::Run {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: BTreeMap::new(),
            stdin: Vec::new(),
            timeout_ms: u64::try_from(on_the_box.as_millis()).unwrap_or(u64::MAX),
        };
        match self.ask(op, limit + SMALL)? {
            Answer::Ran(ran) => Ok(ran),
            other => Err(odd(&format!("run {argv:?}"), &other)),
        }
    }

    /// Runs a program that must succeed; its standard output as text.
    pub fn output(&mut self, argv: &[&str]) -> Result<String> {
        let ran = self.run(argv)?;
        if ran.code != Some(0) {
            let end = match (ran.timed_out, ran.code, ran.signal) {
                (true, ..) => "did not end in time".to_owned(),
                (_, Some(code), _) => format!("ended with {code}"),
                (_, None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
            };
            let said = String::from_utf8_lossy(&ran.stderr);
            return Err(Error::OnTheBox(format!("{} {end}: {}", argv.join(" "), said.trim())));
        }
        Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
    }

    /// A file's bytes.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        match self.ask(Op::Read { path: path.to_owned(), limit: READ_LIMIT }, SMALL)? {
            Answer::Content { data, truncated: false } => Ok(data),
            Answer::Content { truncated: true, .. } => {
                Err(Error::OnTheBox(format!("{path} is longer than {READ_LIMIT} bytes")))
            }
            other => Err(odd(&format!("read {path}"), &other)),
        }
    }

    /// A text file.
    pub fn text(&mut self, path: &str) -> Result<String> {
        self.read(path).map(|data| String::from_utf8_lossy(&data).into_owned())
    }

    /// Whether something is there (a link that leads nowhere is).
    pub fn exists(&mut self, path: &str) -> Result<bool> {
        let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
        let directory = if directory.is_empty() { "/" } else { directory };
        match self.list(directory) {
            Ok(entries) => Ok(entries.iter().any(|entry| entry.name == name)),
            Err(Error::OnTheBox(why)) if why.contains("No such file") || why.contains("Not a directory") => {
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// Writes an existing file, a sysfs attribute for one.
    pub fn write(&mut self, path: &str, data: &[u8]) -> Result<()> {
        self.put(path, data, false)
    }

    /// Writes a file, new or old.
    pub fn create(&mut self, path: &str, data: &[u8]) -> Result<()> {
        self.put(path, data, true)
    }

    fn put(&mut self, path: &str, data: &[u8], create: bool) -> Result<()> {
        match self.ask(Op::Write { path: path.to_owned(), data: data.to_vec(), create }, SMALL)? {
            Answer::Nothing => Ok(()),
            other => Err(odd(&format!("write {path}"), &other)),
        }
    }

    /// Every plain file of a directory, by its name.
    pub fn read_all(&mut self, path: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        match self.ask(Op::ReadAll { path: path.to_owned() }, PROGRAM)? {
            Answer::Files(files) => Ok(files.into_iter().map(|file| (file.name, file.data)).collect()),
            other => Err(odd(&format!("read all of {path}"), &other)),
        }
    }

    /// Makes files in a directory.
    pub fn create_all<'a>(
        &mut self,
        path: &str,
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<()> {
        let whole = |(name, data): (&str, &[u8])| Whole { name: name.to_owned(), data: data.to_vec() };
        let files = files.into_iter().map(whole).collect();
        match self.ask(Op::CreateAll { path: path.to_owned(), files }, PROGRAM)? {
            Answer::Nothing => Ok(()),
            other => Err(odd(&format!("make files in {path}"), &other)),
        }
    }

    /// Makes a file that takes so much room, without writing it.
    pub fn allocate(&mut self, path: &str, bytes: u64) -> Result<()> {
        self.ask(Op::Allocate { path: path.to_owned(), bytes }, SMALL).map(drop)
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &str) -> Result<()> {
        self.ask(Op::Remove { path: path.to_owned() }, SMALL).map(drop)
    }

    /// How many bytes are free where a file lies.
    pub fn room(&mut self, path: &str) -> Result<u64> {
        match self.ask(Op::Room { path: path.to_owned() }, SMALL)? {
            Answer::Room { free } => Ok(free),
            other => Err(odd(&format!("room of {path}"), &other)),
        }
    }

    /// Puts the box's clock ahead, or back.
    pub fn turn_clock(&mut self, seconds: i64) -> Result<()> {
        self.ask(Op::Turn { seconds }, SMALL).map(drop)
    }

    /// A directory's entries, by name.
    pub fn list(&mut self, path: &str) -> Result<Vec<Entry>> {
        match self.ask(Op::List { path: path.to_owned() }, SMALL)? {
            Answer::Entries(entries) => Ok(entries),
            other => Err(odd(&format!("list {path}"), &other)),
        }
    }

    /// Every process.
    pub fn processes(&mut self) -> Result<Vec<Process>> {
        match self.ask(Op::Processes, SMALL)? {
            Answer::Processes(processes) => Ok(processes),
            other => Err(odd("processes", &other)),
        }
    }

    /// Opens a device so that nothing that arrives from now on is missed.
    pub fn open(&mut self, path: &str) -> Result<OpenFile> {
        match self.ask(Op::Open { path: path.to_owned() }, SMALL)? {
            Answer::Opened { handle } => Ok(OpenFile(handle)),
            other => Err(odd(&format!("open {path}"), &other)),
        }
    }

    /// What arrives on an opened device, waiting for it.
    pub fn await_bytes(&mut self, file: OpenFile, longest: Duration) -> Result<Vec<u8>> {
        let timeout_ms = u64::try_from(self.patience.stretch(longest).as_millis()).unwrap_or(u64::MAX);
        match self.ask(Op::Await { handle: file.0, timeout_ms }, longest + SMALL)? {
            Answer::Content { data, .. } => Ok(data),
            other => Err(odd("await", &other)),
        }
    }

    /// Says packets to a Unix socket as a user, and returns the answers; fewer when the peer hung up.
    pub fn packets(&mut self, path: &str, uid: u32, packets: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        let timeout_ms = u64::try_from(self.patience.stretch(SMALL).as_millis()).unwrap_or(u64::MAX);
        let packets = packets.iter().map(|packet| Packet(packet.to_vec())).collect();
        let op = Op::Packets { path: path.to_owned(), uid, packets, timeout_ms };
        match self.ask(op, PROGRAM)? {
            Answer::Packets(answers) => Ok(answers.into_iter().map(|Packet(data)| data).collect()),
            other => Err(odd(&format!("packets {path}"), &other)),
        }
    }

    /// Closes it.
    pub fn close(&mut self, file: OpenFile) -> Result<()> {
        self.ask(Op::Close { handle: file.0 }, SMALL).map(drop)
    }

    /// Opens a TCP connection from the box, says `data` and hears the peer out; all of it within `longest`.
    pub fn connect(&mut self, to: SocketAddr, data: &[u8], longest: Duration) -> Result<Vec<u8>> {
        let timeout_ms = u64::try_from(self.patience.stretch(longest).as_millis()).unwrap_or(u64::MAX);
        let op = Op::Connect { to, data: data.to_vec(), timeout_ms, limit: READ_LIMIT };
        match self.ask(op, longest + SMALL)? {
            Answer::Content { data, truncated: false } => Ok(data),
            Answer::Content { truncated: true, .. } => {
                Err(Error::OnTheBox(format!("{to} said more than {READ_LIMIT} bytes")))
            }
            other => Err(odd(&format!("connect to {to}"), &other)),
        }
    }

    /// Everything written so far is on the card when this returns.
    pub fn sync(&mut self) -> Result<()> {
        self.ask(Op::Sync, SMALL).map(drop)
    }

    fn send(&mut self, op: Op, before: &str, longest: Duration) -> Result<Pending> {
        self.last_id += 1;
        let request = Request { id: self.last_id, op };
        let mut line = before.to_owned();
        line.push_str(&serde_json::to_string(&request).expect("a request has string keys only"));
        line.push('\n');
        let question: String = line.trim().chars().take(120).collect();
        // A box that is not there yet does not read: the socket takes what fits, then the writer waits.
        let wait = self.patience.stretch(longest);
        let sent =
            self.stream.set_write_timeout(Some(wait)).and_then(|()| self.stream.write_all(line.as_bytes()));
        match sent {
            Ok(()) => Ok(Pending { id: request.id, question }),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Err(Error::Late { what: format!("taking {question}"), allowed: wait, seen: String::new() })
            }
            Err(error) => Err(gone(&question, &error)),
        }
    }

    fn receive(&mut self, pending: &Pending, deadline: &Deadline) -> Result<Outcome> {
        self.wait_for(&pending.question, deadline, |id| id == pending.id)
    }

    fn wait_for(
        &mut self,
        question: &str,
        deadline: &Deadline,
        wanted: impl Fn(u64) -> bool,
    ) -> Result<Outcome> {
        loop {
            while let Some(line) = self.lines.next() {
                match serde_json::from_slice::<Reply>(&line) {
                    Ok(Reply { id: Some(id), outcome }) => drop(self.early.insert(id, outcome)),
                    // Half a line of before a restore, or the answer to one.
                    Ok(Reply { id: None, .. }) | Err(_) => {
                        tracing::debug!(line = %String::from_utf8_lossy(&line), "skipped");
                    }
                }
            }
            let found = self.early.keys().copied().find(|id| wanted(*id));
            if let Some(outcome) = found.and_then(|id| self.early.remove(&id)) {
                return Ok(outcome);
            }
            let late = || Error::Late {
                what: format!("the probe's answer to {}", question),
                allowed: deadline.allowed,
                seen: String::new(),
            };
            if deadline.passed() {
                return Err(late());
            }
            let wait = deadline.remaining().max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(wait)).map_err(|error| gone(question, &error))?;
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(gone(question, &"its port is closed")),
                Ok(length) => self.lines.feed(&buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(late()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(gone(question, &error)),
            }
        }
    }
}

fn odd(question: &str, answer: &Answer) -> Error {
    Error::Answer { question: question.to_owned(), answer: format!("{answer:?}").chars().take(200).collect() }
}

fn gone(question: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Ended {
        status: "the probe's port is gone".into(),
        during: question.to_owned(),
        said: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_probe::work::{Open, carry_out};
    use std::io::{BufRead, BufReader};
    use std::thread;

    /// The real orders over a socket pair, behind `noise` that was on the wire before.
    fn probe_on_this_host(noise: &'static [u8]) -> Probe {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            writer.write_all(noise).unwrap();
            let open = Open::default();
            for line in BufReader::new(theirs).lines().map_while(Result::ok).filter(|line| !line.is_empty()) {
                let reply = match serde_json::from_str::<Request>(&line) {
                    Ok(Request { id, op }) => Reply { id: Some(id), outcome: carry_out(op, &open) },
                    Err(_) => Reply { id: None, outcome: Outcome::Failed("not a request".into()) },
                };
                let mut text = serde_json::to_string(&reply).unwrap();
                text.push('\n');
                if writer.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Probe::new(ours, Patience::default())
    }

    fn soon() -> Deadline {
        Patience::default().deadline(Duration::from_secs(20))
    }

    #[test]
    fn files_and_programs_are_reached_through_the_wire() {
        let mut probe = probe_on_this_host(b"");
        probe.greet(&soon()).unwrap();
        assert_eq!(probe.output(&["echo", "a b"]).unwrap(), "a b\n");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").display().to_string();
        probe.create(&path, b"\0x").unwrap();
        assert_eq!(probe.read(&path).unwrap(), b"\0x");
        assert!(probe.exists(&path).unwrap());
        assert!(!probe.exists("/nonexistent/deeper/f").unwrap());
    }

    #[test]
    fn a_greeting_gets_through_half_lines_of_another_time() {
        let mut probe = probe_on_this_host(
            b"\"half a reply\"}\n{\"id\":null,\"failed\":\"x\"}\n{\"id\":99,\"done\":\"nothing\"}\n",
        );
        probe.greet(&soon()).unwrap();
        probe.stream.write_all(b"{\"id\": 1, \"op\": \"re").unwrap();
        probe.greet(&soon()).unwrap();
        assert_eq!(probe.output(&["echo", "x"]).unwrap(), "x\n");
    }

    #[test]
    fn knocking_at_a_box_that_never_reads_ends_at_the_deadline() {
        let (ours, _silent) = UnixStream::pair().unwrap();
        let mut probe = Probe::new(ours, Patience::default());
        let flood = "x".repeat(4 << 20);
        probe.stream.set_nonblocking(true).unwrap();
        let _ = probe.stream.write_all(flood.as_bytes());
        probe.stream.set_nonblocking(false).unwrap();
        let error = probe.greet(&Patience::default().deadline(Duration::from_millis(10))).unwrap_err();
        assert!(matches!(&error, Error::Late { what, .. } if what.contains("first answer")), "{error}");
    }

    #[test]
    fn an_order_that_failed_says_why_in_the_boxs_words() {
        let mut probe = probe_on_this_host(b"");
        let error = probe.read("/nonexistent").unwrap_err().to_string();
        assert!(error.starts_with("on the box: cannot open /nonexistent"), "{error}");
        let error = probe.output(&["sh", "-c", "echo broken >&2; exit 4"]).unwrap_err().to_string();
        assert!(error.contains("ended with 4: broken"), "{error}");
    }

    #[test]
    fn answers_that_overtake_each_other_find_their_questions() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut probe = Probe::new(ours, Patience::default());
        let (first, second) = (probe.begin(Op::Sync).unwrap(), probe.begin(Op::Ping).unwrap());
        let mut far = theirs;
        far.write_all(b"{\"id\":2,\"done\":{\"here\":{\"pid\":5}}}\n{\"id\":1,\"done\":\"nothing\"}\n")
            .unwrap();
        assert_eq!(probe.finish(first, SMALL).unwrap(), Answer::Nothing);
        assert_eq!(probe.finish(second, SMALL).unwrap(), Answer::Here { pid: 5 });
    }

    #[test]
    fn a_port_that_closes_is_not_waited_for() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut probe = Probe::new(ours, Patience::default());
        assert!(matches!(probe.read("/x"), Err(Error::Ended { .. })));
    }
}
