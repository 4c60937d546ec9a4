//! The health files of courier and mover as text that Prometheus reads: numbers, and words of the program only.

use std::fmt::Write;

use stayput_health::{Part, Reading};

/// The parts that there is something to count of.
pub const PARTS: [Part; 2] = [Part::Courier, Part::Mover];

/// The text, in Prometheus' exposition format 0.0.4.
///
/// A counter's name is a label: those of the health files may grow, and none of them is ever renamed here.
pub fn render(readings: &[(Part, Reading)]) -> String {
    let mut text = String::new();
    head(&mut text, "stayput_up", "gauge", "1 while the part says by itself that it is there.");
    for (part, reading) in readings {
        let up = u8::from(matches!(reading, Reading::Fresh(_)));
        let _ = writeln!(text, "stayput_up{{part=\"{part}\"}} {up}");
    }
    head(
        &mut text,
        "stayput_state",
        "gauge",
        "What the part said last, and its code in the table of states.",
    );
    let said = || {
        readings.iter().filter_map(|(part, reading)| match reading {
            Reading::Fresh(report) | Reading::Stale { report, .. } => Some((part, report)),
            Reading::Absent | Reading::Unreadable(_) => None,
        })
    };
    for (part, report) in said() {
        let (state, code) = (report.state.as_str(), report.code);
        let _ = writeln!(text, "stayput_state{{part=\"{part}\",state=\"{state}\",code=\"{code}\"}} 1");
    }
    head(&mut text, "stayput_worker", "untyped", "What the part counts; docs/worker.md, docs/courier.md.");
    for (part, report) in said() {
        for (name, count) in &report.counters {
            let _ = writeln!(text, "stayput_worker{{part=\"{part}\",count=\"{name}\"}} {count}");
        }
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
