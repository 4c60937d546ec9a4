//! The registration service, simulated: activations, instances, their keys and their sessions.
//!
//! It is strict where the real one is known to be, and where it is not known, it is strict, too. Whatever it refuses because
//! of form is kept as a complaint beside the refusal: an honest client never causes one.

mod body;
mod calls;
mod errors;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::http::{Request, Response};
use crate::service::Service;
use crate::signature::{Authorization, Rules};

pub use errors::{ERRORS, Modelled, Refused, refusal, status};
pub use state::{Activation, Instance, Session};

use state::State;

/// What a registration with a key and fingerprint that the service has seen gets. The real one's answer is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// Another instance, and one registration less.
    #[default]
    Another,
    /// `InstanceAlreadyRegistered`
    Refused,
}

/// How it behaves where that can be chosen.
#[derive(Debug, Clone)]
pub struct Rule {
    /// How long credentials last.
    pub life: SignedDuration,
    /// See [`Repeat`].
    pub repeat: Repeat,
    /// A key older than this is asked to be replaced.
    pub key_age: Option<SignedDuration>,
    /// More calls than this in one second are throttled.
    pub per_second: Option<u32>,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            life: SignedDuration::from_hours(1),
            repeat: Repeat::default(),
            key_age: None,
            per_second: None,
        }
    }
}

/// What was done, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Registrations taken from activations.
    pub registrations: u32,
    /// Instances made.
    pub instances: u32,
    /// Role tokens given.
    pub tokens: u32,
    /// Keys changed.
    pub keys: u32,
    /// Signs of life.
    pub pings: u32,
    /// Refusals, by error name.
    pub refused: BTreeMap<String, u32>,
}

/// The service, as several hold it.
#[derive(Debug, Clone)]
pub struct Simulator {
    region: Arc<str>,
    state: Arc<Mutex<State>>,
}

impl Simulator {
    /// The service of a region, with no activation yet. Two with the same seed give the same ids and secrets.
    pub fn new(region: &str, rule: Rule, seed: u64) -> Self {
        Self { region: region.into(), state: Arc::new(Mutex::new(State::new(rule, seed))) }
    }

    /// What an operator does: an activation for so many boxes, until then.
    pub fn activate(&self, boxes: u32, until: Timestamp) -> Activation {
        self.state().activate(boxes, until)
    }

    /// What an operator does: an activation is deleted.
    pub fn delete_activation(&self, id: &str) {
        self.state().activations.remove(id);
    }

    /// What an operator does: an instance is dropped.
    pub fn deregister(&self, instance: &str) {
        self.change(instance, |instance| instance.dropped = true);
    }

    /// The instance's role may nothing any more.
    pub fn deny(&self, instance: &str, denied: bool) {
        self.change(instance, |instance| instance.denied = denied);
    }

    /// The next role token says that a new key is wanted, until one comes.
    pub fn ask_for_key(&self, instance: &str) {
        self.change(instance, |instance| instance.asked = true);
    }

    /// Every credential given so far stops working.
    pub fn expire_sessions(&self) {
        self.state().sessions.values_mut().for_each(|session| session.expires = Timestamp::MIN);
    }

    /// Changes how it behaves from now on.
    pub fn rule(&self, change: impl FnOnce(&mut Rule)) {
        change(&mut self.state().rule);
    }

    /// What was done so far.
    pub fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    /// Every request that no honest client makes, in a sentence.
    pub fn complaints(&self) -> Vec<String> {
        self.state().complaints.clone()
    }

    /// The activations, as they stand.
    pub fn activations(&self) -> Vec<Activation> {
        self.state().activations.values().cloned().collect()
    }

    /// The instances, as they stand, in the order of their making.
    pub fn instances(&self) -> Vec<Instance> {
        self.state().instances.clone()
    }

    /// Whose session signed an ordinary request, for those who stand behind the same front door.
    pub fn session(&self, request: &Request, service: &str, now: Timestamp) -> Result<Session, Refused> {
        let bucket = service == "s3";
        let signed: &[&str] = match bucket {
            true => &["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"],
            false => &["host", "x-amz-date", "x-amz-security-token"],
        };
        let rules = Rules { region: &self.region, service, signed, told_hash: bucket };
        let authorization =
            Authorization::of(request).map_err(|flaw| match request.all("authorization").count() {
                0 => Refused::plain("MissingAuthenticationToken", flaw),
                _ => Refused::form("IncompleteSignature", flaw),
            })?;
        let found = self.state().sessions.get(authorization.who).cloned();
        let session =
            found.ok_or_else(|| Refused::plain("UnrecognizedClientException", "no such access key"))?;
        authorization.check(request, &rules, now)?;
        authorization.holds_for_secret(request, &session.secret)?;
        if request.header("x-amz-security-token") != Some(session.token.as_str()) {
            return Err(Refused::plain("UnrecognizedClientException", "the token is another session's"));
        }
        if session.expires <= now {
            return Err(Refused::plain("ExpiredTokenException", "the token has expired"));
        }
        Ok(session)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Instance)) {
        if let Some(instance) = self.state().instances.iter_mut().find(|instance| instance.id == id) {
            change(instance);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Simulator {
    fn name(&self) -> &str {
        "ssm"
    }

    fn answer(&self, request: &Request, now: Timestamp) -> Response {
        let answered = self.carry_out(request, now);
        let refused = match answered {
            Ok(body) => return errors::reply(200, body.to_string()),
            Err(refused) => refused,
        };
        let mut state = self.state();
        *state.tally.refused.entry(refused.name.clone()).or_default() += 1;
        if refused.complaint {
            let call = self.call(request).unwrap_or_else(|| request.method.clone());
            state.complaints.push(format!("{call}: {}", refused.message));
        }
        refused.reply()
    }
}
