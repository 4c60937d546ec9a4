//! How many orders a mover carries out in a second, and what it costs: `throughput FOLDER [ORDERS [BYSTANDERS]]`.
//!
//! Makes small files in a folder of its own beneath FOLDER (on tmpfs, on a disk), beside BYSTANDERS other files, moves them
//! with everything on that makes them durable, and prints orders per second, CPU per 1,000 orders and the peak memory of
//! the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stayput_worker::disk::Linux;
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let place = PathBuf::from(arguments.next().ok_or("name a folder to work in")?);
    let mut number = |default: usize| match arguments.next() {
        Some(text) => text.to_string_lossy().parse(),
        None => Ok(default),
    };
    let (orders, bystanders) = (number(2_000)?, number(0)?);
    for batch in [1, 10, 32] {
        let place = place.join(format!("stayput-throughput-{}", std::process::id()));
        let measured = measure(&place, orders, bystanders, batch);
        fs::remove_dir_all(&place)?;
        println!("{}", measured?);
    }
    Ok(())
}

fn measure(
    place: &Path,
    count: usize,
    bystanders: usize,
    batch: usize,
) -> Result<String, Box<dyn std::error::Error>> {
    let folders = ["source", "destination", "log"].map(|name| place.join(name));
    folders.iter().try_for_each(fs::create_dir_all)?;
    (0..bystanders).try_for_each(|number| fs::write(folders[0].join(format!("bystander-{number}")), ""))?;
    let mut orders = Vec::with_capacity(count);
    for number in 0..count {
        let name = format!("order-{number:08}.csv");
        fs::write(folders[0].join(&name), format!("content of {number}"))?;
        // As long as a message id.
        let key = OrderKey::new(format!("{number:036}").as_bytes()).ok_or("a key has 36 bytes")?;
        orders.push(Order { key, naming: Naming::Suffixed, name: name.into_bytes() });
    }
    let [source, destination, log] = folders.map(|folder| Linux.folder(&folder));
    let settings = Settings { quiet: Duration::ZERO, ..Settings::default() };
    let mut mover = Mover::open(Linux, source?, destination?, log?, settings)?;
    let (cpu, start) = (cpu()?, Instant::now());
    for orders in orders.chunks(batch) {
        if mover.carry_out(orders).iter().any(|outcome| *outcome != Outcome::Done) {
            return Err("an order was not done".into());
        }
        mover.acknowledge(orders.iter().map(|order| &order.key));
    }
    let (taken, cpu) = (start.elapsed().as_secs_f64(), self::cpu()? - cpu);
    let per_thousand = 1_000.0 / count as f64;
    Ok(format!(
        "batches of {batch:2}: {count} orders, {:.0} a second, {:.4} CPU-s per 1,000, peak {} kB",
        count as f64 / taken,
        cpu * per_thousand,
        peak()?
    ))
}

/// CPU seconds of this process, its own and the kernel's for it.
fn cpu() -> Result<f64, Box<dyn std::error::Error>> {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(clock.tv_sec as f64 + clock.tv_nsec as f64 / 1e9)
}

fn peak() -> Result<String, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").to_owned())
}
