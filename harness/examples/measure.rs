//! Measures one boot and the memory that an idle box takes, engine off and on; prints JSON for scripts/bench.
//!
//! `STAYPUT_IMAGE=… STAYPUT_UBOOT=… STAYPUT_PROBE=… cargo run --release -p stayput-harness --example measure`
//!
//! Figures, not judgements: the machine it runs on decides half of them. The probe's own half megabyte is in.

use serde_json::{Value, json};
use stayput_harness::{Error, Machine, Options, Probe, Result};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The engine's units, in the order to start them.
const ENGINE: [&str; 2] = ["containerd.service", "docker.service"];

fn main() -> ExitCode {
    match measure() {
        Ok(figures) => {
            println!("{figures:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn input(name: &str) -> Result<String> {
    std::env::var(name)
        .map_err(|_| Error::OnTheBox(format!("nothing yet: {name} is not set (docs/testing.md)")))
}

fn measure() -> Result<Value> {
    let options =
        Options::new(input("STAYPUT_IMAGE")?, input("STAYPUT_UBOOT")?).with_probe(input("STAYPUT_PROBE")?);
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
