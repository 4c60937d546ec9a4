//! The last light: systemd has ended everything and unmounted the card, and the processor is about to stop.
//!
//! systemd-shutdown runs what lies in `/usr/lib/systemd/system-shutdown` with the kind of end as its one argument. A
//! processor that has stopped blinks nothing, so these lights are levels, and the device tree tells the LED driver to leave
//! them as they are (`retain-state-shutdown`).

use std::fs;
use std::path::Path;

use stayput_health::Code;
use stayput_status::row;

use crate::said::Said;
use crate::wiring::{Via, Wire};
use crate::{Error, Result};

/// Whether power may be taken away after an end of this kind; after the others the box starts again.
pub fn is_safe(kind: &str) -> bool {
    matches!(kind, "poweroff" | "halt")
}

/// Sets the lights of the LED class in `class` to the level of "safe to unplug".
pub fn show(wires: &[Wire], class: &Path, said: &mut Said) {
    for wire in wires.iter().filter(|wire| wire.via == Via::Class) {
        if let Err(error) = set(wire, class) {
            said.trouble(&format!("light '{}'", wire.name), &error);
        }
    }
}

fn set(wire: &Wire, class: &Path) -> Result<()> {
    let Some(program) = row(Code::SafeToUnplug).program(wire.role) else { return Ok(()) };
    let directory = class.join(&wire.name);
    // The brightest that it has: the kernel takes the most for more.
    let level = if program.is_dark() { "0" } else { "255" };
    for (attribute, value) in [("trigger", "none"), ("brightness", level)] {
        let path = directory.join(attribute);
        fs::write(&path, value).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_health::board::LedRole;

    #[test]
    fn only_a_box_that_stays_off_may_be_unplugged() {
        assert!(is_safe("poweroff") && is_safe("halt"));
        for kind in ["reboot", "kexec", "", "POWEROFF"] {
            assert!(!is_safe(kind), "{kind}");
        }
    }

    #[test]
    fn the_lights_are_levels_and_a_missing_one_does_not_hold_up_the_others() {
        let class = tempfile::tempdir().unwrap();
        let wire = |name: &str, role| Wire { name: name.into(), role, via: Via::Class };
        let wires = [wire("gone", LedRole::Ok), wire("yellow", LedRole::Busy), wire("red", LedRole::Fault)];
        for name in ["yellow", "red"] {
            fs::create_dir(class.path().join(name)).unwrap();
        }
        show(&wires, class.path(), &mut Said::default());
        let level = |name: &str| fs::read_to_string(class.path().join(name).join("brightness")).unwrap();
        assert_eq!((level("yellow").as_str(), level("red").as_str()), ("255", "0"));
    }
}
