//! The probe's orders, carried out: plain files and programs, nothing that knows Stayput.

use crate::{Answer, Entry, Kind, Op, Outcome, Packet, Process, Ran, Whole};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running program is asked whether it has ended: shorter than anything a test can notice.
const STEP: Duration = Duration::from_millis(5);

/// The files that `Open` keeps open.
#[derive(Debug, Default)]
pub struct Open {
    files: Mutex<(u64, BTreeMap<u64, Arc<File>>)>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<File>>)> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, handle: u64) -> Result<Arc<File>, String> {
        self.lock().1.get(&handle).cloned().ok_or_else(|| format!("no open file has handle {handle}"))
    }
}

/// Carries out one order.
pub fn carry_out(op: Op, open: &Open) -> Outcome {
    let answer = match op {
        Op::Ping => Ok(Answer::Here { pid: std::process::id() }),
        Op::Run { argv, env, stdin, timeout_ms } => {
            run(&argv, &env, stdin, Duration::from_millis(timeout_ms)).map(Answer::Ran)
        }
        Op::Read { path, limit } => read(&path, limit),
        Op::Write { path, data, create } => write(&path, &data, create),
        Op::ReadAll { path } => read_all(&path).map(Answer::Files),
        Op::CreateAll { path, files } => {
            let mut made = files.iter().map(|file| write(&format!("{path}/{}", file.name), &file.data, true));
            made.try_for_each(|file| file.map(drop)).map(|()| Answer::Nothing)
        }
        Op::Allocate { path, bytes } => allocate(&path, bytes),
        Op::Remove { path } => {
            fs::remove_file(&path).map_err(cannot("remove", &path)).map(|()| Answer::Nothing)
        }
        Op::Room { path } => room(&path),
        Op::Turn { seconds } => turn(seconds),
        Op::List { path } => list(&path).map(Answer::Entries),
        Op::Processes => processes().map(Answer::Processes),
        Op::Open { path } => open_file(&path, open),
        Op::Await { handle, timeout_ms } => {
            open.get(handle).and_then(|file| wait_for_bytes(&file, Duration::from_millis(timeout_ms)))
        }
        Op::Close { handle } => {
            open.lock().1.remove(&handle);
            Ok(Answer::Nothing)
        }
        Op::Connect { to, data, timeout_ms, limit } => {
            connect(to, &data, Duration::from_millis(timeout_ms), limit)
        }
        Op::Packets { path, uid, packets, timeout_ms } => {
            packets_as(&path, uid, packets, Duration::from_millis(timeout_ms)).map(Answer::Packets)
        }
        Op::Sync => {
            rustix::fs::sync();
            Ok(Answer::Nothing)
        }
    };
    match answer {
        Ok(answer) => Outcome::Done(answer),
        Err(why) => Outcome::Failed(why),
    }
}

fn cannot(what: &str, path: &str) -> impl FnOnce(io::Error) -> String {
    move |error| format!("cannot {what} {path}: {error}")
}

fn run(
    argv: &[String],
    env: &BTreeMap<String, String>,
    stdin: Vec<u8>,
    timeout: Duration,
) -> Result<Ran, String> {
    let (program, arguments) = argv.split_first().ok_or("an empty argument list names no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that its time being up ends its children too.
        .process_group(0)
        .spawn()
        .map_err(cannot("run", program))?;
    let group = rustix::process::Pid::from_child(&child);

    let mut input = child.stdin.take().expect("asked for a pipe above");
    // A program that reads nothing closes the pipe; that is its business.
    thread::spawn(move || drop(input.write_all(&stdin)));
    let stdout = collect(child.stdout.take().expect("asked for a pipe above"));
    let stderr = collect(child.stderr.take().expect("asked for a pipe above"));

    let end = Instant::now() + timeout;
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cannot("wait for", program))? {
            break status;
        }
        if !timed_out && Instant::now() >= end {
            timed_out = true;
            // It may have ended between the two lines; then there is nobody to kill.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        thread::sleep(STEP);
    };
    let gather = |thread: thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok(Ran {
        code: status.code(),
        signal: status.signal(),
        timed_out,
        stdout: gather(stdout),
        stderr: gather(stderr),
    })
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        // What was read before an error is worth more than the error.
        let _ = from.read_to_end(&mut all);
        all
    })
}

fn read(path: &str, limit: u64) -> Result<Answer, String> {
    let file = File::open(path).map_err(cannot("open", path))?;
    let mut data = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut data).map_err(cannot("read", path))?;
    let truncated = data.len() as u64 > limit;
    data.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Answer::Content { data, truncated })
}

fn write(path: &str, data: &[u8], create: bool) -> Result<Answer, String> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(create)
        .truncate(true)
        .open(path)
        .map_err(cannot("open", path))?;
    file.write_all(data).map_err(cannot("write", path))?;
    Ok(Answer::Nothing)
}

fn read_all(path: &str) -> Result<Vec<Whole>, String> {
    let mut all = Vec::new();
    for Entry { name, kind, .. } in list(path)? {
        if kind != Kind::File {
            continue;
        }
        match fs::read(format!("{path}/{name}")) {
            Ok(data) => all.push(Whole { name, data }),
            // Gone between listing and reading: not a file of it any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("read", &format!("{path}/{name}"))(error)),
        }
    }
    Ok(all)
}

fn allocate(path: &str, bytes: u64) -> Result<Answer, String> {
    let file = File::create(path).map_err(cannot("make", path))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
        .map_err(|error| cannot("find room for", path)(error.into()))?;
    Ok(Answer::Nothing)
}

fn room(path: &str) -> Result<Answer, String> {
    let found = rustix::fs::statvfs(path).map_err(|error| cannot("measure", path)(error.into()))?;
    Ok(Answer::Room { free: found.f_bavail.saturating_mul(found.f_frsize) })
}

fn turn(seconds: i64) -> Result<Answer, String> {
    use rustix::time::{ClockId, clock_gettime, clock_settime};
    let mut time = clock_gettime(ClockId::Realtime);
    time.tv_sec = time.tv_sec.saturating_add(seconds);
    clock_settime(ClockId::Realtime, time)
        .map_err(|error| format!("cannot turn the clock by {seconds} s: {error}"))?;
    Ok(Answer::Nothing)
}

fn list(path: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot("list", path))? {
        let entry = entry.map_err(cannot("list", path))?;
        // An entry that vanished meanwhile (/proc, /run) is not an entry any more.
        let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
        let kind = match meta.file_type() {
            t if t.is_dir() => Kind::Directory,
            t if t.is_file() => Kind::File,
            t if t.is_symlink() => Kind::Symlink,
            _ => Kind::Other,
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(Entry { name, kind, mode: meta.permissions().mode() & 0o7777, size: meta.size() });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn processes() -> Result<Vec<Process>, String> {
    let mut all = Vec::new();
    for entry in list("/proc")? {
        let Ok(pid) = entry.name.parse::<u32>() else { continue };
        // Gone between listing and reading: not a process any more.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        all.push(Process {
            pid,
            name: field("Name:").unwrap_or_default().to_owned(),
            program: fs::read_link(format!("/proc/{pid}/exe")).ok().map(|p| p.to_string_lossy().into_owned()),
            arguments: arguments
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty())
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect(),
            resident_kib: field("VmRSS:")
                .and_then(|v| v.split_whitespace().next())
                .and_then(|v| v.parse().ok()),
        });
    }
    all.sort_by_key(|process| process.pid);
    Ok(all)
}

fn open_file(path: &str, open: &Open) -> Result<Answer, String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .map_err(cannot("open", path))?;
    let mut files = open.lock();
    files.0 += 1;
    let handle = files.0;
    files.1.insert(handle, Arc::new(file));
    Ok(Answer::Opened { handle })
}

fn wait_for_bytes(file: &File, timeout: Duration) -> Result<Answer, String> {
    let timeout = Timespec::try_from(timeout).map_err(|_| "that timeout is too long".to_owned())?;
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    let ready = poll(&mut fds, Some(&timeout)).map_err(|error| format!("cannot wait: {error}"))?;
    if ready == 0 {
        return Err("nothing arrived in time".to_owned());
    }
    let mut data = vec![0; 64 * 1024];
    let mut reader = file;
    let length = reader.read(&mut data).map_err(|error| format!("cannot read: {error}"))?;
    data.truncate(length);
    Ok(Answer::Content { data, truncated: false })
}

fn connect(to: SocketAddr, say: &[u8], timeout: Duration, limit: u64) -> Result<Answer, String> {
    let end = Instant::now() + timeout;
    // A socket takes no timeout of zero.
    let left = || end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let peer = to.to_string();
    let mut stream = TcpStream::connect_timeout(&to, left()).map_err(cannot("connect to", &peer))?;
    stream
        .set_write_timeout(Some(left()))
        .and_then(|()| stream.write_all(say))
        .map_err(cannot("talk to", &peer))?;
    let (mut data, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        if Instant::now() >= end {
            return Err(format!("{peer} did not close the connection in time"));
        }
        stream.set_read_timeout(Some(left())).map_err(cannot("hear", &peer))?;
        match stream.read(&mut buffer).map_err(cannot("hear", &peer))? {
            0 => return Ok(Answer::Content { data, truncated: false }),
            length => data.extend_from_slice(&buffer[..length]),
        }
        if data.len() as u64 > limit {
            data.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            return Ok(Answer::Content { data, truncated: true });
        }
    }
}

/// In a thread of its own, for it is the thread that becomes the user.
fn packets_as(path: &str, uid: u32, packets: Vec<Packet>, timeout: Duration) -> Result<Vec<Packet>, String> {
    let owned = path.to_owned();
    let thread = thread::spawn(move || {
        if rustix::process::geteuid().as_raw() != uid {
            let (user, group) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(uid));
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(group, group, group)?;
            rustix::thread::set_thread_res_uid(user, user, user)?;
        }
        talk(&owned, &packets, timeout)
    });
    thread.join().map_err(|_| format!("the talk with {path} broke off"))?.map_err(cannot("talk to", path))
}

fn talk(path: &str, packets: &[Packet], timeout: Duration) -> io::Result<Vec<Packet>> {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
    };
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(timeout))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let mut answers = Vec::new();
    for Packet(packet) in packets {
        let mut buffer = vec![0; 64 * 1024];
        // A peer that closed the connection hears and says no more.
        if rustix::net::send(&socket, packet, SendFlags::NOSIGNAL).is_err() {
            break;
        }
        match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => break,
            Ok((_, length)) => {
                buffer.truncate(length);
                answers.push(Packet(buffer));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(op: Op) -> Answer {
        match carry_out(op, &Open::default()) {
            Outcome::Done(answer) => answer,
            Outcome::Failed(why) => panic!("{why}"),
        }
    }

    fn failed(op: Op) -> String {
        match carry_out(op, &Open::default()) {
            Outcome::Failed(why) => why,
            Outcome::Done(answer) => panic!("{answer:?}"),
        }
    }

    fn program(argv: &[&str], stdin: &[u8], timeout_ms: u64) -> Op {
        Op::Run {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: BTreeMap::new(),
            stdin: stdin.to_vec(),
            timeout_ms,
        }
    }

    #[test]
    fn a_program_gets_its_input_and_its_bytes_come_back_unchanged() {
        let Answer::Ran(ran) = done(program(&["cat"], b"\x00\xff\n", 20_000)) else { panic!() };
        assert_eq!((ran.code, ran.stdout.as_slice(), ran.timed_out), (Some(0), &b"\x00\xff\n"[..], false));
    }

    #[test]
    fn files_are_made_and_read_by_the_folder_and_what_is_no_plain_file_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let files: Vec<_> = [("b", &b"\0\xff"[..]), ("a", b"")]
            .map(|(name, data)| Whole { name: name.into(), data: data.into() })
            .into();
        done(Op::CreateAll { path: path.clone(), files: files.clone() });
        fs::create_dir(dir.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("link")).unwrap();
        let Answer::Files(read) = done(Op::ReadAll { path }) else { panic!() };
        assert_eq!(read, [files[1].clone(), files[0].clone()]);
        assert!(failed(Op::ReadAll { path: "/nonexistent".into() }).contains("cannot list"));
    }

    #[test]
    fn a_file_takes_its_room_before_a_byte_is_in_it_and_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").display().to_string();
        done(Op::Allocate { path: path.clone(), bytes: 3 << 20 });
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(meta.len(), 3 << 20);
        assert!(meta.blocks() * 512 >= 3 << 20, "{} blocks", meta.blocks());
        let Answer::Room { free } = done(Op::Room { path: path.clone() }) else { panic!() };
        assert!(failed(Op::Allocate { path: path.clone(), bytes: 1 << 60 }).contains("room for"), "{free}");
        done(Op::Remove { path: path.clone() });
        assert!(failed(Op::Remove { path }).contains("cannot remove"));
    }

    #[test]
    fn a_program_whose_time_is_up_is_killed_with_its_children() {
        let started = Instant::now();
        let Answer::Ran(ran) = done(program(&["sh", "-c", "sleep 600 & sleep 600"], b"", 100)) else {
            panic!()
        };
        assert!(ran.timed_out);
        assert_eq!(ran.signal, Some(9));
        assert!(started.elapsed() < Duration::from_secs(300), "the child held the pipe open");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        assert!(failed(program(&["/nonexistent/x"], b"", 1)).contains("cannot run /nonexistent/x"));
        assert!(failed(program(&[], b"", 1)).contains("names no program"));
    }

    #[test]
    fn a_file_longer_than_the_limit_says_that_it_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").to_str().unwrap().to_owned();
        assert!(
            failed(Op::Write { path: path.clone(), data: vec![], create: false }).contains("cannot open")
        );
        done(Op::Write { path: path.clone(), data: b"abcdef".to_vec(), create: true });
        assert_eq!(
            done(Op::Read { path: path.clone(), limit: 3 }),
            Answer::Content { data: b"abc".to_vec(), truncated: true }
        );
        assert_eq!(
            done(Op::Read { path, limit: 6 }),
            Answer::Content { data: b"abcdef".to_vec(), truncated: false }
        );
    }

    #[test]
    fn a_listing_tells_directories_files_and_links_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("f"), "x").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("l")).unwrap();
        let Answer::Entries(entries) = done(Op::List { path: dir.path().to_str().unwrap().into() }) else {
            panic!()
        };
        let kinds: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.kind)).collect();
        assert_eq!(kinds, [("d", Kind::Directory), ("f", Kind::File), ("l", Kind::Symlink)]);
    }

    #[test]
    fn the_probe_sees_itself_among_the_processes() {
        let Answer::Processes(all) = done(Op::Processes) else { panic!() };
        let me = all.iter().find(|p| p.pid == std::process::id()).unwrap();
        assert!(me.resident_kib.unwrap() > 0);
        assert!(me.program.is_some());
    }

    fn call(to: SocketAddr, timeout_ms: u64, limit: u64) -> Op {
        Op::Connect { to, data: b"who\n".to_vec(), timeout_ms, limit }
    }

    #[test]
    fn a_peer_is_heard_out_up_to_the_limit() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut said = [0; 4];
                stream.read_exact(&mut said).unwrap();
                stream.write_all(&said).unwrap();
            }
        });
        assert_eq!(done(call(to, 20_000, 4)), Answer::Content { data: b"who\n".to_vec(), truncated: false });
        assert_eq!(done(call(to, 20_000, 2)), Answer::Content { data: b"wh".to_vec(), truncated: true });
    }

    #[test]
    fn a_peer_that_is_not_there_or_never_answers_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        // The kernel takes the connection; nobody ever accepts it.
        assert!(failed(call(to, 50, 1)).contains(&format!("cannot hear {to}")));
        drop(listener);
        assert!(failed(call(to, 20_000, 1)).contains(&format!("cannot connect to {to}")));
    }

    #[test]
    fn what_arrives_between_open_and_await_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let open = Open::default();
        let Outcome::Done(Answer::Opened { handle }) =
            carry_out(Op::Open { path: path.to_str().unwrap().into() }, &open)
        else {
            panic!()
        };
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"event").unwrap();
        let got = carry_out(Op::Await { handle, timeout_ms: 10_000 }, &open);
        assert_eq!(got, Outcome::Done(Answer::Content { data: b"event".to_vec(), truncated: false }));
        assert!(
            matches!(carry_out(Op::Await { handle, timeout_ms: 1 }, &open), Outcome::Failed(why) if why.contains("in time"))
        );
        carry_out(Op::Close { handle }, &open);
        assert!(
            matches!(carry_out(Op::Await { handle, timeout_ms: 1 }, &open), Outcome::Failed(why) if why.contains("handle"))
        );
    }
}
