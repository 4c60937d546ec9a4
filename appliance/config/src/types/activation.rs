//! The hybrid activation's id and its code, which is a secret and shows itself nowhere.

use std::fmt;
use std::str::FromStr;

use super::{plain, text_type};
use crate::finding::Flaw;

text_type!(
    /// The id of a hybrid activation, a UUID in small letters. No secret.
    ActivationId
);

impl FromStr for ActivationId {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 200)?;
        let remedy = "copy the Activation ID again, whole: 8-4-4-4-12 digits and letters a-f";
        if !text.contains('-') && text.len() >= ActivationCode::SHORTEST {
            return Err(Flaw::new(
                "looks like the activation's code",
                "put the Activation Code into code and the Activation ID into id",
            ));
        }
        if text.starts_with("mi-") {
            return Err(Flaw::new(
                "is the id of a managed instance",
                "put the Activation ID here; the instance gets its id itself",
            ));
        }
        if text.starts_with('{') || text.starts_with("activation-") {
            return Err(Flaw::new("is not only the id", remedy));
        }
        let groups: Vec<&str> = text.split('-').collect();
        let shape = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
        if !shape || !groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Flaw::new("is no UUID", remedy));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The code of a hybrid activation: a secret until it is used up.
#[derive(Clone, PartialEq, Eq)]
pub struct ActivationCode(String);

impl ActivationCode {
    /// The service's model demands so many characters (facts/ecs-anywhere.md B1).
    pub const SHORTEST: usize = 20;
    /// The same model's upper end.
    pub const LONGEST: usize = 250;

    /// The code itself, for the one call that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ActivationCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ActivationCode({} characters, not shown)", self.0.len())
    }
}

impl FromStr for ActivationCode {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, Self::LONGEST)?;
        let again = "copy the Activation Code again, whole; the service shows it only once, else make a new activation";
        if text.parse::<ActivationId>().is_ok() {
            return Err(Flaw::new(
                "looks like the activation's id",
                "put the Activation Code into code and the Activation ID into id",
            ));
        }
        if text.len() < Self::SHORTEST {
            let what = format!("has {} characters, a code has at least {}", text.len(), Self::SHORTEST);
            return Err(Flaw::new(what, again));
        }
        if !text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\'' && c != '\\') {
            return Err(Flaw::new(
                "holds a blank, a quotation mark or a backslash, which no code has",
                again,
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What stands in `code`: a code, or the mark that the box put in its place after it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// Not used yet.
    Unused(ActivationCode),
    /// Used; the box has its identity, or this card was in another box.
    Used,
}

impl Code {
    /// How the mark begins; no code does, for none has a colon after four letters.
    pub const MARK: &str = "used";

    /// The mark of `length` characters, cut or filled to exactly that, so that it fits over the code on the card.
    pub fn mark(when: &str, length: usize) -> String {
        let mut mark = format!("{}:{when}", Self::MARK);
        mark.truncate(length);
        while mark.len() < length {
            mark.push('.');
        }
        mark
    }
}

impl FromStr for Code {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        match text.strip_prefix(Self::MARK) {
            Some("") => Ok(Self::Used),
            Some(rest) if rest.starts_with(':') => Ok(Self::Used),
            _ => text.parse().map(Self::Unused),
        }
    }
}
