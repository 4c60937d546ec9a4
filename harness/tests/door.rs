//! The SFTP door, called as a person calls it: with OpenSSH's own clients, from beside the machine.

mod stage;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use stage::settings::{card, put};
use stayput_harness::{Error, Machine, Options, Probe, Result};
use stayput_health::{Code, Part, State};

fn main() -> ExitCode {
    stage::run_alone(&[
        ("without_a_key_nothing_listens_and_from_elsewhere_nobody_gets_through", closed),
        ("a_person_adds_files_and_another_collects_results_and_neither_can_do_more", open),
    ])
}

const COURIER: u32 = 801;
const SOCKET: &str = "/run/stayput-mover/socket";
const DOOR: &str = "stayput-door.socket";
const KEY: &str = "/run/stayput/door/key";

/// How long a client may take on an emulated processor.
const CALL: Duration = Duration::from_secs(240);

const SETTINGS: &str = r#"version = 1

[device]
name = "box-7"

[activation]
region = "eu-central-1"
id = "01234567-89ab-cdef-0123-456789abcdef"
code = "EXAMPLE/CodeOf20Char"

[worker]
runtime = "host"
queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"
source = "/data/in/files"
"#;

fn virt() -> Options {
    Options { forwards: vec![22], ..stage::virt() }
}

/// The desk of the people outside: their keys, and what they have been shown of the box's.
struct Desk {
    folder: tempfile::TempDir,
}

/// What a client has said, and whether it was content.
#[derive(Debug)]
struct Said {
    good: bool,
    text: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder for keys");
        let desk = Self { folder };
        for who in ["drop", "collect", "stranger"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", who, "-f"])
                .arg(desk.path(who))
                .status();
            assert!(made.expect("ssh-keygen of openssh-client").success());
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("the desk's own folder");
        path
    }

    fn public(&self, who: &str) -> String {
        fs::read_to_string(self.path(&format!("{who}.pub"))).expect("a key").trim().to_owned()
    }

    /// What a person does who compares the key on the screen with the box's.
    fn knows(&self, line: &str) {
        self.write("known_hosts", format!("127.0.0.1 {line}\n").as_bytes());
    }

    /// A client with somebody's key, for an account.
    fn client(&self, machine: &Machine, program: &str, key: &str) -> Result<Command> {
        let mut command = machine.beside(program)?;
        let file = |name: &str| self.path(name).display().to_string();
        command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        command.args(["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=60"]);
        command.args(["-o", &format!("UserKnownHostsFile={}", file("known_hosts"))]);
        command.args(["-i", &file(key)]).current_dir(self.folder.path());
        Ok(command)
    }

    /// Everything that a client says before it ends.
    fn heard(&self, mut command: Command) -> Said {
        let log = fs::File::create(self.path("log")).expect("the desk's own folder");
        let copy = log.try_clone().expect("a second descriptor");
        let mut client =
            UnderWay(command.stdin(Stdio::null()).stdout(log).stderr(copy).spawn().expect("openssh-client"));
        let end = Instant::now() + CALL;
        let status = loop {
            match client.0.try_wait().expect("a child of ours") {
                None if Instant::now() > end => break None,
                None => std::thread::sleep(Duration::from_millis(100)),
                ended => break ended,
            }
        };
        drop(client);
        let text = String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned();
        Said { good: status.is_some_and(|status| status.success()), text }
    }

    /// Stock sftp with a list of commands; it stops at the first that fails, but for those after a `-`.
    fn sftp(&self, machine: &Machine, who: &str, commands: &str) -> Result<Said> {
        let batch = self.write("batch", commands.as_bytes());
        let mut command = self.client(machine, "sftp", who)?;
        command.arg("-b").arg(batch).arg(format!("{who}@127.0.0.1"));
        Ok(self.heard(command))
    }

    fn ssh(&self, machine: &Machine, key: &str, arguments: &[&str]) -> Result<Said> {
        let mut command = self.client(machine, "ssh", key)?;
        command.args(arguments);
        Ok(self.heard(command))
    }
}

fn settings(desk: &Desk, more: &str) -> String {
    let (drop, collect) = (desk.public("drop"), desk.public("collect"));
    format!("{SETTINGS}\n[drop]\nkeys = [\"{drop}\"]\ncollect_keys = [\"{collect}\"]\n{more}")
}

/// What the door has said, for a test that failed.
fn log(probe: &mut Probe) -> String {
    let arguments = ["journalctl", "--no-pager", "--lines=60", "--output=cat", "--unit", "stayput-door*"];
    probe.output(&arguments).unwrap_or_else(|error| error.to_string())
}

fn active(probe: &mut Probe, unit: &str) -> Result<String> {
    Ok(probe.properties(Some(unit), &["ActiveState"])?["ActiveState"].clone())
}

fn listens(probe: &mut Probe) -> Result<bool> {
    Ok(probe.sockets()?.iter().any(|socket| socket.is_open() && socket.port == 22))
}

fn callers(probe: &mut Probe) -> Result<usize> {
    let processes = probe.processes()?;
    Ok(processes
        .iter()
        .filter(|it| it.name.starts_with("sshd") || it.name.starts_with("stayput-door"))
        .count())
}

/// Up, and with the address that callers are led to.
fn start(machine: &mut Machine) -> Result<()> {
    stage::assert_running(machine)?;
    let deadline = machine.deadline(Duration::from_secs(90));
    let probe = machine.probe()?;
    let found = deadline.poll(|| {
        let routes = probe.text("/proc/net/fib_trie")?;
        Ok::<_, Error>(routes.contains("10.0.2.15").then_some(()))
    })?;
    assert!(found.is_some(), "DHCP gave no address");
    Ok(())
}

fn closed() -> Result<()> {
    let desk = Desk::new();
    let card = card(desk.folder.path())?;
    put(&card, Some(SETTINGS))?;
    let mut machine = Machine::start(virt().with_card(card.path()))?;
    start(&mut machine)?;
    let probe = machine.probe()?;
    assert_eq!(active(probe, DOOR)?, "inactive");
    assert!(!listens(probe)?);
    assert!(!probe.exists(KEY)? && !probe.exists("/var/lib/stayput/door/host")?);
    assert_eq!(callers(probe)?, 0);
    let rules = probe.output(&["nft", "list", "chain", "inet", "stayput", "input"])?;
    assert!(!rules.contains("dport 22") && !rules.contains("dport ssh"), "{rules}");

    // A door for another network than the caller's: it is there, and the firewall does not let him through.
    machine.power_cut();
    put(&card, Some(&settings(&desk, "from = [\"192.0.2.0/24\", \"192.0.2.0/25\"]\n")))?;
    machine.power_on()?;
    start(&mut machine)?;
    let probe = machine.probe()?;
    assert_eq!(active(probe, DOOR)?, "active");
    assert!(listens(probe)?);
    desk.knows(probe.text(KEY)?.lines().nth(1).unwrap_or_default());
    let said = desk.ssh(&machine, "drop", &["-o", "ConnectTimeout=20", "drop@127.0.0.1", "x"])?;
    assert!(!said.good && !said.text.contains("Permission denied"), "{said:?}");
    assert_eq!(callers(machine.probe()?)?, 0);
    Ok(())
}

fn open() -> Result<()> {
    let desk = Desk::new();
    let card = card(desk.folder.path())?;
    put(&card, Some(&settings(&desk, "")))?;
    let mut machine = Machine::start(virt().with_card(card.path()))?;
    start(&mut machine)?;
    assert_nothing_runs_yet(&mut machine, &desk)?;
    // The mover hears one courier; this test is it.
    machine.probe()?.output(&["systemctl", "stop", "stayput-courier.service"])?;
    let before = machine.probe()?.memory()?.used_kib();
    adds_and_collects(&mut machine, &desk)?;
    println!(
        "memory in use: {before} KiB before the first caller, {} after",
        machine.probe()?.memory()?.used_kib()
    );
    drop_can_only_add(&mut machine, &desk)?;
    collect_can_only_take(&mut machine, &desk)?;
    nobody_gets_more_than_files(&machine, &desk)?;
    broken_off(&mut machine, &desk)?;
    assert_no_caller_is_left(&mut machine)?;
    stage::assert_running(&mut machine)?;

    // The box is the same one after its power was gone.
    let key = machine.probe()?.text(KEY)?;
    machine.power_cut();
    machine.power_on()?;
    start(&mut machine)?;
    assert_eq!(machine.probe()?.text(KEY)?, key);
    desk.write("b.csv", b"after the cut");
    let said = desk.sftp(&machine, "drop", "put b.csv after.csv\n")?;
    assert!(said.good, "{said:?}");
    Ok(())
}

fn assert_nothing_runs_yet(machine: &mut Machine, desk: &Desk) -> Result<()> {
    let probe = machine.probe()?;
    assert_eq!(active(probe, DOOR)?, "active");
    assert!(listens(probe)?);
    assert_eq!(callers(probe)?, 0);
    let path = format!("{}/{}", stayput_health::DIRECTORY, Part::Drop.file_name());
    let report = stayput_health::parse(&probe.read(&path)?, &path).expect("word of the door");
    assert_eq!((report.state, report.code), (State::Done, Code::Running));
    let key = probe.text(KEY)?;
    let mut lines = key.lines();
    let (fingerprint, line) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    // What a client will show is what the box says of itself.
    desk.knows(line);
    let shown = Command::new("ssh-keygen").arg("-lf").arg(desk.path("known_hosts")).output();
    let shown = String::from_utf8(shown.expect("ssh-keygen of openssh-client").stdout).expect("its own text");
    assert!(shown.contains(fingerprint), "{shown} is not {fingerprint}");
    let secret = probe.list("/var/lib/stayput/door")?;
    assert!(secret.iter().all(|entry| entry.mode & 0o777 == 0o600), "{secret:?}");
    // The networks that the box is in, as networkd has put them there.
    let set = probe.output(&["nft", "list", "set", "inet", "stayput", "here"])?;
    assert!(set.contains("10.0.2.0/24"), "{set}");
    Ok(())
}

/// An order as the courier hands it over (docs/worker.md), and the mover's outcome.
fn order(probe: &mut Probe, key: &str, name: &str) -> Result<u8> {
    let mut body = vec![9, 0, 0, 0, 1, 0, key.len() as u8];
    body.extend_from_slice(key.as_bytes());
    body.extend_from_slice(&(name.len() as u16).to_le_bytes());
    body.extend_from_slice(name.as_bytes());
    let length = (body.len() as u16).to_le_bytes();
    let order = [&[1, 2, length[0], length[1]][..], &body].concat();
    let answers = probe.packets(SOCKET, COURIER, &[&[1, 1, 0, 0], &order])?;
    Ok(*answers.last().and_then(|answer| answer.last()).expect("an outcome"))
}

const DONE: u8 = 1;
const WAITING: u8 = 3;

fn adds_and_collects(machine: &mut Machine, desk: &Desk) -> Result<()> {
    let content: Vec<u8> = (0..300_000_u32).map(|i| (i / 7) as u8).collect();
    desk.write("a.csv", &content);
    // As stock sftp does it, with time and permissions; as WinSCP does it, under a name of its own.
    let said = desk.sftp(
        machine,
        "drop",
        "pwd\nput -p a.csv\nput a.csv b.csv.filepart\nrename b.csv.filepart b.csv\nls\n",
    )?;
    assert!(
        said.good && said.text.contains("Remote working directory: /"),
        "{said:?}\n{}",
        log(machine.probe()?)
    );
    assert!(said.text.contains("a.csv") && said.text.contains("b.csv"), "{said:?}");
    let probe = machine.probe()?;
    for name in ["a.csv", "b.csv"] {
        assert_eq!(probe.read(&format!("/data/in/files/{name}"))?, content, "{name}");
        assert_eq!(order(probe, name, name)?, DONE, "{name}");
        assert_eq!(probe.read(&format!("/data/destination/{name}_has_been_processed"))?, content);
    }
    let commands =
        "ls\nget a.csv_has_been_processed\nget b.csv_has_been_processed\nrm a.csv_has_been_processed\n";
    let said = desk.sftp(machine, "collect", commands)?;
    assert!(said.good && said.text.contains("b.csv_has_been_processed"), "{said:?}");
    for name in ["a.csv", "b.csv"] {
        let got = fs::read(desk.path(&format!("{name}_has_been_processed"))).expect("it was fetched");
        assert_eq!(got, content, "{name}");
    }
    let left: Vec<_> =
        machine.probe()?.list("/data/destination")?.into_iter().map(|entry| entry.name).collect();
    assert_eq!(left, ["b.csv_has_been_processed"]);
    Ok(())
}

fn drop_can_only_add(machine: &mut Machine, desk: &Desk) -> Result<()> {
    let probe = machine.probe()?;
    probe.create("/data/in/files/theirs.csv", b"personal")?;
    desk.write("mine.csv", b"mine");
    let said = desk.sftp(machine, "drop", "put mine.csv\nls -la\n")?;
    assert!(said.good && said.text.contains("mine.csv") && !said.text.contains("theirs.csv"), "{said:?}");
    // In a later call it is somebody else's, too. Every one of these must fail.
    for forbidden in [
        "get theirs.csv",
        "get mine.csv",
        "put mine.csv theirs.csv",
        "put mine.csv",
        "reput mine.csv theirs.csv",
        "rm theirs.csv",
        "rename theirs.csv x.csv",
        "rename mine.csv theirs.csv",
        "ln theirs.csv x.csv",
        "symlink / x",
        "chmod 777 theirs.csv",
        "mkdir x",
        "rmdir /",
        "cd /etc",
        "cd ..\nget etc/passwd",
        "ls /data",
        "get ../../etc/passwd",
        "put mine.csv ../destination/x.csv",
        "put mine.csv /x/y.csv",
        "put mine.csv .stayput-0.part",
    ] {
        let said = desk.sftp(machine, "drop", &format!("{forbidden}\n"))?;
        assert!(!said.good, "{forbidden}: {said:?}");
        assert!(
            !said.text.contains("root:") && !said.text.contains("onnection closed"),
            "{forbidden}: {said:?}"
        );
    }
    let probe = machine.probe()?;
    assert_eq!(probe.read("/data/in/files/theirs.csv")?, b"personal");
    assert_eq!(probe.read("/data/in/files/mine.csv")?, b"mine");
    let names: Vec<_> = probe.list("/data/in/files")?.into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["mine.csv", "theirs.csv"]);
    // And by the kernel's word, whatever a program were talked into: neither to list nor to read.
    let folder = probe.list("/data/in")?;
    assert_eq!(folder[0].mode & 0o7777, 0o1730, "{folder:?}");
    Ok(())
}

fn collect_can_only_take(machine: &mut Machine, desk: &Desk) -> Result<()> {
    for forbidden in [
        "put mine.csv",
        "put mine.csv b.csv_has_been_processed",
        "rename b.csv_has_been_processed x",
        "mkdir x",
        "chmod 777 b.csv_has_been_processed",
        "get ../../etc/passwd",
        "cd /etc",
        "get mine.csv",
    ] {
        let said = desk.sftp(machine, "collect", &format!("{forbidden}\n"))?;
        assert!(!said.good, "{forbidden}: {said:?}");
    }
    let names: Vec<_> =
        machine.probe()?.list("/data/destination")?.into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["b.csv_has_been_processed"]);
    Ok(())
}

fn nobody_gets_more_than_files(machine: &Machine, desk: &Desk) -> Result<()> {
    for who in ["drop", "collect"] {
        let at = format!("{who}@127.0.0.1");
        for command in [&["id"][..], &["-tt", "/bin/sh"], &[]] {
            let said = desk.ssh(machine, who, &[&[at.as_str()], command].concat())?;
            assert!(!said.text.contains("uid=") && !said.text.contains('$'), "{command:?}: {said:?}");
        }
        let said = desk.ssh(machine, who, &["-W", "127.0.0.53:53", &at])?;
        assert!(!said.good && said.text.contains("prohibited"), "{said:?}");
        let forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "2222:127.0.0.1:22", &at];
        let said = desk.ssh(machine, who, &forward)?;
        assert!(!said.good && said.text.contains("forwarding failed"), "{said:?}");
    }
    for (key, account) in [
        ("drop", "collect"),
        ("collect", "drop"),
        ("stranger", "drop"),
        ("drop", "root"),
        ("drop", "stayput-mover"),
    ] {
        let said = desk.ssh(machine, key, &[&format!("{account}@127.0.0.1"), "x"])?;
        assert!(
            !said.good && said.text.contains("Permission denied (publickey)"),
            "{key} {account}: {said:?}"
        );
    }
    Ok(())
}

/// A client under way; killed when it is dropped.
struct UnderWay(Child);

impl UnderWay {
    fn kill(&mut self) -> ExitStatus {
        // An error says that it is gone already, which its status tells.
        let _ = self.0.kill();
        self.0.wait().expect("a child of ours")
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that is killed, and one whose cable is pulled, in the middle of a file under its final name.
fn broken_off(machine: &mut Machine, desk: &Desk) -> Result<()> {
    desk.write("large.csv", &vec![b'x'; 8 << 20]);
    for pulled in [false, true] {
        let mut command = desk.client(machine, "sftp", "drop")?;
        // 4 Mbit/s: some sixteen seconds.
        let batch = desk.write("batch", b"put large.csv\n");
        command.args(["-l", "4000", "-b"]).arg(batch).arg("drop@127.0.0.1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = UnderWay(command.spawn().expect("sftp"));
        let deadline = machine.deadline(CALL);
        let probe = machine.probe()?;
        let begun = deadline.poll(|| Ok::<_, Error>((taken(probe)? > 2 << 20).then_some(())))?;
        assert!(begun.is_some(), "the upload never began");
        assert_eq!(order(probe, &format!("{pulled} while"), "large.csv")?, WAITING);
        if pulled {
            machine.link(false)?;
        }
        assert!(!client.kill().success(), "it was through already");
        if pulled {
            // The box does not hear of it; it asks, and gives up after two minutes.
            assert_no_caller_is_left(machine)?;
            machine.link(true)?;
        }
        assert_no_caller_is_left(machine)?;
        let probe = machine.probe()?;
        assert!(!probe.exists("/data/in/files/large.csv")?);
        assert_eq!(order(probe, &format!("{pulled} after"), "large.csv")?, WAITING);
    }
    // The cable is in again: the same file, the same name, whole.
    let deadline = machine.deadline(CALL);
    let said = deadline.poll(|| {
        let said = desk.sftp(machine, "drop", "put large.csv\n")?;
        Ok::<_, Error>(said.good.then_some(()))
    })?;
    assert!(said.is_some(), "the file cannot be sent again");
    let probe = machine.probe()?;
    assert_eq!(order(probe, "large whole", "large.csv")?, DONE);
    Ok(())
}

/// How many bytes a caller's program has heard.
fn taken(probe: &mut Probe) -> Result<u64> {
    let processes = probe.processes()?;
    let Some(program) = processes.iter().find(|it| it.name == "stayput-door") else { return Ok(0) };
    // It may be gone since.
    let text = probe.text(&format!("/proc/{}/io", program.pid)).unwrap_or_default();
    Ok(text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap_or(0))
}

fn assert_no_caller_is_left(machine: &mut Machine) -> Result<()> {
    let deadline = machine.deadline(Duration::from_secs(300));
    let probe = machine.probe()?;
    let gone = deadline.poll(|| Ok::<_, Error>((callers(probe)? == 0).then_some(())))?;
    assert!(gone.is_some(), "a caller's programs are still there: {:?}", probe.processes()?);
    Ok(())
}
