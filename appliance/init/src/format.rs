//! Making the state file system, so that a power cut at any point is harmless.
//!
//! It is made under the label of an unfinished one and gets its own last. The programs write the copies of the super
//! block first, wait, and then write the first one; so the first says "whole" only where all copies do, bar what the
//! card turns round between two waits, for which [`finish`] looks after it at the next start.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::content::{self, Content};
use crate::log::Log;
use crate::program::Programs;
use crate::random;
use crate::superblock::{MAKING_LABEL, STATE_LABEL};

/// The options of the file system, all of them named: defaults change with the version of the program.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// The arguments of mke2fs. 8 KiB an inode: containers' layers have many small files.
#[rustfmt::skip]
const MAKE: [&str; 17] = [
    "-F", "-q", "-t", "ext4", "-O", FEATURES, "-b", "4096", "-I", "256", "-i", "8192", "-m", "1", "-J", "size=16", "-E",
];

/// The rest of them.
const AND: [&str; 3] = ["nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-L", MAKING_LABEL];

/// Runs a program with arguments and gives its exit status.
type Run<'a> = &'a mut dyn FnMut(&str, &[&str]) -> Result<i32, String>;

/// Formats the partition.
pub fn format(programs: &Programs<'_>, device: &Path, log: &mut Log) -> Result<(), String> {
    // The program would poll for random numbers where a board has none yet, and in the end make do with poor ones.
    random::sixteen_bytes(log);
    make(device, &mut |name, arguments| programs.run(name, arguments, log).map_err(|error| error.to_string()))
        .map_err(|what| {
            format!("could not format the state partition {}: {what}; replace the card", device.display())
        })
}

/// Where the start that made the file system was cut off, brings the label of the copies in line.
pub fn finish(programs: &Programs<'_>, device: &Path, log: &mut Log) -> Result<(), String> {
    let done = match content::copies_lag(device) {
        Ok(false) => Ok(()),
        Ok(true) => label(device, &mut |name, arguments| {
            programs.run(name, arguments, log).map_err(|error| error.to_string())
        }),
        Err(error) => Err(error.to_string()),
    };
    done.map_err(|what| {
        format!(
            "could not finish formatting the state partition {}: {what}; replace the card",
            device.display()
        )
    })
}

fn make(device: &Path, run: Run<'_>) -> Result<(), String> {
    content::remove_copies(device).map_err(|error| error.to_string())?;
    let path = device.display().to_string();
    succeed("mke2fs", &[&MAKE[..], &AND, &[&path]].concat(), run)?;
    sync(device).map_err(|error| error.to_string())?;
    label(device, run)
}

fn label(device: &Path, run: Run<'_>) -> Result<(), String> {
    succeed("tune2fs", &["-L", STATE_LABEL, &device.display().to_string()], run)?;
    let done = sync(device).and_then(|()| Ok((content::look(device)?, content::copies_lag(device)?)));
    match done {
        Ok((Content::State, false)) => Ok(()),
        Ok((Content::State, true)) => Err("afterwards the copies of its super block differ".to_owned()),
        Ok((other, _)) => Err(format!("afterwards it holds {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn succeed(name: &str, arguments: &[&str], run: Run<'_>) -> Result<(), String> {
    match run(name, arguments)? {
        0 => Ok(()),
        status => Err(format!("{name} ended with status {status}")),
    }
}

fn sync(device: &Path) -> io::Result<()> {
    File::options().write(true).open(device)?.sync_all()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use crate::content::tests::{SIZE, partition, put, put_superblock};
    use crate::content::{copies_lag, look};
    use crate::superblock::{self, Superblock};

    /// A program of this machine; where it is missing the test says so and is left out.
    pub(crate) fn host(name: &str) -> Option<PathBuf> {
        let found = ["/usr/sbin", "/sbin"].iter().map(|place| Path::new(place).join(name));
        let found = found.into_iter().find(|path| path.exists());
        if found.is_none() {
            let required = std::env::var("STAYPUT_REQUIRE_ORACLES").is_ok_and(|value| value == "1");
            assert!(!required, "{name} is not installed, and STAYPUT_REQUIRE_ORACLES=1 asks for it");
            eprintln!("NOT CHECKED: {name} is not installed");
        }
        found
    }

    fn run(name: &str, arguments: &[&str]) -> Result<i32, String> {
        let output = Command::new(host(name).unwrap()).args(arguments).output().unwrap();
        Ok(output.status.code().unwrap_or(-1))
    }

    /// Makes the file system with the programs of this machine; `false` where they are missing.
    pub(crate) fn made(device: &Path) -> bool {
        let there = ["mke2fs", "tune2fs", "e2fsck"].iter().all(|name| host(name).is_some());
        if there {
            make(device, &mut run).unwrap();
        }
        there
    }

    #[test]
    fn a_made_file_system_is_ours_and_still_ours_without_its_head() {
        let (_directory, device) = partition();
        if !made(&device) {
            return;
        }
        assert_eq!(look(&device).unwrap(), Content::State);
        assert!(!copies_lag(&device).unwrap());
        put(&device, superblock::START, &[0; superblock::LENGTH]);
        assert_eq!(
            look(&device).unwrap(),
            Content::Beheaded { label: STATE_LABEL.to_owned(), block: 4096, copy: 32768 }
        );
    }

    #[test]
    fn until_the_label_is_changed_it_counts_as_unfinished_with_or_without_its_head() {
        let (_directory, device) = partition();
        let cut = |name: &str, arguments: &[&str]| match name {
            "tune2fs" => Err("the power went".to_owned()),
            _ => run(name, arguments),
        };
        if host("mke2fs").is_none() {
            return;
        }
        assert_eq!(make(&device, &mut { cut }).unwrap_err(), "the power went");
        assert_eq!(look(&device).unwrap(), Content::Making);
        put(&device, superblock::START, &[0; superblock::LENGTH]);
        assert_eq!(look(&device).unwrap(), Content::Making);
    }

    #[test]
    fn a_program_that_fails_or_changes_nothing_is_told() {
        let (_directory, device) = partition();
        let error = make(&device, &mut |_, _| Ok(1)).unwrap_err();
        assert!(error.contains("mke2fs ended with status 1"), "{error}");
        let error = make(&device, &mut |_, _| Ok(0)).unwrap_err();
        assert!(error.contains("afterwards it holds Nothing"), "{error}");
        put_superblock(&device, 0, STATE_LABEL);
        put_superblock(&device, 1, MAKING_LABEL);
        let error = label(&device, &mut |_, _| Ok(0)).unwrap_err();
        assert!(error.contains("copies of its super block differ"), "{error}");
    }

    /// What the first super block and the two copies say.
    type Blocks = [&'static str; 3];

    const NONE: &str = "";

    fn set(device: &Path, blocks: Blocks) {
        for (number, label) in blocks.into_iter().enumerate() {
            put_superblock(device, number, label);
            if label == NONE {
                let copy = number.checked_sub(1).map(|copy| superblock::copies(SIZE)[copy].at);
                put(device, copy.unwrap_or(superblock::START), &[0; superblock::LENGTH]);
            }
        }
    }

    fn get(device: &Path) -> Blocks {
        let bytes = File::open(device).unwrap();
        [0, 1, 2].map(|number: usize| {
            let copy = number.checked_sub(1).map(|copy| superblock::copies(SIZE)[copy].at);
            let mut block = [0; superblock::LENGTH];
            bytes.read_exact_at(&mut block, copy.unwrap_or(superblock::START)).unwrap();
            match Superblock::parse(&block) {
                None => NONE,
                Some(found) if found.label == STATE_LABEL => STATE_LABEL,
                Some(_) => MAKING_LABEL,
            }
        })
    }

    /// What the partition goes through when `make` is run: what it is in between two waits for the card.
    fn way(from: Blocks) -> Vec<Blocks> {
        let (_directory, device) = partition();
        set(&device, from);
        let mut way = vec![from];
        make(&device, &mut |name, _| {
            let steps = match name {
                // It takes the first one away before it does anything else.
                "mke2fs" => vec![[NONE, get(&device)[1], get(&device)[2]], [MAKING_LABEL; 3]],
                _ => vec![[STATE_LABEL; 3]],
            };
            way.push(get(&device));
            for step in steps {
                set(&device, step);
                way.push(step);
            }
            Ok(0)
        })
        .unwrap();
        way
    }

    /// Every state that a power cut can leave while `before` becomes `after`, whatever the card writes first.
    fn cuts(before: Blocks, after: Blocks) -> impl Iterator<Item = Blocks> {
        (0..8_usize).map(move |written| {
            [0, 1, 2].map(|block| if written & (1 << block) == 0 { before[block] } else { after[block] })
        })
    }

    #[test]
    fn no_number_of_power_cuts_leaves_a_new_card_that_is_neither_made_again_nor_used() {
        let (_directory, device) = partition();
        let mut known = BTreeSet::new();
        let mut open = vec![[NONE; 3]];
        while let Some(blocks) = open.pop() {
            if !known.insert(blocks) {
                continue;
            }
            set(&device, blocks);
            match look(&device).unwrap() {
                Content::State => assert_eq!(blocks[0], STATE_LABEL),
                Content::Nothing | Content::Making => {
                    assert_ne!(blocks[0], STATE_LABEL);
                    let way = way(blocks);
                    open.extend(way.windows(2).flat_map(|step| cuts(step[0], step[1])));
                }
                other => panic!("{blocks:?} would be left alone for good: {other:?}"),
            }
        }
        assert!(known.len() > 10, "{known:?}");
    }
}
