//! State codes: the one list of everything that a part can report. One line makes a new code.
//!
//! A code's severity, lights, screen lines and remedy belong to the status table, which is keyed by this enum; here is
//! only what every part needs in order to name a state.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

macro_rules! codes {
    ($($variant:ident = $text:literal, $meaning:literal;)+) => {
        /// One state that the box can be in. Its text form (`RUN-00`) is what logs, lights and manuals say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Code { $(#[doc = concat!($text, ": ", $meaning, ".")] $variant,)+ }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code's text form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What the code means, as half a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }

        $(const _: () = assert!(is_code($text), "a code is three capitals, a hyphen and two digits");)+
    };
}

// A code that was ever released keeps its number for good: people search for it in old reports.
codes! {
    Running = "RUN-00", "the part works and has nothing to report";
    Starting = "RUN-01", "the part is starting";
    Stopped = "RUN-02", "the part was stopped on purpose";
    InternalFault = "RUN-09", "the part met something that it should have made impossible";

    BootDevices = "INI-01", "the kernel's own file systems could not be mounted";
    BootModules = "INI-02", "a kernel module could not be loaded";
    BootArguments = "INI-03", "the boot arguments are missing or wrong";
    BootDisk = "INI-04", "the disk that carries this image was not found";
    BootRoot = "INI-05", "the root file system could not be mounted";
    BootHandOver = "INI-06", "the system on the root file system could not be started";

    StateVolatile = "STO-01", "the state partition is not usable, so state is kept in memory and lost at power-off";
    StateRepaired = "STO-02", "the state file system was damaged and has been repaired";
    PersistFailed = "STO-03", "a path that must be kept could not be put in its place";
    MachineIdVolatile = "STO-04", "the machine id could not be kept and is new at each boot";
    MachineIdReplaced = "STO-05", "the kept machine id was lost or damaged and has been replaced by a new one";
    SameDiskTwice = "STO-06", "two disks carry this image, and one of them was chosen";
}

const fn is_code(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() == 6
        && b[0].is_ascii_uppercase()
        && b[1].is_ascii_uppercase()
        && b[2].is_ascii_uppercase()
        && b[3] == b'-'
        && b[4].is_ascii_digit()
        && b[5].is_ascii_digit()
}

impl FromStr for Code {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| Error::UnknownCode(text.to_owned()))
    }
}

impl TryFrom<String> for Code {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_codes_share_a_text_and_each_leads_back_to_itself() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.to_string().parse::<Code>().unwrap(), *code);
        }
    }

    #[test]
    fn a_meaning_is_half_a_sentence() {
        for code in Code::ALL {
            let meaning = code.meaning();
            assert!(meaning.len() > 10 && !meaning.ends_with('.'), "{code}: {meaning}");
            assert!(meaning.starts_with(char::is_lowercase), "{code}: {meaning}");
        }
    }

    #[test]
    fn a_code_that_is_not_in_the_table_is_refused_and_quoted() {
        for bad in ["", "RUN-0", "run-00", "RUN-00 ", "XXX-99", "RUN\u{2010}00"] {
            let message = bad.parse::<Code>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{bad}'")), "{message}");
        }
    }
}
