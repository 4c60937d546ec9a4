//! The registration service: what it does, what it refuses, and that it is as strict as it says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;

use jiff::SignedDuration;
use serde_json::{Value, json};
use stayput_region::Fault;
use stayput_region::http::Request;
use stayput_region::service::serve;
use stayput_region::simulator::Repeat;
use stayput_region::{Script, simulator::ERRORS};

use agent::{FINGERPRINT, Sign, key, post, public, set, world};

#[test]
fn a_box_registers_gets_tokens_changes_its_key_and_gives_a_sign_of_life() {
    let world = world(1);
    let instance = world.register();
    assert!(instance.starts_with("mi-") && instance.len() == 20, "{instance}");
    let token = world.call(&world.token_request(&instance)).unwrap();
    assert_eq!(token["UpdateKeyPair"], json!(false));
    let until = token["TokenExpirationDate"].as_f64().unwrap();
    assert!((until - 1_795_003_600.0).abs() < 1.0, "{until}");

    world.simulator.ask_for_key(&instance);
    assert_eq!(world.call(&world.token_request(&instance)).unwrap()["UpdateKeyPair"], json!(true));
    let body = json!({ "NewPublicKey": public(&key(1)), "NewPublicKeyType": "Rsa" });
    let mut change = post("UpdateManagedInstancePublicKey", &body);
    Sign::of(&instance, 0).sign(&mut change, world.clock.now());
    assert_eq!(world.call(&change), Ok(json!({})));
    assert_eq!(
        world.call(&world.token_request(&instance)),
        Err("InvalidSignatureException".to_owned()),
        "the old key"
    );
    let mut request = world.token_request(&instance);
    Sign::of(&instance, 1).sign(&mut request, world.clock.now());
    assert_eq!(
        world.call(&request).unwrap()["UpdateKeyPair"],
        json!(false),
        "the new key, and no more asking"
    );

    let tally = world.simulator.tally();
    assert_eq!((tally.registrations, tally.instances, tally.tokens, tally.keys), (1, 1, 3, 1));
    assert_eq!(world.simulator.complaints(), Vec::<String>::new());
}

/// Each row spoils one thing of an honest registration.
#[test]
fn a_registration_that_is_not_as_the_model_says_is_refused_and_complained_of() {
    type Spoil = fn(&mut Request, &mut Value);
    let rows: &[(&str, &str, Spoil)] = &[
        ("a signature", "ValidationException", |r, _| set(r, "Authorization", "x")),
        ("a date", "ValidationException", |r, _| set(r, "X-Amz-Date", "20261120T170500Z")),
        ("another kind of body", "ValidationException", |r, _| set(r, "Content-Type", "application/json")),
        ("another call", "UnknownOperationException", |r, _| set(r, "X-Amz-Target", "AmazonSSM.SendCommand")),
        ("a short code", "ValidationException", |_, b| b["ActivationCode"] = json!("short")),
        ("an id that is no UUID", "ValidationException", |_, b| b["ActivationId"] = json!("x")),
        ("no fingerprint", "ValidationException", |_, b| {
            drop(b.as_object_mut().unwrap().remove("Fingerprint"))
        }),
        ("a sixth member", "ValidationException", |_, b| b["IamRole"] = json!("x")),
        ("another kind of key", "ValidationException", |_, b| b["PublicKeyType"] = json!("Ed25519")),
        ("a short key", "ValidationException", |_, b| b["PublicKey"] = json!("AAAA")),
        ("a key that is none", "InvalidPublicKey", |_, b| b["PublicKey"] = json!("A".repeat(392))),
        ("a key with line feeds", "InvalidPublicKey", |_, b| {
            b["PublicKey"] = json!(format!("{}\n", public(&key(0))));
        }),
    ];
    for (what, expected, spoil) in rows {
        let world = world(1);
        let mut body = world.registration();
        let mut request = post("RegisterManagedInstance", &body);
        spoil(&mut request, &mut body);
        request.body = body.to_string().into_bytes();
        assert_eq!(world.call(&request), Err((*expected).to_owned()), "{what}");
        assert_eq!(world.simulator.complaints().len(), 1, "{what}");
        assert_eq!(world.simulator.tally().registrations, 0, "{what}");
    }
}

/// Each row spoils one thing of a signed call before or after it is signed.
#[test]
fn a_signed_call_with_anything_out_of_place_is_refused() {
    type Spoil = fn(&mut Sign<'_>, &mut Request);
    let nothing: Spoil = |_, _| {};
    let rows: &[(&str, &str, bool, Spoil, Spoil)] = &[
        ("nothing", "", false, nothing, nothing),
        ("another key", "InvalidSignatureException", false, |s, _| s.key = key(1), nothing),
        (
            "another region",
            "InvalidSignatureException",
            true,
            |s, _| s.scope = "eu-west-1/ssm/aws4_request",
            nothing,
        ),
        (
            "another service",
            "InvalidSignatureException",
            true,
            |s, _| s.scope = "eu-central-1/sqs/aws4_request",
            nothing,
        ),
        (
            "a header too few",
            "InvalidSignatureException",
            true,
            |s, _| s.names = "content-type;host;x-amz-date",
            nothing,
        ),
        (
            "headers out of order",
            "InvalidSignatureException",
            true,
            |s, _| s.names = "host;content-type;x-amz-date;x-amz-target",
            nothing,
        ),
        (
            "a signed header that is not there",
            "InvalidSignatureException",
            true,
            |s, _| s.names = "content-type;host;x-amz-date;x-amz-target;x-more",
            nothing,
        ),
        ("another body", "InvalidSignatureException", true, nothing, |_, r| r.body.push(b' ')),
        ("another body with its hash", "InvalidSignatureException", false, nothing, |_, r| {
            use sha2::Digest as _;
            r.body.push(b' ');
            let hash = hex::encode(sha2::Sha256::digest(&r.body));
            set(r, "X-Amz-Content-Sha256", &hash);
        }),
        ("another host", "InvalidSignatureException", false, nothing, |_, r| set(r, "Host", "ssm.example")),
        ("another call", "InvalidSignatureException", false, nothing, |_, r| {
            set(r, "X-Amz-Target", "AmazonSSM.UpdateManagedInstancePublicKey");
        }),
        ("no hash", "InvalidSignatureException", true, nothing, |_, r| {
            r.headers.retain(|(name, _)| name != "X-Amz-Content-Sha256");
        }),
        ("a session token", "ValidationException", true, nothing, |_, r| set(r, "X-Amz-Security-Token", "x")),
        ("two dates", "InvalidSignatureException", true, nothing, |_, r| {
            r.headers.push(("X-Amz-Date".to_owned(), "20261120T170500Z".to_owned()));
        }),
        (
            "an unknown instance",
            "InvalidInstanceId",
            false,
            |s, _| s.who = "mi-0123456789abcdef0".to_owned(),
            nothing,
        ),
        (
            "another fingerprint",
            "MachineFingerprintDoesNotMatch",
            false,
            |_, r| {
                r.body = FINGERPRINT.replace('0', "1").into_bytes();
                r.body = json!({ "Fingerprint": String::from_utf8_lossy(&r.body) }).to_string().into_bytes();
            },
            nothing,
        ),
    ];
    let world = world(1);
    let instance = world.register();
    for (what, expected, complains, before, after) in rows {
        let complaints = world.simulator.complaints().len();
        let mut request = post("RequestManagedInstanceRoleToken", &json!({ "Fingerprint": FINGERPRINT }));
        let mut sign = Sign::of(&instance, 0);
        before(&mut sign, &mut request);
        sign.sign(&mut request, world.clock.now());
        after(&mut sign, &mut request);
        let said = world.call(&request).err().unwrap_or_default();
        assert_eq!(said, *expected, "{what}");
        assert_eq!(world.simulator.complaints().len() - complaints, usize::from(*complains), "{what}");
    }
    assert_eq!(world.simulator.tally().tokens, 1);
}

#[test]
fn a_salt_of_another_length_does_not_hold() {
    use base64::Engine as _;
    use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
    let world = world(1);
    let instance = world.register();
    let mut request = world.token_request(&instance);
    let whole = request.header("authorization").unwrap().to_owned();
    let text = stayput_region::signature::Authorization::of(&request).unwrap().text(&request);
    let resign = |salt| {
        let signer = rsa::pss::SigningKey::<rsa::sha2::Sha256>::new_with_salt_len(key(0), salt);
        let signed = signer.sign_with_rng(&mut rsa::rand_core::OsRng, text.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(signed.to_bytes())
    };
    let start = whole.split("Signature=").next().unwrap().to_owned();
    for (salt, expected) in [(32, true), (20, false), (0, false)] {
        set(&mut request, "Authorization", &format!("{start}Signature={}", resign(salt)));
        assert_eq!(world.call(&request).is_ok(), expected, "{salt}");
    }
}

#[test]
fn more_signed_headers_than_it_needs_are_honoured() {
    let world = world(1);
    let instance = world.register();
    let mut request = post("RequestManagedInstanceRoleToken", &json!({ "Fingerprint": FINGERPRINT }));
    set(&mut request, "Amz-Sdk-Request", "attempt=1");
    let names = "amz-sdk-request;content-type;host;x-amz-date;x-amz-target";
    Sign { names, ..Sign::of(&instance, 0) }.sign(&mut request, world.clock.now());
    assert!(world.call(&request).is_ok());
}

#[test]
fn an_activation_is_used_so_often_and_until_then_and_with_its_own_code() {
    let world = world(2);
    let register = |body: &Value| world.call(&post("RegisterManagedInstance", body)).map(drop);
    let mut wrong = world.registration();
    wrong["ActivationCode"] = json!("AnotherCodeOf20Chars");
    assert_eq!(register(&wrong), Err("InvalidActivation".to_owned()));
    assert_eq!((register(&world.registration()), register(&world.registration())), (Ok(()), Ok(())));
    assert_eq!(register(&world.registration()), Err("RegistrationLimitExceeded".to_owned()));
    assert_eq!(world.simulator.activations()[0].used, 2);
    world.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(register(&world.registration()), Err("ActivationExpired".to_owned()));
    world.simulator.delete_activation(&world.activation.id);
    assert_eq!(register(&world.registration()), Err("InvalidActivation".to_owned()));
    assert_eq!(world.simulator.complaints(), Vec::<String>::new(), "an honest box may meet all of these");
}

#[test]
fn whether_the_same_key_registers_twice_can_be_chosen() {
    let world = world(5);
    let register = || world.call(&post("RegisterManagedInstance", &world.registration())).map(drop);
    assert_eq!((register(), register()), (Ok(()), Ok(())));
    world.simulator.rule(|rule| rule.repeat = Repeat::Refused);
    assert_eq!(register(), Err("InstanceAlreadyRegistered".to_owned()));
    assert_eq!(world.simulator.tally().instances, 2);
}

#[test]
fn a_clock_more_than_five_minutes_off_is_told_apart_from_a_wrong_key_by_the_sentence() {
    let world = world(1);
    let instance = world.register();
    let request = world.token_request(&instance);
    for (ahead, expected) in [(4, true), (6, false), (-4, true), (-6, false)] {
        world.clock.skew(SignedDuration::from_mins(ahead));
        assert_eq!(world.call(&request).is_ok(), expected, "{ahead}");
    }
    use stayput_region::service::Service as _;
    let reply = world.simulator.answer(&request, world.clock.now());
    assert!(String::from_utf8(reply.body).unwrap().contains("not yet current"));
}

#[test]
fn a_dropped_instance_a_denied_role_and_a_known_key_are_said_so() {
    let world = world(1);
    let instance = world.register();
    world.simulator.deny(&instance, true);
    assert_eq!(world.call(&world.token_request(&instance)), Err("AccessDeniedException".to_owned()));
    world.simulator.deny(&instance, false);
    let body = json!({ "NewPublicKey": public(&key(0)), "NewPublicKeyType": "Rsa" });
    let mut same = post("UpdateManagedInstancePublicKey", &body);
    Sign::of(&instance, 0).sign(&mut same, world.clock.now());
    assert_eq!(world.call(&same), Err("PublicKeyAlreadyRegistered".to_owned()));
    world.simulator.deregister(&instance);
    assert_eq!(world.call(&world.token_request(&instance)), Err("InvalidInstanceId".to_owned()));
}

#[test]
fn too_many_calls_in_one_second_are_throttled_and_the_next_second_is_another() {
    let world = world(9);
    world.simulator.rule(|rule| rule.per_second = Some(2));
    let register = || world.call(&post("RegisterManagedInstance", &world.registration())).map(drop);
    assert_eq!([register(), register(), register()], [Ok(()), Ok(()), Err("ThrottlingException".to_owned())]);
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(register(), Ok(()));
}

#[test]
fn every_modelled_error_can_be_asked_for_and_has_a_date_and_its_name() {
    let world = world(1);
    let script = Script::default();
    for row in ERRORS {
        script.next("RegisterManagedInstance", Fault::refused(row.name));
        let request = post("RegisterManagedInstance", &world.registration());
        let served = serve(&world.simulator, &script, &request, world.clock.now());
        let stayput_region::fault::Outcome::Reply(reply) = served.outcome else { panic!("{row:?}") };
        assert_eq!(reply.status, row.status);
        assert_eq!(agent::told(&reply), Err(row.name.to_owned()));
        assert!(
            reply.headers.contains(&("Date".to_owned(), "Wed, 18 Nov 2026 11:06:40 GMT".to_owned())),
            "{reply:?}"
        );
    }
    assert_eq!((script.left(), world.simulator.tally().registrations), (0, 0));
}

#[test]
fn a_sign_of_life_is_signed_with_the_session_and_with_nothing_else() {
    let world = world(1);
    let instance = world.register();
    let token = world.call(&world.token_request(&instance)).unwrap();
    let text = |name: &str| token[name].as_str().unwrap().to_owned();
    let ping = |secret: &str, session: &str, whose: &str| {
        let body = json!({ "InstanceId": whose, "AgentStatus": "Active", "AgentVersion": "3.3.0.0", "PlatformType": "Linux" });
        let mut request = post("UpdateInstanceInformation", &body);
        set(&mut request, "X-Amz-Security-Token", session);
        sign_as_session(&mut request, &text("AccessKeyId"), secret, world.clock.now());
        world.call(&request).map(drop)
    };
    let (secret, session) = (text("SecretAccessKey"), text("SessionToken"));
    assert_eq!(ping(&secret, &session, &instance), Ok(()));
    assert_eq!(
        ping(&secret.to_lowercase(), &session, &instance),
        Err("InvalidSignatureException".to_owned())
    );
    assert_eq!(ping(&secret, "another", &instance), Err("UnrecognizedClientException".to_owned()));
    assert_eq!(ping(&secret, &session, "mi-00000000000000000"), Err("AccessDeniedException".to_owned()));
    world.clock.advance(SignedDuration::from_mins(61));
    assert_eq!(ping(&secret, &session, &instance), Err("ExpiredTokenException".to_owned()));
    assert_eq!((world.simulator.tally().pings, world.simulator.instances()[0].pings), (1, 1));
}

fn sign_as_session(request: &mut Request, access: &str, secret: &str, now: jiff::Timestamp) {
    use ring::hmac::{HMAC_SHA256, Key, sign};
    use sha2::Digest as _;
    let date = now.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    set(request, "X-Amz-Date", &date);
    let names = ["content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target"];
    let lines: String =
        names.iter().map(|name| format!("{name}:{}\n", request.header(name).unwrap())).collect();
    let names = names.join(";");
    let hash = hex::encode(sha2::Sha256::digest(&request.body));
    let canonical = hex::encode(sha2::Sha256::digest(format!("POST\n/\n\n{lines}\n{names}\n{hash}")));
    let scope = format!("{}/eu-central-1/ssm/aws4_request", &date[..8]);
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        key = sign(&Key::new(HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
    let signature = hex::encode(sign(&Key::new(HMAC_SHA256, &key), text.as_bytes()));
    let value =
        format!("AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}");
    set(request, "Authorization", &value);
}
