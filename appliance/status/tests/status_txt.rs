//! `STATUS.txt`: readable in Notepad, the same every time, never longer than its file, and no place for a secret.

use proptest::prelude::*;
use stayput_health::{Code, Moment, Part, State};
use stayput_status::{
    Fact, Facts, Finding, LONGEST, STATUS_JSON, Step, Verdict, row, status_json, status_txt,
};

const NOW: Moment = Moment { unix: 1_795_190_136, boot_ms: 3_725_000 };

fn finding(code: Code, part: Option<Part>) -> Finding {
    let detail = row(code).detail().map(|_| "9999999+".to_owned());
    Finding { code, part, since: Moment { unix: 1_795_190_000, boot_ms: 65_000 }, detail }
}

/// Every part has spoken, long after power-on.
fn steps() -> Vec<Step> {
    let since = |second: usize| Moment { unix: 1_795_190_000, boot_ms: 359_990_000 + 1000 * second as u64 };
    let step = |(second, part): (usize, &Part)| Step {
        part: *part,
        state: State::Degraded,
        code: Code::Running,
        since: since(second),
    };
    Part::ALL.iter().enumerate().map(step).collect()
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    for (fact, value) in [
        (Fact::LedgerHead, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
        (Fact::Name, "box-17"),
        (Fact::Version, "0.1.0"),
        (Fact::Slot, "A"),
        (Fact::Addresses, "192.168.1.20, fe80::1"),
        (Fact::Instance, "mi-0123456789abcdef0"),
    ] {
        facts.set(fact, value).expect("these follow their rules");
    }
    facts
}

#[test]
fn the_text_of_a_box_without_a_cable() {
    let others = vec![finding(Code::DiskFilling, Some(Part::Mover))];
    let verdict = Verdict { state: finding(Code::NoLink, Some(Part::Network)), others };
    let step = |part, state, code, boot_ms| Step { part, state, code, since: Moment { unix: 0, boot_ms } };
    let steps = [
        step(Part::Setup, State::Done, Code::Running, 4_700),
        step(Part::Network, State::Failed, Code::NoLink, 65_000),
    ];
    let expected = include_str!("status_txt/no_cable_and_disk_filling.txt");
    // Git may have changed the line ends of the fixture; those of the text are another test's matter.
    let plain = |text: &str| text.replace("\r\n", "\n");
    assert_eq!(plain(&status_txt(&verdict, &steps, &facts(), NOW)), plain(expected));
    let expected = include_str!("status_txt/no_cable_and_disk_filling.json");
    assert_eq!(plain(&status_json(&verdict, &steps, &facts(), NOW)), plain(expected));
}

#[test]
fn every_line_of_every_state_ends_as_notepad_wants_it_and_fits_a_small_window() {
    for code in Code::ALL {
        let verdict = Verdict { state: finding(*code, Some(Part::Courier)), others: Vec::new() };
        let text = status_txt(&verdict, &steps(), &facts(), NOW);
        assert!(text.ends_with("\r\n") && text.is_ascii(), "{code}");
        for line in text.split_terminator("\r\n") {
            assert!(line.len() <= 72 && !line.contains(['\r', '\n', '\t']), "{code}: {line:?}");
            assert_eq!(line.trim_end(), line, "{code}");
        }
        let one_line = text.replace("\r\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [row(*code).remedy()[0], row(*code).remedy()[1], code.as_str(), row(*code).verdict()] {
            assert!(one_line.contains(words), "{code}: {words}");
        }
    }
}

#[test]
fn a_box_with_everything_wrong_at_once_still_fits_its_file() {
    let mut facts = facts();
    let longest = ["2001:db8:1111:2222:3333:4444:5555:6666"; 4].join(", ");
    facts.set(Fact::Addresses, &longest).unwrap();
    facts.set(Fact::Name, &"n".repeat(64)).unwrap();
    for fact in [Fact::Processed, Fact::Waiting, Fact::Parked, Fact::LedgerLength] {
        facts.set(fact, &u64::MAX.to_string()).unwrap();
    }
    // The eight that need the most words, whatever they are called.
    let mut codes = Code::ALL.to_vec();
    codes.sort_by_key(|code| {
        let row = row(*code);
        std::cmp::Reverse(row.sentence(Some("9999999+")).len() + row.remedy().concat().len())
    });
    let mut others: Vec<_> = codes.into_iter().map(|code| finding(code, Some(Part::Identity))).collect();
    let state = others.remove(0);
    facts.set(Fact::Code, "overwritten").unwrap();
    let (verdict, latest) = (Verdict { state, others }, Moment { unix: i64::MAX, boot_ms: u64::MAX });
    let json = status_json(&verdict, &steps(), &facts, latest);
    assert!(json.len() <= STATUS_JSON.size && json.is_ascii(), "{} bytes", json.len());
    let text = status_txt(&verdict, &steps(), &facts, latest);
    assert!(text.len() <= LONGEST, "{} bytes", text.len());
    assert!(text.contains("more."), "what is left out is counted");
}

#[test]
fn what_could_be_a_secret_is_refused_and_not_repeated() {
    let mut facts = Facts::default();
    for (fact, value) in [
        (Fact::Name, "Fake7ActivationCode9x"),
        (Fact::Name, "name with spaces"),
        (Fact::Name, ""),
        (Fact::Name, "two\r\nlines"),
        (Fact::Version, "1.0 Secret"),
        (Fact::Slot, "C"),
        (Fact::Region, "eu_central_1"),
        (Fact::Addresses, "192.168.1.20; secret"),
        (Fact::Addresses, "1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4, 5.5.5.5"),
        (Fact::Instance, "mi-0123"),
        (Fact::Instance, "i-0123456789abcdef0"),
        (Fact::Processed, "-1"),
        (Fact::Board, "NanoPi (secret)"),
        (Fact::LedgerHead, "abc"),
        (Fact::Code, "EXAMPLE/CodeOf20Char"),
    ] {
        let message = facts.set(fact, value).unwrap_err().to_string();
        assert!(message.contains(fact.title()), "{message}");
        assert!(value.len() < 4 || !message.contains(value), "{message}");
    }
    assert_eq!(facts, Facts::default());
}

#[test]
fn whoever_reads_of_an_overwritten_code_reads_what_that_cannot_promise() {
    let mut facts = facts();
    facts.set(Fact::Code, "overwritten").unwrap();
    let verdict = Verdict { state: finding(Code::Running, None), others: Vec::new() };
    let text = status_txt(&verdict, &[], &facts, NOW).replace("\r\n", " ");
    assert!(
        text.contains("its activation is used up") && text.contains("backup file may keep copies"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn any_time_and_any_states_give_ascii_lines_within_the_file(
        unix in any::<i64>(), boot_ms in any::<u64>(),
        codes in proptest::collection::vec(proptest::sample::select(Code::ALL), 1..40),
    ) {
        let mut all: Vec<_> = codes.into_iter().map(|code| finding(code, None)).collect();
        let state = all.remove(0);
        let verdict = Verdict { state, others: all };
        let text = status_txt(&verdict, &steps(), &facts(), Moment { unix, boot_ms });
        prop_assert!(text.len() <= LONGEST && text.is_ascii());
        prop_assert!(text.split_terminator("\r\n").all(|line| line.len() <= 72));
        prop_assert_eq!(&text, &status_txt(&verdict, &steps(), &facts(), Moment { unix, boot_ms }));
    }
}
