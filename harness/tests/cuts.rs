//! Power cuts, by the hundred: one first start and the copy of its slot are recorded write by write, then the card is
//! looked at as each of many cuts would have left it, and some of these cards are started.
//!
//! What must hold at every one of them: the partition table is the image's or the grown one; the marks are whole; a file
//! system that the box would use has nothing wrong with it but a journal to replay; one that it would make anew never
//! held anything; a slot that the boot script may start is a copy of the other one; and what was once on the card for good
//! is there at every later cut.

mod stage;

use stage::damage::image_size;
use stage::health::{boot_ok, health};
use stage::partition::{debugfs, layout, tool};
use stayput_harness::{Card, Entry, Loss, Machine, Moment, Replay, Result, WriteLog};
use stayput_health::marks::{Mark, Marked};
use stayput_health::{Code, Part};
use stayput_slots::{Copies, Generation, Slot};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

fn main() -> ExitCode {
    stage::run_alone(&[
        ("a_first_start_and_the_copy_of_its_slot_write_only_where_it_may_and_the_table_once", places),
        ("no_cut_of_them_loses_what_was_kept_or_leads_to_a_second_format", cuts),
        ("a_box_that_was_cut_starts_again_and_has_what_was_kept", starts),
    ])
}

const MIB: u64 = 1 << 20;

/// Small, for the sake of the copies; and `data` has 328 MiB to grow.
const CARD: u64 = 2048 * MIB;

/// A file that came through the door.
const CONTENT: &str = "personal data\n";

/// How many cuts are looked at, and how many of them are started; a larger run asks for more.
fn wanted(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// One first start.
struct Recording {
    folder: tempfile::TempDir,
    /// The card as it was before.
    before: Card,
    log: PathBuf,
    machine_id: String,
    /// How many entries there were when the machine id was known to be on the card.
    named: usize,
    /// The same for the file.
    filed: usize,
    /// How many there were at the end of the start; what follows is the copy of the slot.
    started: usize,
}

impl Recording {
    fn replay(&self, name: &str) -> Result<Replay<BufReader<File>>> {
        let card = self.before.copy(&self.folder.path().join(name))?;
        let log = BufReader::new(File::open(&self.log).expect("the recording"));
        Ok(Replay::new(card, WriteLog::read(log)?))
    }
}

/// The one recording that all tests here share.
fn recording() -> Result<MutexGuard<'static, Option<Recording>>> {
    static RECORDING: Mutex<Option<Recording>> = Mutex::new(None);
    let mut shared = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.is_none() {
        *shared = Some(record()?);
    }
    Ok(shared)
}

fn record() -> Result<Recording> {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder for the recording");
    let at = |name: &str| folder.path().join(name);
    let image = PathBuf::from(stage::input("STAYPUT_IMAGE"));
    let before = Card::flash(&at("before.img"), &image, CARD)?;
    let (card, log) = (before.copy(&at("card.img"))?, at("writes.log"));
    let mut options = stage::virt().with_card(card.path());
    options.record = Some(log.clone());
    let mut machine = Machine::start(options)?;
    let so_far = || WriteLog::read(File::open(&log).expect("the recording")).map(|log| log.entries().len());
    // init is done when the probe answers, and it has synced the machine id.
    let machine_id = machine.probe()?.machine_id()?;
    let named = so_far()?;
    machine.probe()?.create("/data/source/kept.txt", CONTENT.as_bytes())?;
    machine.probe()?.sync()?;
    let filed = so_far()?;
    stage::assert_running(&mut machine)?;
    let started = so_far()?;
    // Slot A is proven, and slot B made of it.
    boot_ok(&mut machine)?;
    machine.power_cut();
    std::fs::remove_file(card.path()).expect("a card that nobody needs any more");
    Ok(Recording { folder, before, log, machine_id, named, filed, started })
}

/// Where a partition of the layout is; `data` up to the end of the card.
fn range(name: &str) -> Range<u64> {
    let layout = layout();
    let partition = layout.partition(name).expect("a partition of the table");
    if name == "data" { partition.start..CARD } else { partition.start..partition.end() }
}

/// What the box may write to: what is its own, the slot that it makes a copy in, and its report on STAYPUT.
const OWN: [&str; 6] = ["state", "data", "boot-state", "boot-b", "root-b", "stayput"];

fn inside(entry: &Entry, range: &Range<u64>) -> bool {
    range.contains(&entry.at) && entry.at + entry.length <= range.end
}

fn places() -> Result<()> {
    let shared = recording()?;
    let recording = shared.as_ref().expect("recorded");
    let log = WriteLog::read(File::open(&recording.log).expect("the recording"))?;
    let mut counted = BTreeMap::new();
    for entry in log.entries().iter().filter(|entry| entry.length > 0) {
        let named = OWN.into_iter().find(|name| inside(entry, &range(name)));
        let place = if entry.at == 0 && entry.length == 512 { Some("table") } else { named };
        *counted
            .entry(place.unwrap_or_else(|| panic!("{entry:?} is nowhere where it may be")))
            .or_insert(0) += 1;
    }
    eprintln!("{} entries: {counted:?}", log.entries().len());
    assert_eq!(counted.get("table"), Some(&1), "the table is written once, as one sector");
    assert!(counted.contains_key("state") && counted.contains_key("data"), "{counted:?}");
    Ok(())
}

/// What a partition is to the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It is formatted.
    MadeAnew,
    /// It is used; and this is what the file of interest on it says.
    Used(String),
}

/// Looks at cards after cuts.
struct Judge<'a> {
    recording: &'a Recording,
    first_sector: Vec<u8>,
    /// The last look at a partition that had nothing uncertain on it, and how much was on the card for good then.
    last: BTreeMap<&'static str, (usize, Fate)>,
    checks: usize,
    /// The boot state that the next cuts must not fall behind.
    least: Option<Generation>,
    /// Where nothing uncertain was and all was right, and how much was on the card for good then.
    right: BTreeMap<&'static str, usize>,
    /// Bytes of the root file system with its hash tree.
    root: u64,
}

impl<'a> Judge<'a> {
    fn new(recording: &'a Recording) -> Result<Self> {
        let first_sector = recording.before.read(0, 512)?;
        let (last, right) = (BTreeMap::new(), BTreeMap::new());
        // The image ends with the root and its hash tree.
        let root = image_size() - range("root-a").start;
        Ok(Self { recording, first_sector, last, checks: 0, least: None, right, root })
    }

    /// Asserts all that must hold when the power went after `count` entries, of which `flushed` are on the card for good.
    fn look(&mut self, moment: &Moment<'_>, count: usize, flushed: usize, touched: &[Entry]) -> Result<()> {
        let at = format!("cut after {count}, {flushed} of them flushed");
        let data_length = self.table(moment, &at)?;
        let copied = self.boot_state(moment, flushed == count, &at)?;
        if copied {
            self.copy(moment, touched, flushed, &at)?;
        }
        self.person(moment, touched, flushed, &at)?;
        for (marked, name, file) in
            [(Marked::State, "state", "/machine-id"), (Marked::Data, "data", "/source/kept.txt")]
        {
            let start = range(name).start;
            let length = if name == "data" { data_length } else { range(name).end - start };
            let fate =
                self.fate(moment, (marked, name, file), start..start + length, touched, flushed, &at)?;
            let (kept_since, content) = match marked {
                Marked::State => (self.recording.named, self.recording.machine_id.as_str()),
                Marked::Data => (self.recording.filed, CONTENT.trim()),
            };
            if flushed >= kept_since {
                assert_eq!(fate, Fate::Used(content.to_owned()), "{at}: {name} has lost what was kept");
            }
        }
        Ok(())
    }

    /// One copy of the boot state can always be read, and it never goes back.
    fn boot_state(&mut self, moment: &Moment<'_>, all_flushed: bool, at: &str) -> Result<bool> {
        let start = range("boot-state").start;
        let [first, second] = layout().boot_state().copies;
        let sectors = [moment.read(start + first, 512)?, moment.read(start + second, 512)?];
        let copies = Copies::read([&sectors[0], &sectors[1]]);
        assert!(copies.state.slot(Slot::A).standing.is_usable(), "{at}: {copies:?}");
        assert!(
            self.least.is_none_or(|least| copies.state.generation >= least),
            "{at}: {copies:?}, {:?}",
            self.least
        );
        if all_flushed {
            self.least = Some(copies.state.generation);
        }
        Ok(copies.state.slot(Slot::B).standing.is_usable())
    }

    /// Slot B, where the boot script may start it, is what slot A is, its FAT whole.
    fn copy(&mut self, moment: &Moment<'_>, touched: &[Entry], flushed: usize, at: &str) -> Result<()> {
        for (a, b, length) in [
            ("boot-a", "boot-b", range("boot-a").end - range("boot-a").start),
            ("root-a", "root-b", self.root),
        ] {
            let there = range(b).start..range(b).start + length;
            if self.is_as_it_was(moment, b, &there, touched, flushed) {
                continue;
            }
            let here = range(a).start;
            for offset in (0..length).step_by(MIB as usize) {
                let piece = MIB.min(length - offset) as usize;
                let same = moment.read(here + offset, piece)? == moment.read(there.start + offset, piece)?;
                assert!(same, "{at}: {b} may be started, and is not what {a} is from byte {offset} on");
            }
            if b == "boot-b" {
                self.fat(moment, &there, at)?;
            }
        }
        Ok(())
    }

    /// The person's own partition stays a file system without fault.
    fn person(&mut self, moment: &Moment<'_>, touched: &[Entry], flushed: usize, at: &str) -> Result<()> {
        let place = range("stayput");
        if self.is_as_it_was(moment, "stayput", &place, touched, flushed) {
            Ok(())
        } else {
            self.fat(moment, &place, at)
        }
    }

    /// Whether a place is certain, and nothing has been written to it since it was last looked at and found right.
    fn is_as_it_was(
        &mut self,
        moment: &Moment<'_>,
        name: &'static str,
        place: &Range<u64>,
        touched: &[Entry],
        flushed: usize,
    ) -> bool {
        if moment.is_uncertain(place.start, place.end - place.start) {
            return false;
        }
        let then = self.right.insert(name, flushed);
        then.is_some_and(|then| !touched[then..flushed].iter().any(|entry| place.contains(&entry.at)))
    }

    fn fat(&mut self, moment: &Moment<'_>, place: &Range<u64>, at: &str) -> Result<()> {
        let part = self.recording.folder.path().join("fat.part");
        moment.extract(place.start, place.end - place.start, &part)?;
        let checked = tool("fsck.fat", &["-n"], &part);
        assert_eq!(checked.status.code(), Some(0), "{at}: {checked:?}");
        self.checks += 1;
        Ok(())
    }

    /// The table is the image's or the grown one; gives the length of `data`.
    fn table(&self, moment: &Moment<'_>, at: &str) -> Result<u64> {
        let seen = moment.read(0, 512)?;
        let line = 446 + 48;
        for (byte, (before, now)) in self.first_sector.iter().zip(&seen).enumerate() {
            let may = (line + 5..line + 8).contains(&byte) || (line + 12..line + 16).contains(&byte);
            assert!(before == now || may, "{at}: byte {byte} of the table");
        }
        let sectors = u32::from_le_bytes(seen[line + 12..line + 16].try_into().expect("four bytes"));
        let length = u64::from(sectors) * 512;
        let start = range("data").start;
        assert!([256 * MIB, CARD - start].contains(&length), "{at}: data has {length} bytes");
        Ok(length)
    }

    fn fate(
        &mut self,
        moment: &Moment<'_>,
        (marked, name, file): (Marked, &'static str, &str),
        place: Range<u64>,
        touched: &[Entry],
        flushed: usize,
        at: &str,
    ) -> Result<Fate> {
        let marks = range("boot-state").start + layout().boot_state().marks;
        let mark = marked.read(&moment.read(marks + marked.offset(), 512)?);
        assert_ne!(mark, Mark::Unknown, "{at}: the mark of {name} is torn");
        let ours = format!("stayput-{name}");
        let label = label(moment, place.start + 1024)?;
        if label.as_deref() != Some(&ours) {
            assert_eq!(
                mark,
                Mark::New,
                "{at}: {name} holds {label:?}, and no mark lets the box make it anew"
            );
            // mke2fs puts copies into the first blocks of groups 1 and 3. Without its head a copy with the final label
            // would look like a file system in use.
            for copy in [32768_u64 * 4096, 3 * 32768 * 4096] {
                let here = label_of_copy(moment, place.start + copy)?;
                assert!(label.is_some() || here.as_deref() != Some(&ours), "{at}: {name} looks beheaded");
            }
            return Ok(Fate::MadeAnew);
        }
        assert_eq!(place.end, range(name).end, "{at}: {name} was made before its partition had grown");
        let certain = !moment.is_uncertain(place.start, place.end - place.start);
        if let (true, Some((then, fate))) = (certain, self.last.get(name))
            && !touched[*then..flushed].iter().any(|entry| place.contains(&entry.at))
        {
            return Ok(fate.clone());
        }
        let part = self.recording.folder.path().join(format!("{name}.part"));
        moment.extract(place.start, place.end - place.start, &part)?;
        sound(&part, at);
        self.checks += 1;
        let fate = Fate::Used(debugfs("-c", &format!("cat {file}"), &part).trim().to_owned());
        if mark == Mark::Clear && marked == Marked::State {
            assert_eq!(
                fate,
                Fate::Used(self.recording.machine_id.clone()),
                "{at}: no mark, and no machine id"
            );
        }
        if certain {
            self.last.insert(name, (flushed, fate.clone()));
        }
        Ok(fate)
    }
}

/// Asserts that a file system has nothing wrong with it but a journal to replay.
fn sound(part: &Path, at: &str) {
    let mut replayed = tool("e2fsck", &["-p", "-E", "journal_only"], part);
    // The super block, cut in its two sectors while it was written: the box takes a copy in its place (docs/health.md), and so here.
    if String::from_utf8_lossy(&replayed.stderr).contains("Superblock checksum does not match") {
        let mended = tool("e2fsck", &["-y", "-B", "4096", "-b", "32768"], part);
        assert!(matches!(mended.status.code(), Some(0 | 1)), "{at}: {}: {mended:?}", part.display());
        replayed = tool("e2fsck", &["-p", "-E", "journal_only"], part);
    }
    assert!(matches!(replayed.status.code(), Some(0 | 1)), "{at}: {}: {replayed:?}", part.display());
    let checked = tool("e2fsck", &["-fn"], part);
    assert_eq!(checked.status.code(), Some(0), "{at}: {}: {checked:?}", part.display());
}

fn label(moment: &Moment<'_>, at: u64) -> Result<Option<String>> {
    let block = moment.read(at, 1024)?;
    let label: Vec<u8> = block[0x78..0x88].iter().copied().take_while(|byte| *byte != 0).collect();
    Ok((block[0x38..0x3a] == [0x53, 0xef]).then(|| String::from_utf8_lossy(&label).into_owned()))
}

fn label_of_copy(moment: &Moment<'_>, at: u64) -> Result<Option<String>> {
    if at + 1024 > CARD { Ok(None) } else { label(moment, at) }
}

/// The cuts that are looked at: a third of them while init is at work, one in the rest of the start, one while the slot is
/// copied; and all around what matters most.
fn points(recording: &Recording, entries: &[Entry], wanted: usize) -> Vec<usize> {
    let all = entries.len();
    let spread =
        |from: usize, to: usize, count: usize| (0..count).map(move |n| from + (to - from) * n / count.max(1));
    let mut points: Vec<_> = spread(1, recording.named, wanted / 3)
        .chain(spread(recording.named, recording.started, wanted / 3))
        .chain(spread(recording.started, all, wanted / 3))
        .collect();
    let marks = range("boot-state");
    let heads = ["state", "data"].map(|name| range(name).start);
    for (index, entry) in entries.iter().enumerate() {
        let head = heads.iter().any(|head| (*head..head + 4096).contains(&entry.at));
        let matters = entry.length > 0
            && (entry.at == 0 || marks.contains(&entry.at) || (head && index < recording.named));
        if matters {
            points.extend([index, index + 1, index + 2]);
        }
    }
    points.push(all);
    points.retain(|point| *point <= all);
    points.sort_unstable();
    points.dedup();
    points
}

/// How a card treats what was not flushed, in turn.
fn loss(number: usize) -> Loss {
    match number % 4 {
        0 => Loss::Everything,
        1 => Loss::Nothing,
        _ => Loss::Some(number as u64),
    }
}

fn cuts() -> Result<()> {
    let begun = Instant::now();
    let shared = recording()?;
    let recording = shared.as_ref().expect("recorded");
    let mut replay = recording.replay("replay.img")?;
    let entries = replay.entries().to_vec();
    let points = points(recording, &entries, wanted("STAYPUT_CUTS", 210));
    let (mut judge, mut looked) = (Judge::new(recording)?, 0);
    for (number, count) in points.iter().enumerate() {
        let flushed = replay.flushed(*count);
        // Each one twice: a start has about two hundred writes, and each of them can be lost in more than one way.
        for loss in [loss(number), Loss::Some((points.len() + number) as u64)] {
            let moment = replay.cut(*count, loss)?;
            judge.look(&moment, *count, flushed, &entries)?;
            looked += 1;
        }
    }
    assert!(looked >= 200, "{looked} cuts are too few");
    let (cuts, checks, took) = (looked, judge.checks, begun.elapsed().as_secs());
    let flushes = entries.iter().filter(|entry| entry.flush).count();
    let all = entries.len();
    eprintln!("{cuts} cuts of {all} entries ({flushes} flushes), {checks} checks of a file system, {took} s");
    Ok(())
}

fn starts() -> Result<()> {
    let shared = recording()?;
    let recording = shared.as_ref().expect("recorded");
    let mut replay = recording.replay("starts.img")?;
    let (all, wanted) = (replay.entries().len(), wanted("STAYPUT_CUT_STARTS", 2));
    // From the middle of init's work, where a format is under way, to the end.
    let points = (0..wanted).map(|n| recording.named / 2 + (all - recording.named / 2) * n / wanted);
    for (number, count) in points.enumerate() {
        let flushed = replay.flushed(count);
        let card =
            replay.cut(count, Loss::Some(number as u64))?.card(&recording.folder.path().join("cut.img"))?;
        let mut machine = Machine::start(stage::virt().with_card(card.path()))?;
        stage::assert_running(&mut machine)?;
        let report = health(&mut machine, Part::Init)?;
        assert_eq!(report.code, Code::Running, "cut after {count}: {report:?}");
        if flushed >= recording.named {
            assert_eq!(machine.probe()?.machine_id()?, recording.machine_id, "cut after {count}");
        }
        if flushed >= recording.filed {
            assert_eq!(machine.probe()?.text("/data/source/kept.txt")?, CONTENT, "cut after {count}");
        }
    }
    Ok(())
}
