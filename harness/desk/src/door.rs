//! People before the box: with OpenSSH's own client and keys of their own, at the SFTP door.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Error, Result};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Brings files.
    Drop,
    /// Fetches results.
    Collect,
}

impl Account {
    fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Collect => "collect",
        }
    }
}

/// The port of the door on the box, and on the desk.
pub const PORT: u16 = 22;

/// A key, and a folder for what is brought and fetched.
#[derive(Debug)]
pub struct Door {
    folder: PathBuf,
    public: String,
}

/// A call at the door that is under way.
#[derive(Debug)]
pub struct Call {
    client: Child,
    log: PathBuf,
}

impl Door {
    /// Makes a new key in `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        let key = folder.join("key");
        let public = folder.join("key.pub");
        for old in [&key, &public, &folder.join("known_hosts")] {
            match fs::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", old)(error));
                }
                _ => {}
            }
        }
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "desk", "-f"])
            .arg(&key)
            .stdin(Stdio::null())
            .status()
            .map_err(Error::file("start", "ssh-keygen (Debian's package openssh-client)"))?;
        if !made.success() {
            return Err(Error::Call { call: "ssh-keygen", why: made.to_string() });
        }
        let public = fs::read_to_string(&public).map_err(Error::file("read", &public))?;
        Ok(Self { folder: folder.to_owned(), public: public.trim().to_owned() })
    }

    /// The key's public half, as it goes onto the card.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// A file of the person's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Has OpenSSH's client carry these commands out; nothing waits for it.
    pub fn call(&self, account: Account, commands: &str) -> Result<Call> {
        let (batch, log) = (self.path("batch"), self.path("log"));
        fs::write(&batch, commands).map_err(Error::file("write", &batch))?;
        let file = File::create(&log).map_err(Error::file("write", &log))?;
        let copy = file.try_clone().map_err(Error::file("write", &log))?;
        let option = |name: &str, path: PathBuf| format!("{name}={}", path.display());
        let client = Command::new("sftp")
            // The desk is a network of its own with one box in it: whose key it is, is no question here.
            .args(["-F", "none", "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=30", "-o"])
            .arg(option("UserKnownHostsFile", self.path("known_hosts")))
            .arg("-i")
            .arg(self.path("key"))
            .arg("-b")
            .arg(&batch)
            .arg(format!("-P{PORT}"))
            .arg(format!("{}@127.0.0.1", account.name()))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .map_err(Error::file("start", "sftp (Debian's package openssh-client)"))?;
        Ok(Call { client, log })
    }
}

impl Call {
    /// Whether it is over, and whether all was done.
    pub fn ended(&mut self) -> Result<Option<bool>> {
        let ended = self.client.try_wait().map_err(Error::file("wait for", "sftp"))?;
        Ok(ended.map(|status| status.success()))
    }

    /// What the client has said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // An error says that it is gone already.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
