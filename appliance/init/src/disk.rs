//! The disk that carries this image, and its partitions: found by the id in the master boot record, never by name.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cmdline::{Arguments, DiskId};
use crate::error::Error;
use crate::log::Log;
use crate::mark::Marks;
use crate::mbr;

/// How long a disk may take to show up. Cards are slow to power up, and slower in a slot that makes bad contact.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a disk of a kind that the box does not boot from is left aside while a better one may still show up.
const DOUBT: Duration = Duration::from_secs(3);

/// How long the partitions of state, data and marks may come after the root's.
const GRACE: Duration = Duration::from_secs(1);

/// Between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Kinds of disk, in the order in which boot loaders try them: the first that carries the id is the one we came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A card in its slot.
    Card,
    /// Memory soldered to the board.
    Soldered,
    /// A virtual machine's disk.
    Virtual,
    /// USB and whatever else can be plugged in beside the card.
    Other,
}

/// A disk and what was read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its kernel name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// The id in its first sector.
    pub id: Option<DiskId>,
}

/// The disk that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its kernel name.
    pub name: String,
    /// Its id.
    pub id: DiskId,
    /// How many other disks carry the id.
    pub others: u64,
    /// The whole disk's device.
    pub device: PathBuf,
    /// The root file system's device.
    pub root: PathBuf,
    /// The state partition's device, when there is one.
    pub state: Option<PathBuf>,
    /// The data partition's device, when there is one.
    pub data: Option<PathBuf>,
    /// The data partition's number in the table.
    pub data_number: u16,
    /// The device with the marks of a new card, when there is one.
    pub marks: Option<PathBuf>,
    /// Where on it they begin, in bytes.
    pub marks_at: u64,
}

impl Disk {
    /// The marks of a new card.
    pub fn marks(&self) -> Marks<'_> {
        Marks { device: self.marks.as_deref(), at: self.marks_at }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |device: &Option<PathBuf>| match device {
            Some(path) => path.display().to_string(),
            None => "missing".to_owned(),
        };
        let [state, data, marks] = [&self.state, &self.data, &self.marks].map(shown);
        write!(
            out,
            "{} has id {}: root {}, state {state}, data {data}, marks {marks}",
            self.name,
            self.id,
            self.root.display()
        )
    }
}

/// Where the kernel shows disks; a folder of a test stands in for it.
#[derive(Debug, Clone)]
pub struct System {
    class: PathBuf,
    dev: PathBuf,
    patience: Duration,
    doubt: Duration,
    grace: Duration,
}

impl System {
    /// The real one.
    pub fn of_the_box() -> Self {
        let (class, dev) = (PathBuf::from("/sys/class/block"), PathBuf::from("/dev"));
        Self { class, dev, patience: PATIENCE, doubt: DOUBT, grace: GRACE }
    }

    /// All disks that are there now.
    fn candidates(&self) -> Vec<Candidate> {
        let names = fs::read_dir(&self.class).into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_disk(name) && !self.class.join(name).join("partition").exists())
            .map(|name| {
                let kind =
                    kind(&name, &fs::read(self.class.join(&name).join("device/type")).unwrap_or_default());
                let id = first_sector(&self.dev.join(&name)).and_then(|sector| mbr::disk_id(&sector));
                Candidate { name, kind, id }
            })
            .collect()
    }

    /// The device of partition `number` of `disk`, once the kernel has made both its entry and its node.
    fn partition(&self, disk: &str, number: u16) -> Option<PathBuf> {
        let entries = fs::read_dir(self.class.join(disk)).ok()?.flatten();
        let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let name = names.find(|name| {
            let text = fs::read_to_string(self.class.join(disk).join(name).join("partition"));
            text.is_ok_and(|text| text.trim().parse() == Ok(number))
        })?;
        let device = self.dev.join(name);
        device.exists().then_some(device)
    }
}

/// Waits for the disk and its partitions.
pub fn find(system: &System, arguments: &Arguments, log: &mut Log) -> Result<Disk, Error> {
    let begun = Instant::now();
    let mut doubted = None;
    loop {
        let candidates = system.candidates();
        let carriers = carriers(&candidates, arguments.disk);
        if let [disk, others @ ..] = &carriers[..] {
            let since = *doubted.get_or_insert_with(Instant::now);
            if disk.kind != Kind::Other || since.elapsed() >= system.doubt {
                if !others.is_empty() {
                    let all: Vec<_> = carriers.iter().map(|disk| disk.name.as_str()).collect();
                    let all = all.join(" and ");
                    log.warn(&format!(
                        "{all} carry id {}; taking {}, unplug the other",
                        disk.id_text(),
                        disk.name
                    ));
                }
                return with_partitions(system, &disk.name, others.len(), arguments);
            }
        }
        if begun.elapsed() >= system.patience {
            let seen: Vec<_> =
                candidates.iter().map(|disk| format!("{} ({})", disk.name, disk.id_text())).collect();
            let seen = if seen.is_empty() { "no disk at all".to_owned() } else { seen.join(", ") };
            let waited = system.patience.as_secs();
            return Err(Error::NoDisk { id: arguments.disk.to_string(), waited, seen });
        }
        sleep(STEP);
    }
}

fn with_partitions(system: &System, disk: &str, others: usize, arguments: &Arguments) -> Result<Disk, Error> {
    let begun = Instant::now();
    loop {
        let [root, state, data, marks] = [arguments.root, arguments.state, arguments.data, arguments.marks]
            .map(|number| system.partition(disk, number));
        let late = begun.elapsed() >= system.grace;
        if let Some(root) = root
            && (late || (state.is_some() && data.is_some() && marks.is_some()))
        {
            let others = u64::try_from(others).unwrap_or(u64::MAX);
            let Arguments { disk: id, marks_at, data: data_number, .. } = *arguments;
            let (name, device) = (disk.to_owned(), system.dev.join(disk));
            return Ok(Disk { name, id, others, device, root, state, data, data_number, marks, marks_at });
        }
        if late {
            return Err(Error::NoPartition { disk: disk.to_owned(), number: arguments.root });
        }
        sleep(STEP);
    }
}

/// The disks with `id`, the one to take first: by kind, then by name, the shorter before the longer (vdb, vdaa).
fn carriers(candidates: &[Candidate], id: DiskId) -> Vec<&Candidate> {
    let mut found: Vec<_> = candidates.iter().filter(|disk| disk.id == Some(id)).collect();
    found.sort_by_key(|disk| (disk.kind, disk.name.len(), &disk.name));
    found
}

impl Candidate {
    fn id_text(&self) -> String {
        self.id.map_or_else(|| "no id".to_owned(), |id| id.to_string())
    }
}

/// Whether a block device can be a disk with our partitions: not memory, loops, mappings, or an eMMC's boot areas.
fn is_disk(name: &str) -> bool {
    let never = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];
    let boot_area = name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    !never.iter().any(|prefix| name.starts_with(prefix)) && !boot_area
}

fn kind(name: &str, device_type: &[u8]) -> Kind {
    if name.starts_with("mmcblk") {
        if device_type.trim_ascii() == b"SD" { Kind::Card } else { Kind::Soldered }
    } else if name.starts_with("vd") {
        Kind::Virtual
    } else {
        Kind::Other
    }
}

/// `None` as well when there is no medium, or it cannot be read yet: the next look may do better.
fn first_sector(device: &Path) -> Option<[u8; mbr::LENGTH]> {
    let mut sector = [0; mbr::LENGTH];
    File::open(device).ok()?.read_exact(&mut sector).ok()?;
    Some(sector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_slots::Slot;

    const ID: u32 = 0x5354_4159;

    /// A folder with the kernel's view of some disks.
    struct Kernel(tempfile::TempDir);

    impl Kernel {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir_all(directory.path().join("class")).unwrap();
            fs::create_dir_all(directory.path().join("dev")).unwrap();
            Self(directory)
        }

        fn disk(self, name: &str, id: u32, partitions: &[(&str, u16)]) -> Self {
            let class = self.0.path().join("class");
            fs::create_dir_all(class.join(name).join("device")).unwrap();
            fs::write(class.join(name).join("device/type"), "SD\n").unwrap();
            let mut sector = [0; 512];
            sector[0x1b8..0x1bc].copy_from_slice(&id.to_le_bytes());
            sector[510..].copy_from_slice(&[0x55, 0xaa]);
            fs::write(self.0.path().join("dev").join(name), sector).unwrap();
            for (partition, number) in partitions {
                for place in [class.join(name).join(partition), class.join(partition)] {
                    fs::create_dir_all(&place).unwrap();
                    fs::write(place.join("partition"), format!("{number}\n")).unwrap();
                }
                fs::write(self.0.path().join("dev").join(partition), sector).unwrap();
            }
            self
        }

        fn find(&self) -> Result<Disk, Error> {
            let path = |name| self.0.path().join(name);
            let short = Duration::from_millis(60);
            let system = System {
                class: path("class"),
                dev: path("dev"),
                patience: short * 2,
                doubt: short,
                grace: short,
            };
            let verity = stayput_health::Verity::new(1, [0; 32]).unwrap();
            let (slot, disk) = (Slot::A, DiskId(ID));
            let (root, state, data, marks, marks_at) = (7, 10, 4, 5, 512);
            let arguments = Arguments { slot, disk, root, verity, state, data, marks, marks_at };
            find(&system, &arguments, &mut Log::open())
        }
    }

    const WHOLE: &[(&str, u16)] = &[("vda7", 7), ("vda10", 10), ("vda4", 4), ("vda5", 5)];

    #[test]
    fn the_disk_with_the_id_and_its_partitions_are_found_by_number() {
        let kernel =
            Kernel::new().disk("sda", 0x1234, &[("sda7", 7)]).disk("vda", ID, WHOLE).disk("loop0", ID, &[]);
        let disk = kernel.find().unwrap();
        assert_eq!((disk.name.as_str(), disk.others), ("vda", 0));
        assert!(disk.root.ends_with("dev/vda7"));
        assert!(disk.device.ends_with("dev/vda"));
        assert!(disk.state.unwrap().ends_with("dev/vda10"));
        assert!(disk.data.unwrap().ends_with("dev/vda4"));
        assert!(disk.marks.unwrap().ends_with("dev/vda5"));
    }

    #[test]
    fn partition_ten_is_not_taken_for_partition_one_of_disk_one() {
        let kernel =
            Kernel::new().disk("mmcblk0", ID, &[("mmcblk0p1", 1), ("mmcblk0p10", 10), ("mmcblk0p7", 7)]);
        let disk = kernel.find().unwrap();
        assert!(disk.state.unwrap().ends_with("mmcblk0p10"));
        assert_eq!((disk.marks, disk.data), (None, None));
    }

    #[test]
    fn of_two_disks_with_the_id_the_card_is_taken_and_the_other_counted() {
        let kernel = Kernel::new().disk("sda", ID, &[("sda7", 7), ("sda10", 10), ("sda5", 5)]).disk(
            "mmcblk1",
            ID,
            &[("mmcblk1p7", 7), ("mmcblk1p10", 10), ("mmcblk1p5", 5)],
        );
        let disk = kernel.find().unwrap();
        assert_eq!((disk.name.as_str(), disk.others), ("mmcblk1", 1));
    }

    #[test]
    fn a_plugged_in_disk_is_taken_only_when_nothing_better_shows_up() {
        let kernel = Kernel::new().disk("sda", ID, &[("sda7", 7), ("sda10", 10), ("sda5", 5)]);
        assert_eq!(kernel.find().unwrap().name, "sda");
    }

    #[test]
    fn without_the_disk_the_message_lists_what_is_there() {
        let message = Kernel::new().disk("sda", 0x1234, &[]).find().unwrap_err().to_string();
        assert!(message.contains("id 53544159") && message.contains("sda (00001234)"), "{message}");
        let message = Kernel::new().find().unwrap_err().to_string();
        assert!(message.contains("no disk at all"), "{message}");
    }

    #[test]
    fn a_disk_without_the_root_partition_is_refused_by_number() {
        let error = Kernel::new().disk("vda", ID, &[("vda5", 5)]).find().unwrap_err();
        assert!(matches!(error, Error::NoPartition { number: 7, .. }), "{error}");
    }

    #[test]
    fn kinds_and_names_decide_in_the_order_in_which_boot_loaders_look() {
        let disk = |name: &str, kind| Candidate { name: name.to_owned(), kind, id: Some(DiskId(1)) };
        let all = [
            disk("sda", Kind::Other),
            disk("vdaa", Kind::Virtual),
            disk("vdb", Kind::Virtual),
            disk("mmcblk2", Kind::Soldered),
            disk("mmcblk10", Kind::Card),
            disk("mmcblk1", Kind::Card),
        ];
        let order: Vec<_> = carriers(&all, DiskId(1)).iter().map(|disk| disk.name.as_str()).collect();
        assert_eq!(order, ["mmcblk1", "mmcblk10", "mmcblk2", "vdb", "vdaa", "sda"]);
        assert_eq!(kind("mmcblk0", b"SD\n"), Kind::Card);
        assert_eq!(kind("mmcblk0", b"MMC\n"), Kind::Soldered);
        assert_eq!(kind("mmcblk0", b""), Kind::Soldered);
        for never in ["loop0", "ram1", "zram0", "dm-0", "sr0", "mmcblk2boot0", "mmcblk2rpmb"] {
            assert!(!is_disk(never), "{never}");
        }
    }
}
