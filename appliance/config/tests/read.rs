//! What a good file gives, however it was saved.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use stayput_config::{
    Addressing, Checked, Code, Config, Desk, Draft, Runtime, Server, Severity, example, keys, read, refuses,
};

fn good(text: impl AsRef<[u8]>) -> Checked {
    match read(text.as_ref(), "stayput.toml") {
        Ok(checked) => checked,
        Err(findings) => panic!("{findings}"),
    }
}

fn without_place(config: &Config) -> String {
    format!("{config:?}")
}

#[test]
fn the_example_is_read_without_a_word() {
    let checked = good(example());
    assert_eq!(checked.warnings, []);
    let config = checked.config;
    assert_eq!(config.device.name.as_str(), "stayput-1");
    assert_eq!(config.activation.region.as_str(), "eu-central-1");
    assert_eq!(config.network.addressing, Addressing::Dhcp);
    assert_eq!(config.worker.runtime, Runtime::Ecs);
    assert_eq!(config.worker.suffix.as_str(), "_has_been_processed");
    assert_eq!(config.worker.subfolders.word(), "refuse");
    assert_eq!(config.status.brightness, 100);
    assert!(config.access.is_empty() && !config.drop.is_open());
}

/// The example with the # taken away before every setting.
fn everything() -> String {
    let lines = example();
    let lines = lines.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') && !setting.is_empty() => setting,
        _ => line,
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn every_setting_of_the_example_can_be_used_and_is_read() {
    let config = good(everything()).config;
    let plain = good(example()).config;
    assert_eq!(config.device.time_zone.as_ref().unwrap().as_str(), "Europe/Berlin");
    assert!(matches!(&config.device.ntp[..], [Server::Name(name)] if name.as_str() == "ntp.example.com"));
    let Addressing::Static { address, gateway } = config.network.addressing else { panic!("static") };
    assert_eq!((address.to_string(), gateway.to_string()), ("192.168.1.20/24".into(), "192.168.1.1".into()));
    assert!(config.network.mdns && config.network.proxy.is_some());
    assert_eq!((config.network.no_proxy.len(), config.network.ca.len(), config.network.dns.len()), (2, 1, 1));
    assert!(config.activation.expires.is_some());
    assert_eq!(config.ecs.attributes.len(), 1);
    assert_eq!(config.worker.runtime, Runtime::Host);
    assert_eq!(config.worker.queue.as_ref().unwrap().name(), "orders");
    assert_eq!(config.worker.s3[0].prefix.as_str(), "berlin/");
    assert!(config.drop.is_open() && config.drop.collect_keys.len() == 1 && config.drop.from.len() == 1);
    let endpoints = &config.endpoints;
    assert!(
        [&endpoints.ssm, &endpoints.sqs, &endpoints.s3, &endpoints.ecs, &endpoints.logs]
            .iter()
            .all(|e| e.is_some())
    );
    assert!(endpoints.plain_http);
    assert_eq!((config.status.brightness, config.status.leds.len(), config.access.len()), (60, 1, 1));
    assert!(config.status.leds[0].active_low && config.status.leds[0].open_drain);
    assert_ne!(config, plain);
}

#[test]
fn what_editors_do_to_a_file_changes_nothing() {
    let plain = good(everything());
    let windows = everything().replace('\n', "\r\n");
    for text in [
        windows.clone(),
        format!("\u{feff}{windows}"),
        everything().replace('\n', "  \t\n"),
        everything().replace(" = ", "\t=\t"),
        everything().trim_end().to_owned(),
    ] {
        assert_eq!(without_place(&good(text).config), without_place(&plain.config));
    }
}

#[test]
fn a_file_above_the_limit_is_refused_by_its_length() {
    let huge = format!("{}# {}\n", example(), "x".repeat(stayput_config::LONGEST));
    let said = read(huge.as_bytes(), "stayput.toml").unwrap_err().to_string();
    assert!(said.contains("more than the 262144 allowed"), "{said}");
}

#[test]
fn many_mistakes_are_counted_and_not_all_printed() {
    for (mistakes, words) in [(100, "... and 78 more; mend these first"), (10_000, "... and many more")] {
        let text: String = (0..mistakes).map(|n| format!("zzzzz{n} = 1\n")).collect();
        let findings = read(text.as_bytes(), "stayput.toml").unwrap_err();
        assert!(findings.to_string().lines().count() < 100);
        assert!(findings.to_string().contains(words), "{findings}");
    }
}

#[test]
fn hostile_files_of_the_full_length_are_refused_in_seconds() {
    let most = stayput_config::LONGEST - 1;
    for unit in [
        "a=\n",
        "[",
        "[a",
        "[[a]]\n",
        "{a=",
        "a=[",
        "a.",
        "a=1\n",
        "\"\"\"",
        "'",
        "\n=",
        "[a]\n",
        "a={a=1},\n",
        "\"\\u",
    ] {
        let text = unit.repeat(most / unit.len());
        for text in [text.clone(), format!("version = 1\nx = {text}"), format!("{text} = 1")] {
            let before = std::time::Instant::now();
            let bytes = &text.as_bytes()[..text.len().min(most)];
            assert!(read(bytes, "stayput.toml").is_err(), "{unit:?}");
            assert_eq!(stayput_config::mark_used(bytes, "now"), None);
            assert!(before.elapsed().as_secs() < 20, "{unit:?} took {:?}", before.elapsed());
        }
    }
}

#[test]
fn the_mark_of_a_used_code_is_read_as_such() {
    let marked = stayput_config::mark_used(example().as_bytes(), "2026-11-20T17:05:00Z").unwrap();
    assert_eq!(marked.len(), example().len());
    assert_eq!(good(marked).config.activation.code, Code::Used);
    let mut draft = full();
    draft.set(&keys::ACTIVATION_CODE, "used");
    assert_eq!(good(draft.render()).config.activation.code, Code::Used);
}

fn full() -> Draft {
    let mut draft = Draft::new();
    for (path, value) in [
        ("version", "1"),
        ("device.name", "box-1"),
        ("activation.region", "eu-central-1"),
        ("activation.id", "6f1c2d3e-4a5b-4c6d-8e7f-9a8b7c6d5e4f"),
        ("activation.code", "Kx7Pq2Rs9Tu4/Vw6Yz8B"),
        ("activation.expires", "2026-12-10"),
        ("ecs.cluster", "stayput"),
    ] {
        draft.set_by_path(path, value).unwrap();
    }
    draft
}

const DAY: i64 = 86_400;
/// 2026-12-10
const END: i64 = 1_796_860_800;

fn at_desk(draft: &Draft, now: i64) -> (bool, String) {
    let zone = |zone: &str| zone == "Europe/Berlin";
    let desk = Desk { now, not_before: END - 60 * DAY, has_zone: Some(&zone) };
    let findings = good(draft.render()).at_desk(&desk);
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    (refuses(&findings), lines.join("\n"))
}

#[test]
fn a_desk_with_the_right_time_judges_the_activations_end() {
    for (now, refused, words) in [
        (END - 10 * DAY, false, ""),
        (END - 2 * DAY, false, "ends in 2 days"),
        (END - 3600, false, "ends in 1 hours"),
        (END + 3600, false, "ends today"),
        (END + DAY, true, "ended on 2026-12-10; today is 2026-12-11"),
        (END - 40 * DAY, false, "said to end in 40 days"),
        (0, false, "clock says 1970-01-01"),
    ] {
        let (is_refused, said) = at_desk(&full(), now);
        assert_eq!(is_refused, refused, "{now}: {said}");
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{now}: {said}");
    }
}

#[test]
fn a_desk_tells_the_example_an_unknown_region_and_an_unknown_zone() {
    let mut draft = full();
    draft.set(&keys::ACTIVATION_ID, "01234567-89ab-cdef-0123-456789abcdef");
    draft.set(&keys::DEVICE_TIME_ZONE, "Europe/Atlantis");
    draft.set(&keys::ACTIVATION_REGION, "eu-central-9");
    let (refused, said) = at_desk(&draft, END - 10 * DAY);
    assert!(refused);
    for words in
        ["still the example's", "no time zone \"Europe/Atlantis\"", "no region that this program knows"]
    {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_used_code_is_not_asked_for_its_end() {
    let mut draft = full();
    draft.set(&keys::ACTIVATION_CODE, "used");
    let (refused, said) = at_desk(&draft, END + 100 * DAY);
    assert!(!refused && said.contains("this activation was used") && !said.contains("ended"), "{said}");
}

#[test]
fn warnings_leave_the_file_good() {
    let mut draft = full();
    for (path, value) in [
        ("network.proxy", "http://box:S3cretPass@proxy:3128"),
        ("drop.from", "0.0.0.0/0"),
        ("endpoints.plain_http", "true"),
        ("endpoints.ecs", "https://ecs.example.com:8443"),
        ("access.keys", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEBBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5f"),
    ] {
        draft.set_by_path(path, value).unwrap();
    }
    let checked = good(draft.render());
    assert!(checked.warnings.iter().all(|finding| finding.severity == Severity::Warning));
    let said: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    for words in [
        "not reached through a proxy",
        "stays on the card",
        "no domain",
        "no key: there is no door",
        "without encryption",
        "port 8443",
        "nobody can log in",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("S3cret"), "{said}");
}

#[test]
fn a_queue_names_its_region_in_each_of_the_services_own_forms() {
    for (url, region) in [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", Some("eu-west-1")),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/q.fifo", Some("eu-west-1")),
        ("https://vpce-0a1b.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q", Some("eu-west-1")),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", Some("cn-north-1")),
        ("https://queue.example.com/123456789012/q", None),
        ("https://10.0.0.7:4566/000000000000/q", None),
    ] {
        let queue: stayput_config::QueueUrl = url.parse().unwrap();
        assert_eq!(queue.region().as_ref().map(|region| region.as_str()), region, "{url}");
        assert_eq!(queue.to_string(), url);
    }
}
