//! `stayput`: builds, boots and explains the card image. Thin: the command line is in `cli`, each command in its room.

mod boards;
mod build;
mod cli;
mod exit;
mod lock;
mod manifest;
mod progress;
mod run;
mod show;
mod supply;
mod tree;

fn main() -> std::process::ExitCode {
    exit::report(cli::run())
}
