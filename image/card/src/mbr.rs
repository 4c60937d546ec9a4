//! The partition table: one MBR, and the chain of extended tables (EBR) for the logical partitions.
//!
//! MBR, because the boot ROM reads its loader from sector 16, which a usual GPT covers. The EBRs sit side by side at
//! the start of the extended partition instead of one before each logical partition: the format allows it (a table's
//! start is relative to itself, the link to the next one relative to the extended partition), Linux, U-Boot and
//! sfdisk read it, and so the image file may end long before the last partition.

use crate::layout::sectors;
use crate::{Layout, SECTOR};

/// A sector of the table and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSector {
    /// In bytes from the start of the card.
    pub offset: u64,
    /// What is written there.
    pub bytes: [u8; SECTOR as usize],
}

/// The MBR and all EBRs of a layout, MBR first.
pub fn table(layout: &Layout) -> Vec<TableSector> {
    let extended = layout.extended();
    let mut mbr = empty(0);
    mbr.bytes[440..444].copy_from_slice(&layout.disk_id().to_le_bytes());
    for partition in layout.partitions().iter().filter(|partition| !partition.logical()) {
        let entry = Entry {
            active: partition.active,
            kind: partition.kind,
            base: 0,
            first: partition.first_sector(),
            count: partition.sectors(),
        };
        entry.write(&mut mbr, partition.number as usize - 1);
    }
    let logical: Vec<_> = layout.partitions().iter().filter(|partition| partition.logical()).collect();
    let mut all = vec![mbr];
    if logical.is_empty() {
        return all;
    }
    let (first, end) = (sectors(extended.start), sectors(extended.end));
    Entry { active: false, kind: extended.kind, base: 0, first, count: end - first }
        .write(&mut all[0], extended.number as usize - 1);
    for (index, partition) in (0u32..).zip(&logical) {
        let here = first + index;
        let mut ebr = empty(u64::from(here) * SECTOR);
        Entry {
            active: false,
            kind: partition.kind,
            base: here,
            first: partition.first_sector(),
            count: partition.sectors(),
        }
        .write(&mut ebr, 0);
        if let Some(next) = logical.get(index as usize + 1) {
            // The link spans from the next table to the end of the next partition, as fdisk would write it.
            let count = sectors(next.end()) - (here + 1);
            Entry { active: false, kind: 0x05, base: first, first: here + 1, count }.write(&mut ebr, 1);
        }
        all.push(ebr);
    }
    all
}

fn empty(offset: u64) -> TableSector {
    let mut bytes = [0; SECTOR as usize];
    bytes[510..].copy_from_slice(&[0x55, 0xaa]);
    TableSector { offset, bytes }
}

/// One of a table's four lines. `first` is counted from the card's start, `base` is what the format counts it from.
struct Entry {
    active: bool,
    kind: u8,
    base: u32,
    first: u32,
    count: u32,
}

impl Entry {
    fn write(&self, sector: &mut TableSector, index: usize) {
        let mut line = [0; 16];
        line[0] = if self.active { 0x80 } else { 0 };
        line[1..4].copy_from_slice(&cylinder_head_sector(self.first));
        line[4] = self.kind;
        line[5..8].copy_from_slice(&cylinder_head_sector(self.first + self.count - 1));
        line[8..12].copy_from_slice(&(self.first - self.base).to_le_bytes());
        line[12..16].copy_from_slice(&self.count.to_le_bytes());
        sector.bytes[446 + 16 * index..446 + 16 * (index + 1)].copy_from_slice(&line);
    }
}

/// The old address form, with the geometry that everyone assumes (255 heads, 63 sectors); beyond its reach, its maximum.
fn cylinder_head_sector(sector: u32) -> [u8; 3] {
    let (cylinder, rest) = (sector / (255 * 63), sector % (255 * 63));
    if cylinder > 1023 {
        return [254, 0xff, 0xff];
    }
    let (head, in_track) = (rest / 63, rest % 63 + 1);
    [head as u8, (in_track as u8) | ((cylinder >> 2) as u8 & 0xc0), cylinder as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_address_form_saturates_beyond_8_gb() {
        assert_eq!(cylinder_head_sector(0), [0, 1, 0]);
        assert_eq!(cylinder_head_sector(63), [1, 1, 0]);
        assert_eq!(cylinder_head_sector(1023 * 255 * 63), [0, 0xc1, 0xff]);
        assert_eq!(cylinder_head_sector(1024 * 255 * 63), [254, 0xff, 0xff]);
        assert_eq!(cylinder_head_sector(u32::MAX), [254, 0xff, 0xff]);
    }
}
