//! Progress for a person: a line for every step while it runs and its time when it is done; nothing off a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The steps of one command, in order, with the time each took.
pub struct Steps {
    shown: bool,
    taken: Vec<(String, Duration)>,
}

/// A step under way. Also what the package cache reports its bytes to.
pub struct Step {
    bar: ProgressBar,
    title: String,
    started: Instant,
}

impl Steps {
    /// Shown when standard error is a terminal and the user did not ask for quiet.
    pub fn new(quiet: bool) -> Self {
        Self { shown: !quiet && std::io::stderr().is_terminal(), taken: Vec::new() }
    }

    /// Runs one step under its title; what it returns beside its value is said when it is done.
    pub fn step<T>(
        &mut self,
        title: &str,
        work: impl FnOnce(&Step) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        let step = Step::start(title, self.shown);
        let result = work(&step);
        let taken = step.started.elapsed();
        step.bar.finish_and_clear();
        let (value, said) = result?;
        tracing::info!(seconds = taken.as_secs_f64(), "{title}: {said}");
        if self.shown {
            eprintln!("{title:<28} {said:<44} {:>6.1} s", taken.as_secs_f64());
        }
        self.taken.push((title.to_owned(), taken));
        Ok(value)
    }

    /// Keeps the times of the steps so far, for the benchmark.
    pub fn write_times(&self, path: &std::path::Path) -> anyhow::Result<()> {
        let times: Vec<_> = self.taken.iter().map(|(step, taken)| (step, taken.as_secs_f64())).collect();
        Ok(std::fs::write(path, serde_json::to_vec_pretty(&times)?)?)
    }

    /// A line for the person, when there is one.
    pub fn say(&self, line: &str) {
        tracing::info!("{line}");
        if self.shown {
            eprintln!("{line}");
        }
    }
}

impl Step {
    fn start(title: &str, shown: bool) -> Self {
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(template("{prefix:<28} {msg:<44} {elapsed:>6} {spinner}"));
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, title: title.to_owned(), started: Instant::now() }
    }

    /// What the step is doing right now.
    pub fn doing(&self, what: impl Into<String>) {
        let what = what.into();
        tracing::debug!("{}: {what}", self.title);
        self.bar.set_message(what);
    }
}

impl stayput_packages::Progress for Step {
    fn total(&self, bytes: u64) {
        self.bar.set_length(bytes);
        self.bar.set_style(template(
            "{prefix:<28} {bytes}/{total_bytes} {wide_bar} {binary_bytes_per_sec} {eta}",
        ));
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar())
}
