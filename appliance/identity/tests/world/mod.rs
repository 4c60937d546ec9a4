//! A small world for the keeper: a region that counts what it gives away, a card, a clock, and power that fails.
//!
//! It is no verifier of signatures: it only finds out which key made one. Whether a request is right in every detail,
//! the registration simulator judges, which shares no code with this crate.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rsa::pkcs8::DecodePublicKey;
use rsa::sha2::{Digest, Sha256};
use rsa::signature::Verifier;
use stayput_health::Code;
use stayput_identity::plan::Wish;
use stayput_identity::region::{Obstacle, Region, Reply, Request, Sent};
use stayput_identity::store::Shelf;
use stayput_identity::wire::{Call, Token};
use stayput_identity::{Capsule, Error, Keeper, Key, Surroundings};

/// What happens to the next call of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status and name.
    Refused(u16, &'static str),
    /// It never arrives.
    Never(Obstacle),
    /// It is lost on the way there.
    LostBefore,
    /// It is carried out, and the answer is lost.
    LostAfter,
}

/// What the region knows of an instance.
#[derive(Debug, Clone)]
struct Known {
    fingerprint: String,
    public: String,
}

/// Everything outside the keeper.
#[derive(Debug)]
pub struct World {
    pub card: Option<Capsule>,
    known: BTreeMap<String, Known>,
    /// Every registration request that arrived, by fingerprint.
    pub registrations: Vec<String>,
    pub tokens: u32,
    pub asks_for_new_key: bool,
    pub faults: BTreeMap<&'static str, VecDeque<Fault>>,
    /// The instances whose credentials were handed out, in order.
    pub delivered: Vec<String>,
    pub uptime: Duration,
    started: i64,
    /// How many more things happen before the power goes.
    pub power: Option<u32>,
    keys: u32,
    pub life: Duration,
    /// Whether signatures are looked at, which takes a millisecond each.
    pub looks_at_signatures: bool,
}

/// The world as several hold it.
pub type Shared = Rc<RefCell<World>>;

/// The power went.
struct Cut;

/// A number of keys, made once: each takes a good part of a second.
fn key(number: u32) -> Key {
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| (0..3).map(|_| Key::generate().unwrap().to_text().to_owned()).collect());
    Key::from_text(&keys[number as usize % keys.len()]).unwrap()
}

pub fn world() -> Shared {
    Rc::new(RefCell::new(World {
        card: None,
        known: BTreeMap::new(),
        registrations: Vec::new(),
        tokens: 0,
        asks_for_new_key: false,
        faults: BTreeMap::new(),
        delivered: Vec::new(),
        uptime: Duration::ZERO,
        started: 1_795_000_000,
        power: None,
        keys: 0,
        life: Duration::from_secs(3600),
        looks_at_signatures: true,
    }))
}

pub fn wish(activation: &str) -> Wish {
    let code = Some("EXAMPLE/CodeOf20Char".parse().unwrap());
    Wish { region: "eu-central-1".to_owned(), activation: activation.to_owned(), code }
}

impl World {
    fn tick(&mut self) {
        match &mut self.power {
            Some(0) => resume_unwind(Box::new(Cut)),
            Some(left) => *left -= 1,
            None => {}
        }
    }

    pub fn fail(&mut self, call: Call, faults: &[Fault]) {
        self.faults.entry(call.target()).or_default().extend(faults.iter().cloned());
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.started + i64::try_from(self.uptime.as_secs()).unwrap()).unwrap()
    }

    fn reply(&self, status: u16, body: String) -> Sent {
        Sent::Answered(Reply { status, date: Some(self.now()), body: body.into_bytes() })
    }

    fn carry_out(&mut self, request: &Request) -> Sent {
        let body: BTreeMap<String, String> = serde_json::from_slice(&request.body).unwrap();
        match request.call {
            Call::Register => {
                let (fingerprint, public) = (body["Fingerprint"].clone(), body["PublicKey"].clone());
                self.registrations.push(fingerprint.clone());
                let id = format!("mi-{:017x}", self.registrations.len());
                self.known.insert(id.clone(), Known { fingerprint, public });
                self.reply(200, format!(r#"{{"InstanceId":"{id}"}}"#))
            }
            Call::RoleToken => {
                let Some(id) = self.signer(request) else {
                    return self.reply(400, r#"{"__type":"InvalidSignatureException"}"#.to_owned());
                };
                assert_eq!(self.known[&id].fingerprint, body["Fingerprint"]);
                self.tokens += 1;
                let until = self.now().as_second() + i64::try_from(self.life.as_secs()).unwrap();
                let new = self.asks_for_new_key;
                self.reply(200, format!(r#"{{"AccessKeyId":"{id}","SecretAccessKey":"s","SessionToken":"t","TokenExpirationDate":{until},"UpdateKeyPair":{new}}}"#))
            }
            Call::UpdateKey => {
                let Some(id) = self.signer(request) else {
                    return self.reply(400, r#"{"__type":"InvalidSignatureException"}"#.to_owned());
                };
                if let Some(known) = self.known.get_mut(&id) {
                    known.public = body["NewPublicKey"].clone();
                }
                self.asks_for_new_key = false;
                self.reply(200, "{}".to_owned())
            }
        }
    }

    /// The instance whose registered key made the signature.
    fn signer(&self, request: &Request) -> Option<String> {
        let header =
            |name: &str| request.headers.iter().find(|(of, _)| *of == name).map(|(_, value)| value.as_str());
        let (authorization, date) = (header("Authorization")?, header("X-Amz-Date")?);
        let part = |name: &str| authorization.split(name).nth(1)?.split(", ").next();
        let (credential, signature) = (part("Credential=")?, part("Signature=")?);
        let (id, scope) = credential.split_once('/')?;
        let hash =
            |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        if !self.looks_at_signatures {
            return Some(id.to_owned());
        }
        let canonical = format!(
            "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:region.test\nx-amz-date:{date}\nx-amz-target:{}\n\ncontent-type;host;x-amz-date;x-amz-target\n{}",
            request.call.target(),
            hash(&request.body)
        );
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(canonical.as_bytes()));
        let der = STANDARD.decode(&self.known.get(id)?.public).unwrap();
        let public = rsa::RsaPublicKey::from_public_key_der(&der).unwrap();
        let signature = STANDARD.decode(signature).unwrap();
        let signature = rsa::pss::Signature::try_from(signature.as_slice()).unwrap();
        let key = rsa::pss::VerifyingKey::<Sha256>::new(public);
        key.verify(text.as_bytes(), &signature).is_ok().then(|| id.to_owned())
    }
}

/// The region's end of the world.
#[derive(Debug)]
pub struct Far(Shared);

impl Region for Far {
    fn host(&self) -> &str {
        "region.test"
    }

    fn reach(&mut self) -> Result<(), Obstacle> {
        Ok(())
    }

    fn send(&mut self, request: &Request) -> Sent {
        let mut world = self.0.borrow_mut();
        world.tick();
        let fault = world.faults.get_mut(request.call.target()).and_then(VecDeque::pop_front);
        let sent = match fault {
            Some(Fault::Never(obstacle)) => Sent::Never(obstacle),
            Some(Fault::LostBefore) => Sent::Unanswered(Obstacle::Connection),
            Some(Fault::Refused(status, name)) => world.reply(status, format!(r#"{{"__type":"{name}"}}"#)),
            Some(Fault::LostAfter) => {
                world.carry_out(request);
                Sent::Unanswered(Obstacle::Connection)
            }
            None => world.carry_out(request),
        };
        world.tick();
        sent
    }
}

/// The card's end.
#[derive(Debug)]
pub struct Card(Shared);

impl Shelf for Card {
    fn load(&self) -> Result<Option<Capsule>, Error> {
        Ok(self.0.borrow().card.clone())
    }

    fn save(&mut self, capsule: &mut Capsule) -> Result<(), Error> {
        let mut world = self.0.borrow_mut();
        world.tick();
        capsule.generation += 1;
        world.card = Some(Capsule::parse(&capsule.to_bytes()).unwrap());
        world.tick();
        Ok(())
    }
}

/// The box's end.
#[derive(Debug)]
pub struct Here(Shared);

impl Surroundings for Here {
    fn now(&self) -> Timestamp {
        self.0.borrow().now()
    }

    fn uptime(&self) -> Duration {
        self.0.borrow().uptime
    }

    fn chance(&mut self) -> f64 {
        0.0
    }

    fn key(&mut self) -> Result<Key, Error> {
        let mut world = self.0.borrow_mut();
        world.keys += 1;
        Ok(key(world.keys))
    }

    fn fingerprint(&mut self) -> Result<String, Error> {
        Ok(format!("fingerprint-{}", self.0.borrow().keys))
    }

    fn deliver(&mut self, token: &Token) -> Result<(), Error> {
        let mut world = self.0.borrow_mut();
        world.tick();
        world.delivered.push(token.access_key.clone());
        world.tick();
        Ok(())
    }
}

pub type TestKeeper = Keeper<Card, Far, Here>;

pub fn keeper(world: &Shared, wish: &Wish, board: &str) -> TestKeeper {
    Keeper::open(Card(world.clone()), Far(world.clone()), Here(world.clone()), wish.clone(), board).unwrap()
}

/// Steps until credentials are out or nothing more is due, for sixty steps at most; time passes as it must.
pub fn settle(world: &Shared, keeper: &mut TestKeeper) -> Code {
    for _ in 0..60 {
        match keeper.step().unwrap() {
            Some(wait) if keeper.code() != Code::Running => world.borrow_mut().uptime += wait,
            _ => break,
        }
    }
    keeper.code()
}

/// Lets the box live until it settles; each time the power goes it starts again. Says how it ended.
pub fn live(world: &Shared, wish: &Wish, board: &str) -> Code {
    loop {
        let life = AssertUnwindSafe(|| settle(world, &mut keeper(world, wish, board)));
        match catch_unwind(life) {
            Ok(code) => return code,
            Err(cut) if cut.is::<Cut>() => world.borrow_mut().power = None,
            Err(other) => resume_unwind(other),
        }
    }
}

/// The box's end alone, for its clock.
pub fn around(world: &Shared) -> Here {
    Here(world.clone())
}
