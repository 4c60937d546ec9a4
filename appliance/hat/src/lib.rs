//! The hat: what its screen shows, what its keys mean, and the way to both.
//!
//! Pure, and therefore the same on the box, on the desk and in a test:
//!
//! - [`View`] is everything that can be shown; [`draw`] makes a [`Frame`] of 128x64 dots of it and a [`Page`];
//! - [`Presses`] turns keys that go down and up into [`Press`]es, a long one with its countdown;
//! - [`Tour`] says which page is shown, [`Care`] how bright and where, so that nothing burns in.
//!
//! At the rim: the panel on its I2C bus, keys as input events, a port for a virtual hat, the machine's gauges, and
//! [`Hat`], one thread around all of them, which never keeps the status part waiting.
//!
//! Pages and keys for people: `docs/hat.md`.

mod bus;
mod buttons;
mod care;
mod draw;
mod error;
mod frame;
mod gauges;
mod hat;
mod page;
mod panel;
mod port;
mod press;
mod retry;
mod tour;
mod view;
mod wrap;

pub use care::{Care, Glow};
pub use draw::{countdown, draw, greeting};
pub use error::{Error, Result};
pub use frame::{Frame, HEIGHT, WIDTH};
pub use gauges::Gauges;
pub use hat::{Action, Hat, last_words};
pub use page::Page;
pub use port::{PORT, Published};
pub use press::{HOLD, Key, Press, Presses};
pub use tour::Tour;
pub use view::{View, Work};
