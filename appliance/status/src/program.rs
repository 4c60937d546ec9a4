//! What a light is given to do: a finite program for the kernel's `pattern` trigger that ends dark.
//!
//! The kernel blinks by itself, so the box's status costs nothing while it stays the same. But a light that blinks by
//! itself outlives the program that knows better. So a program lasts at most ten seconds and ends dark, and whoever
//! drives the light arms it again: a dead driver shows as a dark light.
//!
//! How to write it (Linux 6.12, `ledtrig-pattern.c`): `trigger` once, then **`repeat` before `pattern`**. A fresh
//! trigger repeats for ever, so a driver that dies between the two in the other order leaves a light that never ends.
//! To arm the same program again, write `repeat` alone: it starts the pattern anew.

use std::fmt::Write;

use crate::Rhythm;

/// A stretch of time in which a light does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Whether it is lit.
    pub lit: bool,
    /// For how long, in milliseconds.
    pub ms: u32,
}

impl Segment {
    /// Lit for `ms`.
    pub const fn lit(ms: u32) -> Self {
        Self { lit: true, ms }
    }

    /// Dark for `ms`.
    pub const fn dark(ms: u32) -> Self {
        Self { lit: false, ms }
    }
}

/// A finite program for one light. The empty program is a dark light.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    cycle: Vec<Segment>,
    repeat: u32,
}

impl Program {
    /// The longest that a program may last, in milliseconds.
    pub const LONGEST: u32 = 10_000;

    /// As many whole turns of `cycle` as fit.
    pub(crate) fn of(cycle: &[Segment]) -> Self {
        let cycle = merge(cycle);
        let repeat = Self::LONGEST.checked_div(duration(&cycle)).unwrap_or(0).max(1);
        Self { cycle, repeat }
    }

    /// Whether the light is not lit at all: no pattern, brightness 0.
    pub fn is_dark(&self) -> bool {
        self.cycle.is_empty()
    }

    /// What goes into the light's `repeat` file.
    pub fn repeat(&self) -> u32 {
        self.repeat
    }

    /// What goes into the light's `pattern` file, for a light whose `max_brightness` this is; empty for a dark light.
    ///
    /// Each stretch is written twice, the second time with no length: otherwise the kernel fades from one brightness to
    /// the next.
    pub fn to_kernel_pattern(&self, max_brightness: u32) -> String {
        let mut text = String::new();
        for segment in &self.cycle {
            let level = if segment.lit { max_brightness } else { 0 };
            if !text.is_empty() {
                text.push(' ');
            }
            write!(text, "{level} {ms} {level} 0", ms = segment.ms).expect("a String takes all text");
        }
        text
    }

    /// One turn: what a picture of the rhythm shows.
    pub fn cycle(&self) -> &[Segment] {
        &self.cycle
    }

    /// The whole program from arming to its dark end.
    pub fn timeline(&self) -> Vec<Segment> {
        let turns = std::iter::repeat_n(&self.cycle, self.repeat as usize);
        merge(&turns.flatten().copied().collect::<Vec<_>>())
    }

    /// How long it lasts, in milliseconds.
    pub fn lasts(&self) -> u32 {
        duration(&self.cycle) * self.repeat
    }

    /// When to arm it again, in milliseconds after the last time. A steady light a fifth before its end, so that no gap is
    /// seen; any other at its end, which is dark, so that a little lateness only lengthens a dark moment.
    pub fn rearm_after(&self) -> u32 {
        if self.cycle == Rhythm::Steady.cycle() { self.lasts() / 5 * 4 } else { self.lasts() }
    }
}

/// The same light with no two neighbours alike and nothing of no length.
pub(crate) fn merge(segments: &[Segment]) -> Vec<Segment> {
    let mut merged: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments.iter().filter(|segment| segment.ms > 0) {
        match merged.last_mut() {
            Some(last) if last.lit == segment.lit => last.ms += segment.ms,
            _ => merged.push(*segment),
        }
    }
    merged
}

pub(crate) fn duration(segments: &[Segment]) -> u32 {
    segments.iter().map(|segment| segment.ms).sum()
}
