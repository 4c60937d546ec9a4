//! The fold: the worst is shown, silence is death, nothing flickers, and no order of looking changes anything.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use stayput_health::{Code, Error, Moment, Part, Reading, Report, State, VERSION, Word};
use stayput_status::{Asked, Finding, PartView, Phase, Settler, Severity, System, Unit, Verdict, fold, row};

const UP: System = System { phase: Phase::Up, asked: None, degraded: false };

fn at(seconds: u64) -> Moment {
    Moment {
        unix: 1_790_000_000 + i64::try_from(seconds).expect("tests take minutes"),
        boot_ms: seconds * 1000,
    }
}

fn report(part: Part, state: State, code: Code, since: u64) -> Report {
    let (counters, facts) = (BTreeMap::new(), BTreeMap::new());
    Report { version: VERSION, part, state, code, since: at(since), written: at(since), counters, facts }
}

fn fresh(part: Part, state: State, code: Code) -> PartView {
    PartView { part, reading: Reading::Fresh(report(part, state, code, 900)), unit: Unit::Active, died: None }
}

fn absent(part: Part, unit: Unit) -> PartView {
    PartView { part, reading: Reading::Absent, unit, died: None }
}

fn shown(parts: &[PartView]) -> Code {
    fold(parts, UP, at(1000)).state.code
}

#[test]
fn a_box_whose_parts_all_run_is_well_and_has_nothing_to_add() {
    let parts = [
        fresh(Part::Init, State::Done, Code::Running),
        fresh(Part::Mover, State::Running, Code::Running),
        absent(Part::Drop, Unit::Unwanted),
    ];
    let verdict = fold(&parts, UP, at(1000));
    assert_eq!(verdict.state.code, Code::Running);
    assert_eq!(verdict.others, []);
    assert_eq!(verdict.since(), at(900));
}

#[test]
fn the_worst_is_shown_and_everything_else_that_is_not_well_is_kept_in_order() {
    let parts = [
        fresh(Part::Mover, State::Degraded, Code::DiskFilling),
        fresh(Part::Identity, State::Failed, Code::RegionUnreachable),
        fresh(Part::Setup, State::Failed, Code::NoLink),
        fresh(Part::Courier, State::Running, Code::Working),
        fresh(Part::Agent, State::Starting, Code::AgentComing),
    ];
    let verdict = fold(&parts, UP, at(1000));
    // The cable is the cause, the region that does not answer follows from it.
    assert_eq!((verdict.state.code, verdict.state.part), (Code::NoLink, Some(Part::Setup)));
    let others: Vec<_> = verdict.others.iter().map(|other| other.code).collect();
    assert_eq!(others, [Code::RegionUnreachable, Code::DiskFilling, Code::AgentComing]);
}

#[test]
fn a_silent_part_is_dead_since_the_moment_it_was_missed() {
    let last_word = report(Part::Courier, State::Running, Code::Running, 900);
    let reading = Reading::Stale { report: last_word, silent: Duration::from_secs(100) };
    let parts = [PartView { part: Part::Courier, reading, unit: Unit::Active, died: None }];
    let verdict = fold(&parts, UP, at(1000));
    assert_eq!((verdict.state.code, verdict.state.part), (Code::PartDead, Some(Part::Courier)));
    assert_eq!(verdict.since(), at(960), "the courier may be silent for 60 s");
}

#[test]
fn a_part_that_never_spoke_is_starting_at_first_and_dead_later() {
    for unit in [Unit::Inactive, Unit::Activating, Unit::Active, Unit::Deactivating] {
        let parts = [absent(Part::Mover, unit)];
        assert_eq!(fold(&parts, UP, at(119)).state.code, Code::Starting, "{unit:?}");
        assert_eq!(fold(&parts, UP, at(121)).state.code, Code::PartDead, "{unit:?}");
    }
    let setup = [absent(Part::Setup, Unit::Activating)];
    assert_eq!(fold(&setup, UP, at(500)).state.code, Code::Starting, "setup may be silent for ten minutes");
    assert_eq!(shown(&[absent(Part::Mover, Unit::Failed)]), Code::PartDead);
    assert_eq!(fold(&[absent(Part::Mover, Unit::Failed)], UP, at(5)).state.code, Code::PartDead);
}

#[test]
fn a_part_whose_unit_failed_is_dead_even_while_its_last_word_is_fresh() {
    let mut view = fresh(Part::Mover, State::Running, Code::Running);
    view.unit = Unit::Failed;
    assert_eq!(shown(&[view]), Code::PartDead);
    // Unless it said itself what is wrong, which helps more.
    let mut view = fresh(Part::Setup, State::Failed, Code::ConfigWrong);
    view.unit = Unit::Failed;
    assert_eq!(shown(&[view]), Code::ConfigWrong);
}

#[test]
fn a_part_that_was_killed_and_started_again_within_a_second_is_seen_to_have_died() {
    let died_at = |second| {
        let mut view = fresh(Part::Courier, State::Running, Code::Running);
        view.died = Some(at(second));
        fold(&[view], UP, at(1000)).state
    };
    assert_eq!((died_at(999).code, died_at(999).since), (Code::PartDead, at(999)));
    assert_eq!(died_at(990).code, Code::Running);
}

#[test]
fn the_line_for_the_log_has_the_code_the_part_and_the_sentence() {
    let verdict = fold(&[fresh(Part::Setup, State::Failed, Code::NoDhcp)], UP, at(1000));
    assert_eq!(verdict.state.to_string(), "NET-02 setup: The network gave the box no address (DHCP).");
    assert_eq!(verdict.state.screen(), ["NO ADDRESS", "Router gives none"]);
}

#[test]
fn a_file_that_cannot_be_believed_is_an_internal_fault_of_its_part() {
    let error = Error::UnknownCode("XXX-00".to_owned());
    let view =
        PartView { part: Part::Drop, reading: Reading::Unreadable(error), unit: Unit::Active, died: None };
    let verdict = fold(&[view], UP, at(1000));
    assert_eq!((verdict.state.code, verdict.state.part), (Code::InternalFault, Some(Part::Drop)));
}

#[test]
fn a_state_that_is_worse_than_its_code_is_believed() {
    for (state, code, shown_as) in [
        (State::Failed, Code::Running, Code::PartFailed),
        (State::Failed, Code::DiskFilling, Code::PartFailed),
        (State::Degraded, Code::Running, Code::PartDegraded),
        (State::Starting, Code::Running, Code::Starting),
        (State::Running, Code::StorageFault, Code::StorageFault),
        (State::Done, Code::StateRepaired, Code::StateRepaired),
        (State::Stopped, Code::Stopped, Code::Stopped),
    ] {
        assert_eq!(shown(&[fresh(Part::Mover, state, code)]), shown_as, "{state:?} {code}");
    }
}

#[test]
fn a_part_that_claims_that_the_box_may_be_unplugged_is_at_fault_and_not_believed() {
    for code in Code::ALL.iter().filter(|code| !row(**code).reportable()) {
        assert_eq!(shown(&[fresh(Part::Mover, State::Running, *code)]), Code::InternalFault, "{code}");
    }
}

#[test]
fn a_box_of_which_nothing_is_known_is_not_well() {
    assert_eq!(fold(&[], UP, at(5)).state.code, Code::Starting);
    assert_eq!(fold(&[], UP, at(500)).state.code, Code::InternalFault);
}

#[test]
fn shutting_down_is_shown_over_every_fault_and_what_a_person_asked_for_too() {
    let parts = || [fresh(Part::Mover, State::Failed, Code::StorageFault)];
    let stopping = System { phase: Phase::Stopping, asked: Some(Asked::Locate), degraded: false };
    let verdict = fold(&parts(), stopping, at(1000));
    assert_eq!(verdict.state.code, Code::ShuttingDown);
    assert_eq!(verdict.others.last().unwrap().code, Code::StorageFault);
    let asked = System { asked: Some(Asked::LampTest), ..UP };
    assert_eq!(fold(&parts(), asked, at(1000)).state.code, Code::LampTest);
}

#[test]
fn a_unit_of_no_part_that_failed_makes_a_box_that_is_well_limp_and_hides_nothing_worse() {
    let degraded = System { degraded: true, ..UP };
    let well = [fresh(Part::Mover, State::Running, Code::Running)];
    assert_eq!(fold(&well, degraded, at(1000)).state.code, Code::PartDegraded);
    let fault = [fresh(Part::Mover, State::Failed, Code::StorageFault)];
    assert_eq!(fold(&fault, degraded, at(1000)).state.code, Code::StorageFault);
}

#[test]
fn the_line_of_a_mistake_reaches_screen_and_sentence_cut_to_its_room() {
    let said = |line| {
        let mut view = fresh(Part::Setup, State::Failed, Code::ConfigWrong);
        let Reading::Fresh(report) = &mut view.reading else { unreachable!() };
        report.counters.insert(Word::try_from("line").unwrap(), line);
        fold(&[view], UP, at(1000)).state.detail.unwrap()
    };
    assert_eq!(row(Code::ConfigWrong).sentence(Some(&said(12))), "stayput.toml has a mistake in line 12.");
    assert_eq!(said(u64::MAX), "9999999+");
}

#[test]
fn why_the_other_slot_runs_is_told_as_a_word_cut_to_its_room() {
    let mut view = fresh(Part::Init, State::Degraded, Code::OtherSlot);
    let Reading::Fresh(report) = &mut view.reading else { unreachable!() };
    report.facts.insert(Word::try_from("why").unwrap(), Word::try_from("damaged-root").unwrap());
    assert_eq!(fold(&[view], UP, at(1000)).state.detail.unwrap(), "damaged");
}

/// One state of the box as a verdict of its own.
fn only(code: Code, since: u64) -> Verdict {
    let state = Finding { code, part: Some(Part::Courier), since: at(since), detail: None };
    Verdict { state, others: Vec::new() }
}

#[test]
fn a_worse_state_shows_at_once_and_a_better_one_when_it_has_held() {
    let mut settler = Settler::default();
    let mut show = |code, second| settler.settle(only(code, second), at(second)).state.code;
    assert_eq!(show(Code::Running, 0), Code::Running);
    assert_eq!(show(Code::NoLink, 1), Code::NoLink);
    assert_eq!(show(Code::Running, 2), Code::NoLink);
    assert_eq!(show(Code::Running, 10), Code::NoLink);
    assert_eq!(show(Code::Running, 11), Code::Running);
}

#[test]
fn what_is_held_back_is_among_the_others_until_it_is_well() {
    let mut settler = Settler::default();
    settler.settle(only(Code::StorageFault, 1), at(1));
    let verdict = settler.settle(only(Code::NoLink, 2), at(2));
    assert_eq!(verdict.state.code, Code::StorageFault);
    assert_eq!(verdict.others.iter().map(|other| other.code).collect::<Vec<_>>(), [Code::NoLink]);
    assert_eq!(settler.settle(only(Code::Running, 3), at(3)).others, []);
}

#[test]
fn a_way_down_in_quick_steps_does_not_show_the_steps_later() {
    let mut settler = Settler::default();
    let steps = [Code::StorageFault, Code::NoLink, Code::NoDhcp, Code::RegionUnreachable, Code::Activating];
    let codes = steps.into_iter().chain(std::iter::repeat(Code::Running)).take(40);
    let shown: Vec<_> =
        (0..).zip(codes).map(|(at_s, code)| settler.settle(only(code, at_s), at(at_s)).state.code).collect();
    let mut changes = shown.clone();
    changes.dedup();
    assert_eq!(changes, [Code::StorageFault, Code::Running]);
}

#[test]
fn one_good_second_between_two_faults_is_not_the_end_of_the_trouble() {
    let mut settler = Settler::default();
    settler.settle(only(Code::StorageFault, 0), at(0));
    for second in 1..40 {
        // The region comes back for one second, just when the first fault is forgotten.
        let code = if second == 10 { Code::Running } else { Code::RegionUnreachable };
        let shown = settler.settle(only(code, second), at(second)).state.code;
        assert_ne!(shown, Code::Running, "at {second}");
    }
}

#[test]
fn a_link_that_comes_and_goes_every_second_is_one_steady_light_since_its_first_loss() {
    let mut settler = Settler::default();
    settler.settle(only(Code::Running, 0), at(0));
    for second in 1..120 {
        let code = if second % 2 == 1 { Code::NoLink } else { Code::Running };
        let verdict = settler.settle(only(code, second), at(second));
        assert_eq!((verdict.state.code, verdict.since()), (Code::NoLink, at(1)), "at {second}");
    }
}

#[test]
fn what_a_person_asked_for_ends_at_once() {
    let mut settler = Settler::default();
    settler.settle(only(Code::Locate, 5), at(5));
    assert_eq!(settler.settle(only(Code::Running, 6), at(6)).state.code, Code::Running);
}

fn reportable() -> impl Strategy<Value = Code> {
    select(Code::ALL.iter().copied().filter(|code| row(*code).reportable()).collect::<Vec<_>>())
}

fn state() -> impl Strategy<Value = State> {
    use State::*;
    select(vec![Starting, Running, Degraded, Failed, Done, Stopped])
}

fn unit() -> impl Strategy<Value = Unit> {
    use Unit::*;
    select(vec![Unwanted, Inactive, Activating, Active, Deactivating, Failed])
}

/// What stands in for a [`PartView`], which holds an error and so cannot be copied.
#[derive(Debug, Clone)]
struct Seen {
    part: Part,
    kind: u8,
    state: State,
    code: Code,
    since: u64,
    unit: Unit,
    died: Option<u64>,
}

fn seen() -> impl Strategy<Value = Seen> {
    let parts = (
        select(Part::ALL),
        0..4_u8,
        state(),
        reportable(),
        0..400_u64,
        unit(),
        proptest::option::of(400..600_u64),
    );
    parts.prop_map(|(part, kind, state, code, since, unit, died)| Seen {
        part,
        kind,
        state,
        code,
        since,
        unit,
        died,
    })
}

fn view(seen: &Seen) -> PartView {
    let report = report(seen.part, seen.state, seen.code, seen.since);
    let reading = match seen.kind {
        0 => Reading::Absent,
        1 => Reading::Stale { report, silent: Duration::from_secs(300) },
        2 => Reading::Unreadable(Error::UnknownPart("x".to_owned())),
        _ => Reading::Fresh(report),
    };
    PartView { part: seen.part, reading, unit: seen.unit, died: seen.died.map(at) }
}

fn views(seen: &[Seen]) -> Vec<PartView> {
    seen.iter().map(view).collect()
}

fn system() -> impl Strategy<Value = System> {
    let phases = select(vec![Phase::ComingUp, Phase::Up, Phase::Stopping]);
    let asked = select(vec![None, Some(Asked::LampTest), Some(Asked::Locate)]);
    (phases, asked, any::<bool>()).prop_map(|(phase, asked, degraded)| System { phase, asked, degraded })
}

/// Whether `shown` is at least as bad as `code`, judged by the fold itself: with both in, `shown` still wins.
fn at_least(shown: Code, code: Code) -> bool {
    let both = [fresh(Part::Mover, State::Running, shown), fresh(Part::Init, State::Running, code)];
    row(shown).severity() > row(code).severity() || fold(&both, UP, at(1000)).state.code == shown
}

proptest! {
    #[test]
    fn the_box_is_never_better_than_its_worst_fresh_part(seen in proptest::collection::vec(seen(), 0..8), system in system()) {
        let verdict = fold(&views(&seen), system, at(500));
        for part in seen.iter().filter(|part| part.kind == 3) {
            prop_assert!(at_least(verdict.state.code, part.code), "{} hides {}", verdict.state.code, part.code);
        }
        for dead in seen.iter().filter(|part| part.kind == 1 || part.kind == 2) {
            prop_assert!(verdict.state.severity() >= Severity::Fault, "{:?}", dead);
        }
    }

    #[test]
    fn the_order_of_looking_and_looking_twice_change_nothing(
        seen in proptest::collection::vec(seen(), 0..8).prop_flat_map(|seen| (Just(seen.clone()), Just(seen).prop_shuffle())),
        system in system(),
    ) {
        let (once, shuffled) = seen;
        let verdict = fold(&views(&once), system, at(500));
        prop_assert_eq!(&verdict, &fold(&views(&shuffled), system, at(500)));
        let twice: Vec<_> = views(&once).into_iter().chain(views(&shuffled)).collect();
        prop_assert_eq!(&verdict, &fold(&twice, system, at(500)));
    }

    #[test]
    fn one_more_part_never_makes_the_box_look_better(
        seen in proptest::collection::vec(seen(), 1..8), more in seen(), system in system(),
    ) {
        let before = fold(&views(&seen), system, at(500)).state;
        let with: Vec<_> = views(&seen).into_iter().chain([view(&more)]).collect();
        let after = fold(&with, system, at(500)).state;
        // From nothing known to one part that is well, the box may get better.
        prop_assume!(before.part.is_some() || system != UP);
        prop_assert!(after.severity() >= before.severity(), "{} became {}", before.code, after.code);
    }

    #[test]
    fn what_is_shown_is_never_better_than_now_was_true_lately_and_asking_twice_changes_nothing(
        codes in proptest::collection::vec((reportable(), 1..6_u64), 1..60),
    ) {
        let mut settler = Settler::default();
        let (mut second, mut history) = (0, Vec::new());
        for (code, pause) in codes {
            second += pause;
            history.push((second, code));
            let shown = settler.settle(only(code, second), at(second)).state.code;
            prop_assert!(at_least(shown, code), "{} hides {}", shown, code);
            // Found within the calm before it was shown, and gone for less than its hold since then.
            let lately = history.iter().any(|(then, code)| *code == shown && second - then < 13);
            prop_assert!(lately, "{} at {}", shown, second);
            prop_assert_eq!(settler.settle(only(code, second), at(second)).state.code, shown);
        }
    }

    #[test]
    fn whatever_was_before_a_state_that_lasts_is_the_one_that_is_shown(
        before in proptest::collection::vec(reportable(), 0..40), lasting in reportable(),
    ) {
        let mut settler = Settler::default();
        let start = before.len() as u64;
        for (second, code) in (0..).zip(before) {
            settler.settle(only(code, second), at(second));
        }
        // One hold for what was shown, and one more for a worse one that came within the calm.
        let verdict = (start..start + 24).map(|second| settler.settle(only(lasting, start), at(second))).last().unwrap();
        prop_assert_eq!(verdict.state.code, lasting);
        prop_assert_eq!(verdict.others, vec![]);
    }

    #[test]
    fn a_light_changes_to_a_better_one_at_most_once_in_the_time_that_the_better_one_must_hold(
        codes in proptest::collection::vec(reportable(), 1..200),
    ) {
        let mut settler = Settler::default();
        let mut last_change: Option<(u64, Code)> = None;
        for (second, code) in (1..).zip(codes) {
            let shown = settler.settle(only(code, second), at(second)).state.code;
            match last_change {
                Some((_, before)) if before == shown => {}
                Some((then, before)) => {
                    if !at_least(shown, before) {
                        let hold = Settler::hold(row(before).severity()).as_secs();
                        prop_assert!(second - then >= hold, "{} after {} s became {}", before, second - then, shown);
                    }
                    last_change = Some((second, shown));
                }
                None => last_change = Some((second, shown)),
            }
        }
    }
}
