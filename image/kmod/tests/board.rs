//! The boards' lists against the kernel and against the boards' device trees.

#![allow(clippy::unwrap_used, reason = "a test's own functions may fail loudly too")]

#[path = "kernel/mod.rs"]
mod kernel;
#[allow(dead_code, reason = "not every test file wants every list")]
#[path = "kernel/lists.rs"]
mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use kernel::{Kernel, absent, kernel};
use stayput_kmod::{Catalogue, ModuleName, alias_matches};
use toml::Table;

/// One node of a device tree that a driver could take.
struct Device {
    path: String,
    /// As udev would ask for its driver.
    modalias: String,
}

/// The devices that are switched on; `also` is a node that the boot script switches on.
fn devices(tree: &[u8], also: Option<&str>) -> Vec<Device> {
    let mut found = Vec::new();
    walk(Fdt::new(tree).expect("a device tree").root(), String::new(), also, &mut found);
    found
}

fn walk(node: FdtNode<'_>, path: String, also: Option<&str>, found: &mut Vec<Device>) {
    let text = |name: &str| node.property(name).map(|property| property.value().to_vec());
    let words = |bytes: Vec<u8>| -> Vec<String> {
        let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let status = text("status").map(words).and_then(|mut words| words.pop());
    let on = status.is_none_or(|status| status == "okay") || also == Some(path.as_str());
    if !on {
        return;
    }
    if let Some(compatible) = text("compatible") {
        let name = node.name_without_address();
        found.push(Device {
            path: if path.is_empty() { "/".to_owned() } else { path.clone() },
            modalias: format!("of:N{name}T(null)C{}", words(compatible).join("C")),
        });
    }
    for child in node.children() {
        let path = format!("{path}/{}", child.name());
        walk(child, path, also, found);
    }
}

/// Devices whose driver is a module that the image has not, and nobody said why.
fn uncovered(devices: &[Device], catalogue: &Catalogue<'_>, selected: &BTreeSet<String>) -> Vec<String> {
    let unneeded: BTreeSet<String> =
        lists::table().unneeded.iter().flat_map(|entry| &entry.modules).cloned().collect();
    let aliases: Vec<&(String, ModuleName)> =
        catalogue.aliases().unwrap().iter().filter(|(pattern, _)| pattern.starts_with("of:")).collect();
    let mut missing = Vec::new();
    for device in devices {
        let drivers: BTreeSet<String> = aliases
            .iter()
            .filter(|(pattern, _)| alias_matches(pattern, &device.modalias))
            .map(|(_, name)| name.to_string())
            .collect();
        let served = drivers.iter().any(|driver| selected.contains(driver));
        if drivers.is_empty() {
            eprintln!("no module: {} ({})", device.path, device.modalias);
        } else if !served && !drivers.is_subset(&unneeded) {
            missing.push(format!("{} ({}): {drivers:?}", device.path, device.modalias));
        }
    }
    missing
}

fn catalogue(kernel: &Kernel) -> Catalogue<'_> {
    Catalogue::new(&kernel.modules, &kernel.builtin, &kernel.builtin_modinfo, &kernel.order).unwrap()
}

fn selected(catalogue: &Catalogue<'_>) -> BTreeSet<String> {
    catalogue.select(&lists::root()).unwrap().load_order.into_iter().collect()
}

#[test]
fn every_device_of_the_neo2_that_is_switched_on_has_its_driver_or_a_reason() {
    let Some(kernel) = kernel() else { return };
    let path = kernel::workspace().join("board/nanopi-neo2/board.toml");
    let board: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let display_bus = board.get("oled").and_then(|oled| oled.get("bus")).and_then(|bus| bus.as_str());
    let catalogue = catalogue(kernel);
    let devices = devices(&kernel.neo2, display_bus);
    assert!(devices.len() > 40, "{} devices: not the NEO2's device tree", devices.len());
    assert!(display_bus.is_none_or(|bus| devices.iter().any(|device| device.path == bus)));
    let mut selected = selected(&catalogue);
    let missing = uncovered(&devices, &catalogue, &selected);
    assert!(missing.is_empty(), "no driver on a list, and not `unneeded`:\n{}", missing.join("\n"));

    // And this test can fail (here, because opening all modules twice takes long).
    selected.remove("sunxi_mmc");
    let missing = uncovered(&devices, &catalogue, &selected);
    assert!(missing.len() == 1 && missing[0].starts_with("/soc/mmc@1c0f000 "), "{missing:?}");
}

#[test]
fn every_device_of_qemu_virt_has_its_driver_or_a_reason() {
    let Some(kernel) = kernel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("virt.dtb");
    let machine = format!("virt,acpi=off,dumpdtb={}", dump.display());
    let arguments = ["-M", &machine, "-cpu", "cortex-a53", "-m", "512", "-nic", "none", "-display", "none"];
    if !Command::new("qemu-system-aarch64").args(arguments).output().is_ok_and(|out| out.status.success()) {
        return absent("qemu-system-aarch64 (Debian package qemu-system-arm)");
    }
    let catalogue = catalogue(kernel);
    let devices = devices(&std::fs::read(dump).unwrap(), None);
    let missing = uncovered(&devices, &catalogue, &selected(&catalogue));
    assert!(missing.is_empty(), "no driver on a list, and not `unneeded`:\n{}", missing.join("\n"));
}

#[test]
fn every_unneeded_driver_is_one_that_this_kernel_has() {
    let Some(kernel) = kernel() else { return };
    let catalogue = catalogue(kernel);
    for name in lists::table().unneeded.iter().flat_map(|entry| &entry.modules) {
        assert!(catalogue.has(&ModuleName::new(name).unwrap()), "{name}");
    }
}

#[test]
fn the_soft_dependency_of_ext4_is_met_whether_its_provider_is_listed_or_not() {
    let Some(kernel) = kernel() else { return };
    let catalogue = catalogue(kernel);
    let place = |order: &[String], name: &str| order.iter().position(|other| other == name).unwrap();
    for list in [&["ext4"][..], &["ext4", "crc32c-generic"]] {
        let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
        let order = catalogue.select(&list).unwrap().load_order;
        assert!(place(&order, "crc32c_generic") < place(&order, "jbd2"), "{order:?}");
        assert!(place(&order, "jbd2") < place(&order, "ext4"), "{order:?}");
    }
}

#[test]
fn the_lists_of_the_tree_close_and_their_sizes_are_these() {
    let Some(kernel) = kernel() else { return };
    let catalogue = catalogue(kernel);
    let mut sizes = BTreeMap::new();
    for (what, list) in [("initramfs", lists::initramfs()), ("root", lists::root())] {
        let selection = catalogue.select(&list).unwrap();
        let packed: usize = selection.modules.values().map(Vec::len).sum();
        let plain: usize =
            selection.load_order.iter().map(|name| selection.decompressed(name).unwrap().len()).sum();
        let indexes: usize = stayput_kmod::indexes(&selection).unwrap().values().map(Vec::len).sum();
        eprintln!(
            "{what}: {} named, {} modules, {} KiB as shipped, {} KiB plain, {} KiB of indexes, built in {:?}, unmet {:?}",
            list.len(),
            selection.load_order.len(),
            packed / 1024,
            plain / 1024,
            indexes / 1024,
            selection.builtin,
            selection.unmet
        );
        eprintln!("{}", selection.load_order.join(" "));
        assert_eq!(selection.load_order.len(), selection.modules.len());
        sizes.insert(what, plain);
    }
    // The kernel unpacks all of it into memory on a 512 MB board, and init frees it when it hands over.
    assert!(sizes["initramfs"] < 5 << 20, "{sizes:?}");
    assert!(sizes["root"] < 16 << 20, "{sizes:?}");
}
