//! The part as a program: hears when networkd writes something down, and says what that means.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stayput_health::{Moment, Part, Watch, Writer};

use crate::judge::{Said, judge};
use crate::links::{self, Given};

/// How often the part says that it lives: well within its time of silence.
const BEAT: Duration = Duration::from_secs(25);

/// EX_USAGE.
const WRONG_CALL: u8 = 64;

const USAGE: &str = "\
usage: network

Says whether the cable is in and whether there is an address, as networkd has it.
";

/// Runs the part; what follows its name is in `arguments`.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if let Some(argument) = arguments.first() {
        let is_help = argument == "--help" || argument == "-h";
        eprint!("{USAGE}");
        return if is_help { ExitCode::SUCCESS } else { ExitCode::from(WRONG_CALL) };
    }
    let folder = Path::new(links::DIRECTORY);
    let mut health = Writer::new(Part::Network);
    // The watch before the first look: what is written in between is looked at twice, not missed.
    let mut watch = Watch::on(folder);
    let mut last: Option<(Given, Moment)> = None;
    let mut told = None;
    loop {
        let given = match links::read(folder) {
            Ok(given) => given,
            Err(error) => {
                eprintln!("<3>could not read {}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        };
        let now = Moment::now();
        let since = last.filter(|(before, _)| *before == given).map_or(now, |(_, since)| since);
        last = Some((given, since));
        let said = judge(given, now.since(since).unwrap_or_default());
        if told.replace(said.code) != Some(said.code) {
            println!("{}: {}", said.code, said.code.meaning());
        }
        if let Err(error) = health.write(said.state, said.code, now) {
            eprintln!("<3>{error}");
        }
        wait(&watch, &said);
        // What has changed does not matter: there are two or three files.
        let _ = watch.changed(folder);
        let _ = watch.trouble();
    }
}

/// Until networkd writes something, this has lasted too long, or the next beat.
fn wait(watch: &Watch, said: &Said) {
    // While networkd's folder is not there nobody rings.
    let idle = if watch.bell().is_some() { BEAT } else { Duration::from_secs(1) };
    let longest = said.holds.map_or(idle, |holds| holds.min(idle)) + Duration::from_millis(10);
    let seconds = longest.as_secs().cast_signed();
    let timeout = Timespec { tv_sec: seconds, tv_nsec: longest.subsec_nanos().into() };
    let mut bells: Vec<_> =
        watch.bell().iter().map(|bell| PollFd::from_borrowed_fd(*bell, PollFlags::IN)).collect();
    // An error here is a wait that was shorter.
    let _ = poll(&mut bells, Some(&timeout));
}
