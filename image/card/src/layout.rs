//! The card's layout: `image/card.toml`, read and checked.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::{Error, MIB, Result, SECTOR};

/// A checked layout: nothing overlaps, every number fits the partition table's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    disk_id: u32,
    loader_region: std::ops::Range<u64>,
    extended: Extended,
    boot_state: BootState,
    partitions: Vec<Partition>,
}

/// One partition that holds something; the extended one, which only holds others, is [`Extended`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Linux's and U-Boot's number: 1 to 4 primary, 5 and up logical.
    pub number: u32,
    /// How everything else refers to it.
    pub name: String,
    /// The table's type byte.
    pub kind: u8,
    /// U-Boot looks for its script on the active one only.
    pub active: bool,
    /// First byte.
    pub start: u64,
    /// In bytes.
    pub size: u64,
    /// Set for partitions that are FAT.
    pub fat: Option<Fat>,
    /// Why a box writes to it, where it does by design.
    pub varies: Option<String>,
    /// The partition that a box copies to this one.
    pub copy_of: Option<String>,
}

/// A FAT's identity: fixed, or two builds would differ.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fat {
    /// 16 or 32.
    pub bits: u8,
    /// Volume label, at most 11 characters.
    pub label: String,
    /// Volume serial number.
    pub serial: u32,
}

/// The extended partition and where its tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extended {
    /// Its number, 1 to 4.
    pub number: u32,
    /// Its type byte.
    pub kind: u8,
    /// First byte; the first table is here, the others follow sector by sector.
    pub start: u64,
    /// One past the tables: the first byte a logical partition may use.
    pub tables_end: u64,
    /// One past its last partition.
    pub end: u64,
}

/// What is where in the boot-state partition, in bytes from the partition's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootState {
    /// The partition's number.
    pub number: u32,
    /// The two copies of U-Boot's environment, a sector each.
    pub copies: [u64; 2],
    /// How far slot A and slot B came at their last try, a sector each.
    pub notes: [u64; 2],
    /// Where the marks of a new card begin; which sector is whose is [`stayput_health::marks`]'s.
    pub marks: u64,
}

/// What the builder fills, the boot scripts choose from and the box mounts, by these names.
pub const NAMES: [&str; 9] =
    ["stayput", "loader", "boot-state", "boot-a", "root-a", "boot-b", "root-b", "state", "data"];

impl Partition {
    /// One past the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.size
    }
    /// Logical partitions have their table in the extended one.
    pub fn logical(&self) -> bool {
        self.number > 4
    }
    /// First sector, as the partition table writes it.
    pub fn first_sector(&self) -> u32 {
        sectors(self.start)
    }
    /// Length in sectors.
    pub fn sectors(&self) -> u32 {
        sectors(self.size)
    }
}

/// Bytes as sectors. Callers pass values that [`Layout`] has checked to be below 2 TiB.
pub(crate) fn sectors(bytes: u64) -> u32 {
    u32::try_from(bytes / SECTOR).unwrap_or(u32::MAX)
}

impl Layout {
    /// Reads and checks the table in a file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let name = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count();
                Err(Error::Table {
                    file: name,
                    line,
                    problem: "this is not UTF-8 text".into(),
                    remedy: "save it as UTF-8".into(),
                })
            }
        }
    }

    /// Checks the table in a text; `file` names it in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let fault = |at: usize, problem: String, remedy: &str| Error::Table {
            file: file.to_owned(),
            line: 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count(),
            problem,
            remedy: remedy.to_owned(),
        };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            fault(at, error.message().replace('\n', " "), "see the keys of image/card.toml in docs/boot.md")
        })?;
        raw.check().map_err(|Fault { at, problem, remedy }| fault(at, problem, &remedy))
    }

    /// The partition of that name.
    pub fn partition(&self, name: &str) -> Result<&Partition> {
        self.partitions.iter().find(|partition| partition.name == name).ok_or_else(|| Error::NoPartition {
            name: name.to_owned(),
            known: self.partitions.iter().map(|known| known.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// All partitions, in the order of the card.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }
    /// The MBR's disk signature.
    pub fn disk_id(&self) -> u32 {
        self.disk_id
    }
    /// The disk signature as Linux writes it in PARTUUIDs and as the command line carries it.
    pub fn disk_id_hex(&self) -> String {
        format!("{:08x}", self.disk_id)
    }
    /// The raw bytes in front of the partitions that belong to the board's loader.
    pub fn loader_region(&self) -> std::ops::Range<u64> {
        self.loader_region.clone()
    }
    /// The extended partition.
    pub fn extended(&self) -> Extended {
        self.extended
    }
    /// What is where in the boot-state partition.
    pub fn boot_state(&self) -> &BootState {
        &self.boot_state
    }
    /// One past the last partition: the smallest card, in bytes.
    pub fn end(&self) -> u64 {
        self.partitions.iter().map(Partition::end).max().unwrap_or(0)
    }
}

/// A broken rule and where it is written.
struct Fault {
    at: usize,
    problem: String,
    remedy: String,
}

fn fault<T>(at: usize, problem: String, remedy: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at, problem, remedy: remedy.into() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: Spanned<u32>,
    disk_id: Spanned<u32>,
    smallest_card_mib: Spanned<u32>,
    loader_region: Spanned<RawLoader>,
    extended: Spanned<RawExtended>,
    boot_state: Spanned<RawBootState>,
    partition: Vec<Spanned<RawPartition>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLoader {
    start_kib: u32,
    end_kib: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExtended {
    number: u32,
    r#type: u8,
    start_mib: u32,
    tables_mib: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBootState {
    partition: String,
    copies_mib: [u32; 2],
    notes_mib: [u32; 2],
    marks_mib: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPartition {
    number: u32,
    name: String,
    r#type: u8,
    #[serde(default)]
    active: bool,
    start_mib: u32,
    size_mib: u32,
    fat: Option<Fat>,
    varies: Option<String>,
    copy_of: Option<String>,
}

impl Raw {
    fn check(self) -> Result<Layout, Fault> {
        if *self.version.get_ref() != 1 {
            let problem = format!("version {} of the card's table is not known", self.version.get_ref());
            return fault(self.version.span().start, problem, "write version = 1");
        }
        if *self.disk_id.get_ref() == 0 {
            return fault(
                self.disk_id.span().start,
                "disk_id is 0, which Linux takes for none".into(),
                "give any other number",
            );
        }
        let loader_region = self.check_loader()?;
        let mut found: Vec<(usize, Partition)> = Vec::new();
        for raw in &self.partition {
            found.push((raw.span().start, raw.get_ref().check(raw.span().start)?));
        }
        // In the order of the card, not of the file: the rules below speak of neighbours.
        found.sort_by_key(|(_, partition)| partition.start);
        check_names_and_numbers(&found, self.partition.last().map_or(0, |last| last.span().end))?;
        check_copies(&found)?;
        check_active(&found, self.partition_at())?;
        let extended = self.check_extended(&found)?;
        check_neighbours(&found, &loader_region, &extended)?;
        check_logical(&found, &extended)?;
        let smallest = u64::from(*self.smallest_card_mib.get_ref()) * MIB;
        if let Some((at, last)) = found.last()
            && last.end() > smallest
        {
            let problem = format!(
                "partition '{}' ends at {} MiB, beyond smallest_card_mib = {}",
                last.name,
                last.end() / MIB,
                self.smallest_card_mib.get_ref()
            );
            return fault(*at, problem, "make it smaller: it grows on the card");
        }
        let boot_state = self.check_boot_state(&found)?;
        Ok(Layout {
            disk_id: *self.disk_id.get_ref(),
            loader_region,
            extended,
            boot_state,
            partitions: found.into_iter().map(|(_, partition)| partition).collect(),
        })
    }

    fn partition_at(&self) -> usize {
        self.partition.first().map_or(0, |first| first.span().start)
    }

    fn check_loader(&self) -> Result<std::ops::Range<u64>, Fault> {
        let (at, raw) = (self.loader_region.span().start, self.loader_region.get_ref());
        // The boot ROM of the H5 looks at 8 KiB and, if there is nothing, at 128 KiB; nowhere else.
        if raw.start_kib != 8 && raw.start_kib != 128 {
            let problem = format!("loader_region starts at {} KiB, where no boot ROM looks", raw.start_kib);
            return fault(at, problem, "write start_kib = 8 (or 128)");
        }
        if raw.end_kib <= raw.start_kib || raw.end_kib % 1024 != 0 {
            let problem = format!("loader_region ends at {} KiB", raw.end_kib);
            return fault(at, problem, "end it at a whole MiB after its start");
        }
        Ok(u64::from(raw.start_kib) * 1024..u64::from(raw.end_kib) * 1024)
    }

    fn check_extended(&self, found: &[(usize, Partition)]) -> Result<Extended, Fault> {
        let (at, raw) = (self.extended.span().start, self.extended.get_ref());
        if !(1..=4).contains(&raw.number) {
            return fault(
                at,
                format!("the extended partition has number {}", raw.number),
                "give it 1, 2, 3 or 4",
            );
        }
        if let Some((at, twin)) = found.iter().find(|(_, partition)| partition.number == raw.number) {
            let problem =
                format!("partition '{}' has the extended partition's number {}", twin.name, raw.number);
            return fault(*at, problem, "give it a number of its own");
        }
        // Linux, U-Boot and the PC's systems agree on these two; the first byte that follows is the tables'.
        if raw.r#type != 0x05 && raw.r#type != 0x0f {
            let problem = format!("type {:#04x} is not an extended partition's", raw.r#type);
            return fault(at, problem, "write type = 0x0f");
        }
        if raw.tables_mib == 0 {
            return fault(
                at,
                "tables_mib is 0".into(),
                "leave at least 1 MiB for the logical partitions' tables",
            );
        }
        let start = u64::from(raw.start_mib) * MIB;
        let end = found.iter().filter(|(_, p)| p.logical()).map(|(_, p)| p.end()).max();
        Ok(Extended {
            number: raw.number,
            kind: raw.r#type,
            start,
            tables_end: start + u64::from(raw.tables_mib) * MIB,
            end: end.unwrap_or(start),
        })
    }

    fn check_boot_state(&self, found: &[(usize, Partition)]) -> Result<BootState, Fault> {
        let (at, raw) = (self.boot_state.span().start, self.boot_state.get_ref());
        let Some((_, partition)) = found.iter().find(|(_, p)| p.name == raw.partition) else {
            let problem =
                format!("boot_state names partition '{}', which is not in the table", raw.partition);
            return fault(at, problem, "name one that is");
        };
        let bytes = |mib: u32| u64::from(mib) * MIB;
        let (copies, notes, marks) =
            (raw.copies_mib.map(bytes), raw.notes_mib.map(bytes), bytes(raw.marks_mib));
        let places = [copies[0], copies[1], notes[0], notes[1], marks];
        if let Some(place) = places.iter().find(|place| **place + MIB > partition.size) {
            let problem =
                format!("boot_state uses {} MiB, beyond the end of '{}'", place / MIB, partition.name);
            return fault(at, problem, "stay inside the partition");
        }
        if places.iter().enumerate().any(|(at, place)| places[..at].contains(place)) {
            return fault(at, "two of boot_state's places are the same".into(), "give each a MiB of its own");
        }
        Ok(BootState { number: partition.number, copies, notes, marks })
    }
}

impl RawPartition {
    fn check(&self, at: usize) -> Result<Partition, Fault> {
        let name_ok = self.name.starts_with(|first: char| first.is_ascii_lowercase())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !name_ok {
            let problem = format!("partition name {:?} is not of the form a-z, 0-9 and '-'", self.name);
            return fault(at, problem, "choose another name");
        }
        if self.number == 0 || self.number > 60 {
            let problem = format!("partition '{}' has number {}", self.name, self.number);
            return fault(at, problem, "1 to 4 are primary, 5 and up logical");
        }
        if self.size_mib == 0 {
            return fault(at, format!("partition '{}' has no size", self.name), "write size_mib = 1 or more");
        }
        if u64::from(self.start_mib) + u64::from(self.size_mib) >= 2 * 1024 * 1024 {
            let problem = format!("partition '{}' ends beyond 2 TiB", self.name);
            return fault(at, problem, "an MBR cannot say that: use smaller numbers");
        }
        if matches!(self.r#type, 0x00 | 0x05 | 0x0f | 0x85 | 0xee) {
            let problem = format!(
                "partition '{}' has type {:#04x}, which has a meaning of its own",
                self.name, self.r#type
            );
            return fault(
                at,
                problem,
                "0x0c is FAT; 0x1e FAT, 0xc2 Linux and 0xda raw data that a PC leaves alone",
            );
        }
        if let Some(fat) = &self.fat {
            let problem = if fat.bits != 16 && fat.bits != 32 {
                Some(format!("a FAT of {} bits", fat.bits))
            } else if fat.label.is_empty()
                || fat.label.len() > 11
                || !fat
                    .label
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
            {
                Some(format!("FAT label {:?}", fat.label))
            } else {
                None
            };
            if let Some(problem) = problem {
                let problem = format!("partition '{}': {problem}", self.name);
                return fault(at, problem, "bits are 16 or 32; a label is 1 to 11 of A-Z, 0-9 and '-'");
            }
        }
        Ok(Partition {
            number: self.number,
            name: self.name.clone(),
            kind: self.r#type,
            active: self.active,
            start: u64::from(self.start_mib) * MIB,
            size: u64::from(self.size_mib) * MIB,
            fat: self.fat.clone(),
            varies: self.varies.clone(),
            copy_of: self.copy_of.clone(),
        })
    }
}

fn check_names_and_numbers(found: &[(usize, Partition)], end: usize) -> Result<(), Fault> {
    let (mut names, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    for (at, partition) in found {
        if names.insert(&partition.name, ()).is_some() {
            return fault(
                *at,
                format!("partition '{}' is there twice", partition.name),
                "rename or remove one",
            );
        }
        if let Some(other) = numbers.insert(partition.number, &partition.name) {
            let problem = format!("'{other}' and '{}' both have number {}", partition.name, partition.number);
            return fault(*at, problem, "give each its own");
        }
    }
    if let Some(missing) =
        NAMES.iter().find(|name| !found.iter().any(|(_, partition)| partition.name == **name))
    {
        let problem = format!("there is no partition '{missing}' (is the file cut short?)");
        return fault(end, problem, format!("the card needs all of {}", NAMES.join(", ")));
    }
    Ok(())
}

/// A copy must fit, be told from a part of the image, and not be one of a copy.
fn check_copies(found: &[(usize, Partition)]) -> Result<(), Fault> {
    for (at, copy) in found {
        let Some(of) = &copy.copy_of else { continue };
        let original = found.iter().map(|(_, partition)| partition).find(|original| original.name == *of);
        let problem = match original {
            None => format!("'{}' is a copy of '{of}', which is not in the table", copy.name),
            Some(original) if original.size != copy.size || original.kind != copy.kind => {
                format!("'{}' is a copy of '{of}' and has another size or type", copy.name)
            }
            Some(original) if original.copy_of.is_some() || copy.varies.is_none() => {
                format!(
                    "'{}' is a copy of '{of}', and either that is one too or this one does not vary",
                    copy.name
                )
            }
            Some(_) => continue,
        };
        return fault(
            *at,
            problem,
            "name a partition of the same size and type that the image fills, and say varies",
        );
    }
    Ok(())
}

fn check_active(found: &[(usize, Partition)], at: usize) -> Result<(), Fault> {
    let active: Vec<_> = found.iter().filter(|(_, partition)| partition.active).collect();
    match active.as_slice() {
        [(_, one)] if !one.logical() && one.fat.is_some() => Ok(()),
        [(at, one)] => fault(
            *at,
            format!("the active partition '{}' is not a primary FAT", one.name),
            "U-Boot looks for boot.scr there: make the loader partition active",
        ),
        [] => fault(at, "no partition is active".into(), "write active = true for the loader partition"),
        [(at, one), ..] => fault(
            *at,
            format!("'{}' is not the only active partition", one.name),
            "leave active = true at the loader partition alone",
        ),
    }
}

fn check_neighbours(
    found: &[(usize, Partition)],
    loader_region: &std::ops::Range<u64>,
    extended: &Extended,
) -> Result<(), Fault> {
    let mut before =
        (format!("the loader region (up to {} MiB)", loader_region.end / MIB), loader_region.end);
    for (at, partition) in found {
        if partition.start < before.1 {
            let problem = format!(
                "partition '{}' starts at {} MiB, inside {}",
                partition.name,
                partition.start / MIB,
                before.0
            );
            return fault(*at, problem, format!("start it at {} MiB or later", before.1.div_ceil(MIB)));
        }
        if !partition.logical() && partition.start < extended.end && extended.start < partition.end() {
            let problem = format!(
                "partition '{}' ({} to {} MiB) lies over the extended partition ({} to {} MiB)",
                partition.name,
                partition.start / MIB,
                partition.end() / MIB,
                extended.start / MIB,
                extended.end / MIB
            );
            return fault(*at, problem, "move it out, or give it a number from 5 on");
        }
        before = (
            format!("'{}' ({} to {} MiB)", partition.name, partition.start / MIB, partition.end() / MIB),
            partition.end(),
        );
    }
    Ok(())
}

fn check_logical(found: &[(usize, Partition)], extended: &Extended) -> Result<(), Fault> {
    // Linux counts logical partitions along their chain of tables, so numbers follow the order of the card.
    let logical = found.iter().filter(|(_, partition)| partition.logical());
    for (expected, (at, partition)) in (5..).zip(logical) {
        if partition.number != expected {
            let problem = format!(
                "logical partition '{}' has number {}, by its place it is {expected}",
                partition.name, partition.number
            );
            return fault(*at, problem, format!("write number = {expected}"));
        }
        if partition.start < extended.tables_end {
            let problem = format!(
                "logical partition '{}' starts at {} MiB, the tables take up to {} MiB",
                partition.name,
                partition.start / MIB,
                extended.tables_end / MIB
            );
            return fault(*at, problem, "start it after the tables");
        }
    }
    Ok(())
}
