//! Names: of the box, of hosts, of time zones, of the cluster and its attributes.

use std::str::FromStr;

use super::{plain, text_type};
use crate::finding::Flaw;

text_type!(
    /// The box's own name: one label of a host name, in small letters.
    DeviceName
);
text_type!(
    /// The name of another host, without a dot at its end.
    HostName
);
text_type!(
    /// A time zone of the tz database, as in `Europe/Berlin`.
    TimeZone
);
text_type!(
    /// The name of an ECS cluster.
    ClusterName
);
text_type!(
    /// The name of a custom attribute of a container instance.
    AttributeName
);
text_type!(
    /// The value of a custom attribute of a container instance.
    AttributeValue
);
text_type!(
    /// The name of a light in the kernel's LED class.
    LedName
);

/// Why a text is no host name, if it is none.
fn host_flaw(text: &str) -> Option<Flaw> {
    let flaw = |what: &str, remedy: &str| Some(Flaw::new(what, remedy));
    if text.len() > 253 {
        return flaw("is longer than the 253 characters of a host name", "make it shorter");
    }
    if text.contains("://") || text.contains('/') {
        return flaw("is more than a host name", "leave out http:// and everything from the next / on");
    }
    for label in text.split('.') {
        if label.is_empty() {
            return flaw("has a dot too many", "take it out");
        }
        if label.len() > 63 {
            return flaw(
                "has a part of more than 63 characters",
                "make every part between dots 63 or shorter",
            );
        }
        if !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return flaw("holds something else than letters, digits and hyphens", "use only a-z, 0-9 and -");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return flaw("has a part with a hyphen at an end", "take out that hyphen");
        }
    }
    None
}

impl FromStr for DeviceName {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 63)?;
        if text.contains('.') {
            return Err(Flaw::new("holds a dot", "give the box's own name without a domain"));
        }
        if text.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(Flaw::new("holds capitals", "write it in small letters"));
        }
        if let Some(flaw) = host_flaw(text) {
            return Err(flaw);
        }
        if text == "localhost" {
            return Err(Flaw::new("is what every computer calls itself", "choose a name of its own"));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Flaw::new("is only digits, which reads as an address", "begin it with a letter"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for HostName {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 254)?;
        let text = text.strip_suffix('.').unwrap_or(text);
        if let Some(flaw) = host_flaw(text) {
            return Err(flaw);
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Flaw::new("ends in a number, so it is neither a name nor an address", "check it"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl FromStr for TimeZone {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 64)?;
        let remedy = "write Area/City as in \"Europe/Berlin\", or \"UTC\"";
        let step = |step: &str| {
            !step.is_empty()
                && step.starts_with(|c: char| c.is_ascii_alphabetic())
                && step.chars().all(|c| c.is_ascii_alphanumeric() || "_-+".contains(c))
        };
        if !text.split('/').all(step) {
            return Err(Flaw::new("is no time zone's name", remedy));
        }
        // Abbreviations are ambiguous or know no summer time; of the names without an area only this one is clear.
        if text != "UTC" && !text.contains('/') {
            return Err(Flaw::new("is no Area/City", remedy));
        }
        if text.starts_with("posix/") || text.starts_with("right/") {
            return Err(Flaw::new("is a variant of the tz database for programs", remedy));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ClusterName {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 255)?;
        if text.starts_with("arn:") {
            return Err(Flaw::new("is an ARN", "write only the name: what follows cluster/ in it"));
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(Flaw::new(
                "holds something else than letters, digits, - and _",
                "copy the cluster's name from the ECS console",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for AttributeName {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 128)?;
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./\\".contains(c)) {
            return Err(Flaw::new(
                "holds something else than letters, digits and - _ . / \\",
                "rename the attribute",
            ));
        }
        if text.starts_with("ecs.") || text.starts_with("com.amazonaws.") {
            return Err(Flaw::new("begins as only the service's own attributes may", "rename the attribute"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for AttributeValue {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 128)?;
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@:/\\ ".contains(c)) {
            return Err(Flaw::new(
                "holds something else than letters, digits, blanks and - _ . @ : / \\",
                "write it without the other characters",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for LedName {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 63)?;
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_:.".contains(c)) || text.starts_with('.') {
            return Err(Flaw::new(
                "holds something else than letters, digits and - _ : .",
                "rename the light, as in \"door:green\"",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}
