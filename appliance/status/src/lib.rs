//! The state table: every state the box can be in, its light, its words, its remedy.
//!
//! [`row`] is the table: one row for each [`Code`](stayput_health::Code), by a `match` that does not compile when one is
//! missing. Lights ([`Look`], [`Program`]), screen lines, `STATUS.txt` ([`status_txt`]), the manual (`docs/states.md`,
//! [`manual`]) and the tests come from it; nothing else invents a status text.
//!
//! [`fold()`] makes one [`Verdict`] from what all parts say, and a [`Settler`] keeps it calm. Everything here takes values
//! and returns values: no file, clock or light is touched.
//!
//! How to read the lights, and why they are as they are, is at the top of `docs/states.md`.

mod error;
mod facts;
mod fold;
mod group;
mod heard;
mod look;
pub mod manual;
mod picture;
mod program;
mod report_file;
mod rhythm;
mod row;
mod settle;
mod status_json;
mod status_txt;
mod step;
mod table;

pub use error::{Error, Result};
pub use facts::{Fact, Facts};
pub use fold::{Asked, Finding, PartView, Phase, System, Unit, Verdict, fold};
pub use group::Group;
pub use heard::heard;
pub use look::{Lamp, Look};
pub use program::{Program, Segment};
pub use report_file::{REPORT_FILES, ReportFile, STATUS_JSON, STATUS_TXT};
pub use rhythm::{Count, Rhythm};
pub use row::{Detail, Keeper, Row, SCREEN_COLUMNS, Severity, VERDICT_COLUMNS};
pub use settle::Settler;
pub use status_json::status_json;
pub use status_txt::{LONGEST, status_txt};
pub use step::{Step, steps};
pub use table::row;
