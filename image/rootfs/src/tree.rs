//! The sorted tree of everything on the box: one owner per path, parents always there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::{Error, Result};

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory; its children are nodes of their own.
    Directory,
    /// A regular file and its content.
    File(Vec<u8>),
    /// A symbolic link and its target, as written in it.
    Symlink(String),
}

impl Kind {
    /// The word for it in a message.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File(_) => "file",
            Self::Symlink(_) => "symlink",
        }
    }
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, setuid and sticky included.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Who brought it: a package, `overlay`, `image/rootfs.toml`, a step of the builder.
    pub source: String,
}

impl Node {
    /// A directory of root's.
    pub fn directory(mode: u32, source: impl Into<String>) -> Self {
        Self { kind: Kind::Directory, mode, uid: 0, gid: 0, source: source.into() }
    }

    /// A file of root's.
    pub fn file(content: impl Into<Vec<u8>>, mode: u32, source: impl Into<String>) -> Self {
        Self { kind: Kind::File(content.into()), mode, uid: 0, gid: 0, source: source.into() }
    }

    /// A link of root's.
    pub fn symlink(target: impl Into<String>, source: impl Into<String>) -> Self {
        Self { kind: Kind::Symlink(target.into()), mode: 0o777, uid: 0, gid: 0, source: source.into() }
    }

    fn rights(&self) -> String {
        format!("{:04o} {}:{}", self.mode, self.uid, self.gid)
    }
}

/// The source of directories that nobody brought: they exist because something lies below them.
const IMPLIED: &str = "";

/// A sorted tree. Paths are relative (`usr/bin/x`), usr-merged, and the root itself is not a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `node` at `path`, parents included.
    ///
    /// A path has one source: a second one is refused by name. Directories may repeat as long as their rights agree.
    pub fn insert(&mut self, path: &str, node: Node) -> Result<()> {
        let path = normalize(path, &node.source)?;
        self.parents(&path, &node.source)?;
        match self.nodes.entry(path) {
            Entry::Vacant(free) => {
                free.insert(node);
            }
            Entry::Occupied(mut taken) => {
                let first = taken.get();
                if first.kind != Kind::Directory || node.kind != Kind::Directory {
                    return Err(Error::Claimed {
                        path: taken.key().clone(),
                        first: origin(&first.source, "the path of something below it"),
                        second: node.source,
                    });
                }
                if first.source == IMPLIED {
                    taken.insert(node);
                } else if node.source != IMPLIED && first.rights() != node.rights() {
                    return Err(Error::DirectoryDiffers {
                        path: taken.key().clone(),
                        first: first.source.clone(),
                        first_is: first.rights(),
                        second_is: node.rights(),
                        second: node.source,
                    });
                }
            }
        }
        Ok(())
    }

    /// Puts a directory at `path` that has no rights of its own to defend (git records none).
    pub fn imply(&mut self, path: &str) -> Result<()> {
        self.insert(path, Node::directory(0o755, IMPLIED))
    }

    /// Puts `node` in the place of whatever file or link is there. Only for rules that say so.
    pub fn replace(&mut self, path: &str, node: Node) -> Result<()> {
        let path = normalize(path, &node.source)?;
        self.nodes.remove(&path);
        self.insert(&path, node)
    }

    /// Takes the node at `path` out, not what lies below it.
    pub fn remove(&mut self, path: &str) -> Option<Node> {
        self.nodes.remove(path)
    }

    /// The node at exactly this path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at exactly this path, to change its rights.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Everything, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Everything below the directory `path`, without the directory itself.
    pub fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let from = format!("{path}/");
        let prefix = from.clone();
        self.nodes
            .range(from..)
            .take_while(move |(p, _)| p.starts_with(&prefix))
            .map(|(p, n)| (p.as_str(), n))
    }

    /// The file at exactly this path, as text where it is UTF-8 and with replacement characters where it is not.
    pub fn text(&self, path: &str) -> Option<String> {
        match &self.nodes.get(path)?.kind {
            Kind::File(content) => Some(String::from_utf8_lossy(content).into_owned()),
            _ => None,
        }
    }

    /// Follows every link on the way and returns where `path` ends.
    pub fn resolve(&self, path: &str) -> Resolved {
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut followed = 0;
        while let Some(step) = todo.pop() {
            match step.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(step),
            }
            let here = done.join("/");
            match self.nodes.get(&here).map(|node| &node.kind) {
                Some(Kind::Symlink(target)) => {
                    followed += 1;
                    if followed > MAX_LINKS {
                        return Resolved::Loop;
                    }
                    if target.starts_with('/') {
                        done.clear();
                    } else {
                        done.pop();
                    }
                    todo.extend(target.split('/').rev().map(str::to_owned));
                }
                Some(_) => {}
                None => {
                    let mut missing = done;
                    missing.extend(todo.into_iter().rev().filter(|step| !step.is_empty() && step != "."));
                    return Resolved::Missing(missing.join("/"));
                }
            }
        }
        Resolved::Found(done.join("/"))
    }

    /// The file that `path` leads to, links followed.
    pub fn file(&self, path: &str) -> Option<&Node> {
        match self.resolve(path) {
            Resolved::Found(path) => self.nodes.get(&path).filter(|node| matches!(node.kind, Kind::File(_))),
            _ => None,
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of all file contents.
    pub fn content_bytes(&self) -> u64 {
        let size = |node: &Node| match &node.kind {
            Kind::File(content) => content.len() as u64,
            _ => 0,
        };
        self.nodes.values().map(size).sum()
    }

    fn parents(&mut self, path: &str, source: &str) -> Result<()> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.nodes.get(parent) {
                None => {
                    self.nodes.insert(parent.to_owned(), Node::directory(0o755, IMPLIED));
                }
                Some(node) if node.kind == Kind::Directory => {}
                Some(node) => {
                    return Err(Error::ParentIsNoDirectory {
                        path: path.to_owned(),
                        origin: source.to_owned(),
                        parent: parent.to_owned(),
                        kind: node.kind.name(),
                        parent_origin: node.source.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// As many links as Linux follows in one path.
const MAX_LINKS: usize = 40;

/// Where a path ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// At this node (the empty path is the root).
    Found(String),
    /// Nowhere: this is the first path that would be needed and is not there, with what follows it.
    Missing(String),
    /// In a circle.
    Loop,
}

fn origin(source: &str, otherwise: &str) -> String {
    if source == IMPLIED { otherwise.to_owned() } else { source.to_owned() }
}

/// The top-level directories that are links into `usr` on a merged system.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// The one spelling of a path: relative, no `.` parts, `bin/x` as `usr/bin/x`.
pub fn normalize(path: &str, source: &str) -> Result<String> {
    let refuse = |problem| Err(Error::Path { path: path.to_owned(), origin: source.to_owned(), problem });
    if path.contains('\0') {
        return refuse("holds a NUL byte");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse("climbs out with `..`"),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return refuse("is the root itself");
    }
    let mut clean = parts.join("/");
    if parts.len() > 1 && MERGED.contains(&parts[0]) {
        clean.insert_str(0, "usr/");
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(source: &str) -> Node {
        Node::file(*b"x", 0o644, source)
    }

    #[test]
    fn two_sources_that_claim_one_path_are_both_named() {
        let mut tree = Tree::new();
        tree.insert("usr/bin/x", file("one")).unwrap();
        let message = tree.insert("./bin/x", file("two")).unwrap_err().to_string();
        assert!(message.contains("usr/bin/x") && message.contains("one and two"), "{message}");
    }

    #[test]
    fn a_file_where_a_directory_is_needed_is_refused_in_either_order() {
        let mut tree = Tree::new();
        tree.insert("etc/x", file("one")).unwrap();
        let error = tree.insert("etc/x/y", file("two")).unwrap_err();
        assert!(matches!(error, Error::ParentIsNoDirectory { kind: "file", .. }), "{error}");
        let error = tree.insert("etc", file("three")).unwrap_err();
        assert!(matches!(error, Error::Claimed { .. }), "{error}");
    }

    #[test]
    fn a_file_below_a_link_is_refused() {
        let mut tree = Tree::new();
        tree.insert("usr/share/a", Node::symlink("b", "one")).unwrap();
        let error = tree.insert("usr/share/a/x", file("two")).unwrap_err();
        assert!(matches!(error, Error::ParentIsNoDirectory { kind: "symlink", .. }), "{error}");
    }

    #[test]
    fn paths_of_an_unmerged_package_land_in_usr() {
        assert_eq!(normalize("./lib/udev/x", "p").unwrap(), "usr/lib/udev/x");
        assert_eq!(normalize("/sbin/y", "p").unwrap(), "usr/sbin/y");
        assert_eq!(normalize("lib", "p").unwrap(), "lib");
        assert_eq!(normalize("usr//lib/./z/", "p").unwrap(), "usr/lib/z");
    }

    #[test]
    fn hostile_paths_are_refused() {
        for path in ["../etc/passwd", "usr/../../x", "", "/", "./", "a\0b"] {
            assert!(normalize(path, "p").is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_directory_takes_the_rights_of_whoever_names_it() {
        let mut tree = Tree::new();
        tree.insert("root/x", file("one")).unwrap();
        tree.insert("root", Node::directory(0o700, "two")).unwrap();
        tree.imply("root").unwrap();
        assert_eq!(tree.get("root").unwrap().mode, 0o700);
        let error = tree.insert("root", Node::directory(0o755, "three")).unwrap_err();
        assert!(matches!(error, Error::DirectoryDiffers { .. }), "{error}");
    }

    #[test]
    fn links_are_followed_within_the_tree_and_never_out_of_it() {
        let mut tree = Tree::new();
        tree.insert("bin", Node::symlink("usr/bin", "p")).unwrap();
        tree.insert("usr/bin/mount", file("p")).unwrap();
        tree.insert("etc/up", Node::symlink("../../../../usr/bin/mount", "p")).unwrap();
        tree.insert("etc/run", Node::symlink("/run/./x//y", "p")).unwrap();
        tree.insert("etc/a", Node::symlink("b", "p")).unwrap();
        tree.insert("etc/b", Node::symlink("a", "p")).unwrap();
        assert_eq!(tree.resolve("/bin/mount"), Resolved::Found("usr/bin/mount".into()));
        assert_eq!(tree.resolve("etc/up"), Resolved::Found("usr/bin/mount".into()));
        assert_eq!(tree.resolve("etc/run"), Resolved::Missing("run/x/y".into()));
        assert_eq!(tree.resolve("etc/a"), Resolved::Loop);
    }

    #[test]
    fn what_lies_below_a_directory_is_not_what_lies_beside_it() {
        let mut tree = Tree::new();
        for path in ["a/b/c", "a/b-c", "a/b.d/x"] {
            tree.insert(path, file("p")).unwrap();
        }
        assert_eq!(tree.below("a/b").map(|(path, _)| path).collect::<Vec<_>>(), ["a/b/c"]);
    }

    proptest::proptest! {
        #[test]
        fn every_accepted_path_is_normal_and_has_its_parents(path in "[a-b./]{0,12}") {
            let mut tree = Tree::new();
            if tree.insert(&path, file("p")).is_ok() {
                let paths: Vec<_> = tree.iter().map(|(path, _)| path.to_owned()).collect();
                for path in &paths {
                    proptest::prop_assert_eq!(&normalize(path, "p").unwrap(), path);
                    if let Some((parent, _)) = path.rsplit_once('/') {
                        proptest::prop_assert!(paths.iter().any(|other| other == parent));
                    }
                }
            }
        }
    }
}
