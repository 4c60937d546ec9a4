//! Where a mover works and by which rules: its folders, its socket, its courier, as the variables say.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::disk::{Linux, LinuxFolder};
use crate::server::Peer;
use crate::variables::{self, Variable, Variables};
use crate::{Error, Result, Settings, Subfolders, Suffix};

/// A mover's place and rules.
#[derive(Debug, Clone)]
pub struct Station {
    /// Where files wait.
    pub source: PathBuf,
    /// Where they go.
    pub destination: PathBuf,
    /// Where the log is.
    pub ledger: PathBuf,
    /// Where the socket is.
    pub socket: PathBuf,
    /// Where the health file goes.
    pub health: PathBuf,
    /// Who may give orders.
    pub peer: Peer,
    /// The rules.
    pub settings: Settings,
}

impl Station {
    /// Reads the variables.
    pub fn read(variables: &Variables) -> Result<Self> {
        let path = |variable: &Variable, default: &str| {
            PathBuf::from(variables.get(variable).unwrap_or(OsStr::new(default)))
        };
        let number = |variable| variables.parse(variable, |text| text.parse::<u64>().ok());
        let source = path(&variables::SOURCE, "/data/source");
        let ledger = match variables.get(&variables::LEDGER) {
            Some(ledger) => PathBuf::from(ledger),
            None => source.parent().unwrap_or(Path::new("/")).join("ledger"),
        };
        let suffix = match variables.get_even_empty(&variables::SUFFIX) {
            Some(suffix) => Suffix::new(suffix.as_bytes()).map_err(|_| wrong(&variables::SUFFIX))?,
            None => Suffix::default(),
        };
        let rule = |text: &str| Subfolders::ALL.iter().find(|(word, _)| *word == text).map(|(_, rule)| *rule);
        let switch = |text: &str| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let usual = Settings::default();
        let mib = |mib: u64| mib.saturating_mul(1024 * 1024);
        let uid = variables.parse(&variables::COURIER_UID, |text| text.parse::<u32>().ok())?;
        Ok(Self {
            destination: path(&variables::DESTINATION, "/data/destination"),
            socket: path(&variables::SOCKET, variables::SOCKET.default),
            health: path(&variables::HEALTH, stayput_health::DIRECTORY),
            peer: Peer { uid: uid.unwrap_or(COURIER) },
            settings: Settings {
                suffix,
                subfolders: variables.parse(&variables::SUBFOLDERS, rule)?.unwrap_or(usual.subfolders),
                leases: variables.parse(&variables::LEASES, switch)?.unwrap_or(usual.leases),
                quiet: number(&variables::QUIET)?.map_or(usual.quiet, Duration::from_secs),
                reserve: number(&variables::RESERVE)?.map_or(usual.reserve, mib),
                largest: number(&variables::LARGEST)?.map_or(usual.largest, mib),
                ..usual
            },
            source,
            ledger,
        })
    }

    /// Makes the folders that are not there, as the original does, for this user or for `owner`.
    pub fn make_folders(&self, owner: Option<u32>) -> Result<()> {
        for (path, mode) in [(&self.source, 0o755), (&self.destination, 0o755), (&self.ledger, 0o700)] {
            let made = std::fs::DirBuilder::new().mode(mode).create(path);
            match made.and_then(|()| owner.map_or(Ok(()), |uid| chown(path, Some(uid), Some(uid)))) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::NoFolder { path: path.clone(), source }),
            }
        }
        Ok(())
    }

    /// Source, destination and the log's folder, open.
    pub fn folders(&self) -> Result<[LinuxFolder; 3]> {
        Ok([Linux.folder(&self.source)?, Linux.folder(&self.destination)?, Linux.folder(&self.ledger)?])
    }

    /// The listener: the one that was handed over as standard input, or one of its own at the socket's path.
    pub fn listener(&self) -> Result<OwnedFd> {
        let failed = |action| move |source| Error::Socket { action, source };
        let input = rustix::stdio::stdin();
        if rustix::net::sockopt::socket_acceptconn(input) == Ok(true)
            && rustix::net::sockopt::socket_type(input) == Ok(SocketType::SEQPACKET)
        {
            return rustix::io::fcntl_dupfd_cloexec(input, 3).map_err(failed("take over"));
        }
        bind(&self.socket)
    }
}

/// The courier's account in the image (image/rootfs.toml).
pub const COURIER: u32 = 801;

/// The mover's.
pub const MOVER: u32 = 802;

/// A listening socket at `path`, in the place of one that nobody answers at.
pub fn bind(path: &Path) -> Result<OwnedFd> {
    let failed = |action| move |source| Error::Socket { action, source };
    let address = SocketAddrUnix::new(path).map_err(failed("name"))?;
    let new = || {
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(failed("make"))
    };
    let listener = new()?;
    match rustix::net::bind(&listener, &address) {
        Ok(()) => {}
        Err(Errno::ADDRINUSE) => {
            if rustix::net::connect(new()?, &address) != Err(Errno::CONNREFUSED) {
                return Err(Error::SocketTaken { path: path.to_owned() });
            }
            rustix::fs::unlink(path).map_err(failed("remove the old"))?;
            rustix::net::bind(&listener, &address).map_err(failed("bind"))?;
        }
        Err(source) => return Err(Error::Socket { action: "bind", source }),
    }
    // Who may speak is decided by the user that connects, not by the file: the courier is another user.
    rustix::fs::chmod(path, Mode::from_raw_mode(0o666)).map_err(failed("open up"))?;
    rustix::net::listen(listener.as_fd(), 4).map_err(failed("listen on"))?;
    Ok(listener)
}

fn wrong(variable: &'static Variable) -> Error {
    Error::Variable { name: variable.name, form: variable.form }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_variable_it_is_the_boxs_own_station() {
        let station = Station::read(&Variables::default()).unwrap();
        assert_eq!(station.source, Path::new("/data/source"));
        assert_eq!(station.destination, Path::new("/data/destination"));
        assert_eq!(station.ledger, Path::new("/data/ledger"));
        assert_eq!(station.peer, Peer { uid: 801 });
        assert_eq!(station.settings.suffix, Suffix::default());
    }

    #[test]
    fn the_originals_folders_end_in_a_slash_and_the_ledger_lies_beside_them() {
        let variables = Variables::with([(&variables::SOURCE, OsStr::new("/data/sourcefolder/"))]);
        assert_eq!(Station::read(&variables).unwrap().ledger, Path::new("/data/ledger"));
    }

    #[test]
    fn each_setting_that_is_none_is_named() {
        let table = [
            (&variables::SUFFIX, "/x"),
            (&variables::SUBFOLDERS, "flat"),
            (&variables::LEASES, "yes"),
            (&variables::QUIET, "2s"),
            (&variables::RESERVE, "-1"),
            (&variables::LARGEST, "1e3"),
            (&variables::COURIER_UID, "courier"),
        ];
        for (variable, value) in table {
            let error = Station::read(&Variables::with([(variable, OsStr::new(value))])).unwrap_err();
            assert!(error.to_string().contains(variable.name), "{error}");
        }
    }
}
