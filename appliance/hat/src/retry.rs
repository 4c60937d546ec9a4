//! Patience with hardware that is not there: tried again ever more rarely, and talked about once.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// When to try again, and what has been said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retry {
    what: &'static str,
    due: Duration,
    wait: Duration,
    said: Option<String>,
}

impl Retry {
    /// For the thing that messages call `what`.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, due: Duration::ZERO, wait: FIRST, said: None }
    }

    /// In how long it may be tried.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }

    /// It failed. What is to be logged, if that was not the last thing said.
    pub(crate) fn failed(&mut self, why: &dyn std::fmt::Display, now: Duration) -> Option<String> {
        self.due = now + self.wait;
        self.wait = (self.wait * 2).min(LONGEST);
        let line = format!("{}: {why}; tried again up to once a minute", self.what);
        (self.said.as_ref() != Some(&line)).then(|| {
            self.said = Some(line.clone());
            format!("<4>{line}")
        })
    }

    /// It worked. What is to be logged, if trouble was.
    pub(crate) fn worked(&mut self) -> Option<String> {
        (self.due, self.wait) = (Duration::ZERO, FIRST);
        self.said.take().map(|_| format!("<5>{}: works", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_so_is_its_end() {
        let mut retry = Retry::new("the screen");
        let mut now = Duration::ZERO;
        let mut lines = Vec::new();
        for _ in 0..100 {
            lines.extend(retry.failed(&"no answer", now));
            now += retry.wait(now);
        }
        lines.extend(retry.worked());
        lines.extend(retry.worked());
        assert_eq!(
            lines,
            ["<4>the screen: no answer; tried again up to once a minute", "<5>the screen: works"]
        );
    }

    #[test]
    fn another_trouble_is_told_as_well() {
        let mut retry = Retry::new("the screen");
        assert!(retry.failed(&"no bus", Duration::ZERO).is_some());
        assert!(retry.failed(&"no answer", Duration::ZERO).is_some());
    }

    #[test]
    fn it_waits_longer_each_time_up_to_a_minute_and_never_not_at_all() {
        let mut retry = Retry::new("x");
        let waits: Vec<_> = (0..9)
            .map(|_| {
                retry.failed(&"no", Duration::ZERO);
                retry.wait(Duration::ZERO).as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(retry.wait(Duration::from_secs(59)), Duration::from_secs(1));
        assert_eq!(retry.wait(LONGEST), Duration::ZERO);
    }
}
