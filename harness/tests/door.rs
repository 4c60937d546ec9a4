//! The SFTP door, called as a person calls it: with OpenSSH's own clients, from beside the machine.
//!
//! On an emulated processor each call's handshake takes seconds. So what one call can show is shown in one, and the silent
//! caller, whom the box gives two minutes, is silent while others call. Who may not come in at all, and that there is nothing
//! to come in by without a key, is in `setup`, whose boxes start anyway.

mod stage;

use std::cell::Cell;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use stage::settings::{card, files, put};
use stayput_harness::{Card, Error, Machine, Options, Probe, Result};
use stayput_health::{Code, Part, State};

fn main() -> ExitCode {
    stage::run_alone(&[("a_person_adds_files_and_another_collects_results_and_neither_can_do_more", open)])
}

const COURIER: u32 = 801;
const SOCKET: &str = "/run/stayput-mover/socket";
const DOOR: &str = "stayput-door.socket";
const KEY: &str = "/run/stayput/door/key";

/// How long a client may take on an emulated processor.
const CALL: Duration = Duration::from_secs(240);

/// The box asks a silent caller four times, every thirty seconds (`sshd_config`).
const SILENCE: Duration = Duration::from_secs(100);

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
    /// How many files it has made.
    made: Cell<u32>,
}

/// What a client has said, and whether it was content.
#[derive(Debug)]
struct Said {
    good: bool,
    text: String,
}

/// What of the handshake a client chooses itself.
#[derive(Clone, Copy)]
enum Taste {
    /// Whatever it likes best.
    Own,
    /// What an emulated processor does fastest. Where it is not the handshake that matters.
    Plain,
}

const PLAIN: [&str; 4] = ["-o", "KexAlgorithms=curve25519-sha256", "-o", "Ciphers=aes128-gcm@openssh.com"];

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder for keys");
        let desk = Self { folder, made: Cell::new(0) };
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

    /// A path that nothing has yet.
    fn fresh(&self, kind: &str) -> PathBuf {
        self.made.set(self.made.get() + 1);
        self.path(&format!("{kind}-{}", self.made.get()))
    }

    fn public(&self, who: &str) -> String {
        fs::read_to_string(self.path(&format!("{who}.pub"))).expect("a key").trim().to_owned()
    }

    /// What a person does who compares the key on the screen with the box's.
    fn knows(&self, line: &str) {
        self.write("known_hosts", format!("127.0.0.1 {line}\n").as_bytes());
    }

    /// A client with somebody's keys.
    fn client(&self, machine: &Machine, program: &str, taste: Taste, keys: &[&str]) -> Result<Command> {
        let mut command = machine.beside(program)?;
        let file = |name: &str| self.path(name).display().to_string();
        command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        command.args(["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=60"]);
        command.args(["-o", &format!("UserKnownHostsFile={}", file("known_hosts"))]);
        if matches!(taste, Taste::Plain) {
            command.args(PLAIN);
        }
        for key in keys {
            command.args(["-i", &file(key)]);
        }
        command.current_dir(self.folder.path());
        Ok(command)
    }

    /// Stock sftp with a list of commands; it stops at the first that fails, but for those after a `-`.
    fn batch(
        &self,
        machine: &Machine,
        taste: Taste,
        who: &str,
        more: &[&str],
        commands: &str,
    ) -> Result<Command> {
        let batch = self.fresh("batch");
        fs::write(&batch, commands).expect("the desk's own folder");
        let mut command = self.client(machine, "sftp", taste, &[who])?;
        command.args(more).arg("-b").arg(batch).arg(format!("{who}@127.0.0.1"));
        Ok(command)
    }

    fn sftp(&self, machine: &Machine, taste: Taste, who: &str, commands: &str) -> Result<Said> {
        Ok(self.begin(self.batch(machine, taste, who, &[], commands)?).end())
    }

    fn ssh(&self, machine: &Machine, keys: &[&str], arguments: &[&str]) -> Result<Said> {
        let mut command = self.client(machine, "ssh", Taste::Plain, keys)?;
        command.args(arguments);
        Ok(self.begin(command).end())
    }

    /// A client that goes on beside the test.
    fn begin(&self, mut command: Command) -> UnderWay {
        let path = self.fresh("log");
        let log = fs::File::create(&path).expect("the desk's own folder");
        let copy = log.try_clone().expect("a second descriptor");
        // A group of its own: sftp is two processes.
        let command = command.stdin(Stdio::null()).stdout(log).stderr(copy).process_group(0);
        UnderWay { client: command.spawn().expect("openssh-client"), log: path, until: Instant::now() + CALL }
    }
}

/// A client under way; killed when it is dropped.
struct UnderWay {
    client: Child,
    log: PathBuf,
    until: Instant,
}

impl UnderWay {
    /// Everything that it says before it ends.
    fn end(mut self) -> Said {
        let status = loop {
            match self.client.try_wait().expect("a child of ours") {
                None if Instant::now() > self.until => break None,
                None => std::thread::sleep(Duration::from_millis(50)),
                ended => break ended,
            }
        };
        Said { good: status.is_some_and(|status| status.success()), text: self.said() }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn signal(&self, signal: Signal) {
        // An error says that it is gone already, which its status tells.
        let _ = kill_process_group(Pid::from_child(&self.client), signal);
    }

    /// Kills it; says whether it was still at work.
    fn kill(&mut self) -> bool {
        self.signal(Signal::KILL);
        !self.client.wait().expect("a child of ours").success()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.kill();
    }
}

fn settings(desk: &Desk) -> String {
    let (drop, collect) = (desk.public("drop"), desk.public("collect"));
    format!("{SETTINGS}\n[drop]\nkeys = [\"{drop}\"]\ncollect_keys = [\"{collect}\"]\n")
}

/// What the door has said, for a test that failed.
fn log(probe: &mut Probe) -> String {
    let arguments = ["journalctl", "--no-pager", "--output=cat", "--unit", "stayput-door*"];
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

fn open() -> Result<()> {
    let desk = Desk::new();
    let card = card(desk.folder.path())?;
    put(&card, Some(&settings(&desk)))?;
    let mut machine = Machine::start(virt().with_card(card.path()))?;
    let began = Instant::now();
    let at = |what: &str| println!("    {what} after {:.0} s", began.elapsed().as_secs_f64());
    start(&mut machine)?;
    at("the box is up");
    assert_nothing_runs_yet(&mut machine, &desk, &card)?;
    // The mover hears one courier; this test is it.
    machine.probe()?.output(&["systemctl", "stop", "stayput-courier.service"])?;
    let before = machine.probe()?.memory()?.used_kib();
    let (silent, his) = begin_large(&mut machine, &desk, "silent.csv", &[])?;
    silent.signal(Signal::STOP);
    let fell_silent = Instant::now();
    at("somebody falls silent");
    adds_and_collects(&mut machine, &desk)?;
    at("results are collected");
    println!("    memory: {before} KiB before the first, {} with one", machine.probe()?.memory()?.used_kib());
    drop_can_only_add(&mut machine, &desk)?;
    collect_can_only_take(&mut machine, &desk)?;
    at("forbidden commands are refused");
    nobody_gets_more_than_files(&machine, &desk)?;
    at("commands, forwarding and wrong keys are refused");
    breaks_off(&mut machine, &desk, &[his], false)?;
    at("a killed client has left nothing");
    breaks_off(&mut machine, &desk, &[his], true)?;
    at("a pulled cable has left nothing");
    large_in_the_end(&mut machine, &desk)?;
    at("it is whole");
    // Nothing that the others did has ended him: only time does.
    let early = fell_silent.elapsed() < SILENCE && !machine.probe()?.exists(&format!("/proc/{his}"))?;
    assert!(!early, "the silent one is gone after {:?}", fell_silent.elapsed());
    assert_nobody_is_left(&mut machine)?;
    assert_nothing_came(&mut machine, "silent.csv", "silent")?;
    drop(silent);
    at("the silent one is gone");
    stage::assert_running(&mut machine)
}

fn assert_nothing_runs_yet(machine: &mut Machine, desk: &Desk, card: &Card) -> Result<()> {
    let deadline = machine.deadline(Duration::from_secs(120));
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
    // And what the card says to whoever puts it into a PC.
    let told = deadline.poll(|| {
        let status =
            files(card)?.into_iter().find(|(name, _)| name == "STATUS.txt").expect("the image has it").1;
        let told = format!("Door's key:       {fingerprint}\r\n");
        Ok::<_, Error>(String::from_utf8_lossy(&status).contains(&told).then_some(()))
    })?;
    assert!(told.is_some(), "STATUS.txt has no {fingerprint}");
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
        Taste::Own,
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
    let said = desk.sftp(machine, Taste::Own, "collect", commands)?;
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

/// Each of these must fail, all in one call that can still do what it may: it was neither ended nor led elsewhere.
fn refuses(machine: &Machine, desk: &Desk, who: &str, forbidden: &[&str], allowed: &str) -> Result<()> {
    let listed: String = forbidden.iter().map(|command| format!("-{command}\n")).collect();
    let said = desk.sftp(machine, Taste::Plain, who, &format!("{listed}{allowed}\n"))?;
    assert!(said.good, "{said:?}");
    assert!(!said.text.contains("root:") && !said.text.contains("onnection closed"), "{said:?}");
    let mut answers = said.text.split("sftp> ").skip(1);
    for command in forbidden {
        let answer = answers.next().unwrap_or_default();
        let rest = answer.strip_prefix(&format!("-{command}\n"));
        let rest = rest.unwrap_or_else(|| panic!("{command} was not next: {said:?}"));
        let refused = ["denied", "Failure", "not found", "No such file", "unsupported", "does not support"];
        assert!(refused.iter().any(|word| rest.contains(word)), "{command}: {rest}\n{said:?}");
    }
    Ok(())
}

fn drop_can_only_add(machine: &mut Machine, desk: &Desk) -> Result<()> {
    let probe = machine.probe()?;
    probe.create("/data/in/files/theirs.csv", b"personal")?;
    desk.write("mine.csv", b"mine");
    let said = desk.sftp(machine, Taste::Plain, "drop", "put mine.csv\nls -la\n")?;
    assert!(said.good && said.text.contains("mine.csv") && !said.text.contains("theirs.csv"), "{said:?}");
    // In a later call it is somebody else's, too.
    let forbidden = [
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
        "get ../etc/passwd",
        "ls /data",
        "get ../../etc/passwd",
        "put mine.csv ../destination/x.csv",
        "put mine.csv /x/y.csv",
        "put mine.csv .stayput-0.part",
    ];
    refuses(machine, desk, "drop", &forbidden, "cd ..\npwd\nput mine.csv last.csv")?;
    let probe = machine.probe()?;
    assert_eq!(probe.read("/data/in/files/theirs.csv")?, b"personal");
    for name in ["mine.csv", "last.csv"] {
        assert_eq!(probe.read(&format!("/data/in/files/{name}"))?, b"mine");
    }
    let names: Vec<_> = probe.list("/data/in/files")?.into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["last.csv", "mine.csv", "theirs.csv"]);
    for fetched in ["theirs.csv", "passwd"] {
        assert!(!desk.path(fetched).exists(), "{fetched} was fetched");
    }
    // And by the kernel's word, whatever a program were talked into: neither to list nor to read.
    let folder = probe.list("/data/in")?;
    assert_eq!(folder[0].mode & 0o7777, 0o1730, "{folder:?}");
    Ok(())
}

fn collect_can_only_take(machine: &mut Machine, desk: &Desk) -> Result<()> {
    let forbidden = [
        "put mine.csv",
        "put mine.csv b.csv_has_been_processed",
        "rename b.csv_has_been_processed x",
        "mkdir x",
        "chmod 777 b.csv_has_been_processed",
        "get ../../etc/passwd",
        "cd /etc",
        "get mine.csv mine-too.csv",
    ];
    refuses(machine, desk, "collect", &forbidden, "get b.csv_has_been_processed again.csv")?;
    assert!(desk.path("again.csv").exists() && !desk.path("passwd").exists());
    let names: Vec<_> =
        machine.probe()?.list("/data/destination")?.into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["b.csv_has_been_processed"]);
    Ok(())
}

fn nobody_gets_more_than_files(machine: &Machine, desk: &Desk) -> Result<()> {
    for who in ["drop", "collect"] {
        // One caller who is let in, and then asks for everything else.
        let (at, line) = (format!("{who}@127.0.0.1"), desk.fresh("line").display().to_string());
        let mut let_in = desk.client(machine, "ssh", Taste::Plain, &[who])?;
        let_in.args(["-M", "-S", &line, "-N", &at]);
        let let_in = desk.begin(let_in);
        let end = Instant::now() + CALL;
        while !PathBuf::from(&line).exists() {
            assert!(Instant::now() < end, "{who} is not let in: {}", let_in.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        let ask = |arguments: &[&str]| desk.ssh(machine, &[who], &[&["-S", &line], arguments].concat());
        for command in [&["id"][..], &["-tt", "/bin/sh"], &[]] {
            let said = match command {
                ["-tt", rest @ ..] => ask(&[&["-tt", at.as_str()], rest].concat())?,
                rest => ask(&[&[at.as_str()], rest].concat())?,
            };
            assert!(!said.text.contains("uid=") && !said.text.contains('$'), "{command:?}: {said:?}");
        }
        let said = ask(&["-W", "127.0.0.53:53", &at])?;
        assert!(!said.good && said.text.contains("refused by peer"), "{said:?}");
        let said = ask(&["-O", "forward", "-R", "2222:127.0.0.1:22", &at])?;
        assert!(!said.good && said.text.contains("orwarding failed"), "{said:?}");
        assert!(let_in.said().contains("prohibited"), "{}", let_in.said());
    }
    // Each with every key that is not its own.
    for (account, keys) in [
        ("collect", &["drop", "stranger"][..]),
        ("drop", &["collect", "stranger"]),
        ("root", &["drop", "collect", "stranger"]),
        ("stayput-mover", &["drop", "collect", "stranger"]),
    ] {
        let said = desk.ssh(machine, keys, &[&format!("{account}@127.0.0.1"), "x"])?;
        assert!(!said.good && said.text.contains("Permission denied (publickey)"), "{account}: {said:?}");
    }
    Ok(())
}

/// Somebody whose large file is on its way, under its final name: some sixteen seconds at 4 Mbit/s. Answers his program's
/// process on the box, which is none of those in `others`.
fn begin_large(machine: &mut Machine, desk: &Desk, name: &str, others: &[u32]) -> Result<(UnderWay, u32)> {
    desk.write("large.csv", &vec![b'x'; 8 << 20]);
    let client =
        desk.batch(machine, Taste::Plain, "drop", &["-l", "4000"], &format!("put large.csv {name}\n"))?;
    let client = desk.begin(client);
    let deadline = machine.deadline(CALL);
    let probe = machine.probe()?;
    let begun = deadline.poll(|| {
        let heard = taken(probe, others)?;
        Ok::<_, Error>(heard.filter(|(_, bytes)| *bytes > 1 << 20))
    })?;
    let Some((program, _)) = begun else { panic!("the upload never began: {}", client.said()) };
    assert_eq!(order(probe, &format!("{program} while"), name)?, WAITING);
    Ok((client, program))
}

fn assert_nothing_came(machine: &mut Machine, name: &str, when: &str) -> Result<()> {
    let probe = machine.probe()?;
    assert!(!probe.exists(&format!("/data/in/files/{name}"))?, "{when}");
    assert_eq!(order(probe, when, name)?, WAITING, "{when}");
    Ok(())
}

/// A client that is killed in the middle of a file; `pulled`, out of reach of the box, which hears of it when the cable is back.
fn breaks_off(machine: &mut Machine, desk: &Desk, others: &[u32], pulled: bool) -> Result<()> {
    let (mut client, program) = begin_large(machine, desk, "large.csv", others)?;
    if pulled {
        machine.link(false)?;
    }
    assert!(client.kill(), "it was through already");
    if pulled {
        assert_nothing_came(machine, "large.csv", "the cable is out")?;
        assert!(machine.probe()?.exists(&format!("/proc/{program}"))?, "it heard of it all the same");
        machine.link(true)?;
    }
    let deadline = machine.deadline(Duration::from_secs(300));
    let probe = machine.probe()?;
    let gone =
        deadline.poll(|| Ok::<_, Error>((!probe.exists(&format!("/proc/{program}"))?).then_some(())))?;
    assert!(gone.is_some(), "its program is still there: {:?}", probe.processes()?);
    assert_nothing_came(machine, "large.csv", if pulled { "after the cable" } else { "after the kill" })
}

/// The same file, the same name, whole.
fn large_in_the_end(machine: &mut Machine, desk: &Desk) -> Result<()> {
    let deadline = machine.deadline(CALL);
    let said = deadline.poll(|| {
        let said = desk.sftp(machine, Taste::Plain, "drop", "put large.csv\n")?;
        Ok::<_, Error>(said.good.then_some(()))
    })?;
    assert!(said.is_some(), "the file cannot be sent again");
    assert_eq!(order(machine.probe()?, "large whole", "large.csv")?, DONE);
    Ok(())
}

/// A caller's program that is none of those in `others`, and how many bytes it has heard.
fn taken(probe: &mut Probe, others: &[u32]) -> Result<Option<(u32, u64)>> {
    let processes = probe.processes()?;
    let is_it = |name: &str, pid: u32| name == "stayput-door" && !others.contains(&pid);
    let Some(program) = processes.iter().find(|it| is_it(&it.name, it.pid)) else { return Ok(None) };
    // It may be gone since.
    let text = probe.text(&format!("/proc/{}/io", program.pid)).unwrap_or_default();
    let heard = text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok());
    Ok(Some((program.pid, heard.unwrap_or(0))))
}

fn assert_nobody_is_left(machine: &mut Machine) -> Result<()> {
    let deadline = machine.deadline(Duration::from_secs(300));
    let probe = machine.probe()?;
    let gone = deadline.poll(|| Ok::<_, Error>((callers(probe)? == 0).then_some(())))?;
    assert!(gone.is_some(), "a caller's programs are still there: {:?}", probe.processes()?);
    Ok(())
}
