//! Ordinary signatures, as the maker's own signer makes them: what it signs holds here, and what is changed afterwards does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use jiff::SignedDuration;
use stayput_region::http::Request;

use agent::{REGION, World, set, world};

/// A box's session.
fn session(world: &World) -> [String; 3] {
    let instance = world.register();
    let token = world.call(&world.token_request(&instance)).unwrap();
    ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|name| token[name].as_str().unwrap().to_owned())
}

/// A request that the maker's signer has signed.
fn signed(
    world: &World,
    keys: &[String; 3],
    service: &str,
    method: &str,
    target: &str,
    body: &str,
) -> Request {
    let host = format!("{service}.{REGION}.amazonaws.com");
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let [access, secret, token] = keys;
    let identity = Credentials::new(access, secret, Some(token.clone()), None, "test").into();
    let now = Duration::from_secs(world.clock.now().as_second().try_into().unwrap());
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(SystemTime::UNIX_EPOCH + now)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let headers =
        [("host", host.as_str()), ("x-amz-target", "AmazonSQS.ReceiveMessage"), ("x-spaces", "  a   b ")];
    let url = format!("https://{host}{target}");
    let signable =
        SignableRequest::new(method, &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
    let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
    let own = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let more = instructions.into_parts().0;
    let more = more.iter().map(|header| (header.name().to_owned(), header.value().to_owned()));
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: own.into_iter().chain(more).collect(),
        body: body.as_bytes().to_vec(),
    }
}

/// Service, method, target, body.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    ("sqs", "POST", "/", r#"{"QueueUrl":"q"}"#),
    ("sqs", "POST", "/123456789012/a-queue", ""),
    ("logs", "POST", "/", "{}"),
    ("s3", "GET", "/bucket/a%20b/%C3%A4%2B.csv", ""),
    ("s3", "GET", "/bucket/key?versionId=a%2Fb&partNumber=1", ""),
    ("s3", "PUT", "/bucket/key?acl", "content"),
];

#[test]
fn what_the_makers_signer_signs_holds_and_what_is_changed_afterwards_does_not() {
    let world = world(1);
    let keys = session(&world);
    for (service, method, target, body) in REQUESTS {
        let what = format!("{service} {method} {target}");
        let request = signed(&world, &keys, service, method, target, body);
        let judge = |request: &Request| {
            world
                .simulator
                .session(request, service, world.clock.now())
                .map(drop)
                .map_err(|refused| refused.name)
        };
        assert_eq!(judge(&request), Ok(()), "{what}");
        type Spoil = fn(&mut Request);
        let spoilt: [(&str, Spoil); 5] = [
            ("method", |request| request.method = "DELETE".to_owned()),
            ("path", |request| request.target = format!("/x{}", request.target)),
            ("query", |request| request.target = format!("{}&x", request.target.replace('?', "?y&"))),
            ("body", |request| request.body.push(b'x')),
            ("header", |request| set(request, "host", "elsewhere")),
        ];
        for (part, spoil) in spoilt {
            let mut other = request.clone();
            spoil(&mut other);
            assert_eq!(judge(&other), Err("InvalidSignatureException".to_owned()), "{what}: {part}");
        }
    }
}

#[test]
fn a_session_that_has_ended_or_was_ended_does_not_hold() {
    let world = world(1);
    let keys = session(&world);
    let judge = || {
        let request = signed(&world, &keys, "sqs", "POST", "/", "");
        world.simulator.session(&request, "sqs", world.clock.now()).map(drop).map_err(|refused| refused.name)
    };
    assert_eq!(judge(), Ok(()));
    world.clock.advance(SignedDuration::from_mins(61));
    assert_eq!(judge(), Err("ExpiredTokenException".to_owned()));
    world.clock.advance(SignedDuration::from_mins(-61));
    assert_eq!(judge(), Ok(()));
    world.simulator.expire_sessions();
    assert_eq!(judge(), Err("ExpiredTokenException".to_owned()));
}
