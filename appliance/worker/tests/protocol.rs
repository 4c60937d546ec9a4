//! The language between courier and mover: what is sent arrives, and whatever else arrives is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use stayput_worker::checksum::{Algorithm, Checksum};
use stayput_worker::protocol::{
    Answer, BATCH, Inbound, LONGEST, LONGEST_VERSION, Refusal, Request, VERSION, version,
};
use stayput_worker::{Counters, Naming, Order, OrderKey, Outcome};

fn keys() -> impl Strategy<Value = OrderKey> {
    prop::collection::vec(any::<u8>(), 1..=OrderKey::LONGEST).prop_map(|key| OrderKey::new(&key).unwrap())
}

fn orders() -> impl Strategy<Value = Order> {
    (keys(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..=Order::LONGEST_NAME)).prop_map(
        |(key, plain, name)| Order {
            key,
            naming: if plain { Naming::Unchanged } else { Naming::Suffixed },
            name,
        },
    )
}

fn inbounds() -> impl Strategy<Value = Inbound> {
    let checksums = prop::option::of(prop::sample::select(&Algorithm::ALL[..])).prop_flat_map(|algorithm| {
        let length = algorithm.map_or(0, Algorithm::length);
        prop::collection::vec(any::<u8>(), length)
            .prop_map(move |digest| algorithm.map(|algorithm| Checksum::new(algorithm, &digest).unwrap()))
    });
    let versions = prop::collection::vec(any::<u8>(), 0..=LONGEST_VERSION);
    (any::<u32>(), orders(), any::<u64>(), checksums, versions).prop_map(
        |(transfer, order, length, checksum, version)| Inbound { transfer, order, length, checksum, version },
    )
}

fn requests() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Hello),
        Just(Request::Count),
        (any::<u32>(), prop::collection::vec(orders(), 1..=BATCH))
            .prop_map(|(batch, orders)| Request::Move { batch, orders }),
        prop::collection::vec(keys(), 1..=BATCH).prop_map(Request::Deleted),
        Just(Request::Ready),
        inbounds().prop_map(Request::Inbound),
        any::<u32>().prop_map(|transfer| Request::Complete { transfer }),
        any::<u32>().prop_map(|transfer| Request::Abort { transfer }),
    ]
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        any::<u16>().prop_map(|batch| Answer::Welcome { batch }),
        (any::<u32>(), prop::collection::vec(prop::sample::select(Outcome::ALL), 1..=BATCH))
            .prop_map(|(batch, outcomes)| Answer::Moved { batch, outcomes }),
        prop::collection::vec(prop::sample::select(Outcome::ALL), 0..50).prop_map(|outcomes| {
            let mut counters = Counters::default();
            outcomes.into_iter().for_each(|outcome| counters.add(outcome));
            Answer::Counted(counters)
        }),
        prop::option::of(prop::sample::select(Outcome::ALL)).prop_map(|obstacle| Answer::Ready { obstacle }),
        any::<u32>().prop_map(|transfer| Answer::Open { transfer }),
        (any::<u32>(), prop::sample::select(Outcome::ALL))
            .prop_map(|(transfer, outcome)| Answer::Ended { transfer, outcome }),
        prop::sample::select(&[Refusal::Version, Refusal::Kind, Refusal::Turn][..]).prop_map(Answer::Refused),
    ]
}

fn order(name: &[u8]) -> Order {
    Order { key: OrderKey::new(b"k").unwrap(), naming: Naming::Suffixed, name: name.to_vec() }
}

#[test]
fn the_largest_request_fits_a_message() {
    let order = Order {
        key: OrderKey::new(&[7; OrderKey::LONGEST]).unwrap(),
        naming: Naming::Suffixed,
        name: vec![0xff; Order::LONGEST_NAME],
    };
    let request = Request::Move { batch: u32::MAX, orders: vec![order; BATCH] };
    let bytes = request.encode().unwrap();
    assert!(bytes.len() <= LONGEST);
    assert_eq!(Request::decode(&bytes), Ok(request));
}

#[test]
fn a_message_of_another_version_is_refused_whatever_else_is_in_it() {
    for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
        assert_eq!(Request::decode(&[version]), Err(Refusal::Version));
        assert_eq!(Answer::decode(&[version, 1, 0, 0]), Err(Refusal::Version));
    }
}

/// A request to take a file in, spelled by hand.
fn inbound_with(algorithm: u8, digest: &[u8], version: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 1, b'k', 1, 0, b'n'];
    body.extend_from_slice(&5u64.to_le_bytes());
    body.extend_from_slice(&[algorithm, u8::try_from(digest.len()).unwrap()]);
    body.extend_from_slice(digest);
    body.push(u8::try_from(version.len()).unwrap());
    body.extend_from_slice(version);
    [&[VERSION, 16, u8::try_from(body.len()).unwrap(), 0][..], &body].concat()
}

#[test]
fn hostile_messages_are_refused_each_for_its_reason() {
    let mut longer = Request::Hello.encode().unwrap();
    longer.push(0);
    let oversize = [&[VERSION, 2, 0xff, 0xff][..], &vec![0; 0xffff]].concat();
    let table: &[(&str, &[u8], Refusal)] = &[
        ("nothing", &[], Refusal::Truncated),
        ("a header cut off", &[VERSION, 1, 0], Refusal::Truncated),
        ("a body shorter than its length", &[VERSION, 2, 9, 0, 1], Refusal::Truncated),
        ("a body longer than its length", &longer, Refusal::Oversize),
        ("more than any message", &oversize, Refusal::Oversize),
        ("hello with a body", &[VERSION, 1, 1, 0, 0], Refusal::Oversize),
        ("a kind that nobody has", &[VERSION, 19, 0, 0], Refusal::Kind),
        ("an answer as a request", &[VERSION, 129, 2, 0, 1, 0], Refusal::Kind),
        ("no orders", &[VERSION, 2, 5, 0, 0, 0, 0, 0, 0], Refusal::Value),
        ("33 orders", &[VERSION, 2, 5, 0, 0, 0, 0, 0, 33], Refusal::Value),
        ("an order that is not there", &[VERSION, 2, 5, 0, 0, 0, 0, 0, 1], Refusal::Truncated),
        ("an unknown naming", &[VERSION, 2, 10, 0, 0, 0, 0, 0, 1, 9, 1, b'k', 0, 0], Refusal::Value),
        ("an empty key", &[VERSION, 3, 2, 0, 1, 0], Refusal::Value),
        ("a key cut off", &[VERSION, 3, 3, 0, 1, 2, b'k'], Refusal::Truncated),
        ("a checksum without its algorithm", &inbound_with(0, &[9; 4], &[]), Refusal::Value),
        ("a checksum of another length", &inbound_with(1, &[9; 5], &[]), Refusal::Value),
        ("an unknown algorithm", &inbound_with(9, &[9; 4], &[]), Refusal::Value),
        ("a version that is too long", &inbound_with(0, &[], &[9; 129]), Refusal::Value),
        ("a name cut off", &[VERSION, 2, 11, 0, 0, 0, 0, 0, 1, 0, 1, b'k', 9, 0, b'n'], Refusal::Truncated),
    ];
    for (what, bytes, refusal) in table {
        assert_eq!(Request::decode(bytes), Err(*refusal), "{what}");
    }
}

#[test]
fn what_would_not_be_understood_is_not_sent() {
    let none = Request::Move { batch: 1, orders: vec![] };
    assert_eq!(none.encode(), Err(Refusal::Value));
    let many = Request::Move { batch: 1, orders: vec![order(b"a"); BATCH + 1] };
    assert_eq!(many.encode(), Err(Refusal::Oversize));
    let long = Request::Move { batch: 1, orders: vec![order(&[b'x'; Order::LONGEST_NAME + 1])] };
    assert_eq!(long.encode(), Err(Refusal::Oversize));
}

#[test]
fn an_answer_holds_one_byte_per_order_and_nothing_of_its_name() {
    let answer = Answer::Moved { batch: 5, outcomes: vec![Outcome::Done, Outcome::Conflict] };
    assert_eq!(answer.encode().unwrap(), [VERSION, 130, 7, 0, 5, 0, 0, 0, 2, 1, 6]);
}

#[test]
fn an_outcome_that_is_not_in_the_list_is_refused() {
    assert_eq!(Answer::decode(&[VERSION, 130, 6, 0, 0, 0, 0, 0, 1, 0]), Err(Refusal::Value));
    assert_eq!(Answer::decode(&[VERSION, 130, 6, 0, 0, 0, 0, 0, 1, 200]), Err(Refusal::Value));
    assert_eq!(Answer::decode(&[VERSION, 255, 1, 0, 0]), Err(Refusal::Value));
}

#[test]
fn debug_text_of_a_request_shows_neither_name_nor_key() {
    let mut secret = order(b"erika-muster.pdf");
    secret.key = OrderKey::new(b"order-of-erika").unwrap();
    let text = format!("{:?}", Request::Move { batch: 1, orders: vec![secret] });
    assert!(!text.contains("erika") && !text.contains("101, 114, 105"), "{text}");
}

proptest! {
    #[test]
    fn a_request_arrives_as_it_was_sent(request in requests()) {
        let bytes = request.encode().unwrap();
        prop_assert!(bytes.len() <= LONGEST);
        prop_assert_eq!(Request::decode(&bytes), Ok(request));
    }

    #[test]
    fn an_answer_arrives_as_it_was_sent(answer in answers()) {
        prop_assert_eq!(Answer::decode(&answer.encode().unwrap()), Ok(answer));
    }

    #[test]
    fn a_request_cut_anywhere_is_refused(request in requests(), at in any::<prop::sample::Index>()) {
        let bytes = request.encode().unwrap();
        prop_assert!(Request::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn what_is_understood_has_only_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 1..20u8) {
        let length = u16::try_from(bytes.len()).unwrap().to_le_bytes();
        let bytes = [&[VERSION, kind, length[0], length[1]][..], &bytes].concat();
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(request.encode().unwrap(), bytes);
        }
    }
}

#[test]
fn a_version_that_is_too_long_for_the_record_says_that_it_was_cut() {
    let longest = "v".repeat(LONGEST_VERSION);
    assert_eq!(version(&longest), longest.as_bytes());
    let cut = version(&format!("{longest}w"));
    assert_eq!(cut, format!("{}...", &longest[3..]).as_bytes());
}
