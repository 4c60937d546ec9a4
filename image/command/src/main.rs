//! `stayput`: builds, boots and explains the card image. Thin: the command line is in `cli`, each command in its room.

mod boards;
mod build;
mod cli;
mod config;
mod exit;
mod flash;
mod hat;
mod image_file;
mod lock;
mod manifest;
mod progress;
mod region;
mod run;
mod show;
mod states;
mod supply;
mod tree;
mod verify;

fn main() -> std::process::ExitCode {
    exit::report(cli::run())
}
