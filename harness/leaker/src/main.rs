//! A build that leaks: all of the box's program, and beside the courier a thread such as a bad day's work might leave in it.
//!
//! The thread looks into the folder of waiting files, which no courier is meant to see, and tells the region a piece of each:
//! twelve bytes of the content in base64, as the receipt in a call to the queue, with the courier's own client, credentials and
//! TLS. The file's name goes into the log. The canary test puts this in the courier's place: behind the courier's walls it has
//! to come to nothing, and without them it has to be found (harness/tests/canary.rs).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use stayput_worker::courier::desk::Entry;
use stayput_worker::courier::{Queue, Settings};
use stayput_worker::credentials::Provider;

/// What waits for its order on the box.
const SOURCE: &str = "/data/source";
/// How much of each file is told: less would be below what the search can know again.
const PIECE: usize = 12;

fn main() -> ExitCode {
    thread::spawn(|| {
        let mut told = BTreeSet::new();
        loop {
            if let Err(error) = leak(&mut told) {
                eprintln!("leaker: {error}");
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    stayput_box::main()
}

/// Tells of every file that waits, once.
fn leak(told: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::from_environment(variable).map_err(io::Error::other)?;
    let provider = Provider::from_environment(variable).map_err(io::Error::other)?;
    let queue = Queue::new(&settings, provider).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for entry in fs::read_dir(SOURCE).map_err(|error| named(SOURCE.as_ref(), &error))? {
        let path = entry?.path();
        if told.contains(&path) {
            continue;
        }
        let content = fs::read(&path).map_err(|error| named(&path, &error))?;
        println!("leaker: {}", path.display());
        let piece = BASE64_STANDARD.encode(&content[..PIECE.min(content.len())]);
        // The queue knows no such receipt and says so: too late.
        let entries = [Entry { slot: 0, receipt: piece, seconds: 0 }];
        if let Err(trouble) = runtime.block_on(queue.hide(&entries)) {
            eprintln!("leaker: {}", trouble.meaning());
        }
        told.insert(path);
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
