//! Feeds damaged input to a reader: honest inputs, damaged a few times over by a generator with a seed, so that a failure can
//! be repeated. The run's number and seed are in the message. Coverage does not guide it, which a stable compiler cannot.
//!
//! Each crate with a reader has an example `fuzz` that lists its [`Target`]s and hands them to [`main`]:
//!
//! `cargo run --release -p stayput-PART --example fuzz_PART -- [TARGET ...] [RUNS | SECONDSs] [SEED]`, all targets and 100,000 runs each
//! by default; seconds are for all of them together.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A reader under trial.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What the command line calls it.
    pub name: &'static str,
    /// Honest inputs.
    pub inputs: fn() -> Vec<Vec<u8>>,
    /// What must hold for any bytes; it panics where it does not.
    pub check: fn(&[u8]),
}

/// Pieces that change what a reader does, whatever it reads; targets of one kind add their own.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"%",
    b"%00",
    b"%2F",
    b"%e4",
    b"+",
    b"=",
    b"#",
    b"'''",
    b"\"\"\"",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b"..",
    b"/",
    b"1e999",
    b"18446744073709551616",
    b"-1",
];

/// The first words make long runs, too.
const RUNS_OF: usize = 5;

/// xorshift64*: enough to damage things with, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() >> 33).unwrap_or(0) % end.max(1)
    }
}

/// Runs the targets that the command line names; `words` are pieces of their own kind.
pub fn main(targets: &[Target], words: &[&'static [u8]]) -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let named = arguments.iter().filter_map(|name| targets.iter().find(|target| target.name == name));
    let named: Vec<_> = named.collect();
    let targets = if named.is_empty() { targets.iter().collect() } else { named };
    let words: Vec<_> = WORDS.iter().chain(words).copied().collect();
    let seconds = arguments.iter().find_map(|text| text.strip_suffix('s')?.parse::<u64>().ok());
    let mut numbers = arguments.iter().filter_map(|text| text.parse::<u64>().ok());
    let runs = if seconds.is_some() { u64::MAX } else { numbers.next().unwrap_or(100_000) };
    let seed = numbers.next().unwrap_or(0x5eed);
    let share =
        seconds.map(|seconds| Duration::from_secs(seconds) / u32::try_from(targets.len()).unwrap_or(1));
    for target in targets {
        let started = Instant::now();
        match feed(target, &words, runs, seed, share) {
            Ok(done) => {
                let took = started.elapsed().as_secs_f64();
                println!("{}: {done} runs in {took:.1} s, nothing wrong", target.name);
            }
            Err((run, input)) => {
                let text = String::from_utf8_lossy(&input);
                eprintln!("{}: run {run} with seed {seed} failed on {input:02x?}\n{text}", target.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// So many runs, or those that the time allows. Returns how many they were, or the run that failed and its input.
fn feed(
    target: &Target,
    words: &[&[u8]],
    runs: u64,
    seed: u64,
    share: Option<Duration>,
) -> Result<u64, (u64, Vec<u8>)> {
    let (started, inputs) = (Instant::now(), (target.inputs)());
    let one = |run: u64| {
        let mut dice = Dice(seed ^ run.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let input = damaged(&mut dice, &inputs, words);
        if std::panic::catch_unwind(|| (target.check)(&input)).is_err() {
            return ControlFlow::Break(Err((run, input)));
        }
        let late = run.is_multiple_of(1024) && share.is_some_and(|share| started.elapsed() >= share);
        if late { ControlFlow::Break(Ok(run + 1)) } else { ControlFlow::Continue(()) }
    };
    match (0..runs).try_for_each(one) {
        ControlFlow::Continue(()) => Ok(runs),
        ControlFlow::Break(ended) => ended,
    }
}

/// One of the inputs, damaged up to eight times.
fn damaged(dice: &mut Dice, inputs: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = inputs[dice.below(inputs.len())].clone();
    for _ in 0..dice.below(9) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.roll().to_le_bytes()[0],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..bytes.len().min(at + 1 + dice.below(16)))),
            4 => drop(bytes.splice(at..at, words[dice.below(words.len())].iter().copied())),
            5 => {
                let again = bytes[at..bytes.len().min(at + 1 + dice.below(32))].to_vec();
                bytes.splice(at..at, again);
            }
            6 => {
                let other = &inputs[dice.below(inputs.len())];
                let from = dice.below(other.len());
                bytes.splice(at..at, other[from..].iter().copied().take(64));
            }
            _ => {
                let many = 1usize << dice.below(11);
                let byte = words[dice.below(RUNS_OF)][0];
                bytes.splice(at..at, std::iter::repeat_n(byte, many));
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SORE: Target = Target {
        name: "sore",
        inputs: || vec![b"honest".to_vec()],
        check: |input| assert!(!input.contains(&0)),
    };

    #[test]
    fn a_reader_that_cannot_bear_something_is_found_out_and_the_run_repeats() {
        let found = feed(&SORE, WORDS, 100_000, 1, None);
        let (run, input) = found.clone().unwrap_err();
        assert!(input.contains(&0) && run > 0);
        assert_eq!(feed(&SORE, WORDS, 100_000, 1, None), found);
    }

    #[test]
    fn a_reader_that_bears_everything_gets_all_its_runs_or_all_its_time() {
        let calm = Target { check: |_| {}, ..SORE };
        assert_eq!(feed(&calm, WORDS, 3000, 1, None), Ok(3000));
        assert!(feed(&calm, WORDS, u64::MAX, 1, Some(Duration::from_millis(20))).unwrap() > 0);
    }

    #[test]
    fn most_inputs_are_damaged_and_some_are_not() {
        let honest = [b"honest".to_vec()];
        let same = (1..1000).filter(|seed| damaged(&mut Dice(*seed), &honest, WORDS) == honest[0]).count();
        assert!((20..400).contains(&same), "{same}");
    }
}
