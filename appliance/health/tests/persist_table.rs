//! The table of persistent paths as text: what is read, and how each mistake is told.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, which is its job")]

use proptest::prelude::*;
use stayput_health::persist::{PersistKind, PersistTable};

const GOOD: &str = include_str!("persist/good.toml");

fn parse(text: &str) -> Result<PersistTable, String> {
    PersistTable::parse(text.as_bytes(), "persist.toml").map_err(|error| error.to_string())
}

fn mistake(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    parse(&GOOD.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn a_table_is_read_in_its_order_with_what_is_usual_filled_in() {
    let table = parse(GOOD).unwrap();
    let [log, journal] = &table.paths[..] else { panic!("{table:?}") };
    assert_eq!((log.state.as_str(), log.at.as_str(), log.kind), ("log", "/var/log", PersistKind::Directory));
    assert_eq!((log.permissions(), log.uid, log.gid), (0o755, 0, 0));
    assert_eq!((journal.permissions(), journal.gid), (0o750, 999));
    assert_eq!(journal.at.relative(), "var/log/journal");
    let file = parse("version = 1\n[[path]]\nstate='a'\nat='/etc/a'\nkind='file'\nwhy='w'").unwrap();
    assert_eq!(file.paths[0].permissions(), 0o644);
    assert!(parse("version = 1").unwrap().paths.is_empty());
    assert_eq!(table.folders[0].data.as_str(), "source");
    assert_eq!((table.folders[0].permissions(), table.folders[0].uid), (0o1770, 802));
    assert_eq!(table.folders[1].permissions(), 0o755);
}

#[test]
fn a_path_that_leaves_its_place_is_refused() {
    for bad in ["/log", "../log", "a/../b", "a//b", "./a", "a/", "", "a\\u0000b", "a b"] {
        let message = mistake("state = \"log\"", &format!("state = \"{bad}\""));
        assert!(
            message.starts_with("persist.toml:4:9:") && message.contains("relative path"),
            "{bad}: {message}"
        );
    }
    for bad in ["var/log", "/", "/var/../etc/shadow", "//var/log", "/var/log/"] {
        let message = mistake("at = \"/var/log\"", &format!("at = \"{bad}\""));
        assert!(
            message.starts_with("persist.toml:5:6:") && message.contains("absolute path"),
            "{bad}: {message}"
        );
    }
}

#[test]
fn places_that_are_made_anew_at_each_boot_cannot_be_kept() {
    for bad in ["/run/docker", "/dev/x", "/proc/x", "/sys/x", "/state/x", "/data/x", "/var", "/etc"] {
        let message = mistake("at = \"/var/log\"", &format!("at = \"{bad}\""));
        assert!(message.contains("cannot be kept"), "{bad}: {message}");
    }
    let message = mistake("at = \"/var/log\"", "at = \"/etc/machine-id\"");
    assert!(message.contains("kept by the initramfs program"), "{message}");
}

#[test]
fn a_folder_of_the_data_partition_lies_directly_below_it_once_and_says_what_it_is_for() {
    for bad in ["/source", "..", "a//b", ""] {
        let message = mistake("data = \"source\"", &format!("data = \"{bad}\""));
        assert!(message.contains("relative path"), "{bad}: {message}");
    }
    assert!(mistake("data = \"source\"", "data = \"a/b\"").contains("lies inside another folder"));
    let message = mistake("data = \"source\"", "data = \"destination\"");
    assert!(message.contains("'destination' is already used in line"), "{message}");
    assert!(mistake("why = \"in\"", "why = \"\"").contains("does not say what it is for"));
    assert!(mistake("data = \"source\"", "date = \"source\"").contains("unknown field `date`"));
}

#[test]
fn a_place_or_a_state_path_may_occur_once() {
    let message = mistake("\"/var/log/journal\"", "\"/var/log\"");
    assert!(message.contains("'/var/log' is already used in line 3"), "{message}");
    let message = mistake("\"log/journal\"", "\"log\"");
    assert!(message.contains("'log' is already used in line 3"), "{message}");
}

#[test]
fn a_parent_comes_before_its_children_and_is_a_directory() {
    let turned =
        GOOD.replace("\"/var/log/journal\"", "\"/X\"").replace("\"/var/log\"", "\"/var/log/journal\"");
    let message = parse(&turned.replace("\"/X\"", "\"/var/log\"")).unwrap_err();
    assert!(message.contains("would hide '/var/log/journal'"), "{message}");
    let message = mistake("why = \"what", "kind = \"file\"\nwhy = \"what");
    assert!(message.contains("inside '/var/log', which is a file"), "{message}");
    // A longer name is not a child.
    assert!(parse(&GOOD.replace("\"/var/log/journal\"", "\"/var/logs\"")).is_ok());
}

#[test]
fn a_mode_is_octal_text_without_set_user_id_and_for_a_file_without_more() {
    for bad in ["755 ", "0o755", "4755", "6755", "888", "7", "07555", "+755", "rwx"] {
        let message = mistake("mode = \"0750\"", &format!("mode = \"{bad}\""));
        assert!(message.contains("is no mode"), "{bad}: {message}");
    }
    assert!(mistake("mode = \"0750\"", "mode = 750").contains("expected a string"));
    assert!(parse(&GOOD.replace("0750", "2755")).is_ok());
    let message = mistake("mode = \"0750\"", "kind = \"file\"\nmode = \"2755\"");
    assert!(message.contains("mode above 0777"), "{message}");
}

#[test]
fn a_path_must_say_why_it_is_kept() {
    assert!(mistake("why = \"the journal\"", "why = \" \"").contains("does not say why"));
    assert!(mistake("why = \"the journal\"", "").contains("missing field `why`"));
}

#[test]
fn an_unknown_key_and_a_later_version_are_refused() {
    assert!(mistake("why = \"the journal\"", "whhy = \"x\"").contains("unknown field `whhy`"));
    assert!(mistake("version = 1", "version = 7\nnew = 1").contains("version 7"));
}

proptest! {
    #[test]
    fn no_damage_to_a_good_table_makes_the_parser_stop(
        at in 0..GOOD.len(), length in 0..40_usize, patch in "\\PC{0,20}",
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, patch.into_bytes());
        let _ = PersistTable::parse(&bytes, "persist.toml");
    }

    #[test]
    fn whatever_is_accepted_stays_inside(at in "[/a-z.]{0,12}", state in "[/a-z.]{0,12}") {
        let text = format!("version = 1\n[[path]]\nstate='{state}'\nat='{at}'\nwhy='w'");
        if let Ok(table) = parse(&text) {
            let path = &table.paths[0];
            for steps in [path.at.relative(), path.state.as_str()] {
                prop_assert!(steps.split('/').all(|step| !step.is_empty() && step != "." && step != ".."));
            }
        }
    }
}

#[test]
fn the_table_of_the_tree_is_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = PersistTable::load(&path.join("../../overlay/usr/share/stayput/persist.toml")).unwrap();
    assert!(table.paths.iter().any(|row| row.at.as_str() == "/var/log/journal"));
    // The folders that stayput.toml names where nothing else is said, and the log of what was moved between them.
    let folders: Vec<_> = table.folders.iter().map(|row| row.data.as_str()).collect();
    assert_eq!(folders, ["source", "destination", "ledger"]);
}
