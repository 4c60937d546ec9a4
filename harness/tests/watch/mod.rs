//! Watching the lights from outside for a while, as a person would: what each does, by its rhythm.

pub mod parts;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stayput_harness::{Error, Leds, Machine, Result};
use stayput_health::Code;
use stayput_status::{Lamp, Rhythm, Segment, row};

/// What the three lights did while they were watched.
#[derive(Debug, Default)]
pub struct Watched {
    /// Each change, and the first look.
    seen: Vec<(Duration, Leds)>,
    end: Duration,
}

impl Watched {
    /// Watches until `enough`, at most for `longest`.
    pub fn until(
        machine: &mut Machine,
        longest: Duration,
        mut enough: impl FnMut(&Self) -> bool,
    ) -> Result<Self> {
        let deadline = machine.deadline(longest);
        let began = Instant::now();
        let mut watched = Self::default();
        loop {
            let before = began.elapsed();
            let leds = machine.leds()?;
            // The registers were read somewhere between question and answer.
            let at = (before + began.elapsed()) / 2;
            watched.add(at, leds);
            if enough(&watched) || deadline.passed() {
                return Ok(watched);
            }
            std::thread::sleep(Duration::from_millis(16));
        }
    }

    fn add(&mut self, at: Duration, leds: Leds) {
        if self.seen.last().is_none_or(|(_, last)| *last != leds) {
            self.seen.push((at, leds));
        }
        self.end = at;
    }

    /// How long it was watched.
    pub fn lasted(&self) -> Duration {
        self.end.saturating_sub(self.seen.first().map_or(self.end, |(at, _)| *at))
    }

    /// Whether the lights were so at any moment.
    pub fn ever(&self, leds: Leds) -> bool {
        self.seen.iter().any(|(_, seen)| *seen == leds)
    }

    /// What one light did since `from`.
    pub fn of(&self, lamp: Lamp, from: Duration) -> Vec<Segment> {
        let ends = self.seen.iter().skip(1).map(|(at, _)| *at).chain([self.end]);
        let stretches = self.seen.iter().zip(ends).filter(|(_, end)| *end > from);
        let ms = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        let mut segments: Vec<Segment> = Vec::new();
        for ((at, leds), end) in stretches {
            let lit = match lamp {
                Lamp::Green => leds.green,
                Lamp::Yellow => leds.yellow,
                Lamp::Red => leds.red,
            };
            let ms = ms(end.saturating_sub((*at).max(from)));
            match segments.last_mut().filter(|last| last.lit == lit) {
                Some(last) => last.ms += ms,
                None => segments.push(Segment { lit, ms }),
            }
        }
        segments
    }

    /// The rhythms of the last `long`.
    pub fn rhythms(&self, long: Duration) -> [Option<Rhythm>; 3] {
        let from = self.end.saturating_sub(long);
        Lamp::ALL.map(|lamp| Rhythm::seen(&self.of(lamp, from)))
    }
}

/// How long a light is watched at least: a program lasts ten seconds at most, so that one which is not armed again, and
/// one that was armed for ever, are told apart.
pub const LEAST: Duration = Duration::from_secs(14);

/// Asserts that the lights show `code`: all three in its rhythm for at least [`LEAST`].
pub fn assert_shows(machine: &mut Machine, code: Code) -> Result<()> {
    let wanted = Lamp::ALL.map(|lamp| Some(row(code).look().rhythm(lamp)));
    let watched = Watched::until(machine, Duration::from_secs(60), |watched| {
        watched.lasted() >= LEAST
            && (watched.rhythms(LEAST) == wanted || watched.rhythms(LEAST * 2) == wanted)
    })?;
    let seen = [watched.rhythms(LEAST), watched.rhythms(LEAST * 2)];
    let all: BTreeMap<_, _> =
        Lamp::ALL.into_iter().map(|lamp| (lamp.name(), watched.of(lamp, Duration::ZERO))).collect();
    assert!(
        watched.lasted() >= LEAST && seen.contains(&wanted),
        "{code} should look like {wanted:?}; seen {seen:?}: {all:?}"
    );
    Ok(())
}

/// Waits until the box's own verdict is `code`, and answers after how long.
pub fn wait_for_verdict(machine: &mut Machine, code: Code, longest: Duration) -> Result<Duration> {
    let began = Instant::now();
    let deadline = machine.deadline(longest);
    let mut last = String::new();
    let seen = deadline.poll(|| {
        last = match machine.probe()?.text("/run/stayput/status/verdict.json") {
            Ok(text) => text,
            Err(Error::OnTheBox(why)) => why,
            Err(other) => return Err(other),
        };
        let wanted = format!(r#""state":{{"code":"{code}""#);
        Ok::<_, Error>(last.contains(&wanted).then(|| began.elapsed()))
    })?;
    seen.ok_or_else(|| Error::Late {
        what: format!("the verdict {code}"),
        allowed: deadline.allowed,
        seen: format!("The verdict is {last}"),
    })
}
