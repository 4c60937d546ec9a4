//! The drop rules: what of the packages stays out of the image.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Finding, Result};
use crate::rules::Rules;

/// The compiled drop and keep rules, and which of them have been of use.
pub struct Pruner<'a> {
    rules: Vec<Rule<'a>>,
    drops: GlobSet,
    keeps: GlobSet,
    dropped_by: BTreeSet<usize>,
    kept_by: BTreeSet<usize>,
}

struct Rule<'a> {
    pattern: &'a str,
    why: &'a str,
    optional: bool,
    keeps: bool,
}

impl<'a> Pruner<'a> {
    /// Compiles the patterns of the table.
    pub fn new(rules: &'a Rules) -> Result<Self> {
        let mut all = Vec::new();
        for drop in &rules.drops {
            for pattern in &drop.paths {
                all.push(Rule { pattern, why: &drop.why, optional: drop.optional, keeps: false });
            }
        }
        for keep in &rules.keeps {
            for pattern in &keep.paths {
                all.push(Rule { pattern, why: &keep.why, optional: false, keeps: true });
            }
        }
        let drops = compile(rules, all.iter().filter(|rule| !rule.keeps))?;
        let keeps = compile(rules, all.iter().filter(|rule| rule.keeps))?;
        Ok(Self { rules: all, drops, keeps, dropped_by: BTreeSet::new(), kept_by: BTreeSet::new() })
    }

    /// Whether `path` (or a folder it lies in) is dropped.
    pub fn drops(&mut self, path: &str) -> bool {
        let matching = |set: &GlobSet| {
            let mut hits = BTreeSet::new();
            for (end, _) in path.match_indices('/') {
                hits.extend(set.matches(&path[..end]));
            }
            hits.extend(set.matches(path));
            hits
        };
        let dropped = matching(&self.drops);
        if dropped.is_empty() {
            return false;
        }
        self.dropped_by.extend(dropped);
        let kept = matching(&self.keeps);
        let keep = !kept.is_empty();
        self.kept_by.extend(kept);
        !keep
    }

    /// The rules that had nothing to do: each is a mistake in the table or a package that changed.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (mut drop, mut keep) = (0, 0);
        for rule in &self.rules {
            let (used, index) =
                if rule.keeps { (&self.kept_by, &mut keep) } else { (&self.dropped_by, &mut drop) };
            if !rule.optional && !used.contains(index) {
                let (pattern, why) = (rule.pattern.to_owned(), rule.why.to_owned());
                findings.push(match rule.keeps {
                    true => Finding::KeepsNothing { pattern, why },
                    false => Finding::DropsNothing { pattern, why },
                });
            }
            *index += 1;
        }
        findings
    }
}

fn compile<'a>(rules: &Rules, patterns: impl Iterator<Item = &'a Rule<'a>>) -> Result<GlobSet> {
    let wrong =
        |pattern: &str, problem: String| -> Error { rules.wrong(format!("pattern {pattern:?}"), problem) };
    let mut set = GlobSetBuilder::new();
    for rule in patterns {
        if rule.pattern.starts_with('/') || rule.pattern.ends_with('/') || rule.pattern.is_empty() {
            return Err(wrong(rule.pattern, "must be relative and without a slash at its end".to_owned()));
        }
        let glob = GlobBuilder::new(rule.pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| wrong(rule.pattern, error.to_string()))?);
    }
    set.build().map_err(|error| wrong("(all)", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::parse(&format!("version = 1\n{text}"), "rootfs.toml").unwrap()
    }

    #[test]
    fn a_folder_goes_with_all_that_is_in_it_and_a_star_stays_in_its_folder() {
        let rules = rules("[[drop]]\npaths = [\"usr/share/man\", \"etc/*.d\"]\nwhy = \"w\"\n");
        let mut pruner = Pruner::new(&rules).unwrap();
        assert!(pruner.drops("usr/share/man"));
        assert!(pruner.drops("usr/share/man/man1/x.1.gz"));
        assert!(!pruner.drops("usr/share/manual"));
        assert!(pruner.drops("etc/cron.d/job"));
        assert!(!pruner.drops("etc/systemd/system.d"));
        assert!(pruner.findings().is_empty());
    }

    #[test]
    fn a_keep_rule_saves_from_a_drop_rule() {
        let rules = rules(
            "[[drop]]\npaths = [\"usr/share/doc\"]\nwhy = \"w\"\n[[keep]]\npaths = [\"usr/share/doc/*/copyright\"]\nwhy = \"l\"\n",
        );
        let mut pruner = Pruner::new(&rules).unwrap();
        assert!(pruner.drops("usr/share/doc/a/README"));
        assert!(!pruner.drops("usr/share/doc/a/copyright"));
        assert!(pruner.findings().is_empty());
    }

    #[test]
    fn a_rule_that_matches_nothing_is_found_unless_optional() {
        let rules = rules(
            "[[drop]]\npaths = [\"a\", \"b\"]\nwhy = \"w\"\n[[drop]]\npaths = [\"c\"]\nwhy = \"w\"\noptional = true\n[[keep]]\npaths = [\"d\"]\nwhy = \"w\"\n",
        );
        let mut pruner = Pruner::new(&rules).unwrap();
        assert!(pruner.drops("a"));
        let findings = pruner.findings();
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].to_string().contains("\"b\""));
        assert!(findings[1].to_string().contains("\"d\""));
    }

    #[test]
    fn a_pattern_that_is_no_glob_is_refused() {
        let rules = rules("[[drop]]\npaths = [\"a[\"]\nwhy = \"w\"\n");
        assert!(Pruner::new(&rules).is_err());
    }
}
