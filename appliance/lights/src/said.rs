//! The log: each trouble is said once, and once more when it is over.

use std::collections::BTreeMap;
use std::fmt::Display;

/// What was said and is not over.
#[derive(Debug, Default)]
pub struct Said {
    open: BTreeMap<String, String>,
}

impl Said {
    /// Says `trouble` with `subject`, unless it is what was said of it last.
    pub fn trouble(&mut self, subject: &str, trouble: &dyn Display) {
        if let Some(line) = self.trouble_line(subject, trouble) {
            eprintln!("<4>{line}");
        }
    }

    /// Says that the trouble with `subject` is over, if there was one.
    pub fn well(&mut self, subject: &str) {
        if let Some(line) = self.well_line(subject) {
            eprintln!("<6>{line}");
        }
    }

    fn trouble_line(&mut self, subject: &str, trouble: &dyn Display) -> Option<String> {
        let text = trouble.to_string();
        if self.open.get(subject) == Some(&text) {
            return None;
        }
        let line = format!("{subject}: {text}");
        self.open.insert(subject.to_owned(), text);
        Some(line)
    }

    fn well_line(&mut self, subject: &str) -> Option<String> {
        self.open.remove(subject).map(|text| format!("{subject}: over: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_that_stays_is_said_once_and_its_end_is_said() {
        let mut said = Said::default();
        assert_eq!(said.well_line("light 'x'"), None);
        assert_eq!(said.trouble_line("light 'x'", &"busy").as_deref(), Some("light 'x': busy"));
        assert_eq!(said.trouble_line("light 'x'", &"busy"), None);
        assert_eq!(said.trouble_line("light 'y'", &"busy").as_deref(), Some("light 'y': busy"));
        assert_eq!(said.trouble_line("light 'x'", &"gone").as_deref(), Some("light 'x': gone"));
        assert_eq!(said.well_line("light 'x'").as_deref(), Some("light 'x': over: gone"));
        assert_eq!(said.well_line("light 'x'"), None);
    }
}
