//! The pace: after each piece a rest as long as the piece took, and a word on how far it is.

use std::time::{Duration, Instant};

/// The longest rest. A card that takes longer for a piece is busy with someone else's work, and sleeping longer helps no one.
const LONGEST: Duration = Duration::from_secs(2);

/// Between two pieces.
pub struct Pace<'a> {
    begun: Instant,
    sleep: &'a dyn Fn(Duration),
    said: &'a mut dyn FnMut(u64),
    bytes: u64,
}

impl<'a> Pace<'a> {
    /// Rests with `sleep` and tells `said` all bytes so far.
    pub fn new(sleep: &'a dyn Fn(Duration), said: &'a mut dyn FnMut(u64)) -> Self {
        Self { begun: Instant::now(), sleep, said, bytes: 0 }
    }

    /// A piece of so many bytes is done.
    pub fn piece(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        (self.said)(self.bytes);
        (self.sleep)(self.begun.elapsed().min(LONGEST));
        self.begun = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn it_rests_for_as_long_as_it_worked_and_never_for_long() {
        let rests = RefCell::new(Vec::new());
        let mut seen = Vec::new();
        let sleep = |rest| rests.borrow_mut().push(rest);
        let mut said = |bytes| seen.push(bytes);
        let mut pace = Pace::new(&sleep, &mut said);
        std::thread::sleep(Duration::from_millis(20));
        pace.piece(100);
        pace.begun = pace.begun.checked_sub(Duration::from_secs(60)).unwrap();
        pace.piece(50);
        let rests = rests.into_inner();
        assert!(rests[0] >= Duration::from_millis(20) && rests[1] == LONGEST, "{rests:?}");
        assert_eq!(seen, [100, 150]);
    }
}
