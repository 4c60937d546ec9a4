//! `/var` is a tmpfs on the box: what packages put there becomes lines for systemd-tmpfiles.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::error::{Finding, Result};
use crate::ini;
use crate::tree::{Kind, Node, Tree};

const FILE: &str = "usr/lib/tmpfiles.d/stayput-var.conf";
const FOLDER: &str = "var";

/// Empties `/var`, writes the tmpfiles lines, and says what cannot become a line.
pub fn empty(tree: &mut Tree) -> Result<Vec<Finding>> {
    let named = named_paths(tree);
    let paths: Vec<String> = tree.below(FOLDER).map(|(path, _)| path.to_owned()).collect();
    let mut lines =
        String::from("# Made by the image builder from what packages ship below /var, which is a tmpfs.\n");
    let mut findings = Vec::new();
    for path in paths {
        let Some(node) = tree.remove(&path) else { continue };
        if named.contains(&path) {
            continue;
        }
        let Node { kind, mode, uid, gid, source } = node;
        // Writing to a String cannot fail.
        let _ = match kind {
            Kind::Directory => writeln!(lines, "d /{path} {mode:04o} {uid} {gid} -"),
            Kind::Symlink(target) => writeln!(lines, "L /{path} - - - - {target}"),
            Kind::File(_) => {
                findings.push(Finding::VariableFile { path, origin: source });
                Ok(())
            }
        };
    }
    tree.insert(FILE, Node::file(lines, 0o644, "/var"))?;
    Ok(findings)
}

/// Paths that some tmpfiles line makes already; a second line for them would be a warning at every boot.
fn named_paths(tree: &Tree) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (path, _) in tree.below("usr/lib/tmpfiles.d").filter(|(path, _)| path.ends_with(".conf")) {
        for line in tree.text(path).unwrap_or_default().lines() {
            if let [kind, path, ..] = ini::words(line).as_slice()
                && kind.starts_with(['d', 'D', 'q', 'Q', 'v', 'L'])
            {
                named.insert(path.trim_matches('/').to_owned());
            }
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_links_become_lines_and_var_is_left_empty() {
        let mut tree = Tree::new();
        tree.insert("var", Node::directory(0o755, "p")).unwrap();
        tree.insert("var/tmp", Node::directory(0o1777, "p")).unwrap();
        tree.insert("var/log", Node::directory(0o755, "p")).unwrap();
        tree.insert("var/run", Node::symlink("../run", "p")).unwrap();
        tree.insert("var/lib/x", Node { uid: 7, gid: 8, ..Node::directory(0o700, "p") }).unwrap();
        tree.insert("usr/lib/tmpfiles.d/a.conf", Node::file("d /var/log 0755 - - -\n", 0o644, "p")).unwrap();
        assert_eq!(empty(&mut tree).unwrap(), []);
        let text = tree.text(FILE).unwrap();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let want = [
            "d /var/lib 0755 0 0 -",
            "d /var/lib/x 0700 7 8 -",
            "L /var/run - - - - ../run",
            "d /var/tmp 1777 0 0 -",
        ];
        assert_eq!(lines, want);
        assert_eq!(tree.below("var").count(), 0);
        assert!(tree.get("var").is_some());
    }

    #[test]
    fn a_file_below_var_is_found() {
        let mut tree = Tree::new();
        tree.insert("var/lib/x/db", Node::file("x", 0o644, "package-x")).unwrap();
        let found = empty(&mut tree).unwrap();
        assert!(found[0].to_string().contains("package-x"), "{found:?}");
    }
}
