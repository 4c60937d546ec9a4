//! A light of the kernel's LED class, which blinks by itself: a finite program, armed again and again.
//!
//! The trigger is `pattern` for as long as the box runs; a dark light has a dark program. So nobody but [`own`], which
//! runs as root before the daemon, ever writes `trigger`, and the daemon needs no more than its own three files.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use stayput_status::Program;

use super::Driver;
use crate::{Error, Result};

/// What the kernel plays for a dark light: twice dark, since it wants two stretches.
const DARK: &str = "0 100 0 100";

/// One light of the kernel's.
#[derive(Debug)]
pub struct Class {
    directory: PathBuf,
    max_brightness: u32,
    armed: Option<Armed>,
}

/// A light that plays, and what it takes to go on.
#[derive(Debug)]
struct Armed {
    due: u64,
    every: u64,
    repeat: String,
    /// Kept open: looking it up again each time costs more than the writing.
    file: File,
}

impl Class {
    /// The light `name` of the LED class in `class`, with the pattern trigger.
    pub fn open(class: &Path, name: &str) -> Result<Self> {
        let directory = class.join(name);
        if !directory.exists() {
            return Err(Error::NoLight { name: name.to_owned(), path: directory });
        }
        let path = directory.join("max_brightness");
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let max_brightness = text.trim().parse().ok().filter(|number| *number > 0);
        let Some(max_brightness) = max_brightness else {
            return Err(Error::NotANumber { path, text: text.trim().chars().take(20).collect() });
        };
        let light = Self { directory, max_brightness, armed: None };
        if !light.has_pattern()? {
            light.write("trigger", "pattern")?;
        }
        Ok(light)
    }

    fn has_pattern(&self) -> Result<bool> {
        let path = self.directory.join("trigger");
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Ok(text.split_whitespace().any(|word| word == "[pattern]"))
    }

    /// One `write` call for one value, as sysfs wants it.
    fn write(&self, attribute: &str, value: &str) -> Result<File> {
        let path = self.directory.join(attribute);
        // Not fs::write: it would make a file where the kernel has none (in a test's directory).
        let file = fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        file.write_all_at(value.as_bytes(), 0).map_err(Error::io("write", &path))?;
        Ok(file)
    }

    /// `repeat` before `pattern`: a fresh trigger repeats for ever, and a driver that dies between the two would leave a
    /// light that never ends.
    fn play(&self, program: &Program, repeat: &str) -> Result<File> {
        let file = self.write("repeat", repeat)?;
        let pattern = program.to_kernel_pattern(self.max_brightness);
        self.write("pattern", if program.is_dark() { DARK } else { &pattern })?;
        Ok(file)
    }
}

impl Driver for Class {
    fn start(&mut self, program: &Program, now: u64) -> Result<()> {
        let repeat = program.repeat().to_string();
        let file = self.play(program, &repeat)?;
        let every = u64::from(program.rearm_after());
        self.armed = (!program.is_dark()).then_some(Armed { due: now + every, every, repeat, file });
        Ok(())
    }

    fn keep(&mut self, now: u64) -> Result<Option<u64>> {
        let Some(armed) = &mut self.armed else { return Ok(None) };
        if now >= armed.due {
            // Alone, it starts the pattern anew.
            let written = armed.file.write_all_at(armed.repeat.as_bytes(), 0);
            written.map_err(Error::io("write", self.directory.join("repeat")))?;
            armed.due = now + armed.every;
        }
        Ok(Some(armed.due))
    }

    fn leave(&mut self, program: &Program) -> Result<()> {
        self.play(program, if program.is_dark() { "1" } else { "-1" }).map(drop)
    }
}

/// Makes the light in `directory` the daemon's own: the trigger, and the two files that come with it. As root.
pub fn own(directory: &Path, uid: u32) -> Result<()> {
    let trigger = directory.join("trigger");
    let text = fs::read_to_string(&trigger).map_err(Error::io("read", &trigger))?;
    if !text.split_whitespace().any(|word| word == "[pattern]") {
        fs::write(&trigger, "pattern").map_err(Error::io("write", &trigger))?;
    }
    for attribute in ["pattern", "repeat"] {
        let path = directory.join(attribute);
        let metadata = fs::metadata(&path).map_err(Error::io("look at", &path))?;
        if metadata.uid() != uid {
            chown(&path, Some(uid), None).map_err(Error::io("give away", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_health::Code;
    use stayput_health::board::LedRole;
    use stayput_status::row;

    fn class(trigger: &str) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        let light = class.path().join("status:red");
        fs::create_dir(&light).unwrap();
        for (name, content) in
            [("trigger", trigger), ("max_brightness", "255\n"), ("pattern", ""), ("repeat", "")]
        {
            fs::write(light.join(name), content).unwrap();
        }
        class
    }

    fn said(class: &tempfile::TempDir, attribute: &str) -> String {
        fs::read_to_string(class.path().join("status:red").join(attribute)).unwrap()
    }

    #[test]
    fn a_program_is_written_in_the_kernels_words_and_armed_again_by_its_repeat_alone() {
        let class = class("none [pattern] timer");
        let mut light = Class::open(class.path(), "status:red").unwrap();
        let program = row(Code::NoLink).program(LedRole::Fault).unwrap();
        light.start(&program, 1_000).unwrap();
        assert_eq!(said(&class, "pattern"), program.to_kernel_pattern(255));
        assert_eq!(said(&class, "repeat"), program.repeat().to_string());
        let due = 1_000 + u64::from(program.rearm_after());
        assert_eq!(light.keep(1_001).unwrap(), Some(due));
        fs::write(class.path().join("status:red/pattern"), "").unwrap();
        fs::write(class.path().join("status:red/repeat"), "").unwrap();
        assert_eq!(light.keep(due + 3).unwrap(), Some(due + 3 + u64::from(program.rearm_after())));
        assert_eq!(said(&class, "pattern"), "");
        assert_eq!(said(&class, "repeat"), program.repeat().to_string());
        assert_eq!(said(&class, "trigger"), "none [pattern] timer", "written although it was right");
    }

    #[test]
    fn a_dark_light_needs_nobody() {
        let class = class("[none] pattern");
        let mut light = Class::open(class.path(), "status:red").unwrap();
        assert!(said(&class, "trigger").starts_with("pattern"));
        light.start(&row(Code::Running).program(LedRole::Fault).unwrap(), 0).unwrap();
        assert_eq!((said(&class, "pattern").as_str(), light.keep(1_000_000).unwrap()), (DARK, None));
    }

    #[test]
    fn what_is_left_to_the_kernel_has_no_end() {
        let class = class("[pattern]");
        let mut light = Class::open(class.path(), "status:red").unwrap();
        light.leave(&row(Code::ShuttingDown).program(LedRole::Ok).unwrap()).unwrap();
        assert_eq!(said(&class, "repeat"), "-1");
    }

    #[test]
    fn a_light_that_is_missing_or_odd_is_named() {
        let class = class("[pattern]");
        let error = Class::open(class.path(), "status:blue").unwrap_err().to_string();
        assert!(error.contains("'status:blue'") && error.contains("device tree"), "{error}");
        for odd in ["", "0", "-1", "x", "99999999999999999999"] {
            fs::write(class.path().join("status:red/max_brightness"), odd).unwrap();
            let error = Class::open(class.path(), "status:red").unwrap_err().to_string();
            assert!(error.contains(&format!("'{odd}'")), "{error}");
        }
        fs::write(class.path().join("status:red/max_brightness"), "1").unwrap();
        let mut light = Class::open(class.path(), "status:red").unwrap();
        fs::remove_file(class.path().join("status:red/repeat")).unwrap();
        let error =
            light.start(&row(Code::Running).program(LedRole::Ok).unwrap(), 0).unwrap_err().to_string();
        assert!(error.contains("could not open") && error.contains("repeat"), "{error}");
    }

    #[test]
    fn owning_a_light_sets_its_trigger_once() {
        let class = class("[timer] pattern");
        let directory = class.path().join("status:red");
        let uid = fs::metadata(&directory).unwrap().uid();
        own(&directory, uid).unwrap();
        assert_eq!(said(&class, "trigger"), "pattern");
        fs::write(directory.join("trigger"), "[pattern]").unwrap();
        own(&directory, uid).unwrap();
        assert_eq!(said(&class, "trigger"), "[pattern]");
    }
}
