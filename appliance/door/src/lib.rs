//! What a caller of the SFTP door talks to, once sshd has let him in: adding files, or collecting results, and nothing else.
//!
//! sshd does what it is good at: encryption, keys, the change of user, the root directory that holds one folder. It starts this
//! program in the place of a shell, with one word (`ForceCommand`): [`Intake`] for the account `drop`, [`Outlet`] for
//! `collect`. Each speaks SFTP version 3 over its standard streams and knows one folder, which is the caller's `/`.
//!
//! Why not sshd's own SFTP server: it puts a file under its name when the first byte comes, so that an upload that breaks off
//! looks like a whole one, and most clients upload under the final name. It knows requests, not files: it cannot let a caller
//! date what he brings and keep him from what others brought. Here a file has no name until it is whole. `docs/files.md`
//! has the rules as a person meets them.

mod intake;
mod listing;
mod outlet;
mod program;
mod serve;
mod spot;
pub mod wire;

pub use intake::{Intake, RESERVE};
pub use outlet::Outlet;
pub use program::main;
pub use serve::{Desk, Ended, serve};
