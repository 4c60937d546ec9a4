//! The whole life of an identity: registered once, kept fresh, never doubled, whatever fails in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod world;

use std::time::Duration;

use stayput_health::Code;
use stayput_identity::Capsule;
use stayput_identity::plan::Wish;
use stayput_identity::region::Obstacle;
use stayput_identity::wire::Call;

use world::{Fault, keeper, live, settle, wish, world};

#[test]
fn a_new_box_registers_once_and_hands_out_credentials() {
    let world = world();
    assert_eq!(live(&world, &wish("one"), "here"), Code::Running);
    let world = world.borrow();
    assert_eq!(world.registrations.len(), 1);
    assert_eq!(world.delivered, ["mi-00000000000000001"]);
    assert!(world.card.as_ref().unwrap().pending.is_none());
}

#[test]
fn after_a_restart_the_same_identity_goes_on() {
    let world = world();
    for _ in 0..3 {
        assert_eq!(live(&world, &wish("one"), "here"), Code::Running);
    }
    assert_eq!(world.borrow().registrations.len(), 1);
}

#[test]
fn a_power_cut_between_any_two_steps_costs_at_most_one_more_attempt_with_the_same_key() {
    let mut cuts = 0;
    for at in 0.. {
        let world = world();
        world.borrow_mut().power = Some(at);
        let code = live(&world, &wish("one"), "here");
        let world = world.borrow();
        assert_eq!(code, Code::Running, "cut at {at}");
        assert!(world.registrations.len() <= 2, "cut at {at}: {:?}", world.registrations);
        assert!(world.registrations.windows(2).all(|pair| pair[0] == pair[1]), "cut at {at}");
        if world.power.is_some() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 12, "only {cuts} places to cut at");
}

#[test]
fn a_registration_that_is_lost_twice_stops_and_asks_for_a_new_activation() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        let world = world();
        world.borrow_mut().fail(Call::Register, &[fault.clone(), fault]);
        assert_eq!(live(&world, &wish("one"), "here"), Code::ActivationUnclear);
        // Not again after a restart either, however often.
        let sent = world.borrow().registrations.len();
        for _ in 0..3 {
            assert_eq!(live(&world, &wish("one"), "here"), Code::ActivationUnclear);
        }
        assert_eq!(world.borrow().registrations.len(), sent);
        // Another activation helps.
        assert_eq!(live(&world, &wish("two"), "here"), Code::Running);
    }
}

#[test]
fn a_registration_that_is_lost_once_is_sent_again_with_the_same_key_and_fingerprint() {
    let world = world();
    world.borrow_mut().fail(Call::Register, &[Fault::LostAfter]);
    assert_eq!(live(&world, &wish("one"), "here"), Code::Running);
    let world = world.borrow();
    assert_eq!(world.registrations.len(), 2);
    assert_eq!(world.registrations[0], world.registrations[1]);
}

#[test]
fn a_region_that_cannot_be_reached_costs_no_attempt_however_long_it_takes() {
    let world = world();
    world.borrow_mut().fail(Call::Register, &vec![Fault::Never(Obstacle::Connection); 30]);
    assert_eq!(live(&world, &wish("one"), "here"), Code::Running);
    assert_eq!(world.borrow().registrations.len(), 1);
}

#[test]
fn throttling_and_faults_of_the_service_are_waited_out() {
    let world = world();
    let passing = [(400, "ThrottlingException"), (500, "InternalServerError"), (400, "TooManyUpdates")];
    let faults: Vec<_> =
        passing.iter().cycle().take(12).map(|(status, name)| Fault::Refused(*status, name)).collect();
    world.borrow_mut().fail(Call::Register, &faults);
    assert_eq!(live(&world, &wish("one"), "here"), Code::Running);
    assert_eq!(world.borrow().registrations.len(), 1);
}

#[test]
fn a_refusal_that_only_a_person_can_mend_stops_and_the_corrected_activation_works() {
    let rows = [
        ("InvalidActivation", Code::ActivationWrong),
        ("ActivationExpired", Code::ActivationExpired),
        ("RegistrationLimitExceeded", Code::ActivationUsedUp),
    ];
    for (name, code) in rows {
        let world = world();
        world.borrow_mut().fail(Call::Register, &[Fault::Refused(400, name)]);
        assert_eq!(live(&world, &wish("one"), "here"), code, "{name}");
        assert_eq!(live(&world, &wish("one"), "here"), Code::Running, "{name}: with the code corrected");
    }
}

#[test]
fn the_old_identity_stays_in_use_until_the_new_one_has_given_a_token() {
    let world = world();
    live(&world, &wish("one"), "here");
    world.borrow_mut().fail(Call::Register, &[Fault::Refused(400, "ActivationExpired")]);
    assert_eq!(live(&world, &wish("two"), "here"), Code::ActivationExpired);
    assert_eq!(world.borrow().delivered.last().unwrap(), "mi-00000000000000001");

    world.borrow_mut().fail(Call::RoleToken, &[Fault::Refused(400, "AccessDeniedException")]);
    let mut keeper = keeper(&world, &wish("two"), "here");
    keeper.step().unwrap();
    assert_eq!(world.borrow().registrations.len(), 2);
    assert_eq!(world.borrow().delivered.last().unwrap(), "mi-00000000000000001", "the new one was refused");
    assert_eq!(keeper.code(), Code::IdentityRefused);
    assert_eq!(settle(&world, &mut keeper), Code::Running);
    assert_eq!(world.borrow().delivered.last().unwrap(), "mi-00000000000000002");
}

#[test]
fn a_card_in_another_board_calls_nobody_and_works_again_in_its_own() {
    let world = world();
    live(&world, &wish("one"), "here");
    let tokens = world.borrow().tokens;
    assert_eq!(live(&world, &wish("one"), "there"), Code::IdentityOther);
    assert_eq!((world.borrow().tokens, world.borrow().registrations.len()), (tokens, 1));
    assert_eq!(live(&world, &wish("one"), "here"), Code::Running);
}

#[test]
fn a_card_whose_activation_was_used_elsewhere_says_that_it_needs_a_new_one() {
    let world = world();
    let used = Wish { code: None, ..wish("one") };
    assert_eq!(live(&world, &used, "here"), Code::ActivationUsedUp);
    assert!(world.borrow().registrations.is_empty());
}

#[test]
fn a_new_key_is_safe_on_the_card_before_the_region_hears_of_it() {
    let mut cuts = 0;
    for at in 0.. {
        let world = world();
        live(&world, &wish("one"), "here");
        let before = world.borrow().card.clone().unwrap().identity.unwrap().key;
        world.borrow_mut().asks_for_new_key = true;
        world.borrow_mut().power = Some(at);
        // Once for the change, and once more, which any cut in the first must not have spoilt.
        assert_eq!(live(&world, &wish("one"), "here"), Code::Running, "cut at {at}");
        let uncut = world.borrow().power.is_some();
        world.borrow_mut().power = None;
        assert_eq!(live(&world, &wish("one"), "here"), Code::Running, "cut at {at}");
        let identity = world.borrow().card.clone().unwrap().identity.unwrap();
        assert_ne!(identity.key, before, "cut at {at}");
        assert_eq!(identity.next_key, None, "cut at {at}");
        assert_eq!(world.borrow().registrations.len(), 1);
        if uncut {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 8, "only {cuts} places to cut at");
}

#[test]
fn a_change_of_keys_whose_answer_is_lost_ends_with_the_key_that_the_region_knows() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        let world = world();
        live(&world, &wish("one"), "here");
        world.borrow_mut().asks_for_new_key = true;
        world.borrow_mut().fail(Call::UpdateKey, &[fault]);
        for _ in 0..3 {
            assert_eq!(live(&world, &wish("one"), "here"), Code::Running);
        }
        assert_eq!(world.borrow().card.as_ref().unwrap().identity.as_ref().unwrap().next_key, None);
    }
}

#[test]
fn a_year_of_renewals_leaves_no_moment_without_credentials() {
    let world = world();
    let mut keeper = keeper(&world, &wish("one"), "here");
    let year = Duration::from_secs(365 * 86_400);
    world.borrow_mut().looks_at_signatures = false;
    // Tokens of six hours: a signature takes a millisecond, and a year of hours has too many for a test.
    world.borrow_mut().life = Duration::from_secs(6 * 3600);
    let (mut gaps, mut steps) = (0, 0u32);
    while world.borrow().uptime < year {
        // Now and then a call fails: twice in a row is still well within a token's second half.
        steps += 1;
        if steps.is_multiple_of(50) {
            world
                .borrow_mut()
                .fail(Call::RoleToken, &[Fault::LostBefore, Fault::Refused(500, "InternalServerError")]);
        }
        let wait = keeper.step().unwrap().unwrap();
        let now = stayput_identity::Surroundings::now(&world::around(&world));
        gaps += u32::from(keeper.expires().is_some_and(|expires| expires <= now));
        world.borrow_mut().uptime += wait;
    }
    assert_eq!(gaps, 0);
    let tokens = world.borrow().tokens;
    assert!((2_900..3_000).contains(&tokens), "{tokens} tokens in a year");
    assert_eq!(world.borrow().registrations.len(), 1);
}

#[test]
fn an_identity_that_the_region_dropped_is_asked_for_slowly_and_said_so() {
    let world = world();
    live(&world, &wish("one"), "here");
    world.borrow_mut().fail(Call::RoleToken, &[Fault::Refused(400, "InvalidInstanceId")]);
    let mut keeper = keeper(&world, &wish("one"), "here");
    let wait = keeper.step().unwrap().unwrap();
    assert_eq!(keeper.code(), Code::IdentityRefused);
    assert!(wait >= Duration::from_secs(25 * 60), "{wait:?}");
}

#[test]
fn nothing_secret_is_in_the_capsules_debug_text() {
    let world = world();
    live(&world, &wish("one"), "here");
    let capsule: Capsule = world.borrow().card.clone().unwrap();
    let key = capsule.identity.as_ref().unwrap().key.clone();
    assert!(!format!("{capsule:?}").contains(&key[..32]));
}
