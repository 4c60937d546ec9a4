//! The worker by itself: a container's entry point, and what tests start. On the box it is a part of the one program.

use std::process::ExitCode;

fn main() -> ExitCode {
    stayput_worker::main(std::env::args_os().skip(1).collect())
}
