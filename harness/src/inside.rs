//! Questions to the box that a test asks in its own words: state, units, memory, mounts, sockets.

use crate::error::{Error, Result};
use crate::patience::Deadline;
use crate::probe::Probe;
use crate::sockets::{self, Socket};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A unit as `systemctl list-units` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Unit {
    /// Its full name.
    pub unit: String,
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, …
    pub active: String,
    /// `running`, `exited`, `dead`, …
    pub sub: String,
}

/// The box's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel manages.
    pub total_kib: u64,
    /// What a program could still get.
    pub available_kib: u64,
}

impl Memory {
    /// What is taken: the figure that the budget is about.
    pub fn used_kib(&self) -> u64 {
        self.total_kib.saturating_sub(self.available_kib)
    }

    fn parse(text: &str) -> Result<Self> {
        let field = |name: &'static str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number =
                line.and_then(|rest| rest.split_ascii_whitespace().next()).and_then(|v| v.parse().ok());
            number.ok_or_else(|| Error::Text { what: "/proc/meminfo", line: 0, text: format!("no {name}") })
        };
        Ok(Self { total_kib: field("MemTotal")?, available_kib: field("MemAvailable")? })
    }
}

/// One mount of the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Device or name.
    pub source: String,
    /// Where.
    pub target: String,
    /// File system.
    pub kind: String,
    /// As in `/proc/mounts`.
    pub options: Vec<String>,
}

impl Mount {
    fn parse(text: &str) -> Result<Vec<Self>> {
        let one = |(number, line): (usize, &str)| {
            let fields: Vec<_> = line.split(' ').map(unescape).collect();
            let [source, target, kind, options, ..] = fields.as_slice() else {
                return Err(Error::Text { what: "/proc/mounts", line: number + 1, text: line.to_owned() });
            };
            Ok(Self {
                source: source.clone(),
                target: target.clone(),
                kind: kind.clone(),
                options: options.split(',').map(str::to_owned).collect(),
            })
        };
        text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(one).collect()
    }
}

/// The kernel writes a blank in a path as `\040`.
fn unescape(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match code {
            Some(digits) if byte == b'\\' => {
                out.push(
                    digits.iter().fold(0u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                rest = &after[3..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Probe {
    /// Waits until the box has finished starting; answers what systemd calls its state then (`running`,
    /// `degraded`, `maintenance`, `stopping`).
    pub fn wait_until_started(&mut self, deadline: &Deadline) -> Result<String> {
        loop {
            // systemctl itself waits, so that nobody starts a program every half second on a busy processor.
            // PID 1 may not answer yet: then it says so at once and is asked again.
            let ran = self.run_for(
                &["systemctl", "is-system-running", "--wait"],
                deadline.remaining().max(Duration::from_secs(1)),
            )?;
            let state = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
            if !matches!(state.as_str(), "" | "initializing" | "starting" | "offline" | "unknown") {
                return Ok(state);
            }
            if deadline.passed() {
                let jobs = self.output(&["systemctl", "list-jobs", "--no-legend"]).unwrap_or_default();
                let seen = format!("systemd says {state:?}; jobs that wait:\n{jobs}");
                return Err(Error::Late {
                    what: "the end of the box's start".into(),
                    allowed: deadline.allowed,
                    seen,
                });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// All units that systemd has in memory.
    pub fn units(&mut self) -> Result<Vec<Unit>> {
        self.units_in(&["--all"])
    }

    /// The units that failed.
    pub fn failed_units(&mut self) -> Result<Vec<Unit>> {
        self.units_in(&["--state=failed"])
    }

    fn units_in(&mut self, which: &[&str]) -> Result<Vec<Unit>> {
        let mut argv = vec!["systemctl", "list-units", "--output=json", "--no-pager"];
        argv.extend(which);
        let text = self.output(&argv)?;
        serde_json::from_str(&text).map_err(|error| Error::Text {
            what: "systemctl's list of units",
            line: error.line(),
            text: text.chars().take(200).collect(),
        })
    }

    /// What `systemctl show` says: properties by name. No unit means the service manager itself.
    pub fn properties(&mut self, unit: Option<&str>, names: &[&str]) -> Result<BTreeMap<String, String>> {
        let wanted = format!("--property={}", names.join(","));
        let mut argv = vec!["systemctl", "show", "--no-pager", &wanted];
        argv.extend(unit);
        let text = self.output(&argv)?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect())
    }

    /// The box's memory now.
    pub fn memory(&mut self) -> Result<Memory> {
        Memory::parse(&self.text("/proc/meminfo")?)
    }

    /// The box's mounts, as PID 1 sees them.
    pub fn mounts(&mut self) -> Result<Vec<Mount>> {
        Mount::parse(&self.text("/proc/1/mounts")?)
    }

    /// Every socket of the box's own network namespace.
    pub fn sockets(&mut self) -> Result<Vec<Socket>> {
        let mut all = Vec::new();
        for (protocol, path) in sockets::TABLES {
            match self.text(path) {
                Ok(text) => all.extend(sockets::parse(protocol, &text)?),
                // No IPv6, no UDP-Lite: no table and no socket.
                Err(Error::OnTheBox(why)) if why.contains("No such file") => {}
                Err(other) => return Err(other),
            }
        }
        Ok(all)
    }

    /// Seconds since the box's kernel started.
    pub fn uptime(&mut self) -> Result<f64> {
        let text = self.text("/proc/uptime")?;
        let first = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        first.ok_or(Error::Text { what: "/proc/uptime", line: 1, text })
    }

    /// `/etc/machine-id`.
    pub fn machine_id(&mut self) -> Result<String> {
        self.text("/etc/machine-id").map(|text| text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_memory_is_what_no_program_could_get() {
        let memory =
            Memory::parse("MemTotal:         478000 kB\nMemFree:  300000 kB\nMemAvailable:     380000 kB\n")
                .unwrap();
        assert_eq!(memory.used_kib(), 98_000);
        assert!(Memory::parse("MemTotal: 1 kB\n").unwrap_err().to_string().contains("MemAvailable"));
    }

    #[test]
    fn a_mount_point_with_a_blank_keeps_it() {
        let mounts = Mount::parse("/dev/vda5 /mnt/a\\040b ext4 rw,noatime 0 0\n").unwrap();
        assert_eq!(mounts[0].target, "/mnt/a b");
        assert_eq!(mounts[0].options, ["rw", "noatime"]);
        assert!(Mount::parse("proc /proc\n").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape("a\\b\\04"), "a\\b\\04");
        assert_eq!(unescape("\\134"), "\\");
    }
}
