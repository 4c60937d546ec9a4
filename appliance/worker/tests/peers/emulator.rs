//! An emulator that others wrote, as a process on loopback; it ends with its value.

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
