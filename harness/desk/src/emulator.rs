//! The emulator behind the region's front door: ministack, which others wrote (docs/region.md), as a process of the desk's.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stayput_harness::Patience;

use crate::{Error, Result};

/// Its usual port; the desk's network has nobody else on it.
const PORT: u16 = 4566;
/// A Python program that loads many modules.
const APPEAR: Duration = Duration::from_secs(60);

/// A running emulator. It ends with its value, and with whoever made it.
#[derive(Debug)]
pub struct Emulator {
    program: PathBuf,
    log: PathBuf,
    process: Child,
}

impl Emulator {
    /// Starts `program`; what it says goes to `log`. It does not listen yet: see [`Emulator::wait`].
    pub fn start(program: &Path, log: &Path) -> Result<Self> {
        let file = File::create(log).map_err(Error::file("write", log))?;
        let copy = file.try_clone().map_err(Error::file("write", log))?;
        // Without BIND_HOST it listens on every address. The kernel ends it with us.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .env("BIND_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("GATEWAY_PORT", PORT.to_string())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .map_err(Error::file("start", program))?;
        Ok(Self { program: program.to_owned(), log: log.to_owned(), process })
    }

    /// Where it listens.
    pub fn address() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, PORT).into()
    }

    /// Waits until it listens.
    pub fn wait(&mut self, patience: Patience) -> Result<()> {
        let deadline = patience.deadline(APPEAR);
        let up = deadline.poll(|| match self.process.try_wait() {
            Ok(Some(_)) | Err(_) => Err(()),
            Ok(None) => Ok(TcpStream::connect(Self::address()).is_ok().then_some(())),
        });
        match up {
            Ok(Some(())) => Ok(()),
            Ok(None) | Err(()) => {
                Err(Error::Emulator { program: self.program.clone(), log: self.log.clone() })
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // An error says that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
