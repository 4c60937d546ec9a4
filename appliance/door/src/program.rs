//! The part as a program: what sshd starts for a caller, in his root directory.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::serve::{Desk, Ended, serve};
use crate::{Intake, Outlet, RESERVE};

/// The one folder of a caller's root directory.
const FOLDER: &str = "/files";

/// EX_USAGE and EX_OSERR.
const WRONG_CALL: u8 = 64;
const NO_FOLDER: u8 = 71;

const USAGE: &str = "\
usage: door -c drop|collect

Speaks SFTP on its standard streams with the folder /files. sshd starts it as it would start a shell.
";

/// Runs the part; what follows its name is in `arguments`.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let words: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let folder = Path::new(FOLDER);
    let mut desk: Box<dyn Desk> = match words[..] {
        ["-c", "drop"] => match Intake::at(folder, RESERVE) {
            Ok(desk) => Box::new(desk),
            Err(error) => return closed(error),
        },
        ["-c", "collect"] => match Outlet::at(folder) {
            Ok(desk) => Box::new(desk),
            Err(error) => return closed(error),
        },
        ["--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(WRONG_CALL);
        }
    };
    match serve(desk.as_mut(), std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(Ended::Hung) => ExitCode::SUCCESS,
        Ok(Ended::Broken) | Err(_) => ExitCode::FAILURE,
    }
}

fn closed(error: rustix::io::Errno) -> ExitCode {
    eprintln!("the folder behind this door cannot be opened: {error}; tell whoever looks after the box");
    ExitCode::from(NO_FOLDER)
}
