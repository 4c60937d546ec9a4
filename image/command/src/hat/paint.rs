//! The virtual hat as lines of a terminal: lights, screen, keys, and the console below. Pure.

use stayput_harness::Leds;
use stayput_hat::{Frame, HEIGHT, Published, WIDTH};

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// As the terminal has it.
    Plain,
    /// What is not so important.
    Faint,
    /// What stands out.
    Bold,
    /// A light that is lit.
    Green,
    /// A light that is lit.
    Yellow,
    /// A light that is lit.
    Red,
    /// Dots of the screen.
    Screen,
    /// Dots of the screen while it is dim.
    Dim,
}

/// A line of the terminal, in pieces.
pub type Line = Vec<(Ink, String)>;

/// Everything that is to be seen.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The lights.
    pub leds: Leds,
    /// What the screen shows, once the box has said something.
    pub screen: Option<Published>,
    /// A key that is held, by its name.
    pub held: Option<&'static str>,
    /// What a tour has told, the newest at the end.
    pub told: Vec<String>,
    /// The console's last lines, the newest at the end; as many as the terminal has rows.
    pub console: Vec<String>,
    /// The console alone was asked for.
    pub console_only: bool,
}

/// A screen drawn with half blocks: a character for each column, two dots in each.
const LARGE: (usize, usize) = (WIDTH as usize, HEIGHT as usize / 2);
/// A screen drawn with braille: two columns and four dots in each character.
const SMALL: (usize, usize) = (WIDTH as usize / 2, HEIGHT as usize / 4);
/// Lines beside the screen and its frame: lights, keys, and a few of the console.
const OTHERS: usize = 2 + 4;
/// Lines of a tour that are shown at once.
const TOLD: usize = 8;
/// From here on the screen is dim: between a sixth of the least brightness and all of it there is no saying which.
const DIM_BELOW: u8 = 64;

/// The lines for a terminal of `columns` by `rows`: exactly that many rows, none wider.
pub fn paint(scene: &Scene, columns: usize, rows: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if !scene.console_only {
        lines.push(lights(&scene.leds));
        let fits = |(width, height): (usize, usize)| columns >= width + 2 && rows >= height + 2 + OTHERS;
        match [LARGE, SMALL].into_iter().find(|size| fits(*size)) {
            Some(size) => lines.extend(screen(scene.screen.as_ref(), size)),
            None => {
                let need =
                    format!("(the screen needs {} by {} characters)", SMALL.0 + 2, SMALL.1 + 2 + OTHERS);
                lines.push(vec![(Ink::Faint, need)]);
            }
        }
    }
    lines.push(keys(scene));
    let told = &scene.told[scene.told.len().saturating_sub(TOLD.min(rows.saturating_sub(lines.len())))..];
    lines.extend(told.iter().map(|line| vec![(Ink::Bold, printable(line))]));
    let room = rows.saturating_sub(lines.len());
    let from = scene.console.len().saturating_sub(room);
    lines.extend(scene.console[from..].iter().map(|line| vec![(Ink::Plain, printable(line))]));
    lines.resize(rows, Vec::new());
    lines.into_iter().map(|line| cut(line, columns)).collect()
}

fn lights(leds: &Leds) -> Line {
    let mut line = Vec::new();
    for (name, lit, ink) in
        [("red", leds.red, Ink::Red), ("yellow", leds.yellow, Ink::Yellow), ("green", leds.green, Ink::Green)]
    {
        // Lit and dark differ in shape as well, for whoever sees no colours.
        let (ink, lamp) = if lit { (ink, "\u{25cf}") } else { (Ink::Faint, "\u{25cb}") };
        line.push((ink, format!(" {lamp} {name}  ")));
    }
    line
}

fn keys(scene: &Scene) -> Line {
    if let Some(key) = scene.held {
        return vec![(Ink::Bold, format!(" {key} is held; the same key again lets it go"))];
    }
    let console = if scene.console_only { "F4 hat" } else { "F4 console" };
    let keys = [("F1", "next page"), ("F2", "more"), ("F3", "verdict"), ("Shift", "hold")];
    let mut line: Line = keys
        .iter()
        .flat_map(|(key, does)| [(Ink::Bold, format!(" {key} ")), (Ink::Faint, (*does).to_owned())])
        .collect();
    line.extend([(Ink::Bold, format!(" {console}")), (Ink::Bold, " Ctrl-C end".to_owned())]);
    line
}

/// The screen in its frame.
fn screen(published: Option<&Published>, (width, height): (usize, usize)) -> Vec<Line> {
    let edge =
        |left: char, right: char| vec![(Ink::Faint, format!("{left}{}{right}", "\u{2500}".repeat(width)))];
    let dark = Frame::dark();
    let (frame, ink) = match published {
        Some(published) if published.contrast > 0 => {
            (&published.frame, if published.contrast < DIM_BELOW { Ink::Dim } else { Ink::Screen })
        }
        _ => (&dark, Ink::Dim),
    };
    let side = || (Ink::Faint, "\u{2502}".to_owned());
    let rows = (0..height).map(|row| {
        let cells = (0..width).map(|column| {
            if width == LARGE.0 { half(frame, column, row) } else { braille(frame, column, row) }
        });
        vec![side(), (ink, cells.collect()), side()]
    });
    let top = edge('\u{250c}', '\u{2510}');
    [top].into_iter().chain(rows).chain([edge('\u{2514}', '\u{2518}')]).collect()
}

fn lit(frame: &Frame, x: usize, y: usize) -> bool {
    let dot = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    frame.lit(dot(x), dot(y))
}

fn half(frame: &Frame, column: usize, row: usize) -> char {
    match (lit(frame, column, 2 * row), lit(frame, column, 2 * row + 1)) {
        (false, false) => ' ',
        (true, false) => '\u{2580}',
        (false, true) => '\u{2584}',
        (true, true) => '\u{2588}',
    }
}

/// The bits of a braille character, by column and row of its dots.
const BRAILLE: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

fn braille(frame: &Frame, column: usize, row: usize) -> char {
    let mut bits = 0;
    for (x, dots) in BRAILLE.iter().enumerate() {
        for (y, bit) in dots.iter().enumerate() {
            if lit(frame, 2 * column + x, 4 * row + y) {
                bits |= bit;
            }
        }
    }
    char::from_u32(0x2800 + bits).unwrap_or(' ')
}

/// What the box says goes to a person's terminal: nothing in it may command that terminal.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

fn cut(line: Line, columns: usize) -> Line {
    let mut room = columns;
    let mut kept = Vec::new();
    for (ink, text) in line {
        let text: String = text.chars().take(room).collect();
        room -= text.chars().count();
        if !text.is_empty() {
            kept.push((ink, text));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use stayput_hat::greeting;
    use stayput_health::Code;

    fn scene() -> Scene {
        Scene {
            leds: Leds { green: false, yellow: true, red: false },
            screen: Some(Published { frame: greeting(Code::NoLink), contrast: 255 }),
            held: None,
            console: (0..200).map(|number| format!("line {number}")).collect(),
            console_only: false,
            told: Vec::new(),
        }
    }

    fn text(line: &Line) -> String {
        line.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn every_terminal_gets_exactly_its_rows_and_none_too_wide() {
        for (columns, rows) in [(0, 0), (1, 1), (20, 5), (66, 23), (66, 24), (80, 24), (130, 40), (300, 100)]
        {
            for console_only in [false, true] {
                let lines = paint(&Scene { console_only, ..scene() }, columns, rows);
                assert_eq!(lines.len(), rows);
                assert!(lines.iter().all(|line| text(line).chars().count() <= columns), "{columns}x{rows}");
            }
        }
    }

    #[test]
    fn a_large_terminal_shows_every_dot_and_a_usual_one_shows_them_in_braille() {
        let dots = |columns, rows| -> u32 {
            let lines = paint(&scene(), columns, rows);
            let screen = lines.iter().flatten().filter(|(ink, _)| *ink == Ink::Screen);
            let count = |c: char| match c {
                '\u{2588}' => 2,
                '\u{2580}' | '\u{2584}' => 1,
                '\u{2800}'..='\u{28ff}' => (u32::from(c) - 0x2800).count_ones(),
                _ => 0,
            };
            screen.flat_map(|(_, text)| text.chars().map(count)).sum()
        };
        let all = greeting(Code::NoLink).lit_dots();
        assert_eq!((dots(130, 40), dots(80, 24)), (all, all));
    }

    #[test]
    fn the_newest_lines_of_the_console_are_at_the_bottom() {
        for (columns, rows) in [(80, 24), (130, 45), (30, 10)] {
            let lines = paint(&scene(), columns, rows);
            assert_eq!(text(&lines[rows - 1]), "line 199");
            assert!(!lines.iter().any(|line| text(line) == "line 0"));
        }
    }

    #[test]
    fn lights_can_be_told_without_colours() {
        let lines = paint(&scene(), 80, 24);
        assert_eq!(text(&lines[0]), " \u{25cb} red   \u{25cf} yellow   \u{25cb} green  ");
    }

    #[test]
    fn a_screen_that_is_off_is_an_empty_frame() {
        let off = Scene { screen: Some(Published { contrast: 0, ..scene().screen.unwrap() }), ..scene() };
        let lines = paint(&off, 130, 45);
        assert!(text(&lines[2]).trim_matches('\u{2502}').trim().is_empty());
    }

    #[test]
    fn the_console_cannot_command_the_terminal() {
        let hostile = Scene { console: vec!["\u{1b}[2Jgone\u{7}\tx".to_owned()], ..scene() };
        let lines = paint(&hostile, 80, 24);
        assert!(lines.iter().any(|line| text(line) == "[2Jgone x"));
    }
}
