//! The NEO2 has no hardware random generator in this kernel: the box must start without one.

mod stage;

use stayput_harness::{Machine, Options, Result};
use std::process::ExitCode;

fn main() -> ExitCode {
    stage::run_alone(&[("a_box_without_any_source_of_randomness_starts_all_the_same", starts)])
}

fn starts() -> Result<()> {
    let options = Options { random_source: false, device_tree_seeds: false, ..stage::virt() };
    let mut machine = Machine::start(options)?;
    stage::assert_running(&mut machine)?;
    let probe = machine.probe()?;
    // The test is about nothing if a seed came in by another door.
    let chosen: Vec<_> =
        probe.list("/sys/firmware/devicetree/base/chosen")?.into_iter().map(|e| e.name).collect();
    assert!(!chosen.iter().any(|name| name == "rng-seed"), "{chosen:?}");
    let generators = probe.text("/sys/class/misc/hw_random/rng_available")?;
    // The kernel offers "none" as a choice of its own.
    let generators: Vec<_> = generators.split_ascii_whitespace().filter(|name| *name != "none").collect();
    assert!(generators.is_empty(), "hardware generators: {generators:?}");
    Ok(())
}
