//! What QEMU's own board does not cover of the NEO2's path: boot ROM, SPL at 8 KiB, distro_bootcmd, `mmc`.
//!
//! QEMU has no H5, but its 32-bit sibling H3. The image's loader area is replaced by the sibling's in the
//! throw-away layer; all else is the image. It ends where a 32-bit loader meets a 64-bit kernel.

mod stage;

use stayput_harness::{Machine, Mark, Options, Result};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    stage::run_alone(&[("the_boot_script_runs_from_the_sd_card_up_to_the_kernel", up_to_the_kernel)])
}

fn up_to_the_kernel() -> Result<()> {
    let options = Options::orange_pi_pc(stage::input("STAYPUT_IMAGE"), stage::input("STAYPUT_H3_SPL"));
    let mut machine = Machine::start(options)?;
    let deadline = machine.deadline(Duration::from_secs(120));
    let mut mark = Mark::default();
    for line in
        ["U-Boot SPL", "MMC", "stayput: slot a", "stayput: starting slot a", "Unknown command 'booti'"]
    {
        mark = machine.console().wait_for(line, mark, &deadline)?;
    }
    Ok(())
}
