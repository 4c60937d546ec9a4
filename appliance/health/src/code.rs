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
    PartDegraded = "RUN-03", "the part works with less than it should have";
    PartFailed = "RUN-07", "the part cannot work";
    PartDead = "RUN-08", "the part has ended or hangs: it should have spoken again and has not";
    InternalFault = "RUN-09", "the part met something that it should have made impossible";
    StatusDark = "RUN-10", "nothing drives the status lights: not up yet, switched off, or the status part is dead";
    KernelPanic = "RUN-11", "the kernel stopped and restarts the box by itself";
    EngineFault = "RUN-12", "the container engine does not work";

    LampTest = "PWR-01", "every light is tried, so that a dead one is noticed";
    Locate = "PWR-02", "someone asked this box to show which one it is";
    ShuttingDown = "PWR-03", "the box is shutting down";
    SafeToUnplug = "PWR-04", "the box has shut down and the power may be taken away";

    Booting = "BOT-01", "the kernel has started and the system is coming up";
    PreparingCard = "BOT-02", "the card is being made ready for its first use";

    BootDevices = "INI-01", "the kernel's own file systems could not be mounted";
    BootModules = "INI-02", "a kernel module could not be loaded";
    BootArguments = "INI-03", "the boot arguments are missing or wrong";
    BootDisk = "INI-04", "the disk that carries this image was not found";
    BootRoot = "INI-05", "the root file system could not be mounted";
    BootHandOver = "INI-06", "the system on the root file system could not be started";
    BootVerity = "INI-07", "the root file system could not be put under the kernel's checks";

    StateVolatile = "STO-01", "the state partition is not usable, so state is kept in memory and lost at power-off";
    StateRepaired = "STO-02", "the state file system was damaged and has been repaired";
    PersistFailed = "STO-03", "a path that must be kept could not be put in its place";
    MachineIdVolatile = "STO-04", "the machine id could not be kept and is new at each boot";
    MachineIdReplaced = "STO-05", "the kept machine id was lost or damaged and has been replaced by a new one";
    SameDiskTwice = "STO-06", "two disks carry this image, and one of them was chosen";
    DiskFull = "STO-07", "the room for files is used up down to the reserve, so no order is taken";
    StorageFault = "STO-08", "the card refused to read or write";
    DataMissing = "STO-09", "the data partition could not be used for writing";
    DiskFilling = "STO-10", "the room for files is running short";
    CardWorn = "STO-11", "the card is near the end of its life";
    CardUnchecked = "STO-12", "a file system of the card could not be checked, and is used all the same";
    DataUnrecognised = "STO-13", "the place of the files holds something that is not the box's, and is left alone";
    DataRepaired = "STO-14", "the file system of the files was damaged and has been repaired";
    DataNotGrown = "STO-15", "the room for files does not reach to the end of the card";
    StateFull = "STO-16", "the state partition had no room left when the box started";

    OtherSlot = "SLT-01", "the box runs the other of its two systems, because the usual one did not start";
    Updating = "UPD-01", "a new version is being written to the other slot";
    UpdateTrial = "UPD-02", "a new version runs for the first time and is being tried";
    UpdateFailed = "UPD-03", "the new version was not taken, and the old one goes on";

    ConfigMissing = "CFG-01", "there is no stayput.toml on the card";
    ConfigWrong = "CFG-02", "stayput.toml has a mistake";
    ConfigUnreadable = "CFG-03", "stayput.toml is there and cannot be read";
    ConfigIgnored = "CFG-04", "the changed stayput.toml has a mistake, so the last good one stays in force";
    PlainHttp = "CFG-05", "stayput.toml allows endpoints without encryption";
    SecretLeft = "CFG-06", "the activation code could not be wiped off the card";
    ConfigKept = "CFG-07", "stayput.toml is gone or cannot be read, so the last good one stays in force";

    NoLink = "NET-01", "the network cable is not connected";
    NoDhcp = "NET-02", "no address came from the network";
    NoDns = "NET-03", "names are not answered by the network";
    NetworkComing = "NET-04", "the network is coming up";

    ClockUnset = "CLK-01", "the clock could not be set";
    ClockRefused = "CLK-02", "the region says that the clock is wrong";
    ClockComing = "CLK-03", "the clock is being set";

    TlsIntercepted = "TLS-01", "something on the way opens the encryption";

    RegionUnreachable = "REG-01", "the region does not answer";
    ProxyRefused = "REG-02", "the proxy does not let the box through";
    QueueRefused = "REG-03", "the queue or bucket is missing or not allowed";
    CredentialsLate = "REG-04", "credentials could not be renewed so far and still hold for a while";

    ActivationExpired = "ACT-01", "the activation has expired";
    ActivationWrong = "ACT-02", "the activation id or code is wrong";
    ActivationUsedUp = "ACT-03", "the activation has been used by as many machines as it allows";
    ActivationUnclear = "ACT-04", "a registration was sent and its answer was lost";
    IdentityOther = "ACT-05", "the card's identity belongs to another board";
    IdentityRefused = "ACT-06", "the region does not accept this box's identity any more";
    Activating = "ACT-07", "the box is registering with the region";
    Registered = "ACT-08", "the box is registered and its work is about to start";

    AgentLost = "AGT-01", "the agent has lost the cluster";
    ClusterRefused = "AGT-02", "the cluster is missing or does not take the box";
    AgentComing = "AGT-03", "the agent is joining the cluster";

    Working = "WRK-01", "orders are being carried out";
    Waiting = "WRK-02", "orders are here whose files have not come yet";
    Parked = "WRK-03", "orders were set aside because they cannot be carried out as they are";
    Conflict = "WRK-04", "a result of the same name is there already, and both files were kept";
    QueueRules = "WRK-05", "the queue's rules could lose orders";
    WeakSeparation = "WRK-06", "network and files are handled in one container, not in two";
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
