//! `stayput run`: the built image in QEMU, its console in this terminal.

use crate::cli::RunArgs;
use crate::tree::SourceTree;

/// Runs the command.
pub fn run(tree: &SourceTree, args: &RunArgs) -> anyhow::Result<()> {
    let _ = (tree, args);
    anyhow::bail!("not wired yet")
}
