//! What the TOML grammar refuses, in words for a person who never heard of TOML.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::echo::Shown;
use crate::finding::{COLLECTED, Problem};
use crate::keys::KEYS;
use crate::types::LOOKALIKES;

/// A mistake of grammar.
pub(crate) struct Mistake {
    pub(crate) offset: usize,
    /// What cannot be judged because of it.
    pub(crate) breaks: Range<usize>,
    pub(crate) problem: Problem,
    pub(crate) expected: String,
    pub(crate) remedy: String,
}

const LINE: &str = "a section in brackets, or name = value";

/// The mistakes in the order of the text, at most one for a line; what follows from another is left out.
pub(crate) fn mistakes(text: &str, root: &DeTable<'_>, errors: &[Error], secrets: &[String]) -> Vec<Mistake> {
    let mut first_of_line: BTreeMap<usize, (usize, &Error)> = BTreeMap::new();
    // A list or text that is never closed swallows what follows; everything inside it is its fault.
    let mut swallowed: Vec<Range<usize>> = Vec::new();
    let mut found = Vec::new();
    let mut open: Vec<&Error> = errors.iter().filter(|error| is_unclosed(error.message())).collect();
    // An open text inside an open list is the one mistake.
    open.sort_by_key(|error| !is_text(error.message()));
    for error in open {
        let at = offset_of(error, text);
        let start = container(root, at, is_text(error.message())).unwrap_or_else(|| line_start(text, at));
        let range = start..at.max(start + 1) + 1;
        if !swallowed.iter().any(|other: &Range<usize>| other.start < range.end && range.start < other.end) {
            found.push(unclosed(range.clone(), error.message()));
            swallowed.push(range);
        }
    }
    for error in errors {
        let at = offset_of(error, text);
        if swallowed.iter().any(|range| range.contains(&at)) {
            continue;
        }
        let best = first_of_line.entry(line_start(text, at)).or_insert((at, error));
        if at < best.0 {
            *best = (at, error);
        }
    }
    for (start, (at, error)) in first_of_line.into_iter().take(COLLECTED) {
        let line = text[start..].lines().next().unwrap_or_default();
        let mut mistake = single(text, root, at, line, error, secrets);
        mistake.breaks = start..start + line.len() + 1;
        found.push(mistake);
    }
    found.sort_by_key(|mistake| mistake.offset);
    found
}

fn offset_of(error: &Error, text: &str) -> usize {
    let mut at = error.span().map_or(0, |span| span.start).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn is_unclosed(message: &str) -> bool {
    ["unclosed array", "unclosed inline table", "invalid multi-line"].iter().any(|m| message.starts_with(m))
}

fn is_text(message: &str) -> bool {
    message.starts_with("invalid multi-line")
}

/// Where the list begins that still goes on at `at`; or, for a `text`, the text.
fn container(root: &DeTable<'_>, at: usize, text: bool) -> Option<usize> {
    root.iter().find_map(|(_, value)| inside(value, at, text))
}

fn inside(value: &Spanned<DeValue<'_>>, at: usize, text: bool) -> Option<usize> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => return container(table, at, text),
        DeValue::Array(rows) => rows.iter().find_map(|row| match row.get_ref() {
            DeValue::Table(table) => container(table, at, text),
            DeValue::String(_) if text => inside(row, at, text),
            _ => None,
        }),
        _ => None,
    };
    inner.or_else(|| open_at(value.span(), at))
}

fn open_at(span: Range<usize>, at: usize) -> Option<usize> {
    (span.start < at && at <= span.end + 1).then_some(span.start)
}

fn unclosed(range: Range<usize>, message: &str) -> Mistake {
    let (what, expected, remedy) = if message.starts_with("unclosed array") {
        ("this list is never closed", "]", "put ] behind its last value")
    } else if message.starts_with("unclosed inline table") {
        ("this { is never closed", "}", "put } behind its last value, in the same line")
    } else {
        ("this text is never closed", "three quotation marks", "put three quotation marks behind its end")
    };
    Mistake {
        offset: range.start,
        breaks: range,
        problem: Problem::Syntax { what: what.to_owned() },
        expected: expected.to_owned(),
        remedy: format!("{remedy}; if the file ends in the middle, copy it again"),
    }
}

/// One mistake in one line. The line itself is never repeated: it may hold the code.
fn single(
    text: &str,
    root: &DeTable<'_>,
    at: usize,
    line: &str,
    error: &Error,
    secrets: &[String],
) -> Mistake {
    let message = error.message();
    let trimmed = line.trim_start();
    let key = line.split(['=', ':', '"']).next().unwrap_or_default().trim();
    let known = KEYS.iter().find(|known| known.name == key);
    let of_key = known.map(|known| format!("{} ", known.name)).unwrap_or_default();
    let mistake = |what: String, expected: &str, remedy: String| Mistake {
        offset: at,
        breaks: at..at,
        problem: Problem::Syntax { what },
        expected: expected.to_owned(),
        remedy,
    };
    if message == "duplicate key" {
        return duplicate(text, root, error, secrets);
    }
    if line.contains(|c: char| LOOKALIKES.contains(c)) {
        let place = line.find(|c: char| LOOKALIKES.contains(c)).unwrap_or(0);
        let mut lookalike = mistake(
            "here is a quotation mark, dash or blank that a word processor put in place of the plain one"
                .to_owned(),
            "plain quotation marks and blanks",
            "type it again in a plain text editor".to_owned(),
        );
        lookalike.offset = line_start(text, at) + place;
        return lookalike;
    }
    if trimmed.starts_with(';') || trimmed.starts_with("//") {
        let remedy = "begin the comment with #".to_owned();
        return mistake("this line is no comment here".to_owned(), LINE, remedy);
    }
    if message.starts_with("string values must be quoted") || message.starts_with("invalid boolean") {
        let value = line.split_once('=').map_or("", |(_, value)| value).trim();
        let (expected, remedy) = match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => ("true or false", "write true".to_owned()),
            "false" | "no" | "off" => ("true or false", "write false".to_owned()),
            "" => ("a value", "write the value behind the =, or put # before the line".to_owned()),
            _ => match known.filter(|known| known.kind == crate::keys::Kind::Text) {
                Some(known) => (
                    "a text in quotation marks",
                    format!("put quotation marks around it, as in {} = {}", known.name, known.example),
                ),
                None => (
                    "a text in quotation marks, a number, true or false",
                    "put quotation marks around it".to_owned(),
                ),
            },
        };
        let what =
            if value.is_empty() { "has no value" } else { "has a value that is no text, number or flag" };
        return mistake(format!("{}{what}", named(&of_key)), expected, remedy);
    }
    if message.starts_with("key with no value") || message.starts_with("invalid unquoted key") {
        if line.contains(':') && !line.contains('=') {
            let remedy = "write = in place of :, and a text in quotation marks".to_owned();
            return mistake(format!("{}has : where = belongs", named(&of_key)), "name = value", remedy);
        }
        let remedy = "write name = value; put # before what is only a remark".to_owned();
        return mistake(format!("{}is not name = value", named(&of_key)), LINE, remedy);
    }
    if message.starts_with("unclosed table") {
        let remedy = "put ] behind the section's name".to_owned();
        return mistake("this section's ] is missing".to_owned(), "]", remedy);
    }
    if message.starts_with("invalid basic string") || message.starts_with("invalid literal string") {
        let end =
            if at >= text.trim_end().len() { "; if the file ends in the middle, copy it again" } else { "" };
        let remedy = format!("put a quotation mark behind the value{end}");
        return mistake(
            format!("{}has no closing quotation mark", named(&of_key)),
            "a quotation mark",
            remedy,
        );
    }
    if message.contains("escape") {
        let remedy = "put the text between single quotation marks, or write the backslash twice".to_owned();
        return mistake("a backslash begins a code here".to_owned(), "no backslash", remedy);
    }
    if message.starts_with("carriage return") {
        let remedy = "save the file with the line ends of Windows or Unix".to_owned();
        return mistake("a line ends as on an old Macintosh".to_owned(), "ordinary line ends", remedy);
    }
    if message.starts_with("invalid date") {
        let remedy = "write year-month-day, as in 2030-12-24".to_owned();
        return mistake("this is no day of the calendar".to_owned(), "a day", remedy);
    }
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, LINE));
    let remedy = "compare the line with the commented example".to_owned();
    mistake(what.replace('\n', " "), &expected.replace('\n', " "), remedy)
}

fn named(of_key: &str) -> String {
    if of_key.is_empty() { "this line ".to_owned() } else { of_key.to_owned() }
}

fn duplicate(text: &str, root: &DeTable<'_>, error: &Error, secrets: &[String]) -> Mistake {
    let span = error.span().unwrap_or(0..0);
    let name = text.get(span.clone()).unwrap_or_default();
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let shown = if secrets.iter().any(|secret| name.contains(secret)) {
        Shown::hidden(name)
    } else {
        Shown::name(name)
    };
    Mistake {
        offset: span.start,
        breaks: span.clone(),
        problem: Problem::Duplicate {
            name: shown,
            first: place_of(root, name, span.start).or_else(|| header_of(text, name, span.start)).map(line),
        },
        expected: "each section and each key once".to_owned(),
        remedy: "keep one and put the other's lines below it, or take it out".to_owned(),
    }
}

/// Where the section of that name has its line before `before`.
fn header_of(text: &str, name: &str, before: usize) -> Option<usize> {
    let header = format!("[{name}]");
    let starts = text.match_indices('\n').map(|(newline, _)| newline + 1);
    std::iter::once(0)
        .chain(starts)
        .find(|&start| start < line_start(text, before) && text[start..].trim_start().starts_with(&header))
}

/// Where a key of that name stands before `before`: the one that was there first.
fn place_of(table: &DeTable<'_>, name: &str, before: usize) -> Option<usize> {
    let mut best = None;
    for (key, value) in table {
        let inner = match value.get_ref() {
            DeValue::Table(inner) => place_of(inner, name, before),
            _ => None,
        };
        let own = (key.get_ref() == name).then(|| key.span().start).filter(|&start| start < before);
        best = best.max(inner).max(own);
    }
    best
}
