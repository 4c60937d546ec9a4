//! The three calls and their replies, as they stand on the wire (facts/ecs-anywhere.md B1, B3, B4).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What all three calls say about their body.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// An honest reply has two kilobytes.
pub const LONGEST_REPLY: usize = 64 * 1024;

/// A call of the service's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Turns an activation into an identity; nobody signs it.
    Register,
    /// Turns the identity into credentials for an hour.
    RoleToken,
    /// Puts a new key in place of the old one, which signs it.
    UpdateKey,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 3] = [Self::Register, Self::RoleToken, Self::UpdateKey];

    /// `X-Amz-Target`
    pub const fn target(self) -> &'static str {
        match self {
            Self::Register => "AmazonSSM.RegisterManagedInstance",
            Self::RoleToken => "AmazonSSM.RequestManagedInstanceRoleToken",
            Self::UpdateKey => "AmazonSSM.UpdateManagedInstancePublicKey",
        }
    }
}

/// The body of [`Call::Register`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Register<'a> {
    /// The activation's code.
    pub activation_code: &'a str,
    /// The activation's id.
    pub activation_id: &'a str,
    /// The box's own random name, never to be changed.
    pub fingerprint: &'a str,
    /// The public half of the key.
    pub public_key: &'a str,
    /// Always `Rsa`.
    pub public_key_type: &'static str,
}

/// The body of [`Call::RoleToken`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RoleToken<'a> {
    /// The one that was registered.
    pub fingerprint: &'a str,
}

/// The body of [`Call::UpdateKey`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateKey<'a> {
    /// The public half of the new key.
    pub new_public_key: &'a str,
    /// Always `Rsa`.
    pub new_public_key_type: &'static str,
}

/// The kind of key in both bodies.
pub const RSA: &str = "Rsa";

/// A body as bytes.
pub fn body(call: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(call).expect("texts are JSON, and memory is the only thing written to")
}

/// The id that a registration gave.
pub fn registered(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        instance_id: String,
    }
    let reply: Reply = serde_json::from_slice(body).ok()?;
    // It becomes part of a header and of a file.
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let id = reply.instance_id;
    (id.starts_with("mi-") && id.len() > 3 && id.len() <= 64 && id.chars().all(fits)).then_some(id)
}

/// Role credentials. Not shown: all three texts are secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// `aws_access_key_id`
    pub access_key: String,
    /// `aws_secret_access_key`
    pub secret_key: String,
    /// `aws_session_token`
    pub session: String,
    /// When they stop working.
    pub expires: Timestamp,
    /// Whether the service asks for a new key.
    pub wants_new_key: bool,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Token(until {}, not shown)", self.expires)
    }
}

/// The credentials in a reply.
pub fn token(body: &[u8]) -> Option<Token> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        /// Epoch seconds, with or without a fraction.
        token_expiration_date: f64,
        #[serde(default)]
        update_key_pair: bool,
    }
    let reply: Reply = serde_json::from_slice(body).ok()?;
    // A line feed would make a second setting in the credentials file.
    let fits = |text: &String| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    let all = [&reply.access_key_id, &reply.secret_access_key, &reply.session_token];
    if !all.into_iter().all(fits) || !reply.token_expiration_date.is_finite() {
        return None;
    }
    Some(Token {
        expires: Timestamp::from_second(reply.token_expiration_date as i64).ok()?,
        access_key: reply.access_key_id,
        secret_key: reply.secret_access_key,
        session: reply.session_token,
        wants_new_key: reply.update_key_pair,
    })
}

/// The name of the error in a refusal, without its name space.
pub fn error_name(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Reply {
        #[serde(rename = "__type")]
        kind: String,
    }
    let reply: Reply = serde_json::from_slice(body).ok()?;
    reply.kind.rsplit('#').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_has_five_texts_in_the_captured_order() {
        let call = Register {
            activation_code: "c",
            activation_id: "i",
            fingerprint: "f",
            public_key: "k",
            public_key_type: RSA,
        };
        let expected = r#"{"ActivationCode":"c","ActivationId":"i","Fingerprint":"f","PublicKey":"k","PublicKeyType":"Rsa"}"#;
        assert_eq!(String::from_utf8(body(&call)).unwrap(), expected);
    }

    #[test]
    fn an_instance_id_that_would_break_a_header_is_no_id() {
        assert_eq!(registered(br#"{"InstanceId":"mi-0123456789abcdef0"}"#).unwrap(), "mi-0123456789abcdef0");
        for bad in [
            r#"{"InstanceId":"i-1"}"#,
            r#"{"InstanceId":"mi-1\r\nX: y"}"#,
            r#"{"InstanceId":"mi-"}"#,
            "{}",
            "",
        ] {
            assert_eq!(registered(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_token_is_read_with_or_without_a_fraction_and_without_the_wish_for_a_key() {
        let reply = |date: &str, more: &str| {
            format!(
                r#"{{"AccessKeyId":"a","SecretAccessKey":"b","SessionToken":"c","TokenExpirationDate":{date}{more}}}"#
            )
        };
        let read = |text: String| token(text.as_bytes());
        assert_eq!(read(reply("1795190136.5", "")).unwrap().expires.as_second(), 1_795_190_136);
        assert!(read(reply("1795190136", r#","UpdateKeyPair":true"#)).unwrap().wants_new_key);
        assert_eq!(read(reply("1e300", "")), None);
        assert_eq!(read(reply("\"soon\"", "")), None);
    }

    #[test]
    fn credentials_that_would_make_a_second_setting_in_the_file_are_refused() {
        let reply =
            r#"{"AccessKeyId":"a\n[x]","SecretAccessKey":"b","SessionToken":"c","TokenExpirationDate":1}"#;
        assert_eq!(token(reply.as_bytes()), None);
        assert!(!format!("{:?}", token(reply.replace("\\n[x]", "").as_bytes()).unwrap()).contains("\"b\""));
    }

    #[test]
    fn an_error_has_its_name_with_and_without_a_name_space() {
        assert_eq!(
            error_name(br#"{"__type":"InvalidActivation","message":""}"#).unwrap(),
            "InvalidActivation"
        );
        assert_eq!(
            error_name(br#"{"__type":"com.amazonaws.ssm#TooManyUpdates"}"#).unwrap(),
            "TooManyUpdates"
        );
        assert_eq!(error_name(b"<html>"), None);
    }
}
