//! A client of the tests' own: the calls of a managed instance, each detail of which can be spoilt.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::pss::SigningKey;
use rsa::rand_core::OsRng;
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};
use sha2::Digest as _;
use stayput_region::http::{Request, Response};
use stayput_region::simulator::{Activation, Rule};
use stayput_region::{Clock, Simulator};

pub const REGION: &str = "eu-central-1";
pub const FINGERPRINT: &str = "0c1d2e3f-4a5b-4c6d-8e7f-001122334455";

/// A few keys, made once: each takes a good part of a second.
pub fn key(number: usize) -> RsaPrivateKey {
    static KEYS: OnceLock<Vec<RsaPrivateKey>> = OnceLock::new();
    KEYS.get_or_init(|| (0..2).map(|_| RsaPrivateKey::new(&mut OsRng, 2048).unwrap()).collect())[number]
        .clone()
}

pub fn public(key: &RsaPrivateKey) -> String {
    STANDARD.encode(RsaPublicKey::from(key).to_public_key_der().unwrap().as_bytes())
}

pub struct World {
    pub simulator: Simulator,
    pub clock: Clock,
    pub activation: Activation,
}

/// A service with one activation for `boxes` boxes.
pub fn world(boxes: u32) -> World {
    let clock = Clock::standing_at(Timestamp::from_second(1_795_000_000).unwrap());
    let simulator = Simulator::new(REGION, Rule::default(), 7);
    let activation = simulator.activate(boxes, clock.now() + jiff::SignedDuration::from_hours(24));
    World { simulator, clock, activation }
}

pub fn post(target: &str, body: &Value) -> Request {
    let headers = [
        ("Host", "ssm.eu-central-1.amazonaws.com"),
        ("Content-Type", "application/x-amz-json-1.1"),
        ("X-Amz-Target", &format!("AmazonSSM.{target}")),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Request {
        method: "POST".to_owned(),
        target: "/".to_owned(),
        headers,
        body: body.to_string().into_bytes(),
    }
}

pub fn set(request: &mut Request, name: &str, value: &str) {
    request.headers.retain(|(of, _)| !of.eq_ignore_ascii_case(name));
    request.headers.push((name.to_owned(), value.to_owned()));
}

/// How a request is signed.
#[derive(Clone)]
pub struct Sign<'a> {
    pub who: String,
    pub key: RsaPrivateKey,
    pub scope: &'a str,
    pub names: &'a str,
}

impl Sign<'_> {
    pub fn of(who: &str, number: usize) -> Self {
        let names = "content-type;host;x-amz-date;x-amz-target";
        Self { who: who.to_owned(), key: key(number), scope: "eu-central-1/ssm/aws4_request", names }
    }

    pub fn sign(&self, request: &mut Request, at: Timestamp) {
        let date = at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
        set(request, "X-Amz-Date", &date);
        let hash = hex::encode(sha2::Sha256::digest(&request.body));
        set(request, "X-Amz-Content-Sha256", &hash);
        let lines = self
            .names
            .split(';')
            .map(|name| format!("{name}:{}\n", request.header(name).unwrap_or_default()));
        let canonical = format!("POST\n/\n\n{}\n{}\n{hash}", lines.collect::<String>(), self.names);
        let scope = format!("{}/{}", &date[..8], self.scope);
        let text =
            format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(sha2::Sha256::digest(canonical)));
        let signed = SigningKey::<Sha256>::new(self.key.clone()).sign_with_rng(&mut OsRng, text.as_bytes());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.who,
            self.names,
            STANDARD.encode(signed.to_bytes())
        );
        set(request, "Authorization", &authorization);
    }
}

impl World {
    pub fn registration(&self) -> Value {
        json!({
            "ActivationCode": self.activation.code, "ActivationId": self.activation.id, "Fingerprint": FINGERPRINT,
            "PublicKey": public(&key(0)), "PublicKeyType": "Rsa",
        })
    }

    pub fn call(&self, request: &Request) -> Result<Value, String> {
        use stayput_region::service::Service as _;
        told(&self.simulator.answer(request, self.clock.now()))
    }

    pub fn register(&self) -> String {
        self.call(&post("RegisterManagedInstance", &self.registration())).unwrap()["InstanceId"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub fn token_request(&self, instance: &str) -> Request {
        let mut request = post("RequestManagedInstanceRoleToken", &json!({ "Fingerprint": FINGERPRINT }));
        Sign::of(instance, 0).sign(&mut request, self.clock.now());
        request
    }
}

/// The body of a success, or the name of the error.
pub fn told(reply: &Response) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    if reply.status == 200 { Ok(body) } else { Err(body["__type"].as_str().unwrap().to_owned()) }
}
