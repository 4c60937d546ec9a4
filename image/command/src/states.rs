//! `stayput states`: the state table for people, and what a light means that someone describes.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use anyhow::Context;
use stayput_hat::{Page, View, draw};
use stayput_health::Code;
use stayput_status::{Severity, heard, row};

use crate::cli::StatesArgs;
use crate::exit::{self, Fault};
use crate::hat::png;

/// The width where nobody says another one.
const USUAL: usize = 100;
/// Below this, a table has no room for sentences.
const NARROW: usize = 80;

/// Runs the command.
pub fn run(args: &StatesArgs) -> anyhow::Result<()> {
    let width = width();
    let (codes, text) = if let Some(words) = &args.blink {
        let codes = heard(words).map_err(|error| Fault::new(exit::Code::Usage, error.to_string()))?;
        if codes.is_empty() {
            let message = format!("no state of the box looks like '{words}'; ask for the rhythm once more");
            return Err(Fault::new(exit::Code::Failed, message).into());
        }
        let text = advice(&codes, width);
        (codes, text)
    } else if args.codes.is_empty() {
        let codes = all();
        let text = table(&codes, width);
        (codes, text)
    } else {
        (args.codes.clone(), args.codes.iter().map(|code| whole(*code, width)).collect())
    };
    if let Some(folder) = &args.png {
        std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        for code in &codes {
            let path = folder.join(format!("{code}.png"));
            let frame = draw(Page::Verdict, 0, &View::example(*code));
            png::write(&path, &[frame], 4).with_context(|| format!("could not write {}", path.display()))?;
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        // `stayput states | head` is not a failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A code as a person types it.
pub fn code(text: &str) -> Result<Code, String> {
    let found = text.to_uppercase().parse::<Code>();
    found.map_err(|_| "expected a code of `stayput states`, as in NET-01".to_owned())
}

/// The terminal's width; a file or a pipe has none.
fn width() -> usize {
    let terminal = std::io::stdout().is_terminal().then(crossterm::terminal::size);
    terminal.and_then(Result::ok).map_or(USUAL, |(columns, _)| usize::from(columns)).max(20)
}

/// Every code, in the manual's order.
fn all() -> Vec<Code> {
    let mut codes = Code::ALL.to_vec();
    codes.sort_by_key(|code| (std::cmp::Reverse(row(*code).severity()), row(*code).group(), *code));
    codes
}

/// One line for each state where there is room; else its lights on a line of their own.
fn table(codes: &[Code], width: usize) -> String {
    let alone = |code: &Code| row(*code).alone().to_string();
    let column = codes.iter().map(|code| alone(code).len()).max().unwrap_or(0);
    let lead = 6 + 2 + 12 + 2 + column + 2;
    let mut text = String::new();
    let mut severity: Option<Severity> = None;
    for code in codes {
        let row = row(*code);
        if severity.replace(row.severity()) != Some(row.severity()) {
            let gap = if text.is_empty() { "" } else { "\n" };
            writeln!(text, "{gap}{}", row.severity().title().to_uppercase()).expect(STRING);
        }
        if width < NARROW {
            writeln!(text, "{code}  {}", row.verdict()).expect(STRING);
            for line in wrapped(&format!("one light: {}", row.alone()), width - 8) {
                writeln!(text, "        {line}").expect(STRING);
            }
            for line in wrapped(&row.look().to_string(), width - 8) {
                writeln!(text, "        {line}").expect(STRING);
            }
            continue;
        }
        let words = wrapped(&row.sentence(None), width - lead);
        let lights = wrapped(&row.look().to_string(), width - lead);
        let mut rest = words.iter().chain(&lights);
        let first = rest.next().map_or("", String::as_str);
        writeln!(text, "{code}  {:<12}  {:<column$}  {first}", row.verdict(), alone(code)).expect(STRING);
        for line in rest {
            writeln!(text, "{:lead$}{line}", "").expect(STRING);
        }
    }
    text
}

const STRING: &str = "a String takes all text";

/// What to say to someone who describes a light: the step that all these states begin with, then which they can be.
fn advice(codes: &[Code], width: usize) -> String {
    let mut groups: Vec<_> = codes.iter().map(|code| row(*code).group()).collect();
    groups.dedup();
    let mut text = String::new();
    if let [group] = groups.as_slice() {
        for line in wrapped(&format!("First: {}", group.first_step()), width) {
            writeln!(text, "{line}").expect(STRING);
        }
        text.push('\n');
    }
    let one = codes.len() == 1;
    writeln!(text, "{}", if one { "It is:" } else { "It is one of:" }).expect(STRING);
    for code in codes {
        let row = row(*code);
        writeln!(text, "\n{code}  {}", row.verdict()).expect(STRING);
        let then = format!("Then: {}", row.remedy()[1]);
        for line in [row.sentence(None), then].iter().flat_map(|it| wrapped(it, width - 8)) {
            writeln!(text, "        {line}").expect(STRING);
        }
        if !one {
            for line in wrapped(&format!("Three lights: {}", row.look()), width - 8) {
                writeln!(text, "        {line}").expect(STRING);
            }
        }
    }
    text
}

/// All that is known of one state.
fn whole(code: Code, width: usize) -> String {
    let row = row(code);
    let mut text = format!("{code}  {}\n", row.verdict());
    let [first, then] = row.remedy();
    for (title, words) in [
        ("", row.sentence(None)),
        ("1. ", first.to_owned()),
        ("2. ", then.to_owned()),
        ("Lights: ", row.look().to_string()),
        ("One light: ", row.alone().to_string()),
        ("Screen: ", format!("{} / {}", row.verdict(), row.screen(None))),
    ] {
        for line in wrapped(&format!("{title}{words}"), width - 8) {
            writeln!(text, "        {line}").expect(STRING);
        }
    }
    text.push('\n');
    text
}

/// `text` broken between words; a longer word stands alone.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_in_the_table_once_at_every_width() {
        for width in [20, 60, 79, 80, 100, 200] {
            let text = table(&all(), width);
            for code in Code::ALL {
                assert_eq!(text.matches(code.as_str()).count(), 1, "{code} at {width}");
            }
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 100, 200] {
            let texts = all().into_iter().map(|code| whole(code, width));
            let text = table(&all(), width) + &advice(&all(), width) + &texts.collect::<String>();
            for line in text.lines() {
                assert!(line.len() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_light_on_the_telephone_leads_to_its_first_step() {
        let codes = heard("2 short, pause").unwrap();
        let text = advice(&codes, 100);
        assert!(text.starts_with("First: Check that the network cable is pushed in"), "{text}");
        assert!(text.contains("NET-01  NO CABLE"), "{text}");
    }

    #[test]
    fn a_code_is_taken_in_small_letters_as_well() {
        assert_eq!(code("net-01"), Ok(Code::NoLink));
        assert!(code("NET-99").unwrap_err().contains("NET-01"));
    }
}
