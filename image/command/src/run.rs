//! `stayput run`: the built image in QEMU, its lights, screen, keys and console in this terminal.

use std::io::IsTerminal;

use stayput_harness::{Options, interactive};

use crate::build::QEMU_UBOOT;
use crate::cli::RunArgs;
use crate::hat;
use crate::manifest::Manifest;
use crate::tree::SourceTree;

/// Runs the command.
pub fn run(tree: &SourceTree, args: &RunArgs) -> anyhow::Result<()> {
    let output = tree.output(&args.board);
    let manifest = Manifest::load(&output.join("manifest.json"))?;
    let mut options = Options::new(output.join("sdcard.img"), output.join(QEMU_UBOOT));
    options.memory = args.memory;
    eprintln!("Booting {} in QEMU, {} MiB of memory.", manifest.image.sha256, args.memory);
    eprintln!(
        "There is no login on the console: no shell is on the box. What it writes is forgotten at the end."
    );
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let plain = args.console || !terminal || std::env::var_os("TERM").is_none_or(|name| name == "dumb");
    if !plain {
        return hat::on_terminal(options);
    }
    eprintln!("Leave with Ctrl-A X.");
    let status = interactive(&options)?;
    anyhow::ensure!(status.success() || status.code().is_none(), "QEMU ended with {status}");
    Ok(())
}
