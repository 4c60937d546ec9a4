//! What a refusal means: one table from the service's error names to what the box does and shows.

use std::time::Duration;

use jiff::Timestamp;
use stayput_health::Code;

use crate::region::{Obstacle, Reply};
use crate::wire::{self, Call};

/// What to do about a call that gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Only a person can mend it: no further call.
    Permanent(Code),
    /// A person should look; the box asks again twice an hour.
    Slow(Code),
    /// It passes by itself; the box asks again, each time a little later.
    Passing(Code),
    /// The service does not know this key: the other half of a change of keys may be the one it knows.
    OtherKey,
}

impl Ruling {
    /// What the box shows meanwhile.
    pub const fn code(self) -> Code {
        match self {
            Self::Permanent(code) | Self::Slow(code) | Self::Passing(code) => code,
            Self::OtherKey => Code::IdentityRefused,
        }
    }
}

/// A signature older or younger than this is refused (facts/ecs-anywhere.md B3).
const SKEW: Duration = Duration::from_secs(5 * 60);

use Ruling::{OtherKey, Passing, Permanent, Slow};

/// The modelled errors of each call. A name that is not here is judged by its status.
const TABLE: &[(Call, &str, Ruling)] = &[
    (Call::Register, "InvalidActivation", Permanent(Code::ActivationWrong)),
    (Call::Register, "ActivationExpired", Permanent(Code::ActivationExpired)),
    (Call::Register, "RegistrationLimitExceeded", Permanent(Code::ActivationUsedUp)),
    // An earlier attempt of ours arrived and its answer did not: whether it gave an identity, nobody here can learn.
    (Call::Register, "InstanceAlreadyRegistered", Permanent(Code::ActivationUnclear)),
    (Call::Register, "InvalidPublicKey", Permanent(Code::InternalFault)),
    (Call::Register, "ValidationException", Permanent(Code::ActivationWrong)),
    (Call::Register, "AccessDeniedException", Permanent(Code::ActivationWrong)),
    (Call::RoleToken, "MachineFingerprintDoesNotMatch", Slow(Code::IdentityRefused)),
    (Call::RoleToken, "InvalidInstanceId", Slow(Code::IdentityRefused)),
    (Call::RoleToken, "AccessDeniedException", Slow(Code::IdentityRefused)),
    (Call::RoleToken, "InvalidSignatureException", OtherKey),
    (Call::RoleToken, "SignatureDoesNotMatch", OtherKey),
    (Call::UpdateKey, "MachineFingerprintDoesNotMatch", Slow(Code::IdentityRefused)),
    (Call::UpdateKey, "InvalidInstanceId", Slow(Code::IdentityRefused)),
    (Call::UpdateKey, "AccessDeniedException", Slow(Code::IdentityRefused)),
    (Call::UpdateKey, "InvalidPublicKey", Slow(Code::InternalFault)),
    (Call::UpdateKey, "PublicKeyAlreadyRegistered", OtherKey),
    (Call::UpdateKey, "InvalidSignatureException", OtherKey),
    (Call::UpdateKey, "SignatureDoesNotMatch", OtherKey),
];

/// Errors that pass, whatever the call and whatever the status.
const PASSING: &[&str] = &[
    "InternalServerError",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TooManyUpdates",
];

/// Judges a reply that is no success, or that is one and cannot be read.
pub fn judge(call: Call, reply: &Reply, now: Timestamp) -> Ruling {
    if reply.status == 407 {
        return Passing(Code::ProxyRefused);
    }
    let Some(name) = wire::error_name(&reply.body) else {
        // No reply of this service: something on the way answered in its place.
        return Passing(Code::RegionUnreachable);
    };
    if PASSING.contains(&name.as_str()) || reply.status >= 500 || reply.status == 429 {
        return Passing(Code::RegionUnreachable);
    }
    if is_skewed(call, reply, now) {
        return Passing(Code::ClockRefused);
    }
    let found = TABLE.iter().find(|(of, error, _)| *of == call && *error == name);
    let unknown = match call {
        // Unknown and final: a registration is not tried again on a guess.
        Call::Register => Permanent(Code::ActivationWrong),
        Call::RoleToken | Call::UpdateKey => Slow(Code::IdentityRefused),
    };
    found.map_or(unknown, |(_, _, ruling)| *ruling)
}

/// Whether a signed call was refused and the reply's own date says why.
fn is_skewed(call: Call, reply: &Reply, now: Timestamp) -> bool {
    let age = reply.date.map(|date| date.duration_since(now).unsigned_abs());
    call != Call::Register && age.is_some_and(|age| age > SKEW)
}

/// What the box shows while a call does not get through.
pub const fn code(obstacle: Obstacle) -> Code {
    match obstacle {
        Obstacle::Name => Code::NoDns,
        Obstacle::Connection => Code::RegionUnreachable,
        Obstacle::Stranger => Code::TlsIntercepted,
        Obstacle::Dates => Code::ClockRefused,
        Obstacle::Proxy => Code::ProxyRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, name: &str) -> Reply {
        let body = format!(r#"{{"__type":"{name}","message":"no"}}"#).into_bytes();
        Reply { status, date: None, body }
    }

    #[test]
    fn every_row_of_the_table_is_what_a_reply_of_that_name_gets() {
        for (call, name, ruling) in TABLE {
            assert_eq!(judge(*call, &refusal(400, name), Timestamp::UNIX_EPOCH), *ruling, "{call:?} {name}");
        }
    }

    #[test]
    fn what_passes_by_itself_passes_in_every_call() {
        for call in Call::ALL {
            for name in PASSING {
                let ruling = judge(call, &refusal(400, name), Timestamp::UNIX_EPOCH);
                assert_eq!(ruling, Passing(Code::RegionUnreachable), "{call:?} {name}");
            }
            let ruling = judge(call, &refusal(503, "NeverHeardOf"), Timestamp::UNIX_EPOCH);
            assert_eq!(ruling, Passing(Code::RegionUnreachable));
        }
    }

    #[test]
    fn an_unknown_refusal_is_final_for_a_registration_and_slow_for_the_rest() {
        let judged = |call| judge(call, &refusal(400, "NeverHeardOf"), Timestamp::UNIX_EPOCH);
        assert_eq!(judged(Call::Register), Permanent(Code::ActivationWrong));
        assert_eq!(judged(Call::RoleToken), Slow(Code::IdentityRefused));
        assert_eq!(judged(Call::UpdateKey), Slow(Code::IdentityRefused));
    }

    #[test]
    fn a_refused_signature_with_a_date_far_from_ours_is_the_clock() {
        let mut reply = refusal(400, "InvalidSignatureException");
        for (minutes, expected) in
            [(4, OtherKey), (6, Passing(Code::ClockRefused)), (-6, Passing(Code::ClockRefused))]
        {
            reply.date = Some(Timestamp::from_second(minutes * 60).unwrap());
            assert_eq!(judge(Call::RoleToken, &reply, Timestamp::UNIX_EPOCH), expected, "{minutes}");
        }
        // Nobody signs a registration, so no clock can spoil it.
        let mut reply = refusal(400, "InvalidActivation");
        reply.date = Some(Timestamp::from_second(3600).unwrap());
        let ruling = judge(Call::Register, &reply, Timestamp::UNIX_EPOCH);
        assert_eq!(ruling, Permanent(Code::ActivationWrong));
    }

    #[test]
    fn a_page_of_a_proxy_is_not_taken_for_the_region() {
        let page = |status| Reply { status, date: None, body: b"<html>log in</html>".to_vec() };
        assert_eq!(
            judge(Call::Register, &page(403), Timestamp::UNIX_EPOCH),
            Passing(Code::RegionUnreachable)
        );
        assert_eq!(judge(Call::Register, &page(407), Timestamp::UNIX_EPOCH), Passing(Code::ProxyRefused));
    }
}
