//! From flash to work done: the real image, a region on the desk, a queue that others wrote. One box lives through all of it.

mod site;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use site::{FIRST, Result, Shared, Site};
use stayput_desk::Depth;
use stayput_health::Code;
use stayput_region::Cut;

fn main() -> ExitCode {
    if let Err(error) = stayput_harness::enter_private_network() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    stage::run_with::<Shared>(&[
        ("a_flashed_card_becomes_an_instance_and_its_first_file_is_processed", |it| it.run(first)),
        ("a_thousand_files_with_repeated_mixed_and_senseless_orders_each_move_once", |it| it.run(thousand)),
        ("an_order_that_comes_before_its_file_waits_for_it", |it| it.run(early)),
        ("a_destination_that_is_taken_keeps_both_files_and_is_shown", |it| it.run(taken)),
        ("a_region_that_is_away_for_a_while_costs_no_file_and_no_order", |it| it.run(outage)),
        ("a_restart_in_the_middle_of_a_batch_costs_no_file_and_no_order", |it| it.run(restart)),
        ("a_power_cut_in_the_middle_of_a_batch_costs_no_file_and_no_order", |it| it.run(cut)),
    ])
}

/// So many names of a kind.
fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{kind}-{number}.csv")).collect()
}

fn first(site: &mut Site) -> Result<()> {
    println!("from power on to the first file processed: {:.1} s", site.first.as_secs_f64());
    site.until_done(&[FIRST.to_owned()])?;
    site.until_shown(Code::Running)?;
    let tally = site.desk.region().simulator().tally();
    assert_eq!((tally.registrations, tally.instances), (1, 1), "{tally:?}");
    site.check()
}

/// Puts a batch before the box, and waits until it is in the middle of it.
fn begin(site: &mut Site, kind: &str, count: usize) -> Result<Vec<String>> {
    let names = names(kind, count);
    for name in &names {
        site.put(name)?;
    }
    site.order(&names)?;
    let prefix = format!("{kind}-");
    site.until("the batch is begun", |site| Ok(site.moved()?.iter().any(|name| name.starts_with(&prefix))))?;
    Ok(names)
}

fn thousand(site: &mut Site) -> Result<()> {
    let names = names("many", 1_000);
    for name in &names {
        site.put(name)?;
    }
    // Each order twice, the second time from the other end; and some that nobody can carry out.
    let poison = ["{", "../../etc/passwd", "/etc/passwd", "{\"file\": 7}", "sub/folder.csv"];
    let bodies = names.iter().chain(names.iter().rev()).map(String::as_str);
    site.order(bodies)?;
    site.order(poison)?;
    let all = |site: &mut Site| site.moved().map(|moved| names.iter().all(|name| moved.contains(name)));
    site.until("a thousand files are processed", all)?;
    // The second order of a file finds none and waits; nothing is deleted that was not done.
    site.check()?;
    let depth = site.depth()?;
    let left = depth.visible + depth.hidden + depth.aside;
    assert!(left >= poison.len() as u64, "poison was deleted: {depth:?}");
    site.desk.open()?.purge()
}

fn early(site: &mut Site) -> Result<()> {
    site.order(["early.csv"])?;
    site.until("the order was taken", |site| Ok(site.depth()?.hidden == 1))?;
    site.put("early.csv")?;
    site.until_done(&["early.csv".to_owned()])?;
    site.check()
}

fn taken(site: &mut Site) -> Result<()> {
    site.take("taken.csv")?;
    site.put("taken.csv")?;
    site.order(["taken.csv"])?;
    site.until_shown(Code::Conflict)?;
    let probe = site.machine().probe()?;
    assert_eq!(probe.read("/data/destination/taken.csv_has_been_processed")?, b"was here before");
    assert_eq!(probe.read("/data/source/taken.csv")?, site::content("taken.csv"));
    let depth = site.depth()?;
    assert_eq!(depth.visible + depth.hidden + depth.aside, 1, "the order is gone: {depth:?}");
    site.desk.open()?.purge()
}

fn outage(site: &mut Site) -> Result<()> {
    let names = begin(site, "outage", 200)?;
    site.desk.region().cut(Cut::Refused);
    site.until_shown(Code::RegionUnreachable)?;
    site.check()?;
    site.desk.region().cut(Cut::None);
    site.until_done(&names)?;
    site.until_shown(Code::Running)?;
    site.check()
}

fn restart(site: &mut Site) -> Result<()> {
    let names = begin(site, "restart", 200)?;
    site.machine().reboot()?;
    site.until_done(&names)?;
    site.check()
}

fn cut(site: &mut Site) -> Result<()> {
    let names = begin(site, "cut", 200)?;
    site.machine().power_cut();
    std::thread::sleep(Duration::from_millis(100));
    site.machine().power_on()?;
    site.until_done(&names)?;
    assert_eq!(site.depth()?, Depth::EMPTY);
    let tally = site.desk.region().simulator().tally();
    assert_eq!((tally.registrations, tally.instances), (1, 1), "the box has registered again: {tally:?}");
    site.check()
}
