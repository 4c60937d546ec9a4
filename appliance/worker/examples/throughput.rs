//! How many orders a mover carries out in a second, and what it costs: `throughput FOLDER [ORDERS [BYSTANDERS [ROUNDS]]]`.
//!
//! Makes small files in a folder of its own beneath FOLDER (on tmpfs, on a disk) and moves them with everything on that
//! makes them durable. With BYSTANDERS it does so in turns beside ten other files and beside that many, ROUNDS times, and
//! compares round by round, for a machine's speed changes by more from one minute to the next than what is looked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stayput_worker::disk::Linux;
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// "Ten files".
const FEW: usize = 10;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let place = PathBuf::from(arguments.next().ok_or("name a folder to work in")?);
    let mut number = |default: usize| match arguments.next() {
        Some(text) => text.to_string_lossy().parse(),
        None => Ok(default),
    };
    let (orders, bystanders, rounds) = (number(2_000)?, number(0)?, number(1)?.max(1));
    let place = place.join(format!("stayput-throughput-{}", std::process::id()));
    let done = compare(&place, orders, bystanders, rounds);
    let removed = fs::remove_dir_all(&place);
    // First what went wrong at work: nothing may have been made that could be removed.
    done?;
    removed?;
    println!("peak {} kB", peak()?);
    Ok(())
}

fn compare(place: &Path, orders: usize, bystanders: usize, rounds: usize) -> Result<()> {
    let counts: Vec<_> = [FEW, bystanders].into_iter().filter(|count| *count > 0).collect();
    let places: Vec<_> = counts.iter().map(|count| place.join(format!("beside-{count}"))).collect();
    for (place, count) in places.iter().zip(&counts) {
        fs::create_dir_all(place.join("source"))?;
        (0..*count).try_for_each(|number| fs::write(place.join(format!("source/bystander-{number}")), ""))?;
    }
    for batch in [1, 10, 32] {
        let mut seen = vec![Vec::new(); places.len()];
        for round in 0..rounds {
            // Each of them is first in every other round.
            for turn in 0..places.len() {
                let which = (turn + round) % places.len();
                seen[which].push(measure(&places[which], orders, batch)?);
            }
        }
        for (count, seen) in counts.iter().zip(&seen) {
            let [rate, cpu] = [|one: &Measured| one.rate, |one: &Measured| one.cpu]
                .map(|field| median(&seen.iter().map(field).collect::<Vec<_>>()));
            println!(
                "batches of {batch:2} beside {count:7} files: {rate:.0} orders a second, {cpu:.4} CPU-s per 1,000"
            );
        }
        if let [few, many] = &seen[..] {
            let more = few.iter().zip(many).map(|(few, many)| (many.cpu / few.cpu - 1.0) * 100.0);
            let more: Vec<_> = more.collect();
            let [low, middle, high] = [1, 2, 3].map(|number| quarter(&more, number));
            println!(
                "    {middle:+.1} % in the middle, half of {rounds} rounds between {low:+.1} and {high:+.1} %"
            );
        }
    }
    Ok(())
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Orders a second.
    rate: f64,
    /// CPU seconds per 1,000.
    cpu: f64,
}

fn measure(place: &Path, count: usize, batch: usize) -> Result<Measured> {
    let folders = ["source", "destination", "log"].map(|name| place.join(name));
    folders.iter().try_for_each(fs::create_dir_all)?;
    let mut orders = Vec::with_capacity(count);
    for number in 0..count {
        let name = format!("order-{number:08}.csv");
        fs::write(folders[0].join(&name), format!("content of {number}"))?;
        // As long as a message id.
        let key = OrderKey::new(format!("{number:036}").as_bytes()).ok_or("a key has 36 bytes")?;
        orders.push(Order { key, naming: Naming::Suffixed, name: name.into_bytes() });
    }
    let [source, destination, log] = folders.each_ref().map(|folder| Linux.folder(folder));
    let settings = Settings { quiet: Duration::ZERO, ..Settings::default() };
    let mut mover = Mover::open(Linux, source?, destination?, log?, settings)?;
    let (cpu, start) = (cpu(), Instant::now());
    for orders in orders.chunks(batch) {
        if mover.carry_out(orders).iter().any(|outcome| *outcome != Outcome::Done) {
            return Err("an order was not done".into());
        }
        mover.acknowledge(orders.iter().map(|order| &order.key));
    }
    let (taken, cpu) = (start.elapsed().as_secs_f64(), self::cpu() - cpu);
    drop(mover);
    folders[1..].iter().try_for_each(fs::remove_dir_all)?;
    let count = count as f64;
    Ok(Measured { rate: count / taken, cpu: cpu * 1_000.0 / count })
}

/// CPU seconds of this process, its own and the kernel's for it.
fn cpu() -> f64 {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    clock.tv_sec as f64 + clock.tv_nsec as f64 / 1e9
}

fn median(values: &[f64]) -> f64 {
    quarter(values, 2)
}

/// The value that so many quarters of them lie below.
fn quarter(values: &[f64], number: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len().saturating_sub(1)) * number / 4).copied().unwrap_or_default()
}

fn peak() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").to_owned())
}
