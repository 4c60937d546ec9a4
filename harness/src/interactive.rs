//! A machine with its console on the terminal: what `stayput run` does.

use crate::error::{Error, Result};
use crate::home::Home;
use crate::machine::prepare;
use crate::options::{ConsoleEnd, Options, arguments};
use crate::process::{Process, Streams};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a signal to us is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// QEMU ends at once when told to; longer means that it hangs.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Whether somebody has told this process to end: Ctrl-C, a closed terminal, `kill`. From [`Told::watch`] on, none of
/// these ends it by itself.
#[derive(Debug)]
pub struct Told(Arc<AtomicBool>);

impl Told {
    /// Begins to listen.
    pub fn watch() -> Result<Self> {
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&told))
                .map_err(crate::error::file("watch", "signals"))?;
        }
        Ok(Self(told))
    }

    /// Whether it has happened.
    pub fn to_end(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Boots the image with its console here, until it powers off or the person ends it: Ctrl-C, or Ctrl-A X
/// (Ctrl-A C is QEMU's monitor, Ctrl-A H its help). Answers how QEMU ended.
pub fn interactive(options: &Options) -> Result<ExitStatus> {
    let home = Home::take(options.patience)?;
    let files = prepare(&home, options)?;
    // Ctrl-C ends QEMU, which shares the terminal and gives it back as it was. We stay to tidy up.
    let told = Told::watch()?;
    let line = arguments(options, &files, ConsoleEnd::Terminal);
    let mut process = Process::start(&options.qemu, &line, &Streams::Inherited)?;
    loop {
        if let Some(status) = process.wait(LOOK) {
            return Ok(status);
        }
        if told.to_end() {
            process.terminate();
            let status = process.wait(options.patience.stretch(LAST_WORDS));
            process.kill();
            return status.or_else(|| process.ended()).ok_or_else(|| Error::Ended {
                status: "killed".into(),
                during: "ending".into(),
                said: String::new(),
            });
        }
    }
}
