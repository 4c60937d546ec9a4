//! The pages, and what stands on those that are lists of lines.

use stayput_status::{Fact, SCREEN_COLUMNS, row};

use crate::View;
use crate::gauges::{amount, worn};
use crate::wrap::{plain, wrap};

/// How many lines a screenful has below its title.
const LINES: usize = 5;

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Page {
    /// How the box does, in letters that are readable at arm's length.
    Verdict,
    /// What to do about it.
    Help,
    /// Name, addresses, region, identity.
    Network,
    /// What the worker does.
    Worker,
    /// Memory, card, temperature, version.
    Machine,
}

impl Page {
    /// All, in the order in which the first key goes through them.
    pub const ALL: [Self; 5] = [Self::Verdict, Self::Help, Self::Network, Self::Worker, Self::Machine];

    /// Its name, for the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Help => "help",
            Self::Network => "network",
            Self::Worker => "worker",
            Self::Machine => "machine",
        }
    }

    /// The one after it.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|page| *page == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    pub(crate) fn title(self, view: &View) -> String {
        match self {
            Self::Verdict => view.verdict.state.code.to_string(),
            Self::Help => format!("{} HELP", view.verdict.state.code),
            Self::Network => "NETWORK".to_owned(),
            Self::Worker => "WORKER".to_owned(),
            Self::Machine => "MACHINE".to_owned(),
        }
    }

    /// The page's screenfuls, each at most [`LINES`] lines; the verdict's are not lines.
    pub(crate) fn screens(self, view: &View) -> Vec<Vec<String>> {
        let entries = match self {
            Self::Verdict => Vec::new(),
            Self::Help => help(view),
            Self::Network => network(view),
            Self::Worker => worker(view),
            Self::Machine => machine(view),
        };
        let mut screens: Vec<Vec<String>> = vec![Vec::new()];
        for entry in entries {
            // What belongs together stays together, where one screenful has room for it.
            let least = if entry.len() <= LINES { entry.len() } else { 2 };
            for (at, line) in entry.into_iter().enumerate() {
                let screen = screens
                    .last_mut()
                    .filter(|screen| screen.len() + if at == 0 { least } else { 1 } <= LINES);
                match screen {
                    Some(screen) => screen.push(line),
                    None => screens.push(vec![line]),
                }
            }
        }
        screens
    }

    /// How many screenfuls the page has: one at least.
    pub fn screenfuls(self, view: &View) -> usize {
        self.screens(view).len()
    }
}

/// Lines that belong together.
type Entry = Vec<String>;

fn help(view: &View) -> Vec<Entry> {
    let state = &view.verdict.state;
    let row = row(state.code);
    let mut entries = vec![wrap(&plain(&row.sentence(state.detail.as_deref())), SCREEN_COLUMNS)];
    for (number, step) in (1..).zip(row.remedy()) {
        entries.push(wrap(&format!("{number}. {}", plain(step)), SCREEN_COLUMNS));
    }
    for other in &view.verdict.others {
        let their = stayput_status::row(other.code);
        entries.push(wrap(&format!("Also {}: {}", other.code, their.verdict()), SCREEN_COLUMNS));
    }
    entries
}

fn network(view: &View) -> Vec<Entry> {
    let known = |fact| view.facts.get(fact);
    let mut entries = vec![entry("Name", known(Fact::Name))];
    match known(Fact::Addresses) {
        None => entries.push(entry("Address", None)),
        Some(list) => entries.extend(list.split(", ").map(|address| entry("Address", Some(address)))),
    }
    entries.push(entry("Region", known(Fact::Region)));
    entries.push(entry("Identity", known(Fact::Instance)));
    entries
}

fn worker(view: &View) -> Vec<Entry> {
    let work = &view.work;
    let counts = [("Done today", work.today), ("Waiting", work.waiting), ("Set aside", work.parked)];
    let counts = counts.map(|(title, count)| entry(title, count.map(|count| count.to_string()).as_deref()));
    counts.into_iter().chain([entry("Last order", work.last.as_deref())]).collect()
}

fn machine(view: &View) -> Vec<Entry> {
    let gauges = &view.gauges;
    let degrees = gauges.temperature.map(|degrees| format!("{degrees} C"));
    let known = |fact| view.facts.get(fact);
    let system: Vec<_> = [known(Fact::Slot), known(Fact::Version)].into_iter().flatten().collect();
    let system = (!system.is_empty()).then(|| system.join(" "));
    vec![
        entry("Memory", gauges.memory.map(share).as_deref()),
        entry("Files", view.work.used.map(|used| format!("{used} % used")).as_deref()),
        entry("Temperature", degrees.as_deref()),
        entry("Card worn", gauges.wear.map(worn).as_deref()),
        entry("System", system.as_deref()),
    ]
}

/// Used and whole, the unit once where it is the same.
fn share((used, whole): (u64, u64)) -> String {
    let (used, whole) = (amount(used), amount(whole));
    match (used.split_once(' '), whole.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} of {whole}"),
        _ => format!("{used} of {whole}"),
    }
}

/// A title and its value: on one line, the value at its right end, where both fit; else the value on lines of its own
/// below, one column in. What is not known is a dash.
fn entry(title: &str, value: Option<&str>) -> Entry {
    let value = value.map_or_else(|| "-".to_owned(), plain);
    let room = SCREEN_COLUMNS - title.len();
    if value.len() < room {
        return vec![format!("{title}{value:>room$}")];
    }
    let below = wrap(&value, SCREEN_COLUMNS - 1).into_iter().map(|line| format!(" {line}"));
    [title.to_owned()].into_iter().chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_goes_through_all_pages_and_around() {
        let mut page = Page::Verdict;
        for expected in Page::ALL {
            assert_eq!(page, expected);
            page = page.next();
        }
        assert_eq!(page, Page::Verdict);
    }

    #[test]
    fn a_value_that_does_not_fit_beside_its_title_goes_below() {
        assert_eq!(entry("Waiting", Some("1234567")), ["Waiting       1234567"]);
        assert_eq!(entry("Identity", Some("mi-0123456789abcdef0")), ["Identity", " mi-0123456789abcdef0"]);
        assert_eq!(entry("Region", None), ["Region              -"]);
    }
}
