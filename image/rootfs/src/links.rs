//! Every symlink of the finished tree leads somewhere.

use crate::error::Finding;
use crate::rules::Rules;
use crate::tree::{Kind, Resolved, Tree};

/// Links that lead neither into the tree nor below a path that exists only on the running box.
pub fn findings(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let runtime = |path: &str| {
        rules.runtime.iter().any(|rule| {
            path.strip_prefix(rule.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let mut findings = Vec::new();
    for (path, node) in tree.iter() {
        let Kind::Symlink(target) = &node.kind else { continue };
        // On the box the target of a mount point is the mount's content, whatever the tree has there.
        let resolved = tree.resolve(path);
        let fine = match &resolved {
            Resolved::Found(_) => true,
            Resolved::Missing(missing) => runtime(missing),
            Resolved::Loop => false,
        };
        if !fine {
            findings.push(Finding::DanglingLink {
                path: path.to_owned(),
                origin: node.source.clone(),
                target: target.clone(),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    #[test]
    fn links_to_nowhere_are_found_and_links_to_the_running_box_are_not() {
        let rules = Rules::parse("version = 1\n[[runtime]]\npath = \"run\"\nwhy = \"w\"\n", "t").unwrap();
        let mut tree = Tree::new();
        tree.insert("usr/lib/a", Node::file("x", 0o644, "p")).unwrap();
        for (path, target) in [
            ("etc/good", "../usr/lib/a"),
            ("etc/absolute", "/usr/lib/a"),
            ("etc/run", "../run/systemd/x"),
            ("etc/runner", "../runner/x"),
            ("etc/gone", "gone-too"),
            ("etc/self", "self"),
        ] {
            tree.insert(path, Node::symlink(target, "p")).unwrap();
        }
        let found: Vec<String> = findings(&tree, &rules).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        for path in ["etc/runner", "etc/gone", "etc/self"] {
            assert!(found.iter().any(|text| text.starts_with(&format!("{path} "))), "{path}");
        }
    }
}
