//! The workstation command: lock, build, run and show a Stayput card image.

fn main() {}
