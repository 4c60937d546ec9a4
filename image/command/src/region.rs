//! `stayput region local`: a stand-in region on this desk, until Ctrl-C; lines on standard input change it while it runs.

use std::io::BufRead as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use stayput_desk::Emulator;
use stayput_harness::Patience;
use stayput_region::{Keep, Plan, Region, words};

use crate::cli::RegionLocalArgs;
use crate::exit::{Code, Fault};
use crate::tree::SourceTree;

/// Runs the command.
pub fn local(tree: impl Fn() -> anyhow::Result<SourceTree>, args: &RegionLocalArgs) -> anyhow::Result<()> {
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => tree()?.root().join("output/region"),
    };
    // Before anything else: what is asked to end while it starts ends, too.
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .context("could not watch for Ctrl-C")?;
    // It ends with this function.
    let _emulator = match args.emulator {
        Some(None) => Some(emulator(&tree()?.emulator(), &folder)?),
        _ => None,
    };
    let region =
        Region::start(plan(args, &folder)?).map_err(|error| Fault::new(Code::Failed, error.to_string()))?;
    let authority = folder.join("ca.pem");
    std::fs::write(&authority, region.authority())
        .with_context(|| format!("could not write {}", authority.display()))?;
    print!("{}", welcome(&region, args, &folder));
    println!("{}", words::obey(&region, &format!("activation {}", args.boxes)).unwrap_or_else(|wrong| wrong));
    println!("Lines change it (help lists them); Ctrl-C ends it.");
    let lines = lines();
    loop {
        if signals.pending().next().is_some() {
            break;
        }
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) if line.trim() == "help" => print!("{}", words::help()),
            Ok(line) => match words::obey(&region, &line) {
                Ok(said) if said.is_empty() => {}
                Ok(said) => println!("{said}"),
                Err(wrong) => eprintln!("{wrong}"),
            },
            Err(RecvTimeoutError::Timeout) => {}
            // No more lines, as where it runs in the background: it goes on all the same.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    println!("{}", words::obey(&region, "tally").unwrap_or_default());
    Ok(())
}

/// Starts the emulator that is installed in this tree.
fn emulator(program: &Path, folder: &Path) -> anyhow::Result<Emulator> {
    let at = Emulator::address();
    if !program.is_file() {
        let missing = format!("no emulator at {}: scripts/emulator ministack installs it", program.display());
        return Err(Fault::new(Code::Missing, missing).into());
    }
    if TcpStream::connect(at).is_ok() {
        let taken = format!("something listens at {at} already: end it, or name it with --emulator {at}");
        return Err(Fault::new(Code::Failed, taken).into());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    let mut emulator = Emulator::start(program, &folder.join("emulator.log"))?;
    emulator.wait(Patience::from_env())?;
    Ok(emulator)
}

fn plan(args: &RegionLocalArgs, folder: &Path) -> anyhow::Result<Plan> {
    let name: stayput_config::Region = args
        .region
        .parse()
        .map_err(|wrong| Fault::new(Code::Usage, format!("--region {}: {wrong}", args.region)))?;
    let at = |port: u16| SocketAddr::from((args.listen, port));
    Ok(Plan {
        suffix: name.domain().to_owned(),
        front: at(args.port),
        dns: Some(at(args.dns_port)),
        time: Some(at(args.time_port)),
        address: args.address.unwrap_or(args.listen),
        emulator: args.emulator.map(|at| at.unwrap_or_else(Emulator::address)),
        lenient: args.lenient,
        keep: Keep::Folder(folder.join("streams")),
        ..Plan::on_loopback(&args.region)
    })
}

fn welcome(region: &Region, args: &RegionLocalArgs, folder: &Path) -> String {
    let at = region.addresses();
    let shown = |address: Option<SocketAddr>| address.map_or_else(String::new, |address| address.to_string());
    let mut text = format!("The region {} is here.\n\n", args.region);
    for (what, value) in [
        ("HTTPS", at.front.to_string()),
        ("names", shown(at.dns)),
        ("time", shown(at.time)),
        ("authority", folder.join("ca.pem").display().to_string()),
        ("streams", folder.join("streams").display().to_string()),
    ] {
        text += &format!("{what:<10} {value}\n");
    }
    text += &format!("{:<10} {}\n\n", "hosts", region.hosts().join(" "));
    text
}

/// What is typed, line by line, until there is no more.
fn lines() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}
