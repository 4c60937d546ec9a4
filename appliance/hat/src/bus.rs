//! Which `/dev/i2c-*` the screen's bus is. Numbers differ between kernels; the controller's place in the device tree does not.

use std::fs;
use std::path::{Path, PathBuf};

use stayput_health::board::BusName;

use crate::{Error, Result};

/// The device file of `bus`, by the kernel's tables below `sys` (`/sys`, but in tests).
pub(crate) fn device_of(bus: &BusName, sys: &Path) -> Result<PathBuf> {
    let class = sys.join("class/i2c-dev");
    let known = fs::read_dir(class).into_iter().flatten().flatten();
    let found = known.map(|entry| entry.path()).find(|entry| leads_to(&entry.join("device/of_node"), bus));
    let name = found.as_deref().and_then(Path::file_name);
    let name = name.ok_or_else(|| Error::NoBus { bus: bus.to_string() })?;
    Ok(Path::new("/dev").join(name))
}

/// Whether the link `of_node` ends at `bus` of the device tree.
fn leads_to(of_node: &Path, bus: &BusName) -> bool {
    let Ok(node) = fs::canonicalize(of_node) else { return false };
    let text = node.to_string_lossy();
    text.split_once("/devicetree/base").is_some_and(|(_, place)| place == bus.as_str())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn kernel_with(buses: &[(&str, &str)]) -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        for (name, node) in buses {
            let node = sys.path().join(format!("firmware/devicetree/base{node}"));
            let bus = sys.path().join("devices").join(name);
            let class = sys.path().join("class/i2c-dev").join(name);
            for directory in [&node, &bus, &class] {
                fs::create_dir_all(directory).unwrap();
            }
            symlink(&node, bus.join("of_node")).unwrap();
            symlink(&bus, class.join("device")).unwrap();
        }
        sys
    }

    fn bus(text: &str) -> BusName {
        BusName::try_from(text).unwrap()
    }

    #[test]
    fn the_bus_is_found_by_its_place_in_the_device_tree_whatever_its_number() {
        let sys = kernel_with(&[("i2c-0", "/soc/hdmi/ddc"), ("i2c-3", "/soc/i2c@1c2ac00")]);
        let found = device_of(&bus("/soc/i2c@1c2ac00"), sys.path()).unwrap();
        assert_eq!(found, Path::new("/dev/i2c-3"));
    }

    #[test]
    fn a_bus_whose_place_only_ends_alike_is_another_one() {
        let sys = kernel_with(&[("i2c-0", "/second/soc/i2c@1c2ac00"), ("i2c-1", "/soc/i2c@1c2ac001")]);
        let error = device_of(&bus("/soc/i2c@1c2ac00"), sys.path()).unwrap_err().to_string();
        assert!(error.contains("no I2C bus /soc/i2c@1c2ac00"), "{error}");
    }

    #[test]
    fn a_kernel_without_any_bus_has_none() {
        let sys = tempfile::tempdir().unwrap();
        assert!(device_of(&bus("/soc/i2c@1c2ac00"), sys.path()).is_err());
    }
}
