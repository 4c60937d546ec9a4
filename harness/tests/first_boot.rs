//! The first boot as a person meets it: one text file, one honest verdict. For each cause that it can fail by, the box stays
//! up and the card names that cause and its remedy; and who the box is survives what may happen to it afterwards.
//!
//! Beside the machine stands a region (`stayput-region`): its names, its certificates, its registration service. The box gets
//! there by the names that the real one has; only its authority and its name server stand in `stayput.toml`. Every fault
//! comes from outside: the card's file, the plug, the network, the region. What is said is read from the card's own bytes.

mod stage;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;
use stage::damage::{copy_slot, set_boot_state};
use stage::partition::layout;
use stage::settings::files;
use stayput_card::fat;
use stayput_harness::{Card, Error, Machine, Result, Worn, enter_private_network};
use stayput_health::{Code, Part};
use stayput_region::{Plan, Region, words};
use stayput_status::{REPORT_FILES, ReportFile, STATUS_JSON, STATUS_TXT, row};

fn main() -> ExitCode {
    if let Err(error) = enter_private_network() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    stage::run_table::<Desk, Story>(STORIES, tell)
}

/// Something that is done to the world around the box, and what its card says some time later.
struct Step {
    first: &'static [Act],
    then: Code,
}

/// What may be done from outside.
enum Act {
    /// A line for the region.
    Region(&'static str),
    /// The network's plug.
    Plug(bool),
    /// Nobody on the network answers any more.
    Hush(bool),
}

/// What the person has put onto the card.
enum File {
    None,
    Bytes(&'static [u8]),
    /// The usual settings with one text in the place of another.
    Spoilt(&'static str, &'static str),
    /// The usual settings with an activation that the region makes so.
    Activation(&'static str),
    /// The same, and a code that is not its own.
    WrongCode,
}

enum Story {
    /// A card, a start, and what happens then.
    Cause { file: File, steps: &'static [Step] },
    /// One that goes on where a cause ends.
    Own(fn(&mut Desk) -> Result<()>),
}

use Act::{Hush, Plug, Region as Tell};

const STORIES: &[(&str, Story)] = &[
    (
        "the_encryption_is_opened_then_the_region_is_down_then_it_activates_and_is_the_same_box_ever_after_and_no_other_board_is",
        Story::Own(same),
    ),
    (
        "a_clock_that_is_behind_is_put_right_and_one_that_is_ahead_is_named_and_a_code_that_cannot_be_overwritten_is_too",
        Story::Own(clocks),
    ),
    (
        "there_is_no_file",
        Story::Cause { file: File::None, steps: &[Step { first: &[], then: Code::ConfigMissing }] },
    ),
    (
        "the_file_cannot_be_read_as_text",
        Story::Cause {
            file: File::Bytes(b"\xff\xfev\0e\0r\0s\0i\0o\0n\0 \0=\0 \x001\0"),
            steps: &[Step { first: &[], then: Code::ConfigUnreadable }],
        },
    ),
    (
        "a_key_in_the_file_is_wrong",
        Story::Cause {
            file: File::Spoilt("cluster", "clutser"),
            steps: &[Step { first: &[], then: Code::ConfigWrong }],
        },
    ),
    (
        "there_is_no_cable_and_then_the_activation_has_expired",
        Story::Cause {
            file: File::Activation("activation 1 -1"),
            steps: &[
                Step { first: &[Plug(false)], then: Code::NoLink },
                Step { first: &[Plug(true)], then: Code::ActivationExpired },
            ],
        },
    ),
    (
        "nobody_gives_an_address_and_then_the_code_is_wrong",
        Story::Cause {
            file: File::WrongCode,
            steps: &[
                Step { first: &[Hush(true)], then: Code::NoDhcp },
                // The router comes back, and with it the link.
                Step { first: &[Hush(false), Plug(false), Plug(true)], then: Code::ActivationWrong },
            ],
        },
    ),
    (
        "names_are_not_answered_and_then_the_activation_is_used_up",
        Story::Cause {
            file: File::Activation("activation 0"),
            steps: &[
                Step { first: &[Tell("names silent")], then: Code::NoDns },
                Step { first: &[Tell("names honest")], then: Code::ActivationUsedUp },
            ],
        },
    ),
];

/// On the way to an activation that succeeds.
const WAY: &[Step] = &[
    Step { first: &[Tell("certificate stranger")], then: Code::TlsIntercepted },
    Step { first: &[Tell("cut refused"), Tell("certificate good")], then: Code::RegionUnreachable },
    Step { first: &[Tell("cut off")], then: Code::Running },
];

const MIB: u64 = 1 << 20;
const CARD: u64 = 4096 * MIB;

/// From power to a verdict on the card, and from a change outside to it: an emulated start, half a minute for an address, a
/// region that is tried again after up to a minute.
const VERDICT: Duration = Duration::from_secs(240);

/// The person's settings. Nothing of them is for tests alone: a network with its own name server and an authority.
const SETTINGS: &str = r#"version = 1

[device]
name = "box-7"

[network]
dns = ["10.0.2.2"]
ca = ["region.pem"]

[activation]
region = "eu-central-1"
id = "<id>"
code = "<code>"

[ecs]
cluster = "here"
"#;

/// The machine, its card, and the region beside it.
#[derive(Default)]
struct Desk {
    parts: Option<Parts>,
    broken: bool,
}

struct Parts {
    machine: Machine,
    region: Region,
    card: Card,
    /// What every story begins with: a card that was never used.
    new: Card,
    /// Where the reports lie on it, since the person's files were put there.
    reports: Vec<(&'static str, u64)>,
    _folder: tempfile::TempDir,
}

impl Desk {
    /// Everything at rest: the machine off, a new card, an honest region.
    fn at_rest(&mut self) -> Result<&mut Parts> {
        assert!(!self.broken, "the desk could not be laid in an earlier test");
        if self.parts.is_none() {
            self.broken = true;
            self.parts = Some(Parts::lay()?);
            self.broken = false;
        }
        let Some(parts) = self.parts.as_mut() else { unreachable!("set above") };
        parts.machine.power_cut();
        let card = parts.card.path().to_owned();
        parts.card = parts.new.copy(&card)?;
        parts.machine.rebuild(|options| (options.lease, options.mac, options.worn) = (None, None, None))?;
        for line in ["names honest", "certificate good", "cut off", "clock 0", "time 0", "clear *"] {
            parts.say(line);
        }
        Ok(parts)
    }
}

impl Parts {
    fn lay() -> Result<Self> {
        let folder = tempfile::tempdir_in(scratch()).expect("a folder for cards");
        let new = Card::flash(&folder.path().join("new.img"), stage::input("STAYPUT_IMAGE").as_ref(), CARD)?;
        // The box would do it by itself, and would be slow meanwhile.
        copy_slot(&new, folder.path())?;
        let card = new.copy(&folder.path().join("card.img"))?;
        let machine = Machine::start(stage::virt().with_card(card.path()))?;
        Ok(Self { machine, region: region(), card, new, reports: Vec::new(), _folder: folder })
    }

    /// Puts the person's files onto the card's drive, as they are; the reports stay what they are.
    fn put(&mut self, settings: Option<&[u8]>) -> Result<()> {
        let part = layout().partition("stayput").expect("a partition of the table").clone();
        let kind = part.fat.as_ref().expect("it is a FAT");
        let mut files = files(&self.card)?;
        files.retain(|(name, _)| !["stayput.toml", "region.pem"].contains(&name.as_str()));
        files.push(("region.pem".to_owned(), self.region.authority().as_bytes().to_vec()));
        files.extend(settings.map(|bytes| ("stayput.toml".to_owned(), bytes.to_vec())));
        let of: Vec<_> = files.iter().map(|(name, bytes)| fat::File { name, bytes }).collect();
        let image = fat::image(kind, part.size, &of).expect("a FAT");
        self.card.write(part.start, &image)?;
        let place = |report: &ReportFile| {
            let (_, bytes) = files.iter().find(|(name, _)| name == report.name).expect("the image has it");
            let found = (0..image.len()).step_by(512).find(|at| image[*at..].starts_with(bytes));
            (report.name, part.start + found.expect("the file is in one piece") as u64)
        };
        self.reports = REPORT_FILES.iter().map(place).collect();
        Ok(())
    }

    /// The person's file, as it is on the card now.
    fn settings(&self) -> Result<String> {
        let files = files(&self.card)?;
        let (_, bytes) =
            files.into_iter().find(|(name, _)| name == "stayput.toml").expect("it was put there");
        Ok(String::from_utf8(bytes).expect("text"))
    }

    /// Where on the card something stands that the person has put onto its drive.
    fn place_of(&self, bytes: &[u8]) -> Result<Option<u64>> {
        let part = layout().partition("stayput").expect("a partition of the table").clone();
        let drive = self.card.read(part.start, part.size as usize)?;
        let found = drive.windows(bytes.len()).position(|window| window == bytes);
        Ok(found.map(|at| part.start + at as u64))
    }

    /// A report's text, from the card's bytes.
    fn report(&self, report: &ReportFile) -> Result<String> {
        let (_, at) = self.reports.iter().find(|(name, _)| *name == report.name).expect("one of the two");
        Ok(String::from_utf8_lossy(&self.card.read(*at, report.size)?).into_owned())
    }

    /// Puts settings with a new activation onto the card; answers its code.
    fn activation(&mut self, made_by: &str) -> Result<String> {
        let made = self.say(made_by);
        let word = |name: &str| {
            let line = made.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            line.unwrap_or_else(|| panic!("no {name} in {made:?}")).to_owned()
        };
        let (id, code) = (word("id"), word("code"));
        let text = SETTINGS.replace("<id>", &id).replace("<code>", &code).replace('\n', "\r\n");
        self.put(Some(text.as_bytes()))?;
        Ok(code)
    }

    /// Says a line to the region, and gives back what it answers.
    fn say(&self, line: &str) -> String {
        words::obey(&self.region, line)
            .unwrap_or_else(|wrong| panic!("the region does not understand: {wrong}"))
    }

    fn act(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Region(line) => {
                self.say(line);
                Ok(())
            }
            Act::Plug(is_in) => self.machine.link(*is_in),
            Act::Hush(hushed) => self.machine.hush(*hushed),
        }
    }

    /// Waits until both reports on the card name this state, and looks whether they tell a person all that the table knows.
    fn wait_for(&mut self, code: Code) -> Result<String> {
        let began = Instant::now();
        let deadline = self.machine.deadline(VERDICT);
        let mut text = String::new();
        let wanted = format!("({code})\r\n");
        let found = deadline.poll(|| {
            text = self.report(&STATUS_TXT)?;
            let json: Value = serde_json::from_str(&self.report(&STATUS_JSON)?).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(200));
            let named = text.lines().next().is_some_and(|line| format!("{line}\r\n").ends_with(&wanted));
            Ok::<_, Error>((named && json["state"]["code"] == code.as_str()).then_some(()))
        })?;
        if found.is_none() {
            let journal =
                ["journalctl", "--no-pager", "--lines=120", "--output=short-monotonic", "--unit=stayput-*"];
            let journal = self.machine.probe().and_then(|probe| probe.output(&journal)).unwrap_or_default();
            panic!("the card never said {code}; it says\n{}\nand the box\n{journal}", text.trim_end());
        }
        let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let [first, then] = row(code).remedy();
        for words in [first, then, row(code).verdict()] {
            assert!(told.contains(words), "{words:?} is not in\n{text}");
        }
        println!("    {code} after {:.0} s", began.elapsed().as_secs_f64());
        Ok(text)
    }

    /// A card with this file is in the box, and the power comes on.
    fn power_on(&mut self) -> Result<()> {
        self.machine.power_on()
    }

    /// What the card says of who the box is.
    fn instance(&self) -> Result<Option<String>> {
        let json: Value = serde_json::from_str(&self.report(&STATUS_JSON)?).expect("JSON");
        Ok(json["facts"]["instance"].as_str().map(str::to_owned))
    }

    fn stays_up(&mut self) -> Result<()> {
        stage::assert_running(&mut self.machine)
    }
}

/// One story of the table.
fn tell(desk: &mut Desk, story: &Story) -> Result<()> {
    let (file, steps) = match story {
        Story::Own(run) => return run(desk),
        Story::Cause { file, steps } => (file, steps),
    };
    let parts = desk.at_rest()?;
    let mut code = None;
    match file {
        File::None => parts.put(None)?,
        File::Bytes(bytes) => parts.put(Some(bytes))?,
        File::Spoilt(good, bad) => {
            let (id, code) = ("01234567-89ab-cdef-0123-456789abcdef", "EXAMPLE/CodeOf20Char");
            let text = SETTINGS.replace("<id>", id).replace("<code>", code).replace(good, bad);
            parts.put(Some(text.as_bytes()))?;
        }
        File::Activation(made_by) => code = Some(parts.activation(made_by)?),
        File::WrongCode => {
            let right = parts.activation("activation 1")?;
            let wrong: String = right.chars().rev().collect();
            let text = parts.settings()?.replace(&right, &wrong);
            parts.put(Some(text.as_bytes()))?;
        }
    }
    let text = start(parts, steps)?;
    if steps.iter().any(|step| step.then == Code::ConfigWrong) {
        let line = 1 + SETTINGS.lines().position(|line| line.contains("cluster")).expect("the mistake");
        assert!(text.contains(&format!("line {line}")), "{text}");
    }
    parts.stays_up()?;
    // What was no success keeps its code, which may be wanted for another attempt.
    if let Some(code) = code {
        assert!(parts.settings()?.contains(&code) && parts.instance()?.is_none());
    }
    assert_honest(parts);
    Ok(())
}

/// The power comes on, and what each step does is told by the card. Answers the last of its texts.
fn start(parts: &mut Parts, steps: &[Step]) -> Result<String> {
    // Before the box looks: it is off, or in its boot loader.
    let (at_once, later) = steps[0].first.iter().partition::<Vec<_>, _>(|act| matches!(act, Act::Region(_)));
    at_once.into_iter().try_for_each(|act| parts.act(act))?;
    parts.power_on()?;
    later.into_iter().try_for_each(|act| parts.act(act))?;
    let mut text = String::new();
    for (number, step) in steps.iter().enumerate() {
        if number > 0 {
            step.first.iter().try_for_each(|act| parts.act(act))?;
        }
        text = parts.wait_for(step.then)?;
    }
    Ok(text)
}

/// The box never said anything to the region that no honest client says.
fn assert_honest(parts: &Parts) {
    let complaints = parts.say("tally");
    assert!(!complaints.contains("no honest client"), "{complaints}");
}

fn same(desk: &mut Desk) -> Result<()> {
    let parts = desk.at_rest()?;
    let registrations = |parts: &mut Parts| {
        let tally = parts.say("tally");
        tally.split(',').next().unwrap_or_default().to_owned()
    };
    let before = registrations(parts);
    let code = parts.activation("activation 1")?;
    let text = start(parts, WAY)?;
    let instance = parts.instance()?.expect("it was activated");
    assert!(text.contains(&instance) && text.contains("10.0.2.15"), "{text}");
    let once = registrations(parts);
    assert_ne!(before, once, "nothing was registered");

    // The code has left the card: the person's file, what of it was kept, and every other place of the drive.
    let settings = parts.settings()?;
    assert!(settings.contains("code = \"used:20") && !settings.contains(&code), "{settings}");
    assert_eq!(parts.place_of(code.as_bytes())?, None, "the code is on the drive");
    let kept = parts.machine.probe()?.text("/var/lib/stayput/setup/good")?;
    assert!(!kept.contains(&code), "the good copy has the code");
    // And the memory of the one part that was given it.
    let given = parts.machine.probe()?.text("/run/stayput/identity/stayput.toml")?;
    assert!(given.contains("code = \"used:20") && !given.contains(&code), "{given}");
    assert!(
        text.contains("backup file may keep copies") || parts.report(&STATUS_TXT)?.contains("overwritten")
    );
    let memory = ["identity", "network", "drive"].map(|part| {
        let unit = format!("stayput-{part}.service");
        let found =
            parts.machine.probe().and_then(|it| it.properties(Some(&unit), &["MemoryCurrent", "MemoryPeak"]));
        format!("{part}: {found:?}")
    });
    println!("    {memory:?}");

    // An orderly end and another lease.
    parts.machine.probe()?.sync()?;
    parts.machine.power_cut();
    parts.machine.rebuild(|options| options.lease = Some(Ipv4Addr::new(10, 0, 2, 99)))?;
    parts.power_on()?;
    restarted(parts, &instance, "10.0.2.99")?;

    // The other slot.
    parts.machine.power_cut();
    set_boot_state(&parts.card, &[("stayput_first", "b")])?;
    parts.power_on()?;
    let text = restarted(parts, &instance, "10.0.2.99")?;
    assert!(text.contains("System:           B"), "{text}");
    assert_eq!(registrations(parts), once, "it was registered again");

    // The card in another board, and back.
    parts.machine.power_cut();
    parts.machine.rebuild(|options| options.mac = Some("52:54:00:ab:cd:ef".to_owned()))?;
    parts.power_on()?;
    parts.wait_for(Code::IdentityOther)?;
    assert_eq!(parts.instance()?, None);
    parts.stays_up()?;
    assert_eq!(registrations(parts), once, "the other board was registered");
    assert_honest(parts);
    Ok(())
}

/// The start of a box that is registered already: the same identity at another address.
fn restarted(parts: &mut Parts, instance: &str, address: &str) -> Result<String> {
    let began = Instant::now();
    // The report of the start before says the same; that of this start has the new address or a later time.
    let before = parts.report(&STATUS_JSON)?;
    let deadline = parts.machine.deadline(VERDICT);
    deadline
        .poll(|| {
            std::thread::sleep(Duration::from_millis(200));
            Ok::<_, Error>((parts.report(&STATUS_JSON)? != before).then_some(()))
        })?
        .expect("the box says nothing after its restart");
    let text = parts.wait_for(Code::Running)?;
    assert!(text.contains(instance) && text.contains(address), "{text}");
    parts.stays_up()?;
    println!("    the same box after {:.0} s", began.elapsed().as_secs_f64());
    Ok(text)
}

fn clocks(desk: &mut Desk) -> Result<()> {
    const DAY: i64 = 86_400;
    let parts = desk.at_rest()?;
    let now = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()) as i64;
    // To the box it is the same whether it is a day behind or the world is a day ahead.
    parts.say(&format!("clock {DAY}"));
    let code = parts.activation("activation 1")?;
    // And where the code is, the card is worn out.
    let worn = parts.place_of(code.as_bytes())?.map(Worn::Unwritable);
    assert!(worn.is_some(), "the code was put there");
    parts.machine.rebuild(|options| options.worn = worn)?;
    parts.power_on()?;
    parts.wait_for(Code::SecretLeft)?;
    let instance = parts.instance()?.expect("it was activated");
    let first = stage::health::health(&mut parts.machine, Part::Drive)?;
    let shown = stage::health::health(&mut parts.machine, Part::Identity)?.written.unix;
    assert!((shown - now() - DAY).abs() < 600, "the clock is {} s ahead", shown - now());
    // Now the world is right, and the box a day ahead: it never goes back, and says so.
    // It looks again, and what the kernel remembers of its own writing is not taken for what the card has.
    let deadline = parts.machine.deadline(VERDICT);
    let again = deadline.poll(|| {
        std::thread::sleep(Duration::from_millis(500));
        let now = stage::health::health(&mut parts.machine, Part::Drive)?;
        Ok::<_, Error>((now.written != first.written).then_some(now))
    })?;
    assert_eq!(again.expect("it never looked again").code, Code::SecretLeft);
    parts.wait_for(Code::SecretLeft)?;
    parts.machine.power_cut();
    assert!(parts.settings()?.contains(&code), "it was written all the same");
    parts.machine.rebuild(|options| options.worn = None)?;
    parts.say("clock 0");
    parts.power_on()?;
    parts.wait_for(Code::ClockRefused)?;
    parts.stays_up()?;
    // It is who it was, and what could not be done is.
    assert_eq!(parts.instance()?, Some(instance));
    let settings = parts.settings()?;
    assert!(settings.contains("code = \"used:20") && !settings.contains(&code), "{settings}");
    Ok(())
}

fn scratch() -> String {
    std::env::var("STAYPUT_SCRATCH").unwrap_or_else(|_| "/var/tmp".to_owned())
}

/// The region, at the ports that a region has.
fn region() -> Region {
    let at = |port: u16| (Ipv4Addr::LOCALHOST, port).into();
    let region = Region::start(Plan {
        front: at(443),
        dns: Some(at(53)),
        time: Some(at(123)),
        // As the box calls this loopback.
        address: Ipv4Addr::new(10, 0, 2, 2),
        ..Plan::on_loopback("eu-central-1")
    });
    region.unwrap_or_else(|error| panic!("{error}"))
}
