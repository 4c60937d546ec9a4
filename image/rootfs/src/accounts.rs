//! The pinned accounts: `/etc/passwd`, `group`, `shadow` and `gshadow` from the table.
//!
//! Numbers that a machine picks by itself shift between releases, while the files below `/var` keep theirs. So every
//! number is in the table, and nobody is added on the box.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::error::Result;
use crate::rules::{Rules, User};

/// The login shell of everyone, root included, but of those whom sshd lets in with a key: theirs is the one program that it
/// starts for them, by its path in the root directory that sshd gives them.
///
/// There is no such file in the image: whatever reads passwd knows the name as "may not log in", and whatever tried
/// to start it all the same would fail.
const SHELL: &str = "/usr/sbin/nologin";

/// The home of accounts that have none.
const NO_HOME: &str = "/nonexistent";

/// 65535 is (uid_t) -1 in 16 bits, and numbers above 60000 belong to systemd's dynamic users and to nobody.
const NOBODY: u32 = 65534;
const LAST: u32 = 999;

/// Checks the account tables against themselves.
pub fn check(rules: &Rules) -> Result<()> {
    let mut gids: BTreeMap<u32, &str> = BTreeMap::new();
    let mut groups: BTreeSet<&str> = BTreeSet::new();
    for group in &rules.groups {
        let entry = || format!("[[group]] {}", group.name);
        check_name(&group.name).map_err(|problem| rules.wrong(entry(), problem))?;
        check_number(group.gid).map_err(|problem| rules.wrong(entry(), problem))?;
        if let Some(other) = gids.insert(group.gid, &group.name) {
            return Err(rules.wrong(entry(), format!("has gid {}, which {other} has", group.gid)));
        }
        if !groups.insert(&group.name) {
            return Err(rules.wrong(entry(), "is there twice"));
        }
    }
    let mut uids: BTreeMap<u32, &str> = BTreeMap::new();
    let mut users: BTreeSet<&str> = BTreeSet::new();
    for user in &rules.users {
        let entry = || format!("[[user]] {}", user.name);
        check_name(&user.name).map_err(|problem| rules.wrong(entry(), problem))?;
        check_number(user.uid).map_err(|problem| rules.wrong(entry(), problem))?;
        if let Some(other) = uids.insert(user.uid, &user.name) {
            return Err(rules.wrong(entry(), format!("has uid {}, which {other} has", user.uid)));
        }
        if !users.insert(&user.name) {
            return Err(rules.wrong(entry(), "is there twice"));
        }
        if let Some(group) = &user.group {
            if !groups.contains(group.as_str()) {
                return Err(
                    rules.wrong(entry(), format!("has the group {group:?}, which is in no [[group]]"))
                );
            }
        } else if let Some(other) = gids.get(&user.uid).filter(|other| **other != user.name) {
            return Err(rules.wrong(entry(), format!("needs gid {}, which the group {other} has", user.uid)));
        } else if groups.contains(user.name.as_str()) {
            return Err(
                rules.wrong(entry(), format!("has its own group and [[group]] {} as well", user.name))
            );
        }
        let home = user.home.as_deref().unwrap_or(NO_HOME);
        if !home.starts_with('/') || home.contains([':', '\n']) {
            return Err(rules.wrong(entry(), format!("has the home {home:?}, which is no absolute path")));
        }
        if let Some(shell) = &user.shell
            && (!shell.starts_with('/') || shell.contains([':', '\n']))
        {
            return Err(rules.wrong(entry(), format!("has the shell {shell:?}, which is no absolute path")));
        }
        if user.why.contains([':', '\n', ',']) {
            return Err(rules.wrong(
                entry(),
                "has a `why` with a colon, a comma or a line break: it becomes the account's comment",
            ));
        }
    }
    for group in &rules.groups {
        if let Some(member) = group.members.iter().find(|member| !users.contains(member.as_str())) {
            let entry = format!("[[group]] {}", group.name);
            return Err(rules.wrong(entry, format!("has the member {member:?}, which is no [[user]]")));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    match first && rest && name.len() <= 31 {
        true => Ok(()),
        false => {
            Err("is no account name: lower-case letters, digits, `_` and `-`, at most 31, no digit first"
                .into())
        }
    }
}

fn check_number(number: u32) -> Result<(), String> {
    match number <= LAST || number == NOBODY {
        true => Ok(()),
        false => {
            Err(format!("has the number {number}; accounts of the box lie in 0..={LAST} (and {NOBODY})"))
        }
    }
}

/// The accounts as the box will see them.
pub struct Accounts<'a> {
    rules: &'a Rules,
    /// Numbers by name.
    pub users: BTreeMap<&'a str, u32>,
    /// Numbers by name.
    pub groups: BTreeMap<&'a str, u32>,
}

impl<'a> Accounts<'a> {
    /// Takes the (checked) table.
    pub fn new(rules: &'a Rules) -> Self {
        let users = rules.users.iter().map(|user| (&*user.name, user.uid)).collect();
        let mut groups: BTreeMap<&str, u32> =
            rules.groups.iter().map(|group| (&*group.name, group.gid)).collect();
        groups.extend(
            rules.users.iter().filter(|user| user.group.is_none()).map(|user| (&*user.name, user.uid)),
        );
        Self { rules, users, groups }
    }

    /// The four files below `/etc`: path, content, mode.
    pub fn files(&self) -> Vec<(&'static str, String, u32)> {
        let mut users: Vec<&User> = self.rules.users.iter().collect();
        users.sort_by_key(|user| user.uid);
        let (mut passwd, mut shadow) = (String::new(), String::new());
        for User { name, uid, group, home, shell, why } in users {
            let gid = group.as_deref().map_or(*uid, |group| self.groups[group]);
            let home = home.as_deref().unwrap_or(NO_HOME);
            // Writing to a String cannot fail.
            // Neither lets a password in; sshd takes the first for an account that is locked for keys as well.
            let (shell, password) = shell.as_deref().map_or((SHELL, "!*"), |shell| (shell, "*"));
            let _ = writeln!(passwd, "{name}:x:{uid}:{gid}:{why}:{home}:{shell}");
            let _ = writeln!(shadow, "{name}:{password}:::::::");
        }
        let mut groups: Vec<(&str, u32)> = self.groups.iter().map(|(name, gid)| (*name, *gid)).collect();
        groups.sort_by_key(|(_, gid)| *gid);
        let (mut group, mut gshadow) = (String::new(), String::new());
        for (name, gid) in groups {
            let members = self.rules.groups.iter().find(|group| group.name == name);
            let members = members.map_or(String::new(), |group| group.members.join(","));
            let _ = writeln!(group, "{name}:x:{gid}:{members}");
            let _ = writeln!(gshadow, "{name}:!*::{members}");
        }
        vec![
            ("etc/passwd", passwd, 0o644),
            ("etc/group", group, 0o644),
            ("etc/shadow", shadow, 0o600),
            ("etc/gshadow", gshadow, 0o600),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const BASE: &str = "version = 1\n\
        [[user]]\nname = \"root\"\nuid = 0\nhome = \"/root\"\nwhy = \"root\"\n\
        [[user]]\nname = \"box\"\nuid = 800\ngroup = \"disk\"\nwhy = \"w\"\n\
        [[group]]\nname = \"disk\"\ngid = 6\nmembers = [\"root\"]\nwhy = \"w\"\n";

    fn problem(more: &str) -> String {
        match Rules::parse(&format!("{BASE}{more}"), "t").unwrap_err() {
            Error::Table { entry, problem, .. } => format!("{entry} {problem}"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_account_is_locked_and_has_no_shell() {
        let rules = Rules::parse(BASE, "t").unwrap();
        let files = Accounts::new(&rules).files();
        assert_eq!(
            files[0].1,
            "root:x:0:0:root:/root:/usr/sbin/nologin\nbox:x:800:6:w:/nonexistent:/usr/sbin/nologin\n"
        );
        assert_eq!(files[1].1, "root:x:0:\ndisk:x:6:root\n");
        assert_eq!(files[2], ("etc/shadow", "root:!*:::::::\nbox:!*:::::::\n".to_owned(), 0o600));
        assert_eq!(files[3].1, "root:!*::\ndisk:!*::root\n");
    }

    #[test]
    fn whoever_comes_with_a_key_has_one_program_and_no_password_either() {
        let door = "[[user]]\nname = \"door\"\nuid = 801\nhome = \"/\"\nshell = \"/lib/door\"\nwhy = \"w\"\n";
        let rules = Rules::parse(&format!("{BASE}{door}"), "t").unwrap();
        let files = Accounts::new(&rules).files();
        assert!(files[0].1.ends_with("\ndoor:x:801:801:w:/:/lib/door\n"), "{}", files[0].1);
        assert!(files[2].1.ends_with("\nbox:!*:::::::\ndoor:*:::::::\n"), "{}", files[2].1);
        assert!(problem(&door.replace("/lib/door", "door")).contains("shell"));
        assert!(problem(&door.replace("/lib/door", "/lib/a:b")).contains("shell"));
    }

    #[test]
    fn a_number_taken_twice_is_refused() {
        assert!(problem("[[user]]\nname = \"b\"\nuid = 800\nwhy = \"w\"\n").contains("which box has"));
        assert!(problem("[[group]]\nname = \"b\"\ngid = 6\nwhy = \"w\"\n").contains("which disk has"));
        assert!(problem("[[user]]\nname = \"b\"\nuid = 6\nwhy = \"w\"\n").contains("the group disk has"));
    }

    #[test]
    fn a_member_or_group_that_does_not_exist_is_refused() {
        assert!(
            problem("[[group]]\nname = \"b\"\ngid = 7\nmembers = [\"who\"]\nwhy = \"w\"\n").contains("who")
        );
        assert!(problem("[[user]]\nname = \"b\"\nuid = 7\ngroup = \"what\"\nwhy = \"w\"\n").contains("what"));
    }

    #[test]
    fn names_and_numbers_that_passwd_cannot_hold_are_refused() {
        for name in ["Upper", "1st", "a:b", "", "a_name_that_is_longer_than_passwd_allows"] {
            problem(&format!("[[user]]\nname = {name:?}\nuid = 7\nwhy = \"w\"\n"));
        }
        assert!(problem("[[user]]\nname = \"b\"\nuid = 1000\nwhy = \"w\"\n").contains("1000"));
        assert!(problem("[[user]]\nname = \"b\"\nuid = 7\nwhy = \"a: b\"\n").contains("colon"));
    }
}
