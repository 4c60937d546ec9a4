//! Which board this is: what ties an identity to it, so that a card in another board does not speak in its name.

use std::fs;
use std::path::Path;

use crate::Error;

/// The board's own mark: the serial number that the boot loader puts into the device tree (on Allwinner chips it comes
/// from fuses in the chip), or else the hardware address of its network card, which is what QEMU's board has.
pub fn mark(root: &Path) -> Result<String, Error> {
    serial(root).or_else(|| network_card(root)).ok_or(Error::NoBoard)
}

fn serial(root: &Path) -> Option<String> {
    let bytes = fs::read(root.join("proc/device-tree/serial-number")).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    // A chip without fuses set says zeros, as all its like do.
    let tells = text.chars().any(|c| c.is_ascii_graphic() && c != '0');
    (tells && text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic()))
        .then(|| format!("serial:{text}"))
}

/// The first by name of those that hang on a bus: bridges and the like have an address that was made up.
fn network_card(root: &Path) -> Option<String> {
    let entries = fs::read_dir(root.join("sys/class/net")).ok()?;
    let mut cards: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|p| p.join("device").exists()).collect();
    cards.sort();
    let address = |card: &std::path::PathBuf| {
        let text = fs::read_to_string(card.join("address")).ok()?;
        let text = text.trim().to_ascii_lowercase();
        let is_one = text.len() == 17 && text.bytes().all(|b| b == b':' || b.is_ascii_hexdigit());
        (is_one && text != "00:00:00:00:00:00").then(|| format!("mac:{text}"))
    };
    cards.iter().find_map(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    const CARD: [(&str, &[u8]); 2] =
        [("sys/class/net/end0/address", b"02:01:aB:00:00:01\n"), ("sys/class/net/end0/device/x", b"")];

    #[test]
    fn the_serial_number_of_the_device_tree_comes_first() {
        let files = [CARD[0], CARD[1], ("proc/device-tree/serial-number", b"02c000810a1b2c3d\0")];
        assert_eq!(mark(root(&files).path()).unwrap(), "serial:02c000810a1b2c3d");
    }

    #[test]
    fn without_one_the_network_card_tells_the_board() {
        for empty in [&b""[..], b"\0", b"0000000000000000\0", b"\xff\xfe\0"] {
            let files = [CARD[0], CARD[1], ("proc/device-tree/serial-number", empty)];
            assert_eq!(mark(root(&files).path()).unwrap(), "mac:02:01:ab:00:00:01", "{empty:?}");
        }
    }

    #[test]
    fn a_bridge_tells_nothing() {
        let files: [(&str, &[u8]); 1] = [("sys/class/net/docker0/address", b"02:42:00:00:00:01\n")];
        assert!(matches!(mark(root(&files).path()), Err(Error::NoBoard)));
    }
}
