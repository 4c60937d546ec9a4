//! The four calls, carried out.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::body::{self, is_uuid, within};
use super::errors::{KIND, Refused};
use super::state::{Instance, LETTERS, Session};
use super::{Repeat, Simulator};
use crate::http::Request;
use crate::signature::{Authorization, Rules};

/// What the signature of a managed instance covers at least.
const SIGNED: &[&str] = &["content-type", "host", "x-amz-date", "x-amz-target"];

impl Simulator {
    /// The body of a success, or the refusal.
    pub(super) fn carry_out(&self, request: &Request, now: Timestamp) -> Result<Value, Refused> {
        if request.method != "POST" || request.target != "/" {
            // What a client does to find out whether somebody is there.
            return Err(Refused::plain("UnknownOperationException", "calls are POST to /"));
        }
        if self.state().is_too_many(now) {
            return Err(Refused::plain("ThrottlingException", "Rate exceeded"));
        }
        within("Content-Type", request.header("content-type") == Some(KIND))?;
        within("Host", request.header("host").is_some())?;
        let target = request.header("x-amz-target").and_then(|target| target.strip_prefix("AmazonSSM."));
        match target {
            Some("RegisterManagedInstance") => self.register(request, now),
            Some("RequestManagedInstanceRoleToken") => self.role_token(request, now),
            Some("UpdateManagedInstancePublicKey") => self.update_key(request, now),
            Some("UpdateInstanceInformation") => self.ping(request, now),
            _ => Err(Refused::form("UnknownOperationException", "there is no such call here")),
        }
    }

    /// Anonymous: a signature would be of a key that nobody knows yet.
    fn register(&self, request: &Request, now: Timestamp) -> Result<Value, Refused> {
        for name in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
            within(&format!("{name} in an anonymous call"), request.all(name).next().is_none())?;
        }
        let wish: body::Register = body::read(&request.body)?;
        within("ActivationCode", (20..=250).contains(&wish.activation_code.len()))?;
        within("ActivationId", is_uuid(&wish.activation_id))?;
        within("Fingerprint", is_uuid(&wish.fingerprint))?;
        let key = body::key(&wish.public_key, &wish.public_key_type)?;

        let mut state = self.state();
        let repeat = state.rule.repeat;
        let is_known = |instance: &Instance| instance.key == key || instance.fingerprint == wish.fingerprint;
        let known = state.instances.iter().any(is_known);
        let activation = state.activations.get_mut(&wish.activation_id);
        let activation = activation.filter(|activation| activation.code == wish.activation_code);
        let Some(activation) = activation else {
            return Err(Refused::plain("InvalidActivation", "Activation Code or Id is not valid"));
        };
        if activation.expires <= now {
            return Err(Refused::plain("ActivationExpired", "the activation has expired"));
        }
        if known && repeat == Repeat::Refused {
            return Err(Refused::plain("InstanceAlreadyRegistered", "this key or fingerprint is registered"));
        }
        if activation.used >= activation.limit {
            return Err(Refused::plain("RegistrationLimitExceeded", "the activation is used up"));
        }
        activation.used += 1;
        let id = format!("mi-{}", state.draw(17, b"0123456789abcdef"));
        state.tally.registrations += 1;
        state.tally.instances += 1;
        state.instances.push(Instance {
            id: id.clone(),
            activation: wish.activation_id,
            fingerprint: wish.fingerprint,
            key,
            key_since: now,
            asked: false,
            dropped: false,
            denied: false,
            tokens: 0,
            pings: 0,
        });
        Ok(json!({ "InstanceId": id }))
    }

    /// Who signed with a registered key.
    fn signer(&self, request: &Request, now: Timestamp) -> Result<Instance, Refused> {
        within(
            "x-amz-security-token in a call of an instance",
            request.all("x-amz-security-token").next().is_none(),
        )?;
        let authorization = Authorization::of(request)?;
        let rules = Rules { region: &self.region, service: "ssm", signed: SIGNED, told_hash: true };
        authorization.check(request, &rules, now)?;
        let who = authorization.who;
        let found = self.state().instance(who).cloned();
        let instance = found
            .ok_or_else(|| Refused::plain("InvalidInstanceId", format!("Not existing InstanceId {who}")))?;
        authorization.holds_for_key(request, &instance.key)?;
        if instance.denied {
            return Err(Refused::plain("AccessDeniedException", "the role does not allow it"));
        }
        Ok(instance)
    }

    fn role_token(&self, request: &Request, now: Timestamp) -> Result<Value, Refused> {
        let signer = self.signer(request, now)?;
        let wish: body::RoleToken = body::read(&request.body)?;
        if wish.fingerprint != signer.fingerprint {
            return Err(Refused::plain("MachineFingerprintDoesNotMatch", "the fingerprint is another one"));
        }
        let mut state = self.state();
        let (life, key_age) = (state.rule.life, state.rule.key_age);
        let expires = now.saturating_add(life).unwrap_or(Timestamp::MAX);
        let access = format!("ASIA{}", state.draw(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"));
        let (secret, token) = (state.draw(40, LETTERS), state.draw(400, LETTERS));
        let session = Session { instance: signer.id.clone(), access, secret, token, expires };
        // Credentials that have long ended are forgotten, as a year of them would be a heap.
        let long_ago = now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        state.sessions.retain(|_, session| session.expires > long_ago);
        state.sessions.insert(session.access.clone(), session.clone());
        state.tally.tokens += 1;
        let wants_key = match state.instance(&signer.id) {
            Some(instance) => {
                instance.tokens += 1;
                instance.asked || key_age.is_some_and(|age| now.duration_since(instance.key_since) > age)
            }
            None => false,
        };
        // Epoch seconds with a fraction, as the real service sends them.
        let until = expires.as_millisecond() as f64 / 1000.0;
        Ok(json!({
            "AccessKeyId": session.access, "SecretAccessKey": session.secret, "SessionToken": session.token,
            "TokenExpirationDate": until, "UpdateKeyPair": wants_key,
        }))
    }

    /// Signed with the key that is to go.
    fn update_key(&self, request: &Request, now: Timestamp) -> Result<Value, Refused> {
        let signer = self.signer(request, now)?;
        let wish: body::UpdateKey = body::read(&request.body)?;
        let key = body::key(&wish.new_public_key, &wish.new_public_key_type)?;
        let mut state = self.state();
        if state.instances.iter().any(|instance| instance.key == key) {
            return Err(Refused::plain("PublicKeyAlreadyRegistered", "this key is registered"));
        }
        if let Some(instance) = state.instance(&signer.id) {
            (instance.key, instance.key_since, instance.asked) = (key, now, false);
        }
        state.tally.keys += 1;
        Ok(json!({}))
    }

    /// An ordinary call, signed with the credentials that a role token gave.
    fn ping(&self, request: &Request, now: Timestamp) -> Result<Value, Refused> {
        let session = self.session(request, "ssm", now)?;
        let ping: body::Ping = body::read(&request.body)?;
        within("AgentStatus", ping.agent_status == "Active")?;
        within("AgentVersion", !ping.agent_version.is_empty())?;
        if ping.instance_id != session.instance {
            return Err(Refused::plain(
                "AccessDeniedException",
                "a session speaks for its own instance only",
            ));
        }
        let mut state = self.state();
        let Some(instance) = state.instance(&session.instance) else {
            return Err(Refused::plain(
                "InvalidInstanceId",
                format!("Not existing InstanceId {}", session.instance),
            ));
        };
        instance.pings += 1;
        state.tally.pings += 1;
        Ok(json!({}))
    }
}
