//! From a page and a view to a picture. Pure: the same values always give the same dots.
//!
//! A picture uses 126x62 dots from the upper left corner, so that it can be moved by two dots each way against burn-in.

use std::time::Duration;

use embedded_graphics::mono_font::ascii::{FONT_6X10, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor::{self, Off, On};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use stayput_health::Code;
use stayput_status::{SCREEN_COLUMNS, Severity};

use crate::{Frame, HEIGHT, HOLD, Page, View, WIDTH};

/// The part of the screen that a picture uses.
pub(crate) const AREA: Size = Size::new(WIDTH - SPARE, HEIGHT - SPARE);
/// How far a picture can be moved each way.
pub(crate) const SPARE: u32 = 2;

/// The picture of `page`; of a page with several screenfuls, the one with that number, counted from 0 and around.
pub fn draw(page: Page, screenful: usize, view: &View) -> Frame {
    match page {
        Page::Verdict => verdict(view),
        _ => list(page, screenful, view),
    }
}

/// The picture while a key is held: in how long the box switches itself off.
pub fn countdown(left: Duration) -> Frame {
    let mut frame = Frame::dark();
    let seconds = left.as_millis().div_ceil(1000);
    centred(&mut frame, &FONT_6X10, "SWITCH OFF?", 1, On);
    centred(&mut frame, &FONT_10X20, &seconds.to_string(), 13, On);
    let done = HOLD.saturating_sub(left).as_millis().min(HOLD.as_millis());
    let inner = AREA.width - 4;
    let width = u32::try_from(u128::from(inner) * done / HOLD.as_millis()).unwrap_or(inner);
    outline(&mut frame, Rectangle::new(Point::new(0, 36), Size::new(AREA.width, 10)));
    fill(&mut frame, Rectangle::new(Point::new(2, 38), Size::new(width, 6)), On);
    centred(&mut frame, &FONT_6X10, "Let go to stay on", 51, On);
    frame
}

/// The picture before anything is known: the box's own name for itself.
pub fn greeting(code: Code) -> Frame {
    verdict(&View::of_state(code))
}

/// The verdict: a fault stands black on white, a warning in a frame, anything else plain.
fn verdict(view: &View) -> Frame {
    let mut frame = Frame::dark();
    let state = &view.verdict.state;
    let [large, small] = state.screen();
    title(&mut frame, &Page::Verdict.title(view), &others(view), false);

    let band = Rectangle::new(Point::new(0, 14), Size::new(AREA.width, 24));
    let ink = match state.severity() {
        Severity::Fault => {
            fill(&mut frame, band, On);
            Off
        }
        Severity::Warning => {
            outline(&mut frame, band);
            On
        }
        Severity::Good | Severity::Passing | Severity::Command => On,
    };
    centred(&mut frame, &FONT_10X20, &large, 16, ink);
    centred(&mut frame, &FONT_6X10, &small, 40, On);

    let since = view.now.since(state.since).map(age).unwrap_or_default();
    text(&mut frame, &FONT_6X10, &since, Point::new(0, 52), On);
    if matches!(state.severity(), Severity::Fault | Severity::Warning | Severity::Passing) {
        let help = "K2 help";
        text(&mut frame, &FONT_6X10, help, Point::new(right_of(help), 52), On);
    }
    frame
}

/// How many further states there are that someone should know of.
fn others(view: &View) -> String {
    match view.verdict.others.len() {
        0 => String::new(),
        more => format!("+{more} more"),
    }
}

/// For how long, as a person would say it; nothing within the first minute, so that the picture need not change.
fn age(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0 => String::new(),
        1..=119 => format!("for {minutes} min"),
        120..=2879 => format!("for {} h", minutes / 60),
        _ => format!("for {} days", (minutes / 60 / 24).min(9999)),
    }
}

fn list(page: Page, screenful: usize, view: &View) -> Frame {
    let mut frame = Frame::dark();
    let screens = page.screens(view);
    let shown = screenful % screens.len().max(1);
    let number = if screens.len() > 1 { format!("{}/{}", shown + 1, screens.len()) } else { String::new() };
    title(&mut frame, &page.title(view), &number, true);
    for (line, y) in screens.get(shown).into_iter().flatten().zip((12..).step_by(10)) {
        text(&mut frame, &FONT_6X10, line, Point::new(0, y), On);
    }
    frame
}

/// The first line: black on white on a list, else with a line below.
fn title(frame: &mut Frame, left: &str, right: &str, filled: bool) {
    let ink = if filled {
        fill(frame, Rectangle::new(Point::zero(), Size::new(AREA.width, 11)), On);
        Off
    } else {
        fill(frame, Rectangle::new(Point::new(0, 11), Size::new(AREA.width, 1)), On);
        On
    };
    let inset = i32::from(filled);
    text(frame, &FONT_6X10, left, Point::new(inset, 1), ink);
    text(frame, &FONT_6X10, right, Point::new(right_of(right) - inset, 1), ink);
}

/// Where a text of small letters begins that ends at the right edge.
fn right_of(text: &str) -> i32 {
    let columns = i32::try_from(text.len().min(SCREEN_COLUMNS)).unwrap_or(0);
    AREA.width.cast_signed() - 6 * columns
}

fn centred(frame: &mut Frame, font: &MonoFont<'_>, line: &str, y: i32, ink: BinaryColor) {
    let width = font.character_size.width * u32::try_from(line.len()).unwrap_or(0);
    let x = AREA.width.saturating_sub(width) / 2;
    text(frame, font, line, Point::new(x.cast_signed(), y), ink);
}

fn text(frame: &mut Frame, font: &MonoFont<'_>, line: &str, at: Point, ink: BinaryColor) {
    let style = MonoTextStyle::new(font, ink);
    let Ok(_) = Text::with_baseline(line, at, style, Baseline::Top).draw(frame);
}

fn fill(frame: &mut Frame, area: Rectangle, ink: BinaryColor) {
    let Ok(()) = area.into_styled(PrimitiveStyle::with_fill(ink)).draw(frame);
}

fn outline(frame: &mut Frame, area: Rectangle) {
    let Ok(()) = area.into_styled(PrimitiveStyle::with_stroke(On, 1)).draw(frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_short_and_never_wider_than_its_room() {
        let said = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(said(59), "");
        assert_eq!((said(60), said(7199)), ("for 1 min".to_owned(), "for 119 min".to_owned()));
        assert_eq!((said(7200), said(172_800)), ("for 2 h".to_owned(), "for 2 days".to_owned()));
        assert_eq!(said(u64::MAX), "for 9999 days");
        assert!(said(u64::MAX).len() + "K2 help".len() < SCREEN_COLUMNS);
    }

    #[test]
    fn a_countdown_fills_its_bar_and_says_whole_seconds() {
        assert!(countdown(HOLD).lit_dots() < countdown(HOLD / 2).lit_dots());
        assert!(countdown(HOLD / 2).lit_dots() < countdown(Duration::ZERO).lit_dots());
        assert_eq!(countdown(HOLD + HOLD / 10).lit_dots().min(1), 1);
    }
}
