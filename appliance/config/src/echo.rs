//! What of a person's text may be repeated in a message: never a secret, and nothing that could be one.

use std::fmt;

/// Longer texts are cut: a message is for a person.
const LONGEST: usize = 60;

/// An activation code has at least 20 characters (facts: the service's own model).
const SHORTEST_CODE: usize = 20;

/// Offending text, fit for a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// A value: quoted and cut, or only its length where it could be a secret.
    pub(crate) fn value(text: &str) -> Self {
        if could_be_secret(text) { Self::hidden(text) } else { Self(format!("{:?}", cut(text))) }
    }

    /// A value that is not a text, as it stands in the file.
    pub(crate) fn source(text: &str) -> Self {
        // An open bracket swallows the lines behind it, whatever they hold.
        let swallows = text.trim_end().contains('\n');
        if swallows || could_be_secret(text) {
            Self::hidden(text)
        } else {
            Self(cut(text).escape_debug().to_string())
        }
    }

    /// A key's or section's name.
    pub(crate) fn name(text: &str) -> Self {
        if could_be_secret(text) {
            Self::hidden(text)
        } else if text.is_empty() {
            Self("\"\"".to_owned())
        } else {
            Self(cut(text).escape_debug().to_string())
        }
    }

    /// Only how long it is.
    pub(crate) fn hidden(text: &str) -> Self {
        Self(format!("({} characters, not shown)", text.chars().count()))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Whether a text could be, or hold, an activation code, a password or a private key put in the wrong place.
fn could_be_secret(text: &str) -> bool {
    // A URL with a user part, a PEM block.
    if text.contains('@') && text.contains(':') || text.contains("-----") || text.contains("PRIVATE") {
        return true;
    }
    // The same with its end cut off: behind the colon stands no port.
    let is_port = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let hosts = text.split("://").skip(1).map(|rest| rest.split('/').next().unwrap_or_default());
    if hosts.filter_map(|host| host.split_once(':')).any(|(_, rest)| !is_port(rest)) {
        return true;
    }
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_".contains(c))).any(|run| {
        let kinds = [
            run.contains(|c: char| c.is_ascii_uppercase()),
            run.contains(|c: char| c.is_ascii_lowercase()),
            run.contains(|c: char| c.is_ascii_digit()),
        ];
        run.len() >= SHORTEST_CODE && kinds.iter().filter(|&&kind| kind).count() >= 2
    })
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_values_are_shown_as_they_are() {
        assert_eq!(Shown::value("eu-cental-1").to_string(), "\"eu-cental-1\"");
        assert_eq!(Shown::value("/data/source").to_string(), "\"/data/source\"");
        assert_eq!(Shown::source("[1, 2]").to_string(), "[1, 2]");
    }

    #[test]
    fn what_could_be_a_code_a_password_or_a_key_is_only_counted() {
        for secret in [
            "Fjz3/sZfSvv78EXAMPLE",
            "http://user:pw@proxy:3128",
            "http://user:pw",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "prefix Fjz3/sZfSvv78EXAMPLE suffix",
        ] {
            let shown = Shown::value(secret).to_string();
            assert_eq!(shown, format!("({} characters, not shown)", secret.chars().count()));
        }
    }

    #[test]
    fn an_open_bracket_shows_nothing_of_the_lines_that_it_swallowed() {
        let swallowed = "{ \"box-1\"\r\n[network]\r\nproxy = \"Secret\"";
        assert!(!Shown::source(swallowed).to_string().contains("Secret"));
        assert_eq!(Shown::source("https://host:443/x").to_string(), "https://host:443/x");
    }

    #[test]
    fn long_text_is_cut_and_control_characters_are_spelled_out() {
        assert_eq!(Shown::value(&"a".repeat(100)).to_string(), format!("\"{}...\"", "a".repeat(60)));
        assert_eq!(Shown::name("a\u{7}b").to_string(), "a\\u{7}b");
    }
}
