//! Somebody to talk to outside the box: the test program once more, beside the machine, where slirp leads the
//! box's 10.0.2.2 and fec0::2.

use stayput_harness::{Machine, Result};
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener};
use std::process::{Child, ExitCode, Stdio};
use std::thread;

/// Tells this very program to be the peer, and on which address.
const ROLE: &str = "STAYPUT_TEST_PEER";

/// A peer that listens, until it is dropped.
pub struct Peer {
    child: Child,
    /// Where: on the address that was asked for.
    pub port: u16,
}

impl Peer {
    /// Listens on that address of the machine's namespace. [`play`] answers each line with [`answer`].
    pub fn listen(machine: &Machine, address: IpAddr) -> Result<Self> {
        let me = env::current_exe().expect("a running program has a path");
        let mut child = machine
            .beside(me)?
            .env(ROLE, address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter is where unshare is");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped above"))
            .read_line(&mut line)
            .expect("it says its port");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the peer says no port: {line:?}"));
        Ok(Self { child, port })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // An error says that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the peer makes of a line.
pub fn answer(line: &str) -> String {
    format!("heard {line:?}")
}

/// Plays the peer if this process was started as one; ends with the test that started it.
pub fn play() -> Option<ExitCode> {
    let address: IpAddr = env::var(ROLE).ok()?.parse().expect("`listen` writes an address");
    let listener = TcpListener::bind((address, 0)).expect("loopback is up and port 0 is any free one");
    println!("{}", listener.local_addr().expect("it is bound").port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            // Whoever hangs up in the middle gets no answer.
            if BufReader::new(&stream).read_line(&mut line).is_ok() {
                let _ = (&stream).write_all(answer(line.trim_end()).as_bytes());
            }
        }
    });
    // Until the test lets go of the other end, however it does.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Some(ExitCode::SUCCESS)
}
