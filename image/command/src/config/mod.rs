//! `stayput config`: a desk's look at a `stayput.toml`, and new ones.

mod check;
mod new;

use std::time::{SystemTime, UNIX_EPOCH};

use stayput_config::{Desk, Finding, Severity};

use crate::cli::ConfigCommand;

/// 2026-01-01: this program is not older, so a clock that is has not been set.
const NOT_BEFORE: i64 = 1_767_225_600;

/// Where a Linux desk keeps the tz database.
const ZONES: &str = "/usr/share/zoneinfo";

/// Runs the command.
pub fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check(args) => check::run(args, &desk()),
        ConfigCommand::New(args) => new::run(args, &desk()),
    }
}

fn desk() -> Desk<'static> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let has_database = std::path::Path::new(ZONES).join("Europe/Berlin").is_file();
    Desk {
        now: i64::try_from(now).unwrap_or(i64::MAX),
        not_before: NOT_BEFORE,
        has_zone: has_database.then_some(&|zone| std::path::Path::new(ZONES).join(zone).is_file()),
    }
}

/// Findings as a person reads them.
fn listed(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

fn errors(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.severity == Severity::Error).count()
}
