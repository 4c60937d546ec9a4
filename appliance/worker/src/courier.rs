//! The courier: network yes, files no. It receives orders, has the mover carry them out, and deletes what is durably done.
//!
//! * [`desk`] decides, without a socket or a clock: what is received, asked, deleted, hidden, and when.
//! * [`Ladder`] spreads the waiting for a file over the deliveries that the queue allows.
//! * `queue` and `link` are the two ways out; `run` connects them with the desk.
//! * `state` and `report` say how it does: codes, counts and salted ids, never a name, a body or a receipt.

mod boot;
pub mod desk;
mod error;
mod findings;
mod inbound;
mod ladder;
mod link;
mod queue;
mod report;
mod run;
mod settings;
mod state;
pub mod store;
mod wire;

pub use boot::Boot;
pub use error::Error;
pub use findings::{Finding, findings};
pub use inbound::{Allowed, Fetched};
pub use ladder::{LONGEST, Ladder, Rules};
pub use queue::{Attributes, Queue};
pub use run::run;
pub use settings::Settings;
