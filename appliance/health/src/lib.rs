//! What all parts of the box share: the health file, state codes, board facts, the table of persistent paths,
//! the marks of a new card, what the root file system is checked with.
//!
//! Everything here is a value and a parser of untrusted text, except [`Writer`], which renames one small file into
//! place, and [`read`], which opens one. A part reports like this:
//!
//! ```no_run
//! use stayput_health::{Code, Moment, Part, State, Writer};
//!
//! let mut health = Writer::new(Part::Courier);
//! health.count("orders", 17);
//! health.write(State::Running, Code::Running, Moment::now())?;
//! # Ok::<(), stayput_health::Error>(())
//! ```
//!
//! The rules behind the formats are in `docs/health.md`.

pub mod board;
mod code;
mod document;
mod error;
mod file;
pub mod marks;
mod moment;
mod part;
pub mod persist;
mod reader;
pub mod registration;
pub mod verity;
mod watch;
mod way;
mod word;
mod writer;

use std::time::Duration;

pub use board::Board;
pub use code::Code;
pub use error::{Error, Place, Result};
pub use file::{Report, State, VERSION};
pub use moment::Moment;
pub use part::Part;
pub use persist::PersistTable;
pub use reader::{Reading, parse, read, read_in};
pub use registration::Registration;
pub use verity::Verity;
pub use watch::{Changed, Watch};
pub use way::Way;
pub use word::Word;
pub use writer::Writer;

/// How long a failure that nothing but a restart can mend stays on the console: `panic=` on the kernel command line, the
/// wait of the initramfs program, and `kernel.panic` of the running box (`sysctl.d/60-stayput.conf`).
pub const RESTART_AFTER: Duration = Duration::from_secs(10);

/// Where the parts' health files are on the box.
pub const DIRECTORY: &str = "/run/stayput/health";
