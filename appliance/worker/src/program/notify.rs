//! Telling the service manager that the mover is at work, over a socket that is made before none can be.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager's ear, if there is one.
#[derive(Debug)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// The one that this process was told of.
    pub fn of_process() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let address = match path.as_bytes().strip_prefix(b"@") {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&path),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address.ok()?).ok()?;
            // A manager that does not listen must not hold the mover up.
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        }))
    }

    /// Orders are taken.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// It is alive.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, what: &str) {
        if let Some(socket) = &self.0 {
            // What is not heard now is said again in a second.
            let _ = socket.send(what.as_bytes());
        }
    }
}
