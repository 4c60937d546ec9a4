//! The lights: what is armed is what is seen, no two states are taken for each other, and a dead driver goes dark.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use stayput_health::board::LedRole;
use stayput_health::{Board, Code};
use stayput_status::{Count, Keeper, Lamp, Look, Program, Rhythm, Segment, Severity, heard, row};

fn counts() -> impl Iterator<Item = Count> {
    (0..=Count::MOST_LONG)
        .flat_map(|long| (0..=Count::MOST_SHORT).filter_map(move |short| Count::new(long, short)))
}

fn rhythms() -> Vec<Rhythm> {
    let plain = [Rhythm::Dark, Rhythm::Steady, Rhythm::Slow, Rhythm::Fast, Rhythm::Heartbeat];
    plain.into_iter().chain(counts().map(Rhythm::Counted)).collect()
}

fn alone(rhythm: Rhythm) -> Program {
    let [green, ..] = Look::Together([rhythm, Rhythm::Dark, Rhythm::Dark]).programs();
    green
}

fn programs_of_all_rows() -> impl Iterator<Item = (Code, Program)> {
    Code::ALL.iter().flat_map(|code| {
        let row = row(*code);
        row.look().programs().into_iter().chain([alone(row.alone())]).map(|program| (*code, program))
    })
}

/// The kernel's `pattern` trigger as Linux 6.12 has it: what a light with this `pattern` and `repeat` does, and the level
/// at which it stays. A tuple is held when the next one has the same brightness, and a next one of no length is skipped.
fn kernel(pattern: &str, repeat: u32) -> (Vec<Segment>, u32) {
    let numbers: Vec<u32> =
        pattern.split(' ').map(|it| it.parse().expect("the kernel reads numbers")).collect();
    let tuples: Vec<(u32, u32)> = numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    assert!((2..=1024).contains(&tuples.len()), "the kernel takes 2 to 1024 tuples");
    assert!(pattern.len() < 4096, "one page is what a sysfs file takes");
    let (mut at, mut next, mut left) = (0, 1, repeat);
    let (mut done, mut level) = (Vec::new(), 0);
    let mut step = |at: &mut usize, left: &mut u32| {
        *at = next;
        next = (next + 1) % tuples.len();
        if *at == 0 {
            *left -= 1;
        }
    };
    while left > 0 {
        let (brightness, ms) = tuples[at];
        let (following, length) = tuples[(at + 1) % tuples.len()];
        assert_eq!(brightness, following, "the kernel would fade here");
        level = brightness;
        done.push(Segment { lit: brightness > 0, ms });
        if length == 0 {
            step(&mut at, &mut left);
        }
        step(&mut at, &mut left);
    }
    (done, level)
}

/// What someone sees who watches from `from` for `long`: the program armed again and again.
fn watched(program: &Program, from: u32, long: u32) -> Vec<Segment> {
    let mut turns = program.timeline();
    if turns.is_empty() {
        return vec![Segment::dark(long)];
    }
    if program.rearm_after() < program.lasts() {
        turns.truncate(1);
        turns[0].ms = program.rearm_after();
    }
    let (mut skip, mut left, mut seen) = (from, long, Vec::new());
    for Segment { lit, ms } in turns.into_iter().cycle() {
        let shown = ms.saturating_sub(skip).min(left);
        skip = skip.saturating_sub(ms);
        seen.extend((shown > 0).then_some(Segment { lit, ms: shown }));
        left -= shown;
        if left == 0 {
            return seen;
        }
    }
    seen
}

#[test]
fn every_program_ends_dark_within_ten_seconds() {
    for (code, program) in programs_of_all_rows().filter(|(_, program)| !program.is_dark()) {
        let last = *program.timeline().last().unwrap();
        assert!(!last.lit && last.ms >= 100, "{code}");
        assert!(program.lasts() <= Program::LONGEST && program.repeat() >= 1, "{code}: {}", program.lasts());
        assert!(
            program.lasts() > Program::LONGEST / 2,
            "{code} wakes the driver too often: {}",
            program.lasts()
        );
        assert!(program.rearm_after() <= program.lasts() && program.rearm_after() >= 4000, "{code}");
    }
}

#[test]
fn the_kernel_plays_each_program_as_it_was_meant_and_leaves_the_light_dark() {
    for (code, program) in programs_of_all_rows().filter(|(_, program)| !program.is_dark()) {
        for max_brightness in [1, 255] {
            let (played, level) = kernel(&program.to_kernel_pattern(max_brightness), program.repeat());
            let total: u32 = played.iter().map(|segment| segment.ms).sum();
            assert_eq!(total, program.lasts(), "{code}");
            assert_eq!(level, 0, "{code} leaves the light on");
            let turns: Vec<_> = program.cycle().iter().cycle().take(played.len()).copied().collect();
            assert_eq!(played, turns, "{code}");
        }
    }
}

#[test]
fn a_program_in_the_kernels_own_words() {
    let two_short = alone("2 short, pause".parse().unwrap());
    assert_eq!(
        two_short.to_kernel_pattern(1),
        "1 200 1 0 0 300 0 0 1 200 1 0 0 1500 0 0",
        "lit 200, dark 300, lit 200, dark 1500"
    );
    assert_eq!(two_short.repeat(), 4);
    assert_eq!(alone(Rhythm::Dark).to_kernel_pattern(1), "");
}

#[test]
fn no_two_states_look_the_same_on_three_lights() {
    let mut seen: BTreeMap<Vec<String>, Code> = BTreeMap::new();
    for code in Code::ALL {
        // By what the kernel plays, not by what it is called.
        let shown =
            row(*code).look().programs().map(|p| format!("{} x{}", p.to_kernel_pattern(1), p.repeat()));
        if let Some(other) = seen.insert(shown.to_vec(), *code) {
            panic!("{code} and {other} look the same: {}", row(*code).look());
        }
    }
}

#[test]
fn no_two_states_are_described_alike_by_someone_who_watches_three_lights() {
    let mut seen = BTreeMap::new();
    for code in Code::ALL {
        let rhythms = row(*code).look().programs().map(|program| {
            let seen = Rhythm::seen(&watched(&program, 1234, 40_000));
            seen.unwrap_or_else(|| panic!("{code}: {program:?} is not recognised"))
        });
        assert_eq!(rhythms, Lamp::ALL.map(|lamp| row(*code).look().rhythm(lamp)), "{code}");
        if let Some(other) = seen.insert(rhythms, *code) {
            panic!("{code} and {other} would be described alike");
        }
    }
}

#[test]
fn one_light_looks_the_same_only_where_the_first_step_is_the_same() {
    let mut seen = BTreeMap::new();
    for code in Code::ALL {
        let (look, step) = (row(*code).alone(), row(*code).remedy()[0]);
        let (other, known) = *seen.entry(look).or_insert((code, step));
        assert_eq!(step, known, "{code} and {other} are both '{look}'");
    }
}

#[test]
fn one_light_never_shows_a_fault_as_something_better() {
    let faults: BTreeSet<_> = with_severity(Severity::Fault).map(|code| row(code).alone()).collect();
    let warnings: BTreeSet<_> = with_severity(Severity::Warning).map(|code| row(code).alone()).collect();
    assert!(faults.is_disjoint(&warnings));
    for better in [Severity::Good, Severity::Passing] {
        for code in with_severity(better) {
            assert!(!warnings.contains(&row(code).alone()), "{code}");
            // A kernel that restarts and a box that prepares its card both say: leave the power on.
            let shared = faults.contains(&row(code).alone());
            assert!(!shared || row(code).group() == row(Code::KernelPanic).group(), "{code}");
        }
    }
}

fn with_severity(severity: Severity) -> impl Iterator<Item = Code> {
    Code::ALL.iter().copied().filter(move |code| row(*code).severity() == severity)
}

#[test]
fn red_is_lit_for_faults_only_and_green_alone_for_nothing_worse_than_passing() {
    for code in Code::ALL {
        let (look, severity) = (row(*code).look(), row(*code).severity());
        let [green, yellow, red] = Lamp::ALL.map(|lamp| look.rhythm(lamp) != Rhythm::Dark);
        match severity {
            Severity::Good | Severity::Passing | Severity::Warning => assert!(!red, "{code}"),
            Severity::Fault => assert!(red || *code == Code::StatusDark, "{code}"),
            Severity::Command => {}
        }
        if green && !yellow && !red {
            assert!(severity <= Severity::Passing, "{code}");
        }
    }
}

#[test]
fn lights_that_nothing_keeps_do_not_blink_and_the_kernels_own_blink_is_in_the_table() {
    for code in Code::ALL {
        if row(*code).keeper() == Keeper::Level {
            let still = |rhythm: Rhythm| matches!(rhythm, Rhythm::Dark | Rhythm::Steady);
            assert!(Lamp::ALL.iter().all(|lamp| still(row(*code).look().rhythm(*lamp))), "{code}");
            assert!(still(row(*code).alone()), "{code}");
        }
    }
    assert_eq!(row(Code::KernelPanic).keeper(), Keeper::Kernel);
    // kernel/panic.c switches every 200 ms.
    assert_eq!(alone(row(Code::KernelPanic).alone()).cycle(), [Segment::lit(200), Segment::dark(200)]);
}

#[test]
fn lights_that_count_in_turn_never_light_together_and_keep_step() {
    for code in Code::ALL {
        let Look::InTurn { .. } = row(*code).look() else { continue };
        let programs = row(*code).look().programs();
        let lit: Vec<_> = programs.iter().filter(|program| !program.is_dark()).collect();
        let [one, other] = lit.as_slice() else { panic!("{code} counts on {} lights", lit.len()) };
        assert_eq!((one.lasts(), one.repeat()), (other.lasts(), other.repeat()), "{code}");
        let lit_at = |program: &Program, ms: u32| {
            let mut left = ms;
            let here = program.cycle().iter().find(|segment| {
                let here = left < segment.ms;
                left = left.saturating_sub(segment.ms);
                here
            });
            here.unwrap().lit
        };
        for ms in (0..one.lasts() / one.repeat()).step_by(50) {
            let both = [one, other].iter().all(|program| lit_at(program, ms));
            assert!(!both, "{code} at {ms} ms");
        }
    }
}

#[test]
fn every_board_has_lights_enough_to_show_every_state_and_its_power_light_is_left_alone() {
    let boards = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../board");
    let mut seen = 0;
    for entry in std::fs::read_dir(boards).unwrap() {
        let path = entry.unwrap().path().join("board.toml");
        if !path.exists() {
            continue;
        }
        let roles: Vec<_> = Board::load(&path).unwrap().leds.iter().map(|led| led.role).collect();
        let three = [LedRole::Ok, LedRole::Busy, LedRole::Fault].iter().all(|role| roles.contains(role));
        assert!(three || roles.contains(&LedRole::Status), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 2, "found {seen} boards");
    assert!(Code::ALL.iter().all(|code| row(*code).program(LedRole::Power).is_none()));
}

#[test]
fn each_role_of_a_light_gets_the_program_of_its_place() {
    let row = row(Code::Working);
    let seen = |role| Rhythm::seen(&watched(&row.program(role).unwrap(), 0, 30_000)).unwrap();
    let shown = [LedRole::Ok, LedRole::Busy, LedRole::Fault, LedRole::Status].map(seen);
    assert_eq!(shown, [Rhythm::Steady, Rhythm::Heartbeat, Rhythm::Dark, Rhythm::Heartbeat]);
}

#[test]
fn what_a_person_says_on_the_telephone_finds_the_state() {
    assert_eq!(heard("red two short, yellow one short").unwrap(), [Code::NoLink]);
    assert_eq!(heard("Red blinks 2 short then yellow 1 short, pause").unwrap(), [Code::NoLink]);
    // One light tells the group, the most urgent first.
    assert_eq!(heard("2 short, pause").unwrap(), [Code::NoLink, Code::NoDhcp, Code::NoDns]);
    assert_eq!(heard("green steady, yellow off, red off").unwrap(), [Code::Running]);
    assert_eq!(heard("everything is purple").unwrap_err().to_string().matches("no rhythm").count(), 1);
    assert!(heard("red 7 short, yellow 7 short").unwrap().is_empty());
    assert!(heard("red").is_err() && heard("2 short red").is_err() && heard("red slow red fast").is_err());
    for code in Code::ALL {
        let [green, yellow, red] = Lamp::ALL.map(|lamp| row(*code).look().rhythm(lamp));
        let said = format!("green {green}, yellow {yellow}, red {red}");
        assert_eq!(heard(&said).unwrap(), [*code], "{said}");
        assert!(heard(&row(*code).alone().to_string()).unwrap().contains(code));
    }
}

#[test]
fn a_rhythm_is_read_back_from_its_own_words_and_from_what_people_say() {
    for rhythm in rhythms() {
        assert_eq!(rhythm.to_string().parse::<Rhythm>().unwrap(), rhythm);
    }
    let said = [
        ("2 short, pause", "2 short, pause"),
        ("Two short blinks, then a pause.", "2 short, pause"),
        ("1 LONG 6 SHORT", "1 long, 6 short, pause"),
        ("one long and six short blinks", "1 long, 6 short, pause"),
        ("off", "dark"),
        ("it", ""),
        ("", ""),
        ("pause", ""),
        ("2", ""),
        ("2 short 1 long", ""),
        ("2 short 2 short", ""),
        ("9 short", ""),
        ("1 long", ""),
        ("steady 2 short", ""),
        ("2 short steady", ""),
        ("99999999999999999999 short", ""),
    ];
    for (said, meant) in said {
        let read = said.parse::<Rhythm>();
        match meant {
            "" => assert!(read.unwrap_err().to_string().contains(&format!("'{said}'")), "{said}"),
            meant => assert_eq!(read.unwrap().to_string(), meant, "{said}"),
        }
    }
}

proptest! {
    #[test]
    fn whoever_watches_long_enough_recognises_every_rhythm(
        which in 0..rhythms().len(), from in 0..20_000_u32, late in 0..60_u32,
    ) {
        let rhythm = rhythms()[which];
        // Each stretch seen a little longer or shorter, as a camera or a slow bus would.
        let mut seen = watched(&alone(rhythm), from, 30_000);
        for (number, segment) in seen.iter_mut().enumerate() {
            segment.ms = if number % 2 == 0 { segment.ms + late } else { segment.ms.saturating_sub(late) };
        }
        prop_assert_eq!(Rhythm::seen(&seen), Some(rhythm));
    }

    #[test]
    fn a_short_look_is_never_taken_for_another_count(which in 0..rhythms().len(), from in 0..9_000_u32, long in 1..6_000_u32) {
        let rhythm = rhythms()[which];
        if let Rhythm::Counted(_) = rhythm
            && let Some(Rhythm::Counted(count)) = Rhythm::seen(&watched(&alone(rhythm), from, long))
        {
            prop_assert_eq!(Rhythm::Counted(count), rhythm);
        }
    }

    #[test]
    fn any_text_is_a_rhythm_or_an_error(text in "\\PC{0,40}") {
        let _ = text.parse::<Rhythm>();
    }

    #[test]
    fn any_flicker_is_a_rhythm_or_none(segments in proptest::collection::vec((any::<bool>(), 0..5_000_u32), 0..60)) {
        let seen: Vec<_> = segments.into_iter().map(|(lit, ms)| Segment { lit, ms }).collect();
        let _ = Rhythm::seen(&seen);
    }
}
