//! A configuration in the making: values by key, written out with every other key as a comment.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::finding::Flaw;
use crate::keys::{self, KEYS, Key, Kind, Presence, SECTIONS};
use crate::suggest::nearest;

/// Where comments are broken.
const WIDTH: usize = 100;

/// Values for some keys. What they are worth, [`crate::read`] says of the written file.
#[derive(Clone, Default)]
pub struct Draft(BTreeMap<String, Vec<String>>);

impl Draft {
    /// A draft that sets nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a key its value. A list or a set of pairs (`name=value`) gets one more.
    pub fn set(&mut self, key: &Key, value: &str) {
        let values = self.0.entry(key.path()).or_default();
        if !matches!(key.kind, Kind::Texts | Kind::Pairs) {
            values.clear();
        }
        values.push(value.to_owned());
    }

    /// The same for a key by its path, as in `network.proxy`.
    pub fn set_by_path(&mut self, path: &str, value: &str) -> Result<(), Flaw> {
        let Some(key) = keys::find(path) else {
            let known: Vec<String> = KEYS.iter().map(|key| key.path()).collect();
            let remedy = match nearest(path, known.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "write section.key, as in network.proxy; docs/config.md has them all".to_owned(),
            };
            return Err(Flaw::new("is no key", remedy));
        };
        self.set(key, value);
        Ok(())
    }

    /// Whether the key has a value.
    pub fn has(&self, key: &Key) -> bool {
        self.0.contains_key(&key.path())
    }

    /// The file.
    pub fn render(&self) -> String {
        let mut out = String::new();
        comment(
            &mut out,
            "Stayput: what this box is and where it belongs. Put this file on the card's partition STAYPUT, under the name stayput.toml. \
             Lines that begin with # are remarks; take the # away to use a setting. What each key means in full: docs/config.md.",
        );
        out.push('\n');
        for section in SECTIONS {
            let set = keys::keys_of(section.name).any(|key| self.has(key));
            if !section.name.is_empty() {
                out.push('\n');
                comment(&mut out, section.about);
                let line = match section.repeated {
                    true => format!("[[{}]]", section.name),
                    false => format!("[{}]", section.name),
                };
                // A list of tables with nothing set would be one table without its needed keys.
                let mark = if section.repeated && !set { "#" } else { "" };
                let _ = writeln!(out, "{mark}{line}\n");
            }
            for (index, key) in keys::keys_of(section.name).enumerate() {
                if index > 0 {
                    out.push('\n');
                }
                self.line(&mut out, key);
            }
        }
        out
    }

    fn line(&self, out: &mut String, key: &Key) {
        let without = match key.presence {
            Presence::Required => "Needed.".to_owned(),
            Presence::Optional(what) => format!("Without it: {what}."),
            Presence::NeededWith(what) => format!("Needed with {what}."),
        };
        comment(out, &format!("{} Expected: {}. {without}", key.about, key.form));
        let _ = match self.0.get(&key.path()) {
            Some(values) => writeln!(out, "{} = {}", key.name, toml_of(key.kind, values)),
            None => writeln!(out, "#{} = {}", key.name, key.example),
        };
    }
}

/// The values as TOML; a value that is not of its kind becomes a text, so that the reader can say what is wrong with it.
fn toml_of(kind: Kind, values: &[String]) -> String {
    let list = |items: Vec<String>| items.join(", ");
    let single = values.last().map(String::as_str).unwrap_or_default();
    match kind {
        Kind::Text => text(single),
        Kind::Texts => format!("[{}]", list(values.iter().map(|value| text(value)).collect())),
        Kind::Pairs => {
            let pair = |value: &String| {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                format!("{} = {}", text(name.trim()), text(value.trim()))
            };
            format!("{{ {} }}", list(values.iter().map(pair).collect()))
        }
        Kind::Flag | Kind::Number | Kind::Date => {
            let scalar = single.chars().all(|c| c.is_ascii_alphanumeric() || "-:+._".contains(c));
            let good = scalar
                && format!("v = {single}").parse::<toml::Table>().is_ok_and(|table| {
                    !matches!(table.get("v"), None | Some(toml::Value::Table(_) | toml::Value::Array(_)))
                });
            if good { single.to_owned() } else { text(single) }
        }
    }
}

/// A text in one line: a name before `=` may not have more, so nothing gets more.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A remark, broken at blanks.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}
