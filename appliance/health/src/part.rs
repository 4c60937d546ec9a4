//! The closed list of the box's parts: whatever may write a health file is named here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How a part lives, which decides when its silence means death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Runs once and ends; its last word stays true. Only while it is starting may it be missed.
    Once,
    /// Runs for as long as the box does and writes again well within its time of silence.
    Always,
}

macro_rules! parts {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal, $life:ident, silent for $silence:literal s;)+) => {
        /// One part of the box.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Part { $($(#[$doc])+ $variant,)+ }

        impl Part {
            /// Every part, in the order in which they come up.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The part's name, as in its unit and its health file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The name of the part's health file.
            pub const fn file_name(self) -> &'static str {
                match self { $(Self::$variant => concat!($name, ".json"),)+ }
            }

            /// How the part lives.
            pub const fn life(self) -> Life {
                match self { $(Self::$variant => Life::$life,)+ }
            }

            /// How long the part may be silent before it counts as dead. It writes at least three times as often.
            pub const fn silence(self) -> Duration {
                match self { $(Self::$variant => Duration::from_secs($silence),)+ }
            }
        }
    };
}

parts! {
    /// The initramfs program: slot, root, state.
    Init = "init", Once, silent for 120 s;
    /// First and every boot: configuration, network, time, identity of the host.
    Setup = "setup", Once, silent for 600 s;
    /// Cable and address.
    Network = "network", Always, silent for 90 s;
    /// The clock, until the region has confirmed it.
    Clock = "clock", Once, silent for 120 s;
    /// Activation and role credentials.
    Identity = "identity", Always, silent for 90 s;
    /// The container engine, when it is on.
    Engine = "engine", Always, silent for 90 s;
    /// The ECS agent, when it is on.
    Agent = "agent", Always, silent for 90 s;
    /// The half of the worker that has the network and no files.
    Courier = "courier", Always, silent for 60 s;
    /// The half of the worker that has the files and no network.
    Mover = "mover", Always, silent for 60 s;
    /// The card's drive STAYPUT: STATUS.txt, and the used code.
    Drive = "drive", Always, silent for 90 s;
    /// The SFTP door, when it has a key. The set-up speaks for it: nothing of it runs while nobody calls.
    Drop = "drop", Once, silent for 120 s;
    /// The verdict on the running slot, and its copy in the other one.
    BootOk = "boot-ok", Once, silent for 600 s;
    /// Updates of the other slot.
    Update = "update", Always, silent for 600 s;
    /// Lights and screen.
    Status = "status", Always, silent for 60 s;
}

/// All names, for messages.
pub(crate) fn names() -> String {
    Part::ALL.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|part| part.name() == text);
        found.copied().ok_or_else(|| Error::UnknownPart(text.to_owned()))
    }
}

impl TryFrom<String> for Part {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        part.name().to_owned()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_name_of_its_own_that_leads_back_to_it() {
        for part in Part::ALL {
            assert!(crate::Word::is_word(part.name()));
            assert_eq!(part.name().parse::<Part>().unwrap(), *part);
            assert_eq!(part.file_name(), format!("{part}.json"));
        }
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_list_of_those_known() {
        let message = "cuorier".parse::<Part>().unwrap_err().to_string();
        assert!(message.contains("'cuorier'") && message.contains("courier, mover"), "{message}");
    }
}
