//! One picture on the screen: 128x64 dots, lit or dark.

use std::convert::Infallible;
use std::fmt;

use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;

/// Dots in a row.
pub const WIDTH: u32 = 128;
/// Rows.
pub const HEIGHT: u32 = 64;

/// A picture, kept as the SSD1306 wants it: eight bands, in each a byte for every column, its lowest bit at the top.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Box<[u8; Self::BYTES]>);

impl Frame {
    /// How many bytes a picture has.
    pub const BYTES: usize = (WIDTH * HEIGHT / 8) as usize;

    /// All dots dark.
    pub fn dark() -> Self {
        Self(Box::new([0; Self::BYTES]))
    }

    /// The bytes, as they go to the screen.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The picture in `bytes`, as they go to the screen.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Box::new(bytes.try_into().ok()?)))
    }

    /// Whether the dot is lit; outside the picture everything is dark.
    pub fn lit(&self, x: u32, y: u32) -> bool {
        place(x, y).is_some_and(|(byte, bit)| self.0[byte] & bit != 0)
    }

    /// How many dots are lit.
    pub fn lit_dots(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }

    fn set(&mut self, x: u32, y: u32, lit: bool) {
        if let Some((byte, bit)) = place(x, y) {
            if lit {
                self.0[byte] |= bit;
            } else {
                self.0[byte] &= !bit;
            }
        }
    }

    /// The picture moved right and down; what leaves it is lost.
    pub fn moved(&self, right: u32, down: u32) -> Self {
        let mut moved = Self::dark();
        for y in 0..HEIGHT {
            for x in (0..WIDTH).filter(|x| self.lit(*x, y)) {
                moved.set(x + right, y + down, true);
            }
        }
        moved
    }
}

/// Byte and bit of a dot.
fn place(x: u32, y: u32) -> Option<(usize, u8)> {
    (x < WIDTH && y < HEIGHT).then(|| ((y / 8 * WIDTH + x) as usize, 1 << (y % 8)))
}

impl OriginDimensions for Frame {
    fn size(&self) -> Size {
        Size::new(WIDTH, HEIGHT)
    }
}

impl DrawTarget for Frame {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) {
                self.set(x, y, colour.is_on());
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Frame {
    /// The picture in half blocks, so that a failed test shows what it saw.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out)?;
        for y in (0..HEIGHT).step_by(2) {
            let line: String = (0..WIDTH)
                .map(|x| match (self.lit(x, y), self.lit(x, y + 1)) {
                    (false, false) => ' ',
                    (true, false) => '\u{2580}',
                    (false, true) => '\u{2584}',
                    (true, true) => '\u{2588}',
                })
                .collect();
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_where_the_screen_has_it() {
        let mut frame = Frame::dark();
        frame.set(0, 0, true);
        frame.set(127, 63, true);
        frame.set(3, 9, true);
        assert_eq!((frame.bytes()[0], frame.bytes()[Frame::BYTES - 1], frame.bytes()[128 + 3]), (1, 0x80, 2));
        assert!(frame.lit(3, 9) && !frame.lit(9, 3) && !frame.lit(WIDTH, 0));
        frame.set(3, 9, false);
        assert_eq!(frame.lit_dots(), 2);
    }

    #[test]
    fn what_is_drawn_outside_is_left_out() {
        let mut frame = Frame::dark();
        for at in [Point::new(-1, 0), Point::new(128, 0), Point::new(0, 64), Point::new(i32::MIN, i32::MAX)] {
            Pixel(at, BinaryColor::On).draw(&mut frame).unwrap();
        }
        assert_eq!(frame, Frame::dark());
    }

    #[test]
    fn a_moved_picture_keeps_its_dots() {
        let mut frame = Frame::dark();
        frame.set(10, 20, true);
        let moved = frame.moved(2, 1);
        assert!(moved.lit(12, 21) && moved.lit_dots() == 1);
    }
}
