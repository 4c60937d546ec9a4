//! The time between a failure and the restart: one number for the kernel, the first program and the running box.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, which is its job")]

use std::path::Path;

use stayput_health::RESTART_AFTER;

#[test]
fn the_running_box_waits_as_long_after_a_panic_as_the_command_line_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../overlay/usr/lib/sysctl.d/60-stayput.conf");
    let text = std::fs::read_to_string(file).unwrap();
    let settings = text.lines().filter_map(|line| line.split_once('='));
    let values: Vec<_> = settings
        .filter(|(key, _)| key.trim().trim_start_matches('-').replace('/', ".") == "kernel.panic")
        .map(|(_, value)| value.trim())
        .collect();
    assert_eq!(values, [RESTART_AFTER.as_secs().to_string()]);
    // The kernel takes whole seconds.
    assert_eq!(RESTART_AFTER.subsec_nanos(), 0);
}
