//! The hat of a machine that has none: pictures come through a port, keys go in through a virtual keyboard.
//!
//! The box publishes what its screen would show (`stayput_hat::Published`), also where it has no screen.

use crate::error::{Error, Result};
use crate::patience::Deadline;
use crate::qmp::Lines;
use stayput_hat::{Frame, Key, Published};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The picture that was published last, and how many there were.
#[derive(Debug, Default)]
struct Seen {
    last: Option<Published>,
    count: u64,
}

/// The host's end of the port. Survives a power cut as the console does.
#[derive(Debug, Default)]
pub struct Screen {
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Screen {
    /// Watches a freshly started machine. Its screen is dark until it says something.
    pub(crate) fn attach(&self, mut stream: UnixStream) {
        let seen = Arc::clone(&self.seen);
        lock(&seen.0).last = None;
        thread::spawn(move || {
            let mut lines = Lines::default();
            let mut buffer = [0; 16 * 1024];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => lines.feed(&buffer[..length]),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => return,
                }
                while let Some(line) = lines.next() {
                    // A box that was reset in the middle of a line leaves half of one.
                    if let Ok(published) = String::from_utf8_lossy(&line).parse::<Published>() {
                        let mut seen_now = lock(&seen.0);
                        seen_now.count += 1;
                        seen_now.last = Some(published);
                        drop(seen_now);
                        seen.1.notify_all();
                    }
                }
            }
        });
    }

    /// What it shows now; nothing before the box has said something.
    pub fn now(&self) -> Option<Published> {
        lock(&self.seen.0).last.clone()
    }

    /// How many pictures there were.
    pub fn count(&self) -> u64 {
        lock(&self.seen.0).count
    }

    /// Waits for a picture that is `wanted`, which errors call `what`.
    pub fn wait_for(
        &self,
        what: &str,
        deadline: &Deadline,
        wanted: impl Fn(&Published) -> bool,
    ) -> Result<Published> {
        let mut seen = lock(&self.seen.0);
        loop {
            if let Some(published) = seen.last.as_ref().filter(|published| wanted(published)) {
                return Ok(published.clone());
            }
            if deadline.passed() {
                let shown = seen.last.as_ref().map(|last| &last.frame);
                let seen = format!("The screen shows {:?}", shown.unwrap_or(&Frame::dark()));
                return Err(Error::Late { what: what.to_owned(), allowed: deadline.allowed, seen });
            }
            let wait = deadline.remaining().min(Duration::from_secs(1));
            seen = self.seen.1.wait_timeout(seen, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// QEMU's name for the key of the virtual keyboard that stands for `key`.
pub(crate) fn qcode(key: Key) -> &'static str {
    match key {
        Key::K1 => "f1",
        Key::K2 => "f2",
        Key::K3 => "f3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::Patience;
    use stayput_hat::greeting;
    use stayput_health::Code;
    use std::io::Write;

    fn soon() -> Deadline {
        Patience::default().deadline(Duration::from_secs(20))
    }

    #[test]
    fn the_last_picture_counts_and_half_a_line_before_it_does_no_harm() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let screen = Screen::default();
        screen.attach(ours);
        let published = |code| Published { frame: greeting(code), contrast: 9 };
        let (first, second) = (published(Code::Starting), published(Code::Running));
        let lines = ["hat1 9 00".to_owned(), "\n".to_owned(), first.line(), second.line()].concat();
        theirs.write_all(lines.as_bytes()).unwrap();
        assert_eq!(screen.wait_for("it works", &soon(), |now| *now == second).unwrap(), second);
        assert_eq!(screen.count(), 2);
    }

    #[test]
    fn a_picture_that_does_not_come_is_told_with_what_is_there() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let screen = Screen::default();
        screen.attach(ours);
        let passed = Patience::default().deadline(Duration::ZERO);
        let error = screen.wait_for("the verdict", &passed, |_| true).unwrap_err().to_string();
        assert!(error.contains("the verdict"), "{error}");
    }
}
