//! How the courier does, as one state and one code of the box's table.

use std::time::Duration;

use stayput_health::{Code, State};

use super::Boot;
use super::desk::{Desk, Trouble};
use crate::Outcome;

/// A mover that is away or silent for longer is a state and not a moment.
const SILENT: Duration = Duration::from_secs(10);
/// For how long there may be no credentials: a registration, on a box whose network comes late.
const REGISTRATION: Duration = Duration::from_secs(300);
/// For how long after an order the courier counts as at work.
const WORK: Duration = Duration::from_secs(5);

/// What the desk does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Situation {
    /// Whether the mover was ever there.
    pub(super) met: bool,
    /// Whether the queue's rules could lose orders.
    pub(super) risky: bool,
}

/// The state and the code.
pub(super) fn judge(desk: &Desk, situation: Situation, now: Boot) -> (State, Code) {
    if desk.is_stopping() {
        return (State::Stopped, Code::Stopped);
    }
    if !desk.has_clock() {
        return (State::Degraded, Code::ClockUnset);
    }
    if let Some(time) = desk.without_credentials(now) {
        // The part that brings them says what keeps it.
        return if time < REGISTRATION {
            (State::Starting, Code::Starting)
        } else {
            (State::Degraded, Code::CredentialsLate)
        };
    }
    if let Some(failing) = desk.failing().and_then(|(trouble, times)| of_trouble(trouble, times)) {
        return failing;
    }
    if !situation.met {
        return if desk.mover_silent(now) < SILENT {
            (State::Starting, Code::Starting)
        } else {
            (State::Degraded, Code::PartDegraded)
        };
    }
    if desk.mover_silent(now) >= SILENT {
        return (State::Degraded, Code::PartDegraded);
    }
    if let Some(outcome) = desk.paused() {
        let code = match outcome {
            Outcome::DiskFull => Code::DiskFull,
            Outcome::ReadOnly | Outcome::Stopped => Code::StorageFault,
            _ => Code::PartDegraded,
        };
        return (State::Degraded, code);
    }
    let code = if desk.has_conflict(now) {
        Code::Conflict
    } else if desk.has_parked(now) {
        Code::Parked
    } else if situation.risky {
        Code::QueueRules
    } else if desk.worked_within(now, WORK) {
        Code::Working
    } else if desk.watching() > 0 {
        Code::Waiting
    } else {
        Code::Running
    };
    (State::Running, code)
}

/// What failing calls mean; one that may have been a moment's is waited for to happen again.
fn of_trouble(trouble: Trouble, times: u32) -> Option<(State, Code)> {
    let (least, state, code) = match trouble {
        Trouble::Unreachable | Trouble::Hung | Trouble::Service | Trouble::Throttled => {
            (3, State::Degraded, Code::RegionUnreachable)
        }
        Trouble::Denied | Trouble::Answer => (1, State::Failed, Code::QueueRefused),
        Trouble::Credentials => (2, State::Degraded, Code::CredentialsLate),
        Trouble::Clock => (2, State::Degraded, Code::ClockRefused),
        Trouble::Quota => (1, State::Degraded, Code::QueueRules),
    };
    (times >= least).then_some((state, code))
}

#[cfg(test)]
mod tests {
    use super::super::desk::{Action, Event};
    use super::*;

    fn fit() -> (Desk, u64) {
        let mut desk = Desk::new(Boot::at(0));
        desk.take(Boot::at(0), Event::MoverUp);
        desk.next(Boot::at(0));
        desk.take(Boot::at(0), Event::Obstacle(None));
        let call = receive(&mut desk, Boot::at(0));
        (desk, call)
    }

    fn receive(desk: &mut Desk, now: Boot) -> u64 {
        let found = desk.next(now).into_iter().find_map(|action| match action {
            Action::Receive { call, .. } => Some(call),
            _ => None,
        });
        found.unwrap()
    }

    const MET: Situation = Situation { met: true, risky: false };

    #[test]
    fn a_courier_without_a_mover_starts_and_then_is_degraded() {
        let desk = Desk::new(Boot::at(0));
        let at = |seconds: u64| judge(&desk, Situation::default(), Boot::at(seconds * 1000));
        assert_eq!(at(1), (State::Starting, Code::Starting));
        assert_eq!(at(30), (State::Degraded, Code::PartDegraded));
    }

    #[test]
    fn a_courier_without_credentials_starts_for_as_long_as_a_registration_may_take() {
        let mut desk = Desk::new(Boot::at(0));
        desk.take(Boot::at(1_000), Event::Credentials(false));
        let at = |desk: &Desk, seconds: u64| judge(desk, MET, Boot::at(seconds * 1000));
        assert_eq!(at(&desk, 2), (State::Starting, Code::Starting));
        desk.take(Boot::at(100_000), Event::Credentials(false));
        assert_eq!(at(&desk, 302), (State::Degraded, Code::CredentialsLate));
    }

    #[test]
    fn a_courier_with_nothing_to_do_says_so_and_one_with_risky_rules_as_well() {
        let (desk, _) = fit();
        assert_eq!(judge(&desk, MET, Boot::at(1)), (State::Running, Code::Running));
        let risky = Situation { risky: true, ..MET };
        assert_eq!(judge(&desk, risky, Boot::at(1)), (State::Running, Code::QueueRules));
    }

    #[test]
    fn each_trouble_that_lasts_has_its_code() {
        let table = [
            (Trouble::Unreachable, Code::RegionUnreachable),
            (Trouble::Hung, Code::RegionUnreachable),
            (Trouble::Throttled, Code::RegionUnreachable),
            (Trouble::Service, Code::RegionUnreachable),
            (Trouble::Denied, Code::QueueRefused),
            (Trouble::Credentials, Code::CredentialsLate),
            (Trouble::Clock, Code::ClockRefused),
            (Trouble::Quota, Code::QueueRules),
            (Trouble::Answer, Code::QueueRefused),
        ];
        assert_eq!(table.len(), Trouble::ALL.len());
        for (trouble, code) in table {
            let (mut desk, mut call) = fit();
            for times in 1..=3 {
                let now = Boot::at(times * 60_000);
                desk.take(now, Event::Received { call, result: Err(trouble) });
                desk.next(now);
                desk.take(now, Event::Obstacle(None));
                call = receive(&mut desk, Boot::at(times * 60_000 + 30_000));
                desk.take(now, Event::Obstacle(None));
            }
            assert_eq!(judge(&desk, MET, Boot::at(200_000)).1, code, "{trouble:?}");
            desk.take(Boot::at(200_000), Event::Received { call, result: Ok(Vec::new()) });
            assert_eq!(judge(&desk, MET, Boot::at(200_000)).1, Code::Running, "{trouble:?}");
        }
    }

    #[test]
    fn a_single_broken_connection_is_no_state() {
        let (mut desk, call) = fit();
        desk.take(Boot::at(9), Event::Received { call, result: Err(Trouble::Unreachable) });
        assert_eq!(judge(&desk, MET, Boot::at(10)), (State::Running, Code::Running));
    }

    #[test]
    fn a_mover_without_room_stops_the_receiving_and_has_its_code() {
        let table = [
            (Outcome::DiskFull, Code::DiskFull),
            (Outcome::ReadOnly, Code::StorageFault),
            (Outcome::Stopped, Code::StorageFault),
            (Outcome::LedgerFull, Code::PartDegraded),
        ];
        for (outcome, code) in table {
            let mut desk = Desk::new(Boot::at(0));
            desk.take(Boot::at(0), Event::MoverUp);
            desk.next(Boot::at(0));
            desk.take(Boot::at(0), Event::Obstacle(Some(outcome)));
            assert!(desk.next(Boot::at(1)).is_empty());
            assert_eq!(judge(&desk, MET, Boot::at(1)), (State::Degraded, code));
        }
    }
}
