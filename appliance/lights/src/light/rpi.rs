//! A light on a Raspberry Pi's pin, through the processor's registers: for kernels without a usable character device.
//!
//! Needs a kernel that lets a program at these registers: `/dev/gpiomem` (Raspberry Pi's own kernel), or `/dev/mem` with
//! `iomem=relaxed` on the command line. Debian's kernel has neither, and its character device works: docs/lights.md.

use rppal::gpio::{Gpio, OutputPin};
use stayput_status::Program;

use super::Driver;
use super::line::Playing;
use crate::wiring::{Line, Wire};
use crate::{Error, Result};

/// A pin that is ours.
#[derive(Debug)]
pub struct Pin {
    pin: OutputPin,
    active_low: bool,
    playing: Playing,
}

impl Pin {
    /// The pin with the number of `line`, in Broadcom's counting; the label plays no part.
    pub fn open(wire: &Wire, line: &Line) -> Result<Self> {
        let failed = |source| Error::Rppal { name: wire.name.clone(), source };
        let number = u8::try_from(line.line).unwrap_or(u8::MAX);
        let pin = Gpio::new().and_then(|gpio| gpio.get(number)).map_err(failed)?;
        Ok(Self { pin: pin.into_output(), active_low: line.active_low, playing: Playing::default() })
    }

    fn set(&mut self, lit: bool) {
        if lit == self.active_low { self.pin.set_low() } else { self.pin.set_high() }
    }
}

impl Driver for Pin {
    fn start(&mut self, program: &Program, now: u64) -> Result<()> {
        self.playing = Playing::of(program, now);
        self.keep(now).map(drop)
    }

    fn keep(&mut self, now: u64) -> Result<Option<u64>> {
        let (lit, next) = self.playing.at(now);
        self.set(lit);
        Ok(next)
    }

    fn leave(&mut self, program: &Program) -> Result<()> {
        self.set(!program.is_dark());
        Ok(())
    }
}
