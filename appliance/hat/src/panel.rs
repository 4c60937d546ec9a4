//! The screen itself: an SSD1306 on an I2C bus.
//!
//! The bus may hang and the screen may be pulled off at any moment. The kernel gives up on a transfer after a second at
//! most; that is waited for here, on the hat's own thread, and never by whoever drives the lights.

use std::path::Path;
use std::time::Duration;

use embedded_hal::i2c::I2c;
use linux_embedded_hal::I2cdev;
use ssd1306::command::AddrMode;
use ssd1306::mode::BasicMode;
use ssd1306::prelude::{Brightness, DisplayRotation, DisplaySize128x64, I2CInterface};
use ssd1306::{I2CDisplayInterface, Ssd1306};
use stayput_health::board::Oled;

use crate::bus::device_of;
use crate::retry::Retry;
use crate::{Error, Frame, HEIGHT, Result, WIDTH};

/// What the screen is to show, and how bright; with contrast 0 it is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) frame: Frame,
    pub(crate) contrast: u8,
}

/// Something that shows pictures.
pub(crate) trait Panel: Send {
    /// Shows `picture`. It returns when the picture is there, or will not be.
    fn show(&mut self, picture: &Picture) -> Result<()>;
}

/// A screen that was pulled off and put back has forgotten everything and says nothing: it is set up anew this often.
const REFRESH: Duration = Duration::from_secs(60);

/// The board's screen, opened when it is first needed and again after trouble.
pub(crate) struct Screen {
    panel: Box<dyn Panel>,
    retry: Retry,
    shown: Option<(Picture, Duration)>,
}

impl Screen {
    pub(crate) fn new(panel: Box<dyn Panel>) -> Self {
        Self { panel, retry: Retry::new("the hat's screen"), shown: None }
    }

    /// Shows `picture` unless it is there already. Trouble is told to `log` once.
    pub(crate) fn show(&mut self, picture: &Picture, now: Duration, log: &mut dyn FnMut(String)) {
        if self.wait(picture, now) > Duration::ZERO {
            return;
        }
        match self.panel.show(picture) {
            Ok(()) => {
                self.shown = Some((picture.clone(), now));
                self.retry.worked().into_iter().for_each(log);
            }
            Err(error) => {
                self.shown = None;
                self.retry.failed(&error, now).into_iter().for_each(log);
            }
        }
    }

    /// In how long [`Screen::show`] would do something with `picture`; a screen that is off is left alone.
    pub(crate) fn wait(&self, picture: &Picture, now: Duration) -> Duration {
        match &self.shown {
            None => self.retry.wait(now),
            Some((shown, _)) if shown != picture => Duration::ZERO,
            Some(_) if picture.contrast == 0 => Duration::MAX,
            Some((_, at)) => REFRESH.saturating_sub(now.saturating_sub(*at)),
        }
    }
}

/// The screen that the board's facts name.
pub(crate) struct Wired {
    place: Oled,
    open: Option<Controller<I2cdev>>,
}

impl Wired {
    pub(crate) fn new(place: Oled) -> Self {
        Self { place, open: None }
    }
}

impl Panel for Wired {
    fn show(&mut self, picture: &Picture) -> Result<()> {
        let path = device_of(&self.place.bus, Path::new("/sys"))?;
        let address = u8::from(self.place.address);
        let mut controller = match self.open.take() {
            Some(controller) => controller,
            None => {
                let bus = I2cdev::new(&path)
                    .map_err(|error| Error::Open { path: path.clone(), why: error.to_string() })?;
                Controller::new(bus, address)
            }
        };
        // The driver's error has no more to say than that the transfer failed.
        controller.show(picture).map_err(|_| Error::NoAnswer { path, address })?;
        self.open = Some(controller);
        Ok(())
    }
}

/// The SSD1306 on a bus.
struct Controller<I2C> {
    display: Ssd1306<I2CInterface<I2C>, DisplaySize128x64, BasicMode>,
    /// Its memory holds a picture of ours. Until then it holds noise, which is not for showing.
    filled: bool,
}

impl<I2C: I2c> Controller<I2C> {
    fn new(bus: I2C, address: u8) -> Self {
        let interface = I2CDisplayInterface::new_custom_address(bus, address);
        let display = Ssd1306::new(interface, DisplaySize128x64, DisplayRotation::Rotate0);
        Self { display, filled: false }
    }

    fn show(&mut self, picture: &Picture) -> Result<(), display_interface::DisplayError> {
        let display = &mut self.display;
        display.init_with_addr_mode(AddrMode::Horizontal)?;
        if !self.filled || picture.contrast == 0 {
            display.set_display_on(false)?;
        }
        const EDGES: (u8, u8) = (WIDTH as u8, HEIGHT as u8);
        display.set_draw_area((0, 0), EDGES)?;
        display.draw(picture.frame.bytes())?;
        self.filled = true;
        if picture.contrast > 0 {
            display.set_brightness(Brightness::custom(1, picture.contrast))?;
            display.set_display_on(true)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use embedded_hal::i2c::{ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
    use stayput_health::Code;

    use super::*;
    use crate::greeting;

    /// A bus with a screen on it that remembers what it was told.
    #[derive(Clone, Default)]
    struct Bus(Rc<RefCell<Wire>>);

    #[derive(Default)]
    struct Wire {
        pulled: bool,
        commands: Vec<u8>,
        memory: Vec<u8>,
    }

    impl ErrorType for Bus {
        type Error = ErrorKind;
    }

    impl I2c for Bus {
        fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            let mut wire = self.0.borrow_mut();
            if wire.pulled || address != 0x3c {
                return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
            }
            for operation in operations {
                match operation {
                    Operation::Write([0x00, commands @ ..]) => wire.commands.extend_from_slice(commands),
                    Operation::Write([0x40, dots @ ..]) => wire.memory.extend_from_slice(dots),
                    _ => return Err(ErrorKind::Other),
                }
            }
            Ok(())
        }
    }

    const OFF: u8 = 0xae;
    const ON: u8 = 0xaf;

    fn picture(contrast: u8) -> Picture {
        Picture { frame: greeting(Code::NoLink), contrast }
    }

    #[test]
    fn the_screen_gets_the_picture_dot_by_dot_and_is_on_at_the_end() {
        let bus = Bus::default();
        Controller::new(bus.clone(), 0x3c).show(&picture(77)).unwrap();
        let wire = bus.0.borrow();
        assert_eq!(wire.memory, picture(77).frame.bytes());
        assert_eq!(wire.commands.last(), Some(&ON));
        assert!(wire.commands.windows(2).any(|pair| pair == [0x81, 77]), "{:x?}", wire.commands);
    }

    #[test]
    fn a_picture_without_contrast_leaves_the_screen_off() {
        let bus = Bus::default();
        let mut controller = Controller::new(bus.clone(), 0x3c);
        controller.show(&picture(77)).unwrap();
        controller.show(&picture(0)).unwrap();
        let commands = bus.0.borrow().commands.clone();
        assert!(commands.iter().rposition(|it| *it == OFF) > commands.iter().rposition(|it| *it == ON));
    }

    #[test]
    fn a_screen_that_is_not_there_is_an_error_and_not_a_panic() {
        let bus = Bus::default();
        bus.0.borrow_mut().pulled = true;
        assert!(Controller::new(bus.clone(), 0x3c).show(&picture(1)).is_err());
        assert!(Controller::new(Bus::default(), 0x3d).show(&picture(1)).is_err());
    }

    /// A screen that fails while its list says so.
    struct Sometimes(Vec<bool>, std::sync::mpsc::Sender<Picture>);

    impl Panel for Sometimes {
        fn show(&mut self, picture: &Picture) -> Result<()> {
            let works = if self.0.is_empty() { true } else { self.0.remove(0) };
            self.1.send(picture.clone()).unwrap();
            let error = || Error::NoAnswer { path: "/dev/i2c-0".into(), address: 0x3c };
            works.then_some(()).ok_or_else(error)
        }
    }

    #[test]
    fn a_screen_that_is_pulled_off_is_told_of_once_tried_rarely_and_shows_again_when_it_is_back() {
        let (tried, tries) = std::sync::mpsc::channel();
        let works = [[true].as_slice(), &[false; 20], &[true]].concat();
        let mut screen = Screen::new(Box::new(Sometimes(works, tried)));
        let mut log = Vec::new();
        for second in 0..20 * 60 {
            // The picture changes every second: what is off is not written to every second.
            let picture = picture(u8::try_from(second % 200 + 1).unwrap());
            screen.show(&picture, Duration::from_secs(second), &mut |line| log.push(line));
            if tries.try_iter().count() > 0 && log.len() == 2 {
                break;
            }
        }
        assert_eq!(log.len(), 2, "{log:?}");
        assert!(log[0].starts_with("<4>the hat's screen: no screen answers at 0x3c"), "{log:?}");
        assert_eq!(log[1], "<5>the hat's screen: works");
        let lit = picture(1);
        assert!(screen.wait(&lit, Duration::ZERO) <= REFRESH);
    }

    #[test]
    fn the_same_picture_is_sent_again_only_to_refresh_the_screen_and_never_while_it_is_off() {
        let (tried, tries) = std::sync::mpsc::channel();
        let mut screen = Screen::new(Box::new(Sometimes(Vec::new(), tried)));
        for second in 0..300 {
            screen.show(&picture(9), Duration::from_secs(second), &mut |line| panic!("{line}"));
        }
        assert_eq!(tries.try_iter().count(), 5);
        for second in 300..900 {
            screen.show(&picture(0), Duration::from_secs(second), &mut |line| panic!("{line}"));
        }
        assert_eq!(tries.try_iter().count(), 1);
    }
}
