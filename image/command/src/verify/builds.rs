//! Why two builds differ, from their manifests alone: what they were made from, and every file that is not the same.
//!
//! One file that packs to another length moves all that lies behind it, so bytes say where two images begin to differ and
//! manifests say what it is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{Blob, Content, File, Manifest};

/// Lines for a person, at most `most` files among them.
pub fn differences(ours: &Manifest, theirs: &Manifest, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (a, b) = (&ours.toolchain, &theirs.toolchain);
    for (what, ours, theirs) in [
        ("board", &ours.board, &theirs.board),
        ("image/packages.lock", &ours.lock_sha256, &theirs.lock_sha256),
        ("profile", &ours.profile, &theirs.profile),
        ("toolchain", &a.toolchain.to_string(), &b.toolchain.to_string()),
        ("rustc", &a.rustc, &b.rustc),
        ("linker", &a.linker, &b.linker),
        ("C compiler", &a.c_compiler, &b.c_compiler),
        ("C library", &a.c_library, &b.c_library),
    ] {
        if ours != theirs {
            lines.push(format!("{what}: {} here, {} there", one_line(ours), one_line(theirs)));
        }
    }
    let mut files = in_fats(ours, theirs);
    files.extend(in_root(ours, theirs));
    let more = files.len().saturating_sub(most);
    lines.extend(files.into_iter().take(most));
    if more > 0 {
        lines.push(format!("and {more} more files"));
    }
    lines
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn in_fats(ours: &Manifest, theirs: &Manifest) -> Vec<String> {
    let none = BTreeMap::new();
    let of = |manifest: &'_ Manifest, name: &str| {
        let part = manifest.partitions.iter().find(|part| part.name == name);
        part.map_or_else(|| none.clone(), |part| part.files.clone())
    };
    let parts = ours.partitions.iter().filter(|part| !part.files.is_empty());
    let lines = parts.flat_map(|part| {
        pairs(
            &of(ours, &part.name),
            &of(theirs, &part.name),
            |name, ours: &Blob, theirs: &Blob| {
                (ours != theirs).then(|| format!("{}: {name} has other bytes", part.name))
            },
            |name, side| format!("{}: {name} is only {side}", part.name),
        )
    });
    lines.collect()
}

fn in_root(ours: &Manifest, theirs: &Manifest) -> Vec<String> {
    fn by_path(manifest: &Manifest) -> BTreeMap<String, &File> {
        manifest.files.iter().map(|file| (file.path.clone(), file)).collect()
    }
    let only = |path: &str, side: &str| format!("root-a: {path} is only {side}");
    pairs(
        &by_path(ours),
        &by_path(theirs),
        |path, a, b| Some(format!("root-a: {path} has {}", changed(a, b)?)),
        only,
    )
}

/// What of a path is not the same.
fn changed(ours: &File, theirs: &File) -> Option<String> {
    let what = match (&ours.content, &theirs.content) {
        (Content::File(a), Content::File(b)) if a != b => "other bytes".to_owned(),
        (Content::Symlink { target: a }, Content::Symlink { target: b }) if a != b => {
            format!("another target: {a} here, {b} there")
        }
        (Content::Directory, Content::Directory)
        | (Content::File(_), Content::File(_))
        | (Content::Symlink { .. }, Content::Symlink { .. }) => {
            let rights = |file: &File| format!("{} {}:{}", file.mode, file.uid, file.gid);
            let (a, b) = (rights(ours), rights(theirs));
            return (a != b).then(|| format!("another mode or owner: {a} here, {b} there"));
        }
        _ => "another kind".to_owned(),
    };
    Some(what)
}

/// Goes through both lists by name.
fn pairs<T>(
    ours: &BTreeMap<String, T>,
    theirs: &BTreeMap<String, T>,
    both: impl Fn(&str, &T, &T) -> Option<String>,
    one: impl Fn(&str, &str) -> String,
) -> Vec<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let line = |name: &String| match (ours.get(name), theirs.get(name)) {
        (Some(a), Some(b)) => both(name, a, b),
        (Some(_), None) => Some(one(name, "here")),
        _ => Some(one(name, "there")),
    };
    names.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(change: impl FnOnce(&mut Manifest)) -> Manifest {
        let file = |path: &str, content| File {
            path: path.to_owned(),
            mode: "0644".to_owned(),
            uid: 0,
            gid: 0,
            source: "overlay".to_owned(),
            content,
        };
        let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
            "version": 1, "inputs": "", "board": "b", "serves": [], "profile": "box", "lock_sha256": "l",
            "toolchain": {"toolchain": "pinned", "target": "t", "rustc": "rustc 1\nmore", "linker": "l",
                          "c_compiler": "gcc", "c_library": "musl 1", "locked": ""},
            "image": {"size": 1, "sha256": "i"}, "packages": [], "files": [],
            "partitions": [{"name": "boot-a", "number": 6, "offset": 0, "room": 9, "content": null,
                            "files": {"Image.gz": {"size": 1, "sha256": "k"}}}],
        }))
        .unwrap();
        manifest.files = vec![
            file("etc", Content::Directory),
            file("etc/hosts", Content::File(Blob::of(b"h"))),
            file("etc/link", Content::Symlink { target: "a".to_owned() }),
        ];
        change(&mut manifest);
        manifest
    }

    fn told(change: impl FnOnce(&mut Manifest)) -> Vec<String> {
        differences(&manifest(|_| {}), &manifest(change), 3)
    }

    #[test]
    fn two_builds_of_one_image_differ_in_nothing() {
        assert!(told(|_| {}).is_empty());
        assert!(told(|other| other.inputs = "in another way".to_owned()).is_empty());
    }

    #[test]
    fn what_they_were_made_from_is_told_first() {
        let lines = told(|other| {
            other.lock_sha256 = "m".to_owned();
            other.toolchain.rustc = "rustc 2\nmore".to_owned();
            other.files[1].content = Content::File(Blob::of(b"i"));
        });
        assert_eq!(lines[0], "image/packages.lock: l here, m there");
        assert_eq!(lines[1..], ["rustc: rustc 1 here, rustc 2 there", "root-a: etc/hosts has other bytes"]);
    }

    #[test]
    fn every_kind_of_difference_of_a_path_has_its_words() {
        let of = |change: fn(&mut Manifest)| told(change).join("; ");
        assert_eq!(
            of(|m| m.files[0].mode = "0700".into()),
            "root-a: etc has another mode or owner: 0644 0:0 here, 0700 0:0 there"
        );
        assert_eq!(
            of(|m| m.files[2].content = Content::Symlink { target: "b".into() }),
            "root-a: etc/link has another target: a here, b there"
        );
        assert_eq!(of(|m| m.files[2].content = Content::Directory), "root-a: etc/link has another kind");
        assert_eq!(of(|m| drop(m.files.pop())), "root-a: etc/link is only here");
        assert_eq!(
            of(|m| m.files[1].path = "etc/x".into()),
            "root-a: etc/hosts is only here; root-a: etc/x is only there"
        );
        assert_eq!(
            of(|m| drop(m.partitions[0].files.insert("Image.gz".into(), Blob::of(b"")))),
            "boot-a: Image.gz has other bytes"
        );
        assert_eq!(of(|m| m.partitions.clear()), "boot-a: Image.gz is only here");
    }

    #[test]
    fn a_long_list_ends_with_how_many_more() {
        let lines = told(|other| other.files.clear());
        assert_eq!(lines.len(), 3);
        let lines = differences(&manifest(|m| m.files.clear()), &manifest(|_| {}), 2);
        assert_eq!(lines[2], "and 1 more files");
    }
}
