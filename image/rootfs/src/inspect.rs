//! What else must hold for the finished tree: no stray privilege, no script that cannot run, nothing vital missing.

use crate::error::Finding;
use crate::rules::Rules;
use crate::tree::{Kind, Tree};

const SETUID_OR_SETGID: u32 = 0o6000;

/// Paths without which the box does not come up, checked so that a bad package list fails at the desk.
const VITAL: [(&str, &str); 12] = [
    ("bin", "programs are started as /bin/x by habit and by name"),
    ("sbin", "the kernel calls /sbin/modprobe"),
    ("lib", "every program's loader is /lib/ld-linux-aarch64.so.1"),
    ("usr/lib/systemd/systemd", "the initramfs hands over to it"),
    ("usr/lib/systemd/system/default.target", "it says what systemd starts"),
    ("etc/machine-id", "the initramfs mounts the box's own id over it"),
    ("etc/passwd", "every unit with a User= needs it"),
    ("usr/share/stayput/persist.toml", "the initramfs binds what must outlive a restart by this table"),
    ("usr/sbin/mke2fs", "the initramfs makes `state` with it on the first boot"),
    ("usr/sbin/tune2fs", "the initramfs labels `state` with it once it is whole"),
    ("usr/sbin/e2fsck", "the initramfs checks `state` with it before every mount"),
    ("etc/os-release", "systemd refuses to hand over to a root without it"),
];

/// All of these checks.
pub fn findings(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let mut findings = setuid(tree, rules);
    findings.extend(interpreters(tree));
    findings.extend(name_services(tree));
    let missing = VITAL.iter().filter(|(path, _)| tree.get(path).is_none());
    findings.extend(missing.map(|&(path, why)| Finding::Missing { path, why }));
    findings
}

fn setuid(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &rules.setuids {
        if tree.get(&rule.path).is_none() {
            findings.push(Finding::RuleWithoutPath { rule: "[[setuid]]", path: rule.path.clone() });
        }
    }
    for (path, node) in tree.iter() {
        if node.mode & SETUID_OR_SETGID == 0 || matches!(node.kind, Kind::Symlink(_)) {
            continue;
        }
        let allowed = rules.setuids.iter().any(|rule| rule.path == path && rule.mode.bits() == node.mode);
        if !allowed {
            let (path, origin) = (path.to_owned(), node.source.clone());
            findings.push(Finding::Setuid { path, origin, mode: node.mode });
        }
    }
    findings
}

/// A script whose interpreter is not on the box is dead weight at best; on this box that means every shell script.
fn interpreters(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, node) in tree.iter() {
        let Kind::File(content) = &node.kind else { continue };
        if node.mode & 0o111 == 0 {
            continue;
        }
        let Some(line) = content.strip_prefix(b"#!").and_then(|rest| rest.split(|b| *b == b'\n').next())
        else {
            continue;
        };
        // The kernel reads no more of it than this.
        let line = String::from_utf8_lossy(&line[..line.len().min(253)]).into_owned();
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        // `env` finds the interpreter by name.
        let interpreter = match first.ends_with("/env") {
            true => words.find(|word| !word.starts_with('-')).unwrap_or(first),
            false => first,
        };
        let there = match interpreter.contains('/') {
            true => tree.file(interpreter).is_some(),
            false => {
                tree.file(&format!("usr/bin/{interpreter}")).is_some() && tree.file("usr/bin/env").is_some()
            }
        };
        if !there {
            findings.push(Finding::Interpreter {
                path: path.to_owned(),
                origin: node.source.clone(),
                interpreter: interpreter.to_owned(),
            });
        }
    }
    findings
}

/// glibc has these two inside; every other name in nsswitch.conf is a library.
const BUILT_IN: [&str; 2] = ["files", "dns"];

fn name_services(tree: &Tree) -> Vec<Finding> {
    let text = tree.text("etc/nsswitch.conf").unwrap_or_default();
    let mut findings = Vec::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
        let Some((_, services)) = line.split_once(':') else { continue };
        let mut in_action = false;
        for word in services.split_whitespace() {
            let action = in_action || word.starts_with('[');
            in_action = action && !word.ends_with(']');
            let library = format!("libnss_{word}.so.2");
            if action || BUILT_IN.contains(&word) || has_library(tree, &library) {
                continue;
            }
            findings.push(Finding::NameService { service: word.to_owned(), library });
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn has_library(tree: &Tree, library: &str) -> bool {
    tree.below("usr/lib").any(|(path, _)| path.rsplit('/').next() == Some(library))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    fn rules(text: &str) -> Rules {
        Rules::parse(&format!("version = 1\n{text}"), "t").unwrap()
    }

    #[test]
    fn setuid_and_setgid_are_found_unless_listed_with_that_mode() {
        let mut tree = Tree::new();
        tree.insert("usr/bin/su", Node::file("x", 0o4755, "p")).unwrap();
        tree.insert("usr/bin/wall", Node::file("x", 0o2755, "p")).unwrap();
        tree.insert("tmp", Node::directory(0o1777, "p")).unwrap();
        assert_eq!(setuid(&tree, &rules("")).len(), 2);
        let listed = "[[setuid]]\npath = \"usr/bin/su\"\nmode = \"4755\"\nwhy = \"w\"\n";
        assert_eq!(setuid(&tree, &rules(listed)).len(), 1);
        let looser = "[[setuid]]\npath = \"usr/bin/su\"\nmode = \"4711\"\nwhy = \"w\"\n";
        assert_eq!(setuid(&tree, &rules(looser)).len(), 2);
    }

    #[test]
    fn a_list_entry_for_a_file_that_is_gone_is_found() {
        let listed = "[[setuid]]\npath = \"usr/bin/su\"\nmode = \"4755\"\nwhy = \"w\"\n";
        let found = setuid(&Tree::new(), &rules(listed));
        assert!(matches!(found[..], [Finding::RuleWithoutPath { .. }]), "{found:?}");
    }

    #[test]
    fn scripts_without_their_interpreter_are_found() {
        let mut tree = Tree::new();
        tree.insert("usr/sbin/nft", Node::file("\x7fELF", 0o755, "p")).unwrap();
        for (name, text, mode) in [
            ("good", "#!/usr/sbin/nft -f\n", 0o755),
            ("notes", "#!/bin/sh\n", 0o644),
            ("shell", "#! /bin/sh -e\n", 0o755),
            ("env", "#!/usr/bin/env -S python3\n", 0o755),
            ("bare", "#!", 0o755),
        ] {
            tree.insert(&format!("usr/bin/{name}"), Node::file(text, mode, "p")).unwrap();
        }
        let found: Vec<String> = interpreters(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|text| text.contains("usr/bin/env") && text.contains("python3")));
    }

    #[test]
    fn a_name_service_without_its_library_is_found() {
        let mut tree = Tree::new();
        tree.insert("usr/lib/aarch64-linux-gnu/libnss_systemd.so.2", Node::file("x", 0o644, "p")).unwrap();
        let text = "# c\npasswd: files systemd\nhosts: files resolve [!UNAVAIL=return] dns # mdns\n";
        tree.insert("etc/nsswitch.conf", Node::file(text, 0o644, "p")).unwrap();
        let found = name_services(&tree);
        assert!(
            matches!(&found[..], [Finding::NameService { service, .. }] if service == "resolve"),
            "{found:?}"
        );
    }
}
