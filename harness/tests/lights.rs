//! The lights of the box, read from outside: they follow the table, a dead part changes them, and nothing wears out.

mod stage;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use stayput_harness::{Leds, Machine, Result};
use stayput_health::{Code, Part, State};
use stayput_status::{Lamp, Rhythm, Segment, row};
use watch::parts::{calm, kill, process, say, silence_the_parts, with_the_worker};
use watch::{LEAST, Watched, assert_shows, wait_for_verdict};

fn main() -> ExitCode {
    let alone = stage::run_alone(&[(
        "a_box_says_with_its_lights_that_it_boots_wants_its_file_is_well_shuts_down_and_may_be_unplugged",
        from_power_on_to_unplug,
    )]);
    let shared = stage::run_shared(&[
        ("each_state_has_its_rhythm_on_the_pins", states),
        ("a_killed_status_part_changes_the_light_and_is_back_by_itself", status_killed),
        ("a_killed_courier_or_mover_changes_the_light_and_is_back_by_itself", worker_killed),
        ("a_light_that_is_taken_away_is_said_once_and_used_again_when_it_is_back", light_taken_away),
        ("the_box_that_was_asked_for_shows_itself_and_stops_by_itself", located),
        ("a_start_that_fails_is_shown_at_once", failed_start),
        ("wired_lights_blink_on_their_lines_and_a_line_in_use_is_said_once", wired),
    ]);
    if alone == ExitCode::SUCCESS { shared } else { alone }
}

fn from_power_on_to_unplug() -> Result<()> {
    let mut machine = Machine::start(stage::virt())?;
    let all = Leds { green: true, yellow: true, red: true };
    let watched = Watched::until(&mut machine, Duration::from_secs(240), |watched| watched.ever(all))?;
    assert!(watched.ever(all), "the lights were not tried: {watched:?}");
    // Before the status part is there, the kernel alone shows that the box boots.
    let booting = row(Code::Booting).look();
    let yellow = watched.of(Lamp::Yellow, Duration::ZERO);
    let slow = yellow.windows(5).any(|window| Rhythm::seen(window) == Some(Rhythm::Slow));
    assert!(slow, "{booting} was not seen: {yellow:?}");
    let red = watched.of(Lamp::Red, Duration::ZERO);
    assert!(red.len() <= 2, "red was lit before the lamps were tried: {red:?}");

    stage::assert_running(&mut machine)?;
    // Nobody has put a file on this card.
    wait_for_verdict(&mut machine, Code::ConfigMissing, Duration::from_secs(120))?;
    assert_shows(&mut machine, Code::ConfigMissing)?;
    silence_the_parts(&mut machine)?;
    assert_shows(&mut machine, Code::Running)?;

    // QEMU stands still instead of ending, so that the lights of a stopped box can be read.
    machine.qmp()?.execute("set-action", json!({ "shutdown": "pause" }))?;
    // As the hat's keys do it: the box's own way, and an answer before the probe is ended with everything else.
    machine.probe()?.create("/run/stayput/status/power-off", b"")?;
    let deadline = machine.deadline(Duration::from_secs(180));
    let shutting = row(Code::ShuttingDown).look();
    // A shutdown may take no longer than five seconds, and a processor that has much to do blinks unevenly.
    let quick = |part: &[Segment]| part.iter().all(|segment| (60..=400).contains(&segment.ms));
    let follows = |watched: &Watched, lamp: Lamp| {
        let seen = watched.of(lamp, Duration::ZERO);
        match shutting.rhythm(lamp) {
            Rhythm::Fast => seen.windows(14).any(quick),
            Rhythm::Dark => seen.iter().all(|segment| !segment.lit),
            other => panic!("no measure here for {other}"),
        }
    };
    let watched = Watched::until(&mut machine, Duration::from_secs(60), |watched| {
        Lamp::ALL.iter().all(|lamp| follows(watched, *lamp))
    })?;
    assert!(Lamp::ALL.iter().all(|lamp| follows(&watched, *lamp)), "{watched:?}");
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

fn worker_killed(machine: &mut Machine) -> Result<()> {
    let before = with_the_worker(machine)?;
    for part in [Part::Courier, Part::Mover] {
        let process_before = process(machine, part)?;
        assert!(process_before.is_some(), "{part} does not run");
        kill(machine, part)?;
        wait_for_verdict(machine, Code::PartDead, Duration::from_secs(15))?;
        assert_eq!(calm(machine)?, before, "after {part} was killed");
        assert_ne!(process(machine, part)?, process_before, "{part}");
    }
    Ok(())
}

/// What the status part has said of `subject`.
fn said_of(machine: &mut Machine, subject: &str) -> Result<Vec<String>> {
    let journal = ["journalctl", "--no-pager", "--output=cat", "--unit=stayput-status.service"];
    let text = machine.probe()?.output(&journal)?;
    Ok(text.lines().filter(|line| line.starts_with(subject)).map(str::to_owned).collect())
}

fn light_taken_away(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    const DRIVER: &str = "/sys/bus/platform/drivers/leds-gpio";
    machine.probe()?.write(&format!("{DRIVER}/unbind"), b"leds")?;
    let said = |machine: &mut Machine| said_of(machine, "light 'status:");
    let deadline = machine.deadline(Duration::from_secs(30));
    let missed = deadline.poll(|| said(machine).map(|lines| (!lines.is_empty()).then_some(lines)))?;
    let missed = missed.expect("the missing light is said");
    // That nothing is said takes time to see: long enough for several tries.
    std::thread::sleep(Duration::from_secs(20));
    let later = said(machine)?;
    assert!(later.len() <= missed.len() + 1, "said again and again: {later:#?}");
    machine.probe()?.write(&format!("{DRIVER}/bind"), b"leds")?;
    assert_shows(machine, Code::Running)
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

/// A unit that is no part of ours.
const FAILS: &[u8] = b"[Service]\nType=oneshot\nExecStart=/usr/bin/umount /nowhere\n";

fn failed_start(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    // From its start on it asks for the system's state every three minutes: what it shows before then, it was told.
    machine.probe()?.output(&["systemctl", "restart", "stayput-status.service"])?;
    let asked = machine.probe()?.uptime()?;
    wait_for_verdict(machine, Code::Running, Duration::from_secs(30))?;
    machine.probe()?.create("/run/systemd/system/fails.service", FAILS)?;
    machine.probe()?.run(&["systemctl", "start", "fails.service"])?;
    wait_for_verdict(machine, Code::PartDegraded, Duration::from_secs(30))?;
    let told = machine.probe()?.uptime()? - asked;
    assert!(told < 150.0, "after {told} s it may as well have asked");
    Ok(())
}

/// The configuration as the part `setup` leaves it, with three lights of one's own: a line that is free, one that the kernel's
/// LED driver has, and one that the power key has.
const WIRED: &str = r#"version = 1
[device]
name = "box"
[activation]
region = "eu-central-1"
id = "01234567-89ab-cdef-0123-456789abcdef"
code = "EXAMPLE/CodeOf20Char"
[ecs]
cluster = "c"
[[status.led]]
name = "free"
role = "fault"
chip = "9030000.pl061"
line = 4
[[status.led]]
name = "kernels"
role = "ok"
chip = "9030000.pl061"
line = 0
[[status.led]]
name = "busy"
role = "busy"
chip = "9030000.pl061"
line = 3
"#;

fn wired(machine: &mut Machine) -> Result<()> {
    silence_the_parts(machine)?;
    // No shell and no mkdir on the box: systemd makes the folder.
    let folder = "/run/tmpfiles.d/test.conf";
    machine.probe()?.create(folder, b"d /run/stayput/setup 0755 root root -\n")?;
    machine.probe()?.output(&["systemd-tmpfiles", "--create", folder])?;
    machine.probe()?.create("/run/stayput/setup/stayput.toml", WIRED.as_bytes())?;
    machine.probe()?.output(&["systemctl", "restart", "stayput-status.service"])?;
    wait_for_verdict(machine, Code::Running, Duration::from_secs(60))?;
    say(machine, Part::Setup, State::Failed, Code::NoLink)?;
    wait_for_verdict(machine, Code::NoLink, Duration::from_secs(20))?;
    // Line 4 of the chip, red's part of the fault: two short, pause; then yellow's turn, which the busy line cannot take.
    let line4 = |machine: &mut Machine| -> Result<bool> {
        let answer = machine.qmp()?.monitor("xp /1xb 0x09030040")?;
        Ok(answer.trim().ends_with("0x10"))
    };
    let deadline = machine.deadline(Duration::from_secs(60));
    let began = Instant::now();
    let mut changes: Vec<(Duration, bool)> = Vec::new();
    let wanted = Some(row(Code::NoLink).look().rhythm(Lamp::Red));
    loop {
        assert!(!deadline.passed(), "line 4 did {changes:?}");
        let lit = line4(machine)?;
        if changes.last().is_some_and(|(_, last)| *last == lit) {
            continue;
        }
        // The last while only: what a busy processor once delayed must not spoil all that follows.
        let end = began.elapsed();
        changes.push((end, lit));
        let segments: Vec<_> = changes
            .windows(2)
            .filter(|pair| pair[0].0 + LEAST >= end)
            .map(|pair| Segment { lit: pair[0].1, ms: (pair[1].0 - pair[0].0).as_millis() as u32 })
            .collect();
        if end >= LEAST && Rhythm::seen(&segments) == wanted {
            break;
        }
    }
    let busy = said_of(machine, "light 'busy'")?;
    assert!(busy.len() == 1 && busy[0].contains("in use by"), "{busy:#?}");
    assert_eq!(said_of(machine, "light 'free'")?, Vec::<String>::new());
    assert_eq!(said_of(machine, "light 'kernels'")?, Vec::<String>::new());
    Ok(())
}
