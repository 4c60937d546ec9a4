//! The emulator behind the region's front door: ministack, which others wrote (docs/region.md), as a process of the desk's.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stayput_harness::Patience;
use stayput_region::http::{Request, response, write_request};

use crate::{Error, Result};

/// Its usual port; the desk's network has nobody else on it.
const PORT: u16 = 4566;
/// A Python program that loads many modules.
const APPEAR: Duration = Duration::from_secs(60);

/// It answers at once, or not at all.
const ANSWER: Duration = Duration::from_secs(60);

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

/// What is asked of the emulator, past the region's front door, as an application in the region would.
pub(crate) struct Asked<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub method: &'a str,
    pub target: &'a str,
}

/// The body of a good answer. `call` is what an error calls it.
pub(crate) fn ask(
    call: &'static str,
    asked: &Asked<'_>,
    headers: &[(&str, String)],
    body: Vec<u8>,
) -> Result<Vec<u8>> {
    let failed = |why: String| Error::Call { call, why };
    // The emulator looks at region and service in it, and at nothing else.
    let who = format!("Credential=desk/20200101/{}/{}/aws4_request", asked.region, asked.service);
    let own = [
        ("host", Emulator::address().to_string()),
        ("authorization", format!("AWS4-HMAC-SHA256 {who}, SignedHeaders=host, Signature=0")),
    ];
    let headers = own.iter().chain(headers);
    let request = Request {
        method: asked.method.to_owned(),
        target: asked.target.to_owned(),
        headers: headers.map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        body,
    };
    let reply = (|| -> std::io::Result<_> {
        let mut stream = TcpStream::connect(Emulator::address())?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(&write_request(&request))?;
        Ok(response(&mut BufReader::new(stream), asked.method))
    })();
    let reply = reply.map_err(|error| failed(error.to_string()))?;
    let reply = reply.map_err(|flaw| failed(format!("{flaw:?}")))?;
    if reply.status == 200 {
        return Ok(reply.body);
    }
    Err(failed(format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))))
}
