//! A QEMU machine around the image: console, QMP, lights, keys, link, power, probe.
//!
//! The very bytes that go onto a card boot here, under a throw-away layer. From outside a test sees the
//! console, the GPIO registers behind the lights and QEMU's events; inside it has a [`Probe`], a small program
//! that systemd starts because QEMU hands it the unit as a credential. The image knows nothing of either.
//!
//! ```no_run
//! use stayput_harness::{Machine, Options};
//! # fn main() -> stayput_harness::Result<()> {
//! let options = Options::new("output/nanopi-neo2/sdcard.img", "u-boot.bin").with_probe("stayput-probe");
//! let mut machine = Machine::start(options)?;
//! assert_eq!(machine.wait_until_started()?, "running");
//! machine.snapshot("booted")?;
//! println!("{}", machine.probe()?.machine_id()?);
//! machine.restore("booted")?;
//! # Ok(())
//! # }
//! ```
//!
//! How the tests are run and what each mechanism rests on: `docs/testing.md`.

mod card;
mod console;
mod credentials;
mod disk;
mod error;
mod hat;
mod home;
mod inside;
mod interactive;
mod leds;
mod machine;
mod options;
mod patience;
mod probe;
mod process;
mod qmp;
mod replay;
mod sockets;
mod writelog;

pub use card::Card;
pub use console::{Console, Mark};
pub use credentials::Credential;
pub use error::{Error, Result};
pub use hat::Screen;
pub use inside::{Memory, Mount, Unit};
pub use interactive::{Told, interactive};
pub use leds::Leds;
pub use machine::Machine;
pub use options::{Board, Options, Worn};
pub use patience::{Deadline, Patience};
pub use probe::{OpenFile, Pending, Probe};
pub use process::enter_private_network;
pub use qmp::{Event, Qmp};
pub use replay::{Loss, Moment, Replay};
pub use sockets::{Protocol, Socket};
/// The probe's orders and answers, for a test that sends one itself.
pub use stayput_probe as protocol;
pub use writelog::{Broken, Entry, WriteLog};
