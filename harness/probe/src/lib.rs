//! What harness and probe say to each other: one JSON object per line over a virtio port.
//!
//! The harness sends a [`Request`], the probe answers with a [`Reply`] that carries the same `id`. Requests
//! are worked on side by side, so answers may overtake each other. A line that is no request is answered
//! with `id: null`; the harness relies on that after a snapshot was restored, when both ends may hold half
//! a line of another time.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub mod bytes;
pub mod work;

/// The port's name: `/dev/virtio-ports/stayput.probe` on the box.
pub const PORT: &str = "stayput.probe";

/// The longest line either side accepts. A file of this size does not belong on a test's wire.
pub const LINE_LIMIT: usize = 64 * 1024 * 1024;

/// One order to the probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the harness, returned in the reply.
    pub id: u64,
    /// What to do.
    #[serde(flatten)]
    pub op: Op,
}

/// What the probe can do. Everything cleverer is worked out on the harness's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Answers at once; says which process answers.
    Ping,
    /// Runs a program to its end, without a shell (the box has none).
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// Extra environment.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
        /// What it reads on its standard input.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "bytes")]
        stdin: Vec<u8>,
        /// After this many milliseconds the program's process group is killed.
        timeout_ms: u64,
    },
    /// A file's bytes, from the start, at most `limit` of them.
    Read {
        /// The file.
        path: String,
        /// At most this many bytes.
        limit: u64,
    },
    /// Writes a file in place (no rename: sysfs and device nodes are files too).
    Write {
        /// The file.
        path: String,
        /// What to write, in one `write` call if the kernel takes it.
        #[serde(with = "bytes")]
        data: Vec<u8>,
        /// Make the file if it is not there.
        #[serde(default)]
        create: bool,
    },
    /// Every plain file of a directory, with its bytes: one order for a thousand files.
    ReadAll {
        /// The directory.
        path: String,
    },
    /// Makes files in a directory.
    CreateAll {
        /// The directory.
        path: String,
        /// What is to be in it.
        files: Vec<Whole>,
    },
    /// Makes a file that takes so much room, without writing it.
    Allocate {
        /// The file.
        path: String,
        /// How many bytes.
        bytes: u64,
    },
    /// Removes a file.
    Remove {
        /// The file.
        path: String,
    },
    /// How much room there is where a file lies, for those without a privilege.
    Room {
        /// The file.
        path: String,
    },
    /// Puts the clock ahead, or back.
    Turn {
        /// By so many seconds.
        seconds: i64,
    },
    /// The entries of a directory, sorted by name.
    List {
        /// The directory.
        path: String,
    },
    /// Every process that can be seen.
    Processes,
    /// Opens a file (a device, a socket-like file) and keeps it open, so that nothing that arrives is missed.
    Open {
        /// The file.
        path: String,
    },
    /// Waits until the opened file has something to read; answers with what is there.
    Await {
        /// From `Opened`.
        handle: u64,
        /// Wait at most this long.
        timeout_ms: u64,
    },
    /// Closes an opened file.
    Close {
        /// From `Opened`.
        handle: u64,
    },
    /// Opens a TCP connection, says something and hears the peer out, until it closes.
    Connect {
        /// The peer.
        to: SocketAddr,
        /// What to say.
        #[serde(with = "bytes")]
        data: Vec<u8>,
        /// All of it within this many milliseconds.
        timeout_ms: u64,
        /// Hear at most this many bytes.
        limit: u64,
    },
    /// Connects to a Unix socket of packets as a user, and hears one answer to each packet that it sends.
    Packets {
        /// The socket.
        path: String,
        /// The user, and the group of the same number.
        uid: u32,
        /// What to say.
        packets: Vec<Packet>,
        /// Each answer within this many milliseconds.
        timeout_ms: u64,
    },
    /// Writes all dirty pages to the disks.
    Sync,
}

/// A file, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Its name.
    pub name: String,
    /// What is in it.
    #[serde(with = "bytes")]
    pub data: Vec<u8>,
}

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet(#[serde(with = "bytes")] pub Vec<u8>);

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's id; none if the line could not be read as a request.
    pub id: Option<u64>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Done, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done(Answer),
    /// It was not done: one sentence with the path and the system's word for it.
    Failed(String),
}

/// What a finished order yields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To `Ping`.
    Here {
        /// The probe's process id.
        pid: u32,
    },
    /// To `Run`.
    Ran(Ran),
    /// To `Read`, `Await` and `Connect`.
    Content {
        /// The bytes.
        #[serde(with = "bytes")]
        data: Vec<u8>,
        /// There was more than `limit`.
        truncated: bool,
    },
    /// To `List`.
    Entries(Vec<Entry>),
    /// To `ReadAll`.
    Files(Vec<Whole>),
    /// To `Processes`.
    Processes(Vec<Process>),
    /// To `Open`.
    Opened {
        /// For `Await` and `Close`.
        handle: u64,
    },
    /// To `Room`.
    Room {
        /// So many bytes.
        free: u64,
    },
    /// To `Packets`: the answers; fewer than packets when the peer closed the connection.
    Packets(Vec<Packet>),
    /// To `Write`, `CreateAll`, `Allocate`, `Remove`, `Turn`, `Close` and `Sync`.
    Nothing,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// It was killed because its time was up.
    pub timed_out: bool,
    /// All it wrote to standard output.
    #[serde(with = "bytes")]
    pub stdout: Vec<u8>,
    /// All it wrote to standard error.
    #[serde(with = "bytes")]
    pub stderr: Vec<u8>,
}

/// One directory entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// What it is, links not followed.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Bytes, as the file system reports them.
    pub size: u64,
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Other,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its short name (`comm`).
    pub name: String,
    /// Where its program file is; none for a kernel thread.
    pub program: Option<String>,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Resident memory in KiB; none for a kernel thread.
    pub resident_kib: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_flat_object_on_one_line() {
        let request =
            Request { id: 7, op: Op::Write { path: "/a\nb".into(), data: vec![0, 255], create: false } };
        let line = serde_json::to_string(&request).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(line, r#"{"id":7,"op":"write","path":"/a\nb","data":"AP8=","create":false}"#);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    }

    #[test]
    fn replies_of_every_kind_survive_the_wire() {
        let answers = [
            Outcome::Done(Answer::Here { pid: 1 }),
            Outcome::Done(Answer::Nothing),
            Outcome::Done(Answer::Content { data: b"\xff\n".to_vec(), truncated: true }),
            Outcome::Done(Answer::Opened { handle: 3 }),
            Outcome::Done(Answer::Entries(vec![Entry {
                name: "x".into(),
                kind: Kind::File,
                mode: 0o644,
                size: 1,
            }])),
            Outcome::Failed("cannot read /x: no such file".into()),
        ];
        for outcome in answers {
            let reply = Reply { id: Some(1), outcome };
            let line = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply, "{line}");
        }
    }

    #[test]
    fn a_run_without_environment_and_input_need_not_name_them() {
        let request: Request =
            serde_json::from_str(r#"{"id":1,"op":"run","argv":["a"],"timeout_ms":5}"#).unwrap();
        assert_eq!(
            request.op,
            Op::Run { argv: vec!["a".into()], env: BTreeMap::new(), stdin: Vec::new(), timeout_ms: 5 }
        );
    }
}
