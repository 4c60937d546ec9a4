//! The trials.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::Row;
use crate::control::Depth;
use crate::emulator::Emulator;
use crate::kills::kills_of_courier_mover_and_both_lose_nothing;
use crate::proxy::Fault;
use crate::site::{SECRET, Site, content, name};

macro_rules! trials {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), $name as fn(&Emulator))),+] };
}

/// Against ministack.
pub const MINISTACK: &[Row] = trials![
    orders_are_carried_out_and_deleted_in_few_calls,
    a_file_that_comes_later_is_taken_within_five_seconds,
    what_is_no_order_and_what_is_in_the_way_is_set_aside_by_the_queue,
    a_region_that_fails_in_every_way_loses_nothing,
    an_entry_that_could_not_be_deleted_is_deleted_later,
    a_delete_whose_answer_is_lost_is_no_harm,
    receipts_that_end_while_the_mover_is_stopped_bring_duplicates_and_no_harm,
    three_rotations_of_the_credentials_under_load_go_unnoticed,
    a_clock_that_the_region_refuses_is_said_and_the_work_goes_on_when_it_is_right,
    a_stop_is_quick_and_gives_back_what_was_not_done,
    a_receive_that_is_never_answered_is_given_up_and_the_next_one_works,
    a_mover_that_is_killed_and_started_again_goes_on,
    the_largest_bodies_do_not_fill_the_memory,
    an_idle_courier_asks_three_times_a_minute,
    a_queue_that_is_not_there_is_said_and_found_again,
    kills_of_courier_mover_and_both_lose_nothing,
    a_check_names_what_is_wrong_with_the_queue,
    an_object_is_fetched_once_and_a_missing_one_is_said,
    objects_that_notifications_name_are_fetched_from_allowed_buckets_only,
    an_object_whose_answer_breaks_off_is_fetched_again_and_whole,
];

/// Against moto.
pub const MOTO: &[Row] = trials![
    orders_are_carried_out_on_a_second_emulator,
    an_entry_that_the_emulator_itself_refuses_comes_again_and_is_deleted_then,
];

fn orders_are_carried_out_and_deleted_in_few_calls(emulator: &Emulator) {
    let mut site = Site::new(emulator, "load");
    site.work(0..400);
    site.start();
    site.until_done(400, 60);
    let calls: usize = ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]
        .iter()
        .map(|operation| site.proxy.count(operation))
        .sum();
    // The last receive is a long poll that brings nothing, and the first was alone.
    assert!(calls <= 100 + 4, "{calls} calls for 400 orders");
    assert!(site.peak() < 20_000, "{} KiB in a program that is not optimised", site.peak());
}

fn a_file_that_comes_later_is_taken_within_five_seconds(emulator: &Emulator) {
    let mut site = Site::new(emulator, "late");
    site.control.send(&site.queues.orders, (0..3).map(name));
    site.start();
    site.until("waiting", 30, |site| site.code() == "WRK-02");
    for number in 0..3 {
        site.files([name(number)]);
        let came = Instant::now();
        site.until("moved", 30, |site| site.moved() == number + 1);
        assert!(came.elapsed() < Duration::from_secs(5), "{:?}", came.elapsed());
    }
    site.until_done(3, 10);
}

fn what_is_no_order_and_what_is_in_the_way_is_set_aside_by_the_queue(emulator: &Emulator) {
    // Short enough to see the end of it: three deliveries within 80 seconds.
    let mut site = Site::with(emulator, "aside", 3, 100);
    std::fs::write(site.path("destination").join(format!("{SECRET}-0.pdf_has_been_processed")), "other")
        .unwrap();
    site.files([name(0)]);
    let bodies = [
        name(0),
        format!("{{\"{SECRET}\": 1}}"),
        format!("../{SECRET}"),
        "{\"file\":\"a\\u0000\"}".to_owned(),
    ];
    site.start();
    // Until the rules are read the courier takes the queue for one that keeps messages for days.
    site.until("told the rules", 30, |site| site.log().contains("keeps messages for only"));
    site.control.send(&site.queues.orders, bodies.clone());
    site.until("said", 30, |site| site.code() == "WRK-04");
    let aside = |site: &Site| site.control.depth(&site.queues.aside).visible;
    site.until("set aside", 150, |site| aside(site) == 4);
    assert_eq!(site.control.bodies(&site.queues.aside), bodies.into_iter().collect());
    assert!(site.path("source").join(name(0)).exists());
    let kept = std::fs::read(site.path("destination").join(format!("{}_has_been_processed", name(0))));
    assert_eq!(kept.unwrap(), b"other");
    assert_eq!(site.proxy.count("DeleteMessageBatch"), 0);
}

fn a_region_that_fails_in_every_way_loses_nothing(emulator: &Emulator) {
    let mut site = Site::new(emulator, "faults");
    let (error, throttled) = (Fault::Error(503, "ServiceUnavailable"), Fault::Error(400, "RequestThrottled"));
    site.proxy.fail(
        "ReceiveMessage",
        &[error, throttled, Fault::Drop, Fault::Cut, Fault::Error(500, "InternalError")],
    );
    site.proxy.fail("DeleteMessageBatch", &[throttled, Fault::Cut, Fault::Drop, error]);
    site.work(0..60);
    site.start();
    // What a receive lost on its way comes again after its two minutes.
    site.until("done", 200, |site| site.moved() == 60 && site.depth() == Depth { visible: 0, hidden: 0 });
    assert_eq!(site.proxy.outstanding(), 0);
    site.check_files(60);
}

fn an_entry_that_could_not_be_deleted_is_deleted_later(emulator: &Emulator) {
    let mut site = Site::new(emulator, "entries");
    site.proxy.fail("DeleteMessageBatch", &[Fault::OneEntry, Fault::OneEntry, Fault::OneEntry]);
    site.work(0..30);
    site.start();
    site.until_done(30, 60);
    assert_eq!(site.proxy.outstanding(), 0);
}

fn a_delete_whose_answer_is_lost_is_no_harm(emulator: &Emulator) {
    let mut site = Site::new(emulator, "lost");
    site.proxy.fail("DeleteMessageBatch", &[Fault::Lose, Fault::Lose]);
    site.work(0..30);
    site.start();
    site.until_done(30, 60);
    assert_eq!(site.proxy.outstanding(), 0);
}

fn receipts_that_end_while_the_mover_is_stopped_bring_duplicates_and_no_harm(emulator: &Emulator) {
    let mut site = Site::new(emulator, "expiry");
    site.proxy.rules().visibility = Some(1);
    site.start();
    site.until("up", 30, |site| site.proxy.count("ReceiveMessage") > 0);
    site.signal("mover", Signal::STOP);
    site.work(0..20);
    site.until("delivered twice", 60, |site| site.counter("received") >= 40);
    site.signal("mover", Signal::CONT);
    site.until_done(20, 60);
}

fn three_rotations_of_the_credentials_under_load_go_unnoticed(emulator: &Emulator) {
    let mut site = Site::new(emulator, "rotation");
    site.proxy.rules().key = Some("first".to_owned());
    site.start();
    for (round, key) in ["second", "third", "fourth"].iter().enumerate() {
        site.work(round * 100..round * 100 + 50);
        site.until("at work", 60, |site| site.moved() > round * 100);
        // The region stops taking the old ones first, so that the courier is told, and must look again.
        site.proxy.rules().key = Some((*key).to_owned());
        site.work(round * 100 + 50..round * 100 + 100);
        if round == 1 {
            site.until("refused", 60, |site| site.proxy.rules().refused > 0);
        }
        site.credentials(key);
    }
    site.until_done(300, 90);
    assert!(site.proxy.rules().refused > 0);
}

fn a_clock_that_the_region_refuses_is_said_and_the_work_goes_on_when_it_is_right(emulator: &Emulator) {
    let mut site = Site::new(emulator, "skew");
    site.work(0..20);
    // The first call tells the difference, and no later one is signed with it: the ledger's times would be wrong.
    site.start_mover();
    for ahead in [3600, -3600] {
        site.proxy.rules().ahead = ahead;
        site.start_courier();
        site.until("refused", 60, |site| site.code() == "CLK-02");
        assert_eq!((site.moved(), site.depth()), (0, Depth { visible: 20, hidden: 0 }));
        site.stop_courier();
    }
    site.start_courier();
    site.proxy.rules().ahead = 0;
    site.until_done(20, 60);
}

fn a_stop_is_quick_and_gives_back_what_was_not_done(emulator: &Emulator) {
    let mut site = Site::new(emulator, "stop");
    site.control.send(&site.queues.orders, (0..3).map(name));
    site.start();
    site.until("waiting", 30, |site| site.counter("waiting") == 3);
    assert_eq!(site.depth().hidden, 3);
    let (time, code) = site.stop_courier();
    assert!(time < Duration::from_secs(3), "{time:?}");
    assert_eq!(code, Some(0));
    assert_eq!(site.depth(), Depth { visible: 3, hidden: 0 });
    assert_eq!(site.code(), "RUN-02");
}

fn a_receive_that_is_never_answered_is_given_up_and_the_next_one_works(emulator: &Emulator) {
    let mut site = Site::new(emulator, "hung");
    site.proxy.fail("ReceiveMessage", &[Fault::Hang]);
    site.work(0..10);
    site.start();
    site.until_done(10, 60);
    assert!(site.log().contains("call failed: hung"), "{}", site.log());
}

fn a_mover_that_is_killed_and_started_again_goes_on(emulator: &Emulator) {
    let mut site = Site::new(emulator, "mover");
    site.start();
    for round in 0..4 {
        site.work(round * 50..round * 50 + 50);
        site.until("at work", 60, |site| site.moved() > round * 50);
        site.kill("mover");
        site.start_mover();
    }
    site.until_done(200, 90);
}

fn the_largest_bodies_do_not_fill_the_memory(emulator: &Emulator) {
    let mut site = Site::new(emulator, "large");
    // As large as a message may be; a fifth of them would be beyond the bound if they came at once.
    let large = |number: usize| format!("{number}{}", "\"".repeat(255_000));
    site.control.send(&site.queues.orders, (0..100).map(large));
    site.work(0..10);
    site.start();
    site.until("received", 120, |site| site.counter("poison") >= 100 && site.moved() == 10);
    assert!(site.peak() < 48 * 1024, "{} KiB", site.peak());
}

fn an_idle_courier_asks_three_times_a_minute(emulator: &Emulator) {
    let mut site = Site::new(emulator, "idle");
    site.start();
    site.until("up", 30, |site| site.proxy.count("ReceiveMessage") > 0);
    let before = site.proxy.count("ReceiveMessage");
    std::thread::sleep(Duration::from_secs(62));
    let asked = site.proxy.count("ReceiveMessage") - before;
    assert!((2..=3).contains(&asked), "{asked} receives in 62 seconds");
}

fn a_queue_that_is_not_there_is_said_and_found_again(emulator: &Emulator) {
    let mut site = Site::new(emulator, "denied");
    site.proxy.fail(
        "ReceiveMessage",
        &[Fault::Error(400, "QueueDoesNotExist"), Fault::Error(400, "AccessDeniedException")],
    );
    site.start();
    site.until("said", 30, |site| site.code() == "REG-03");
    site.work(0..5);
    site.until_done(5, 60);
    site.until("well", 30, |site| site.code() == "RUN-00");
}

fn a_check_names_what_is_wrong_with_the_queue(emulator: &Emulator) {
    let site = Site::with(emulator, "check-poor", 2, 3600);
    let (text, _) = site.check();
    assert!(text.contains("the queue answers"), "{text}");
    assert!(
        text.contains("sets an order aside after 2 deliveries") && text.contains("set maxReceiveCount to"),
        "{text}"
    );
    assert!(text.contains("keeps messages for only 60 minutes"), "{text}");
    site.proxy.fail("GetQueueAttributes", &[Fault::Error(400, "QueueDoesNotExist")]);
    let (text, code) = site.check();
    assert!(text.contains("wrong    the queue could not be asked: the queue is missing"), "{text}");
    assert_eq!(code, Some(1));
    let rich = Site::with(emulator, "check-rich", 10, 4 * 24 * 3600);
    rich.long_aside();
    let (text, code) = rich.check();
    assert!(text.contains("good     the queue's rules leave orders time"), "{text}");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(rich.proxy.count("ReceiveMessage"), 0);
}

/// A bucket in the region's own place.
fn make_bucket(emulator: &Emulator, name: &str) {
    let here = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";
    emulator.put(&format!("/{name}"), here.as_bytes());
}

/// What a bucket says of a new object.
fn notification(bucket: &str, key: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"{bucket}"}},
        "object":{{"key":"{key}"}}}}}}]}}"#
    )
}

fn an_object_is_fetched_once_and_a_missing_one_is_said(emulator: &Emulator) {
    let mut site = Site::new(emulator, "fetch");
    let (bucket, name) = ("fetch-inbox", format!("{SECRET} 1+2.pdf"));
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    make_bucket(emulator, bucket);
    emulator.put("/fetch-elsewhere", b"");
    emulator.put(&format!("/{bucket}/{SECRET}%201%2B2.pdf"), &body);
    site.start_mover();
    site.until("up", 30, |site| site.path("socket").exists());
    for (bucket, expected) in
        [(format!("s3://{bucket}"), "3000000 bytes"), (bucket.to_owned(), "fetched before")]
    {
        let (text, code) = site.fetch(emulator, &bucket, &name);
        assert!(text.contains(expected) && !text.contains(SECRET), "{text}");
        assert_eq!(code, Some(0));
        assert_eq!(std::fs::read(site.path("destination").join(&name)).unwrap(), body);
    }
    let (text, code) = site.fetch(emulator, bucket, "nothing");
    assert!(text.contains("the object is missing"), "{text}");
    assert_eq!(code, Some(69));
    let (text, code) = site.fetch(emulator, "fetch-elsewhere", &name);
    assert!(text.contains("correct AWS_REGION"), "{text}");
    assert_eq!(code, Some(69));
    let (text, code) = site.fetch(emulator, bucket, &format!("../{SECRET} 1+2.pdf"));
    assert!(code != Some(0) && !text.contains(SECRET), "{text}");
    assert_eq!(site.moved(), 1);
}

fn objects_that_notifications_name_are_fetched_from_allowed_buckets_only(emulator: &Emulator) {
    let mut site = Site::new(emulator, "notify");
    site.set("STAYPUT_BUCKETS", "notify-inbox/in/");
    site.set("STAYPUT_SUBFOLDERS", "last");
    site.set("AWS_ENDPOINT_URL_S3", &format!("http://{}", emulator.address));
    make_bucket(emulator, "notify-inbox");
    let bodies: Vec<Vec<u8>> = (0..5).map(|number| content(&name(number)).repeat(100 * number + 1)).collect();
    for (number, body) in bodies.iter().enumerate() {
        emulator.put(&format!("/notify-inbox/in/{}", name(number)), body);
    }
    let orders = (0..5).map(|number| notification("notify-inbox", &format!("in/{}", name(number))));
    // The same again, as S3 may send it.
    let again = notification("notify-inbox", &format!("in/{}", name(0)));
    let left = [
        notification("notify-inbox", &format!("out/{}", name(0))),
        notification("notify-inbox", "in/nothing"),
    ];
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#.to_owned();
    site.control.send(&site.queues.orders, orders.chain([again, test]).chain(left));
    site.start();
    site.until("fetched", 60, |site| site.moved() == 5 && site.depth() == Depth { visible: 0, hidden: 2 });
    for (number, body) in bodies.iter().enumerate() {
        assert_eq!(&std::fs::read(site.path("destination").join(name(number))).unwrap(), body);
    }
    site.until("said", 30, |site| site.counter("unfetched") >= 2 && site.counter("deleted") == 7);
}

fn an_object_whose_answer_breaks_off_is_fetched_again_and_whole(emulator: &Emulator) {
    let mut site = Site::new(emulator, "torn");
    site.set("STAYPUT_BUCKETS", "torn-inbox");
    site.set("AWS_ENDPOINT_URL_S3", &site.proxy.url(&format!("http://{}/", emulator.address)));
    make_bucket(emulator, "torn-inbox");
    let body = content(&name(0)).repeat(10_000);
    emulator.put(&format!("/torn-inbox/{}", name(0)), &body);
    site.proxy.fail("GET", &[Fault::Cut, Fault::Drop, Fault::Error(503, "SlowDown")]);
    site.control.send(&site.queues.orders, [notification("torn-inbox", &name(0))]);
    site.start();
    site.until("fetched", 120, |site| site.moved() == 1 && site.depth() == Depth { visible: 0, hidden: 0 });
    assert_eq!(site.proxy.outstanding(), 0);
    // Nothing else is there either: not the half that came first.
    let there: Vec<_> =
        std::fs::read_dir(site.path("destination")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(std::fs::read(there[0].path()).unwrap(), body);
}

fn orders_are_carried_out_on_a_second_emulator(emulator: &Emulator) {
    let mut site = Site::new(emulator, "second");
    site.proxy.fail("DeleteMessageBatch", &[Fault::OneEntry]);
    site.work(0..40);
    site.control.send(&site.queues.orders, ["{}".to_owned()]);
    site.start();
    let left = Depth { visible: 0, hidden: 1 };
    site.until("done", 90, |site| site.moved() == 40 && site.depth() == left && site.counter("poison") > 0);
    site.check_files(40);
}

fn an_entry_that_the_emulator_itself_refuses_comes_again_and_is_deleted_then(emulator: &Emulator) {
    let mut site = Site::new(emulator, "refused");
    // So that it comes again soon.
    site.proxy.rules().visibility = Some(5);
    site.proxy.fail("DeleteMessageBatch", &[Fault::WrongReceipt]);
    site.work(0..30);
    site.start();
    site.until_done(30, 60);
    assert_eq!((site.proxy.outstanding(), site.proxy.rules().refused_entries), (0, 1));
}
