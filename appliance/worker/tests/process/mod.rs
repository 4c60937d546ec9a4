//! A mover as a process of its own, confined as on the box, in folders of a test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stayput_worker::client::Client;
use stayput_worker::{Naming, Order, OrderKey};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folders of a mover.
pub struct Place {
    dir: TempDir,
    destination: PathBuf,
}

#[allow(dead_code, reason = "each test program uses its own part of this")]
impl Place {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let destination = dir.path().join("destination");
        Self::with(dir, destination)
    }

    /// In memory, where there is a place for that: a kill loses nothing that was written, so a disk would add only time.
    pub fn in_memory() -> Self {
        let dir = TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap());
        let destination = dir.path().join("destination");
        Self::with(dir, destination)
    }

    /// With the destination somewhere else.
    pub fn with(dir: TempDir, destination: PathBuf) -> Self {
        std::fs::create_dir(dir.path().join("source")).unwrap();
        std::fs::create_dir(dir.path().join("health")).unwrap();
        Self { dir, destination }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn source(&self, name: &str) -> PathBuf {
        self.path("source").join(name)
    }

    pub fn destination(&self, name: &str) -> PathBuf {
        self.destination.join(name)
    }

    /// The worker's program with this place's variables.
    pub fn command(&self, job: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stayput-worker"));
        let me = rustix::process::getuid().as_raw().to_string();
        command
            .arg(job)
            .env("EFS_SOURCE_FOLDER", self.path("source"))
            .env("EFS_DESTINATION_FOLDER", &self.destination)
            .env("STAYPUT_HEALTH_FOLDER", self.path("health"))
            .env("STAYPUT_SOCKET", self.path("socket"))
            .env("STAYPUT_COURIER_UID", me)
            .env("STAYPUT_RESERVE_MIB", "0")
            .stdin(Stdio::null());
        command
    }

    pub fn start(&self) -> Running {
        self.start_with([])
    }

    pub fn start_with<'a>(&self, variables: impl IntoIterator<Item = (&'a str, &'a OsStr)>) -> Running {
        let child = self.command("mover").envs(variables).spawn().unwrap();
        Running { child }
    }

    /// Connects, once somebody listens.
    pub fn client(&self) -> Client {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Client::connect(&self.path("socket"), PATIENCE) {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn health(&self) -> String {
        std::fs::read_to_string(self.path("health/mover.json")).unwrap_or_default()
    }
}

/// A mover's process; killed when it is dropped.
pub struct Running {
    pub child: Child,
}

#[allow(dead_code, reason = "each test program uses its own part of this")]
impl Running {
    pub fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(dead_code, reason = "each test program uses its own part of this")]
pub fn order(key: &str, name: &str) -> Order {
    let key = OrderKey::new(key.as_bytes()).unwrap();
    Order { key, naming: Naming::Suffixed, name: name.as_bytes().to_vec() }
}
