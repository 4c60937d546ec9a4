//! Every row of the service's error tables, against the registration simulator: what the box shows, what it asks again and
//! when, and what it has used up at the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod desk;

use std::time::Duration;

use jiff::SignedDuration;
use stayput_health::Code;
use stayput_identity::plan::Wish;
use stayput_region::Fault;
use stayput_region::simulator::{ERRORS, Repeat, Rule};

use desk::{Desk, desk, leaves_no_answer};

const REGISTER: &str = "RegisterManagedInstance";
const TOKEN: &str = "RequestManagedInstanceRoleToken";
const UPDATE: &str = "UpdateManagedInstancePublicKey";

/// What a refusal means for the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It never asks again by itself.
    Stops,
    /// It asks again in seconds, later and later.
    Soon,
    /// It asks again in 25 to 30 minutes.
    Slow,
}

/// Name, what is shown, what follows: for a registration.
const REGISTERING: &[(&str, Code, Then)] = &[
    ("InvalidActivation", Code::ActivationWrong, Then::Stops),
    ("ActivationExpired", Code::ActivationExpired, Then::Stops),
    ("RegistrationLimitExceeded", Code::ActivationUsedUp, Then::Stops),
    ("InstanceAlreadyRegistered", Code::ActivationUnclear, Then::Stops),
    ("InvalidPublicKey", Code::InternalFault, Then::Stops),
    ("AccessDeniedException", Code::ActivationWrong, Then::Stops),
    ("ValidationException", Code::ActivationWrong, Then::Stops),
    ("InvalidSignatureException", Code::ActivationWrong, Then::Stops),
    ("TooManyUpdates", Code::RegionUnreachable, Then::Soon),
    ("ThrottlingException", Code::RegionUnreachable, Then::Soon),
    ("InternalServerError", Code::RegionUnreachable, Then::Soon),
    ("ServiceUnavailable", Code::RegionUnreachable, Then::Soon),
];

/// The same for a role token, while the credentials before still hold.
const KEEPING: &[(&str, Code, Then)] = &[
    ("MachineFingerprintDoesNotMatch", Code::IdentityRefused, Then::Slow),
    ("InvalidInstanceId", Code::IdentityRefused, Then::Slow),
    ("AccessDeniedException", Code::IdentityRefused, Then::Slow),
    ("InvalidSignatureException", Code::IdentityRefused, Then::Slow),
    ("ValidationException", Code::IdentityRefused, Then::Slow),
    ("ThrottlingException", Code::CredentialsLate, Then::Soon),
    ("InternalServerError", Code::CredentialsLate, Then::Soon),
    ("ServiceUnavailable", Code::CredentialsLate, Then::Soon),
];

/// A refusal of a new key is no news: the old one holds.
const CHANGING: &[&str] = &[
    "InvalidInstanceId",
    "InvalidPublicKey",
    "PublicKeyAlreadyRegistered",
    "AccessDeniedException",
    "InvalidSignatureException",
    "ThrottlingException",
    "ValidationException",
    "InternalServerError",
    "ServiceUnavailable",
];

/// What a wire can do to a call without an error's name.
const WIRE: [Fault; 6] =
    [Fault::Page(503), Fault::LostBefore, Fault::LostAfter, Fault::Torn, Fault::Reset, Fault::Garbled];

#[test]
fn no_row_of_the_simulators_table_is_left_out_here() {
    for row in ERRORS {
        let all = [
            (REGISTER, REGISTERING.iter().any(|(name, ..)| *name == row.name)),
            (TOKEN, KEEPING.iter().any(|(name, ..)| *name == row.name)),
            (UPDATE, CHANGING.contains(&row.name)),
        ];
        for (call, is_here) in all {
            assert!(row.call != call && row.call != "*" || is_here, "{call} {}", row.name);
        }
    }
}

fn waits(then: Then, wait: Option<Duration>) -> bool {
    match (then, wait) {
        (Then::Stops, None) => true,
        (Then::Soon, Some(wait)) => (2..=3).contains(&wait.as_secs()),
        (Then::Slow, Some(wait)) => (25 * 60..=30 * 60).contains(&wait.as_secs()),
        _ => false,
    }
}

#[test]
fn each_refusal_of_a_registration_is_shown_and_followed_as_the_table_says() {
    for (name, code, then) in REGISTERING {
        let desk = desk(1, Rule::default());
        desk.script.next(REGISTER, Fault::refused(name));
        let mut keeper = desk.keeper();
        let wait = keeper.step().unwrap();
        assert_eq!(keeper.code(), *code, "{name}");
        assert!(waits(*then, wait), "{name}: {wait:?}");
        let expected = if *then == Then::Stops { *code } else { Code::Running };
        assert_eq!(desk.settle(&mut keeper), expected, "{name}");
        let used = u32::from(*then != Then::Stops);
        let tally = desk.simulator.tally();
        assert_eq!((tally.registrations, tally.instances), (used, used), "{name}");
        desk.check(name);
    }
}

#[test]
fn what_passes_is_waited_out_however_long_it_takes_and_costs_one_registration() {
    for (name, _, then) in REGISTERING {
        if *then != Then::Soon {
            continue;
        }
        let desk = desk(1, Rule::default());
        desk.script.times(REGISTER, Fault::refused(name), 40);
        assert_eq!(desk.settle(&mut desk.keeper()), Code::Running, "{name}");
        assert_eq!((desk.simulator.tally().registrations, desk.script.left()), (1, 0), "{name}");
        desk.check(name);
    }
}

#[test]
fn when_the_way_is_back_what_waits_for_it_is_tried_at_once_and_a_refusal_keeps_its_pace() {
    let desk = desk(1, Rule::default());
    desk.script.always(REGISTER, Fault::refused("ServiceUnavailable"));
    let mut keeper = desk.keeper();
    let mut wait = Duration::ZERO;
    for _ in 0..12 {
        desk.pass(wait);
        wait = keeper.step().unwrap().unwrap();
    }
    assert!(keeper.is_hindered() && wait > Duration::from_secs(20 * 60), "{wait:?}");
    desk.script.clear("*");
    assert!(keeper.hurry());
    keeper.step().unwrap();
    assert_eq!(keeper.code(), Code::Running);
    assert!(!keeper.is_hindered() && !keeper.hurry(), "nothing waits");

    desk.simulator.deregister(&desk.instance());
    let mut keeper = desk.keeper();
    let wait = keeper.step().unwrap().unwrap();
    assert_eq!(keeper.code(), Code::IdentityRefused);
    assert!(!keeper.hurry(), "the region was asked again before {wait:?} had passed");
}

/// The service's own answers, not ones that are put into its mouth.
#[test]
fn a_wrong_an_expired_a_deleted_and_a_used_up_activation_are_told_apart() {
    type Spoil = fn(&Desk, &mut Wish);
    let rows: &[(&str, Code, Spoil)] = &[
        ("wrong code", Code::ActivationWrong, |_, wish| {
            wish.code = Some("AnotherCodeOf20Chars".parse().unwrap())
        }),
        ("wrong id", Code::ActivationWrong, |_, wish| {
            wish.activation = wish.activation.replace(['1', '2', '3'], "4")
        }),
        ("deleted", Code::ActivationWrong, |desk, wish| desk.simulator.delete_activation(&wish.activation)),
        ("expired", Code::ActivationExpired, |desk, _| desk.pass(Duration::from_secs(25 * 3600))),
        ("used up", Code::ActivationUsedUp, |desk, _| {
            desk.running();
            for name in ["capsule-1", "capsule-2"] {
                std::fs::remove_file(desk.card.path().join(name)).unwrap();
            }
        }),
    ];
    for (what, code, spoil) in rows {
        let desk = desk(1, Rule::default());
        let mut wish = desk.wish();
        spoil(&desk, &mut wish);
        let mut keeper = desk.keeper_for(wish.clone());
        assert_eq!(keeper.step().unwrap(), None, "{what}");
        assert_eq!(keeper.code(), *code, "{what}");
        assert_eq!(desk.settle(&mut desk.keeper_for(wish)), *code, "{what}: after a restart");
        desk.check(what);
    }
}

#[test]
fn a_registration_without_an_answer_is_sent_once_more_and_what_the_region_makes_of_it_is_shown() {
    for fault in WIRE.iter().filter(|fault| leaves_no_answer(fault)) {
        let acts = matches!(fault, Fault::LostAfter | Fault::Torn | Fault::Garbled);
        for (repeat, boxes, carried_out, code) in [
            (Repeat::Another, 2, 2, Code::Running),
            (Repeat::Another, 1, 1, Code::ActivationUnclear),
            (Repeat::Refused, 2, 1, Code::ActivationUnclear),
        ] {
            let what = format!("{fault:?}, {repeat:?}, {boxes}");
            let desk = desk(boxes, Rule { repeat, ..Rule::default() });
            desk.script.next(REGISTER, fault.clone());
            let (used, code) = if acts { (carried_out, code) } else { (1, Code::Running) };
            assert_eq!(desk.settle(&mut desk.keeper()), code, "{what}");
            assert_eq!(desk.simulator.tally().registrations, used, "{what}");
            let made = desk.simulator.instances();
            assert!(
                made.windows(2)
                    .all(|two| two[0].key == two[1].key && two[0].fingerprint == two[1].fingerprint)
            );
            desk.check(&what);
            // Whatever it was, it does not begin again after a restart.
            assert_eq!(desk.settle(&mut desk.keeper()), code, "{what}: after a restart");
            assert_eq!(desk.simulator.tally().registrations, used, "{what}: after a restart");
        }
    }
}

/// The first was lost; what the second is told decides, and a restart does not change the verdict.
#[test]
fn a_refusal_after_a_lost_registration_is_shown_alike_before_and_after_a_restart() {
    for (name, code, then) in REGISTERING.iter().filter(|(.., then)| *then == Then::Stops) {
        let desk = desk(1, Rule::default());
        desk.script.next(REGISTER, Fault::LostBefore);
        desk.script.always(REGISTER, Fault::refused(name));
        // A wrong code was wrong the first time, too. Of anything else nobody knows what the first attempt did.
        let kept = [Code::ActivationWrong, Code::ActivationUnclear].contains(code);
        let expected = if kept { *code } else { Code::ActivationUnclear };
        for life in 0..3 {
            assert_eq!(desk.settle(&mut desk.keeper()), expected, "{name}, {then:?}, life {life}");
        }
        desk.script.clear("*");
        let corrected = if *code == Code::ActivationWrong { Code::Running } else { Code::ActivationUnclear };
        assert_eq!(desk.settle(&mut desk.keeper()), corrected, "{name}: corrected");
        desk.check(name);
    }
}

#[test]
fn a_registration_that_is_lost_twice_is_never_sent_a_third_time() {
    for fault in WIRE.iter().filter(|fault| leaves_no_answer(fault)) {
        let desk = desk(9, Rule::default());
        desk.script.times(REGISTER, fault.clone(), 2);
        for life in 0..4 {
            assert_eq!(desk.settle(&mut desk.keeper()), Code::ActivationUnclear, "{fault:?}, life {life}");
        }
        assert!(desk.simulator.tally().registrations <= 2, "{fault:?}");
        assert_eq!(desk.script.left(), 0, "{fault:?}: it was sent twice");
        desk.check("lost twice");
    }
}

#[test]
fn each_refusal_of_a_token_is_shown_and_followed_as_the_table_says_and_passes() {
    for (name, code, then) in KEEPING {
        let desk = desk(1, Rule::default());
        let mut keeper = desk.running();
        desk.pass(Duration::from_secs(1800));
        desk.script.next(TOKEN, Fault::refused(name));
        let wait = keeper.step().unwrap();
        assert_eq!(keeper.code(), *code, "{name}");
        assert!(waits(*then, wait), "{name}: {wait:?}");
        assert_eq!(desk.settle(&mut keeper), Code::Running, "{name}: when it has passed");
        assert_eq!(desk.simulator.tally().registrations, 1, "{name}: and no new identity for it");
        desk.check(name);
    }
}

#[test]
fn a_token_that_is_lost_on_the_wire_is_asked_for_again_soon() {
    for fault in WIRE {
        let desk = desk(1, Rule::default());
        let mut keeper = desk.running();
        desk.pass(Duration::from_secs(1800));
        desk.script.next(TOKEN, fault.clone());
        let wait = keeper.step().unwrap();
        assert_eq!(keeper.code(), Code::CredentialsLate, "{fault:?}");
        assert!(waits(Then::Soon, wait), "{fault:?}: {wait:?}");
        assert_eq!(desk.settle(&mut keeper), Code::Running, "{fault:?}");
        assert_eq!(desk.delivered(), 2, "{fault:?}");
        desk.check("wire");
    }
}

#[test]
fn a_dropped_instance_and_a_denied_role_keep_asking_twice_an_hour_until_they_may() {
    let desk = desk(2, Rule::default());
    let mut keeper = desk.running();
    let instance = desk.instance();
    desk.simulator.deny(&instance, true);
    for _ in 0..5 {
        let wait = keeper.step().unwrap().unwrap();
        desk.pass(wait);
        keeper.step().unwrap();
        assert_eq!(keeper.code(), Code::IdentityRefused);
    }
    let refused = desk.simulator.tally().refused["AccessDeniedException"];
    assert!(refused <= 6, "{refused} calls");
    desk.simulator.deny(&instance, false);
    assert_eq!(desk.settle(&mut keeper), Code::Running);
    desk.simulator.deregister(&instance);
    desk.pass(Duration::from_secs(1800));
    keeper.step().unwrap();
    assert_eq!(keeper.code(), Code::IdentityRefused);
    assert_eq!(desk.simulator.tally().registrations, 1, "no activation is used up for that");
}

#[test]
fn a_refused_or_lost_change_of_keys_leaves_the_box_running_and_comes_about_later() {
    let refusals = CHANGING.iter().map(|name| Fault::refused(name));
    for fault in refusals.chain(WIRE) {
        let desk = desk(1, Rule::default());
        let mut keeper = desk.running();
        let (instance, before) = (desk.instance(), desk.capsule().identity.unwrap().key);
        desk.simulator.ask_for_key(&instance);
        desk.script.next(UPDATE, fault.clone());
        for _ in 0..3 {
            desk.pass(Duration::from_secs(1800));
            assert_eq!(desk.settle(&mut keeper), Code::Running, "{fault:?}");
        }
        let identity = desk.capsule().identity.unwrap();
        assert!(identity.key != before && identity.next_key.is_none(), "{fault:?}");
        assert_eq!(desk.simulator.tally().keys, 1, "{fault:?}: one change, not two");
        assert_eq!(desk.settle(&mut desk.keeper()), Code::Running, "{fault:?}: after a restart");
        desk.check("change of keys");
    }
}

#[test]
fn a_clock_that_is_off_is_named_both_ways_and_costs_nothing_once_it_is_right() {
    for minutes in [-600, -6, 6, 600] {
        let desk = desk(1, Rule::default());
        desk.skew_box(SignedDuration::from_mins(minutes));
        let mut keeper = desk.keeper();
        keeper.step().unwrap();
        assert_eq!(keeper.code(), Code::ClockRefused, "{minutes}");
        desk.skew_box(SignedDuration::ZERO);
        assert_eq!(desk.settle(&mut keeper), Code::Running, "{minutes}");
        assert_eq!(desk.simulator.tally().registrations, 1, "{minutes}");
        desk.check("clock");
    }
}

#[test]
fn a_second_board_with_a_copy_of_the_card_calls_nobody() {
    let desk = desk(1, Rule::default());
    desk.running();
    let tokens = desk.simulator.tally().tokens;
    let wish = Wish { code: None, ..desk.wish() };
    let mut keeper = desk.keeper_on("there", wish);
    assert_eq!(desk.settle(&mut keeper), Code::IdentityOther);
    assert_eq!(desk.simulator.tally().tokens, tokens);
}

/// A year of tokens of one hour, each signature looked at, a new key each month, and a fault in every fiftieth call.
#[test]
fn a_year_of_renewals_leaves_no_moment_without_credentials() {
    let month = SignedDuration::from_hours(30 * 24);
    let desk = desk(1, Rule { key_age: Some(month), ..Rule::default() });
    let mut keeper = desk.keeper();
    let year = Duration::from_secs(365 * 86_400);
    let faults = [Fault::LostBefore, Fault::refused("InternalServerError"), Fault::LostAfter, Fault::Torn];
    let (mut steps, mut gaps) = (0_usize, 0_u32);
    while desk.uptime() < year {
        let wait = keeper.step().unwrap().unwrap();
        gaps += u32::from(desk.expires() <= desk.now());
        desk.pass(wait);
        steps += 1;
        if steps.is_multiple_of(50) {
            desk.script.next("ssm", faults[steps / 50 % faults.len()].clone());
        }
        if steps.is_multiple_of(5000) {
            // A restart now and then.
            keeper = desk.keeper();
        }
    }
    assert_eq!(gaps, 0);
    let tally = desk.simulator.tally();
    assert!((17_000..18_500).contains(&tally.tokens), "{tally:?}");
    assert!((11..=12).contains(&tally.keys), "{tally:?}");
    assert_eq!(tally.registrations, 1);
    desk.check("a year");
}
