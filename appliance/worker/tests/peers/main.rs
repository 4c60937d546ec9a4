//! Courier and mover as processes, against queues that others wrote, with everything going wrong that can.
//!
//! `scripts/test peers` starts this with the emulators' programs in `STAYPUT_MINISTACK` and `STAYPUT_MOTO`; without them the
//! trials are listed as ignored.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod control;
mod emulator;
mod kills;
mod proxy;
mod site;
mod trials;

use std::process::ExitCode;
use std::sync::Arc;

use emulator::Emulator;
use libtest_mimic::{Arguments, Trial};

/// One trial: which emulator it runs against, and what it does.
type Row = (&'static str, fn(&Emulator));

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Two cores are shared with the emulators.
    arguments.test_threads = arguments.test_threads.or(Some(3));
    let (ministack, moto) = (site::program("STAYPUT_MINISTACK"), site::program("STAYPUT_MOTO"));
    let starts = !arguments.list;
    let ministack = ministack.filter(|_| starts).map(|path| Arc::new(Emulator::ministack(&path)));
    let moto = moto.filter(|_| starts).map(|path| Arc::new(Emulator::moto(&path)));
    let mut all = Vec::new();
    for (emulator, rows) in [(&ministack, trials::MINISTACK), (&moto, trials::MOTO)] {
        for (name, trial) in rows {
            let (there, trial) = (emulator.clone(), *trial);
            let ignored = there.is_none();
            let run = move || {
                let emulator = there.ok_or("the emulator is not there: scripts/test peers")?;
                trial(&emulator);
                Ok(())
            };
            all.push(Trial::test(*name, run).with_ignored_flag(ignored));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, all);
    drop((ministack, moto));
    conclusion.exit_code()
}
