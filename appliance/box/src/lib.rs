//! The one program of the root file system: every part of the box, told by its name.
//!
//! `/usr/lib/stayput/box PART [ARGUMENT ...]`. One file for all parts takes half the room of several, and shares its
//! pages (measured: docs/toolchain.md). A part is a crate of its own with a `main`; it joins by a row in [`PARTS`].

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// One of the box's programs.
struct Part {
    /// What units call it.
    name: &'static str,
    /// What it does, for `--help`.
    does: &'static str,
    /// Gets what follows its name.
    main: fn(Vec<OsString>) -> ExitCode,
}

/// Every part.
const PARTS: &[Part] = &[
    Part {
        name: "boot-ok",
        does: "gives the verdict on the running slot and copies it to the other",
        main: stayput_boot_ok::main,
    },
    Part { name: "clock", does: "sets the clock by the region's word", main: stayput_setup::clock::main },
    Part {
        name: "door",
        does: "takes and gives out files, for a caller of the SFTP door",
        main: stayput_door::main,
    },
    Part {
        name: "drive",
        does: "writes the verdict to the card's drive, and a mark over a used code",
        main: stayput_drive::main,
    },
    Part {
        name: "identity",
        does: "registers the box with the region and keeps its credentials fresh",
        main: stayput_identity::main,
    },
    Part {
        name: "network",
        does: "says whether there is a cable and an address",
        main: stayput_network::main,
    },
    Part {
        name: "setup",
        does: "takes the settings from the card and makes the system's configuration of them",
        main: stayput_setup::main,
    },
    Part { name: "status", does: "lights and verdict of the box", main: stayput_lights::main },
    Part { name: "unplug", does: "the last light, called by systemd-shutdown", main: stayput_lights::unplug },
    Part {
        name: "worker",
        does: "orders and files: courier, mover, and what checks them",
        main: stayput_worker::main,
    },
];

/// EX_USAGE: the caller is wrong, and a restart will not help.
const USAGE: u8 = 64;

/// A link to the program, for callers that give no part's name: `stayput-unplug` starts the part `unplug`.
const LINK: &str = "stayput-";

/// The program.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let called = Path::new(&called).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some(name) = called.strip_prefix(LINK).map(OsString::from).or_else(|| arguments.next()) else {
        eprint!("which part?\n{}", usage());
        return ExitCode::from(USAGE);
    };
    if name == "--help" || name == "-h" {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(part) = PARTS.iter().find(|part| name == part.name) else {
        eprint!("there is no part '{}'\n{}", name.display(), usage());
        return ExitCode::from(USAGE);
    };
    (part.main)(arguments.collect())
}

fn usage() -> String {
    let mut text = String::from("usage: box PART [ARGUMENT ...]\n");
    for part in PARTS {
        text += &format!("  {:<10} {}\n", part.name, part.does);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_part_has_a_name_of_its_own_and_says_what_it_does() {
        let names: BTreeSet<_> = PARTS.iter().map(|part| part.name).collect();
        assert_eq!(names.len(), PARTS.len());
        for part in PARTS {
            assert!(usage().contains(part.does) && part.name.len() <= 10, "{}", part.name);
        }
    }
}
