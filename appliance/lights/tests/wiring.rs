//! The wiring plan in `docs/` is drawn from the board's own tables.
//!
//! `STAYPUT_WRITE_DOCS=1 cargo test -p stayput-lights --test wiring` draws it anew.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use stayput_health::Board;
use stayput_health::board::{Header, Led, LedColor, LedRole, Pin};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn board() -> Board {
    Board::load(&tree().join("board/nanopi-neo2/board.toml")).unwrap()
}

#[test]
fn every_light_of_ones_own_has_a_pin_that_nothing_else_uses() {
    let board = board();
    let header = board.header.as_ref().unwrap();
    let taken: Vec<_> = board.keys.iter().map(|key| header.pin(&key.chip, key.line).unwrap()).collect();
    for led in board.leds.iter().filter(|led| !led.builtin) {
        let pin = header.pin(&led.chip, led.line);
        assert!(pin.is_some_and(|pin| !taken.contains(&pin)), "{led:?} is at {pin:?}, keys are at {taken:?}");
    }
}

#[test]
fn the_manual_names_the_pins_of_the_board() {
    let (board, manual) = (board(), std::fs::read_to_string(tree().join("docs/lights.md")).unwrap());
    for led in board.leds.iter().filter(|led| !led.builtin) {
        let pin = board.header.as_ref().unwrap().pin(&led.chip, led.line).unwrap();
        let row = format!("| {} | {pin} | ", colour(led).0);
        let line = manual.lines().find(|line| line.starts_with(&row));
        assert!(line.is_some_and(|line| line.contains(&format!(", {}", led.line))), "no row '{row}'");
    }
}

#[test]
fn the_wiring_plan_is_that_of_the_board() {
    let (path, drawn) = (tree().join("docs/wiring.svg"), plan(&board()));
    if std::env::var_os("STAYPUT_WRITE_DOCS").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let remedy = "STAYPUT_WRITE_DOCS=1 cargo test -p stayput-lights --test wiring";
    assert!(found == drawn, "docs/wiring.svg is not the board's plan; look at it after: {remedy}");
}

/// Between two pins.
const PITCH: usize = 44;
/// Where the two rows are.
const ROWS: [usize; 2] = [96, 136];
/// Where the lights' resistors begin, and the wire to ground that they share.
const RIGHT: usize = 620;
const GROUND: usize = 860;

fn plan(board: &Board) -> String {
    let header = board.header.as_ref().unwrap();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"272\" viewBox=\"0 0 900 272\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#ddd\">\n\
         <title>{}: three lights on its long header</title>\n\
         <rect width=\"900\" height=\"272\" rx=\"6\" fill=\"#222\"/>\n\
         <rect x=\"16\" y=\"72\" width=\"{}\" height=\"88\" rx=\"6\" fill=\"#163a2a\" stroke=\"#2d6b4f\"/>\n",
        board.title,
        header.pins.len() / 2 * PITCH + 20
    );
    let lights: Vec<_> = board.leds.iter().filter(|led| !led.builtin).collect();
    let pin_of = |led: &Led| header.pin(&led.chip, led.line).unwrap();
    // Whoever is farther to the right leaves the row of pins nearer to it, so that no two wires cross.
    let ground =
        header.pins.iter().rposition(|pin| *pin == Pin::Named(Header::GROUND.to_owned())).unwrap() + 1;
    let mut below: Vec<_> =
        lights.iter().map(|led| pin_of(led)).chain([ground]).filter(|pin| pin % 2 == 0).collect();
    let mut above: Vec<_> = lights.iter().map(|led| pin_of(led)).filter(|pin| pin % 2 == 1).collect();
    below.sort_by(|a, b| b.cmp(a));
    above.sort_by(|a, b| b.cmp(a));
    let level = |pin: usize| match above.iter().position(|other| *other == pin) {
        Some(order) => 52 - order * 28,
        None => 184 + below.iter().position(|other| *other == pin).unwrap() * 28,
    };
    let levels = || lights.iter().map(|led| level(pin_of(led)));
    let (top, bottom) = (levels().min().unwrap(), levels().max().unwrap());
    let y = level(ground);
    wire(&mut text, "#999", &format!("M{} {}V{y}H{GROUND}M{GROUND} {top}V{bottom}", x(ground), ROWS[1]));
    for led in &lights {
        let (pin, (name, colour)) = (pin_of(led), colour(led));
        let y = level(pin);
        let from = ROWS[(pin + 1) % 2];
        wire(&mut text, colour, &format!("M{} {from}V{y}H{RIGHT}M{} {y}H{}", x(pin), RIGHT + 44, RIGHT + 70));
        let diode = RIGHT + 70;
        let means = match led.role {
            LedRole::Ok => "well",
            LedRole::Busy => "busy",
            LedRole::Fault => "fault",
            LedRole::Power | LedRole::Status => "the box",
        };
        writeln!(
            text,
            "<rect x=\"{RIGHT}\" y=\"{}\" width=\"44\" height=\"12\" fill=\"#222\" stroke=\"#ddd\"/>\n\
             <path d=\"M{diode} {}v16l14 -8zM{} {}v16\" fill=\"{colour}\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <path d=\"M{} {y}H{GROUND}\" stroke=\"#999\" stroke-width=\"2\"/>\n\
             <text x=\"{}\" y=\"{}\">{name}: {means}</text>",
            y - 6,
            y - 8,
            diode + 15,
            y - 8,
            diode + 16,
            diode + 28,
            y - 5
        )
        .unwrap();
    }
    for (index, pin) in header.pins.iter().enumerate() {
        let number = index + 1;
        let key = board.keys.iter().find(|key| header.pin(&key.chip, key.line) == Some(number));
        let light = lights.iter().find(|led| pin_of(led) == number);
        let (label, fill) = match (pin, key, light) {
            (_, Some(key), _) => (key.name.clone(), "#557"),
            (_, _, Some(led)) => (colour(led).0.to_owned(), colour(led).1),
            (Pin::Named(name), _, _) if name.starts_with('S') => (name.clone(), "#557"),
            (Pin::Named(name), _, _) => (name.clone(), if number == ground { "#999" } else { "#444" }),
            (Pin::Line(_), _, _) => (String::new(), "#444"),
        };
        let ink = if light.is_some() || number == ground { "#000" } else { "#ddd" };
        writeln!(
            text,
            "<rect x=\"{}\" y=\"{}\" width=\"40\" height=\"30\" rx=\"{}\" fill=\"{fill}\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\" font-size=\"10\">{number}</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\" font-size=\"11\">{label}</text>",
            x(number) - 20,
            ROWS[index % 2] - 15,
            // The first pin's pad is square on the board, too.
            if number == 1 { 0 } else { 6 },
            x(number),
            ROWS[index % 2] - 3,
            x(number),
            ROWS[index % 2] + 10
        )
        .unwrap();
    }
    let remarks = [
        "Each light through a resistor of 470 \u{3a9} to 1 k\u{3a9}; the side of its short leg goes to ground.",
        "Violet pins are the hat's screen and keys: leave them to it. Pin 1 has the square pad.",
    ];
    for (number, remark) in remarks.iter().enumerate() {
        writeln!(text, "<text x=\"20\" y=\"{}\">{remark}</text>", 24 + number * 18).unwrap();
    }
    text.push_str("</svg>\n");
    text
}

fn x(pin: usize) -> usize {
    48 + (pin - 1) / 2 * PITCH
}

fn wire(text: &mut String, colour: &str, path: &str) {
    writeln!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>").unwrap();
}

/// A light's colour, by its name and for the plan.
fn colour(led: &Led) -> (&'static str, &'static str) {
    match led.color {
        LedColor::Red => ("red", "#f44"),
        LedColor::Yellow => ("yellow", "#fc3"),
        LedColor::Green => ("green", "#3c6"),
        LedColor::Blue => ("blue", "#6af"),
        LedColor::White => ("white", "#fff"),
    }
}
