//! `stayput run` on a terminal: the machine's lights and screen live, F1 to F3 as the hat's keys, the console below.

use std::io::{Stdout, Write, stdout};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue, terminal};
use stayput_desk::Tour;
use stayput_harness::{Leds, Machine, Told};
use stayput_hat::Key;

use super::paint::{Ink, Line, Scene, paint};

/// How often the lights are looked at: a blink is a fifth of a second.
const LOOK: Duration = Duration::from_millis(50);
/// How long a key is down when it is pressed for a short time: a terminal does not tell when it comes up.
const PRESS: Duration = Duration::from_millis(150);

/// What is shown: a machine, alone or on a desk with a tour around it.
pub enum Shown {
    /// Alone.
    Alone(Box<Machine>),
    /// On a desk.
    Tour(Box<Tour>),
}

impl Shown {
    fn machine(&mut self) -> &mut Machine {
        match self {
            Self::Alone(machine) => machine,
            Self::Tour(tour) => tour.desk().machine(),
        }
    }

    /// Goes on with the tour, if there is one; its lines so far.
    fn look(&mut self, leds: Leds) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Alone(_) => Ok(Vec::new()),
            Self::Tour(tour) => {
                tour.look(leds)?;
                let mut lines = tour.lines().to_vec();
                if tour.is_over() {
                    lines.push("The tour is over. The box goes on; Ctrl-C ends it.".to_owned());
                }
                Ok(lines)
            }
        }
    }
}

/// Shows it until it ends or the person ends it.
pub fn run(mut shown: Shown, told: &Told) -> anyhow::Result<()> {
    let mut terminal = Terminal::enter()?;
    let ended = watch(&mut shown, &mut terminal, told);
    drop(terminal);
    if let Shown::Tour(tour) = &shown {
        tour.lines().iter().for_each(|line| println!("{line}"));
    }
    match (ended, shown.machine().ended_by_itself()) {
        // What could not be asked any more was asked of a machine that had just ended.
        (_, Some(status)) if status.success() => {
            println!("The box has switched itself off.");
            Ok(())
        }
        (_, Some(status)) => anyhow::bail!("QEMU ended with {status}"),
        (ended, None) => ended,
    }
}

fn watch(shown: &mut Shown, terminal: &mut Terminal, told: &Told) -> anyhow::Result<()> {
    let mut fingers = Fingers::default();
    let mut console_only = false;
    while !told.to_end() && shown.machine().ended_by_itself().is_none() {
        let leds = shown.machine().leds()?;
        let told = shown.look(leds)?;
        let machine = shown.machine();
        fingers.lift(machine)?;
        let (columns, rows) = terminal::size()?;
        let scene = Scene {
            leds,
            screen: machine.screen().now(),
            held: fingers.held.map(Key::name),
            told,
            console: machine.console().last(usize::from(rows)),
            console_only,
        };
        terminal.show(paint(&scene, usize::from(columns), usize::from(rows)))?;
        let mut wait = LOOK;
        while event::poll(wait)? {
            wait = Duration::ZERO;
            match meaning(&event::read()?) {
                Meaning::End => return Ok(()),
                Meaning::Press(key) => fingers.press(key, machine)?,
                Meaning::Hold(key) => fingers.hold(key, machine)?,
                Meaning::Console => console_only = !console_only,
                Meaning::Type(text) => machine.console().send(&text)?,
                Meaning::Resized => terminal.forget(),
                Meaning::Nothing => {}
            }
        }
    }
    Ok(())
}

/// What an event of the terminal means here.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    End,
    Press(Key),
    Hold(Key),
    Console,
    /// For the box's console.
    Type(String),
    Resized,
    Nothing,
}

fn meaning(event: &Event) -> Meaning {
    let key = match event {
        Event::Resize(..) => return Meaning::Resized,
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return Meaning::Nothing,
    };
    let KeyEvent { code, modifiers, .. } = *key;
    let control = modifiers.contains(KeyModifiers::CONTROL);
    match code {
        KeyCode::Char('c') if control => Meaning::End,
        KeyCode::F(4) => Meaning::Console,
        KeyCode::F(number @ 1..=3) => {
            let key = Key::ALL[usize::from(number) - 1];
            if modifiers.contains(KeyModifiers::SHIFT) { Meaning::Hold(key) } else { Meaning::Press(key) }
        }
        // Many terminals send Shift-F1 to Shift-F3 as F13 to F15.
        KeyCode::F(number @ 13..=15) => Meaning::Hold(Key::ALL[usize::from(number) - 13]),
        KeyCode::Char(letter @ 'a'..='z') if control => {
            Meaning::Type(char::from(letter as u8 & 0x1f).to_string())
        }
        KeyCode::Char(letter) if !control => Meaning::Type(letter.to_string()),
        KeyCode::Enter => Meaning::Type("\r".to_owned()),
        KeyCode::Backspace => Meaning::Type("\u{7f}".to_owned()),
        KeyCode::Tab => Meaning::Type("\t".to_owned()),
        KeyCode::Esc => Meaning::Type("\u{1b}".to_owned()),
        KeyCode::Up => Meaning::Type("\u{1b}[A".to_owned()),
        KeyCode::Down => Meaning::Type("\u{1b}[B".to_owned()),
        _ => Meaning::Nothing,
    }
}

/// Which keys of the hat are down.
#[derive(Default)]
struct Fingers {
    /// Pressed for a short time; up again then.
    down: Vec<(Key, Instant)>,
    held: Option<Key>,
}

impl Fingers {
    fn press(&mut self, key: Key, machine: &mut Machine) -> anyhow::Result<()> {
        if self.held == Some(key) {
            return self.hold(key, machine);
        }
        if !self.down.iter().any(|(down, _)| *down == key) {
            machine.key(key, true)?;
            self.down.push((key, Instant::now() + PRESS));
        }
        Ok(())
    }

    fn hold(&mut self, key: Key, machine: &mut Machine) -> anyhow::Result<()> {
        if let Some(held) = self.held.take() {
            machine.key(held, false)?;
            if held == key {
                return Ok(());
            }
        }
        machine.key(key, true)?;
        self.held = Some(key);
        Ok(())
    }

    fn lift(&mut self, machine: &mut Machine) -> anyhow::Result<()> {
        let now = Instant::now();
        for (key, _) in self.down.extract_if(.., |(_, until)| *until <= now) {
            machine.key(key, false)?;
        }
        Ok(())
    }
}

/// The terminal, which is given back as it was, whatever happens.
struct Terminal {
    out: Stdout,
    shown: Vec<Line>,
}

impl Terminal {
    fn enter() -> anyhow::Result<Self> {
        terminal::enable_raw_mode()?;
        // From here on, dropping it gives the terminal back.
        let mut entered = Self { out: stdout(), shown: Vec::new() };
        execute!(entered.out, EnterAlternateScreen, cursor::Hide)?;
        Ok(entered)
    }

    /// Everything is drawn anew the next time.
    fn forget(&mut self) {
        self.shown.clear();
    }

    /// Draws the lines that have changed.
    fn show(&mut self, lines: Vec<Line>) -> anyhow::Result<()> {
        if self.shown.len() != lines.len() {
            queue!(self.out, Clear(ClearType::All))?;
            self.shown = vec![Vec::new(); lines.len()];
        }
        for (row, (line, shown)) in (0..).zip(lines.iter().zip(&self.shown)) {
            if line != shown {
                queue!(self.out, cursor::MoveTo(0, row), Clear(ClearType::CurrentLine))?;
                for (ink, text) in line {
                    dip(&mut self.out, *ink)?;
                    queue!(self.out, Print(text), SetAttribute(Attribute::Reset), ResetColor)?;
                }
            }
        }
        self.shown = lines;
        Ok(self.out.flush()?)
    }
}

fn dip(out: &mut Stdout, ink: Ink) -> std::io::Result<()> {
    match ink {
        Ink::Plain => Ok(()),
        Ink::Faint => queue!(out, SetAttribute(Attribute::Dim)),
        Ink::Bold => queue!(out, SetAttribute(Attribute::Bold)),
        Ink::Green => queue!(out, SetForegroundColor(Color::Green), SetAttribute(Attribute::Bold)),
        Ink::Yellow => queue!(out, SetForegroundColor(Color::Yellow), SetAttribute(Attribute::Bold)),
        Ink::Red => queue!(out, SetForegroundColor(Color::Red), SetAttribute(Attribute::Bold)),
        Ink::Screen => queue!(out, SetForegroundColor(Color::Cyan)),
        Ink::Dim => queue!(out, SetForegroundColor(Color::DarkCyan)),
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left to be told of a terminal that has gone.
        let _ = execute!(self.out, LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Meaning {
        meaning(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn function_keys_are_the_hats_keys_and_with_shift_they_are_held() {
        assert_eq!(pressed(KeyCode::F(1), KeyModifiers::NONE), Meaning::Press(Key::K1));
        assert_eq!(pressed(KeyCode::F(3), KeyModifiers::SHIFT), Meaning::Hold(Key::K3));
        assert_eq!(pressed(KeyCode::F(14), KeyModifiers::NONE), Meaning::Hold(Key::K2));
        assert_eq!(pressed(KeyCode::F(4), KeyModifiers::NONE), Meaning::Console);
    }

    #[test]
    fn everything_else_is_for_the_console_but_ctrl_c() {
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::CONTROL), Meaning::End);
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::NONE), Meaning::Type("c".to_owned()));
        assert_eq!(pressed(KeyCode::Char('d'), KeyModifiers::CONTROL), Meaning::Type("\u{4}".to_owned()));
        assert_eq!(pressed(KeyCode::Enter, KeyModifiers::NONE), Meaning::Type("\r".to_owned()));
    }

    #[test]
    fn a_key_that_comes_up_means_nothing_by_itself() {
        let mut key = KeyEvent::new(KeyCode::F(1), KeyModifiers::NONE);
        key.kind = KeyEventKind::Release;
        assert_eq!(meaning(&Event::Key(key)), Meaning::Nothing);
    }
}
