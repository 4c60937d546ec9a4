//! Feeds damaged input to what reads the card and the wire: the capsule, its two copies, and the region's replies.
//!
//! `cargo run --release -p stayput-identity --example fuzz_identity -- [capsule|copies|replies] [RUNS | SECONDSs] [SEED]`; see
//! `stayput_damage`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use stayput_damage::Target;
use stayput_identity::capsule::{Capsule, Identity, Pending};
use stayput_identity::region::Reply;
use stayput_identity::store::choose;
use stayput_identity::wire::{self, Call};
use stayput_identity::{Error, fault};

const TARGETS: &[Target] = &[
    Target { name: "capsule", inputs: capsules, check: capsule },
    Target { name: "copies", inputs: capsules, check: copies },
    Target { name: "replies", inputs: replies, check: reply },
];

/// Pieces of capsules and replies.
const WORDS: &[&[u8]] = &[
    b"stayput-capsule 1\n",
    b"stayput-capsule 2\n",
    b"sha256 ",
    b"\"generation\": 18446744073709551615,",
    b"\"identity\": null,",
    b"\"instance\": \"mi-",
    b"\"unanswered\": ",
    b"\"InstanceId\":",
    b"\"__type\":",
    b"TokenExpirationDate\":1e308",
    b"mi-",
];

fn main() -> ExitCode {
    stayput_damage::main(TARGETS, WORDS)
}

fn identity() -> Identity {
    Identity {
        board: "serial:02c000810a1b2c3d".to_owned(),
        instance: "mi-0123456789abcdef0".to_owned(),
        region: "eu-central-1".to_owned(),
        fingerprint: "0c1d2e3f-4a5b-4c6d-8e7f-001122334455".to_owned(),
        key: "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC".to_owned(),
        next_key: Some("MIIEvQIBADANBgkqhkiG9w0BAQEFAASD".to_owned()),
    }
}

fn capsules() -> Vec<Vec<u8>> {
    let used = BTreeSet::from(["5fea7756-0ea4-451a-a703-a558b933e274".to_owned()]);
    let pending = Pending { activation: "a".to_owned(), unanswered: 1, identity: identity() };
    let full = Capsule { generation: 7, used, identity: Some(identity()), pending: Some(pending) };
    let small = Capsule { generation: 6, ..Capsule::new() };
    vec![full.to_bytes(), small.to_bytes()]
}

/// What is believed is what was written, byte for byte up to how JSON may be spelt; damage is not believed.
fn capsule(input: &[u8]) {
    if let Ok(capsule) = Capsule::parse(input) {
        assert!(capsules().iter().any(|honest| honest == input), "it believed damage");
        assert_eq!(Capsule::parse(&capsule.to_bytes()).as_ref(), Ok(&capsule));
    }
    // The same with a checksum that fits, so that the reader of the body is reached.
    let Some(body) = input.splitn(3, |byte| *byte == b'\n').nth(2) else { return };
    let Some(body) = body.strip_suffix(b"\n") else { return };
    let sum: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let fitting = [b"stayput-capsule 1\nsha256 ", sum.as_bytes(), b"\n", body, b"\n"].concat();
    if let Ok(capsule) = Capsule::parse(&fitting) {
        assert_eq!(Capsule::parse(&capsule.to_bytes()), Ok(capsule));
    }
}

/// One damaged copy is no loss and never another identity.
fn copies(input: &[u8]) {
    let honest = capsules().swap_remove(0);
    let whole = Capsule::parse(&honest);
    for found in [choose(Some(input), Some(&honest)), choose(Some(&honest), Some(input))] {
        match found {
            Ok(found) => assert_eq!(found.ok_or(()), whole.clone().map_err(drop)),
            // Left alone, and said.
            Err(Error::CapsuleVersion { found, known }) => assert!(found > known),
            Err(other) => panic!("{other}"),
        }
    }
    match choose(Some(input), None) {
        Ok(found) => assert!(found.is_some(), "a damaged copy is no new card"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn replies() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"InstanceId":"mi-0123456789abcdef0"}"#,
        r#"{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"s/e+c","SessionToken":"t==","TokenExpirationDate":1795190136.5,"UpdateKeyPair":true}"#,
        r#"{"__type":"InvalidActivation","message":"no"}"#,
        r#"{"__type":"com.amazonaws.ssm#InvalidSignatureException","message":"Signature expired"}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// What is taken over is safe in a header and in a file of settings.
fn reply(input: &[u8]) {
    if let Some(id) = wire::registered(input) {
        assert!(
            id.starts_with("mi-")
                && id.len() <= 64
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        );
    }
    if let Some(token) = wire::token(input) {
        for text in [&token.access_key, &token.secret_key, &token.session] {
            assert!(!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
    for (call, status) in Call::ALL.into_iter().zip([400, 403, 500]) {
        let reply = Reply { status, date: None, body: input.to_vec() };
        let _ = fault::judge(call, &reply, Timestamp::UNIX_EPOCH).code();
    }
}
