//! The real HTTPS client against the stand-in region's front door: what it sends is in form, and what it makes of each
//! thing that a wire and a certificate can do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod desk;

use std::net::TcpListener;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stayput_health::Code;
use stayput_identity::https::Https;
use stayput_identity::plan::Wish;
use stayput_identity::region::{Obstacle, Region as _, Request, Sent};
use stayput_identity::store::Store;
use stayput_identity::wire::{Call, Token};
use stayput_identity::{Error, Keeper, Key, Surroundings};
use stayput_region::{Chain, Cut, Fault, Plan, Region};
use tempfile::TempDir;

use desk::{REGION, key};

struct Site {
    region: Region,
    folder: TempDir,
}

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let region = Region::start(Plan::on_loopback(REGION)).unwrap();
    std::fs::write(folder.path().join("ca.pem"), region.authority()).unwrap();
    Site { region, folder }
}

impl Site {
    fn url(&self) -> String {
        format!("https://localhost:{}", self.region.addresses().front.port())
    }

    fn client(&self, url: &str) -> Https {
        Https::new(url, &self.folder.path().join("ca.pem"), None).unwrap()
    }

    fn send(&self) -> Sent {
        self.client(&self.url()).send(&request())
    }
}

fn request() -> Request {
    Request { call: Call::RoleToken, headers: Vec::new(), body: b"{}".to_vec() }
}

/// The box's end, with the desk's clock.
struct Here(usize);

impl Surroundings for Here {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn chance(&mut self) -> f64 {
        0.0
    }

    fn key(&mut self) -> Result<Key, Error> {
        self.0 += 1;
        Key::from_text(key(self.0))
    }

    fn fingerprint(&mut self) -> Result<String, Error> {
        Ok("0c1d2e3f-4a5b-4c6d-8e7f-001122334455".to_owned())
    }

    fn deliver(&mut self, _: &Token) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_box_registers_renews_and_changes_its_key_over_the_real_wire_without_one_complaint() {
    let site = site();
    let simulator = site.region.simulator();
    let activation = simulator.activate(1, Timestamp::now() + SignedDuration::from_hours(1));
    let wish = || {
        let code = Some(activation.code.parse().unwrap());
        Wish { region: REGION.to_owned(), activation: activation.id.clone(), code }
    };
    let keeper = |drawn| {
        let store = Store::new(site.folder.path());
        Keeper::open(store, site.client(&site.url()), Here(drawn), wish(), "here").unwrap()
    };
    let mut first = keeper(0);
    first.step().unwrap();
    assert_eq!(first.code(), Code::Running);
    simulator.ask_for_key(&simulator.instances()[0].id);
    for drawn in [1, 2] {
        let mut next = keeper(drawn);
        next.step().unwrap();
        assert_eq!(next.code(), Code::Running);
    }
    let tally = simulator.tally();
    assert_eq!((tally.registrations, tally.tokens, tally.keys), (1, 3, 1), "{tally:?}");
    assert_eq!(simulator.complaints(), Vec::<String>::new());
    let calls: Vec<_> =
        site.region.recorder().exchanges().into_iter().map(|exchange| exchange.line).collect();
    assert_eq!(calls, ["GET /", "POST /", "POST /", "POST /", "POST /", "POST /"]);
}

#[test]
fn what_happens_to_a_call_on_the_wire_is_told_apart_by_whether_it_may_have_arrived() {
    let site = site();
    let unanswered = Sent::Unanswered(Obstacle::Connection);
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Torn, Fault::Reset] {
        site.region.script().next("RequestManagedInstanceRoleToken", fault.clone());
        assert_eq!(site.send(), unanswered, "{fault:?}");
    }
    for (fault, status) in
        [(Fault::Page(503), 503), (Fault::refused("TooManyUpdates"), 400), (Fault::Garbled, 200)]
    {
        site.region.script().next("RequestManagedInstanceRoleToken", fault.clone());
        let Sent::Answered(reply) = site.send() else { panic!("{fault:?}") };
        assert_eq!(reply.status, status, "{fault:?}");
        assert!(reply.date.unwrap().duration_since(Timestamp::now()).abs() < SignedDuration::from_mins(1));
    }
}

#[test]
fn a_certificate_that_is_not_the_regions_stops_a_call_before_its_first_byte() {
    let site = site();
    for (chain, obstacle) in [
        (Chain::Stranger, Obstacle::Stranger),
        (Chain::OtherName, Obstacle::Stranger),
        (Chain::Expired, Obstacle::Dates),
        (Chain::Early, Obstacle::Dates),
    ] {
        site.region.show(chain);
        assert_eq!(site.send(), Sent::Never(obstacle), "{chain:?}");
        assert_eq!(site.client(&site.url()).reach(), Err(obstacle), "{chain:?}");
    }
    assert!(
        site.region.recorder().streams().iter().all(|stream| stream.up.is_empty()),
        "nothing was said to it"
    );
    site.region.show(Chain::Good);
    assert!(matches!(site.send(), Sent::Answered(_)));
}

#[test]
fn a_region_that_is_away_is_told_from_a_name_that_is_not_known() {
    let site = site();
    site.region.cut(Cut::Refused);
    // The door looks every few milliseconds whether it is to be shut.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(site.send(), Sent::Never(Obstacle::Connection));
    assert_eq!(site.client(&site.url()).reach(), Err(Obstacle::Connection));
    let unknown = site.client("https://ssm.eu-central-1.invalid");
    assert_eq!({ unknown }.send(&request()), Sent::Never(Obstacle::Name));
    site.region.cut(Cut::Reset);
    std::thread::sleep(Duration::from_millis(100));
    // Whether a reset came before or after the first byte, nobody here can tell: the careful answer.
    assert_eq!(site.send(), Sent::Unanswered(Obstacle::Connection));
    assert_eq!(
        site.client(&site.url()).reach(),
        Err(Obstacle::Connection),
        "and that is why it reaches out first"
    );
    site.region.cut(Cut::None);
    std::thread::sleep(Duration::from_millis(100));
    assert!(matches!(site.send(), Sent::Answered(_)));
}

#[test]
fn a_proxy_that_is_not_there_is_named_and_nothing_left() {
    let site = site();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = format!("http://{gone}");
    let mut client = Https::new(&site.url(), &site.folder.path().join("ca.pem"), Some(&proxy)).unwrap();
    let sent = client.send(&request());
    assert!(matches!(sent, Sent::Never(_)), "{sent:?}");
}
