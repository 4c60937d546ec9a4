//! An emulator that others wrote, as a process on loopback; it ends with its value.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running emulator.
pub struct Emulator {
    pub address: SocketAddr,
    process: Child,
}

impl Emulator {
    /// ministack, whose program is at `path`.
    pub fn ministack(path: &Path) -> Self {
        let address = free();
        let mut command = Command::new(path);
        // Without BIND_HOST it listens on every address of the machine.
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", address.port().to_string());
        Self::start(command, address)
    }

    /// moto's server, whose program is at `path`.
    pub fn moto(path: &Path) -> Self {
        let address = free();
        let mut command = Command::new(path);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        Self::start(command, address)
    }

    /// Puts an object, or makes a bucket.
    pub fn put(&self, path: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn start(mut command: Command, address: SocketAddr) -> Self {
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let emulator = Self { address, process };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the emulator does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        emulator
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
