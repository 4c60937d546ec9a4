//! `stayput region local`: says where it is, answers, obeys lines, and ends cleanly on Ctrl-C.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

fn command(folder: &std::path::Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stayput"));
    command.args(["region", "local", "--out"]).arg(folder).args(more);
    command
}

struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    said: String,
}

impl Running {
    fn start(folder: &std::path::Path, more: &[&str]) -> Self {
        let mut child = command(folder, &["--region", "eu-west-1", "--address", "10.0.2.2"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { child, out, said: String::new() };
        running.wait_for("Ctrl-C ends it");
        running
    }

    fn wait_for(&mut self, text: &str) {
        let from = self.said.len();
        while !self.said[from..].contains(text) {
            assert!(self.out.read_line(&mut self.said).unwrap() > 0, "it ended: {}", self.said);
        }
    }

    /// Ctrl-C; what it says until it has ended.
    fn interrupt(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        rest
    }

    /// What stands behind a word at the beginning of a line.
    fn value(&self, name: &str) -> &str {
        self.said.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim()
    }
}

#[test]
fn it_says_where_it_is_obeys_lines_and_ends_on_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path(), &[]);
    assert!(running.value("hosts").contains("ssm.eu-west-1.amazonaws.com"), "{}", running.said);
    assert_eq!(running.value("id").len(), 36);
    assert_eq!(running.value("code").len(), 20);
    let authority = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
    TcpStream::connect(running.value("HTTPS")).unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let question =
        b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x03ssm\x09eu-west-1\x09amazonaws\x03com\0\0\x01\0\x01";
    socket.send_to(question, running.value("names")).unwrap();
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply).unwrap();
    assert_eq!(reply[length - 4..length], [10, 0, 2, 2]);

    let mut lines = running.child.stdin.take().unwrap();
    lines.write_all(b"clock 3600\nhelp\n").unwrap();
    running.wait_for("in the region");
    running.wait_for("lost-before");
    // Without a person at it, it goes on.
    drop(lines);
    std::thread::sleep(Duration::from_millis(300));
    TcpStream::connect(running.value("HTTPS")).unwrap();

    let rest = running.interrupt();
    assert!(rest.contains("registrations 0"), "{rest}");
}

#[test]
fn a_region_that_is_none_and_a_port_that_is_taken_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = command(folder.path(), &["--region", "frankfurt"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("frankfurt"), "{wrong:?}");

    let mut running = Running::start(folder.path(), &[]);
    let port = running.value("HTTPS").rsplit_once(':').unwrap().1.to_owned();
    let taken = command(folder.path(), &["--port", &port]).output().unwrap();
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(said.contains("could not listen") && said.contains("choose another"), "{said}");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}

#[test]
fn an_emulator_that_is_not_installed_is_said_with_the_command_for_it() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("image")).unwrap();
    std::fs::write(tree.path().join("image/packages.toml"), "").unwrap();
    let mut asked = command(&tree.path().join("out"), &["--emulator", "--tree"]);
    let missing = asked.arg(tree.path()).output().unwrap();
    assert_eq!(missing.status.code(), Some(7), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("scripts/emulator ministack"), "{missing:?}");
}

#[test]
#[ignore = "needs the emulator: scripts/test image installs it"]
fn the_installed_emulator_is_behind_it_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let emulator = stayput_desk::Emulator::address();
    let running = Running::start(folder.path(), &["--emulator"]);
    assert!(running.value("hosts").contains("sqs.eu-west-1.amazonaws.com"), "{}", running.said);
    TcpStream::connect(emulator).unwrap();
    running.interrupt();
    assert!(TcpStream::connect(emulator).is_err(), "the emulator is still there");

    let _other = TcpListener::bind(emulator).unwrap();
    let taken = command(folder.path(), &["--emulator"]).output().unwrap();
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(said.contains(&format!("--emulator {emulator}")), "{said}");
}
