//! What is wrong with a configuration: a finding has a place, a sentence, what was expected and what to do.

use std::fmt;

use stayput_health::Place;

use crate::echo::Shown;
use crate::keys::Key;

/// As many findings are printed; a person mends these first and looks again.
const PRINTED: usize = 25;

/// No more are collected: a hostile file of a mistake a line would cost the box minutes.
pub(crate) const COLLECTED: usize = 500;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken; a person should look all the same.
    Warning,
}

/// What is wrong. No variant carries a secret: offending text is a [`Shown`], which hides what could be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is nothing in the file but blanks and comments.
    #[error("there is nothing in this file")]
    Empty,
    /// The file is longer than any honest one.
    #[error("the file has {length} bytes, more than the {limit} allowed; this is no configuration")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The file is UTF-16.
    #[error("the file is saved as UTF-16, as Notepad's \"Unicode\" does")]
    Utf16,
    /// A byte is not UTF-8.
    #[error("this character is not UTF-8")]
    NotUtf8,
    /// A zero byte: damage, not typing.
    #[error("there is a zero byte here: the file is damaged")]
    Nul,
    /// The text does not follow the grammar.
    #[error("{what}")]
    Syntax {
        /// What the reader met.
        what: String,
    },
    /// A key or section is there twice.
    #[error("{name} is here a second time{}", first.map(|line| format!("; the first is in line {line}")).unwrap_or_default())]
    Duplicate {
        /// Its name.
        name: Shown,
        /// Where the first one is.
        first: Option<usize>,
    },
    /// A key that no section has.
    #[error("{name} is no key{}", within(section))]
    UnknownKey {
        /// Its name.
        name: Shown,
        /// The section it stands in, empty for the top of the file.
        section: &'static str,
    },
    /// A key of another section.
    #[error("{name} is no key{}; it belongs in [{belongs}]", within(section))]
    Misplaced {
        /// Its name.
        name: Shown,
        /// The section it stands in, empty for the top of the file.
        section: &'static str,
        /// The section that has it.
        belongs: &'static str,
    },
    /// A section that does not exist.
    #[error("[{name}] is no section")]
    UnknownSection {
        /// Its name.
        name: Shown,
    },
    /// A section's name with a value, or the other kind of section.
    #[error("{section} is here {found}")]
    NotASection {
        /// How it is to be written.
        section: String,
        /// What it is in the file.
        found: &'static str,
    },
    /// A key that must be there is not.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: &'static Key,
    },
    /// A section that must be there is not.
    #[error("[{section}] is missing")]
    MissingSection {
        /// Its name.
        section: &'static str,
    },
    /// A value of another kind: a number for a text.
    #[error("{key} = {shown} is {found}")]
    WrongKind {
        /// The key.
        key: &'static Key,
        /// What it is.
        found: &'static str,
        /// The value, as far as it may be shown.
        shown: Shown,
    },
    /// A value that breaks its own rule.
    #[error("{key} = {shown} {what}")]
    Value {
        /// The key.
        key: &'static Key,
        /// The value, as far as it may be shown.
        shown: Shown,
        /// What is wrong with it, as the rest of the sentence.
        what: String,
    },
    /// Values that do not go together.
    #[error("{what}")]
    Rule {
        /// What is wrong, with the keys' names.
        what: String,
    },
}

fn within(section: &str) -> String {
    if section.is_empty() { " outside a section".to_owned() } else { format!(" of [{section}]") }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// How bad.
    pub severity: Severity,
    /// What.
    pub problem: Problem,
    /// What should stand there.
    pub expected: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// The finding in one line, for a log or a status.
    pub fn line(&self) -> String {
        format!("{}: {}; expected {}; {}", self.place, self.problem, self.expected, self.remedy)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "{}: {word}: {}", self.place, self.problem)?;
        writeln!(out, "    expected: {}", self.expected)?;
        write!(out, "    remedy:   {}", self.remedy)
    }
}

/// Why a file was refused: its findings in the order of the file, at least one of them an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    /// The findings in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }

    /// The first error: the one a status with room for a single line names.
    pub fn first(&self) -> Option<&Finding> {
        self.0.iter().find(|finding| finding.severity == Severity::Error)
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().take(PRINTED).enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(out, "{gap}{finding}")?;
        }
        match self.0.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            _ if self.0.len() >= COLLECTED => write!(out, "\n... and many more; mend these first"),
            more => write!(out, "\n... and {more} more; mend these first"),
        }
    }
}

impl std::error::Error for Findings {}

/// Why a single value is not what its type demands. Neither text may hold any of the value: it could be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Flaw {
    /// What is wrong, as the rest of a sentence that begins with the value.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Flaw {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}
