//! The program itself; a library beside it has all of it, for a build of the tests that does more (`harness/leaker`).

use std::process::ExitCode;

fn main() -> ExitCode {
    stayput_box::main()
}
