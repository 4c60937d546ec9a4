//! `worker ledger`: what the log says, for whoever may ask: exported, searched, verified. It stays on the box.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use lexopt::ValueExt;

use super::{fail, misused};
use crate::book::{self, Noted};
use crate::page::{Line, Lines, hex, moment, readable};
use crate::station::Station;
use crate::variables::Variables;
use crate::{Error, Exit, Result};

/// What nobody can find out from the log alone.
const BLIND: &str = "\
what this cannot detect:
  a log that was replaced whole by an older copy of itself, or cut at its end between two records:
      compare with a head that was noted from the status (--head NUMBER:HASH)
  a log that was written anew from the beginning by someone with root's rights: its hashes hold no secret
  files that were removed on purpose, oldest first, as the mover does itself when there are too many
  times: they are the box's clock's, and it may have been wrong
";

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

enum Asked {
    Export { from: i64, to: i64, form: Form },
    Find(Vec<u8>),
    Verify(Option<Noted>),
}

/// The job.
pub fn main(variables: &Variables, arguments: &[OsString]) -> ExitCode {
    let asked = match read(arguments) {
        Ok(asked) => asked,
        Err(error) => return misused(&error),
    };
    let done = Station::read(variables).and_then(|station| match &asked {
        Asked::Export { from, to, form } => {
            export(&station, *form, |line, time| (*from..*to).contains(&time).then_some(line))
        }
        Asked::Find(name) => find(&station, name),
        Asked::Verify(noted) => verify(&station, *noted),
    });
    match done {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}

fn read(arguments: &[OsString]) -> std::result::Result<Asked, lexopt::Error> {
    use lexopt::Arg::{Long, Value};
    let mut parser = lexopt::Parser::from_args(arguments);
    let what = match parser.next()? {
        Some(Value(what)) => what.string()?,
        Some(argument) => return Err(argument.unexpected()),
        None => return Err("say what: export, find NAME or verify".into()),
    };
    let (mut from, mut to, mut form, mut name, mut noted) = (i64::MIN, i64::MAX, Form::Csv, None, None);
    let time = |text: &str| {
        moment(text).ok_or("a time is a day or a moment in UTC: 2026-11-20 or 2026-11-20T18:00:00Z")
    };
    while let Some(argument) = parser.next()? {
        match (what.as_str(), argument) {
            ("export", Long("from")) => from = parser.value()?.parse_with(time)?,
            ("export", Long("to")) => to = parser.value()?.parse_with(time)?,
            ("export", Long("json")) => form = Form::Json,
            ("export", Long("csv")) => form = Form::Csv,
            ("find", Value(value)) if name.is_none() => name = Some(value),
            ("verify", Long("head")) => {
                let head = |text: &str| {
                    Noted::parse(text).ok_or("a head is a number, a colon and 64 hexadecimal digits")
                };
                noted = Some(parser.value()?.parse_with(head)?);
            }
            (_, argument) => return Err(argument.unexpected()),
        }
    }
    match (what.as_str(), name) {
        ("export", _) => Ok(Asked::Export { from, to, form }),
        ("find", Some(name)) => Ok(Asked::Find(std::os::unix::ffi::OsStringExt::into_vec(name))),
        ("find", None) => Err("name the file".into()),
        ("verify", _) => Ok(Asked::Verify(noted)),
        _ => Err("say what: export, find NAME or verify".into()),
    }
}

/// Writes lines as they come, so that a long log needs no memory.
enum Out {
    Csv(Box<csv::Writer<BufWriter<io::StdoutLock<'static>>>>),
    Json(BufWriter<io::StdoutLock<'static>>),
}

impl Out {
    fn new(form: Form) -> Self {
        let out = BufWriter::new(io::stdout().lock());
        match form {
            Form::Csv => Self::Csv(Box::new(csv::Writer::from_writer(out))),
            Form::Json => Self::Json(out),
        }
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        match self {
            Self::Csv(out) => out.serialize(line).map_err(io::Error::from),
            // A line of JSON each: a reader need not hold them all either.
            Self::Json(out) => {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")
            }
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Csv(mut out) => out.flush(),
            Self::Json(mut out) => out.flush(),
        }
    }
}

fn export(station: &Station, form: Form, wanted: impl Fn(Line, i64) -> Option<Line>) -> Result<Exit> {
    let (mut lines, mut out, mut failed) = (Lines::default(), Out::new(form), None);
    let summary = book::read(&station.ledger, None, |record| {
        if let Some(line) = lines.line(record).and_then(|line| wanted(line, record.time))
            && failed.is_none()
        {
            failed = out.write(&line).err();
        }
    })?;
    match failed.map_or_else(|| out.end(), Err) {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Fine),
        Err(source) => return Err(Error::Output { source }),
        Ok(()) => {}
    }
    Ok(judge(&summary))
}

/// Says what does not fit, beside the lines.
fn judge(summary: &book::Summary) -> Exit {
    for fault in &summary.faults {
        eprintln!("{fault}");
    }
    if summary.faults.is_empty() { Exit::Fine } else { Exit::Damaged }
}

fn find(station: &Station, name: &[u8]) -> Result<Exit> {
    let name = readable(name);
    let found = std::cell::Cell::new(false);
    let exit = export(station, Form::Csv, |line, _| {
        let is_it = line.name.as_deref() == Some(&name) || line.target.as_deref() == Some(&name);
        found.set(found.get() || is_it);
        is_it.then_some(line)
    })?;
    if !found.get() {
        eprintln!("the log has no file of that name in the time that it keeps");
        return Ok(if exit == Exit::Fine { Exit::Wrong } else { exit });
    }
    Ok(exit)
}

fn verify(station: &Station, noted: Option<Noted>) -> Result<Exit> {
    let summary = book::read(&station.ledger, noted, |_| {})?;
    let book::Summary { files, records, first, last, head, rest, .. } = &summary;
    println!("{files} files with {records} records, from {first} to {last}");
    println!("head {last}:{}", hex(head));
    if *rest > 0 {
        println!(
            "{rest} bytes of a write that is going on or was interrupted; the mover's next start cuts them off"
        );
    }
    let exit = judge(&summary);
    println!(
        "{}",
        if exit == Exit::Fine { "every record fits the one before it" } else { "the log is not in order" }
    );
    print!("{BLIND}");
    Ok(exit)
}
