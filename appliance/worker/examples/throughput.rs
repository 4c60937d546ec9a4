//! How many orders a mover carries out in a second, and what it costs: `throughput FOLDER [ORDERS]`.
//!
//! Makes small files in a folder of its own beneath FOLDER (on tmpfs, on a disk) and moves them with everything on that
//! makes them durable. Courier and mover together, and among many other files: the example `bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stayput_worker::disk::Linux;
use stayput_worker::{Mover, Naming, Order, OrderKey, Outcome, Settings};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let place = PathBuf::from(arguments.next().ok_or("name a folder to work in")?);
    let orders = arguments.next().map_or(Ok(2_000), |text| text.to_string_lossy().parse())?;
    let place = place.join(format!("stayput-throughput-{}", std::process::id()));
    let done = [1, 10, 32].iter().try_for_each(|batch| measure(&place, orders, *batch));
    let removed = fs::remove_dir_all(&place);
    // First what went wrong at work: nothing may have been made that could be removed.
    done?;
    removed?;
    println!("peak {} kB", peak()?);
    Ok(())
}

fn measure(place: &Path, count: usize, batch: usize) -> Result<()> {
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
    folders.iter().try_for_each(fs::remove_dir_all)?;
    let (rate, cpu) = (count as f64 / taken, cpu * 1_000.0 / count as f64);
    println!("batches of {batch:2}: {rate:.0} orders a second, {cpu:.4} CPU-s per 1,000");
    Ok(())
}

/// CPU seconds of this process, its own and the kernel's for it.
fn cpu() -> f64 {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    clock.tv_sec as f64 + clock.tv_nsec as f64 / 1e9
}

fn peak() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").to_owned())
}
