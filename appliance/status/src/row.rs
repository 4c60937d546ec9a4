//! One row of the state table.

use stayput_health::board::LedRole;
use stayput_health::{Code, Report};

use crate::look::{Lamp, Look};
use crate::program::Program;
use crate::rhythm::{Count, Rhythm};
use crate::{Group, Severity::*};

/// How many characters the screen's first line has: 12 of 10x20 pixels on 128, readable at arm's length.
pub const VERDICT_COLUMNS: usize = 12;

/// How many characters every other line of the screen has: 21 of 6x8 pixels on 128.
pub const SCREEN_COLUMNS: usize = 21;

/// How bad a state is. The worst one is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The box does what it should.
    Good,
    /// It is on its way there by itself.
    Passing,
    /// It works, and someone should look at something.
    Warning,
    /// It does not do its work.
    Fault,
    /// A person asked for it, or the system ends: shown whatever else is true.
    Command,
}

impl Severity {
    /// All, from the best to the worst.
    pub const ALL: [Self; 5] = [Good, Passing, Warning, Fault, Command];

    /// What it means, in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Good => "All is well",
            Passing => "On its way",
            Warning => "It works, but look at it",
            Fault => "It does not work",
            Command => "Asked for",
        }
    }
}

/// Who keeps the lights as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// The status part, which arms the programs again and again.
    Daemon,
    /// The kernel alone, before the status part runs or after it is gone.
    Kernel,
    /// No one: the level is set once and stays, as after the processor has stopped. Steady and dark only.
    Level,
}

/// The one thing that a report may add to a row's words, from its counters or facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Detail {
    /// A counter of this name.
    Counter(&'static str),
    /// A fact of this name.
    Fact(&'static str),
}

impl Detail {
    /// The most characters of a detail: seven digits and a sign, or the beginning of a word.
    pub const COLUMNS: usize = 8;

    /// The detail in `report`, cut to its room.
    pub(crate) fn of(self, report: &Report) -> Option<String> {
        match self {
            Self::Counter(name) => {
                let value = *report.counters.get(name)?;
                Some(if value > 9_999_999 { "9999999+".to_owned() } else { value.to_string() })
            }
            Self::Fact(name) => report.facts.get(name).map(|word| {
                let cut: String = word.as_str().chars().take(Self::COLUMNS).collect();
                cut.trim_end_matches('-').to_owned()
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Light {
    /// Its group and its number in the group are counted.
    Counted { number: u8 },
    /// Lights of its own.
    Own { lamps: [Rhythm; 3], alone: Rhythm, keeper: Keeper, order: u8 },
}

/// The words of a row. In `screen` and `sentence`, what stands in square brackets is said only when the report has the
/// detail, which takes the place of `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words {
    verdict: &'static str,
    screen: &'static str,
    sentence: &'static str,
    then: &'static str,
}

const UNSAID: Words = Words { verdict: "", screen: "", sentence: "", then: "" };

/// Everything that the box says and shows about one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    severity: Severity,
    group: Group,
    light: Light,
    words: Words,
    detail: Option<Detail>,
}

impl Row {
    pub(crate) const fn fault(group: Group, number: u8) -> Self {
        Self { severity: Fault, group, light: Light::Counted { number }, words: UNSAID, detail: None }
    }

    pub(crate) const fn warning(group: Group, number: u8) -> Self {
        Self { severity: Warning, group, light: Light::Counted { number }, words: UNSAID, detail: None }
    }

    /// `order` decides among states of one severity: the higher one is shown.
    pub(crate) const fn own(
        severity: Severity,
        order: u8,
        group: Group,
        lamps: [Rhythm; 3],
        alone: Rhythm,
    ) -> Self {
        let light = Light::Own { lamps, alone, keeper: Keeper::Daemon, order };
        Self { severity, group, light, words: UNSAID, detail: None }
    }

    pub(crate) const fn kept_by(mut self, by: Keeper) -> Self {
        if let Light::Own { keeper, .. } = &mut self.light {
            *keeper = by;
        }
        self
    }

    pub(crate) const fn saying(
        mut self,
        verdict: &'static str,
        screen: &'static str,
        sentence: &'static str,
        then: &'static str,
    ) -> Self {
        self.words = Words { verdict, screen, sentence, then };
        self
    }

    pub(crate) const fn telling(mut self, detail: Detail) -> Self {
        self.detail = Some(detail);
        self
    }

    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// The states that begin with the same step.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// What three lights show.
    ///
    /// A fault counts its group on red and its number in the group on yellow; a warning counts them on yellow and
    /// green. So a red light that is dark says at a glance that the box works.
    pub fn look(&self) -> Look {
        let number = match self.light {
            Light::Own { lamps, .. } => return Look::Together(lamps),
            Light::Counted { number } => number,
        };
        let (first, second) = match self.severity {
            Warning => (Lamp::Yellow, Lamp::Green),
            _ => (Lamp::Red, Lamp::Yellow),
        };
        let group = match self.group.number() {
            Some(number) => Count::of(0, number),
            None => self.group.count(self.severity),
        };
        Look::InTurn { first: (first, group), second: (second, Count::of(0, number)) }
    }

    /// What the one light of a box without others shows.
    pub const fn alone(&self) -> Rhythm {
        match self.light {
            Light::Own { alone, .. } => alone,
            Light::Counted { .. } => self.group.alone(self.severity),
        }
    }

    /// The program for a light with `role`; `None` for the power light, which is left as it is, so that "power on and
    /// all else dark" says that the status part is dead.
    pub fn program(&self, role: LedRole) -> Option<Program> {
        let [green, yellow, red] = self.look().programs();
        match role {
            LedRole::Power => None,
            LedRole::Status => Some(Program::of(&self.alone().cycle())),
            LedRole::Ok => Some(green),
            LedRole::Busy => Some(yellow),
            LedRole::Fault => Some(red),
        }
    }

    /// Who keeps the lights.
    pub const fn keeper(&self) -> Keeper {
        match self.light {
            Light::Own { keeper, .. } => keeper,
            Light::Counted { .. } => Keeper::Daemon,
        }
    }

    /// Whether a part may report it. Who asks for a light, and what only shows by the box being silent, is not for a
    /// part to say.
    pub const fn reportable(&self) -> bool {
        !matches!(self.severity, Command) && !matches!(self.group, Group::Unlit) && !self.is_panic()
    }

    const fn is_panic(&self) -> bool {
        matches!(self.severity, Fault) && matches!(self.keeper(), Keeper::Kernel)
    }

    /// The screen's first line: at most [`VERDICT_COLUMNS`] characters.
    pub const fn verdict(&self) -> &'static str {
        self.words.verdict
    }

    /// The screen's second line: at most [`SCREEN_COLUMNS`] characters.
    pub fn screen(&self, detail: Option<&str>) -> String {
        fill(self.words.screen, detail)
    }

    /// One sentence that says what is.
    pub fn sentence(&self, detail: Option<&str>) -> String {
        fill(self.words.sentence, detail)
    }

    /// What to do: the group's first step, then this state's own.
    pub const fn remedy(&self) -> [&'static str; 2] {
        [self.group.first_step(), self.words.then]
    }

    /// What the report may add to the words.
    pub const fn detail(&self) -> Option<Detail> {
        self.detail
    }

    /// Which of two states is shown: the one with the higher rank. No two rows have the same one.
    pub(crate) const fn rank(&self) -> (Severity, u8, u8) {
        match self.light {
            Light::Own { order, .. } => (self.severity, 0, order),
            Light::Counted { number } => (self.severity, self.group.urgency(), u8::MAX - number),
        }
    }
}

/// The text with its bracketed part filled in, or left out where there is nothing to fill in.
fn fill(text: &str, detail: Option<&str>) -> String {
    let Some((before, rest)) = text.split_once('[') else { return text.to_owned() };
    let Some((optional, after)) = rest.split_once(']') else { return text.to_owned() };
    match detail {
        Some(detail) => format!("{before}{}{after}", optional.replace("{}", detail)),
        None => format!("{before}{after}"),
    }
}

/// The rank of a code's row.
pub(crate) fn rank(code: Code) -> (Severity, u8, u8) {
    crate::row(code).rank()
}
