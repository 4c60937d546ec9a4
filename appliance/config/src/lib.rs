//! `stayput.toml`: raw text to a checked configuration in one step; pure, for the box and for the desk.
//!
//! [`read`] takes a file's bytes and gives either a [`Checked`] configuration or every [`Finding`] at once, in the order
//! of the file: place, sentence, what was expected, remedy. No finding and no `Debug` holds a secret. A desk, which has
//! a clock, asks [`Checked::at_desk`] for more. [`Draft`] writes such files, [`reference_page`] and [`example`] explain
//! them; all follow the one table in [`keys`].
//!
//! ```
//! let text = b"version = 1\n[device]\nname = \"box\"\n[actvation]\n";
//! let findings = stayput_config::read(text, "stayput.toml").unwrap_err();
//! assert!(findings.to_string().contains("did you mean [activation]?"));
//! ```

mod config;
mod desk;
mod draft;
mod echo;
mod finding;
mod fleet;
pub mod keys;
mod read;
mod reference;
mod rules;
mod sheet;
mod strangers;
mod suggest;
mod syntax;
mod text;
mod types;
mod used;

use stayput_health::Place;
use toml::de::DeTable;

pub use config::{
    Activation, Addressing, Config, Device, Drop, Ecs, Endpoints, LedWire, Network, Runtime, S3Rule, Status,
    Subfolders, VERSION, Worker,
};
pub use desk::{Desk, refuses};
pub use draft::Draft;
pub use echo::Shown;
pub use finding::{Finding, Findings, Flaw, Problem, Severity};
pub use fleet::names as fleet_names;
pub use reference::{example, page as reference_page};
pub use text::LONGEST;
pub use types::*;
pub use used::{activation_in, mark_copies, mark_used};

use sheet::Places;

/// A file that was read: the configuration, and what a person should know about it all the same.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the file says.
    pub config: Config,
    /// Warnings, in the order of the file.
    pub warnings: Vec<Finding>,
    file: String,
    places: Places,
}

/// Reads a file's bytes; `file` is its name for the findings.
pub fn read(bytes: &[u8], file: &str) -> Result<Checked, Findings> {
    let text = text::text_of(bytes, file)?;
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut sheet = sheet::Sheet::new(file, text, root.get_ref(), &errors);
    let config = read::config(&mut sheet);
    // Values that broke their own rule are defaults by now: rules over several would judge what nobody wrote.
    let config = config.filter(|_| !sheet.has_errors());
    let (mut findings, places) = sheet.into_parts();
    let Some(config) = config else { return Err(findings) };
    let mut judge = rules::Judge::new(file, &places);
    rules::judge(&config, &mut judge);
    let mut found = judge.findings;
    found.sort_by_key(|finding| (finding.place.line, finding.place.column));
    if refuses(&found) {
        findings.0 = found;
        return Err(findings);
    }
    Ok(Checked { config, warnings: found, file: file.to_owned(), places })
}

impl Checked {
    /// Where the value of a key stands; of a key of a repeated section, the first.
    pub fn place(&self, key: &keys::Key) -> Option<&Place> {
        self.places.get(&key.path())
    }
}
