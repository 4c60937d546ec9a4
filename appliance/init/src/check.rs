//! The check of a file system at every start.

use crate::log::Log;
use crate::program::{Programs, Trouble};
use crate::store::{Unusable, Why};

/// How a check came out that lets the file system be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing to do, the journal aside.
    Clean,
    /// Damage was found and repaired.
    Repaired,
    /// The program did not get to look. The kernel still refuses what it cannot mount safely, and replays the journal.
    NotMade {
        /// Why not.
        reason: String,
    },
}

/// What a run of e2fsck means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Clean,
    Repaired,
    /// Damage is left.
    Damaged,
    /// The program did not get to look.
    NotChecked,
}

/// Exit status of e2fsck: a sum of 1 repaired, 2 repaired and restart asked (for a mounted file system, which ours is
/// not), 4 damage left, and above that trouble of the program itself.
fn verdict(status: i32) -> Verdict {
    match status {
        0 => Verdict::Clean,
        1..=3 => Verdict::Repaired,
        4..=7 => Verdict::Damaged,
        _ => Verdict::NotChecked,
    }
}

/// Checks the file system at `path`, and repairs it: first what is safe, then, as no one is there to be asked,
/// everything. An error is a reason not to use it.
pub fn check(programs: &Programs<'_>, path: &str, log: &mut Log) -> Result<Check, Unusable> {
    judge(path, &mut |how| programs.run("e2fsck", &[how, path], log))
}

/// Brings back the first super block of the file system at `path` from its copy in block `copy`, and checks it all.
pub fn restore(
    programs: &Programs<'_>,
    path: &str,
    (block, copy): (u64, u64),
    log: &mut Log,
) -> Result<(), Unusable> {
    bring_back(path, (block, copy), &mut |arguments| programs.run("e2fsck", arguments, log))
}

fn bring_back(
    path: &str,
    (block, copy): (u64, u64),
    fsck: &mut dyn FnMut(&[&str]) -> Result<i32, Trouble>,
) -> Result<(), Unusable> {
    let (block, copy) = (block.to_string(), copy.to_string());
    match fsck(&["-y", "-B", &block, "-b", &copy, path]) {
        Ok(status) if matches!(verdict(status), Verdict::Clean | Verdict::Repaired) => Ok(()),
        Err(Trouble::Unfinished { .. }) => Err(unfinished(path)),
        other => Err(Unusable::broken(format!(
            "the first super block on {path} is gone, and e2fsck -b {copy}, which ended with {}, could not bring it \
             back; save what is needed on a PC, then replace the card",
            said(other)
        ))),
    }
}

fn unfinished(path: &str) -> Unusable {
    let reason = format!(
        "the check of {path} takes long; it goes on beside the box and nothing is lost: leave the power on for an \
         hour, then restart"
    );
    Unusable { why: Why::Unfinished, reason }
}

fn judge(path: &str, fsck: &mut dyn FnMut(&str) -> Result<i32, Trouble>) -> Result<Check, Unusable> {
    let status = match fsck("-p") {
        Ok(status) => status,
        Err(Trouble::Unfinished { .. }) => return Err(unfinished(path)),
        Err(error) => return Ok(Check::NotMade { reason: error.to_string() }),
    };
    let first = verdict(status);
    match first {
        Verdict::Clean => return Ok(Check::Clean),
        Verdict::Repaired => return Ok(Check::Repaired),
        // It also ends like this where the first super block is torn, and only the second way turns to a copy.
        Verdict::Damaged | Verdict::NotChecked => {}
    }
    let second = fsck("-y");
    match (first, second.as_ref().map(|status| verdict(*status))) {
        (_, Ok(Verdict::Clean | Verdict::Repaired)) => Ok(Check::Repaired),
        (_, Err(Trouble::Unfinished { .. })) => Err(unfinished(path)),
        (Verdict::NotChecked, Ok(Verdict::NotChecked) | Err(_)) => {
            Ok(Check::NotMade { reason: format!("e2fsck -p ended with {status}, -y with {}", said(second)) })
        }
        _ => Err(Unusable::broken(format!(
            "the file system on {path} is damaged, and e2fsck -y, which ended with {}, could not repair it; \
             replace the card",
            said(second)
        ))),
    }
}

fn said(run: Result<i32, Trouble>) -> String {
    run.map_or_else(|error| error.to_string(), |status| status.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::content::tests::{OURS, partition, put};
    use crate::content::{Content, look};
    use crate::format::tests::{host, made};
    use crate::superblock;

    /// The outcome when the two runs end like this.
    fn judged(runs: &[Result<i32, &str>]) -> Result<Check, Unusable> {
        let mut runs = runs.iter();
        let result = judge("/dev/vda10", &mut |_| match runs.next() {
            Some(run) => run.map_err(|why| match why {
                "unfinished" => Trouble::Unfinished { program: "e2fsck".to_owned(), waited: 80 },
                other => Trouble::NotRun(std::io::Error::other(other)),
            }),
            None => panic!("the check was run once more"),
        });
        assert_eq!(runs.next(), None, "a run was left out");
        result
    }

    #[test]
    fn the_checks_status_is_read_as_the_sum_that_it_is() {
        assert_eq!(verdict(0), Verdict::Clean);
        for repaired in 1..=3 {
            assert_eq!(verdict(repaired), Verdict::Repaired);
        }
        for damaged in 4..=7 {
            assert_eq!(verdict(damaged), Verdict::Damaged);
        }
        for not_checked in [8, 12, 16, 32, 127, 128, -1] {
            assert_eq!(verdict(not_checked), Verdict::NotChecked);
        }
    }

    #[test]
    fn a_check_that_was_not_made_is_never_called_good() {
        for runs in
            [&[Err("no such program")][..], &[Ok(8), Ok(8)], &[Ok(16), Err("gone")], &[Ok(127), Ok(-1)]]
        {
            let Ok(Check::NotMade { reason }) = judged(runs) else { panic!("{runs:?}") };
            assert!(
                reason.contains("no such program") || reason.contains("e2fsck -p ended with"),
                "{runs:?}: {reason}"
            );
        }
    }

    #[test]
    fn what_the_careful_way_leaves_is_given_to_the_thorough_one() {
        assert_eq!(judged(&[Ok(0)]), Ok(Check::Clean));
        assert_eq!(judged(&[Ok(1)]), Ok(Check::Repaired));
        assert_eq!(judged(&[Ok(4), Ok(1)]), Ok(Check::Repaired));
        assert_eq!(judged(&[Ok(4), Ok(0)]), Ok(Check::Repaired));
        assert_eq!(judged(&[Ok(8), Ok(1)]), Ok(Check::Repaired));
        for runs in [[Ok(4), Ok(4)], [Ok(4), Ok(8)], [Ok(8), Ok(4)], [Ok(4), Err("gone")]] {
            let Unusable { why, reason } = judged(&runs).unwrap_err();
            assert_eq!(why, Why::Broken);
            assert!(reason.contains("could not repair it; replace the card"), "{runs:?}: {reason}");
        }
    }

    #[test]
    fn a_check_that_is_still_at_work_lets_nobody_use_the_file_system() {
        for runs in [&[Err("unfinished")][..], &[Ok(4), Err("unfinished")], &[Ok(8), Err("unfinished")]] {
            let Unusable { why, reason } = judged(runs).unwrap_err();
            assert_eq!(why, Why::Unfinished);
            assert!(reason.contains("leave the power on"), "{reason}");
        }
    }

    fn fsck(device: &Path) -> Result<Check, Unusable> {
        judge("it", &mut |how| {
            let output = Command::new(host("e2fsck").unwrap()).arg(how).arg(device).output()?;
            Ok(output.status.code().unwrap_or(-1))
        })
    }

    #[test]
    fn a_label_that_was_torn_from_its_checksum_is_repaired_from_a_copy() {
        let (_directory, device) = partition();
        if !made(&device) {
            return;
        }
        // The label is in the super block's first sector, the checksum in the second.
        put(&device, 1024 + 1020, b"torn");
        assert_eq!(fsck(&device), Ok(Check::Repaired));
        assert_eq!(look(&device, OURS).unwrap(), Content::Ours);
        assert_eq!(fsck(&device), Ok(Check::Clean));
    }

    #[test]
    fn a_head_that_is_gone_is_brought_back_from_a_copy_with_everything_behind_it() {
        let (directory, device) = partition();
        let (true, Some(debugfs)) = (made(&device), host("debugfs")) else { return };
        let file = directory.path().join("file");
        std::fs::write(&file, "personal data\n".repeat(10_000)).unwrap();
        let tool = |request: &str| {
            let output = Command::new(&debugfs).args(["-w", "-R", request]).arg(&device).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        tool(&format!("write {} precious", file.display()));
        let content = tool("cat precious");
        assert_eq!(content.len(), 140_000);
        put(&device, superblock::START, &[0xa5; superblock::LENGTH]);
        let Content::Beheaded { block, copy, whole: true, .. } = look(&device, OURS).unwrap() else {
            panic!("the copies are all there");
        };
        let path = device.display().to_string();
        bring_back(&path, (block, copy), &mut |arguments| {
            let output = Command::new(host("e2fsck").unwrap()).args(arguments).output()?;
            Ok(output.status.code().unwrap_or(-1))
        })
        .unwrap();
        assert_eq!(look(&device, OURS).unwrap(), Content::Ours);
        assert_eq!(tool("cat precious"), content);
        assert_eq!(fsck(&device), Ok(Check::Clean));
        let refused = bring_back(&path, (4096, 32768), &mut |_| Ok(8)).unwrap_err();
        assert!(refused.reason.contains("e2fsck -b 32768, which ended with 8"), "{refused:?}");
    }
}
