//! Every user and group that a file of the box names, found where systemd, D-Bus and udev would find them.

use std::collections::BTreeSet;

use crate::accounts::Accounts;
use crate::error::Finding;
use crate::ini;
use crate::rules::Rules;
use crate::tree::{Kind, Tree};

/// Whose name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    User,
    Group,
}

/// One place that names an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    what: What,
    name: String,
    number: Option<u32>,
    place: String,
}

/// Checks every name in the finished tree.
pub fn findings(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let mut mentions = Vec::new();
    for (path, node) in tree.iter().filter(|(_, node)| matches!(node.kind, Kind::File(_))) {
        let Kind::File(content) = &node.kind else { continue };
        if let Some(reader) = reader(path) {
            mentions.extend(reader(path, &String::from_utf8_lossy(content)));
        }
    }
    let mut findings = check(mentions, rules);
    findings.extend(owners(tree, rules));
    findings
}

/// Checks a package's sysusers file, which is not in the tree: its accounts are the table's.
pub fn sysusers_findings(path: &str, content: &[u8], rules: &Rules) -> Vec<Finding> {
    check(sysusers(path, &String::from_utf8_lossy(content)), rules)
}

/// Where a package puts its sysusers files.
pub fn is_sysusers(path: &str) -> bool {
    in_folder(path, &["usr/lib/sysusers.d", "etc/sysusers.d"], ".conf")
}

type Reader = fn(&str, &str) -> Vec<Mention>;

fn reader(path: &str) -> Option<Reader> {
    let units = ["usr/lib/systemd/system/", "etc/systemd/system/"];
    if is_sysusers(path) {
        Some(sysusers)
    } else if in_folder(path, &["usr/lib/tmpfiles.d", "etc/tmpfiles.d"], ".conf") {
        Some(tmpfiles)
    } else if in_folder(path, &["usr/lib/udev/rules.d", "etc/udev/rules.d"], ".rules") {
        Some(udev)
    } else if path.contains("dbus-1/") && path.ends_with(".conf") {
        Some(dbus)
    } else if units.iter().any(|folder| path.starts_with(folder)) {
        Some(unit)
    } else {
        None
    }
}

fn in_folder(path: &str, folders: &[&str], suffix: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(folder, name)| folders.contains(&folder) && name.ends_with(suffix))
}

fn check(mut mentions: Vec<Mention>, rules: &Rules) -> Vec<Finding> {
    let accounts = Accounts::new(rules);
    let (unneeded_users, unneeded_groups) = (rules.unneeded_users(), rules.unneeded_groups());
    mentions.sort();
    mentions.dedup_by(|a, b| (a.what, &a.name, a.number) == (b.what, &b.name, b.number));
    let mut findings = Vec::new();
    for Mention { what, name, number, place } in mentions {
        let (known, unneeded, what) = match what {
            What::User => (&accounts.users, &unneeded_users, "user"),
            What::Group => (&accounts.groups, &unneeded_groups, "group"),
        };
        match (known.get(name.as_str()), number) {
            (Some(pinned), Some(wanted)) if *pinned != wanted => {
                findings.push(Finding::AccountNumber { what, name, wanted, pinned: *pinned, place });
            }
            (Some(_), _) => {}
            (None, _) if unneeded.contains(name.as_str()) => {}
            (None, _) => findings.push(Finding::UnknownAccount { what, name, place }),
        }
    }
    findings
}

fn owners(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let accounts = Accounts::new(rules);
    let uids: BTreeSet<u32> = accounts.users.values().copied().collect();
    let gids: BTreeSet<u32> = accounts.groups.values().copied().collect();
    let mut findings = Vec::new();
    for (path, node) in tree.iter() {
        for (what, number, known) in [("user", node.uid, &uids), ("group", node.gid, &gids)] {
            if !known.contains(&number) {
                let (path, origin) = (path.to_owned(), node.source.clone());
                findings.push(Finding::Owner { path, origin, what, number });
            }
        }
    }
    findings
}

fn mention(what: What, name: &str, place: &str, line: usize) -> Option<Mention> {
    let numeric = name.bytes().all(|b| b.is_ascii_digit());
    let open = name.contains(['%', '$', '*']);
    let skip = name.is_empty() || name == "-" || numeric || open;
    (!skip).then(|| Mention { what, name: name.to_owned(), number: None, place: format!("{place}:{line}") })
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// sysusers.d(5): `u NAME ID`, `g NAME ID`, `m USER GROUP`; `u` makes the group of the same name as well.
fn sysusers(path: &str, text: &str) -> Vec<Mention> {
    let mut mentions = Vec::new();
    for (line, text) in lines(text) {
        let words = ini::words(text);
        let [kind, name, rest @ ..] = words.as_slice() else { continue };
        let id = rest.first().map_or("-", String::as_str);
        let number = |text: &str| text.parse::<u32>().ok();
        match kind.trim_end_matches('!') {
            "u" => {
                let (uid, group) = id.split_once(':').unwrap_or((id, ""));
                let user = mention(What::User, name, path, line);
                mentions.extend(user.map(|user| Mention { number: number(uid), ..user }));
                // `uid:gid` and `uid:group` say that there is no group of the user's own.
                let own = if group.is_empty() { name } else { group };
                let own = mention(What::Group, own, path, line);
                let gid = if group.is_empty() { number(uid) } else { None };
                mentions.extend(own.map(|own| Mention { number: gid, ..own }));
            }
            "g" => {
                let group = mention(What::Group, name, path, line);
                mentions.extend(group.map(|group| Mention { number: number(id), ..group }));
            }
            "m" => {
                mentions.extend(mention(What::User, name, path, line));
                mentions.extend(mention(What::Group, id, path, line));
            }
            _ => {}
        }
    }
    mentions
}

/// tmpfiles.d(5): the fourth and fifth word own the path; an ACL line names accounts in its argument.
fn tmpfiles(path: &str, text: &str) -> Vec<Mention> {
    let mut mentions = Vec::new();
    for (line, text) in lines(text) {
        let words = ini::words(text);
        let word = |index: usize| words.get(index).map_or("-", |word| word.trim_start_matches(':'));
        mentions.extend(mention(What::User, word(3), path, line));
        mentions.extend(mention(What::Group, word(4), path, line));
        if words.first().is_some_and(|kind| kind.starts_with(['a', 'A'])) {
            for entry in word(6).split(',') {
                let entry = entry.strip_prefix("d:").or(entry.strip_prefix("default:")).unwrap_or(entry);
                let parts: Vec<&str> = entry.split(':').collect();
                match parts[..] {
                    ["user" | "u", name, ..] => mentions.extend(mention(What::User, name, path, line)),
                    ["group" | "g", name, ..] => mentions.extend(mention(What::Group, name, path, line)),
                    _ => {}
                }
            }
        }
    }
    mentions
}

/// Units: a `User=` of a unit with `DynamicUser=yes` is made at run time.
fn unit(path: &str, text: &str) -> Vec<Mention> {
    let (settings, _) = ini::parse(text);
    let dynamic = settings
        .iter()
        .any(|s| s.key == "DynamicUser" && ["yes", "true", "on", "1"].contains(&s.value.as_str()));
    let mut mentions = Vec::new();
    for setting in &settings {
        let what = match setting.key.as_str() {
            "User" | "Group" if dynamic => continue,
            "User" | "SocketUser" => What::User,
            "Group" | "SocketGroup" | "SupplementaryGroups" => What::Group,
            _ => continue,
        };
        for name in setting.value.split_whitespace() {
            mentions.extend(mention(what, name, path, setting.line));
        }
    }
    mentions
}

/// D-Bus configuration: `user="x"` and `group="x"` of policies, `<user>x</user>` of the bus itself.
fn dbus(path: &str, text: &str) -> Vec<Mention> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("<!--") {
        clean.push_str(before);
        let (comment, after) = comment.split_once("-->").unwrap_or((comment, ""));
        // Keep the line numbers.
        clean.extend(comment.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    clean.push_str(rest);
    let mut mentions = Vec::new();
    for (line, text) in lines(&clean) {
        for (what, open, close) in [
            (What::User, " user=\"", "\""),
            (What::Group, " group=\"", "\""),
            (What::User, "<user>", "</user>"),
        ] {
            // An attribute may be the first thing on its line.
            for part in format!(" {text}").split(open).skip(1) {
                let name = part.split_once(close).map_or(part, |(name, _)| name);
                mentions.extend(mention(what, name, path, line));
            }
        }
    }
    mentions
}

/// udev rules: `OWNER="x"` and `GROUP="x"`, with `=`, `:=` or `+=`.
fn udev(path: &str, text: &str) -> Vec<Mention> {
    let mut mentions = Vec::new();
    for (line, text) in lines(text) {
        for (what, key) in [(What::User, "OWNER"), (What::Group, "GROUP")] {
            for part in text.split(key).skip(1) {
                let value = part.trim_start_matches([':', '+']).strip_prefix("=\"");
                if let Some((name, _)) = value.and_then(|value| value.split_once('"')) {
                    mentions.extend(mention(what, name, path, line));
                }
            }
        }
    }
    mentions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    const RULES: &str = "version = 1\n\
        [[user]]\nname = \"root\"\nuid = 0\nwhy = \"w\"\n\
        [[group]]\nname = \"disk\"\ngid = 6\nwhy = \"w\"\n\
        [[unneeded]]\nusers = [\"games\"]\ngroups = [\"games\"]\nwhy = \"w\"\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        let rules = Rules::parse(RULES, "t").unwrap();
        let mut tree = Tree::new();
        tree.insert(path, Node::file(text, 0o644, "p")).unwrap();
        let mut found = Vec::new();
        for finding in findings(&tree, &rules) {
            match finding {
                Finding::UnknownAccount { what, name, place } => {
                    found.push(format!("{what} {name} {}", place.rsplit(':').next().unwrap()));
                }
                other => found.push(other.to_string()),
            }
        }
        found
    }

    #[test]
    fn a_unit_that_runs_as_nobody_we_know_is_found() {
        let text = "[Service]\nUser=mail\nGroup=disk\nSupplementaryGroups=disk tty\n";
        assert_eq!(found("usr/lib/systemd/system/a.service", text), ["user mail 2", "group tty 4"]);
        assert_eq!(found("usr/lib/systemd/system/a.service.d/b.conf", "[Service]\nUser=x\n"), ["user x 2"]);
    }

    #[test]
    fn dynamic_users_and_specifiers_are_no_accounts() {
        let text = "[Service]\nDynamicUser=yes\nUser=made\n";
        assert!(found("usr/lib/systemd/system/a.service", text).is_empty());
        assert!(found("usr/lib/systemd/system/a@.service", "[Service]\nUser=%i\n").is_empty());
    }

    #[test]
    fn tmpfiles_owners_and_acls_are_found() {
        let text = "d /run/x 0755 :who 6 -\na+ /run/y - - - - d:group:adm:r-x,user:me:r--,group::r-x\n";
        assert_eq!(found("usr/lib/tmpfiles.d/a.conf", text), ["user me 2", "user who 1", "group adm 2"]);
    }

    #[test]
    fn dbus_policies_are_found_outside_comments() {
        let text = "<!-- <policy user=\"not\"> -->\n<policy user=\"net\">\n<policy group=\"grp\">\n<user>bus</user>\n<policy user=\"*\">\n";
        assert_eq!(
            found("usr/share/dbus-1/system.d/a.conf", text),
            ["user bus 4", "user net 2", "group grp 3"]
        );
    }

    #[test]
    fn udev_groups_are_found() {
        let text = "KERNEL==\"a\", GROUP=\"disk\", OWNER:=\"me\"\nENV{GROUP}==\"x\", GROUP=\"$env{Y}\"\n";
        assert_eq!(found("usr/lib/udev/rules.d/a.rules", text), ["user me 1"]);
    }

    #[test]
    fn a_sysusers_number_that_is_not_ours_is_found() {
        let rules = Rules::parse(RULES, "t").unwrap();
        let text = b"g disk 7 -\nu games 5:60 - /x\nu! new - \"A B\"\nm root disk\n";
        let found: Vec<String> = sysusers_findings("usr/lib/sysusers.d/a.conf", text, &rules)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|text| text.contains("\"disk\" the number 7") && text.contains("pins 6")));
        assert_eq!(found.iter().filter(|text| text.contains("\"new\"")).count(), 2);
    }

    #[test]
    fn a_file_of_an_unknown_owner_is_found() {
        let rules = Rules::parse(RULES, "t").unwrap();
        let mut tree = Tree::new();
        tree.insert("a", Node { gid: 42, ..Node::file("x", 0o644, "p") }).unwrap();
        let found = findings(&tree, &rules);
        assert!(matches!(&found[..], [Finding::Owner { what: "group", number: 42, .. }]), "{found:?}");
    }
}
