//! What follows from settings: files below `/run`, folders below `/data`, the box's name and its time zone. Pure.
//!
//! One table says which file is made of what and who may read it; a file without a text is not there. Which parts run follows
//! from it as well: their units are always wanted and look whether their file is there (`ConditionPathExists=`). So nothing has
//! to be enabled, reloaded or started on the box, and nobody has to talk to systemd while it is coming up.

mod agent;
mod clock;
mod door;
mod firewall;
mod network;
mod public;
mod variables;
mod worker;

use stayput_config::Runtime;

use crate::intake::Settings;

/// The folder of the mover's log. The same whatever the source folder is, so that another source loses no history.
pub const LEDGER: &str = "/data/ledger";

/// Where all certificates are that the box's programs trust.
pub const AUTHORITIES: &str = "/run/stayput/ca.pem";

/// Where the identity part puts the courier's credentials.
pub const CREDENTIALS: &str = "/run/stayput/credentials/courier";

/// The accounts of `image/rootfs.toml` that something is made for; a test holds the two together.
pub mod account {
    /// The mover.
    pub const MOVER: u32 = 802;
    /// Whoever adds files.
    pub const DROP: u32 = 803;
    /// Whoever collects results.
    pub const COLLECT: u32 = 804;
    /// The identity part.
    pub const IDENTITY: u32 = 806;
    /// The part that sets the clock.
    pub const CLOCK: u32 = 807;
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Every part: nothing secret is in it.
    Everyone,
    /// Systemd and root.
    Root,
    /// This account.
    Only(u32),
    /// Root, and this group, which cannot change it.
    Group(u32),
}

impl Readers {
    /// Permissions, and whose the file is.
    pub const fn access(self) -> (u32, (u32, u32)) {
        match self {
            Self::Everyone => (0o644, (0, 0)),
            Self::Root => (0o600, (0, 0)),
            Self::Only(account) => (0o600, (account, account)),
            Self::Group(group) => (0o640, (0, group)),
        }
    }
}

/// One file.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Where, below `/run`.
    pub path: &'static str,
    /// Who may read it.
    pub readers: Readers,
    /// What is in it; nothing where it is not needed.
    text: fn(&Settings) -> Option<String>,
}

/// The door's rules in the firewall: where they are, there is a door.
pub const DOOR: &str = "stayput/firewall/20-door.nft";

/// Every file.
pub const FILES: &[Row] = &[
    Row { path: "systemd/network/10-stayput.network", readers: Readers::Everyone, text: network::link },
    Row { path: "systemd/resolved.conf.d/50-stayput.conf", readers: Readers::Everyone, text: network::names },
    Row { path: "systemd/timesyncd.conf.d/50-stayput.conf", readers: Readers::Everyone, text: network::time },
    Row { path: "stayput/firewall/10-mdns.nft", readers: Readers::Everyone, text: firewall::mdns },
    Row { path: DOOR, readers: Readers::Everyone, text: door::firewall },
    // Sshd reads them as the account that they are for.
    Row { path: "stayput/door/keys/drop", readers: Readers::Group(account::DROP), text: door::adding },
    Row {
        path: "stayput/door/keys/collect",
        readers: Readers::Group(account::COLLECT),
        text: door::collecting,
    },
    Row { path: "stayput/setup/stayput.toml", readers: Readers::Everyone, text: public::text },
    // Systemd reads the three for the parts that it starts.
    Row { path: "stayput/worker.env", readers: Readers::Root, text: worker::both },
    Row { path: "stayput/courier.env", readers: Readers::Root, text: worker::courier },
    Row { path: "stayput/agent.env", readers: Readers::Root, text: agent::environment },
    Row { path: "stayput/clock/region.json", readers: Readers::Only(account::CLOCK), text: clock::region },
    Row {
        path: "stayput/identity/stayput.toml",
        readers: Readers::Only(account::IDENTITY),
        text: |settings| Some(settings.copy.text.clone()),
    },
];

/// A file with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where, below `/run`.
    pub path: &'static str,
    /// Who may read it.
    pub readers: Readers,
    /// What is in it; `None` where it shall not be.
    pub text: Option<String>,
}

/// A link below `/run`, for units, which know only paths that are always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where, below `/run`.
    pub path: &'static str,
    /// To which folder.
    pub to: String,
}

/// A folder on the data partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its absolute path.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
}

/// All that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The box's name, if it has one.
    pub name: Option<String>,
    /// Its time zone, as a path in the zones' folder.
    pub zone: String,
    /// Files, those included that shall not be there.
    pub files: Vec<File>,
    /// Links.
    pub links: Vec<Link>,
    /// Certificates beside the public authorities, in PEM; may be empty.
    pub authorities: String,
    /// Folders.
    pub folders: Vec<Folder>,
}

/// The time zone of a box that was told none.
const UTC: &str = "Etc/UTC";

/// What follows from settings, or from having none.
pub fn plan(settings: Option<&Settings>) -> Plan {
    let file = |row: &Row| File {
        path: row.path,
        readers: row.readers,
        text: settings.and_then(|it| (row.text)(it)),
    };
    let config = settings.map(|settings| &settings.config);
    let zone = config.and_then(|config| config.device.time_zone.as_ref());
    Plan {
        name: config.map(|config| config.device.name.to_string()),
        zone: zone.map_or_else(|| UTC.to_owned(), ToString::to_string),
        files: FILES.iter().map(file).collect(),
        links: settings.map(door::links).unwrap_or_default(),
        authorities: settings.map(|settings| settings.copy.authorities.clone()).unwrap_or_default(),
        folders: settings.map(folders).unwrap_or_default(),
    }
}

/// As the table of persistent paths has the usual ones: the mover owns both and moves between them, the doors are the groups.
fn folders(settings: &Settings) -> Vec<Folder> {
    use account::{COLLECT, DROP, MOVER};
    let worker = &settings.config.worker;
    let folder = |path: &str, mode, group| Folder { path: path.to_owned(), mode, owner: (MOVER, group) };
    let (source, destination) = (worker.source.as_str(), worker.destination.as_str());
    let mut folders = vec![folder(LEDGER, 0o700, MOVER), folder(source, 0o1730, DROP)];
    // One folder for both: whoever adds must not be able to take away what others have put in.
    if destination != source {
        folders.push(folder(destination, 0o2770, COLLECT));
    }
    folders
}

/// Whether the box itself starts the worker.
pub(crate) fn is_hosted(settings: &Settings) -> bool {
    settings.config.worker.runtime == Runtime::Host
}
