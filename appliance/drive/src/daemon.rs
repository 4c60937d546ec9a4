//! The part as a program: waits for news, writes what they are to the card, and says how it does.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stayput_health::{Changed, Moment, Part, Registration, State, Watch, Writer, registration};
use stayput_lights::verdict::{self, Document};
use stayput_setup::good::Shelf;
use stayput_status::steps;

use crate::code::{self, Code};
use crate::report::{self, Gist};
use crate::{Error, Result};

/// How often the part says that it lives, and tries again what did not work: well within its time of silence.
const BEAT: Duration = Duration::from_secs(25);

/// EX_USAGE.
const WRONG_CALL: u8 = 64;

const USAGE: &str = "\
usage: drive

Writes the verdict to the card's drive STAYPUT, and a mark over an activation code that was used.
";

/// Runs the part; what follows its name is in `arguments`.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if let Some(argument) = arguments.first() {
        let is_help = argument == "--help" || argument == "-h";
        eprint!("{USAGE}");
        return if is_help { ExitCode::SUCCESS } else { ExitCode::from(WRONG_CALL) };
    }
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("<3>{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<std::convert::Infallible> {
    let device = stayput_setup::card::device()?;
    let verdict = PathBuf::from(verdict::PATH);
    let mut desk = Desk {
        device,
        shelf: Shelf::in_folder(Path::new(stayput_setup::KEPT)),
        told: None,
        code: Code::Unused,
        health: Writer::new(Part::Drive),
        spoke: None,
        written: 0,
        said: BTreeSet::new(),
    };
    let watched = [verdict.parent().unwrap_or(Path::new("/")), Path::new(registration::DIRECTORY)];
    // The watches before the first look: what comes in between is looked at twice, not missed.
    let mut watches = watched.map(Watch::on);
    loop {
        desk.look();
        wait(watches.iter().filter_map(Watch::bell).collect())?;
        for (watch, folder) in watches.iter_mut().zip(watched) {
            // A folder that is not there yet is tried again at the next beat, and looked at in any case.
            let _: Changed = watch.changed(folder);
            let _ = watch.trouble();
        }
    }
}

/// Until something changes, or the next beat.
fn wait(bells: Vec<BorrowedFd<'_>>) -> Result<()> {
    let mut bells: Vec<_> = bells.iter().map(|bell| PollFd::new(bell, PollFlags::IN)).collect();
    let beat = Timespec { tv_sec: BEAT.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut bells, Some(&beat)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::Wait(errno.into())),
    }
}

/// What the part knows between two looks.
struct Desk {
    device: PathBuf,
    shelf: Shelf,
    /// What the card says of this start.
    told: Option<Gist>,
    code: Code,
    health: Writer,
    /// What was said last, and when.
    spoke: Option<(Code, Moment)>,
    written: u64,
    /// Troubles are said once.
    said: BTreeSet<String>,
}

impl Desk {
    fn look(&mut self) {
        let now = Moment::now();
        // Before the report, which says what became of it.
        let overwritten = self.overwrite(now);
        self.note(overwritten);
        self.speak(now);
        let told = self.report(now);
        self.note(told);
    }

    /// A code whose activation was used becomes a mark.
    fn overwrite(&mut self, now: Moment) -> Result<()> {
        let Some(registered) = Registration::read(Path::new(registration::DIRECTORY))? else { return Ok(()) };
        let spent = registered.spent;
        if spent.is_empty() || self.code == Code::Overwritten {
            return Ok(());
        }
        let when = Timestamp::from_second(now.unix).map(|time| time.to_string()).unwrap_or_default();
        // Until it is known better: a card that cannot be read still has it.
        let left = std::mem::replace(&mut self.code, Code::Left);
        let code = code::on_the_card(&self.device, &spent, &when)?;
        code::in_the_copy(&self.shelf, &spent, &when)?;
        if left != code && code == Code::Overwritten {
            println!("the activation's code was used; a mark stands in its place on the card");
        }
        self.code = code;
        Ok(())
    }

    fn report(&mut self, now: Moment) -> Result<()> {
        let document = match Document::read(Path::new(verdict::PATH)) {
            Ok(document) => document,
            // The status part will come, or be missed by others.
            Err(stayput_lights::Error::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let verdict = document.verdict();
        if !report::is_news(self.told.as_ref(), &verdict) {
            return Ok(());
        }
        // What cannot be written now is tried again with the next verdict, not over and over.
        self.told = Some(Gist::of(&verdict));
        let (facts, reports) = stayput_lights::known_now(now);
        report::write(&self.device, &verdict, &steps(&reports), &facts, now)?;
        self.written += 1;
        Ok(())
    }

    fn speak(&mut self, now: Moment) {
        // Each word wakes the status part, whose verdict may have woken this one.
        let lately = |at: Moment| now.since(at).is_some_and(|ago| ago + Duration::from_secs(1) < BEAT);
        if self.spoke.is_some_and(|(code, at)| code == self.code && lately(at)) {
            return;
        }
        self.spoke = Some((self.code, now));
        self.health.count("reports", self.written);
        let word = match self.code {
            Code::Unused => "none",
            Code::Overwritten => "overwritten",
            Code::Left => "left",
        };
        self.health.fact("code", word);
        let (state, code) = match self.code {
            Code::Left => (State::Degraded, stayput_health::Code::SecretLeft),
            Code::Unused | Code::Overwritten => (State::Running, stayput_health::Code::Running),
        };
        if let Err(error) = self.health.write(state, code, now) {
            self.note(Err(error.into()));
        }
    }

    /// A card that somebody has changed on a PC may have no such file: the log says so, and the box is as well as before.
    fn note(&mut self, done: Result<()>) {
        if let Err(error) = done {
            let text = error.to_string();
            if !self.said.contains(&text) {
                eprintln!("<4>{text}");
                self.said.insert(text);
            }
        }
    }
}
