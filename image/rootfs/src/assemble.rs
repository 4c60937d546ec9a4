//! Packages, overlay and tables laid into one tree, and the tree looked over before anyone gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stayput_packages::deb::{Entry, EntryKind};

use crate::error::{Error, Finding, Result};
use crate::prune::Pruner;
use crate::rules::Rules;
use crate::tree::{Kind, Node, Tree, normalize};
use crate::{certificates, generate, inspect, links, names, overlay, references, units, variable};

/// A file that the builder made: a program for the box, kernel modules and their indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Where it goes.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Its mode; it belongs to root.
    pub mode: u32,
    /// Who made it, for messages.
    pub origin: String,
}

/// What os-release says about this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `VERSION_ID`.
    pub version: String,
    /// `STAYPUT_TOOLCHAIN`: `pinned` or `fallback`.
    pub toolchain: String,
}

/// The source of what the table itself brings.
const RULES: &str = "image/rootfs.toml";

/// Puts the root file system together, or says everything that is wrong with it.
pub fn assemble(
    rules: &Rules,
    packages: Vec<(String, Vec<Entry>)>,
    overlay_dir: &Path,
    generated: Vec<Generated>,
    release: &Release,
) -> Result<Tree> {
    let mut findings = Vec::new();
    let mut tree = Tree::new();
    let mut pruner = Pruner::new(rules)?;
    for (package, entries) in packages {
        unpack(&mut tree, rules, &mut pruner, &package, entries, &mut findings)?;
    }
    findings.extend(pruner.findings());
    strip(&mut tree, rules, &mut findings);
    for rule in &rules.symlinks {
        tree.insert(&rule.path, Node::symlink(&*rule.to, RULES))?;
    }
    for rule in &rules.directories {
        tree.insert(&rule.path, Node::directory(rule.mode.bits(), RULES))?;
    }
    overlay::lay(&mut tree, overlay_dir)?;
    for Generated { path, content, mode, origin } in generated {
        tree.insert(&path, Node::file(content, mode, origin))?;
    }
    generate::files(&mut tree, rules, release)?;
    certificates::bundle(&mut tree)?;
    findings.extend(variable::empty(&mut tree)?);
    enable_units(&mut tree, rules, &mut findings)?;

    findings.extend(names::findings(&tree, rules));
    findings.extend(references::findings(&tree, rules));
    findings.extend(links::findings(&tree, rules));
    findings.extend(inspect::findings(&tree, rules));
    findings.sort();
    findings.dedup();
    match findings.is_empty() {
        true => Ok(tree),
        false => Err(Error::Refused(findings)),
    }
}

/// One package's entries, less what the rules drop.
fn unpack(
    tree: &mut Tree,
    rules: &Rules,
    pruner: &mut Pruner,
    package: &str,
    entries: Vec<Entry>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut kept: Vec<(String, Node)> = Vec::new();
    let mut hard_links: Vec<(String, String)> = Vec::new();
    let mut contents: BTreeMap<String, Node> = BTreeMap::new();
    let mut emptied: BTreeSet<String> = BTreeSet::new();
    // A dropped file may be the first name of a hard-linked one that stays.
    let linked: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            EntryKind::Hardlink(target) => normalize(target, package).ok(),
            _ => None,
        })
        .collect();
    for Entry { path, kind, mode, uid, gid } in entries {
        if is_root(&path) {
            continue;
        }
        let path = normalize(&path, package)?;
        if let (true, EntryKind::File(content)) = (names::is_sysusers(&path), &kind) {
            findings.extend(names::sysusers_findings(&path, content, rules));
        }
        let dropped = pruner.drops(&path);
        if dropped {
            emptied.extend(path.match_indices('/').map(|(end, _)| path[..end].to_owned()));
        }
        let kind = match kind {
            EntryKind::Directory => Kind::Directory,
            EntryKind::File(content) => Kind::File(content),
            EntryKind::Symlink(target) => Kind::Symlink(target),
            EntryKind::Hardlink(target) => {
                if !dropped {
                    hard_links.push((path, target));
                }
                continue;
            }
        };
        let node = Node { kind, mode: mode & 0o7777, uid, gid, source: package.to_owned() };
        if linked.contains(&path) {
            contents.insert(path.clone(), node.clone());
        }
        if !dropped {
            kept.push((path, node));
        }
    }
    for (path, target) in hard_links {
        let file = normalize(&target, package).ok().and_then(|target| contents.get(&target).cloned());
        match file.filter(|node| matches!(node.kind, Kind::File(_))) {
            Some(node) => kept.push((path, node)),
            None => return Err(Error::HardLink { package: package.to_owned(), path, target }),
        }
    }
    // A folder that the rules have emptied goes too; one that the package ships empty stays.
    let needed: BTreeSet<String> = kept
        .iter()
        .filter(|(path, node)| node.kind != Kind::Directory || !emptied.contains(path))
        .flat_map(|(path, _)| path.match_indices('/').map(|(end, _)| path[..end].to_owned()))
        .collect();
    for (path, node) in kept {
        if node.kind != Kind::Directory || !emptied.contains(&path) || needed.contains(&path) {
            tree.insert(&path, node)?;
        }
    }
    Ok(())
}

fn is_root(path: &str) -> bool {
    path.split('/').all(|part| part.is_empty() || part == ".")
}

/// Takes the setuid and setgid bits off the listed files.
fn strip(tree: &mut Tree, rules: &Rules, findings: &mut Vec<Finding>) {
    for rule in &rules.strips {
        match tree.get_mut(&rule.path) {
            Some(node) if node.mode & 0o6000 != 0 => node.mode &= !0o6000,
            _ => findings.push(Finding::RuleWithoutPath {
                rule: "[[strip]] (of a setuid file)",
                path: rule.path.clone(),
            }),
        }
    }
}

/// Masks, then the links of the presets.
fn enable_units(tree: &mut Tree, rules: &Rules, findings: &mut Vec<Finding>) -> Result<()> {
    for rule in &rules.masks {
        let path = format!("{}/{}", units::CONFIG, rule.unit);
        tree.insert(&path, Node::symlink("/dev/null", RULES))?;
    }
    let (links, problems) = units::enabled(tree);
    findings.extend(problems);
    for units::Enabled { path, target } in links {
        tree.insert(&path, Node::symlink(target, "presets"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::parse(&format!("version = 1\n{text}"), "t").unwrap()
    }

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.into(), kind, mode: 0o755, uid: 0, gid: 0 }
    }

    fn unpacked(rules: &Rules, entries: Vec<Entry>) -> Result<Tree> {
        let mut tree = Tree::new();
        let mut pruner = Pruner::new(rules).unwrap();
        unpack(&mut tree, rules, &mut pruner, "pkg", entries, &mut Vec::new()).map(|()| tree)
    }

    #[test]
    fn a_hard_link_gets_the_content_even_when_its_first_name_is_dropped() {
        let rules = rules("[[drop]]\npaths = [\"usr/share/first\"]\nwhy = \"w\"\n");
        let entries = vec![
            entry("./", EntryKind::Directory),
            entry("./usr/share/first", EntryKind::File(b"x".to_vec())),
            entry("./usr/bin/second", EntryKind::Hardlink("./usr/share/first".into())),
        ];
        let tree = unpacked(&rules, entries).unwrap();
        assert_eq!(tree.get("usr/bin/second").unwrap().kind, Kind::File(b"x".to_vec()));
        assert!(tree.get("usr/share/first").is_none());
    }

    #[test]
    fn a_hard_link_out_of_the_package_is_refused() {
        for target in ["usr/bin/gone", "../etc/shadow"] {
            let entries = vec![entry("usr/bin/a", EntryKind::Hardlink(target.into()))];
            assert!(matches!(unpacked(&rules(""), entries), Err(Error::HardLink { .. })), "{target}");
        }
    }

    #[test]
    fn folders_that_the_rules_emptied_go_and_folders_shipped_empty_stay() {
        let rules = rules("[[drop]]\npaths = [\"usr/share/x/y/doc\"]\nwhy = \"w\"\n");
        let dir = |path| entry(path, EntryKind::Directory);
        let entries = vec![
            dir("usr"),
            dir("usr/share"),
            dir("usr/share/x"),
            dir("usr/share/x/y"),
            dir("usr/share/x/y/doc"),
            dir("etc"),
            dir("etc/empty"),
        ];
        let tree = unpacked(&rules, entries).unwrap();
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["etc", "etc/empty"]);
    }

    #[test]
    fn a_strip_rule_takes_only_the_privilege_and_must_find_some() {
        let rules = rules("[[strip]]\npath = \"a\"\nwhy = \"w\"\n[[strip]]\npath = \"b\"\nwhy = \"w\"\n");
        let mut tree = Tree::new();
        tree.insert("a", Node::file("x", 0o6755, "p")).unwrap();
        tree.insert("b", Node::file("x", 0o755, "p")).unwrap();
        let mut findings = Vec::new();
        strip(&mut tree, &rules, &mut findings);
        assert_eq!(tree.get("a").unwrap().mode, 0o755);
        assert!(matches!(&findings[..], [Finding::RuleWithoutPath { path, .. }] if path == "b"));
    }
}
