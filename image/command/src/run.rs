//! `stayput run`: the built image in QEMU on a whole desk, its lights, screen, keys and a tour in this terminal.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use stayput_card::Layout;
use stayput_desk::{Plan, Tour, Worker};
use stayput_harness::{Machine, Options, Told, enter_private_network, interactive};

use crate::build::QEMU_UBOOT;
use crate::cli::RunArgs;
use crate::exit::{Code, Fault};
use crate::hat::{self, Shown};
use crate::manifest::Manifest;
use crate::tree::SourceTree;

/// So long a person has to read what came true.
const PACE: Duration = Duration::from_secs(4);
/// How often the desk is looked at where nobody watches.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command.
pub fn run(tree: &SourceTree, args: &RunArgs) -> anyhow::Result<()> {
    // Before anything is started: this program is begun anew in there.
    enter_private_network()?;
    let output = tree.output(&args.board);
    let manifest = Manifest::load(&output.join("manifest.json"))?;
    let mut options = Options::new(output.join("sdcard.img"), output.join(QEMU_UBOOT));
    options.memory = args.memory;
    eprintln!("Booting {} in QEMU, {} MiB of memory.", manifest.image.sha256, args.memory);
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let plain = args.console || !terminal || std::env::var_os("TERM").is_none_or(|name| name == "dumb");
    if args.console || (plain && args.alone) {
        return console(&options);
    }
    options.hat = true;
    let told = Told::watch()?;
    if args.alone {
        return hat::on_terminal(Shown::Alone(Box::new(Machine::start(options)?)), &told);
    }
    let plan = plan(tree, args, options)?;
    if args.script || plain {
        return script(&mut Tour::start(plan, Duration::ZERO)?, &told);
    }
    hat::on_terminal(Shown::Tour(Box::new(Tour::start(plan, PACE)?)), &told)
}

fn console(options: &Options) -> anyhow::Result<()> {
    eprintln!(
        "There is no login on the console: no shell is on the box. What it writes is forgotten at the end."
    );
    eprintln!("Leave with Ctrl-A X.");
    let status = interactive(options)?;
    anyhow::ensure!(status.success() || status.code().is_none(), "QEMU ended with {status}");
    Ok(())
}

fn plan(tree: &SourceTree, args: &RunArgs, options: Options) -> anyhow::Result<Plan> {
    let emulator = args.emulator.clone().unwrap_or_else(|| tree.emulator());
    if !emulator.is_file() {
        let missing = format!(
            "the emulator of the region's queues is not at {}; scripts/emulator ministack installs it, --alone does without",
            emulator.display()
        );
        return Err(Fault::new(Code::Missing, missing).into());
    }
    let layout = Layout::load(&tree.root().join("image/card.toml")).context("the card's layout")?;
    let folder = tree.root().join("output/desk");
    Ok(Plan { options, layout, emulator, door: None, worker: Worker::default(), folder })
}

/// The tour without a person.
fn script(tour: &mut Tour, told: &Told) -> anyhow::Result<()> {
    let mut shown = 0;
    while !tour.is_over() {
        if told.to_end() {
            return Err(Fault::new(Code::Interrupted, "ended before the tour was over").into());
        }
        if let Some(status) = tour.desk().machine().ended_by_itself() {
            anyhow::bail!("QEMU ended with {status} in the middle of the tour");
        }
        let leds = tour.desk().machine().leds()?;
        let looked = tour.look(leds);
        for line in &tour.lines()[shown..] {
            println!("{line}");
        }
        shown = tour.lines().len();
        if let Err(error) = looked {
            eprintln!("the console's last lines:\n{}", tour.desk().machine().console().last(40).join("\n"));
            return Err(error.into());
        }
        std::thread::sleep(LOOK);
    }
    println!("The tour is over.");
    Ok(())
}
