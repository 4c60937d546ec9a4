//! A picture of a row's lights: one small SVG, a lamp and a time line for each light.
//!
//! A file and not drawn text, because code forges show SVG files in Markdown, let them move, and strip SVG that stands
//! in the Markdown itself. It is readable without colour (each light has its line and its name), on a dark page (it
//! brings its own ground), in print (the time line does not move), and stands still for those who asked for that.

use std::fmt::Write;

use crate::program::{Program, Segment, duration};
use crate::{Lamp, Rhythm, Row};

/// Where the time line begins, and how many milliseconds one of its pixels is.
const LEFT: u32 = 112;
const SCALE: u32 = 25;
const LINE: u32 = 24;

/// The picture of `row`'s lights over ten seconds.
pub(crate) fn svg(row: &Row) -> String {
    let mut lights: Vec<_> = Lamp::ALL.into_iter().zip(row.look().programs()).collect();
    // Red at the top, as on a traffic light.
    lights.reverse();
    let (width, height) = (LEFT + Program::LONGEST / SCALE + 12, 5 * LINE + 16);
    let mut text = String::new();
    writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#ddd\">\n\
         <title>{}; one light: {}</title>\n\
         <style>@media (prefers-reduced-motion: reduce) {{ .lamp {{ display: none }} }}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#222\"/>",
        row.look(),
        row.alone()
    )
    .expect(STRING);
    for (number, (lamp, program)) in (0..).zip(&lights) {
        let colour = match lamp {
            Lamp::Green => "#3c6",
            Lamp::Yellow => "#fc3",
            Lamp::Red => "#f44",
        };
        light(&mut text, 18 + number * LINE, lamp.name(), colour, program);
    }
    light(&mut text, 18 + 3 * LINE + 6, "one light", "#6af", &Program::of(&row.alone().cycle()));
    let bottom = height - 8;
    for second in (0..=10).step_by(2) {
        let x = LEFT + second * 1000 / SCALE;
        writeln!(
            text,
            "<text x=\"{x}\" y=\"{bottom}\" font-size=\"10\" text-anchor=\"middle\">{second} s</text>"
        )
        .expect(STRING);
    }
    text.push_str("</svg>\n");
    text
}

const STRING: &str = "a String takes all text";

fn light(text: &mut String, y: u32, name: &str, colour: &str, program: &Program) {
    writeln!(text, "<text x=\"32\" y=\"{}\">{name}</text>", y + 4).expect(STRING);
    writeln!(text, "<circle cx=\"18\" cy=\"{y}\" r=\"6\" fill=\"none\" stroke=\"#888\"/>").expect(STRING);
    let end = LEFT + Program::LONGEST / SCALE;
    writeln!(text, "<path d=\"M{LEFT} {y}H{end}\" stroke=\"#555\"/>").expect(STRING);
    if program.is_dark() {
        return;
    }
    let steady = program.cycle() == Rhythm::Steady.cycle();
    if steady {
        writeln!(text, "<circle class=\"lamp\" cx=\"18\" cy=\"{y}\" r=\"6\" fill=\"{colour}\"/>")
            .expect(STRING);
    } else {
        moving(text, y, colour, program);
    }
    // As it looks with someone there to arm it again: over the whole line.
    let armed = program.cycle().iter().cycle();
    let mut at = 0;
    let mut path = String::new();
    for segment in armed {
        let to = (at + segment.ms).min(Program::LONGEST);
        let to = if steady { Program::LONGEST } else { to };
        if segment.lit {
            write!(path, "M{} {y}H{}", LEFT + at / SCALE, LEFT + to / SCALE).expect(STRING);
        }
        at = to;
        if at >= Program::LONGEST {
            break;
        }
    }
    writeln!(text, "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"12\"/>").expect(STRING);
}

/// The lamp that blinks: one turn of the cycle, for ever.
fn moving(text: &mut String, y: u32, colour: &str, program: &Program) {
    let turn = duration(program.cycle());
    let (mut values, mut times, mut at) = (Vec::new(), Vec::new(), 0);
    for Segment { lit, ms } in program.cycle() {
        values.push(if *lit { "1" } else { "0" });
        // Four digits of the turn, written without floating point so that every machine writes the same.
        times.push(format!("0.{:04}", at * 10_000 / turn));
        at += ms;
    }
    writeln!(
        text,
        "<circle class=\"lamp\" cx=\"18\" cy=\"{y}\" r=\"6\" fill=\"{colour}\"><animate attributeName=\"opacity\" \
         calcMode=\"discrete\" dur=\"{turn}ms\" repeatCount=\"indefinite\" values=\"{}\" keyTimes=\"{}\"/></circle>",
        values.join(";"),
        times.join(";")
    )
    .expect(STRING);
}
