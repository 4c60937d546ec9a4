//! What a check finds: how it is, and what to do about it.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, with less than it could.
    Warning,
    /// It will not work.
    Wrong,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What is so.
    pub what: String,
    /// What to do; empty when it is good.
    pub remedy: String,
}

impl Finding {
    /// Something is as it should be.
    pub fn good(what: impl Into<String>) -> Self {
        Self { grade: Grade::Good, what: what.into(), remedy: String::new() }
    }

    /// Something works with less than it could.
    pub fn warning(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, what: what.into(), remedy: remedy.into() }
    }

    /// Something will not work.
    pub fn wrong(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Wrong, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Good => "good   ",
            Grade::Warning => "warning",
            Grade::Wrong => "wrong  ",
        };
        write!(out, "{grade}  {}", self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(out, "\n         remedy: {}", self.remedy) }
    }
}
