//! A parsed file under examination: typed reading by the table of keys, collecting what is wrong.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use stayput_health::Place;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::echo::Shown;
use crate::finding::{COLLECTED, Finding, Findings, Flaw, Problem, Severity};
use crate::keys::{self, Key, Kind, Presence};
use crate::syntax;
use crate::types::{Code, Expiry};

/// Where the values of keys stand; a key of a repeated section stands for its first.
pub(crate) type Places = BTreeMap<String, Place>;

/// One section of the file, there or not.
#[derive(Clone, Copy)]
pub(crate) struct Part<'t> {
    pub(crate) section: &'static str,
    table: Option<&'t DeTable<'t>>,
    offset: usize,
}

impl Part<'_> {
    fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the section has the key, good or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Where the section begins; the end of the file if it is not there.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }
}

/// The file.
pub(crate) struct Sheet<'t> {
    file: &'t str,
    text: &'t str,
    root: &'t DeTable<'t>,
    /// The activation's code, which must stand nowhere else.
    code: Option<String>,
    /// What must not be repeated anywhere.
    secrets: Vec<String>,
    /// Where the grammar is broken: what follows from that is not worth a finding.
    broken: Vec<Range<usize>>,
    findings: Vec<(usize, Finding)>,
    places: Places,
    /// Keys by path and sections by name that a misspelt one seems to stand for: they are not missing.
    meant: Vec<String>,
}

impl<'t> Sheet<'t> {
    pub(crate) fn new(
        file: &'t str,
        text: &'t str,
        root: &'t DeTable<'t>,
        errors: &[toml::de::Error],
    ) -> Self {
        let (code, secrets) = secrets(root);
        let mistakes = syntax::mistakes(text, root, errors, &secrets);
        let broken = mistakes.iter().map(|mistake| mistake.breaks.clone()).collect();
        let mut sheet = Self {
            file,
            text,
            root,
            code,
            secrets,
            broken,
            findings: Vec::new(),
            places: Places::new(),
            meant: Vec::new(),
        };
        for mistake in mistakes {
            let finding = sheet.finding(mistake.offset, mistake.problem, mistake.expected, mistake.remedy);
            sheet.findings.push((mistake.offset, finding));
        }
        crate::strangers::find(&mut sheet);
        sheet
    }

    pub(crate) fn root(&self) -> &'t DeTable<'t> {
        self.root
    }

    /// What was found, in the order of the file, and where the values stand.
    pub(crate) fn into_parts(mut self) -> (Findings, Places) {
        self.findings.sort_by_key(|(offset, _)| *offset);
        (Findings(self.findings.into_iter().map(|(_, finding)| finding).collect()), self.places)
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|(_, finding)| finding.severity == Severity::Error)
    }

    fn finding(&self, offset: usize, problem: Problem, expected: String, remedy: String) -> Finding {
        let place = Place::of(self.file, self.text, offset);
        Finding { place, severity: Severity::Error, problem, expected, remedy }
    }

    /// Notes an error at `offset`, unless that line is known to be broken.
    pub(crate) fn error(
        &mut self,
        offset: usize,
        problem: Problem,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        // With a broken line anything may be missing that the person did write.
        let missing = matches!(problem, Problem::Missing { .. } | Problem::MissingSection { .. });
        let follows = missing && !self.broken.is_empty();
        let is_full = self.findings.len() >= COLLECTED;
        if !is_full && !follows && !self.broken.iter().any(|range| range.contains(&offset)) {
            let finding = self.finding(offset, problem, expected.into(), remedy.into());
            self.findings.push((offset, finding));
        }
    }

    /// Notes what a misspelt key or section seems to stand for.
    pub(crate) fn meant(&mut self, what: &str) {
        self.meant.push(what.to_owned());
    }

    /// Notes an error that makes every other pointless.
    pub(crate) fn only(&mut self, offset: usize, problem: Problem, expected: &str, remedy: &str) {
        let finding = self.finding(offset, problem, expected.to_owned(), remedy.to_owned());
        self.findings = vec![(offset, finding)];
    }

    /// A name of the file, as far as it may be shown.
    pub(crate) fn shown_name(&self, text: &str) -> Shown {
        if self.is_secret(text) { Shown::hidden(text) } else { Shown::name(text) }
    }

    fn shown(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Shown {
        let source = self.text.get(value.span()).unwrap_or_default();
        match value.get_ref() {
            DeValue::String(text) if !key.may_be_shown() || self.is_secret(text) => Shown::hidden(text),
            DeValue::String(text) => Shown::value(text),
            _ if !key.may_be_shown() || self.is_secret(source) => Shown::hidden(source),
            _ => Shown::source(source),
        }
    }

    fn is_secret(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// A section that is there at most once.
    pub(crate) fn part(&mut self, section: &'static str) -> Part<'t> {
        let absent = Part { section, table: None, offset: self.text.trim_end().len() };
        let Some(value) = self.root.get(section) else {
            self.missing_section(section, absent.offset);
            return absent;
        };
        match value.get_ref() {
            DeValue::Table(table) => Part { section, table: Some(table), offset: value.span().start },
            other => {
                let found = found(other);
                self.error(
                    value.span().start,
                    Problem::NotASection { section: format!("section [{section}]"), found },
                    format!("[{section}] in a line of its own, its keys below it"),
                    format!("write [{section}]"),
                );
                absent
            }
        }
    }

    fn missing_section(&mut self, section: &'static str, at: usize) {
        let needed: Vec<String> = keys::keys_of(section)
            .filter(|key| key.presence == Presence::Required)
            .map(|key| format!("{} = {}", key.name, key.example))
            .collect();
        if !needed.is_empty() && !self.meant.iter().any(|meant| meant == section) {
            let expected = format!("a line [{section}], its keys below it");
            let remedy = format!("add the line [{section}] and below it lines like {}", needed.join(", "));
            self.error(at, Problem::MissingSection { section }, expected, remedy);
        }
    }

    /// The top of the file as a section.
    pub(crate) fn top(&self) -> Part<'t> {
        Part { section: "", table: Some(self.root), offset: 0 }
    }

    /// A section inside `outer` that may be there often.
    pub(crate) fn parts(&mut self, outer: Part<'t>, name: &str, section: &'static str) -> Vec<Part<'t>> {
        let Some(value) = outer.table.and_then(|table| table.get(name)) else { return Vec::new() };
        let at = value.span().start;
        let title = format!("list of sections [[{section}]]");
        let form = format!("[[{section}]] in a line of its own, its keys below it");
        let remedy = format!("write [[{section}]] with two brackets, once for each");
        let DeValue::Array(rows) = value.get_ref() else {
            let problem = Problem::NotASection { section: title, found: found(value.get_ref()) };
            self.error(at, problem, form, remedy);
            return Vec::new();
        };
        let mut parts = Vec::new();
        for row in rows.iter() {
            match row.get_ref() {
                DeValue::Table(table) => {
                    parts.push(Part { section, table: Some(table), offset: row.span().start });
                }
                other => {
                    let problem = Problem::NotASection { section: title.clone(), found: found(other) };
                    self.error(row.span().start, problem, form.clone(), remedy.clone());
                }
            }
        }
        parts
    }

    fn value(&mut self, part: Part<'t>, key: &'static Key) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert_eq!(part.section, key.section, "{key} is read from its own section");
        let value = part.table.and_then(|table| table.get(key.name));
        match value {
            Some(value) => {
                let place = Place::of(self.file, self.text, value.span().start);
                self.places.entry(key.path()).or_insert(place);
            }
            // Of a section that is not there one word is enough.
            None if part.is_there() && key.presence == Presence::Required => {
                let line = format!("{} = {}", key.name, key.example);
                let remedy = match part.section {
                    "" => format!("write {line} as the first line"),
                    section => format!("add a line like {line} below [{section}]"),
                };
                if !self.meant.contains(&key.path()) {
                    self.error(part.offset, Problem::Missing { key }, key.form, remedy);
                }
            }
            None => {}
        }
        value
    }

    fn wrong_kind(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>) {
        let problem =
            Problem::WrongKind { key, found: found(value.get_ref()), shown: self.shown(key, value) };
        let expected = match key.kind {
            Kind::Text => format!("{}, in quotation marks", key.form),
            Kind::Texts => format!("a list in square brackets: {}", key.form),
            Kind::Flag | Kind::Date => key.form.to_owned(),
            Kind::Number => format!("{}, without quotation marks", key.form),
            Kind::Pairs => format!("{}, in curly brackets", key.form),
        };
        self.error(
            value.span().start,
            problem,
            expected,
            format!("write it like {} = {}", key.name, key.example),
        );
    }

    pub(crate) fn wrong_value(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>, flaw: Flaw) {
        let problem = Problem::Value { key, shown: self.shown(key, value), what: flaw.what };
        self.error(value.span().start, problem, key.form, flaw.remedy);
    }

    fn checked<T: FromStr<Err = Flaw>>(
        &mut self,
        key: &'static Key,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Option<T> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_kind(key, value);
            return None;
        };
        if self.code.as_ref().is_some_and(|code| text.contains(code.as_str()))
            && *key != keys::ACTIVATION_CODE
        {
            let flaw =
                Flaw::new("holds the activation's code", "the code belongs into [activation] code alone");
            self.wrong_value(key, value, flaw);
            return None;
        }
        text.parse().map_err(|flaw| self.wrong_value(key, value, flaw)).ok()
    }

    /// A text with its rule.
    pub(crate) fn text<T: FromStr<Err = Flaw>>(&mut self, part: Part<'t>, key: &'static Key) -> Option<T> {
        let value = self.value(part, key)?;
        self.checked(key, value)
    }

    /// A text out of a few, each with its meaning.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        part: Part<'t>,
        key: &'static Key,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let value = self.value(part, key)?;
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_kind(key, value);
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text).map(|&(_, meaning)| meaning);
        if found.is_none() {
            let meant = crate::suggest::nearest(text, words.iter().map(|&(word, _)| word));
            let remedy = match meant {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("write {} = {}", key.name, key.example),
            };
            self.wrong_value(key, value, Flaw::new("is none of the words allowed here", remedy));
        }
        found
    }

    /// A list of texts with their rule, of at most `most`, none twice.
    pub(crate) fn texts<T: FromStr<Err = Flaw> + PartialEq>(
        &mut self,
        part: Part<'t>,
        key: &'static Key,
        most: usize,
    ) -> Vec<T> {
        let Some(value) = self.value(part, key) else { return Vec::new() };
        let DeValue::Array(rows) = value.get_ref() else {
            self.wrong_kind(key, value);
            return Vec::new();
        };
        let mut list: Vec<T> = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            if index == most {
                let flaw = Flaw::new(format!("is one more than the {most} allowed"), "take some out");
                self.wrong_value(key, row, flaw);
                break;
            }
            let Some(item) = self.checked(key, row) else { continue };
            if list.contains(&item) {
                self.wrong_value(key, row, Flaw::new("is in the list already", "take one out"));
            }
            list.push(item);
        }
        list
    }

    /// A flag.
    pub(crate) fn flag(&mut self, part: Part<'t>, key: &'static Key) -> Option<bool> {
        let value = self.value(part, key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.wrong_kind(key, value);
                None
            }
        }
    }

    /// A whole number in a range.
    pub(crate) fn number(
        &mut self,
        part: Part<'t>,
        key: &'static Key,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = self.value(part, key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_kind(key, value);
            return None;
        };
        let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let found = parsed.filter(|number| range.contains(number));
        if found.is_none() {
            let remedy = format!("write a number from {} to {}", range.start(), range.end());
            self.wrong_value(key, value, Flaw::new("is out of range", remedy));
        }
        found
    }

    /// A date, as a date or as a text.
    pub(crate) fn date(&mut self, part: Part<'t>, key: &'static Key) -> Option<Expiry> {
        let value = self.value(part, key)?;
        match value.get_ref() {
            DeValue::Datetime(datetime) => {
                Expiry::of_datetime(datetime).map_err(|flaw| self.wrong_value(key, value, flaw)).ok()
            }
            DeValue::String(_) => self.checked(key, value),
            _ => {
                self.wrong_kind(key, value);
                None
            }
        }
    }

    /// Names with texts, both with their rules.
    pub(crate) fn pairs<N, V>(&mut self, part: Part<'t>, key: &'static Key, most: usize) -> BTreeMap<N, V>
    where
        N: FromStr<Err = Flaw> + Ord,
        V: FromStr<Err = Flaw>,
    {
        let Some(value) = self.value(part, key) else { return BTreeMap::new() };
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_kind(key, value);
            return BTreeMap::new();
        };
        let mut pairs = BTreeMap::new();
        for (index, (name, value)) in table.iter().enumerate() {
            if index == most {
                let flaw = Flaw::new(format!("is one more than the {most} allowed"), "take some out");
                self.wrong_value(key, value, flaw);
                break;
            }
            let good = name.get_ref().parse::<N>();
            let checked = self.checked::<V>(key, value);
            match (good, checked) {
                (Ok(name), Some(value)) => {
                    pairs.insert(name, value);
                }
                (Err(flaw), _) => {
                    let shown = self.shown_name(name.get_ref());
                    let problem = Problem::Value { key, shown, what: flaw.what };
                    self.error(name.span().start, problem, key.form, flaw.remedy);
                }
                (Ok(_), None) => {}
            }
        }
        pairs
    }
}

/// What a value is, in words.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a single section",
    }
}

/// The activation's code, and all secrets that the file holds, wherever else they may stand too.
fn secrets(root: &DeTable<'_>) -> (Option<String>, Vec<String>) {
    let text = |section: &str, name: &str| match root.get(section)?.get_ref() {
        DeValue::Table(table) => match table.get(name)?.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        },
        _ => None,
    };
    let code = text("activation", "code");
    let proxy = text("network", "proxy");
    let password = proxy.as_ref().and_then(|proxy| {
        let (user, _) = proxy.rsplit_once('@')?;
        Some(user.rsplit_once(':')?.1.to_owned())
    });
    // Shorter ones would hide half of every message, and protect nobody.
    let secrets = [code.clone(), proxy, password].into_iter().flatten().filter(|secret| secret.len() >= 6);
    let unused = code.filter(|code| code.parse().is_ok_and(|code| matches!(code, Code::Unused(_))));
    (unused, secrets.collect())
}
