//! The bodies of the calls, and what the service's model says of them (facts/ecs-anywhere.md B1 to B5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::errors::Refused;

/// `RegisterManagedInstance`: exactly these five.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Register {
    /// At least 20 characters.
    pub activation_code: String,
    /// A UUID.
    pub activation_id: String,
    /// Chosen by the client.
    pub fingerprint: String,
    /// See [`key`].
    pub public_key: String,
    /// `Rsa`
    pub public_key_type: String,
}

/// `RequestManagedInstanceRoleToken`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RoleToken {
    /// The registered one.
    pub fingerprint: String,
}

/// `UpdateManagedInstancePublicKey`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct UpdateKey {
    /// See [`key`].
    pub new_public_key: String,
    /// `Rsa`
    pub new_public_key_type: String,
}

/// `UpdateInstanceInformation`, as far as it is looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ping {
    /// Whose sign of life it is.
    pub instance_id: String,
    /// `Active`
    pub agent_status: String,
    /// Some version.
    pub agent_version: String,
}

/// A body, or why it is none.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::form("ValidationException", error))
}

/// Holds a text against its model.
pub fn within(name: &str, holds: bool) -> Result<(), Refused> {
    match holds {
        true => Ok(()),
        false => Err(Refused::form("ValidationException", format!("{name} is not as the model wants it"))),
    }
}

/// Whether a text has a UUID's form.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_digit() || ('a'..='f').contains(&c),
        })
}

/// A public key as the service takes it: RSA of 2048 bits, SubjectPublicKeyInfo, DER, base64 in one line.
pub fn key(text: &str, kind: &str) -> Result<RsaPublicKey, Refused> {
    within("PublicKeyType", kind == "Rsa")?;
    within("PublicKey", text.len() >= 392)?;
    let wrong = |what: &str| Refused::form("InvalidPublicKey", what);
    let der = STANDARD.decode(text).map_err(|_| wrong("it is not base64 in one line"))?;
    let key =
        RsaPublicKey::from_public_key_der(&der).map_err(|_| wrong("it is no SubjectPublicKeyInfo of RSA"))?;
    match key.n().bits() {
        2048 => Ok(key),
        _ => Err(wrong("it has another size than 2048 bits")),
    }
}
