//! The links that presets stand for, compared with those that systemctl makes from the same files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use stayput_rootfs::{Kind, Node, Tree, enabled};

const UNITS: [(&str, &str); 14] = [
    (
        "plain.service",
        "[Unit]\nDescription=p\n[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n",
    ),
    ("off.service", "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n"),
    ("static.service", "[Service]\nExecStart=/bin/x\n"),
    (
        "many.service",
        "[Install]\nWantedBy=a.target \\\n  b.target\nWantedBy=c.target\nRequiredBy=d.target\nAlias=other.service third.service\n",
    ),
    ("cleared.service", "[Install]\nWantedBy=a.target\nWantedBy=\nWantedBy=b.target\n"),
    ("also.service", "[Install]\nWantedBy=a.target\nAlso=off2.socket missing.service\n"),
    ("off2.socket", "[Socket]\nListenStream=/run/x\n[Install]\nWantedBy=sockets.target\n"),
    ("at@.service", "[Install]\nWantedBy=a.target\nDefaultInstance=one\n"),
    ("listed@.service", "[Install]\nWantedBy=a.target\n"),
    ("bare@.service", "[Install]\nWantedBy=a.target\n"),
    ("masked.service", "[Install]\nWantedBy=a.target\n"),
    ("name.service", "-> plain.service"),
    ("empty.service", ""),
    ("clock.timer", "[Timer]\nOnBootSec=1\n[Install]\nWantedBy=timers.target\n"),
];

const PRESETS: [(&str, &str); 2] = [
    (
        "10-first.preset",
        "# ours\n\nenable plain.service\ndisable off*\nenable listed@.service x y\nenable [unit]\n",
    ),
    (
        "50-second.preset",
        "enable off.service\nenable many.*\nenable cleared.service\nenable also.service\nenable at@.service\n\
         enable bare@.service\nenable mask?d.service\nenable name.service\nenable clock.timer\ndisable *\n",
    ),
];

fn files() -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for (name, text) in UNITS {
        files.push((format!("usr/lib/systemd/system/{name}"), text.to_owned()));
    }
    for (name, text) in PRESETS {
        // Older systemctl reads no character classes where ours has none.
        files.push((format!("usr/lib/systemd/system-preset/{name}"), text.replace("enable [unit]\n", "")));
    }
    files.push(("etc/systemd/system/masked.service".to_owned(), "-> /dev/null".to_owned()));
    files
}

fn lay(files: &[(String, String)], root: &Path) {
    for (path, text) in files {
        let at = root.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, at).unwrap(),
            None => fs::write(at, text).unwrap(),
        }
    }
}

fn links_below(folder: &Path, at: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{at}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            links_below(&entry.path(), &path, found);
        } else if entry.file_type().unwrap().is_symlink() {
            found.insert(path, fs::read_link(entry.path()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn our_links_are_those_that_systemctl_preset_all_makes() {
    let files = files();
    let mut tree = Tree::new();
    for (path, text) in &files {
        let node = match text.strip_prefix("-> ") {
            Some(target) => Node::symlink(target, "t"),
            None => Node::file(text.as_bytes(), 0o644, "t"),
        };
        tree.insert(path, node).unwrap();
    }
    let (links, findings) = enabled(&tree);
    assert_eq!(findings, []);
    let ours: BTreeMap<String, String> = links.into_iter().map(|link| (link.path, link.target)).collect();
    assert!(ours.len() > 10, "{ours:#?}");

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    lay(&files, root);
    // systemctl looks into /lib as well where the host is older than the usr merge.
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
    let run = Command::new("systemctl").arg(format!("--root={}", root.display())).arg("preset-all").output();
    let Ok(run) = run else {
        eprintln!("SKIPPED: no systemctl on this machine, the links were not compared with its own");
        return;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut theirs = BTreeMap::new();
    links_below(&root.join("etc/systemd/system"), "etc/systemd/system", &mut theirs);
    theirs.remove("etc/systemd/system/masked.service");
    // With a root, systemctl may write the link with or without it.
    let prefix = root.to_str().unwrap().to_owned();
    let clean = |target: String| target.strip_prefix(&prefix).map_or(target.clone(), str::to_owned);
    let merged = |target: String| if target.starts_with("/lib/") { format!("/usr{target}") } else { target };
    let theirs: BTreeMap<String, String> =
        theirs.into_iter().map(|(path, target)| (path, merged(clean(target)))).collect();
    assert_eq!(ours, theirs);
    assert!(tree.iter().any(|(_, node)| matches!(node.kind, Kind::Symlink(_))));
}
