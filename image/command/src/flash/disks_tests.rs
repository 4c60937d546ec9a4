//! Tests of the listing, on a made sysfs.

use super::*;

/// A sysfs of one's own with mounts and swaps.
struct Machine {
    folder: tempfile::TempDir,
    mounts: String,
    swaps: String,
}

const NEEDED: u64 = 1720 << 20;

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("block")).unwrap();
        let swaps = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned();
        Self { folder, mounts: String::new(), swaps }
    }

    /// A disk where the kernel would hang it, its link in `block/`.
    fn disk(self, name: &str, bus: &str, number: &str, bytes: u64, files: &[(&str, &str)]) -> Self {
        let place = self.folder.path().join("devices").join(bus).join("block").join(name);
        fs::create_dir_all(place.join("holders")).unwrap();
        fs::create_dir_all(place.join("device")).unwrap();
        fs::write(place.join("dev"), format!("{number}\n")).unwrap();
        fs::write(place.join("size"), format!("{}\n", bytes / 512)).unwrap();
        for (file, content) in files {
            fs::write(place.join(file), format!("{content}\n")).unwrap();
        }
        std::os::unix::fs::symlink(place, self.folder.path().join("block").join(name)).unwrap();
        self
    }

    fn part(self, disk: &str, name: &str, number: &str) -> Self {
        let place = self.folder.path().join("block").join(disk).join(name);
        fs::create_dir_all(place.join("holders")).unwrap();
        fs::write(place.join("dev"), format!("{number}\n")).unwrap();
        fs::write(place.join("partition"), "1\n").unwrap();
        self
    }

    fn held(self, device: &str, by: &str) -> Self {
        fs::write(self.folder.path().join("block").join(device).join("holders").join(by), "").unwrap();
        self
    }

    fn mounted(mut self, number: &str, at: &str, source: &str) -> Self {
        self.mounts += &format!("36 35 {number} / {at} rw,noatime shared:1 - ext4 {source} rw\n");
        self
    }

    fn kernel(&self) -> Kernel<'_> {
        Kernel { sysfs: self.folder.path(), mounts: &self.mounts, swaps: &self.swaps }
    }

    fn list(&self) -> Vec<Disk> {
        list(&self.kernel()).unwrap()
    }

    fn only(&self) -> Disk {
        let mut disks = self.list();
        assert_eq!(disks.len(), 1, "{disks:?}");
        disks.remove(0)
    }

    fn refusal(&self) -> String {
        self.only().refusal(NEEDED, false).map(|refusal| refusal.to_string()).unwrap_or_default()
    }
}

/// A card of 32 GB in a reader on USB.
fn reader() -> Machine {
    let files = [
        ("removable", "1"),
        ("ro", "0"),
        ("device/vendor", "Generic "),
        ("device/model", "STORAGE DEVICE  "),
    ];
    Machine::new().disk("sdb", "pci/usb1/host2", "8:16", 32_010_928_128, &files).part("sdb", "sdb1", "8:17")
}

#[test]
fn a_card_in_a_reader_is_listed_with_size_and_model_and_may_be_overwritten() {
    let card = reader().only();
    assert_eq!(
        (card.bytes, card.model.as_str(), card.removable),
        (32_010_928_128, "Generic STORAGE DEVICE", true)
    );
    assert_eq!(card.refusal(NEEDED, false), None);
    assert_eq!(card.node(), Path::new("/dev/sdb"));
}

#[test]
fn an_sd_slot_counts_as_removable_and_an_emmc_does_not() {
    let slot =
        |kind| Machine::new().disk("mmcblk0", "mmc0", "179:0", 8_000_000_000, &[("device/type", kind)]);
    assert!(slot("SD").only().removable);
    assert!(!slot("MMC").only().removable);
}

#[test]
fn what_is_no_hardware_and_parts_of_an_emmc_are_not_listed() {
    let mut machine = reader();
    for (index, name) in
        ["loop0", "zram0", "dm-0", "sr0", "mmcblk0boot0", "mmcblk0rpmb", "nbd0"].iter().enumerate()
    {
        machine = machine.disk(name, "virtual", &format!("250:{index}"), 1 << 30, &[("removable", "1")]);
    }
    assert_eq!(machine.only().name, "sdb");
}

#[test]
fn a_mounted_partition_refuses_the_disk() {
    let machine = reader().mounted("8:17", "/media/my\\040card", "/dev/sdb1");
    assert!(machine.refusal().contains("mounted at /media/my card"), "{}", machine.refusal());
}

#[test]
fn a_mount_that_only_names_the_device_refuses_it_too() {
    let machine = reader().mounted("0:45", "/mnt", "/dev/sdb1");
    assert!(machine.refusal().contains("mounted at /mnt"), "{}", machine.refusal());
}

#[test]
fn a_mount_of_another_disk_with_a_longer_name_is_no_use_of_this_one() {
    assert_eq!(reader().mounted("8:170", "/mnt", "/dev/sdb11").refusal(), "");
}

#[test]
fn the_systems_disk_is_refused_through_encryption_and_even_when_named_twice() {
    let machine = reader().disk("dm-0", "virtual", "254:0", 1 << 34, &[]).held("sdb/sdb1", "dm-0").mounted(
        "254:0",
        "/",
        "/dev/mapper/root",
    );
    for really in [false, true] {
        let refusal = machine.only().refusal(NEEDED, really);
        assert_eq!(refusal, Some(Refusal::System("/dev/sdb".into(), "/".into())));
    }
}

#[test]
fn swap_and_what_is_built_on_it_refuse_a_disk() {
    let mut machine = reader();
    machine.swaps += "/dev/sdb1                               partition\t1000\t0\t-2\n";
    assert!(machine.refusal().contains("swap on sdb1"), "{}", machine.refusal());
    let machine = reader().held("sdb", "md127");
    assert!(machine.refusal().contains("md127 is built on it"), "{}", machine.refusal());
}

#[test]
fn two_devices_that_hold_each_other_do_not_hang_the_listing() {
    let machine =
        reader().disk("dm-0", "virtual", "254:0", 1 << 34, &[]).held("sdb", "dm-0").held("dm-0", "sdb");
    assert!(machine.refusal().contains("dm-0"), "{}", machine.refusal());
}

#[test]
fn a_built_in_or_too_large_disk_needs_to_be_named_twice() {
    let built_in = Machine::new().disk("sda", "pci/ata1", "8:0", 128_000_000_000, &[("removable", "0")]);
    let large = Machine::new().disk("sdc", "pci/usb2", "8:32", LARGEST + 512, &[("removable", "1")]);
    for (machine, why) in [(built_in, "not a removable"), (large, "256 GB")] {
        let refusal = machine.refusal();
        assert!(refusal.contains(why) && refusal.contains("--really /dev/sd"), "{refusal}");
        assert_eq!(machine.only().refusal(NEEDED, true), None);
    }
    let edge = Machine::new().disk("sdc", "pci/usb2", "8:32", LARGEST, &[("removable", "1")]);
    assert_eq!(edge.refusal(), "");
}

#[test]
fn an_empty_a_small_and_a_locked_card_are_told_apart() {
    let with = |bytes, ro| {
        Machine::new().disk("sdb", "pci/usb1", "8:16", bytes, &[("removable", "1"), ("ro", ro)]).refusal()
    };
    assert!(with(0, "0").contains("holds no card"));
    assert!(with(NEEDED - 512, "0").contains("too few"));
    assert!(with(NEEDED, "1").contains("write-protected"));
    assert_eq!(with(NEEDED, "0"), "");
}

#[test]
fn a_partition_is_found_as_part_of_its_disk() {
    let machine = reader();
    assert_eq!(find(&machine.kernel(), "8:17").unwrap(), Found::Partition("sdb".into()));
    assert!(matches!(find(&machine.kernel(), "8:16").unwrap(), Found::Disk(disk) if disk.name == "sdb"));
    assert_eq!(find(&machine.kernel(), "8:99").unwrap(), Found::Unknown);
}

#[test]
fn hostile_lines_of_the_kernels_tables_are_skipped() {
    let mut machine = reader();
    machine.mounts = "\n - \n1 2\n1 2 8:17 /\nx - y\n\\9 \\ - \\".into();
    machine.swaps = "\\\n\\04\n".into();
    assert_eq!(machine.refusal(), "");
    assert_eq!(unescape("a\\040b\\134\\04\\999"), "a b\\\\04\\999");
}
