//! The worker against others on the same orders: `scripts/bench worker` builds what is needed and starts this.
//!
//! `bench QUEUE WORKER FOLDER ORDERS RUNS [NAME=COMMAND ...]`: QUEUE is the emulator's program, WORKER ours, FOLDER the place for
//! files (on tmpfs, on a disk); each COMMAND is a rival, started with the original worker's variables.
//!
//! `bench QUEUE WORKER FOLDER ORDERS RUNS among FILES`: ours alone, in turns among ten other files in the source folder and among
//! so many, compared run by run, for a machine's speed changes by more from one minute to the next than what is looked for.
//!
//! Each run has an emulator and folders of its own. Time counts from the first file that arrives to the last message that is
//! deleted; CPU is what the processes used in that time, to the nanosecond, from the scheduler.

use std::error::Error;
use std::fmt;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use aws_sdk_sqs::{Client, Config};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Longer than the slowest rival needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// "Ten files".
const FEW: usize = 10;

/// Who is measured.
enum Subject {
    Ours(PathBuf),
    Rival(String, String),
}

impl Subject {
    fn name(&self) -> &str {
        match self {
            Self::Ours(_) => "ours (courier and mover)",
            Self::Rival(name, _) => name,
        }
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let (queue, worker, folder) = (next("QUEUE")?, next("WORKER")?, PathBuf::from(next("FOLDER")?));
    let (orders, runs) = (next("ORDERS")?.parse::<usize>()?, next("RUNS")?.parse::<usize>()?);
    let place = folder.join(format!("stayput-bench-{}", std::process::id()));
    let mut subjects = vec![Subject::Ours(PathBuf::from(worker))];
    let mut others = arguments.peekable();
    if others.next_if_eq("among").is_some() {
        let files = others.next().ok_or("how many FILES?")?.parse::<usize>()?;
        return in_a_place(&place, |place| among(&queue, place, &subjects[0], orders, runs, files));
    }
    for rival in others {
        let (name, command) = rival.split_once('=').ok_or("a rival is NAME=COMMAND")?;
        subjects.push(Subject::Rival(name.to_owned(), command.to_owned()));
    }
    println!("{orders} orders, {} runs, files in {}", runs, folder.display());
    println!("{:<26} {:>9} {:>12} {:>10} {:>11}", "", "orders/s", "CPU s/1,000", "peak MB", "calls/order");
    for subject in &subjects {
        for _ in 0..runs {
            let measured = in_a_place(&place, |place| measure(&queue, place, subject, orders))?;
            println!("{:<26} {measured}", subject.name());
        }
    }
    Ok(())
}

/// Processes that end with this value.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What `work` makes in that folder is gone afterwards.
fn in_a_place<T>(place: &Path, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    fs::create_dir_all(place)?;
    let done = work(place);
    let removed = fs::remove_dir_all(place);
    let done = done?;
    removed?;
    Ok(done)
}

/// What so many files more in the source folder add to the cost of an order.
fn among(queue: &str, place: &Path, ours: &Subject, orders: usize, runs: usize, files: usize) -> Result<()> {
    let counts = [FEW, files];
    let places = counts.map(|count| place.join(format!("among-{count}")));
    for (place, count) in places.iter().zip(counts) {
        fs::create_dir_all(place.join("source"))?;
        (0..count).try_for_each(|number| fs::write(place.join(format!("source/bystander-{number}")), ""))?;
    }
    rustix::fs::sync();
    let mut cpu = [Vec::new(), Vec::new()];
    for run in 0..runs {
        // Each of them is first in every other run.
        for which in [run % 2, 1 - run % 2] {
            cpu[which].push(measure(queue, &places[which], ours, orders)?.cpu);
            for made in ["destination", "ledger", "health"] {
                fs::remove_dir_all(places[which].join(made))?;
            }
        }
    }
    println!("{orders} orders, {runs} runs in turns, files in {}", place.display());
    for (count, cpu) in counts.iter().zip(&cpu) {
        println!("among {count:7} other files: {:.4} CPU-s per 1,000 in the middle", quarter(cpu, 2));
    }
    let more: Vec<_> = cpu[0].iter().zip(&cpu[1]).map(|(few, many)| (many / few - 1.0) * 100.0).collect();
    let [low, middle, high] = [1, 2, 3].map(|number| quarter(&more, number));
    println!("{middle:+.1} % in the middle, half of the runs between {low:+.1} and {high:+.1} %");
    Ok(())
}

/// The value that so many quarters of them lie below.
fn quarter(values: &[f64], number: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) * number / 4).copied().unwrap_or_default()
}

/// One run.
struct Measured {
    /// Orders a second.
    rate: f64,
    /// CPU seconds per 1,000.
    cpu: f64,
    /// MB, process by process.
    peaks: Vec<f64>,
    /// For each order.
    calls: Option<f64>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peaks: Vec<_> = self.peaks.iter().map(|peak| format!("{peak:.1}")).collect();
        let calls = self.calls.map_or("-".to_owned(), |calls| format!("{calls:.3}"));
        write!(f, "{:>9.0} {:>12.4} {:>10} {calls:>11}", self.rate, self.cpu, peaks.join("+"))
    }
}

fn measure(queue: &str, place: &Path, subject: &Subject, orders: usize) -> Result<Measured> {
    for name in ["source", "destination", "ledger", "health"] {
        fs::create_dir_all(place.join(name))?;
    }
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let emulator = Command::new(queue).arg(&address).stdout(Stdio::null()).spawn()?;
    let _emulator = Running(vec![emulator]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = client(&address);
    let url = runtime.block_on(fill(&client, orders))?;
    for number in 0..orders {
        fs::write(place.join("source").join(name(number)), format!("content of {number}"))?;
    }
    let destination = place.join("destination");
    let empty = fs::metadata(&destination)?;
    let stamp = |found: &fs::Metadata| (found.mtime(), found.mtime_nsec());
    let running = Running(start(subject, place, &address, &url)?);
    let begun = Instant::now();
    while stamp(&fs::metadata(&destination)?) == stamp(&empty) {
        patient(begun)?;
        std::thread::sleep(Duration::from_micros(200));
    }
    let (started, before) = (Instant::now(), running.0.iter().map(cpu).sum::<Result<f64>>()?);
    while runtime.block_on(left(&client, &url))? > 0 {
        patient(begun)?;
        std::thread::sleep(Duration::from_millis(2));
    }
    let (taken, used) =
        (started.elapsed().as_secs_f64(), running.0.iter().map(cpu).sum::<Result<f64>>()? - before);
    let peaks = running.0.iter().map(peak).collect::<Result<Vec<_>>>()?;
    let moved = fs::read_dir(&destination)?.count();
    if moved != orders {
        return Err(format!("{moved} of {orders} files are at the destination").into());
    }
    let calls = calls(running, place, subject).map(|calls| calls as f64 / orders as f64);
    let orders = orders as f64;
    Ok(Measured { rate: orders / taken, cpu: used * 1000.0 / orders, peaks, calls })
}

fn patient(since: Instant) -> Result<()> {
    if since.elapsed() > PATIENCE { Err("the work did not end".into()) } else { Ok(()) }
}

fn name(number: usize) -> String {
    format!("order-{number:08}.csv")
}

fn client(address: &str) -> Client {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(Credentials::new("bench", "secret", None, None, "bench"))
        .http_client(http)
        .build();
    Client::from_conf(config)
}

async fn fill(client: &Client, orders: usize) -> Result<String> {
    let made = loop {
        // The emulator may not listen yet; the SDK tries a few times by itself.
        match client.create_queue().queue_name("orders").send().await {
            Ok(made) => break made,
            Err(error) if error.as_service_error().is_some() => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let url = made.queue_url.ok_or("the queue has no URL")?;
    for start in (0..orders).step_by(10) {
        let entries = (start..orders.min(start + 10)).map(|number| {
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
            entry.message_body(name(number)).build()
        });
        let entries = entries.collect::<std::result::Result<Vec<_>, _>>()?;
        client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await?;
    }
    Ok(url)
}

/// How many messages there still are, in flight or not.
async fn left(client: &Client, url: &str) -> Result<u64> {
    let found = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let found = found.send().await?.attributes.unwrap_or_default();
    let number = |name| found.get(&name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (visible, flying) = (
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    );
    Ok(number(visible) + number(flying))
}

fn start(subject: &Subject, place: &Path, address: &str, url: &str) -> Result<Vec<Child>> {
    let path = |name: &str| place.join(name).to_string_lossy().into_owned();
    let (_, queue) =
        url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).ok_or("no queue's URL")?;
    let variables = [
        ("SQS_QUEUE_URL", format!("http://{address}/{queue}")),
        // For clients that do not take the host from the queue's URL.
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_DEFAULT_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "bench".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        // The original joins folder and name as texts.
        ("EFS_SOURCE_FOLDER", path("source/")),
        ("EFS_DESTINATION_FOLDER", path("destination/")),
        ("STAYPUT_LEDGER_FOLDER", path("ledger")),
        ("STAYPUT_SOCKET", path("socket")),
        ("STAYPUT_HEALTH_FOLDER", path("health")),
        ("STAYPUT_COURIER_UID", rustix::process::getuid().as_raw().to_string()),
    ];
    let spawn = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()
    };
    Ok(match subject {
        Subject::Ours(worker) => {
            let worker = worker.to_string_lossy();
            vec![spawn(&worker, &["mover"])?, spawn(&worker, &["courier"])?]
        }
        Subject::Rival(_, command) => {
            let mut words = command.split_whitespace();
            let program = words.next().ok_or("a rival has a program")?;
            vec![spawn(program, &words.collect::<Vec<_>>())?]
        }
    })
}

/// Seconds of CPU that a process has used, all threads.
fn cpu(child: &Child) -> Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", child.id()))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().ok_or("schedstat is empty")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// The most memory that a process has had, in MB.
fn peak(child: &Child) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// How many calls our courier made; its last word says it.
fn calls(mut running: Running, place: &Path, subject: &Subject) -> Option<u64> {
    let Subject::Ours(_) = subject else { return None };
    let courier = running.0.last_mut()?;
    rustix::process::kill_process(rustix::process::Pid::from_child(courier), rustix::process::Signal::TERM)
        .ok()?;
    courier.wait().ok()?;
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.join("health/courier.json")).ok()?).ok()?;
    report["counters"]["calls"].as_u64()
}
