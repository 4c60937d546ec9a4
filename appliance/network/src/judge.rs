//! How long a state of the network may last before a person has to know. Pure.

use std::time::Duration;

use stayput_health::{Code, State};

use crate::links::Given;

/// A link needs seconds to agree with a switch, and a plug that is put into another socket is no fault yet.
const PLUG: Duration = Duration::from_secs(10);
/// A router that has just been switched on gives addresses after half a minute.
const LEASE: Duration = Duration::from_secs(30);
/// The network card's driver, and networkd.
const CARD: Duration = Duration::from_secs(90);

/// What is said, and when it has to be looked at again although nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// How the part does.
    pub state: State,
    /// What exactly.
    pub code: Code,
    /// How long this holds while nothing changes; `None` is for ever.
    pub holds: Option<Duration>,
}

/// What is to be said of something that is given for this long already.
pub fn judge(given: Given, lasting: Duration) -> Said {
    let (patience, passing, fault) = match given {
        Given::Address => return Said { state: State::Running, code: Code::Running, holds: None },
        Given::Cable => (LEASE, Code::NetworkComing, Code::NoDhcp),
        Given::Socket => (PLUG, Code::Starting, Code::NoLink),
        Given::Nothing => (CARD, Code::Starting, Code::InternalFault),
    };
    match patience.checked_sub(lasting).filter(|left| !left.is_zero()) {
        Some(left) => Said { state: State::Starting, code: passing, holds: Some(left) },
        None => Said { state: State::Failed, code: fault, holds: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_plug_that_is_out_is_told_within_seconds_and_a_missing_address_after_half_a_minute() {
        let code = |given, seconds| judge(given, after(seconds)).code;
        assert_eq!([code(Given::Socket, 9), code(Given::Socket, 10)], [Code::Starting, Code::NoLink]);
        assert_eq!([code(Given::Cable, 29), code(Given::Cable, 30)], [Code::NetworkComing, Code::NoDhcp]);
        assert_eq!(
            [code(Given::Nothing, 60), code(Given::Nothing, 90)],
            [Code::Starting, Code::InternalFault]
        );
        assert_eq!(code(Given::Address, 0), Code::Running);
    }

    #[test]
    fn what_passes_is_looked_at_again_when_it_becomes_a_fault_and_not_before() {
        for (given, seconds) in [(Given::Socket, 10), (Given::Cable, 30), (Given::Nothing, 90)] {
            let said = judge(given, after(1));
            assert_eq!((said.state, said.holds), (State::Starting, Some(after(seconds - 1))));
            assert_eq!(judge(given, after(seconds)).holds, None);
        }
        assert_eq!(judge(Given::Address, after(1)).holds, None);
    }
}
