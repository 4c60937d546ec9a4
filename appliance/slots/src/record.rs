//! How far a slot came at its last try: a sector of its own for each slot, so that the other one can say where it stopped.

use crate::environment::{Environment, SECTOR};
use crate::{Error, Generation, Result};

/// The longest name of a stage.
const LONGEST: usize = 16;

/// One slot's note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    generation: Generation,
    stage: String,
}

const GENERATION: &str = "stayput_generation";
const STAGE: &str = "stayput_stage";
const EXPECTED: &str = "1 to 16 of a-z and hyphens";

impl Record {
    /// A note that the try which `generation` counted has come to `stage`.
    pub fn new(generation: Generation, stage: &str) -> Result<Self> {
        let plain = stage.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if stage.is_empty() || stage.len() > LONGEST || !plain {
            let value = stage.chars().take(100).collect();
            return Err(Error::Value { name: STAGE, value, expected: EXPECTED });
        }
        Ok(Self { generation, stage: stage.to_owned() })
    }

    /// Reads a sector.
    pub fn parse(sector: &[u8]) -> Result<Self> {
        let environment = Environment::parse(sector)?;
        let text = environment.need(GENERATION)?;
        let generation = text.parse().map_err(|()| Error::Value {
            name: GENERATION,
            value: text.to_owned(),
            expected: "a hexadecimal number below 80000000",
        })?;
        Self::new(generation, environment.need(STAGE)?)
    }

    /// The sector.
    pub fn sector(&self) -> Result<[u8; SECTOR]> {
        let mut environment = Environment::default();
        environment.set(GENERATION, self.generation.to_string());
        environment.set(STAGE, self.stage.as_str());
        environment.sector()
    }

    /// The stage, if the note is of the try that `last` counted. A try that never came to take a note leaves the one before.
    pub fn stage_of(&self, last: Generation) -> Option<&str> {
        (self.generation == last).then_some(&self.stage)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn generation(number: u32) -> Generation {
        Generation::new(number).unwrap()
    }

    #[test]
    fn a_note_of_another_try_says_nothing_of_this_one() {
        let record = Record::new(generation(5), "root").unwrap();
        assert_eq!(record.stage_of(generation(5)), Some("root"));
        assert_eq!(record.stage_of(generation(6)), None);
    }

    #[test]
    fn a_stage_that_is_no_word_is_refused_on_the_way_in_and_out() {
        for stage in ["", "Root", "two words", "a\0b", "a=b", "caf\u{e9}", "a-stage-with-a-long-name"] {
            assert!(matches!(Record::new(generation(1), stage), Err(Error::Value { .. })), "{stage:?}");
        }
        let mut environment = Environment::default();
        environment.set(GENERATION, "1");
        assert!(matches!(Record::parse(&environment.sector().unwrap()), Err(Error::Missing(STAGE))));
        environment.set(STAGE, "NOT A STAGE");
        assert!(matches!(Record::parse(&environment.sector().unwrap()), Err(Error::Value { .. })));
        environment.set(GENERATION, "80000000");
        assert!(matches!(Record::parse(&environment.sector().unwrap()), Err(Error::Value { .. })));
    }

    proptest! {
        #[test]
        fn what_was_noted_is_read_again(number in 0..=i32::MAX as u32, stage in "[a-z-]{1,16}") {
            let record = Record::new(generation(number), &stage).unwrap();
            prop_assert_eq!(Record::parse(&record.sector().unwrap()).unwrap(), record);
        }
    }
}
