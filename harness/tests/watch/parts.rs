//! The box's parts as a test handles them: it speaks for them, ends them, and waits until the box has calmed down.

use super::wait_for_verdict;
use crate::stage::worker::{start_courier, start_mover};
use serde_json::json;
use stayput_harness::{Machine, Result};
use stayput_health::{Code, Part, State};
use std::time::{Duration, Instant};

/// Where a part's health file is.
fn health(part: Part) -> String {
    format!("{}/{}", stayput_health::DIRECTORY, part.file_name())
}

/// Writes a health file in the place of a part.
pub fn say(machine: &mut Machine, part: Part, state: State, code: Code) -> Result<()> {
    let probe = machine.probe()?;
    let boot_ms = (probe.uptime()? * 1000.0) as u64;
    let moment = json!({ "unix": 1_795_000_000, "boot_ms": boot_ms });
    let report = json!({
        "version": 1, "part": part.name(), "state": state.as_str(), "code": code.as_str(),
        "since": moment, "written": moment,
    });
    let path = health(part);
    let report = report.to_string();
    // In a folder that everybody may write to, not even root may make a file anew that is another user's.
    if probe.exists(&path)? {
        return probe.write(&path, report.as_bytes());
    }
    probe.create(&path, report.as_bytes())
}

/// Ends all parts but the status part, so that the test's health files stand alone.
pub fn silence_the_parts(machine: &mut Machine) -> Result<()> {
    for part in Part::ALL.iter().filter(|part| !matches!(part, Part::Init | Part::Status)) {
        let unit = format!("stayput-{part}.service");
        // A part that is not on this image has no unit to stop.
        machine.probe()?.run(&["systemctl", "stop", &unit])?;
        say(machine, *part, State::Stopped, Code::Stopped)?;
    }
    wait_for_verdict(machine, Code::Running, Duration::from_secs(60)).map(drop)
}

/// The number of the process that a part's unit has, if it runs.
pub fn process(machine: &mut Machine, part: Part) -> Result<Option<String>> {
    let unit = format!("stayput-{part}.service");
    let properties = machine.probe()?.properties(Some(&unit), &["MainPID"])?;
    Ok(properties.get("MainPID").filter(|pid| *pid != "0").cloned())
}

/// Kills its process, as the kernel might.
pub fn kill(machine: &mut Machine, part: Part) -> Result<()> {
    let unit = format!("stayput-{part}.service");
    machine.probe()?.run(&["systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", &unit]).map(drop)
}

/// The verdict's code, once the box has calmed down: what a start leaves behind is over after a minute,
/// and a part that died is mourned for some seconds.
pub fn calm(machine: &mut Machine) -> Result<String> {
    let deadline = machine.deadline(Duration::from_secs(180));
    let (mut last, mut since) = (String::new(), Instant::now());
    let settled = deadline.poll(|| {
        let text = machine.probe()?.text("/run/stayput/status/verdict.json")?;
        let code =
            text.split(r#""state":{"code":""#).nth(1).and_then(|rest| rest.get(..6)).unwrap_or_default();
        if last != code {
            (last, since) = (code.to_owned(), Instant::now());
        }
        let on_its_way =
            [Code::Booting, Code::Starting, Code::PartDead].iter().any(|code| last == code.as_str());
        let lasted = since.elapsed() >= Duration::from_secs(20);
        Ok::<_, stayput_harness::Error>((lasted && !on_its_way && !last.is_empty()).then(|| last.clone()))
    })?;
    Ok(settled.unwrap_or_else(|| panic!("the box does not calm down: {last} at last")))
}

/// Turns the worker on, and waits until both halves speak.
pub fn with_the_worker(machine: &mut Machine) -> Result<String> {
    start_mover(machine.probe()?)?;
    machine.probe()?.output(&["systemctl", "start", "stayput-mover.service"])?;
    start_courier(machine.probe()?)?;
    calm(machine)
}
