//! What takes its time: a storm over all parts, and what the status part uses while nothing happens.

mod stage;
#[allow(dead_code)] // no light is looked at here
mod watch;

use stayput_harness::{Machine, Result};
use stayput_health::Part;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use watch::parts::{calm, process, silence_the_parts, with_the_worker};

fn main() -> ExitCode {
    stage::run_shared(&[
        ("a_storm_that_kills_every_part_every_second_ends_as_it_began", storm),
        ("the_status_part_keeps_its_budget_of_processor_and_memory", budget),
    ])
}

fn storm(machine: &mut Machine) -> Result<()> {
    let before = with_the_worker(machine)?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(120) {
        machine.probe()?.run(&[
            "systemctl",
            "kill",
            "--kill-whom=main",
            "--signal=SIGKILL",
            "stayput-*.service",
        ])?;
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(calm(machine)?, before, "after the storm");
    let failed = machine.probe()?.failed_units()?;
    assert!(failed.is_empty(), "{failed:?}");
    for part in [Part::Status, Part::Courier, Part::Mover] {
        assert!(process(machine, part)?.is_some(), "{part} is not back");
    }
    Ok(())
}

/// How often each thread of the status part has gone to sleep.
fn wake_ups(machine: &mut Machine) -> Result<BTreeMap<String, u64>> {
    let tasks = format!("/proc/{}/task", process(machine, Part::Status)?.expect("the status part runs"));
    let mut counts = BTreeMap::new();
    for entry in machine.probe()?.list(&tasks)? {
        let status = machine.probe()?.text(&format!("{tasks}/{}/status", entry.name))?;
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
        };
        counts.insert(field("Name:"), field("voluntary_ctxt_switches:").parse().unwrap_or_default());
    }
    Ok(counts)
}

fn budget(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    const GROUP: &str = "/sys/fs/cgroup/stayput.slice/stayput-status.service";
    let minutes =
        std::env::var("STAYPUT_BUDGET_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let used = |machine: &mut Machine| -> Result<(f64, f64)> {
        let text = machine.probe()?.text(&format!("{GROUP}/cpu.stat"))?;
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<f64>().ok());
        Ok((micros.expect("the group counts its processor time") / 1e6, machine.probe()?.uptime()?))
    };
    let woken = wake_ups(machine)?;
    let (cpu, time) = used(machine)?;
    std::thread::sleep(Duration::from_secs(60 * minutes));
    let (cpu_after, time_after) = used(machine)?;
    let share = (cpu_after - cpu) / (time_after - time) * 100.0;
    for (thread, count) in wake_ups(machine)? {
        let before = woken.get(&thread).copied().unwrap_or_default();
        eprintln!(
            "thread {thread}: {:.1} wake-ups a minute",
            (count - before) as f64 / (time_after - time) * 60.0
        );
    }
    let bytes = machine.probe()?.text(&format!("{GROUP}/memory.current"))?;
    let current: u64 = bytes.trim().parse().expect("a number of bytes");
    let stat = machine.probe()?.text(&format!("{GROUP}/memory.stat"))?;
    let of = |name: &str| -> u64 {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap_or_default()
    };
    let (anon, file, kernel) = (of("anon "), of("file "), of("kernel "));
    eprintln!(
        "status part: {share:.3} % of a vCPU over {:.0} s; {current} bytes: {anon} of its own, {file} of files, {kernel} of the kernel's",
        time_after - time
    );
    assert!(share <= 0.2, "{share} %");
    assert!(anon + kernel <= 5_000_000, "{current} bytes: {stat}");
    Ok(())
}
