//! The lights of this box: each is given the program of the state that is shown, and kept at it.
//!
//! A [`Panel`] holds them. What a light is behind the [`Driver`] trait does not matter to it: missing, taken and broken
//! lights are said once and tried again, longer and longer apart, and the others go on.

mod class;
mod line;
#[cfg(feature = "rppal")]
mod rpi;

use stayput_health::Code;
use stayput_status::{Program, row};

use crate::said::Said;
use crate::wiring::Wire;
use crate::{Error, Result};

pub use class::{Class, own};
pub use line::Chips;
#[cfg(feature = "rppal")]
pub use rpi::Pin;

/// The first wait before a light that failed is tried again, in milliseconds.
const FIRST_WAIT: u64 = 1_000;
/// The longest.
const LONGEST_WAIT: u64 = 60_000;

/// Something that can be given a program.
pub trait Driver {
    /// Starts `program` from its beginning.
    fn start(&mut self, program: &Program, now: u64) -> Result<()>;

    /// Keeps the program going; answers when it has to be called again, if ever.
    fn keep(&mut self, now: u64) -> Result<Option<u64>>;

    /// Starts `program` for good: nobody will come back to it.
    fn leave(&mut self, program: &Program) -> Result<()>;
}

/// Finds the driver of a light.
pub type Open = Box<dyn FnMut(&Wire) -> Result<Box<dyn Driver>>>;

/// All lights of the box.
pub struct Panel {
    lights: Vec<Light>,
    open: Open,
    shown: Code,
}

struct Light {
    wire: Wire,
    driver: Option<Box<dyn Driver>>,
    /// When it has to be looked after again: kept going, or tried again.
    due: Option<u64>,
    /// How long the next wait is, when it fails.
    wait: u64,
}

impl Panel {
    /// These lights, dark until something is shown.
    pub fn new(wires: Vec<Wire>, open: Open) -> Self {
        let light = |wire| Light { wire, driver: None, due: Some(0), wait: FIRST_WAIT };
        Self { lights: wires.into_iter().map(light).collect(), open, shown: Code::StatusDark }
    }

    /// The state that the lights show.
    pub fn shown(&self) -> Code {
        self.shown
    }

    /// Shows `code` from now on. Times are milliseconds of the boot clock.
    pub fn show(&mut self, code: Code, now: u64, said: &mut Said) {
        if code != self.shown {
            self.shown = code;
            self.start(now, said);
        }
    }

    /// Arms what has to be armed again, tries what is due; answers when it has to be called again, if ever.
    pub fn keep(&mut self, now: u64, said: &mut Said) -> Option<u64> {
        let mut found = false;
        for light in self.lights.iter_mut().filter(|light| light.due.is_some_and(|due| due <= now)) {
            let kept = match &mut light.driver {
                Some(driver) => driver.keep(now),
                None => Ok(None),
            };
            match kept {
                Ok(due) if light.driver.is_some() => light.due = due,
                // Taken away under our hands: at once once more, and if that fails too, later.
                _ => found |= light.find(&mut self.open, now, said),
            }
        }
        if found {
            // So that lights that count in turn keep step.
            self.start(now, said);
        }
        self.lights.iter().filter_map(|light| light.due).min()
    }

    /// Leaves the lights to the kernel, showing `code` for good.
    pub fn leave(&mut self, code: Code, said: &mut Said) {
        for light in &mut self.lights {
            let (Some(driver), Some(program)) = (&mut light.driver, row(code).program(light.wire.role))
            else {
                continue;
            };
            if let Err(error) = driver.leave(&program) {
                said.trouble(&light.subject(), &error);
            }
        }
    }

    fn start(&mut self, now: u64, said: &mut Said) {
        for light in &mut self.lights {
            light.start(self.shown, now, said);
        }
    }
}

impl Light {
    fn subject(&self) -> String {
        format!("light '{}'", self.wire.name)
    }

    fn find(&mut self, open: &mut Open, now: u64, said: &mut Said) -> bool {
        self.driver = None;
        match open(&self.wire) {
            Ok(driver) => {
                self.driver = Some(driver);
                true
            }
            Err(error) => {
                self.failed(&error, now, said);
                false
            }
        }
    }

    fn start(&mut self, code: Code, now: u64, said: &mut Said) {
        let (Some(driver), Some(program)) = (&mut self.driver, row(code).program(self.wire.role)) else {
            return;
        };
        match driver.start(&program, now).and_then(|()| driver.keep(now)) {
            Ok(due) => {
                self.due = due;
                self.wait = FIRST_WAIT;
                said.well(&self.subject());
            }
            Err(error) => {
                self.driver = None;
                self.failed(&error, now, said);
            }
        }
    }

    fn failed(&mut self, error: &Error, now: u64, said: &mut Said) {
        said.trouble(&self.subject(), error);
        self.due = Some(now + self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use stayput_health::board::LedRole;

    use super::*;
    use crate::wiring::Via;

    /// What happened to a light, and whether it works.
    #[derive(Default)]
    struct Fake {
        done: Vec<(u64, &'static str)>,
        broken: bool,
        opened: u32,
    }

    struct Handle(Rc<RefCell<Fake>>);

    impl Handle {
        fn does(&self, now: u64, what: &'static str) -> Result<()> {
            let mut fake = self.0.borrow_mut();
            fake.done.push((now, what));
            if fake.broken { Err(gone()) } else { Ok(()) }
        }
    }

    fn gone() -> Error {
        Error::NoLight { name: "x".into(), path: "/x".into() }
    }

    impl Driver for Handle {
        fn start(&mut self, _: &Program, now: u64) -> Result<()> {
            self.does(now, "start")
        }

        fn keep(&mut self, now: u64) -> Result<Option<u64>> {
            self.does(now, "keep").map(|()| Some(now + 5_000))
        }

        fn leave(&mut self, _: &Program) -> Result<()> {
            self.does(0, "leave")
        }
    }

    fn panel(fakes: &[Rc<RefCell<Fake>>]) -> Panel {
        let wire = |number: usize| Wire { name: number.to_string(), role: LedRole::Ok, via: Via::Class };
        let (count, fakes) = (fakes.len(), fakes.to_vec());
        let open = move |wire: &Wire| {
            let fake = &fakes[wire.name.parse::<usize>().unwrap()];
            fake.borrow_mut().opened += 1;
            if fake.borrow().broken { Err(gone()) } else { Ok(Box::new(Handle(Rc::clone(fake))) as _) }
        };
        Panel::new((0..count).map(wire).collect(), Box::new(open))
    }

    fn two() -> [Rc<RefCell<Fake>>; 2] {
        [Rc::default(), Rc::default()]
    }

    #[test]
    fn a_light_that_is_missing_is_tried_again_further_and_further_apart_while_the_other_goes_on() {
        let fakes = two();
        fakes[0].borrow_mut().broken = true;
        let (mut panel, mut said) = (panel(&fakes), Said::default());
        panel.show(Code::Running, 0, &mut said);
        let (mut now, mut tries) = (0, Vec::new());
        while now < 600_000 {
            let before = fakes[0].borrow().opened;
            now = panel.keep(now, &mut said).unwrap();
            if fakes[0].borrow().opened > before {
                tries.push(now);
            }
        }
        assert!(tries.len() < 20, "{tries:?}");
        let kept = fakes[1].borrow().done.iter().filter(|(_, what)| *what == "keep").count();
        assert!(kept >= 110, "{kept}");
    }

    #[test]
    fn a_light_that_comes_later_is_begun_together_with_the_others() {
        let fakes = two();
        fakes[0].borrow_mut().broken = true;
        let (mut panel, mut said) = (panel(&fakes), Said::default());
        panel.keep(0, &mut said);
        panel.show(Code::NoLink, 10, &mut said);
        fakes[0].borrow_mut().broken = false;
        panel.keep(1_000, &mut said);
        for fake in &fakes {
            assert!(fake.borrow().done.contains(&(1_000, "start")), "{:?}", fake.borrow().done);
        }
    }

    #[test]
    fn a_light_taken_away_under_our_hands_is_found_again_at_once() {
        let fakes = two();
        let (mut panel, mut said) = (panel(&fakes), Said::default());
        panel.keep(0, &mut said);
        panel.show(Code::Running, 0, &mut said);
        fakes[0].borrow_mut().broken = true;
        panel.keep(5_000, &mut said);
        assert!(fakes[0].borrow().opened == 2);
        fakes[0].borrow_mut().broken = false;
        panel.keep(6_000, &mut said);
        assert!(fakes[0].borrow().done.contains(&(6_000, "start")));
    }

    #[test]
    fn showing_the_same_again_disturbs_nothing() {
        let fakes = two();
        let (mut panel, mut said) = (panel(&fakes), Said::default());
        panel.keep(0, &mut said);
        for now in [0, 1_000, 2_000] {
            panel.show(Code::Running, now, &mut said);
        }
        let starts = fakes[0].borrow().done.iter().filter(|(_, what)| *what == "start").count();
        assert!(starts <= 2, "{:?}", fakes[0].borrow().done);
    }
}
