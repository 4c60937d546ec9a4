//! The one program of the root file system: every part of the box, told by its name.
//!
//! `/usr/lib/stayput/box PART [ARGUMENT ...]`. One file for all parts takes half the room of several, and shares its
//! pages (measured: docs/toolchain.md). A part is a crate of its own with a `main`; it joins by a row in [`PARTS`].

use std::ffi::OsString;
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
const PARTS: &[Part] = &[];

/// EX_USAGE: the caller is wrong, and a restart will not help.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(name) = arguments.next() else {
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
