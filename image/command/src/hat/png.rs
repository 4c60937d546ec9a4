//! Pictures of the screen for people: PNG, dots as large as they like.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use png::{BitDepth, ColorType, Encoder};
use stayput_hat::{Frame, HEIGHT, WIDTH};

/// Dark dots, lit dots, and the edge around a screen.
const PALETTE: [u8; 9] = [0x0a, 0x10, 0x18, 0xe6, 0xf3, 0xff, 0x77, 0x7f, 0x88];
const EDGE: u8 = 2;
/// How many dots of the screen the edge is wide.
const MARGIN: u32 = 4;

/// Writes `frames` one below the other, each dot `scale` dots wide.
pub fn write(path: &Path, frames: &[Frame], scale: u32) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    encode(&mut file, frames, scale)?;
    Ok(file.flush()?)
}

fn encode(out: impl Write, frames: &[Frame], scale: u32) -> Result<(), png::EncodingError> {
    let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    let (width, height) = (WIDTH + 2 * MARGIN, count * (HEIGHT + MARGIN) + MARGIN);
    let dot = |x: u32, y: u32| {
        let (Some(x), Some(y)) = (x.checked_sub(MARGIN), y.checked_sub(MARGIN)) else { return EDGE };
        let (at, y) = (y / (HEIGHT + MARGIN), y % (HEIGHT + MARGIN));
        let frame = frames.get(at as usize).filter(|_| x < WIDTH && y < HEIGHT);
        frame.map_or(EDGE, |frame| u8::from(frame.lit(x, y)))
    };
    let mut dots = Vec::new();
    for y in 0..height * scale {
        dots.extend((0..width * scale).map(|x| dot(x / scale, y / scale)));
    }
    let mut encoder = Encoder::new(out, width * scale, height * scale);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(PALETTE.as_slice());
    encoder.write_header()?.write_image_data(&dots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_hat::greeting;
    use stayput_health::Code;

    #[test]
    fn every_dot_of_each_screen_is_in_the_picture_at_its_size() {
        let frames = [greeting(Code::NoLink), greeting(Code::Running)];
        let mut file = Vec::new();
        encode(&mut file, &frames, 3).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut dots = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut dots).unwrap();
        assert_eq!((info.width, info.height), (3 * 136, 3 * (4 + 2 * 68)));
        let at = |x: u32, y: u32| dots[(y * info.width + x) as usize];
        for (number, frame) in (0..).zip(&frames) {
            for (x, y) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))) {
                let (left, top) = (3 * (4 + x), 3 * (4 + number * 68 + y));
                assert_eq!(at(left, top), u8::from(frame.lit(x, y)));
                assert_eq!(at(left + 2, top + 2), at(left, top));
            }
        }
        assert_eq!((at(0, 0), at(info.width - 1, info.height - 1)), (EDGE, EDGE));
    }
}
