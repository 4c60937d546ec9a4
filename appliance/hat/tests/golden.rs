//! What people see: every state and every worst case, dot by dot, against the pictures in `docs/hat/`.
//!
//! `STAYPUT_WRITE_DOCS=1 cargo test -p stayput-hat --test golden` writes them; look at them before they are committed.
#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use stayput_hat::{Frame, Gauges, HEIGHT, HOLD, Page, View, WIDTH, Work, countdown, draw};
use stayput_health::{Code, Moment, Part};
use stayput_status::{Fact, Facts, Finding, Severity, row};

/// How many dots of the picture a dot of the screen is wide and high, and how many lie between two screens.
const SCALE: u32 = 2;
const GAP: u32 = 8;
const COLUMNS: u32 = 4;

/// Dark dots, lit dots, and what is not screen.
const PALETTE: [u8; 9] = [0x0a, 0x10, 0x18, 0xe6, 0xf3, 0xff, 0x77, 0x7f, 0x88];

/// A named picture: what a reviewer is told when it differs.
type Named = (String, Frame);

/// The box on a good day.
fn good_day() -> View {
    View::example(Code::Running)
}

/// Everything as long as it can be.
fn worst_day() -> View {
    let mut facts = Facts::default();
    let name = "a-host-name-of-sixty-four-characters-is-as-long.as-it-may-be.tld";
    assert_eq!(name.len(), 64);
    let address = "2001:db8:85a3:1111:2222:8a2e:3370:7334";
    for (fact, value) in [
        (Fact::Name, name),
        (Fact::Board, "NanoPi NEO2"),
        (Fact::Version, "10.20.30+development.0123456789a"),
        (Fact::Slot, "B"),
        (Fact::Addresses, &[address, "192.168.100.200", address, address].join(", ")),
        (Fact::Region, "ap-southeast-1-a-very-long-one.x"),
        (Fact::Instance, "mi-0123456789abcdef0"),
    ] {
        facts.set(fact, value).unwrap();
    }
    let since = Moment { unix: 0, boot_ms: 0 };
    let finding = |code, detail: Option<&str>| Finding {
        code,
        part: Some(Part::Courier),
        since,
        detail: detail.map(str::to_owned),
    };
    let mut view = View {
        facts,
        work: Work {
            today: Some(9_999_999),
            waiting: Some(9_999_999),
            parked: Some(9_999_999),
            last: Some("x".repeat(32)),
            used: Some(u64::MAX),
        },
        gauges: Gauges { memory: Some((u64::MAX - 1, u64::MAX)), temperature: Some(-50), wear: Some(100) },
        now: Moment { unix: 0, boot_ms: u64::MAX },
        ..View::of_state(Code::Running)
    };
    view.verdict.state = finding(Code::Parked, Some("9999999+"));
    view.verdict.others = Code::ALL.iter().map(|code| finding(*code, Some("9999999+"))).collect();
    view
}

/// A box about which nothing is known yet.
fn first_second() -> View {
    View::of_state(Code::Starting)
}

/// The states from the worst to the best, as the manual has them.
fn states() -> Vec<Code> {
    let mut codes = Code::ALL.to_vec();
    codes.sort_by_key(|code| (std::cmp::Reverse(row(*code).severity()), row(*code).group(), *code));
    codes
}

fn verdicts() -> Vec<Named> {
    let look = |code: &Code| {
        let mut view = View::of_state(*code);
        view.now.boot_ms = 12 * 60_000;
        (format!("{code}"), draw(Page::Verdict, 0, &view))
    };
    states().iter().map(look).collect()
}

fn details() -> Vec<Named> {
    let told = states().into_iter().filter(|code| row(*code).detail().is_some());
    let look = |code: Code| {
        let mut view = View::of_state(code);
        view.verdict.state.detail = Some("9999999+".to_owned());
        view.now.boot_ms = u64::MAX;
        view.verdict.others = vec![view.verdict.state.clone(); 99];
        (format!("{code} with the longest detail"), draw(Page::Verdict, 0, &view))
    };
    told.map(look).collect()
}

fn screenfuls(name: &str, page: Page, view: &View) -> Vec<Named> {
    let number = page.screenfuls(view);
    let look = |at| (format!("{name}, {} {}/{number}", page.name(), at + 1), draw(page, at, view));
    (0..number).map(look).collect()
}

fn help() -> Vec<Named> {
    let faults = states().into_iter().filter(|code| row(*code).severity() != Severity::Good);
    faults.flat_map(|code| screenfuls(code.as_str(), Page::Help, &View::of_state(code))).collect()
}

fn pages() -> Vec<Named> {
    let lists = [Page::Network, Page::Worker, Page::Machine];
    let mut pages = vec![("a good day, verdict".to_owned(), draw(Page::Verdict, 0, &good_day()))];
    for (name, view) in [("a good day", good_day()), ("the first second", first_second())] {
        pages.extend(lists.into_iter().flat_map(|page| screenfuls(name, page, &view)));
    }
    let held = [HOLD, HOLD * 3 / 5, HOLD / 10];
    pages.extend(held.map(|left| (format!("{left:?} to go"), countdown(left))));
    pages
}

fn worst() -> Vec<Named> {
    let view = worst_day();
    let lists = [Page::Network, Page::Worker, Page::Machine];
    let mut pages = vec![("the worst day, verdict".to_owned(), draw(Page::Verdict, 0, &view))];
    pages.extend(lists.into_iter().flat_map(|page| screenfuls("the worst day", page, &view)));
    pages
}

/// The picture of many screens: palette indexes, row by row.
fn sheet(frames: &[Named]) -> (u32, u32, Vec<u8>) {
    let (cell_x, cell_y) = (WIDTH * SCALE + GAP, HEIGHT * SCALE + GAP);
    let count = u32::try_from(frames.len()).unwrap();
    let columns = count.min(COLUMNS);
    let (width, height) = (columns * cell_x + GAP, count.div_ceil(COLUMNS) * cell_y + GAP);
    let dot = |x: u32, y: u32| {
        let (Some(x), Some(y)) = (x.checked_sub(GAP), y.checked_sub(GAP)) else { return 2 };
        let (column, row) = (x / cell_x, y / cell_y);
        let (x, y) = (x % cell_x / SCALE, y % cell_y / SCALE);
        let inside = column < columns && x < WIDTH && y < HEIGHT;
        let frame = frames.get((row * COLUMNS + column) as usize).filter(|_| inside);
        frame.map_or(2, |(_, frame)| u8::from(frame.lit(x, y)))
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| dot(x, y)).collect();
    (width, height, pixels)
}

fn write(path: &Path, (width, height, pixels): &(u32, u32, Vec<u8>)) {
    let file = BufWriter::new(File::create(path).unwrap());
    let mut encoder = png::Encoder::new(file, *width, *height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(PALETTE.as_slice());
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    let packed: Vec<u8> = pixels
        .chunks(*width as usize)
        .flat_map(|row| row.chunks(4))
        .map(|four| (0..4).fold(0, |byte, at| byte << 2 | four.get(at).unwrap_or(&0)))
        .collect();
    encoder.write_header().unwrap().write_image_data(&packed).unwrap();
}

fn read(path: &Path) -> Option<(u32, u32, Vec<u8>)> {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(path).ok()?));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().ok()?;
    let mut packed = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut packed).ok()?;
    let unpack = |row: &[u8]| {
        let dots = row.iter().flat_map(|byte| [6, 4, 2, 0].map(|shift| byte >> shift & 3));
        dots.take(info.width as usize).collect::<Vec<_>>()
    };
    let rows = packed[..info.buffer_size()].chunks(info.line_size);
    Some((info.width, info.height, rows.flat_map(unpack).collect()))
}

/// The names of the screens that are not as in `golden`, with what they look like now.
fn differences(frames: &[Named], golden: Option<&(u32, u32, Vec<u8>)>) -> Vec<String> {
    let now = sheet(frames);
    let Some(golden) = golden else { return vec!["there is no picture".to_owned()] };
    if (golden.0, golden.1) != (now.0, now.1) {
        return vec![format!("it has {}x{} dots, not {}x{}", golden.0, golden.1, now.0, now.1)];
    }
    let cell = |at: usize| {
        let at = u32::try_from(at).unwrap();
        (GAP + at % COLUMNS * (WIDTH * SCALE + GAP), GAP + at / COLUMNS * (HEIGHT * SCALE + GAP))
    };
    let dot = |x: u32, y: u32| golden.2[(y * golden.0 + x) as usize];
    let same = |(at, (_, frame)): &(usize, &Named)| {
        let (left, top) = cell(*at);
        let mut dots = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
        dots.all(|(x, y)| dot(left + x * SCALE, top + y * SCALE) == u8::from(frame.lit(x, y)))
    };
    let differing = frames.iter().enumerate().filter(|frame| !same(frame));
    let told: Vec<_> = differing.map(|(_, (name, frame))| format!("{name} is now\n{frame:?}")).collect();
    if told.is_empty() && golden.2 != now.2 { vec!["its ground differs".to_owned()] } else { told }
}

fn compare(file: &str, frames: &[Named]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/hat").join(file);
    if std::env::var_os("STAYPUT_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, &sheet(frames));
    }
    let told = differences(frames, read(&path).as_ref());
    assert!(
        told.is_empty(),
        "docs/hat/{file} is not what the hat shows; look, then: STAYPUT_WRITE_DOCS=1 cargo test -p stayput-hat \
         --test golden\n{}",
        told.join("\n")
    );
}

#[test]
fn every_states_verdict_is_as_in_its_picture() {
    compare("verdicts.png", &verdicts());
}

#[test]
fn every_states_help_is_as_in_its_picture() {
    compare("help.png", &help());
}

#[test]
fn every_page_of_a_good_day_is_as_in_its_picture() {
    compare("pages.png", &pages());
}

#[test]
fn the_longest_names_addresses_and_numbers_are_as_in_their_picture() {
    compare("worst.png", &[worst(), details()].concat());
}

#[test]
fn one_dot_that_differs_is_noticed_and_named() {
    let frames = pages();
    let mut golden = sheet(&frames);
    let at = frames.iter().position(|(name, _)| name.starts_with("a good day, worker")).unwrap();
    let mut changed = frames.clone();
    changed[at].1 = changed[at].1.moved(0, 1);
    let told = differences(&changed, Some(&golden));
    assert!(told.len() == 1 && told[0].starts_with("a good day, worker"), "{told:?}");
    golden.2[0] = 0;
    assert_eq!(differences(&frames, Some(&golden)), ["its ground differs"]);
    assert_eq!(differences(&frames, None), ["there is no picture"]);
}

#[test]
fn no_two_states_have_the_same_verdict_on_the_screen() {
    let frames = verdicts();
    for (at, (name, frame)) in frames.iter().enumerate() {
        let twin = frames[..at].iter().find(|(_, earlier)| earlier == frame);
        assert!(twin.is_none(), "{name} and {:?}", twin.map(|(twin, _)| twin));
    }
}

#[test]
fn every_picture_leaves_room_to_be_moved_against_burn_in() {
    let all = [verdicts(), details(), help(), pages(), worst()].concat();
    for (name, frame) in all {
        let moved = frame.moved(2, 2);
        assert_eq!(moved.lit_dots(), frame.lit_dots(), "{name}{frame:?}");
    }
}
