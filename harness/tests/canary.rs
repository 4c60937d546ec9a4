//! Nothing that is only the box's own leaves it: a thousand files whose every byte is a canary's, with names that are canaries,
//! through a whole run in production's names and TLS; then everything that left is searched.
//!
//! **Canaries.** The content of every file is one canary over and over, from another byte on in each. The names that only the box
//! and those before it know are another's:
//!
//! - what `stayput.toml` puts behind the names of results: the region orders `a.csv` and never hears what becomes of its name;
//! - files that lie beside the others and that no order names;
//! - the temporary names under which files come through the door, before they are renamed.
//!
//! A name in an *order* is the region's by contract: it wrote it. So those are plain, and none of them is looked for.
//!
//! **Searched**, in each form that `stayput_canary` knows, records alone and put behind each other: both directions of every
//! connection that the region has decrypted, the bodies of all requests, every byte of the capture, what was said over UDP and
//! TCP, every name that was asked for, and the journal. Of the journal only the courier's lines may leave (docs/worker.md); all
//! of it is searched, so that no part begins to write what another could send. Health files and the state of the lights as well.
//!
//! **The capture** holds nothing but what the table of `stayput_canary::talk` allows; whatever else there is fails the test, and
//! so does a connection with the region that it has not decrypted.
//!
//! **That it can fail** is shown on the same box by a build that leaks (`harness/leaker`), in the courier's place: behind the
//! courier's walls it comes to nothing, and without them the very search that found nothing before finds it under TLS and in the
//! journal. And by leaks of each form and each way, made by the tests' probe and, under TLS, by the region: packets past the
//! table, names, lines of a log, orders, and an object that the courier is to ask for.

#[allow(dead_code)] // what only the end-to-end suite asks for
mod site;
mod stage;

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use site::{BUCKET, Result, Shared, Site, Start};
use stayput_canary::capture::packets;
use stayput_canary::talk::{Parties, Talk, Talks, talks};
use stayput_canary::{Found, Searcher, joined};
use stayput_desk::{Account, Door};
use stayput_harness::Credential;
use stayput_health::Code;
use stayput_region::http::request;

fn main() -> ExitCode {
    if let Err(error) = stayput_harness::enter_private_network() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    stage::run_with::<Shared<Watched>>(&[
        ("not_eight_bytes_of_a_thousand_files_or_of_their_own_names_leave_the_box", |it| it.run(quiet)),
        ("a_build_that_leaks_is_found_and_the_couriers_walls_hold_it", |it| it.run(leaking_build)),
        ("a_leak_in_each_form_and_on_each_way_is_found", |it| it.run(leaks)),
    ])
}

/// In every file. Not only letters, so that writing it down is not always the same as writing it.
const CONTENT: &str = "q7zk wm4x;v9tj+b2ph/ry6n gc8s%fd3l=ü&kx5z_mq8v-wj2t,hb7p";
/// In every name that is the box's own. As an appliance might: small letters and digits.
const NAME: &str = "xq4vz8kjw7bm2tphd9rf";

const BOX: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const REGION: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const DOOR: u16 = 22;

const ORDERED: usize = 860;
const BESIDE: usize = 100;
const BROUGHT: usize = 40;

/// A box at work, all of whose packets are recorded.
struct Watched {
    site: Site,
    door: Door,
    searcher: Searcher,
    capture: PathBuf,
}

impl Start for Watched {
    fn start() -> Result<Self> {
        let place =
            std::env::var_os("STAYPUT_SCRATCH").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let capture = place.join("stayput-desk/packets.pcap");
        let door = Door::new(&place.join("stayput-desk/door"))?;
        let unconfined = Credential::unit(UNCONFINED, WITHOUT_WALLS)?;
        let site = Site::open(|plan| {
            plan.door = Some(door.public().to_owned());
            plan.options.forwards = vec![DOOR];
            plan.options.capture = Some(capture.clone());
            plan.options.credentials = vec![unconfined];
            plan.worker.suffix = Some(format!("_{NAME}"));
        })?;
        // The canary again and again: eight bytes may also be of its end and its beginning.
        let again = format!("{CONTENT}{CONTENT}");
        let searcher = Searcher::new([&again[..CONTENT.len() + stayput_canary::WINDOW], NAME]);
        Ok(Self { site, door, searcher: searcher.expect("canaries"), capture })
    }

    fn site(&mut self) -> &mut Site {
        &mut self.site
    }
}

impl Watched {
    /// The capture up to now. The last packet may still be on its way into the file.
    fn packets(&self) -> Vec<u8> {
        loop {
            let file = std::fs::read(&self.capture).expect("the capture");
            match packets(&file) {
                Ok(_) => return file,
                Err(stayput_canary::Error::Cut { .. }) => std::thread::sleep(Duration::from_millis(50)),
                Err(other) => panic!("{}: {other}", self.capture.display()),
            }
        }
    }

    fn talks(&self, file: &[u8]) -> Talks {
        talks(&packets(file).expect("a capture"), &Parties { region: REGION, box_: BOX, door: Some(DOOR) })
    }

    /// Everything that could have left, each with a name.
    fn left(&mut self, file: &[u8], talks: &Talks) -> Result<Vec<(String, Vec<u8>)>> {
        let mut all = vec![("the capture".to_owned(), file.to_vec())];
        for (talk, records) in &talks.records {
            all.push((format!("{talk:?}, all of it"), joined(records)));
            let alone = records.iter().enumerate();
            all.extend(alone.map(|(number, record)| (format!("{talk:?} {number}"), record.clone())));
        }
        all.push(("the names in the capture".to_owned(), joined(&talks.names)));
        let region = self.site.desk.region();
        let asked = region.names().asked();
        all.push(("the names that were asked for".to_owned(), joined(asked.iter().map(|asked| &asked.name))));
        let mut bodies = Vec::new();
        for (number, stream) in region.recorder().streams().into_iter().enumerate() {
            let mut up = Cursor::new(stream.up.clone());
            while let Ok(Some(request)) = request(&mut up) {
                bodies.push(request.body);
            }
            all.push((format!("what the region was sent, connection {number}"), stream.up));
            all.push((format!("what it sent, connection {number}"), stream.down));
        }
        all.push((format!("the bodies of {} requests", bodies.len()), joined(&bodies)));
        for (number, body) in bodies.into_iter().enumerate() {
            all.push((format!("the body of request {number}"), body));
        }
        all.push(("the journal".to_owned(), self.journal()?));
        let probe = self.site.machine().probe()?;
        for folder in ["/run/stayput/health", "/run/stayput/status"] {
            for entry in probe.list(folder)? {
                let path = format!("{folder}/{}", entry.name);
                all.push((path.clone(), probe.read(&path)?));
            }
        }
        Ok(all)
    }

    /// The canaries in all of that: in which text, and what was found there.
    fn found(&mut self, file: &[u8], talks: &Talks) -> Result<Vec<(String, Found)>> {
        let left = self.left(file, talks)?;
        let bytes: usize = left.iter().map(|(_, bytes)| bytes.len()).sum();
        println!("{} texts of {bytes} bytes in all are searched", left.len());
        Ok(left.into_iter().filter_map(|(what, text)| Some((what, self.searcher.search(&text)?))).collect())
    }

    /// What the region was sent, over all connections.
    fn said(&self) -> Vec<Vec<u8>> {
        self.site.desk.region().recorder().streams().into_iter().map(|stream| stream.up).collect()
    }

    fn until_written(&mut self, what: &str, is_so: impl Fn(&Searcher, &[u8]) -> bool) -> Result<()> {
        let deadline = self.site.machine().deadline(Duration::from_secs(120));
        let seen = deadline.poll(|| {
            let journal = self.journal()?;
            Ok::<_, stayput_desk::Error>(is_so(&self.searcher, &journal).then_some(()))
        })?;
        assert!(seen.is_some(), "{what}: not within {:?}", deadline.allowed);
        Ok(())
    }

    fn journal(&mut self) -> Result<Vec<u8>> {
        let all = ["journalctl", "--no-pager", "--all", "--output=cat"];
        Ok(self.site.machine().probe()?.output(&all)?.into_bytes())
    }
}

/// The content of a file.
fn content(number: usize) -> Vec<u8> {
    let length = 16 + number * 7 % 3_000;
    CONTENT.bytes().cycle().skip(number % CONTENT.len()).take(length).collect()
}

fn quiet(watched: &mut Watched) -> Result<()> {
    let begun = Instant::now();
    let site = &mut watched.site;
    let at = |what: &str| println!("{:>4} s {what}", begun.elapsed().as_secs());
    let mut ordered: Vec<_> = (0..ORDERED).map(|number| format!("ordered-{number}.csv")).collect();
    site.put_all(ordered.iter().enumerate().map(|(number, name)| (name.clone(), content(number))))?;
    site.put_all((0..BESIDE).map(|number| (format!("{NAME}-{number}.csv"), content(number))))?;
    at("files lie there");
    // As careful people do: under a temporary name first.
    let mut commands = String::new();
    for number in 0..BROUGHT {
        let (name, path) = (format!("brought-{number}.csv"), watched.door.path(&format!("{number}.csv")));
        std::fs::write(&path, content(ORDERED + number)).expect("a file of the person's");
        commands += &format!("put {number}.csv {NAME}-{number}.part\nrename {NAME}-{number}.part {name}\n");
        site.expect(&name, content(ORDERED + number));
        ordered.push(name);
    }
    call(site, &watched.door, Account::Drop, &commands)?;
    at("files were brought");
    // And what goes wrong: a result that is in the way, a file that never comes.
    site.take("taken.csv")?;
    site.put_all([("taken.csv".to_owned(), content(5))])?;
    site.order(["taken.csv", "never.csv"])?;
    site.order(&ordered)?;
    site.until("a thousand files are processed", |site| {
        let moved = site.moved()?;
        Ok(ordered.iter().all(|name| moved.contains(name)))
    })?;
    site.until_shown(Code::Conflict)?;
    at("files are processed");
    let fetched: String =
        (0..3).map(|number| format!("get brought-{number}.csv_{NAME} {number}.back\n")).collect();
    call(site, &watched.door, Account::Collect, &fetched)?;
    for number in 0..3 {
        let back = std::fs::read(watched.door.path(&format!("{number}.back"))).expect("what was fetched");
        assert_eq!(back, content(ORDERED + number));
    }
    site.check()?;
    at("results were fetched");

    let file = watched.packets();
    let talked = watched.talks(&file);
    for (talk, (count, bytes)) in &talked.tally {
        println!("{talk:?}: {count} packets, {bytes} bytes");
    }
    assert!(
        talked.strangers.is_empty(),
        "{} strangers:\n{}",
        talked.strangers.len(),
        talked.strangers.join("\n")
    );
    // All of it was seen: each way of talking, and each connection with the region decrypted.
    for talk in [Talk::Arp, Talk::Neighbours, Talk::Dhcp, Talk::Names, Talk::Time, Talk::Tls, Talk::Door] {
        assert!(talked.tally.contains_key(&talk), "no {talk:?} was captured");
    }
    let spoken = talked.records[&Talk::Tls].iter().filter(|said| !said.is_empty()).count();
    let streams = watched.site.desk.region().recorder().streams();
    assert!(spoken <= 2 * streams.len(), "{spoken} halves of connections, {} were decrypted", streams.len());
    let hosts: BTreeSet<_> = watched.site.desk.region().hosts().iter().cloned().collect();
    for stream in &streams {
        assert!(
            stream.name.as_ref().is_some_and(|name| hosts.contains(name)),
            "a connection for {:?}",
            stream.name
        );
    }
    let found = watched.found(&file, &talked)?;
    assert!(found.is_empty(), "{found:?}");
    at("nothing was found");
    Ok(())
}

/// A call at the door, to its end.
fn call(site: &mut Site, door: &Door, account: Account, commands: &str) -> Result<()> {
    let mut call = door.call(account, commands)?;
    let mut good = None;
    site.until("the call at the door is over", |_| {
        good = call.ended()?;
        Ok(good.is_some())
    })?;
    assert_eq!(good, Some(true), "{}", call.said());
    Ok(())
}

/// A courier without walls: the same user with the same settings, and nothing of the baseline; it may read everything. Short, as
/// names of credentials have to be.
const UNCONFINED: &str = "l.service";
const WITHOUT_WALLS: &str = "[Service]\nType=exec\nUser=stayput-courier\nSupplementaryGroups=stayput\n\
    EnvironmentFile=/run/stayput/courier.env\nExecStart=/usr/lib/stayput/box worker courier\n\
    AmbientCapabilities=CAP_DAC_READ_SEARCH\n";

/// The build that leaks takes the place of the box's program, for whoever is started from then on.
fn leaking_build(watched: &mut Watched) -> Result<()> {
    const COURIER: &str = "stayput-courier.service";
    const PLACE: &str = "/usr/lib/stayput/box";
    const PROGRAM: &str = "/run/leaker";
    let program = std::fs::read(stage::input("STAYPUT_LEAKER")).expect("the leaking build");
    let probe = watched.site.machine().probe()?;
    probe.create(PROGRAM, &program)?;
    // The box has neither a shell nor what goes with it.
    probe.create("/run/leaker.conf", format!("z {PROGRAM} 0755\n").as_bytes())?;
    probe.output(&["systemd-tmpfiles", "--create", "/run/leaker.conf"])?;
    probe.output(&["mount", "--bind", PROGRAM, PLACE])?;
    watched.site.put_all([(format!("{NAME}-seen.csv"), content(9))])?;
    // All that `quiet` has searched and found clean, and what has come since.
    let found = |watched: &mut Watched| {
        let file = watched.packets();
        let talks = watched.talks(&file);
        assert!(talks.strangers.is_empty(), "it keeps to TLS with the region: {:?}", talks.strangers);
        watched.found(&file, &talks)
    };

    watched.site.machine().probe()?.output(&["systemctl", "restart", COURIER])?;
    // Once a second, for longer than a call to the queue lasts: one of the courier before it would take the order along.
    let refused = b"leaker: /data/source: Permission denied";
    watched.until_written("the leaking build was refused the folder again and again", |_, journal| {
        journal.windows(refused.len()).filter(|line| line == refused).count() >= 22
    })?;
    // And it is a courier all the same.
    watched.site.put_all([("held.csv".to_owned(), content(7))])?;
    watched.site.order(["held.csv"])?;
    watched.site.until("a file is processed meanwhile", |site| Ok(site.moved()?.contains("held.csv")))?;
    assert_eq!(found(watched)?, [], "behind the courier's walls");

    let probe = watched.site.machine().probe()?;
    probe.output(&["systemctl", "stop", COURIER])?;
    probe.output(&["systemctl", "start", UNCONFINED])?;
    watched.until_written("the leaking build has written", |canaries, journal| {
        canaries.search(journal).is_some()
    })?;
    let deadline = watched.site.machine().deadline(Duration::from_secs(60));
    deadline.poll(|| Ok::<_, stayput_desk::Error>(watched.searcher.search(&joined(watched.said()))))?;
    let found = found(watched)?;
    println!("the build that leaks is found in {} texts", found.len());
    for way in ["what the region was sent", "the body of request", "the journal"] {
        let there = found.iter().find(|(what, _)| what.starts_with(way));
        println!("{way}: {there:?}");
        assert!(there.is_some(), "not in {way}, but in {:?}", found.first());
    }
    let probe = watched.site.machine().probe()?;
    probe.output(&["systemctl", "stop", UNCONFINED])?;
    probe.output(&["umount", "--lazy", PLACE])?;
    probe.output(&["systemctl", "start", COURIER]).map(drop).map_err(Into::into)
}

/// Eight bytes of the canaries in each form that leaks have to be found in.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let text = &CONTENT[3..11];
    let base64 = |text: &[u8]| base64_by_hand(text);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(format!("{}{text}", "something else ".repeat(40)).as_bytes()).expect("memory");
    let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    let percent: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let fields = text.chars().map(String::from).collect::<Vec<_>>().join("\",\"");
    vec![
        ("plain", text.as_bytes().to_vec()),
        ("a name", NAME.as_bytes()[5..13].to_vec()),
        ("base64", base64(format!("a{text}").as_bytes()).into_bytes()),
        ("hex", hex.into_bytes()),
        ("percent", percent.into_bytes()),
        ("fields", fields.into_bytes()),
        ("two pieces", format!("{} and so on {}", &text[..4], &text[4..]).into_bytes()),
        ("gzip in base64", base64(&gzip.finish().expect("memory")).into_bytes()),
    ]
}

/// Base64 by the wire's own rules, with another hand than the searcher's.
fn base64_by_hand(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: &[u8], place: usize| {
        let bits =
            group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        if place > group.len() { '=' } else { char::from(DIGITS[bits >> (18 - 6 * place) & 63]) }
    };
    bytes.chunks(3).flat_map(|group| (0..4).map(move |place| digit(group, place))).collect()
}

fn leaks(watched: &mut Watched) -> Result<()> {
    past_the_table(watched)?;
    as_a_name(watched)?;
    under_tls(watched)?;
    into_the_log(watched)
}

/// Something on the box connects to somebody.
fn past_the_table(watched: &mut Watched) -> Result<()> {
    const PORT: u16 = 9_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).expect("a port of the desk's");
    let heard = std::thread::spawn(move || {
        for mut peer in listener.incoming().take(forms().len()).flatten() {
            let _ = peer.read(&mut [0; 4096]);
        }
    });
    let mut seen = watched.talks(&watched.packets()).strangers.len();
    for (form, bytes) in forms() {
        let before = packets(&watched.packets()).expect("a capture").len();
        watched.site.machine().probe()?.connect((REGION, PORT).into(), &bytes, Duration::from_secs(60))?;
        let file = watched.packets();
        let strangers = watched.talks(&file).strangers.len();
        assert!(strangers > seen, "{form}: nobody has noticed the connection");
        seen = strangers;
        let new: Vec<_> = packets(&file).expect("a capture").into_iter().skip(before).collect();
        let found = new.iter().find_map(|packet| watched.searcher.search(packet.bytes));
        println!("past the table, {form}: {found:?}");
        assert!(found.is_some(), "{form} has left unseen");
        assert!(watched.searcher.search(&file).is_some());
    }
    drop(heard);
    Ok(())
}

/// Something on the box asks for a name, or for three of them that carry a piece each.
fn as_a_name(watched: &mut Watched) -> Result<()> {
    let stub = ([127, 0, 0, 53], 53).into();
    for piece in NAME.as_bytes()[2..14].chunks(4) {
        let mut question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04".to_vec();
        question.extend([piece, b"\x07example\x03com\0\0\x01\0\x01"].concat());
        let length = u16::try_from(question.len()).expect("a short question").to_be_bytes();
        // The resolver keeps the connection for further questions.
        let said = [&length[..], &question].concat();
        let _ = watched.site.machine().probe()?.connect(stub, &said, Duration::from_secs(3));
    }
    let asked = watched.site.desk.region().names().asked();
    let of_ours: Vec<_> = asked.iter().filter(|asked| asked.name.ends_with(".example.com")).collect();
    let found = watched.searcher.search(&joined(of_ours.iter().map(|asked| &asked.name)));
    println!("as names: {found:?}");
    assert!(found.is_some(), "{asked:?}");
    let talked = watched.talks(&watched.packets());
    assert!(watched.searcher.search(&joined(&talked.names)).is_some(), "{:?}", talked.names);
    Ok(())
}

/// Something is said under TLS: by the region, in orders.
fn under_tls(watched: &mut Watched) -> Result<()> {
    for (form, bytes) in forms() {
        let before = watched.site.desk.region().recorder().streams();
        let order = String::from_utf8(bytes).expect("orders are text");
        watched.site.order([format!("{order} as an order")])?;
        let deadline = watched.site.machine().deadline(Duration::from_secs(60));
        let found = deadline.poll(|| {
            let streams = watched.site.desk.region().recorder().streams();
            let new = streams.iter().enumerate().map(|(number, stream)| {
                let known = before.get(number).map_or(0, |stream| stream.down.len());
                &stream.down[known..]
            });
            Ok::<_, stayput_desk::Error>(new.into_iter().find_map(|down| watched.searcher.search(down)))
        })?;
        println!("under TLS, {form}: {found:?}");
        assert!(found.is_some(), "{form} has left unseen");
    }
    upwards(watched)?;
    // And nobody without the region's key has seen any of it.
    let talked = watched.talks(&watched.packets());
    assert_eq!(watched.searcher.search(&joined(&talked.records[&Talk::Tls])), None);
    Ok(())
}

/// The other way: the courier asks for an object whose key is the canary, and writes it as addresses are written.
fn upwards(watched: &mut Watched) -> Result<()> {
    let before = watched.said();
    let key: String = CONTENT[3..11].bytes().map(|byte| format!("%{byte:02X}")).collect();
    let object = format!(r#"{{"bucket":{{"name":"{BUCKET}"}},"object":{{"key":"{key}"}}}}"#);
    let record = format!(r#"{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{object}}}"#);
    watched.site.order([format!(r#"{{"Records":[{record}]}}"#)])?;
    let deadline = watched.site.machine().deadline(Duration::from_secs(60));
    let found = deadline.poll(|| {
        let said = watched.said();
        let new = said.iter().enumerate().map(|(number, up)| &up[before.get(number).map_or(0, Vec::len)..]);
        Ok::<_, stayput_desk::Error>(watched.searcher.search(&joined(new)))
    })?;
    println!("under TLS, upwards: {found:?}");
    assert!(found.is_some(), "the courier has asked for nothing, or was not heard");
    Ok(())
}

/// Something on the box writes it down.
fn into_the_log(watched: &mut Watched) -> Result<()> {
    const BEGINNING: &str = "could not open ";
    let line = format!("stayput: {BEGINNING}{}\n", &NAME[3..15]);
    watched.site.machine().probe()?.write("/dev/kmsg", line.as_bytes())?;
    watched.until_written("the line is found in the journal", |canaries, journal| {
        let mut lines =
            journal.split(|byte| *byte == b'\n').filter(|line| line.starts_with(BEGINNING.as_bytes()));
        lines.any(|line| canaries.search(line).is_some())
    })
}
