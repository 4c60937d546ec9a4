//! How far this slot came, noted on the card stage by stage, and why the box does not run the other slot.
//!
//! Neither is worth a boot: where the card or the boot arguments do not play along, the log says so and init goes on.

use std::path::Path;

use stayput_slots::{Arguments, BootState, Device, Error, Generation, Record, Slot, Why};

use crate::log::Log;
use crate::stage::Stage;

/// What the other slot came to when it took no note at all: its kernel, or init before it had found the disk.
const KERNEL: &str = "kernel";

/// What the part boot-ok notes once the running box has begun to prove itself.
const RUNNING: &str = "running";

/// Keeps this slot's note.
#[derive(Debug)]
pub struct Notes {
    device: Device,
    slot: Slot,
    generation: Generation,
    noted: Option<Stage>,
}

/// Why this slot runs and not the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// One word: `tries` used up, not to be `load`ed, only a `piece`, or this was the `last` that was left.
    pub why: &'static str,
    /// The stage that the other slot had reached at its last try.
    pub stage: &'static str,
}

/// Begins the note of this try, and reads out of the boot state why it is this slot's.
pub fn begin(line: &str, partition: Option<&Path>, log: &mut Log) -> Option<Reason> {
    match open(line, partition) {
        Ok((notes, reason)) => {
            log.note_with(notes);
            if let Some(Reason { why, stage }) = reason {
                log.warn(&format!("this is not the usual slot: the other one {}", sentence(why, stage)));
            }
            reason
        }
        Err(why) => {
            log.warn(&format!("no note is taken of how far this slot comes: {why}"));
            None
        }
    }
}

fn open(line: &str, partition: Option<&Path>) -> Result<(Notes, Option<Reason>), String> {
    let arguments = Arguments::parse(line).map_err(|error| error.to_string())?;
    let partition = partition.ok_or("the card has no boot-state partition; write the image anew")?;
    let device = Device::new(partition, &arguments);
    let state = device.read().map_err(|error| error.to_string())?.state;
    let reason = reason(&arguments, &state, device.note(arguments.slot.other()));
    let (slot, generation) = (arguments.slot, arguments.generation);
    Ok((Notes { device, slot, generation, noted: None }, reason))
}

/// Reads the reason out of boot state and the other slot's note. None for the slot that comes first anyway.
fn reason(arguments: &Arguments, state: &BootState, note: Result<Record, Error>) -> Option<Reason> {
    if state.first == arguments.slot {
        return None;
    }
    let last = state.slot(arguments.slot.other()).last;
    let stage = match &note {
        Ok(note) => note.stage_of(last).map_or(KERNEL, known),
        Err(_) => KERNEL,
    };
    let why = match arguments.why {
        // The boot script says it of the first slot only.
        Why::First | Why::Tries => "tries",
        Why::Load => "load",
        Why::Piece => "piece",
        Why::Last => "last",
    };
    Some(Reason { why, stage })
}

/// A stage's name as text of this program; what another version calls a stage that this one does not know is `other`.
fn known(stage: &str) -> &'static str {
    let own = Stage::ALL.iter().map(|stage| stage.as_str());
    own.chain([RUNNING]).find(|own| *own == stage).unwrap_or("other")
}

fn sentence(why: &str, stage: &str) -> String {
    match why {
        "load" => "could not be loaded".to_owned(),
        "piece" => "is being written".to_owned(),
        "last" => format!("came to the stage '{stage}', and neither had tries left"),
        _ => format!("has used up its tries; it came to the stage '{stage}'"),
    }
}

impl Notes {
    /// Notes that this slot has come to `stage`; one write each. The first failure is told and is the last attempt.
    pub fn reached(&mut self, stage: Stage) -> Result<(), String> {
        if self.noted == Some(stage) {
            return Ok(());
        }
        self.noted = Some(stage);
        let record = Record::new(self.generation, stage.as_str());
        let taken = record.and_then(|record| self.device.take_note(self.slot, &record));
        taken.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use stayput_slots::Standing;

    use super::*;

    const LINE: &str = "stayput.slot=b stayput.why=tries stayput.generation=5 stayput.marks=5 \
                        stayput.copies_at=0,65536 stayput.notes_at=4096,8192 stayput.slots=6,7,8,9";

    struct Card {
        _directory: tempfile::TempDir,
        partition: std::path::PathBuf,
        device: Device,
    }

    /// A card whose slot A was tried last by generation `last` and noted `stage` at the try of generation `noted`.
    fn card(noted: u32, stage: &str) -> Card {
        let directory = tempfile::tempdir().unwrap();
        let partition = directory.path().join("vda5");
        std::fs::write(&partition, vec![0; 1 << 20]).unwrap();
        let device = Device::new(&partition, &Arguments::parse(LINE).unwrap());
        device.change(|state| state.with(Slot::B, Standing::Whole)).unwrap();
        let record = Record::new(Generation::new(noted).unwrap(), stage).unwrap();
        device.take_note(Slot::A, &record).unwrap();
        Card { _directory: directory, partition, device }
    }

    #[test]
    fn the_other_slot_is_told_by_the_stage_of_its_last_try() {
        // No try was counted yet, so 0 is the generation of the last one.
        for (noted, stage, expected) in
            [(0, "root", "root"), (1, "root", KERNEL), (0, "running", "running"), (0, "tea-time", "other")]
        {
            let card = card(noted, stage);
            let (_, reason) = open(LINE, Some(&card.partition)).unwrap();
            assert_eq!(reason, Some(Reason { why: "tries", stage: expected }), "{stage}");
        }
    }

    #[test]
    fn the_slot_that_comes_first_needs_no_reason() {
        let card = card(0, "root");
        let line = LINE.replace("slot=b", "slot=a").replace("why=tries", "why=first");
        assert_eq!(open(&line, Some(&card.partition)).unwrap().1, None);
    }

    #[test]
    fn each_stage_is_noted_once_for_this_try() {
        let card = card(0, "root");
        let (mut notes, _) = open(LINE, Some(&card.partition)).unwrap();
        notes.reached(Stage::State).unwrap();
        let five = Generation::new(5).unwrap();
        assert_eq!(card.device.note(Slot::B).unwrap().stage_of(five), Some("state"));
        // A second note of the same stage does not touch the card: a missing partition is not even noticed.
        std::fs::remove_file(&card.partition).unwrap();
        notes.reached(Stage::State).unwrap();
        assert!(notes.reached(Stage::Persist).unwrap_err().contains("vda5"));
    }

    #[test]
    fn without_arguments_or_partition_there_is_a_reason_in_words_and_no_note() {
        let card = card(0, "root");
        assert!(open("", Some(&card.partition)).unwrap_err().contains("stayput.slots"));
        assert!(open(LINE, None).unwrap_err().contains("boot-state"));
        let mut log = Log::open();
        assert_eq!(begin("", None, &mut log), None);
        log.enter(Stage::Root);
    }

    #[test]
    fn every_stage_can_be_noted() {
        for stage in Stage::ALL {
            assert!(Record::new(Generation::default(), stage.as_str()).is_ok(), "{stage}");
            assert_eq!(known(stage.as_str()), stage.as_str());
        }
    }
}
