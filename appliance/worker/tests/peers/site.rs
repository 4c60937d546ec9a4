//! A box in small: folders, a mover and a courier as processes, a queue behind a proxy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::control::{Control, Depth, Queues};
use crate::emulator::Emulator;
use crate::proxy::Proxy;

/// What every name and body in these tests has in it, and no line that leaves the box may have.
pub const SECRET: &str = "erika";

pub struct Site {
    place: TempDir,
    pub control: Control,
    pub queues: Queues,
    pub proxy: Proxy,
    mover: Option<Child>,
    courier: Option<Child>,
    variables: BTreeMap<String, String>,
}

impl Site {
    /// A site on `emulator` with its own queue; nothing runs yet.
    pub fn new(emulator: &Emulator, name: &str) -> Self {
        Self::with(emulator, name, 10, 4 * 24 * 3600)
    }

    /// The same with the queue's rules.
    pub fn with(emulator: &Emulator, name: &str, receives: u32, retention: u32) -> Self {
        let place = TempDir::new().unwrap();
        for folder in ["source", "destination", "ledger", "health"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        let control = Control::new(emulator.address);
        let queues = control.make(name, receives, retention);
        let proxy = Proxy::start(emulator.address);
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        let uid = rustix::process::getuid().as_raw().to_string();
        let variables = [
            ("SQS_QUEUE_URL", proxy.url(&queues.orders)),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", path("credentials")),
            ("EFS_SOURCE_FOLDER", path("source")),
            ("EFS_DESTINATION_FOLDER", path("destination")),
            ("STAYPUT_LEDGER_FOLDER", path("ledger")),
            ("STAYPUT_SOCKET", path("socket")),
            ("STAYPUT_HEALTH_FOLDER", path("health")),
            ("STAYPUT_COURIER_UID", uid),
            ("STAYPUT_RESERVE_MIB", "0".to_owned()),
            ("STAYPUT_QUIET_SECONDS", "0".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let site = Self { place, control, queues, proxy, mover: None, courier: None, variables };
        site.credentials("first");
        site
    }

    /// Sets a variable of what is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Replaces the credentials as the box does: by a rename.
    pub fn credentials(&self, key: &str) {
        let fresh = self.path("credentials.new");
        let text = format!(
            "[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = t\n"
        );
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.path("credentials")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn start(&mut self) {
        self.start_mover();
        self.start_courier();
    }

    pub fn start_mover(&mut self) {
        self.mover = Some(self.spawn("mover"));
    }

    pub fn start_courier(&mut self) {
        self.courier = Some(self.spawn("courier"));
    }

    /// What a check says, and its exit code.
    pub fn check(&self) -> (String, Option<i32>) {
        let output = self.command("check").output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }

    /// What a one-shot job says, and its exit code.
    pub fn fetch(&self, emulator: &Emulator, bucket: &str, key: &str) -> (String, Option<i32>) {
        let mut command = self.command("fetch");
        command.env("BUCKET_NAME", bucket).env("FILE_KEY", key);
        let output =
            command.env("AWS_ENDPOINT_URL_S3", format!("http://{}", emulator.address)).output().unwrap();
        (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code())
    }

    /// Lets the dead-letter queue keep messages for as long as any can.
    pub fn long_aside(&self) {
        self.control.keep(&self.queues.aside, 14 * 24 * 3600);
    }

    fn spawn(&self, half: &str) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path(half).with_extension("log"))
            .unwrap();
        self.command(half).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn command(&self, job: &str) -> Command {
        // Another build of the worker, such as an optimised one, can be tried as well.
        let worker = program("STAYPUT_WORKER").unwrap_or_else(|| env!("CARGO_BIN_EXE_stayput-worker").into());
        let mut command = Command::new(worker);
        command.arg(job).env_clear().envs(&self.variables).stdin(Stdio::null());
        command
    }

    /// Puts files into the source folder; what is in them names them.
    pub fn files(&self, names: impl IntoIterator<Item = String>) {
        for name in names {
            fs::write(self.path("source").join(&name), content(&name)).unwrap();
        }
    }

    /// Files and their orders, numbered within `range`.
    pub fn work(&self, range: std::ops::Range<usize>) {
        self.files(range.clone().map(name));
        self.control.send(&self.queues.orders, range.map(name));
    }

    pub fn moved(&self) -> usize {
        fs::read_dir(self.path("destination")).unwrap().count()
    }

    pub fn waiting(&self) -> usize {
        fs::read_dir(self.path("source")).unwrap().count()
    }

    pub fn depth(&self) -> Depth {
        self.control.depth(&self.queues.orders)
    }

    pub fn signal(&self, half: &str, signal: Signal) {
        let child = if half == "mover" { &self.mover } else { &self.courier };
        kill_process(Pid::from_child(child.as_ref().unwrap()), signal).unwrap();
    }

    pub fn kill(&mut self, half: &str) {
        let child = if half == "mover" { self.mover.take() } else { self.courier.take() };
        let mut child = child.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells the courier to stop: how long it took, and its exit code.
    pub fn stop_courier(&mut self) -> (Duration, Option<i32>) {
        self.signal("courier", Signal::TERM);
        let started = Instant::now();
        let status = self.courier.take().unwrap().wait().unwrap();
        (started.elapsed(), status.code())
    }

    /// A counter of the courier's health file.
    pub fn counter(&self, name: &str) -> u64 {
        let Ok(text) = fs::read(self.path("health/courier.json")) else { return 0 };
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        json["counters"][name].as_u64().unwrap_or(0)
    }

    /// The code in the courier's health file.
    pub fn code(&self) -> String {
        let Ok(text) = fs::read(self.path("health/courier.json")) else { return String::new() };
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        json["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The courier's peak memory in KiB.
    pub fn peak(&self) -> u64 {
        let status = format!("/proc/{}/status", self.courier.as_ref().unwrap().id());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until `done`, and says what there was when it is not.
    pub fn until(&self, what: &str, seconds: u64, done: impl Fn(&Self) -> bool) {
        let patience: u64 =
            std::env::var("STAYPUT_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        let deadline = Instant::now() + Duration::from_secs(seconds * patience);
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "not {what} after {seconds} s: {} moved, {} in the source, {:?}, code {}, log:\n{}",
                self.moved(),
                self.waiting(),
                self.depth(),
                self.code(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until `count` files are moved and no message of the queue is left.
    pub fn until_done(&self, count: usize, seconds: u64) {
        self.until("done", seconds, |site| {
            site.moved() == count && site.depth() == Depth { visible: 0, hidden: 0 }
        });
        self.check_files(count);
    }

    /// Every moved file has its own bytes, and what is not moved is where it was.
    pub fn check_files(&self, all: usize) {
        let moved = fs::read_dir(self.path("destination")).unwrap();
        for entry in moved {
            let path = entry.unwrap().path();
            let moved = path.file_name().unwrap().to_str().unwrap().to_owned();
            let name = moved.strip_suffix("_has_been_processed").unwrap();
            assert_eq!(fs::read(&path).unwrap(), content(name), "{moved}");
            assert!(!self.path("source").join(name).exists(), "{name} is in both places");
        }
        assert_eq!(self.moved() + self.waiting(), all);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("courier.log")).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in [&mut self.courier, &mut self.mover].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains(SECRET), "a name is in the log:\n{log}");
            assert!(log.lines().all(|line| line.len() < 400), "a line is too long to be one of ours:\n{log}");
        }
    }
}

/// The name of the `number`th file.
pub fn name(number: usize) -> String {
    format!("{SECRET}-{number}.pdf")
}

/// What is in a file of this name.
pub fn content(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(1 + name.len() * 7 % 3000).collect()
}

/// Whether `path` is a program that is there.
pub fn program(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| Path::new(path).is_file())
}
