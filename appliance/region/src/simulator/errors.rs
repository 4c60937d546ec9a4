//! The service's errors: one table of names, and how a refusal looks on the wire.

use std::fmt::Display;

use serde_json::json;

use crate::http::Response;
use crate::signature::Flaw;

/// The kind of body that the service speaks.
pub const KIND: &str = "application/x-amz-json-1.1";

/// A modelled error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modelled {
    /// The call that models it; `*` for what every call may get.
    pub call: &'static str,
    /// Its name.
    pub name: &'static str,
    /// HTTP's status.
    pub status: u16,
}

const fn row(call: &'static str, name: &'static str, status: u16) -> Modelled {
    Modelled { call, name, status }
}

/// Every error that a client has to know (facts/ecs-anywhere.md B1, B3, B4), by the call that gives it.
pub const ERRORS: &[Modelled] = &[
    row("RegisterManagedInstance", "InvalidActivation", 400),
    row("RegisterManagedInstance", "ActivationExpired", 400),
    row("RegisterManagedInstance", "RegistrationLimitExceeded", 400),
    row("RegisterManagedInstance", "TooManyUpdates", 400),
    row("RegisterManagedInstance", "InvalidPublicKey", 400),
    row("RegisterManagedInstance", "InstanceAlreadyRegistered", 400),
    row("RequestManagedInstanceRoleToken", "MachineFingerprintDoesNotMatch", 400),
    row("RequestManagedInstanceRoleToken", "InvalidInstanceId", 400),
    row("UpdateManagedInstancePublicKey", "InvalidInstanceId", 400),
    row("UpdateManagedInstancePublicKey", "InvalidPublicKey", 400),
    row("UpdateManagedInstancePublicKey", "PublicKeyAlreadyRegistered", 400),
    row("UpdateInstanceInformation", "InvalidInstanceId", 400),
    row("UpdateInstanceInformation", "ExpiredTokenException", 400),
    row("UpdateInstanceInformation", "UnrecognizedClientException", 400),
    row("*", "AccessDeniedException", 400),
    row("*", "InvalidSignatureException", 400),
    row("*", "ThrottlingException", 400),
    row("*", "ValidationException", 400),
    row("*", "InternalServerError", 500),
    row("*", "ServiceUnavailable", 503),
];

/// The status that goes with an error's name.
pub fn status(name: &str) -> u16 {
    ERRORS.iter().find(|row| row.name == name).map_or(400, |row| row.status)
}

/// A refusal as it is sent.
pub fn refusal(status: u16, name: &str) -> Response {
    refusal_with(status, name, "simulated")
}

fn refusal_with(status: u16, name: &str, message: &str) -> Response {
    reply(status, json!({ "__type": name, "message": message }).to_string())
}

/// A reply as the service writes it.
pub fn reply(status: u16, body: String) -> Response {
    Response::new(status, KIND, body)
}

/// A call that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The error's name.
    pub name: String,
    /// The error's sentence.
    pub message: String,
    /// Whether no honest client makes such a request.
    pub complaint: bool,
}

impl Refused {
    /// What an honest client may meet.
    pub fn plain(name: &str, message: impl Display) -> Self {
        Self { name: name.to_owned(), message: message.to_string(), complaint: false }
    }

    /// A request that no honest client makes.
    pub fn form(name: &str, message: impl Display) -> Self {
        Self { complaint: true, ..Self::plain(name, message) }
    }

    /// As it is sent.
    pub fn reply(&self) -> Response {
        refusal_with(status(&self.name), &self.name, &self.message)
    }
}

impl From<Flaw> for Refused {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            // A wrong clock and another key are what honest clients have.
            Flaw::Expired(..) | Flaw::Early(..) | Flaw::Mismatch => {
                Self::plain("InvalidSignatureException", flaw)
            }
            _ => Self::form("InvalidSignatureException", flaw),
        }
    }
}
