//! `licences.txt`: every licence text and copyright notice of what is in the image.

use std::collections::{BTreeMap, BTreeSet};

use stayput_packages::deb::EntryKind;

use super::crates::Crate;
use crate::supply::Opened;

/// Where Debian keeps the texts that its packages' notices refer to.
const COMMON: &str = "usr/share/common-licenses/";
const RULE: &str = "--------------------------------------------------------------------------------";

/// What Debian's packages say of their licences.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// The copyright file of every package.
    pub packages: BTreeMap<String, String>,
    /// The texts that they refer to, by name.
    pub common: BTreeMap<String, String>,
    /// Packages whose notice is in a package that is not in the image, and which one.
    pub elsewhere: BTreeMap<String, String>,
}

/// Collects the notices. Packages often share one through a link to another package's folder.
pub fn notices<'a>(packages: impl Iterator<Item = &'a Opened> + Clone) -> Notices {
    let mut notices = Notices::default();
    let mut links = BTreeMap::new();
    for package in packages {
        let folder = format!("usr/share/doc/{}", package.name);
        let own = format!("{folder}/copyright");
        for entry in &package.entries {
            match &entry.kind {
                EntryKind::File(bytes) if entry.path == own => {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    notices.packages.insert(package.name.clone(), text);
                }
                EntryKind::Symlink(target) if entry.path == folder || entry.path == own => {
                    let target = target.trim_end_matches("/copyright").rsplit('/').next().unwrap_or(target);
                    links.insert(package.name.clone(), target.to_owned());
                }
                EntryKind::File(bytes) => {
                    if let Some(name) = entry.path.strip_prefix(COMMON) {
                        notices.common.insert(name.to_owned(), String::from_utf8_lossy(bytes).into_owned());
                    }
                }
                _ => {}
            }
        }
    }
    for (package, target) in links {
        match notices.packages.get(&target).cloned() {
            Some(text) => drop(notices.packages.entry(package).or_insert(text)),
            None => drop(notices.elsewhere.insert(package, target)),
        }
    }
    notices
}

/// The short names of the licences in a notice, where it is one that machines can read.
pub fn names(notice: &str) -> BTreeSet<String> {
    let first = notice.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    if !first.starts_with("Format") || !first.contains("copyright-format") {
        return BTreeSet::new();
    }
    let names = notice.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The file. One text that several share is written once, under all their names.
pub fn text(
    notices: &Notices,
    packages: &[String],
    crates: &[Crate],
    brought: &BTreeMap<String, String>,
) -> String {
    let mut out = "Licences and copyright notices of everything in this Stayput image.\n".to_owned();
    out += "Debian's notices refer to licences by name; the last section holds these texts.\n";
    section(&mut out, "Debian packages");
    let elsewhere: BTreeMap<_, _> = notices
        .elsewhere
        .iter()
        .map(|(name, target)| {
            (name, format!("(its notice is in Debian's package {target}, which is not in the image)"))
        })
        .collect();
    let of = |name: &String| {
        let text = notices.packages.get(name).or_else(|| elsewhere.get(name));
        text.map_or("(the package has no notice)", String::as_str)
    };
    shared(&mut out, packages.iter().map(|name| (name.clone(), of(name))));
    section(&mut out, "Rust crates linked into the box's programs");
    let texts = crates.iter().flat_map(|one| {
        let title = format!("{} {}", one.name, one.version);
        let declared = one.licence.as_deref().unwrap_or("no licence");
        let each = one.texts.iter().map({
            let title = title.clone();
            move |(file, text)| (format!("{title} ({declared}), {file}"), text.as_str())
        });
        let none = one
            .texts
            .is_empty()
            .then(|| (format!("{title} ({declared})"), "(declared in its Cargo.toml; no text of its own)"));
        each.chain(none)
    });
    shared(&mut out, texts);
    section(&mut out, "Libraries that the compiler brings, linked into the box's programs");
    shared(&mut out, brought.iter().map(|(title, text)| (title.clone(), text.as_str())));
    section(&mut out, "Texts that Debian's notices refer to");
    shared(&mut out, notices.common.iter().map(|(name, text)| (name.clone(), text.as_str())));
    out
}

fn section(out: &mut String, title: &str) {
    *out += &format!("\n{}\n{title}\n{}\n", "=".repeat(80), "=".repeat(80));
}

/// Every text once, in the order of its first name.
fn shared<'a>(out: &mut String, texts: impl Iterator<Item = (String, &'a str)>) {
    let mut order: Vec<(&str, Vec<String>)> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, text) in texts {
        let place = *known.entry(text).or_insert_with(|| {
            order.push((text, Vec::new()));
            order.len() - 1
        });
        order[place].1.push(name);
    }
    for (text, names) in order {
        *out += &format!("\n{RULE}\n{}\n{RULE}\n\n{}\n", names.join("\n"), text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_packages::deb::Entry;

    fn package(name: &str, entries: &[(&str, EntryKind)]) -> Opened {
        let entry = |(path, kind): &(&str, EntryKind)| Entry {
            path: (*path).to_owned(),
            kind: kind.clone(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        Opened { name: name.into(), features: BTreeSet::new(), entries: entries.iter().map(entry).collect() }
    }

    fn file(text: &str) -> EntryKind {
        EntryKind::File(text.as_bytes().to_vec())
    }

    fn opened() -> Vec<Opened> {
        vec![
            // The link comes before what it points to.
            package("libb1", &[("usr/share/doc/libb1", EntryKind::Symlink("a".into()))]),
            package("a", &[("usr/share/doc/a/copyright", file("notice of a")), ("usr/bin/a", file("x"))]),
            package("libgcc-s1", &[("usr/share/doc/libgcc-s1", EntryKind::Symlink("gcc-14-base".into()))]),
            package("base-files", &[("usr/share/common-licenses/GPL-2", file("the GPL"))]),
        ]
    }

    #[test]
    fn a_notice_behind_a_link_to_another_package_is_found() {
        let notices = notices(opened().iter());
        assert_eq!(notices.packages["libb1"], "notice of a");
        assert_eq!(notices.common["GPL-2"], "the GPL");
        assert_eq!(notices.packages.len(), 2);
    }

    #[test]
    fn a_shared_text_is_written_once_under_all_names_and_a_missing_one_is_said() {
        let names = ["a", "libb1", "base-files", "libgcc-s1"].map(String::from);
        let text = text(
            &notices(opened().iter()),
            &names,
            &[],
            &[("musl 1".to_owned(), "of musl".to_owned())].into(),
        );
        assert_eq!(text.matches("notice of a").count(), 1);
        assert!(text.contains("\na\nlibb1\n"), "{text}");
        assert!(text.contains("base-files\n--") && text.contains("(the package has no notice)"), "{text}");
        assert!(text.contains("is in Debian's package gcc-14-base"), "{text}");
        assert!(text.contains("the GPL") && text.contains("\nmusl 1\n--"), "{text}");
    }

    #[test]
    fn short_names_are_read_from_a_machine_readable_notice_and_from_no_other() {
        let notice = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
                      Files: *\nLicense: GPL-2+\n\nFiles: x\nLicense: Expat\n text\nLicense:\n";
        assert_eq!(names(notice).into_iter().collect::<Vec<_>>(), ["Expat", "GPL-2+"]);
        assert!(names("This is free.\nLicense: GPL-2+\n").is_empty());
        assert!(names("").is_empty());
    }
}
