//! The activation's code leaves the card once it was used: a mark stands in its place, in the person's file and in the good
//! copy of it.
//!
//! The file is not replaced but overwritten where it lies, at its own length, synced and read back. A card that was changed
//! in the meantime has another activation, or no file: then there is nothing to do. A write that the power cut leaves a code
//! that is half a mark; the next start finds it unused still and finishes.

use std::path::Path;

use stayput_config::{LONGEST, activation_in, mark_copies, mark_used};
use stayput_setup::good::{Copy, Shelf};
use stayput_setup::intake::NAME;

use crate::Result;
use crate::place::Drive;

/// How a code stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is none of an activation that was used, or none at all.
    Unused,
    /// It was used, and is a mark.
    Overwritten,
    /// It was used, and is still there.
    Left,
}

/// How the code in a text stands, given the activations that were used.
pub fn standing(bytes: &[u8], spent: &[String]) -> Code {
    match activation_in(bytes) {
        Some((id, unused)) if spent.contains(&id) => {
            if unused {
                Code::Left
            } else {
                Code::Overwritten
            }
        }
        _ => Code::Unused,
    }
}

/// Overwrites a used code in the person's file. Says whether there is a mark now.
pub fn on_the_card(device: &Path, spent: &[String], when: &str) -> Result<Code> {
    // A locked card that needs nothing is no trouble.
    let standing_now = |drive: &mut Drive| -> Result<_> {
        let text = drive.any(NAME, LONGEST)?;
        Ok(text.map(|text| (standing(&text.bytes, spent), text)))
    };
    match standing_now(&mut Drive::open_to_read(device)?)? {
        Some((Code::Left, _)) => {}
        Some((standing, _)) => return Ok(standing),
        None => return Ok(Code::Unused),
    }
    let mut drive = Drive::open(device)?;
    let Some((Code::Left, mut text)) = standing_now(&mut drive)? else { return Ok(Code::Unused) };
    // The value last: a copy in a comment is found by it.
    if let Some(copies) = mark_copies(&text.bytes, when) {
        drive.put(&text, &copies)?;
        text.bytes = copies;
    }
    let Some(marked) = mark_used(&text.bytes, when) else { return Ok(Code::Left) };
    drive.put(&text, &marked)?;
    Ok(Code::Overwritten)
}

/// The same in the good copy of the settings.
pub fn in_the_copy(shelf: &Shelf, spent: &[String], when: &str) -> Result<()> {
    // One that is damaged is no copy, and the set-up says so.
    let Ok(Some(copy)) = shelf.load() else { return Ok(()) };
    if standing(copy.text.as_bytes(), spent) != Code::Left {
        return Ok(());
    }
    let marked = mark_used(copy.text.as_bytes(), when).and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(text) = marked {
        shelf.keep(&Copy { text, authorities: copy.authorities })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{drive, read};

    const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
    const SECRET: &str = "EXAMPLE/CodeOf20Char";
    const WHEN: &str = "2026-11-20T17:05:00Z";

    fn text(id: &str) -> String {
        format!(
            "# mine: {SECRET}\r\n[activation]\r\nid = \"{id}\"\r\ncode = \"{SECRET}\"\r\n{}",
            "# more\r\n".repeat(300)
        )
    }

    fn spent() -> Vec<String> {
        vec![ID.to_owned()]
    }

    fn holds(drive: &tempfile::NamedTempFile, secret: &str) -> bool {
        let bytes = std::fs::read(drive.path()).unwrap();
        bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    }

    #[test]
    fn a_used_code_is_nowhere_on_the_card_afterwards_and_the_drive_is_otherwise_as_before() {
        let text = text(ID);
        let drive = drive(&[("STATUS.txt", &[b'x'; 700]), ("stayput.toml", text.as_bytes())]);
        let before = std::fs::read(drive.path()).unwrap();
        assert!(holds(&drive, SECRET));
        assert_eq!(on_the_card(drive.path(), &spent(), WHEN).unwrap(), Code::Overwritten);
        assert!(!holds(&drive, SECRET));
        assert_eq!(read(&drive, "stayput.toml").len(), text.len());
        let after = std::fs::read(drive.path()).unwrap();
        let changed = before.iter().zip(&after).filter(|(old, new)| old != new).count();
        assert!((1..=2 * SECRET.len()).contains(&changed), "{changed} bytes changed");
        // Once is enough: the time in the mark is that of the use.
        assert_eq!(on_the_card(drive.path(), &spent(), "2030-01-01T00:00:00Z").unwrap(), Code::Overwritten);
        assert_eq!(std::fs::read(drive.path()).unwrap(), after);
    }

    #[test]
    fn what_the_person_has_put_there_in_the_meantime_is_left_alone() {
        let other = text("fedcba98-89ab-cdef-0123-456789abcdef");
        for files in
            [&[("stayput.toml", other.as_bytes())][..], &[("stayput.toml", b"")], &[("other.txt", b"x")]]
        {
            let drive = drive(files);
            let before = std::fs::read(drive.path()).unwrap();
            assert_eq!(on_the_card(drive.path(), &spent(), WHEN).unwrap(), Code::Unused);
            assert!(std::fs::read(drive.path()).unwrap() == before);
        }
    }

    #[test]
    fn a_code_that_a_power_cut_left_half_overwritten_is_finished_at_the_next_start() {
        let (whole, id) = (text(ID), spent());
        let marked = mark_used(whole.as_bytes(), WHEN).unwrap();
        // The card writes sectors; a torn one is the worst that it does.
        for cut in (0..whole.len()).filter(|at| marked[*at] != whole.as_bytes()[*at]) {
            let torn = [&marked[..cut], &whole.as_bytes()[cut..]].concat();
            let drive = drive(&[("stayput.toml", &torn)]);
            assert_eq!(on_the_card(drive.path(), &id, WHEN).unwrap(), Code::Overwritten, "at {cut}");
            let text = String::from_utf8(read(&drive, "stayput.toml")).unwrap();
            assert!(!text.contains(&SECRET[..12]) && !text.contains(&SECRET[8..]), "at {cut}: {text}");
        }
    }

    #[test]
    fn a_locked_card_is_an_error_only_where_there_is_something_to_write() {
        use std::os::unix::fs::PermissionsExt as _;
        let (used, unused) = (drive(&[("stayput.toml", text(ID).as_bytes())]), drive(&[]));
        for file in [&used, &unused] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o444)).unwrap();
        }
        assert_eq!(on_the_card(unused.path(), &spent(), WHEN).unwrap(), Code::Unused);
        // Root may write to what is locked by its mode alone.
        if std::fs::OpenOptions::new().write(true).open(used.path()).is_err() {
            let error = on_the_card(used.path(), &spent(), WHEN).unwrap_err().to_string();
            assert!(error.contains("lock"), "{error}");
        }
    }

    #[test]
    fn the_good_copy_loses_the_code_too_and_keeps_all_else() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::in_folder(folder.path());
        in_the_copy(&shelf, &spent(), WHEN).unwrap();
        shelf.keep(&Copy { text: text(ID), authorities: "-----BEGIN".to_owned() }).unwrap();
        in_the_copy(&shelf, &["another".to_owned()], WHEN).unwrap();
        assert_eq!(shelf.load().unwrap().unwrap().text, text(ID));
        in_the_copy(&shelf, &spent(), WHEN).unwrap();
        let kept = shelf.load().unwrap().unwrap();
        assert!(!kept.text.contains(SECRET) && kept.text.contains("used:2026"), "{}", kept.text);
        assert_eq!(kept.authorities, "-----BEGIN");
    }
}
