//! What units refer to: other units, and the programs they start.

use crate::error::Finding;
use crate::ini::{self, Setting};
use crate::overlay;
use crate::rules::Rules;
use crate::tree::{Kind, Tree};
use crate::units::{FOLDERS, Units, is_unit_name};

/// Settings whose values are unit names.
const UNIT_KEYS: [&str; 20] = [
    "Wants",
    "Requires",
    "Requisite",
    "BindsTo",
    "PartOf",
    "Upholds",
    "Conflicts",
    "Before",
    "After",
    "OnFailure",
    "OnSuccess",
    "PropagatesReloadTo",
    "ReloadPropagatedFrom",
    "JoinsNamespaceOf",
    "Sockets",
    "Unit",
    "Service",
    "Slice",
    "Also",
    "WantedBy",
];

/// Settings whose first word is a program.
const PROGRAM_KEYS: [&str; 8] = [
    "ExecStart",
    "ExecStartPre",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "ExecStopPost",
    "ExecCondition",
    "ExecStopPre",
];

/// Where systemd looks for a program that is named without a path.
const SEARCH_PATH: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];

/// Checks every unit file and drop-in: programs in all of them, unit names in those of the overlay.
///
/// Packages may name units of other packages that are not there, which systemd takes as nothing. In our own units
/// the same is a mistake.
pub fn findings(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let units = Units::read(tree);
    let mut findings = Vec::new();
    for folder in FOLDERS {
        for (path, node) in tree.below(folder) {
            let (Kind::File(content), true) = (&node.kind, is_unit_file(path)) else { continue };
            let ours = node.source == overlay::SOURCE;
            let text = match std::str::from_utf8(content) {
                Ok(text) => text.to_owned(),
                Err(_) if ours => {
                    let problem = "the file is not UTF-8".to_owned();
                    findings.push(Finding::UnitSyntax { place: path.to_owned(), problem });
                    continue;
                }
                Err(_) => String::from_utf8_lossy(content).into_owned(),
            };
            let (settings, unreadable) = ini::parse(&text);
            for setting in &settings {
                program(tree, path, setting, &mut findings);
                if ours {
                    reference(&units, rules, path, setting, &mut findings);
                }
            }
            if ours {
                findings.extend(unreadable.into_iter().map(|line| Finding::UnitSyntax {
                    place: format!("{path}:{}", line.line),
                    problem: line.problem,
                }));
            }
        }
    }
    findings
}

fn is_unit_file(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(folder, name)| {
        is_unit_name(name) || (folder.ends_with(".d") && name.ends_with(".conf"))
    })
}

fn program(tree: &Tree, path: &str, setting: &Setting, findings: &mut Vec<Finding>) {
    if !PROGRAM_KEYS.contains(&setting.key.as_str()) {
        return;
    }
    let words = ini::words(&setting.value);
    let Some(program) = words.first().map(|word| word.trim_start_matches(['@', '-', ':', '+', '!', '|']))
    else {
        return;
    };
    if program.is_empty() || program.contains(['%', '$']) {
        return;
    }
    let executable = |path: &str| tree.file(path).is_some_and(|node| node.mode & 0o111 != 0);
    let there = match program.contains('/') {
        true => executable(program),
        false => SEARCH_PATH.iter().any(|folder| executable(&format!("{folder}/{program}"))),
    };
    if !there {
        findings.push(Finding::UnitProgram {
            place: format!("{path}:{}", setting.line),
            key: setting.key.clone(),
            program: program.to_owned(),
        });
    }
}

fn reference(units: &Units, rules: &Rules, path: &str, setting: &Setting, findings: &mut Vec<Finding>) {
    if !UNIT_KEYS.contains(&setting.key.as_str()) {
        return;
    }
    for unit in setting.value.split_whitespace() {
        let made_at_run_time = unit.ends_with(".device") || unit.ends_with(".scope") || unit == "-.mount";
        let listed = rules.runtime_units.iter().any(|rule| rule.units.iter().any(|name| name == unit));
        if unit.contains('%') || made_at_run_time || listed || units.exists(unit) {
            continue;
        }
        findings.push(Finding::UnitReference {
            place: format!("{path}:{}", setting.line),
            key: setting.key.clone(),
            unit: unit.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    const LIB: &str = "usr/lib/systemd/system";

    fn found(source: &str, text: &str) -> Vec<String> {
        let rules = Rules::parse(
            "version = 1\n[[runtime_units]]\nunits = [\"var.mount\"]\nwhy = \"w\"\n[[user]]\nname = \"root\"\nuid = 0\nwhy = \"w\"\n",
            "t",
        );
        let mut tree = Tree::new();
        for (path, mode) in [("usr/bin/x", 0o755), ("usr/bin/data", 0o644)] {
            tree.insert(path, Node::file("x", mode, "p")).unwrap();
        }
        tree.insert("bin", Node::symlink("usr/bin", "p")).unwrap();
        tree.insert(&format!("{LIB}/other.service"), Node::file("[Unit]\n", 0o644, "p")).unwrap();
        tree.insert(&format!("{LIB}/at@.service"), Node::file("[Unit]\n", 0o644, "p")).unwrap();
        tree.insert(&format!("{LIB}/a.service"), Node::file(text, 0o644, source)).unwrap();
        findings(&tree, &rules.unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_program_that_is_not_there_is_found_whoever_ships_the_unit() {
        for program in ["/usr/bin/y", "-/usr/bin/y arg", "y", "@/bin/y y", "/usr/bin/data", "/usr/bin"] {
            let found = found("package", &format!("[Service]\nExecStart={program}\n"));
            assert!(found.len() == 1 && found[0].contains("a.service:2"), "{program}: {found:?}");
        }
    }

    #[test]
    fn programs_that_are_there_are_fine_by_path_link_or_name() {
        for program in ["/usr/bin/x a", "/bin/x", "x", "!!/usr/bin/x", "\"/usr/bin/x\" a", "/opt/%i", ""] {
            let found = found("package", &format!("[Service]\nExecStart={program}\n"));
            assert!(found.is_empty(), "{program}: {found:?}");
        }
    }

    #[test]
    fn our_units_may_only_name_units_that_exist() {
        let text = "[Unit]\nAfter=other.service at@1.service -.mount dev-sda.device var.mount\nWants=ghost.service\nnonsense\n";
        let ours = found("overlay", text);
        assert_eq!(ours.len(), 2, "{ours:?}");
        assert!(ours.iter().any(|text| text.contains("ghost.service") && text.contains("a.service:3")));
        assert!(ours.iter().any(|text| text.contains("nonsense") && text.contains("a.service:4")));
        assert!(found("package", text).is_empty());
    }
}
