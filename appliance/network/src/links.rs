//! What networkd says of its links: one small file each, `NAME=VALUE` by lines.

use std::fs;
use std::io;
use std::path::Path;

/// Where networkd keeps them.
pub const DIRECTORY: &str = "/run/systemd/netif/links";

/// What the links together give: the best of them counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Given {
    /// networkd has no link yet: neither it nor the card's driver may be up.
    Nothing,
    /// A socket without a cable, or with a dead other end.
    Socket,
    /// A cable, and no address that leads anywhere.
    Cable,
    /// An address.
    Address,
}

/// What networkd says in `folder`.
pub fn read(folder: &Path) -> io::Result<Given> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Given::Nothing),
        entries => entries?,
    };
    let mut best = Given::Nothing;
    for entry in entries {
        match fs::read_to_string(entry?.path()) {
            Ok(text) => best = best.max(of(&text)),
            // Replaced or gone in between: the notice of that comes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(best)
}

/// What one link gives.
fn of(text: &str) -> Given {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    // Loopback and what the container engine makes.
    if matches!(value("ADMIN_STATE"), None | Some("unmanaged" | "linger")) {
        return Given::Nothing;
    }
    if !matches!(value("CARRIER_STATE"), Some("carrier" | "degraded-carrier" | "enslaved")) {
        return Given::Socket;
    }
    // "degraded" is an address that ends at the next switch, which the box gives itself.
    if value("ADDRESS_STATE") == Some("routable") { Given::Address } else { Given::Cable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(admin: &str, carrier: &str, address: &str) -> String {
        format!(
            "# This is private data. Do not parse.\nADMIN_STATE={admin}\nOPER_STATE=x\nCARRIER_STATE={carrier}\nADDRESS_STATE={address}\n"
        )
    }

    #[test]
    fn the_best_link_counts_and_those_that_are_not_the_boxs_way_out_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(read(&folder.path().join("none")).unwrap(), Given::Nothing);
        put("1", &link("unmanaged", "carrier", "off"));
        assert_eq!(read(folder.path()).unwrap(), Given::Nothing);
        put("2", &link("configuring", "no-carrier", "off"));
        assert_eq!(read(folder.path()).unwrap(), Given::Socket);
        put("2", &link("configuring", "carrier", "degraded"));
        assert_eq!(read(folder.path()).unwrap(), Given::Cable);
        put("3", &link("configured", "no-carrier", "routable"));
        assert_eq!(read(folder.path()).unwrap(), Given::Cable);
        put("2", &link("configured", "carrier", "routable"));
        assert_eq!(read(folder.path()).unwrap(), Given::Address);
    }

    #[test]
    fn what_is_no_such_file_gives_nothing() {
        for text in ["", "ADMIN_STATE", "ADMIN_STATES=configured\n", "\u{fffd}"] {
            assert_eq!(of(text), Given::Nothing, "{text}");
        }
        assert_eq!(of("ADMIN_STATE=configured\n"), Given::Socket);
    }
}
