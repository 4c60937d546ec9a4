//! The invariant under SIGKILL: whatever is gone from the queue is durably done, each file is in exactly one place, and none is
//! overwritten. Real processes and files, the emulator in a process of its own, and the proxy between them looks into the
//! destination at every delete.
//!
//! `STAYPUT_KILLS` says how many; `STAYPUT_SEED` repeats a run as far as the kernel's scheduling allows.

use std::fs;
use std::time::{Duration, Instant};

use crate::control::Depth;
use crate::emulator::Emulator;
use crate::site::{Site, content, name};

/// How many orders are on their way at a time.
const STOCK: usize = 60;

/// Which process dies, counted from zero; the last stands for both.
const VICTIMS: [&[&str]; 3] = [&["courier"], &["mover"], &["courier", "mover"]];

pub fn kills_of_courier_mover_and_both_lose_nothing(emulator: &Emulator) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let (kills, mut seed) = (number("STAYPUT_KILLS").unwrap_or(60), number("STAYPUT_SEED").unwrap_or(0x5eed));
    let mut roll = |end: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % end
    };
    let mut site = Site::with(emulator, "kills", 1000, 14 * 24 * 3600);
    {
        let mut rules = site.proxy.rules();
        rules.destination = Some(site.path("destination"));
        // What a killed courier held comes back while the run lasts.
        rules.visibility = Some(3);
    }
    // Taken already by something else: these orders are never done, whatever dies.
    let taken: Vec<_> = (0..5).map(|number| format!("taken-{}", name(number))).collect();
    for name in &taken {
        fs::write(site.path("destination").join(format!("{name}_has_been_processed")), "other").unwrap();
    }
    site.files(taken.iter().cloned());
    site.control.send(&site.queues.orders, taken.iter().cloned());
    site.start();
    let (mut sent, mut late) = (0, Vec::new());
    let (mut counts, started) = ([0; 3], Instant::now());
    for kill in 0..kills {
        let moved = site.moved() - taken.len();
        if sent < moved + STOCK / 2 {
            // Every tenth file comes after its order.
            let (now, later): (Vec<_>, Vec<_>) = (sent..sent + STOCK).partition(|number| number % 10 != 3);
            site.files(late.drain(..).chain(now.into_iter().map(name)));
            site.control.send(&site.queues.orders, (sent..sent + STOCK).map(name));
            late.extend(later.into_iter().map(name));
            sent += STOCK;
        }
        std::thread::sleep(Duration::from_millis(5 + roll(if kill % 4 == 0 { 1000 } else { 300 })));
        let victim = usize::try_from(roll(3)).unwrap();
        counts[victim] += 1;
        for half in VICTIMS[victim] {
            site.kill(half);
        }
        for half in VICTIMS[victim] {
            if *half == "mover" { site.start_mover() } else { site.start_courier() }
        }
        assert_eq!(
            site.proxy.rules().undone,
            Vec::<String>::new(),
            "deleted before it was done, kill {kill}"
        );
    }
    let lasted = started.elapsed();
    site.files(late.drain(..));
    site.until("done", 300, |site| {
        site.moved() == sent + taken.len() && site.depth().visible == 0 && {
            let Depth { visible, hidden } = site.depth();
            visible + hidden == u32::try_from(taken.len()).unwrap()
        }
    });
    check(&site, sent, &taken);
    println!(
        "{kills} kills in {} s (courier {}, mover {}, both {}), {sent} orders",
        lasted.as_secs(),
        counts[0],
        counts[1],
        counts[2]
    );
}

fn check(site: &Site, sent: usize, taken: &[String]) {
    let rules = site.proxy.rules();
    assert_eq!(rules.undone, Vec::<String>::new());
    assert_eq!(rules.deleted.len(), sent, "each order was deleted");
    for number in 0..sent {
        let name = name(number);
        assert!(rules.deleted.contains(&name));
        let moved = site.path("destination").join(format!("{name}_has_been_processed"));
        assert_eq!(fs::read(moved).unwrap(), content(&name));
        assert!(!site.path("source").join(&name).exists(), "{name} is in both places");
    }
    for name in taken {
        assert!(!rules.deleted.contains(name), "{name} was deleted undone");
        assert_eq!(fs::read(site.path("source").join(name)).unwrap(), content(name));
        let there = site.path("destination").join(format!("{name}_has_been_processed"));
        assert_eq!(fs::read(there).unwrap(), b"other");
    }
    assert_eq!((site.waiting(), site.moved()), (taken.len(), sent + taken.len()));
}
