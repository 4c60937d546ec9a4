//! The lights of the box, read from outside: they follow the table, a dead part changes them, and nothing wears out.

mod stage;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use stayput_harness::{Leds, Machine, Result};
use stayput_health::{Code, Part, State};
use stayput_status::{Rhythm, row};
use watch::{Watched, assert_shows, wait_for_verdict};

fn main() -> ExitCode {
    let alone = stage::run_alone(&[(
        "a_box_says_with_its_lights_that_it_boots_is_well_shuts_down_and_may_be_unplugged",
        from_power_on_to_unplug,
    )]);
    let shared = stage::run_shared(&[
        ("each_state_has_its_rhythm_on_the_pins", states),
        ("a_killed_status_part_changes_the_light_and_is_back_by_itself", status_killed),
        ("a_light_that_is_taken_away_is_said_once_and_used_again_when_it_is_back", light_taken_away),
        ("the_box_that_was_asked_for_shows_itself_and_stops_by_itself", located),
    ]);
    if alone == ExitCode::SUCCESS { shared } else { alone }
}

/// Where a part's health file is.
fn health(part: Part) -> String {
    format!("{}/{}", stayput_health::DIRECTORY, part.file_name())
}

/// Writes a health file in the place of a part.
fn say(machine: &mut Machine, part: Part, state: State, code: Code) -> Result<()> {
    let probe = machine.probe()?;
    let boot_ms = (probe.uptime()? * 1000.0) as u64;
    let moment = json!({ "unix": 1_795_000_000, "boot_ms": boot_ms });
    let report = json!({
        "version": 1, "part": part.name(), "state": state.as_str(), "code": code.as_str(),
        "since": moment, "written": moment,
    });
    probe.create(&health(part), report.to_string().as_bytes())
}

/// Ends all parts but the status part, so that the test's health files stand alone.
fn silence_the_parts(machine: &mut Machine) -> Result<()> {
    for part in Part::ALL.iter().filter(|part| !matches!(part, Part::Init | Part::Status)) {
        let unit = format!("stayput-{part}.service");
        // A part that is not on this image has no unit to stop.
        machine.probe()?.run(&["systemctl", "stop", &unit])?;
        say(machine, *part, State::Stopped, Code::Stopped)?;
    }
    wait_for_verdict(machine, Code::Running, Duration::from_secs(60)).map(drop)
}

fn from_power_on_to_unplug() -> Result<()> {
    let mut machine = Machine::start(stage::virt())?;
    let all = Leds { green: true, yellow: true, red: true };
    let watched = Watched::until(&mut machine, Duration::from_secs(240), |watched| watched.ever(all))?;
    assert!(watched.ever(all), "the lights were not tried: {watched:?}");
    // Before the status part is there, the kernel alone shows that the box boots.
    let booting = row(Code::Booting).look();
    let yellow = watched.of(stayput_status::Lamp::Yellow, Duration::ZERO);
    let slow = yellow.windows(5).any(|window| Rhythm::seen(window) == Some(Rhythm::Slow));
    assert!(slow, "{booting} was not seen: {yellow:?}");
    let red = watched.of(stayput_status::Lamp::Red, Duration::ZERO);
    assert!(red.len() <= 2, "red was lit before the lamps were tried: {red:?}");

    stage::assert_running(&mut machine)?;
    wait_for_verdict(&mut machine, Code::Running, Duration::from_secs(120))?;
    assert_shows(&mut machine, Code::Running)?;

    // QEMU stands still instead of ending, so that the lights of a stopped box can be read.
    machine.qmp()?.execute("set-action", json!({ "shutdown": "pause" }))?;
    let order = ["systemctl", "poweroff", "--no-block"];
    machine.probe()?.output(&order)?;
    let deadline = machine.deadline(Duration::from_secs(180));
    let shutting = row(Code::ShuttingDown).look();
    let wanted = stayput_status::Lamp::ALL.map(|lamp| Some(shutting.rhythm(lamp)));
    let long = Duration::from_secs(3);
    let watched = Watched::until(&mut machine, Duration::from_secs(60), |watched| {
        watched.lasted() > long && watched.rhythms(long) == wanted
    })?;
    assert_eq!(watched.rhythms(long), wanted, "{watched:?}");
    let stopped = machine.qmp()?.wait_for_event("SHUTDOWN", &deadline);
    stopped?;
    let yellow_alone = Leds { yellow: true, ..Leds::DARK };
    machine.wait_for_leds(yellow_alone, Duration::from_secs(5))
}

fn states(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    assert_shows(machine, Code::Running)?;
    let told = [
        (Part::Setup, State::Failed, Code::ConfigMissing),
        (Part::Identity, State::Starting, Code::Activating),
        (Part::Courier, State::Running, Code::Working),
        (Part::Identity, State::Degraded, Code::RegionUnreachable),
        (Part::Mover, State::Failed, Code::StorageFault),
        (Part::Mover, State::Running, Code::DiskFilling),
    ];
    for (part, state, code) in told {
        say(machine, part, state, code)?;
        wait_for_verdict(machine, code, Duration::from_secs(20))?;
        assert_shows(machine, code)?;
        say(machine, part, State::Stopped, Code::Stopped)?;
        wait_for_verdict(machine, Code::Running, Duration::from_secs(30))?;
    }
    Ok(())
}

/// The number of the process that a part's unit has, if it runs.
fn process(machine: &mut Machine, part: Part) -> Result<Option<String>> {
    let unit = format!("stayput-{part}.service");
    let properties = machine.probe()?.properties(Some(&unit), &["MainPID"])?;
    Ok(properties.get("MainPID").filter(|pid| *pid != "0").cloned())
}

fn kill(machine: &mut Machine, part: Part) -> Result<()> {
    let unit = format!("stayput-{part}.service");
    machine.probe()?.run(&["systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", &unit]).map(drop)
}

fn status_killed(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    let before = process(machine, Part::Status)?;
    let well = Leds { green: true, ..Leds::DARK };
    machine.wait_for_leds(well, Duration::from_secs(10))?;
    kill(machine, Part::Status)?;
    let watched = Watched::until(machine, Duration::from_secs(15), |watched| {
        watched.lasted() > Duration::from_millis(200) && watched.ever(Leds { red: true, ..Leds::DARK })
    })?;
    assert!(watched.ever(Leds { red: true, ..Leds::DARK }), "nothing changed: {watched:?}");
    wait_for_verdict(machine, Code::PartDead, Duration::from_secs(15))?;
    wait_for_verdict(machine, Code::Running, Duration::from_secs(60))?;
    assert_shows(machine, Code::Running)?;
    assert_ne!(process(machine, Part::Status)?, before);
    Ok(())
}

fn light_taken_away(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    const DRIVER: &str = "/sys/bus/platform/drivers/leds-gpio";
    machine.probe()?.write(&format!("{DRIVER}/unbind"), b"leds")?;
    let said = |machine: &mut Machine| -> Result<Vec<String>> {
        let journal = ["journalctl", "--no-pager", "--output=cat", "--unit=stayput-status.service"];
        let text = machine.probe()?.output(&journal)?;
        Ok(text.lines().filter(|line| line.starts_with("light 'status:")).map(str::to_owned).collect())
    };
    let deadline = machine.deadline(Duration::from_secs(30));
    let missed = deadline.poll(|| said(machine).map(|lines| (lines.len() >= 2).then_some(lines)))?;
    let missed = missed.expect("the missing lights are said");
    // Long enough for several tries.
    std::thread::sleep(Duration::from_secs(20));
    let later = said(machine)?;
    assert!(later.len() <= missed.len() + 1, "said again and again: {later:#?}");
    machine.probe()?.write(&format!("{DRIVER}/bind"), b"leds")?;
    Ok(())
}

fn located(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    machine.probe()?.output(&["/usr/lib/stayput/box", "status", "ask", "locate"])?;
    wait_for_verdict(machine, Code::Locate, Duration::from_secs(10))?;
    assert_shows(machine, Code::Locate)?;
    wait_for_verdict(machine, Code::Running, Duration::from_secs(90))?;
    assert!(!machine.probe()?.exists("/run/stayput/ask/locate")?);
    Ok(())
}
