//! The port of a virtual hat: in QEMU, the box publishes every picture there. On a board there is no such port.
//!
//! One line for each picture: `hat1`, the contrast, the picture's bytes in hexadecimal. A reader that joins in the
//! middle waits for the next line.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::str::FromStr;

use rustix::fs::OFlags;

use crate::panel::Picture;
use crate::{Error, Frame, Result};

/// The port's name.
pub const PORT: &str = "stayput.oled";

/// Where it is on a box that has one.
pub(crate) fn place() -> PathBuf {
    PathBuf::from("/dev/virtio-ports").join(PORT)
}

const MARK: &str = "hat1";

/// A picture, as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The dots.
    pub frame: Frame,
    /// How bright they are, 255 at most; 0 is a screen that is off.
    pub contrast: u8,
}

impl Published {
    /// The line for it, with its end.
    pub fn line(&self) -> String {
        let mut line = format!("{MARK} {} ", self.contrast);
        line.reserve(2 * Frame::BYTES + 1);
        for byte in self.frame.bytes() {
            write!(line, "{byte:02x}").expect("a String takes all text");
        }
        line.push('\n');
        line
    }
}

impl FromStr for Published {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let odd = |what| Error::NotAFrame { what };
        let mut words = line.trim_end().split(' ');
        if words.next() != Some(MARK) {
            return Err(odd("it does not begin with hat1"));
        }
        let contrast = words.next().and_then(|word| word.parse().ok());
        let contrast = contrast.ok_or_else(|| odd("its contrast is no number from 0 to 255"))?;
        let digits = words.next().unwrap_or_default().as_bytes();
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(odd("its digits are not in pairs"));
        };
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
        let bytes = bytes.ok_or_else(|| odd("its dots are not hexadecimal"))?;
        let frame = Frame::from_bytes(&bytes).ok_or_else(|| odd("it has not 1024 bytes of dots"))?;
        if words.next().is_some() {
            return Err(odd("something follows its dots"));
        }
        Ok(Self { frame, contrast })
    }
}

/// The box's end.
#[derive(Debug)]
pub(crate) struct Port {
    path: PathBuf,
    file: Option<File>,
    /// What is still to be written of the last line.
    pending: Vec<u8>,
    last: Option<Picture>,
}

impl Port {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None, pending: Vec::new(), last: None }
    }

    /// Publishes `picture` unless it was the last one. Answers whether something still waits to be taken; call again then.
    ///
    /// Nothing is logged: on a board the port's absence is how it should be, and a host that does not read is no trouble
    /// of the box.
    pub(crate) fn show(&mut self, picture: &Picture) -> bool {
        if self.file.is_none() {
            let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
            self.file = OpenOptions::new().write(true).custom_flags(flags).open(&self.path).ok();
            if self.file.is_none() {
                return false;
            }
            (self.last, self.pending) = (None, Vec::new());
        }
        // A line once begun is ended, or the reader would take two halves for one.
        if self.pending.is_empty() && self.last.as_ref() != Some(picture) {
            let published = Published { frame: picture.frame.clone(), contrast: picture.contrast };
            self.pending = published.line().into_bytes();
            self.last = Some(picture.clone());
        }
        let Some(file) = &mut self.file else { return false };
        while !self.pending.is_empty() {
            match file.write(&self.pending) {
                Ok(0) => return true,
                Ok(taken) => drop(self.pending.drain(..taken)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.file = None;
                    return false;
                }
            }
        }
        self.last.as_ref() != Some(picture)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stayput_health::Code;

    use super::*;
    use crate::greeting;

    #[test]
    fn a_picture_comes_back_from_its_line() {
        let published = Published { frame: greeting(Code::NoLink), contrast: 42 };
        let line = published.line();
        assert_eq!(line.parse::<Published>().unwrap(), published);
        assert_eq!(line.replace('\n', "\r\n").parse::<Published>().unwrap(), published);
    }

    #[test]
    fn what_is_no_picture_is_refused_with_its_reason() {
        let dots = "00".repeat(Frame::BYTES);
        for (line, why) in [
            (String::new(), "begin with hat1"),
            (format!("hat2 1 {dots}"), "begin with hat1"),
            (format!("hat1 256 {dots}"), "contrast"),
            ("hat1 1".to_owned(), "1024 bytes"),
            (format!("hat1 1 {}", &dots[2..]), "1024 bytes"),
            (format!("hat1 1 {dots}0"), "pairs"),
            (format!("hat1 1 {}zz", &dots[2..]), "hexadecimal"),
            (format!("hat1 1 {dots} more"), "follows"),
        ] {
            let message = line.parse::<Published>().unwrap_err().to_string();
            assert!(message.contains(why), "{message} ({why})");
        }
    }

    #[test]
    fn a_picture_is_published_once_and_a_new_one_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("port");
        std::fs::write(&path, "").unwrap();
        let mut port = Port::new(path.clone());
        let picture = |code| Picture { frame: greeting(code), contrast: 9 };
        for code in [Code::NoLink, Code::NoLink, Code::Running] {
            assert!(!port.show(&picture(code)));
        }
        let lines = std::fs::read_to_string(&path).unwrap();
        let frames: Vec<_> = lines.lines().map(|line| line.parse::<Published>().unwrap().frame).collect();
        assert_eq!(frames, [greeting(Code::NoLink), greeting(Code::Running)]);
    }

    #[test]
    fn without_a_port_nothing_happens_and_nothing_waits() {
        let mut port = Port::new(PathBuf::from("/nonexistent/port"));
        assert!(!port.show(&Picture { frame: Frame::dark(), contrast: 1 }));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(hat1 )?\\PC{0,40}") {
            let _ = line.parse::<Published>();
        }
    }
}
