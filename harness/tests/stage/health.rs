//! What the parts of the box say of themselves.

use std::time::Duration;

use stayput_harness::{Error, Machine, Result};
use stayput_health::{Part, Report, State};

/// Reading the root once, and reading and writing a slot, on an emulated processor.
const COPY: Duration = Duration::from_secs(900);

/// Waits for boot-ok's last word.
pub fn boot_ok(machine: &mut Machine) -> Result<Report> {
    let deadline = machine.deadline(COPY);
    let mut last = String::new();
    let done = deadline.poll(|| {
        let report = match health(machine, Part::BootOk) {
            Ok(report) => report,
            Err(Error::OnTheBox(why)) if why.contains("No such file") => return Ok(None),
            Err(other) => return Err(other),
        };
        last = format!("{report:?}");
        std::thread::sleep(Duration::from_millis(500));
        Ok(matches!(report.state, State::Done | State::Degraded).then_some(report))
    })?;
    done.ok_or_else(|| {
        let journal = ["journalctl", "--no-pager", "--lines=30", "--unit=stayput-boot-ok.service"];
        let journal = machine.probe().and_then(|probe| probe.output(&journal)).unwrap_or_default();
        let seen = format!("Its health file: {last}\n{journal}");
        Error::Late { what: "boot-ok's last word".into(), allowed: deadline.allowed, seen }
    })
}

/// The health file of a part.
pub fn health(machine: &mut Machine, part: Part) -> Result<Report> {
    let path = format!("{}/{}", stayput_health::DIRECTORY, part.file_name());
    Ok(stayput_health::parse(&machine.probe()?.read(&path)?, &path).expect("a health file that can be read"))
}

/// What a report says by this name; nothing where it says nothing.
pub fn fact<'a>(report: &'a Report, name: &str) -> &'a str {
    report.facts.get(name).map(|word| word.as_str()).unwrap_or_default()
}
