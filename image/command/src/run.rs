//! `stayput run`: the built image in QEMU, its console in this terminal.

use stayput_harness::{Options, interactive};

use crate::build::QEMU_UBOOT;
use crate::cli::RunArgs;
use crate::manifest::Manifest;
use crate::tree::SourceTree;

/// Runs the command.
pub fn run(tree: &SourceTree, args: &RunArgs) -> anyhow::Result<()> {
    let output = tree.output(&args.board);
    let manifest = Manifest::load(&output.join("manifest.json"))?;
    let mut options = Options::new(output.join("sdcard.img"), output.join(QEMU_UBOOT));
    options.memory = args.memory;
    eprintln!(
        "Booting {} in QEMU, {} MiB of memory. Leave with Ctrl-A X.",
        manifest.image.sha256, args.memory
    );
    eprintln!(
        "There is no login on the console: no shell is on the box. What it writes is forgotten at the end."
    );
    let status = interactive(&options)?;
    anyhow::ensure!(status.success() || status.code().is_none(), "QEMU ended with {status}");
    Ok(())
}
