//! The manual of all states, made from the table: `docs/states.md` and its pictures.

use std::collections::BTreeMap;
use std::fmt::Write;

use stayput_health::Code;

use crate::picture::svg;
use crate::rhythm::{BETWEEN, LONG, PAUSE, SHORT};
use crate::{Detail, Group, Keeper, Rhythm, Row, SCREEN_COLUMNS, Severity, VERDICT_COLUMNS, row};

/// The manual's files by their path below `docs/`: the page, and a picture for each state.
pub fn files() -> BTreeMap<String, String> {
    let pictures = Code::ALL.iter().map(|code| (picture(*code), svg(&row(*code))));
    pictures.chain([("states.md".to_owned(), page())]).collect()
}

/// What the README shows of the lights: what a person meets on a first day, in that order.
const FIRST_DAY: [Code; 6] =
    [Code::Booting, Code::Running, Code::Working, Code::ConfigWrong, Code::NoLink, Code::SafeToUnplug];

/// The README's table of lights.
pub fn first_day() -> String {
    let mut text = String::from("| lights | it means | what to do |\n|---|---|---|\n");
    for code in FIRST_DAY {
        let row = row(code);
        let [first, then] = row.remedy();
        let remedy = match row.severity() {
            Severity::Good | Severity::Passing => first.to_owned(),
            Severity::Warning | Severity::Fault => format!("{first} {then}"),
            // It was asked for: the first step is for somebody who does not know that.
            Severity::Command => then.to_owned(),
        };
        let (look, verdict, meaning) = (row.look(), row.verdict(), row.sentence(None));
        text += &format!("| ![{look}](docs/{}) | **{verdict}** {meaning} | {remedy} |\n", picture(code));
    }
    text
}

/// The README's table of troubles: a fault's group is what is counted first.
pub fn troubles() -> String {
    let mut groups: Vec<_> = Code::ALL.iter().map(|code| row(*code)).collect();
    groups.retain(|row| row.severity() == Severity::Fault);
    let mut groups: Vec<_> = groups.iter().map(|row| (row.alone(), row.group())).collect();
    groups.sort();
    groups.dedup();
    let mut text = String::from("| red, or the one light | it is about | first |\n|---|---|---|\n");
    for (count, group) in groups {
        text += &format!("| {count} | {} | {} |\n", group.title(), group.first_step());
    }
    text
}

fn picture(code: Code) -> String {
    format!("states/{code}.svg")
}

fn page() -> String {
    let mut text = String::new();
    introduction(&mut text).expect("a String takes all text");
    for severity in Severity::ALL.into_iter().rev() {
        section(&mut text, severity).expect("a String takes all text");
    }
    text
}

fn introduction(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "<!-- Made from appliance/status/src/table.rs. Change it there, then: STAYPUT_WRITE_DOCS=1 cargo test -p stayput-status --test manual -->\n\
         # What the lights say\n\n\
         Every state of the box: its lights, its words on the screen, in the log and in `STATUS.txt`, and what to do.\n\
         The code (`NET-01`) is the same everywhere, so it can be searched for.\n\n\
         ## At a glance\n\n\
         | lights | it means |\n|---|---|\n\
         | green, red is dark | it works |\n\
         | yellow blinks and red is dark | it is on its way, or it works and something should be looked at |\n\
         | red blinks | it does not work: count |\n\
         | the power light is on and all others are dark | nothing drives the lights: [{dark}](#{dark_anchor}) |\n\n\
         **Counting.** After a pause, count the blinks of the light that begins, then those of the light that goes on.\n\
         Red 2, then yellow 1 is fault 2-1: [{cable}](#{cable_anchor}). Yellow 6, then green 2 is warning 6-2:\n\
         [{worn}](#{worn_anchor}). Colours need not be told apart: place and rhythm are enough.\n\n\
         **A box with one light** (the one soldered to the board) shows the first of the two numbers: {fault} is a\n\
         fault of group 2, {warning} a warning of group 6. Two states share a look on this light only where one begins\n\
         with the same step, which is the second table. What exactly it is stands on the screen and in `STATUS.txt`.\n",
        dark = Code::StatusDark,
        dark_anchor = anchor(Code::StatusDark),
        cable = Code::NoLink,
        cable_anchor = anchor(Code::NoLink),
        worn = Code::CardWorn,
        worn_anchor = anchor(Code::CardWorn),
        fault = quoted(row(Code::NoLink).alone()),
        warning = quoted(row(Code::CardWorn).alone()),
    )?;
    writeln!(text, "## What the one light says\n\n| the light | group | first step |\n|---|---|---|")?;
    for (alone, group) in alone_looks() {
        writeln!(text, "| {alone} | {} | {} |", group.title(), group.first_step())?;
    }
    writeln!(
        text,
        "\n## Rhythms\n\n\
         | rhythm | lit and dark |\n|---|---|\n\
         | steady | lit |\n\
         | slow | 1 s lit, 1 s dark |\n\
         | fast | 0.2 s lit, 0.2 s dark (the kernel's own panic blink has the same) |\n\
         | heartbeat | lit, with a quick double break (0.1 s, 0.2 s) every 2 s and no pause |\n\
         | *n* short | {SHORT} ms lit, {BETWEEN} ms dark, *n* times |\n\
         | *n* long | {LONG} ms lit, {BETWEEN} ms dark, *n* times |\n\
         | pause | {PAUSE} ms dark |\n\n\
         Each light gets a program of at most ten seconds that ends dark, and the status part arms it again. So a light that\n\
         stays dark for ten seconds means that no one arms it: a dead status part cannot go on saying that all is well.\n\n\
         ## Which state is shown\n\n\
         The worst one: {}. Among faults, and among warnings, the group\n\
         decides: a card that does not start, files, programs, settings, cable, way, activation, region, because what comes\n\
         first causes what follows; then the lower number. A worse state shows at once. A better one shows when the worse one\n\
         has been gone for {} s (a fault or warning) or {} s. What is not shown is listed in `STATUS.txt`. A part that is silent\n\
         for too long, or ended by itself, is dead ({}).\n\n\
         On the screen, the first line has at most {VERDICT_COLUMNS} characters of 10x20 pixels, the second at most\n\
         {SCREEN_COLUMNS} of 6x8. What stands in angle brackets there is a number or a word of that moment.\n",
        Severity::ALL
            .into_iter()
            .rev()
            .map(Severity::title)
            .collect::<Vec<_>>()
            .join(", then ")
            .to_lowercase(),
        crate::Settler::hold(Severity::Fault).as_secs(),
        crate::Settler::hold(Severity::Good).as_secs(),
        Code::PartDead,
    )
}

/// Each look of the one light with its group: continuous ones first, then faults, then warnings, by number.
fn alone_looks() -> Vec<(Rhythm, Group)> {
    let mut looks: Vec<_> = Code::ALL.iter().map(|code| (row(*code).alone(), row(*code).group())).collect();
    looks.sort();
    looks.dedup();
    looks
}

fn section(text: &mut String, severity: Severity) -> std::fmt::Result {
    writeln!(text, "## {}\n", severity.title())?;
    let mut codes: Vec<Code> = Code::ALL.to_vec();
    codes.retain(|code| row(*code).severity() == severity);
    codes.sort_by_key(|code| (row(*code).group(), std::cmp::Reverse(row(*code).rank())));
    for code in codes {
        state(text, code, &row(code))?;
    }
    Ok(())
}

fn state(text: &mut String, code: Code, row: &Row) -> std::fmt::Result {
    let name = row.detail().map(|(Detail::Counter(name) | Detail::Fact(name))| format!("<{name}>"));
    let name = name.as_deref();
    let [first, then] = row.remedy();
    writeln!(text, "### {code} {}\n", row.verdict())?;
    writeln!(text, "![{}; one light: {}]({})\n", row.look(), row.alone(), picture(code))?;
    writeln!(text, "{}\n", row.sentence(name).replace(['<', '>'], "*"))?;
    writeln!(text, "- **What to do:** {first} {then}")?;
    writeln!(text, "- **Lights:** {}; one light: {}", row.look(), row.alone())?;
    writeln!(text, "- **Screen:** `{}` / `{}`", row.verdict(), row.screen(name))?;
    match row.keeper() {
        Keeper::Daemon => {}
        Keeper::Kernel => writeln!(text, "- Shown by the kernel alone, without the status part.")?,
        Keeper::Level => {
            writeln!(text, "- Shown without anything running: the lights stay as they were set last.")?
        }
    }
    writeln!(text)
}

fn quoted(rhythm: Rhythm) -> String {
    format!("\"{rhythm}\"")
}

/// A heading's anchor, as code forges make it.
fn anchor(code: Code) -> String {
    let heading = format!("{code} {}", row(code).verdict()).to_lowercase();
    let kept = heading.chars().filter(|c| c.is_ascii_alphanumeric() || " -".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
