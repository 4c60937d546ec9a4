//! From flash to work done: the real image, a region on the desk, a queue that others wrote. One box lives through all of it.

#[allow(dead_code)] // what only `canary` asks for
mod site;
mod stage;
#[allow(dead_code)] // what only `lights` asks for
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use site::{BUCKET, FIRST, Result, Shared, Site};
use stage::health::{boot_ok, fact, health};
use stayput_desk::Store;
use stayput_harness::Leds;
use stayput_health::{Code, Part};
use stayput_region::{Cut, Fault};
use watch::assert_shows;

fn main() -> ExitCode {
    if let Err(error) = stayput_harness::enter_private_network() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    stage::run_with::<Shared>(&[
        ("a_flashed_card_becomes_an_instance_and_its_first_file_is_processed", |it| it.run(first)),
        ("an_order_that_comes_before_its_file_waits_for_it", |it| it.run(early)),
        ("a_region_that_is_away_for_two_minutes_costs_no_file_and_no_order", |it| it.run(outage)),
        ("a_destination_that_is_taken_keeps_both_files_and_is_shown", |it| it.run(taken)),
        ("a_restart_in_the_middle_of_a_batch_costs_no_file_and_no_order", |it| it.run(restart)),
        ("a_thousand_files_with_repeated_mixed_and_senseless_orders_each_move_once", |it| it.run(thousand)),
        ("a_power_cut_in_the_middle_of_a_batch_costs_no_file_and_no_order", |it| it.run(cut)),
        ("a_session_that_ends_in_the_middle_of_a_batch_is_replaced_and_costs_nothing", |it| it.run(expired)),
        ("a_full_disk_stops_the_receiving_is_shown_and_is_over_by_itself_with_room", |it| it.run(full)),
        ("a_clock_that_jumps_a_day_ahead_or_back_is_put_right_and_costs_nothing", |it| it.run(clock)),
        ("an_object_from_the_store_arrives_whole_and_one_with_another_checksum_never", |it| it.run(inbound)),
        ("a_slot_that_is_damaged_in_the_middle_of_a_batch_gives_way_to_the_other_one", |it| it.run(slot)),
        ("a_changed_file_on_the_card_takes_effect_at_the_next_start", |it| it.run(settings)),
    ])
}

/// So many names of a kind.
fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind}-{number}.csv")).collect()
}

fn first(site: &mut Site) -> Result<()> {
    println!("from power on to the first file processed: {:.1} s", site.first.as_secs_f64());
    well(site, &[FIRST.to_owned()])?;
    shown(site, Code::Running)?;
    assert!(site.machine().screen().now().is_some(), "a test that fails has no picture to show");
    site.assert_same_instance();
    audited(site)
}

/// What somebody can do who has noted the ledger's head from the card: have the box hold its ledger against it.
fn audited(site: &mut Site) -> Result<()> {
    let mut noted = String::new();
    site.until("the card names the ledger's head", |site| {
        let files = stage::settings::files(site.desk.card())?;
        let report = files.into_iter().find(|(name, _)| name == "STATUS.json").map(|(_, bytes)| bytes);
        let report: serde_json::Value =
            serde_json::from_slice(&report.unwrap_or_default()).unwrap_or_default();
        let fact = |name: &str| report["facts"][name].as_str().map(str::to_owned);
        noted = fact("ledger-records")
            .zip(fact("ledger-head"))
            .map(|(at, head)| format!("{at}:{head}"))
            .unwrap_or_default();
        Ok(!noted.is_empty())
    })?;
    let mut verify = |head: &str| {
        let words = ["/usr/lib/stayput/box", "worker", "ledger", "verify", "--head", head];
        Ok::<_, stayput_desk::Error>(site.machine().probe()?.run(&words)?.code)
    };
    assert_eq!(verify(&noted)?, Some(0), "the ledger does not hold {noted}");
    let digit = if noted.ends_with('0') { '1' } else { '0' };
    let other = format!("{}{digit}", &noted[..noted.len() - 1]);
    assert_ne!(verify(&other)?, Some(0), "the ledger holds a head that it never had");
    Ok(())
}

/// Files put before the box, as yet without an order.
fn names_of(site: &mut Site, kind: &str, count: usize) -> Result<Vec<String>> {
    let names = names(kind, count);
    site.put_all(names.iter().map(|name| (name.clone(), site::content(name))))?;
    Ok(names)
}

/// The call that brings orders.
const RECEIVE: &str = "ReceiveMessage";
/// How late it is answered, so that a batch lasts for longer than it takes to do something in its middle.
const SLOW: Duration = Duration::from_secs(2);

/// Puts a batch before the box, and waits until the first of it is done.
fn begin(site: &mut Site, kind: &str) -> Result<Vec<String>> {
    let names = names_of(site, kind, 200)?;
    // As the door does before it says that a file has come.
    site.machine().probe()?.sync()?;
    site.desk.region().script().always(RECEIVE, Fault::Late(SLOW));
    site.order(&names)?;
    begun(site, kind)?;
    Ok(names)
}

fn begun(site: &mut Site, kind: &str) -> Result<()> {
    let prefix = format!("{kind}-");
    site.until("the batch is begun", |site| Ok(site.moved()?.iter().any(|name| name.starts_with(&prefix))))
}

/// Asserts that what has happened to a batch happened in its middle: orders are left. From now on they come quickly.
fn in_the_middle(site: &mut Site) -> Result<()> {
    let depth = site.depth()?;
    assert!(depth.visible + depth.hidden > 0, "the batch was over before: {depth:?}");
    site.desk.region().script().clear(RECEIVE);
    Ok(())
}

/// Waits until the box says so, and reads it off its lights.
fn shown(site: &mut Site, code: Code) -> Result<()> {
    site.until_shown(code)?;
    Ok(assert_shows(site.machine(), code)?)
}

/// The end of a story after which nothing is left to be done or shown.
fn well(site: &mut Site, names: &[String]) -> Result<()> {
    site.until_done(names)?;
    site.until_shown(Code::Running)?;
    let steady = Leds { green: true, ..Leds::DARK };
    site.machine().wait_for_leds(steady, Duration::from_secs(10))?;
    site.check()
}

fn early(site: &mut Site) -> Result<()> {
    site.order(["early.csv"])?;
    site.until("the order was taken", |site| Ok(site.depth()?.hidden == 1))?;
    site.put("early.csv")?;
    well(site, &["early.csv".to_owned()])
}

/// So long the region is away.
const AWAY: Duration = Duration::from_secs(120);

fn outage(site: &mut Site) -> Result<()> {
    let names = begin(site, "outage")?;
    let began = Instant::now();
    site.desk.region().cut(Cut::Refused);
    shown(site, Code::RegionUnreachable)?;
    in_the_middle(site)?;
    // Worse than one that is gone: it takes every connection, and says nothing.
    site.desk.region().cut(Cut::Silent);
    std::thread::sleep(AWAY.saturating_sub(began.elapsed()));
    shown(site, Code::RegionUnreachable)?;
    site.desk.region().cut(Cut::None);
    well(site, &names)
}

fn taken(site: &mut Site) -> Result<()> {
    site.take("taken.csv")?;
    site.put("taken.csv")?;
    site.order(["taken.csv"])?;
    shown(site, Code::Conflict)?;
    let probe = site.machine().probe()?;
    assert_eq!(probe.read("/data/destination/taken.csv_has_been_processed")?, b"was here before");
    assert_eq!(probe.read("/data/source/taken.csv")?, site::content("taken.csv"));
    let depth = site.depth()?;
    assert_eq!(depth.all(), 1, "the order is gone: {depth:?}");
    site.desk.open()?.purge()?;
    site.check()
}

fn restart(site: &mut Site) -> Result<()> {
    let names = begin(site, "restart")?;
    site.machine().reboot()?;
    in_the_middle(site)?;
    well(site, &names)
}

fn thousand(site: &mut Site) -> Result<()> {
    let names = names_of(site, "many", 1_000)?;
    // Each order twice, the second time from the other end; and some that nobody can carry out.
    let poison = ["{", "../../etc/passwd", "/etc/passwd", "{\"file\": 7}", "sub/folder.csv"];
    let bodies = names.iter().chain(names.iter().rev()).map(String::as_str);
    site.order(bodies)?;
    site.order(poison)?;
    let all = |site: &mut Site| site.moved().map(|moved| names.iter().all(|name| moved.contains(name)));
    site.until("a thousand files are processed", all)?;
    // The second order of a file finds none and waits; nothing is deleted that was not done.
    let left = (names.len() + poison.len()) as u64;
    site.until("what was done is deleted", |site| Ok(site.depth()?.all() <= left))?;
    shown(site, Code::Parked)?;
    std::thread::sleep(CALM);
    let depth = site.depth()?;
    assert_eq!(depth.all(), left, "an order was deleted that was not done: {depth:?}");
    site.desk.open()?.purge()?;
    site.check()
}

fn cut(site: &mut Site) -> Result<()> {
    let names = begin(site, "cut")?;
    site.machine().power_cut();
    in_the_middle(site)?;
    std::thread::sleep(Duration::from_millis(100));
    site.machine().power_on()?;
    well(site, &names)?;
    site.assert_same_instance();
    Ok(())
}

fn expired(site: &mut Site) -> Result<()> {
    // A session of a minute is renewed after half of it: the first is asked for at a start of the part.
    let simulator = site.desk.region().simulator().clone();
    let before = simulator.tally().tokens;
    simulator.rule(|rule| rule.life /= 60);
    site.machine().probe()?.output(&["systemctl", "restart", "stayput-identity.service"])?;
    site.until("a short session", |_| Ok(simulator.tally().tokens > before))?;
    let names = begin(site, "expired")?;
    simulator.expire_sessions();
    site.until_shown(Code::CredentialsLate)?;
    in_the_middle(site)?;
    simulator.rule(|rule| rule.life *= 60);
    well(site, &names)
}

/// What the test takes the room with.
const FILLER: &str = "/data/filler";
/// Less than the mover's reserve, and more than the batch.
const LEFT: u64 = 8 << 20;
/// So long nothing happens that must not.
const CALM: Duration = Duration::from_secs(8);

fn full(site: &mut Site) -> Result<()> {
    let mut names = begin(site, "full")?;
    let probe = site.machine().probe()?;
    let free = probe.room("/data")?;
    probe.allocate(FILLER, free - LEFT)?;
    shown(site, Code::DiskFull)?;
    // What has come is handed back; files still come, for the reserve is the box's.
    site.until("no order is held", |site| Ok(site.depth()?.hidden == 0))?;
    in_the_middle(site)?;
    let late = names_of(site, "late", 20)?;
    site.order(&late)?;
    let (received, moved) = (site.calls(RECEIVE), site.moved()?);
    std::thread::sleep(CALM);
    assert_eq!(site.calls(RECEIVE), received, "orders are taken that cannot be carried out");
    assert_eq!(site.moved()?, moved, "a file was moved into the reserve");
    assert_eq!(site.depth()?.aside, 0);
    site.check()?;
    site.machine().probe()?.remove(FILLER)?;
    names.extend(late);
    well(site, &names)
}

const DAY: i64 = 86_400;

fn clock(site: &mut Site) -> Result<()> {
    let names = begin(site, "ahead")?;
    // Nobody to ask until it has been seen what the region says to that.
    site.desk.region().tell_time(None);
    site.machine().probe()?.turn_clock(DAY)?;
    shown(site, Code::ClockRefused)?;
    in_the_middle(site)?;
    site.desk.region().tell_time(Some(Default::default()));
    site.until_done(&names)?;
    let names = begin(site, "behind")?;
    site.machine().probe()?.turn_clock(-DAY)?;
    in_the_middle(site)?;
    well(site, &names)?;
    let said = health(site.machine(), Part::Courier)?.written.unix;
    let off = said.abs_diff(site.desk.region().clock().now().as_second());
    assert!(off < 120, "the box's clock is {off} s off");
    Ok(())
}

fn inbound(site: &mut Site) -> Result<()> {
    const NAME: &str = "inbound.csv";
    let content = site::content("what comes from the store").repeat(1_000);
    let store = Store::make(BUCKET, site.desk.open()?)?;
    let names = names_of(site, "beside", 100)?;
    site.order(&names)?;
    // Other bytes than those that the store has summed up.
    site.desk.region().script().always("s3", Fault::Garbled);
    store.bring(NAME, &content)?;
    site.until("the wrong bytes were noticed", |site| {
        let mover = health(site.machine(), Part::Mover)?;
        Ok(mover.counters.iter().any(|(name, count)| name.as_str() == "mismatch" && *count > 0))
    })?;
    let results = site.results()?;
    assert!(!results.iter().any(|name| name == NAME), "what was not announced was published: {results:?}");
    site.desk.region().script().clear("s3");
    site.await_inbound(NAME, content);
    site.until("the object is there", |site| Ok(site.results()?.iter().any(|name| name == NAME)))?;
    well(site, &names)
}

/// Off, after a stop in good order: what the box held is back on the queue, and nobody waits two minutes for it.
fn off(site: &mut Site) -> Result<()> {
    site.machine().reboot()?;
    site.machine().power_cut();
    Ok(())
}

fn slot(site: &mut Site) -> Result<()> {
    // Slot B is made by the box itself, in the quiet after a start.
    let said = boot_ok(site.machine())?;
    assert_eq!(fact(&said, "spare"), "whole", "{said:?}");
    let names = begin(site, "slot")?;
    off(site)?;
    in_the_middle(site)?;
    let (script, _) = stage::damage::file_of_slot(site.desk.card(), "boot-a", "slot.scr")?;
    stage::damage::flip(site.desk.card(), "boot-a", script + 500)?;
    let machine = site.machine();
    let mark = machine.console().mark();
    machine.power_on()?;
    let deadline = machine.deadline(Duration::from_secs(120));
    machine.console().wait_for("stayput: slot b (load)", mark, &deadline)?;
    site.until_done(&names)?;
    shown(site, Code::OtherSlot)?;
    site.assert_same_instance();
    // It mends slot A, from which the next start is.
    let said = boot_ok(site.machine())?;
    assert_eq!((fact(&said, "slot"), fact(&said, "spare")), ("b", "whole"), "{said:?}");
    site.check()
}

fn settings(site: &mut Site) -> Result<()> {
    let names = names_of(site, "settings", 200)?;
    site.machine().probe()?.sync()?;
    // The second half is ordered while the box is off: a quick one is through with a batch before it is.
    let (before, after) = names.split_at(100);
    site.order(before)?;
    begun(site, "settings")?;
    off(site)?;
    site.change_suffix("_seen")?;
    site.order(after)?;
    site.machine().power_on()?;
    well(site, &names)?;
    site.assert_same_instance();
    let results = site.results()?;
    let ends = |end: &str| {
        results.iter().filter(|name| name.starts_with("settings-") && name.ends_with(end)).count()
    };
    let (old, new) = (ends("_has_been_processed"), ends("_seen"));
    assert!(
        old > 0 && new > 0 && old + new == 200,
        "{old} with the suffix of before, {new} with the new one"
    );
    Ok(())
}
