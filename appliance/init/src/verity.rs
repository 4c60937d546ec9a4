//! The root file system under dm-verity: every block that is read is checked against the root hash first.
//!
//! A block that is not what the hash tree says, or cannot be read, makes the kernel panic and restart, so that the boot
//! loader decides again. Answering such a read with an error instead would leave a box half alive: some program would
//! die, another would go on with what it had in memory, and nothing would lead to the other slot.

use std::path::{Path, PathBuf};

use stayput_health::Verity;
use stayput_health::verity::BLOCK;

use crate::dm::{self, Mapping};
use crate::error::Error;

/// The mapped device's name.
const NAME: &str = "stayput-root";

/// Makes the checked device over a root partition.
pub fn open(partition: &Path, verity: &Verity) -> Result<PathBuf, Error> {
    let failed = |source| Error::Verity { device: partition.to_owned(), source };
    let mapping = Mapping {
        name: NAME,
        uuid: &uuid(verity),
        target: "verity",
        sectors: verity.data_size() / 512,
        line: &line(&partition.display().to_string(), verity),
    };
    dm::create(&mapping).map_err(failed)
}

/// cryptsetup's form for such a device: whoever lists block devices sees what kind it is.
fn uuid(verity: &Verity) -> String {
    format!("CRYPT-VERITY-{}-{NAME}", &verity.root_hex()[..32])
}

/// The target's words (admin-guide/device-mapper/verity): format, data, tree, both block sizes, blocks, the tree's first
/// block, hash, root, no salt; then what is to happen when a block is wrong and when one cannot be read.
fn line(partition: &str, verity: &Verity) -> String {
    let (blocks, root) = (verity.blocks(), verity.root_hex());
    format!(
        "1 {partition} {partition} {BLOCK} {BLOCK} {blocks} {blocks} sha256 {root} - 2 panic_on_corruption panic_on_error"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_kernels_and_wrong_or_unreadable_blocks_end_in_a_panic() {
        let verity = Verity::new(13_870, [0xab; 32]).unwrap();
        let root = "ab".repeat(32);
        assert_eq!(
            line("/dev/vda7", &verity),
            format!(
                "1 /dev/vda7 /dev/vda7 4096 4096 13870 13870 sha256 {root} - \
                 2 panic_on_corruption panic_on_error"
            )
        );
        assert_eq!(uuid(&verity), format!("CRYPT-VERITY-{}-stayput-root", "ab".repeat(16)));
    }
}
