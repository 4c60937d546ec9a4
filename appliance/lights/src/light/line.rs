//! A light on a line of a GPIO chip, through the character device: found by the chip's label, blinked from here.
//!
//! The kernel plays nothing on such a line, so this costs a wake-up for each change of the light, and a dead daemon
//! leaves the level that was there (most chips keep it). Where it can be chosen, a light belongs into the device tree.

use std::path::{Path, PathBuf};

use gpiocdev::Request;
use gpiocdev::line::{Drive, Value};
use stayput_status::{Program, Segment};

use super::Driver;
use super::class::Class;
use crate::wiring::{Line, Wire};
use crate::{Error, Result};

/// The GPIO chips of the box.
#[derive(Debug)]
pub struct Chips {
    /// The kernel's LED class: a line that its driver holds is used through it.
    pub class: PathBuf,
}

impl Chips {
    /// The driver for `line`: the line itself, or the kernel's LED that holds it.
    pub fn open(&self, wire: &Wire, line: &Line) -> Result<Box<dyn Driver>> {
        match self.look(wire, line)? {
            Found::Free(chip) => Ok(Box::new(LineLight::request(&chip, wire, line)?)),
            Found::Led(name) => Ok(Box::new(Class::open(&self.class, &name)?)),
        }
    }

    /// The name in the LED class of the light that holds `line`, if one does.
    pub fn held_by(&self, wire: &Wire, line: &Line) -> Option<String> {
        match self.look(wire, line) {
            Ok(Found::Led(name)) => Some(name),
            Ok(Found::Free(_)) | Err(_) => None,
        }
    }

    fn look(&self, wire: &Wire, line: &Line) -> Result<Found> {
        let failed = |chip: &Path| {
            let chip = chip.display().to_string();
            move |source| Error::Gpio { name: wire.name.clone(), chip, source }
        };
        let mut known = Vec::new();
        for path in gpiocdev::chip::chips().unwrap_or_default() {
            // A chip that we may not open or that has just gone is not the one; if it was, the label is missing below.
            let Ok(chip) = gpiocdev::chip::Chip::from_path(&path) else { continue };
            let Ok(info) = chip.info() else { continue };
            if info.label != line.chip {
                known.push(info.label);
                continue;
            }
            if line.line >= info.num_lines {
                return Err(Error::NoLine {
                    name: wire.name.clone(),
                    chip: line.chip.clone(),
                    line: line.line,
                    lines: info.num_lines,
                });
            }
            let info = chip.line_info(line.line).map_err(failed(&path))?;
            return match info.used {
                false => Ok(Found::Free(path)),
                // The kernel's LED driver calls its line by the light's name.
                true if is_led(&self.class, &info.consumer) => Ok(Found::Led(info.consumer)),
                true => Err(Error::LineBusy {
                    name: wire.name.clone(),
                    chip: line.chip.clone(),
                    line: line.line,
                    by: info.consumer,
                }),
            };
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::NoChip { name: wire.name.clone(), chip: line.chip.clone(), known })
    }
}

enum Found {
    Free(PathBuf),
    Led(String),
}

/// Whether a line's consumer is a light of the LED class. The name is the kernel's, and still no path.
fn is_led(class: &Path, consumer: &str) -> bool {
    !consumer.is_empty()
        && !consumer.contains('/')
        && !consumer.starts_with('.')
        && class.join(consumer).exists()
}

/// A line that is ours.
#[derive(Debug)]
struct LineLight {
    request: Request,
    name: String,
    chip: String,
    playing: Playing,
    lit: bool,
}

impl LineLight {
    fn request(chip: &Path, wire: &Wire, line: &Line) -> Result<Self> {
        let mut builder = Request::builder();
        builder.on_chip(chip).with_consumer("stayput-status").with_line(line.line).as_output(Value::Inactive);
        if line.active_low {
            builder.as_active_low();
        }
        if line.open_drain {
            builder.with_drive(Drive::OpenDrain);
        }
        let failed = |source| Error::Gpio { name: wire.name.clone(), chip: line.chip.clone(), source };
        let request = builder.request().map_err(failed)?;
        let playing = Playing::default();
        Ok(Self { request, name: wire.name.clone(), chip: line.chip.clone(), playing, lit: false })
    }

    fn set(&mut self, lit: bool) -> Result<()> {
        let value = if lit { Value::Active } else { Value::Inactive };
        let failed = |source| Error::Gpio { name: self.name.clone(), chip: self.chip.clone(), source };
        self.request.set_lone_value(value).map_err(failed)?;
        self.lit = lit;
        Ok(())
    }
}

impl Driver for LineLight {
    fn start(&mut self, program: &Program, now: u64) -> Result<()> {
        self.playing = Playing::of(program, now);
        let (lit, _) = self.playing.at(now);
        self.set(lit)
    }

    fn keep(&mut self, now: u64) -> Result<Option<u64>> {
        let (lit, next) = self.playing.at(now);
        if lit != self.lit {
            self.set(lit)?;
        }
        Ok(next)
    }

    /// Nobody will blink it: lit for what blinks and for what is lit.
    fn leave(&mut self, program: &Program) -> Result<()> {
        self.set(!program.is_dark())
    }
}

/// A program on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Playing {
    cycle: Vec<Segment>,
    began: u64,
}

impl Playing {
    pub(super) fn of(program: &Program, now: u64) -> Self {
        let steady = program.rearm_after() < program.lasts();
        let cycle = if steady { vec![Segment::lit(1)] } else { program.cycle().to_vec() };
        Self { cycle, began: now }
    }

    /// Whether it is lit at `now`, and when that changes, if ever.
    pub(super) fn at(&self, now: u64) -> (bool, Option<u64>) {
        let [_, _, ..] = self.cycle.as_slice() else {
            return (self.cycle.first().is_some_and(|only| only.lit), None);
        };
        let turn: u64 = self.cycle.iter().map(|segment| u64::from(segment.ms)).sum();
        let mut at = now.saturating_sub(self.began) % turn.max(1);
        for segment in &self.cycle {
            let ms = u64::from(segment.ms);
            if at < ms {
                return (segment.lit, Some(now + (ms - at)));
            }
            at -= ms;
        }
        (false, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_health::Code;
    use stayput_health::board::LedRole;
    use stayput_status::row;

    fn played(code: Code, role: LedRole, long: u64) -> Vec<Segment> {
        let playing = Playing::of(&row(code).program(role).unwrap(), 500);
        let (mut now, mut seen) = (500, Vec::<Segment>::new());
        while now < 500 + long {
            let (lit, next) = playing.at(now);
            let end = next.unwrap_or(500 + long).min(500 + long);
            let ms = u32::try_from(end - now).unwrap();
            match seen.last_mut().filter(|last| last.lit == lit) {
                Some(last) => last.ms += ms,
                None => seen.push(Segment { lit, ms }),
            }
            now = end;
        }
        seen
    }

    #[test]
    fn a_line_shows_every_state_as_the_kernels_own_light_would() {
        for code in Code::ALL {
            for role in [LedRole::Ok, LedRole::Busy, LedRole::Fault, LedRole::Status] {
                let program = row(*code).program(role).unwrap();
                let seen = played(*code, role, u64::from(program.lasts().max(1)));
                let steady = program.rearm_after() < program.lasts();
                if !steady && !program.is_dark() {
                    assert_eq!(seen, program.timeline(), "{code} {role:?}");
                } else {
                    assert_eq!(seen.iter().map(|s| s.lit).collect::<Vec<_>>(), [steady], "{code} {role:?}");
                }
            }
        }
    }

    #[test]
    fn a_steady_or_dark_line_wakes_nobody() {
        for code in [Code::Running, Code::StatusDark] {
            let playing = Playing::of(&row(code).program(LedRole::Ok).unwrap(), 0);
            assert_eq!(playing.at(77).1, None);
        }
    }

    #[test]
    fn a_consumer_is_a_light_only_under_its_plain_name() {
        let class = tempfile::tempdir().unwrap();
        std::fs::create_dir(class.path().join("status:red")).unwrap();
        assert!(is_led(class.path(), "status:red"));
        for odd in ["", ".", "..", "../leds", "status:red/..", "/", "other"] {
            assert!(!is_led(class.path(), odd), "{odd}");
        }
    }

    #[test]
    fn a_chip_that_is_not_there_is_named_with_those_that_are() {
        let chips = Chips { class: PathBuf::from("/nonexistent") };
        let line = Line { chip: "no-such-chip".into(), line: 1, active_low: false, open_drain: false };
        let wire =
            Wire { name: "door".into(), role: LedRole::Ok, via: crate::wiring::Via::Line(line.clone()) };
        let error = chips.open(&wire, &line).err().unwrap().to_string();
        assert!(error.contains("'door'") && error.contains("'no-such-chip'"), "{error}");
        assert_eq!(chips.held_by(&wire, &line), None);
    }
}
