//! Measures boots and the memory that an idle box takes, engine off and on; prints JSON and a table for scripts/bench.
//!
//! `STAYPUT_IMAGE=… STAYPUT_UBOOT=… STAYPUT_PROBE=… cargo run --release -p stayput-harness --example measure`
//!
//! `STAYPUT_PEER` names a disk to compare with: the two are booted in turns by the same U-Boot with the same QEMU options,
//! `STAYPUT_ROUNDS` times each (1), and the table holds the medians. Figures, not judgements: the machine it runs on decides
//! half of them. The probe's own half megabyte is in.

use serde_json::{Value, json};
use stayput_harness::{Error, Machine, Options, Probe, Result};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The engine's units, in the order to start them.
const ENGINE: [&str; 2] = ["containerd.service", "docker.service"];

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The rows of the table: where in a measurement the figure is, and its unit.
const ROWS: [(&str, &str, &str); 5] = [
    ("power on to running", "/boot_host_seconds", "s"),
    ("kernel start to running", "/boot_to_running_guest_seconds", "s"),
    ("memory used, engine off", "/engine_off/used_mib", "MiB"),
    ("memory used, engine on", "/engine_on/used_mib", "MiB"),
    ("start of the engine", "/engine_on/start_host_seconds", "s"),
];

fn compare() -> Result<()> {
    let rounds = std::env::var("STAYPUT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut sides = vec![("stayput", input("STAYPUT_IMAGE")?, Vec::new())];
    sides.extend(std::env::var("STAYPUT_PEER").ok().map(|disk| ("mmdebstrap", disk, Vec::new())));
    for _ in 0..rounds {
        for (name, image, figures) in &mut sides {
            let measured = measure(image)?;
            println!("{}", json!({ *name: measured }));
            figures.push(measured);
        }
    }
    let names: Vec<_> = sides.iter().map(|(name, ..)| *name).collect();
    println!("\n| median of {rounds} | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for (what, place, unit) in ROWS {
        let figure = |figures: &Vec<Value>| {
            let found = figures.iter().filter_map(|one| one.pointer(place)?.as_f64()).collect();
            median(found).map_or("unknown".to_owned(), |figure| format!("{figure:.1} {unit}"))
        };
        let figures: Vec<_> = sides.iter().map(|(_, _, figures)| figure(figures)).collect();
        println!("| {what} | {} |", figures.join(" | "));
    }
    Ok(())
}

/// The middle one; of two in the middle the lower.
fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied()
}

fn input(name: &str) -> Result<String> {
    std::env::var(name)
        .map_err(|_| Error::OnTheBox(format!("nothing yet: {name} is not set (docs/testing.md)")))
}

fn measure(image: &str) -> Result<Value> {
    let options = Options::new(image, input("STAYPUT_UBOOT")?).with_probe(input("STAYPUT_PROBE")?);
    let memory_mib = options.memory;
    let started = Instant::now();
    let mut machine = Machine::start(options)?;
    let state = machine.wait_until_started()?;
    let host = started.elapsed();
    let probe = machine.probe()?;
    let stamps = ["UserspaceTimestampMonotonic", "FinishTimestampMonotonic"];
    let stamps = probe.properties(None, &stamps)?;
    let seconds =
        |name: &str| stamps.get(name).and_then(|value| value.parse::<f64>().ok()).map(|us| us / 1e6);
    // Drivers are loaded by udev's workers, which are programs too while they last.
    probe.output(&["udevadm", "settle", "--timeout=600"])?;
    let off = settled(probe)?;
    let engine = engine(probe)?;
    Ok(json!({
        "memory_mib": memory_mib,
        "state": state,
        "boot_host_seconds": round(host.as_secs_f64()),
        // Since the kernel's start: without firmware, U-Boot and the unpacking of the kernel.
        "boot_to_systemd_guest_seconds": seconds("UserspaceTimestampMonotonic").map(round),
        "boot_to_running_guest_seconds": seconds("FinishTimestampMonotonic").map(round),
        "engine_off": off,
        "engine_on": engine,
    }))
}

fn round(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

/// Memory once it no longer moves: three looks in a row within 1 MiB, or the last of a minute's.
fn settled(probe: &mut Probe) -> Result<Value> {
    let end = Instant::now() + Duration::from_secs(60);
    let mut looks = vec![probe.memory()?.used_kib()];
    loop {
        std::thread::sleep(Duration::from_secs(2));
        looks.push(probe.memory()?.used_kib());
        let last = &looks[looks.len().saturating_sub(3)..];
        let spread = last.iter().max().zip(last.iter().min()).map_or(0, |(most, least)| most - least);
        if (last.len() == 3 && spread <= 1024) || Instant::now() > end {
            break;
        }
    }
    let mut programs: Vec<_> =
        probe.processes()?.into_iter().filter_map(|p| Some((p.resident_kib?, p.name))).collect();
    programs.sort_by(|a, b| b.cmp(a));
    programs.truncate(8);
    let total = probe.memory()?.total_kib;
    let used = looks.last().copied().unwrap_or_default();
    Ok(json!({
        "used_mib": round(used as f64 / 1024.0),
        "total_mib": round(total as f64 / 1024.0),
        "resident_mib": programs.into_iter().map(|(kib, name)| format!("{name} {}", round(kib as f64 / 1024.0))).collect::<Vec<_>>(),
    }))
}

/// The engine is in the image and off; here it is started as a later part will do it.
fn engine(probe: &mut Probe) -> Result<Value> {
    if !probe.exists("/usr/lib/systemd/system/docker.service")? {
        return Ok(json!("not in this image"));
    }
    let started = Instant::now();
    for unit in ENGINE {
        let ran = probe.run_for(&["systemctl", "start", unit], Duration::from_secs(180))?;
        if ran.code != Some(0) {
            let log = ["journalctl", "--no-pager", "--lines=20", "--output=cat", "--unit", unit];
            let log = probe.output(&log).unwrap_or_default();
            return Ok(json!({ "failed": unit, "journal": log }));
        }
    }
    let start = started.elapsed();
    let mut figures = settled(probe)?;
    figures["start_host_seconds"] = json!(round(start.as_secs_f64()));
    Ok(figures)
}
