//! The hat as a person meets it: what the screen shows, and what the keys do.

mod stage;

use stayput_harness::{Machine, Options, Result};
use stayput_hat::{Care, Frame, HOLD, Key, Page, Published, View, countdown, draw, greeting};
use stayput_health::Code;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    stage::run_alone(&[("the_screen_shows_the_verdict_and_follows_the_keys_to_the_end", screen_and_keys)])
}

/// From power to the first picture: the start of the system, emulated.
const START: Duration = Duration::from_secs(300);
/// From a key to its picture.
const KEY: Duration = Duration::from_secs(30);
/// From the last press to the verdict: a minute and a half, and what an emulated box needs.
const HOME: Duration = Duration::from_secs(150);
/// From a long press to a machine that is off.
const OFF: Duration = Duration::from_secs(180);

/// Where a picture can have been moved to, against burn-in.
fn places() -> impl Iterator<Item = (u32, u32)> {
    (0..9).map(|step| Care::place(Duration::from_secs(120 * step)))
}

/// Whether `shown` is `expected` within `width` by `height` dots from `top` on, wherever the picture was moved to.
fn same(shown: &Published, expected: &Frame, (width, top, height): (u32, u32, u32)) -> bool {
    places().any(|(right, down)| {
        let dots = (top..top + height).flat_map(|y| (0..width).map(move |x| (x, y)));
        dots.into_iter().all(|(x, y)| shown.frame.lit(x + right, y + down) == expected.lit(x, y))
    })
}

/// The state whose verdict is shown: its code in the title and its large line. What stands below tells of the moment.
fn verdict(shown: &Published) -> Option<Code> {
    let is = |code: &Code| {
        let expected = greeting(*code);
        same(shown, &expected, (36, 0, 11)) && same(shown, &expected, (126, 12, 26))
    };
    Code::ALL.iter().copied().find(is)
}

/// Whether the title of `page` is shown, in any state.
fn title(shown: &Published, page: Page) -> bool {
    let columns = if page == Page::Help { 12 } else { 8 };
    let is = |code: &Code| same(shown, &draw(page, 0, &View::of_state(*code)), (6 * columns, 0, 11));
    Code::ALL.iter().any(is)
}

fn tap(machine: &mut Machine, key: Key) -> Result<()> {
    machine.key(key, true)?;
    // A key is down for as long as a finger needs; a bounce of the contact would be shorter.
    std::thread::sleep(Duration::from_millis(200));
    machine.key(key, false)
}

/// Presses a key by `press` until the verdict gives way.
///
/// The machine's own key: QEMU holds it for 10 ms, and the kernel waits 8 to 12 ms before it believes it, so that now and
/// then it looks too late. The keyboard: its driver comes when it comes, and the box looks for new devices every few seconds.
fn press_until_felt(machine: &mut Machine, press: impl Fn(&mut Machine) -> Result<()>) -> Result<()> {
    const TIMES: usize = 10;
    for _ in 0..TIMES {
        press(machine)?;
        let seen = machine.deadline(Duration::from_secs(5));
        let left = machine.screen().wait_for("another page", &seen, |shown| verdict(shown).is_none());
        if left.is_ok() {
            return Ok(());
        }
    }
    panic!("a key was pressed {TIMES} times and no page was turned")
}

fn shows(machine: &Machine, what: &str, wanted: impl Fn(&Published) -> bool) -> Result<Published> {
    machine.screen().wait_for(what, &machine.deadline(KEY), wanted)
}

fn screen_and_keys() -> Result<()> {
    let mut machine = Machine::start(Options { hat: true, ..stage::virt() })?;
    let outcome = walk(&mut machine);
    if outcome.is_err() {
        // What the status part had to say is the other half of the story.
        let journal = machine.probe().and_then(|probe| probe.output(&JOURNAL));
        eprintln!("{}", journal.unwrap_or_else(|error| error.to_string()));
    }
    outcome
}

const JOURNAL: [&str; 3] = ["journalctl", "--unit=stayput-status", "--output=cat"];

fn walk(machine: &mut Machine) -> Result<()> {
    let is_verdict = |shown: &Published| verdict(shown).is_some();
    machine.screen().wait_for("a verdict on the screen", &machine.deadline(START), is_verdict)?;
    machine.wait_until_started()?;
    machine.probe()?.output(&["udevadm", "settle", "--timeout=600"])?;

    // K1 is the machine's power key as well: one code path for keys of any kind.
    shows(machine, "the verdict", is_verdict)?;
    press_until_felt(machine, Machine::press_power_key)?;
    shows(machine, "the help after K1", |shown| title(shown, Page::Help))?;
    // Nobody presses anything: the verdict comes back by itself.
    machine.screen().wait_for("the verdict by itself", &machine.deadline(HOME), is_verdict)?;
    press_until_felt(machine, |machine| tap(machine, Key::K2))?;
    shows(machine, "the help after K2", |shown| title(shown, Page::Help))?;
    tap(machine, Key::K1)?;
    shows(machine, "the network page after K1", |shown| title(shown, Page::Network))?;
    tap(machine, Key::K3)?;
    shows(machine, "the verdict after K3", is_verdict)?;

    // The board has no screen on I2C; that is said once and stops nothing.
    let journal = machine.probe()?.output(&JOURNAL)?;
    assert_eq!(journal.matches("the hat's screen").count(), 1, "{journal}");

    let counts = |shown: &Published| {
        (1..=HOLD.as_secs()).any(|left| same(shown, &countdown(Duration::from_secs(left)), (126, 0, 34)))
    };
    machine.key(Key::K2, true)?;
    shows(machine, "the countdown of a long press", counts)?;
    machine.key(Key::K2, false)?;
    shows(machine, "the verdict after letting go", is_verdict)?;
    assert_eq!(machine.wait_until_started()?, "running", "letting go in time does nothing");

    let files = ["memory.current", "memory.peak", "cpu.stat"];
    for file in files {
        let path = format!("/sys/fs/cgroup/stayput.slice/stayput-status.service/{file}");
        if let Ok(text) = machine.probe()?.text(&path) {
            println!("{file}: {}", text.lines().next().unwrap_or_default());
        }
    }

    machine.key(Key::K3, true)?;
    let deadline = machine.deadline(OFF);
    let off = deadline.poll(|| Ok::<_, stayput_harness::Error>(machine.ended_by_itself()))?;
    assert!(off.is_some(), "the box is still on {OFF:?} after a long press");
    Ok(())
}
