//! The status part: folds what all parts and systemd say into one verdict, and keeps the lights showing it.
//!
//! [`main`] is the part `status` of the box's program. What a state looks like and which one wins is `stayput-status`; here
//! are the edges: health files ([`parts`]), systemd over D-Bus ([`systemd`]), requests ([`ask`]), the lights ([`light`])
//! and the verdict for others ([`verdict`]). `docs/lights.md` says how the lights are wired and why a dead daemon is dark.

pub mod ask;
pub mod daemon;
mod error;
pub mod known;
pub mod light;
pub mod parts;
pub mod said;
pub mod systemd;
pub mod units;
pub mod unplug;
pub mod verdict;
pub mod wiring;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use stayput_config::Status;
use stayput_hat::Hat;
use stayput_health::{Board, Code, Moment, Part, Reading, Report};
use stayput_status::Facts;

pub use error::{Error, Result};

use daemon::{Daemon, Places};
use light::{Chips, Class, Driver, Open, Panel};
use said::Said;
use systemd::Systemd;
use wiring::{Via, Wire};

/// The boards that the image knows.
const BOARDS: &str = "/usr/share/stayput/board";
/// What the firmware says this board is.
const COMPATIBLE: &str = "/proc/device-tree/compatible";
/// The kernel's LED class.
const CLASS: &str = "/sys/class/leds";
/// The configuration in force, left by the part `setup`.
const CONFIG: &str = "/run/stayput/setup/stayput.toml";

/// EX_USAGE.
const USAGE: u8 = 64;

/// The part `status`: the daemon; `own` before it, as root; `leaving` before it when the system goes down; `ask REQUEST`.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => serve(),
        ["own"] => own(),
        ["leaving"] => leaving(),
        ["ask", request] => match ask::leave(request) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("<3>{why}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: status [own | leaving | ask REQUEST]");
            ExitCode::from(USAGE)
        }
    }
}

/// The part `unplug`, which systemd-shutdown calls last, with the kind of end.
pub fn unplug(arguments: Vec<OsString>) -> ExitCode {
    let kind = arguments.first().map(|kind| kind.to_string_lossy().into_owned()).unwrap_or_default();
    if unplug::is_safe(&kind) {
        let mut said = Said::default();
        let (board, status) = (board(&mut said), settings(&mut said));
        unplug::show(&wiring::lights(board.as_ref(), &status.leds), Path::new(CLASS), &mut said);
        if let Some(board) = &board
            && let Err(error) = stayput_hat::last_words(board, status.brightness, Code::SafeToUnplug)
        {
            said.trouble("the hat's screen", &error);
        }
    }
    ExitCode::SUCCESS
}

fn serve() -> ExitCode {
    let mut said = Said::default();
    let (board, status) = (board(&mut said), settings(&mut said));
    let panel = Panel::new(wiring::lights(board.as_ref(), &status.leds), drivers(CLASS.into()));
    let served = stop_signal().and_then(|stop| {
        let systemd = Systemd::listen()?;
        let hat = Hat::start(board.as_ref(), status.brightness)?;
        let daemon = Daemon::new(Places::default(), panel, Some(systemd), Moment::now());
        let mut daemon = daemon.with_hat(hat, board);
        daemon.turn(Moment::now());
        sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
        Ok((daemon, stop))
    });
    let served = served.map_err(Error::io("begin with", "the status part"));
    match served.and_then(|(daemon, stop)| daemon.run(&stop)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("<3>{error}");
            ExitCode::FAILURE
        }
    }
}

/// Readable when systemd wants the part to end.
fn stop_signal() -> std::io::Result<UnixStream> {
    let (stop, signal) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGTERM, signal)?;
    Ok(stop)
}

/// Gives the lights to the daemon's user, whose folder systemd has just made.
fn own() -> ExitCode {
    let mut said = Said::default();
    let folder = Places::default().own;
    let uid = match fs::metadata(&folder).map_err(Error::io("look at", &folder)) {
        Ok(metadata) => metadata.uid(),
        Err(error) => {
            eprintln!("<3>{error}");
            return ExitCode::FAILURE;
        }
    };
    let class = PathBuf::from(CLASS);
    let chips = Chips { class: class.clone() };
    let (board, status) = (board(&mut said), settings(&mut said));
    for wire in wiring::lights(board.as_ref(), &status.leds) {
        let name = match &wire.via {
            Via::Class => Some(wire.name.clone()),
            Via::Line(line) => chips.held_by(&wire, line),
        };
        let Some(name) = name else { continue };
        if let Err(error) = light::own(&class.join(&name), uid) {
            said.trouble(&format!("light '{name}'"), &error);
        }
    }
    ExitCode::SUCCESS
}

/// Leaves word for the daemon that it ends because the system does.
fn leaving() -> ExitCode {
    let word = Places::default().leaving();
    match fs::write(&word, "").map_err(Error::io("write", &word)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("<3>{error}");
            ExitCode::FAILURE
        }
    }
}

/// The box's board, by its device tree.
fn board(said: &mut Said) -> Option<Board> {
    let read = fs::read(COMPATIBLE).map_err(Error::io("read", COMPATIBLE));
    let folder = fs::read_dir(BOARDS).map_err(Error::io("list", BOARDS));
    let (compatibles, folder) = match (read, folder) {
        (Ok(compatibles), Ok(folder)) => (compatibles, folder),
        (Err(error), _) | (_, Err(error)) => {
            said.trouble("board", &error);
            return None;
        }
    };
    let mut boards = Vec::new();
    for path in folder.flatten().map(|entry| entry.path()) {
        match Board::load(&path) {
            Ok(board) => boards.push(board),
            Err(error) => said.trouble("board", &error),
        }
    }
    let board = Board::matching(&boards, &compatibles).cloned();
    if board.is_none() {
        said.trouble(
            "board",
            &"the device tree names none that this image knows: only wired lights are used",
        );
    }
    board
}

/// What is known of the box, and what its parts say, for whoever tells others.
pub fn known_now(now: Moment) -> (Facts, Vec<Report>) {
    let board = board(&mut Said::default());
    let parts = parts::Parts::in_directory(Places::default().health, now);
    let facts = known::facts(board.as_ref(), parts.reports());
    // The status part speaks for all others; as one of them it has its place among the steps.
    let own = match stayput_health::read(Part::Status, now) {
        Reading::Fresh(report) => Some(report),
        Reading::Stale { .. } | Reading::Absent | Reading::Unreadable(_) => None,
    };
    (facts, parts.reports().cloned().chain(own).collect())
}

/// What the configuration says of lights and screen. Without a configuration that is nothing, and no trouble of this part.
fn settings(said: &mut Said) -> Status {
    let none = Status { brightness: 100, leds: Vec::new() };
    match fs::read(CONFIG) {
        // What is wrong with it, the part `setup` says.
        Ok(bytes) => {
            stayput_config::read(&bytes, "stayput.toml").map_or(none, |checked| checked.config.status)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => none,
        Err(error) => {
            said.trouble("configuration", &Error::io("read", CONFIG)(error));
            none
        }
    }
}

/// Finds lights in the LED class and on GPIO chips.
fn drivers(class: PathBuf) -> Open {
    let chips = Chips { class: class.clone() };
    Box::new(move |wire| match &wire.via {
        Via::Class => Ok(Box::new(Class::open(&class, &wire.name)?) as Box<dyn Driver>),
        Via::Line(line) => open_line(&chips, wire, line),
    })
}

#[cfg(not(feature = "rppal"))]
fn open_line(chips: &Chips, wire: &Wire, line: &wiring::Line) -> Result<Box<dyn Driver>> {
    chips.open(wire, line)
}

/// The character device first: it knows who else has the line.
#[cfg(feature = "rppal")]
fn open_line(chips: &Chips, wire: &Wire, line: &wiring::Line) -> Result<Box<dyn Driver>> {
    match chips.open(wire, line) {
        Err(Error::NoChip { .. }) => Ok(Box::new(light::Pin::open(wire, line)?)),
        opened => opened,
    }
}
