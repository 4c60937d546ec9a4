//! The stage `boot`: where the tests find what they boot, and how many of them share one boot.
//!
//! A boot takes most of a minute, so tests are trials of one process per theme. They run when STAYPUT_IMAGE
//! names an image (scripts/test boot sets it) and are listed as ignored when not. Under nextest, which starts
//! a process per trial, they are ignored as well: each would boot for itself.

#[allow(dead_code)] // not every theme damages a root file system
pub mod damage;
#[allow(dead_code)] // not every theme asks
pub mod health;
#[allow(dead_code)] // not every theme looks at the card from outside
pub mod partition;
#[allow(dead_code)] // not every theme talks to one
pub mod peer;
#[allow(dead_code)] // not every theme has a card of its own
pub mod settings;
#[allow(dead_code)] // not every theme turns it on
pub mod worker;

use libtest_mimic::{Arguments, Trial};
use stayput_harness::{Machine, Options, Result};
use std::env;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// A test that makes its own machine.
pub type Alone = fn() -> Result<()>;

/// A test that gets a machine which has just reached the end of its start.
pub type Shared = fn(&mut Machine) -> Result<()>;

/// A test that gets what its theme's tests share.
#[allow(dead_code)] // not every theme has such tests
pub type With<T> = fn(&mut T) -> Result<()>;

/// The snapshot that every shared test begins with.
const BOOTED: &str = "booted";

/// What a variable names; the test fails with the remedy if it is unset, for the stage promised to set it.
pub fn input(variable: &str) -> String {
    match env::var(variable) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{variable} is not set: scripts/test boot sets it (docs/testing.md says to what)"),
    }
}

/// The board as users have it, with a probe inside. One processor, for three machines share a host's two; themes that share a boot
/// have two, as the board has several.
pub fn virt() -> Options {
    let options = Options::new(input("STAYPUT_IMAGE"), input("STAYPUT_UBOOT"));
    Options { processors: 1, ..options.with_probe(input("STAYPUT_PROBE")) }
}

fn ignored() -> bool {
    env::var_os("STAYPUT_IMAGE").is_none() || env::var_os("NEXTEST").is_some()
}

fn arguments() -> Arguments {
    let mut arguments = Arguments::from_args();
    // One machine at a time.
    arguments.test_threads = Some(1);
    arguments
}

/// Runs tests that each make a machine.
#[allow(dead_code)] // not every theme has such tests
pub fn run_alone(tests: &[(&'static str, Alone)]) -> ExitCode {
    let trial = |&(name, test): &(&'static str, Alone)| {
        Trial::test(name, move || test().map_err(|error| error.to_string().into()))
            .with_ignored_flag(ignored())
    };
    libtest_mimic::run(&arguments(), tests.iter().map(trial).collect()).exit_code()
}

/// Runs tests that share one boot of [`virt`]: the first of them boots, each begins at the snapshot.
#[allow(dead_code)] // not every theme has such tests
pub fn run_shared(tests: &[(&'static str, Shared)]) -> ExitCode {
    let boot: Arc<Mutex<Boot>> = Arc::default();
    let trial = |&(name, test): &(&'static str, Shared)| {
        let boot = Arc::clone(&boot);
        let body = move || {
            let mut boot = boot.lock().unwrap_or_else(PoisonError::into_inner);
            let machine = boot.machine()?;
            test(machine).map_err(|error| error.to_string().into())
        };
        Trial::test(name, body).with_ignored_flag(ignored())
    };
    let conclusion = libtest_mimic::run(&arguments(), tests.iter().map(trial).collect());
    drop(boot);
    conclusion.exit_code()
}

/// Runs tests that share something of their theme's own, made by whichever of them runs first.
#[allow(dead_code)] // not every theme has such tests
pub fn run_with<T: Default + Send + 'static>(tests: &[(&'static str, With<T>)]) -> ExitCode {
    let shared: Arc<Mutex<T>> = Arc::default();
    let trial = |&(name, test): &(&'static str, With<T>)| {
        let shared = Arc::clone(&shared);
        let body = move || {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            test(&mut shared).map_err(|error| error.to_string().into())
        };
        Trial::test(name, body).with_ignored_flag(ignored())
    };
    let conclusion = libtest_mimic::run(&arguments(), tests.iter().map(trial).collect());
    drop(shared);
    conclusion.exit_code()
}

/// Runs a table's rows as tests that share something, made by whichever of them runs first.
#[allow(dead_code)] // not every theme is a table
pub fn run_table<T: Default + Send + 'static, R: Sync>(
    rows: &'static [(&'static str, R)],
    run: fn(&mut T, &R) -> Result<()>,
) -> ExitCode {
    let shared: Arc<Mutex<T>> = Arc::default();
    let trial = |(name, row): &'static (&'static str, R)| {
        let shared = Arc::clone(&shared);
        let body = move || {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            run(&mut shared, row).map_err(|error| error.to_string().into())
        };
        Trial::test(*name, body).with_ignored_flag(ignored())
    };
    let conclusion = libtest_mimic::run(&arguments(), rows.iter().map(trial).collect());
    drop(shared);
    conclusion.exit_code()
}

#[derive(Default)]
struct Boot {
    machine: Option<Machine>,
    /// A box that does not come up fails every test at once, not each after its own eight minutes.
    broken: Option<String>,
}

impl Boot {
    fn machine(&mut self) -> std::result::Result<&mut Machine, String> {
        if let Some(why) = &self.broken {
            return Err(format!("the shared boot failed: {why}"));
        }
        let ready = match &mut self.machine {
            Some(machine) => machine.restore(BOOTED),
            none => boot().map(|machine| *none = Some(machine)),
        };
        if let Err(error) = ready {
            self.machine = None;
            self.broken = Some(error.to_string());
            return Err(error.to_string());
        }
        self.machine.as_mut().ok_or_else(|| unreachable!("set two lines above"))
    }
}

fn boot() -> Result<Machine> {
    let mut machine = Machine::start(Options { processors: 2, ..virt() })?;
    machine.wait_until_started()?;
    // The start does not wait for devices that it does not need: lights, keys and watchdog come when they come.
    machine.probe()?.output(&["udevadm", "settle", "--timeout=600"])?;
    machine.snapshot(BOOTED)?;
    Ok(machine)
}

/// Asserts that the box is `running`; if not, says which units failed and why, in the journal's words.
#[allow(dead_code)] // not every theme looks
pub fn assert_running(machine: &mut Machine) -> Result<()> {
    let state = machine.wait_until_started()?;
    let probe = machine.probe()?;
    let failed = probe.failed_units()?;
    let mut why = String::new();
    for unit in &failed {
        let journal = ["journalctl", "--no-pager", "--lines=15", "--output=cat", "--unit", &unit.unit];
        let _ = writeln!(why, "{}:\n{}", unit.unit, probe.output(&journal).unwrap_or_default());
    }
    assert!(state == "running" && failed.is_empty(), "the box is {state}; failed units:\n{why}");
    Ok(())
}
