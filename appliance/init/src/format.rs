//! Making a file system, so that a power cut at any point is harmless.
//!
//! It is made under the label of an unfinished one and gets its own last. The programs write the copies of the super
//! block first, wait, and then write the first one; so the first says "whole" only where all copies do, bar what the
//! card turns round between two waits, for which [`finish`] looks after it at the next start.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::content::{self, Content};
use crate::log::Log;
use crate::program::{Programs, Trouble};
use crate::random;
use crate::store::{Store, Unusable, Why};
use crate::superblock::MAKING_LABEL;

/// The options of the file system, all of them named: defaults change with the version of the program.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// The arguments of mke2fs that all our file systems share; what differs is the [`Store`]'s.
const MAKE: [&str; 14] =
    ["-F", "-q", "-t", "ext4", "-O", FEATURES, "-b", "4096", "-I", "256", "-m", "1", "-L", MAKING_LABEL];

/// Runs a program with arguments and gives its exit status.
type Run<'a> = &'a mut dyn FnMut(&str, &[&str]) -> Result<i32, Trouble>;

/// Formats the partition.
pub fn format(store: &Store, programs: &Programs<'_>, device: &Path, log: &mut Log) -> Result<(), Unusable> {
    // The program would poll for random numbers where a board has none yet, and in the end make do with poor ones.
    random::sixteen_bytes(log);
    let done = make(store, device, &mut |name, arguments| programs.run(name, arguments, log));
    done.map_err(|failed| failed.at(store, "format", device))
}

/// Where the start that made the file system was cut off, brings the label of the copies in line.
pub fn finish(store: &Store, programs: &Programs<'_>, device: &Path, log: &mut Log) -> Result<(), Unusable> {
    let done = match content::copies_lag(device) {
        Ok(false) => Ok(()),
        Ok(true) => label(store, device, &mut |name, arguments| programs.run(name, arguments, log)),
        Err(error) => Err(error.into()),
    };
    done.map_err(|failed| failed.at(store, "finish formatting", device))
}

/// What kept a file system from being made.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Program(#[from] Trouble),
    #[error("{0}")]
    Card(#[from] io::Error),
    #[error("{name} ended with status {status}")]
    Status { name: String, status: i32 },
    #[error("afterwards it holds {0:?}")]
    Other(Content),
    #[error("afterwards the copies of its super block differ")]
    CopiesDiffer,
}

impl Failed {
    fn at(self, store: &Store, doing: &str, device: &Path) -> Unusable {
        let (name, device) = (store.name, device.display());
        let (why, remedy) = match &self {
            // The next start makes it anew: nothing says yet that it is whole.
            Self::Program(Trouble::Unfinished { .. }) => (Why::Unfinished, ""),
            _ => (Why::Broken, "; replace the card"),
        };
        Unusable { why, reason: format!("could not {doing} the {name} partition {device}: {self}{remedy}") }
    }
}

fn make(store: &Store, device: &Path, run: Run<'_>) -> Result<(), Failed> {
    content::remove_copies(device)?;
    let path = device.display().to_string();
    succeed("mke2fs", &[&MAKE[..], store.making, &[&path]].concat(), run)?;
    sync(device)?;
    label(store, device, run)
}

fn label(store: &Store, device: &Path, run: Run<'_>) -> Result<(), Failed> {
    succeed("tune2fs", &["-L", store.label, &device.display().to_string()], run)?;
    sync(device)?;
    match (content::look(device, store.label)?, content::copies_lag(device)?) {
        (Content::Ours, false) => Ok(()),
        (Content::Ours, true) => Err(Failed::CopiesDiffer),
        (other, _) => Err(Failed::Other(other)),
    }
}

fn succeed(name: &str, arguments: &[&str], run: Run<'_>) -> Result<(), Failed> {
    match run(name, arguments)? {
        0 => Ok(()),
        status => Err(Failed::Status { name: name.to_owned(), status }),
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
    use crate::content::tests::{OURS, SIZE, partition, put, put_superblock};
    use crate::content::{copies_lag, look};
    use crate::store::{DATA, STATE};
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

    fn run(name: &str, arguments: &[&str]) -> Result<i32, Trouble> {
        let output = Command::new(host(name).unwrap()).args(arguments).output()?;
        Ok(output.status.code().unwrap_or(-1))
    }

    /// Makes the file system with the programs of this machine; `false` where they are missing.
    pub(crate) fn made(device: &Path) -> bool {
        let there = ["mke2fs", "tune2fs", "e2fsck"].iter().all(|name| host(name).is_some());
        if there {
            make(&STATE, device, &mut run).unwrap();
        }
        there
    }

    #[test]
    fn a_made_file_system_is_ours_and_still_ours_without_its_head() {
        let (_directory, device) = partition();
        if !made(&device) {
            return;
        }
        assert_eq!(look(&device, OURS).unwrap(), Content::Ours);
        assert!(!copies_lag(&device).unwrap());
        put(&device, superblock::START, &[0; superblock::LENGTH]);
        assert_eq!(
            look(&device, OURS).unwrap(),
            Content::Beheaded { label: OURS.to_owned(), block: 4096, copy: 32768, whole: true }
        );
    }

    #[test]
    fn data_is_made_with_its_own_label_on_a_partition_of_64_gb() {
        let (_directory, device) = partition();
        if host("mke2fs").is_none() {
            return;
        }
        File::options().write(true).open(&device).unwrap().set_len(64 << 30).unwrap();
        make(&DATA, &device, &mut run).unwrap();
        assert_eq!(look(&device, DATA.label).unwrap(), Content::Ours);
        assert_eq!(content::sizes(&device).unwrap(), (64 << 30, Some(64 << 30)));
        assert!(matches!(look(&device, STATE.label).unwrap(), Content::Foreign(_)));
    }

    #[test]
    fn until_the_label_is_changed_it_counts_as_unfinished_with_or_without_its_head() {
        let (_directory, device) = partition();
        let cut = |name: &str, arguments: &[&str]| match name {
            "tune2fs" => Err(Trouble::NotRun(io::Error::other("the power went"))),
            _ => run(name, arguments),
        };
        if host("mke2fs").is_none() {
            return;
        }
        assert_eq!(make(&STATE, &device, &mut { cut }).unwrap_err().to_string(), "the power went");
        assert_eq!(look(&device, OURS).unwrap(), Content::Making);
        put(&device, superblock::START, &[0; superblock::LENGTH]);
        assert_eq!(look(&device, OURS).unwrap(), Content::Making);
    }

    #[test]
    fn a_program_that_fails_or_changes_nothing_is_told() {
        let (_directory, device) = partition();
        let error = make(&STATE, &device, &mut |_, _| Ok(1)).unwrap_err().to_string();
        assert!(error.contains("mke2fs ended with status 1"), "{error}");
        let error = make(&STATE, &device, &mut |_, _| Ok(0)).unwrap_err().to_string();
        assert!(error.contains("afterwards it holds Nothing"), "{error}");
        put_superblock(&device, 0, OURS);
        put_superblock(&device, 1, MAKING_LABEL);
        let error = label(&STATE, &device, &mut |_, _| Ok(0)).unwrap_err().to_string();
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
                Some(found) if found.label == OURS => OURS,
                Some(_) => MAKING_LABEL,
            }
        })
    }

    /// What the partition goes through when `make` is run: what it is in between two waits for the card.
    fn way(from: Blocks) -> Vec<Blocks> {
        let (_directory, device) = partition();
        set(&device, from);
        let mut way = vec![from];
        make(&STATE, &device, &mut |name, _| {
            let steps = match name {
                // It takes the first one away before it does anything else.
                "mke2fs" => vec![[NONE, get(&device)[1], get(&device)[2]], [MAKING_LABEL; 3]],
                _ => vec![[OURS; 3]],
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
            match look(&device, OURS).unwrap() {
                Content::Ours => assert_eq!(blocks[0], OURS),
                Content::Nothing | Content::Making => {
                    assert_ne!(blocks[0], OURS);
                    let way = way(blocks);
                    open.extend(way.windows(2).flat_map(|step| cuts(step[0], step[1])));
                }
                other => panic!("{blocks:?} would be left alone for good: {other:?}"),
            }
        }
        assert!(known.len() > 10, "{known:?}");
    }
}
