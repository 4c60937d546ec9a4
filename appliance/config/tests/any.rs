//! Whatever comes: no panic, no secret in a message, and what the draft writes reads back.
//!
//! `PROPTEST_CASES=1000000` makes it a long run.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use proptest::prelude::*;
use stayput_config::{Draft, Problem, keys, read};

const GOOD: &[(&str, &str)] = &[
    ("version", "1"),
    ("device.name", "box-1"),
    ("activation.region", "eu-central-1"),
    ("activation.id", "6f1c2d3e-4a5b-4c6d-8e7f-9a8b7c6d5e4f"),
    ("activation.code", "Kx7Pq2Rs9Tu4/Vw6Yz8B"),
    ("ecs.cluster", "stayput"),
];

fn good() -> Draft {
    let mut draft = Draft::new();
    for (path, value) in GOOD {
        draft.set_by_path(path, value).unwrap();
    }
    draft
}

/// Everything that a file makes this crate say.
fn said(bytes: &[u8]) -> String {
    match read(bytes, "stayput.toml") {
        Ok(checked) => {
            let desk = stayput_config::Desk { now: 1_795_132_800, not_before: 0, has_zone: Some(&|_| false) };
            let desk: Vec<String> = checked.at_desk(&desk).iter().map(ToString::to_string).collect();
            format!("{checked:?}\n{}", desk.join("\n"))
        }
        Err(findings) => {
            let lines: Vec<String> = findings.iter().map(|finding| finding.line()).collect();
            format!("{findings}\n{findings:?}\n{}", lines.join("\n"))
        }
    }
}

fn code() -> impl Strategy<Value = String> {
    "[A-Z][a-z][0-9][A-Za-z0-9+/]{17,40}"
}

/// Lines as people write them, whole and broken.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = keys::KEYS.iter().map(|key| key.name).collect();
    let examples: Vec<&'static str> = keys::KEYS.iter().map(|key| key.example).collect();
    let sections: Vec<&'static str> = keys::SECTIONS.iter().map(|section| section.name).collect();
    prop_oneof![
        (proptest::sample::select(names), proptest::sample::select(examples))
            .prop_map(|(name, value)| format!("{name} = {value}")),
        proptest::sample::select(sections.clone()).prop_map(|name| format!("[{name}]")),
        proptest::sample::select(sections).prop_map(|name| format!("[[{name}]]")),
        "[a-z_]{1,8} ?[=:]? ?[\"'\\[{]{0,3}[a-z0-9/\\\\. ]{0,10}[\"'\\]}]{0,3}",
        "\\PC{0,30}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        said(&bytes);
        stayput_config::mark_used(&bytes, "2026-11-20T17:05:00Z");
    }

    #[test]
    fn no_lines_make_it_panic(lines in proptest::collection::vec(line(), 0..40)) {
        let text = lines.join("\n");
        said(text.as_bytes());
        stayput_config::mark_used(text.as_bytes(), "2026-11-20T17:05:00Z");
    }

    #[test]
    fn a_file_cut_or_damaged_anywhere_is_read_or_refused_in_words(at in 0usize..4000, byte: u8, cut: bool) {
        let mut bytes = stayput_config::example().into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        said(&bytes);
    }

    #[test]
    fn a_code_is_in_no_message_and_no_debug_wherever_it_was_put(
        code in code(), key in proptest::sample::select(keys::KEYS.to_vec()), other in any::<bool>()
    ) {
        let mut draft = good();
        draft.set(&keys::ACTIVATION_CODE, &code);
        if other {
            draft.set(key, &code);
        }
        let said = said(draft.render().as_bytes());
        prop_assert!(!said.contains(&code), "{said}");
    }

    #[test]
    fn a_code_that_only_stands_in_the_wrong_place_is_not_repeated(
        code in code(), key in proptest::sample::select(keys::KEYS.to_vec())
    ) {
        let mut draft = good();
        draft.set(key, &code);
        // Where it is a good value, as for a cluster's name, nobody can know better.
        if let Err(findings) = read(draft.render().as_bytes(), "stayput.toml") {
            prop_assert!(!findings.to_string().contains(&code), "{findings}");
        }
    }

    #[test]
    fn a_code_is_not_repeated_from_a_line_that_breaks_the_grammar(
        code in code(),
        before in proptest::sample::select(vec!["code = ", "code = \"", "code: ", "code ", "", "Code=\"", "[activation", "= ", "code = [", "code = \"\"\"", "code = “", "x = {", "code = '\\"]),
        after in proptest::sample::select(vec!["", "\"", "]", "”", "\\", "\"\"", " \"", "}", "'"]),
    ) {
        let text = format!("version = 1\n[activation]\nregion = \"eu-central-1\"\n{before}{code}{after}\n[ecs]\n");
        let said = said(text.as_bytes());
        prop_assert!(!said.contains(&code), "{said}");
    }

    #[test]
    fn a_proxys_password_is_in_no_message_and_no_debug(
        password in "[a-z]{3}[A-Z0-9!$&*+,;=._~-]{6,20}", host in "[a-z]{1,8}(_?[.][a-z]{1,8}){0,2}", port in proptest::option::of(0u32..70_000)
    ) {
        let mut draft = good();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        draft.set(&keys::NETWORK_PROXY, &format!("http://box:{password}@{host}{port}"));
        let said = said(draft.render().as_bytes());
        prop_assert!(!said.contains(&password), "{said}");
    }

    #[test]
    fn what_the_draft_writes_reads_back_as_it_was_said(
        name in "[a-z][a-z0-9-]{0,40}[a-z0-9]", code in code(), suffix in "[ -.0-~]{0,20}",
        attribute in "[a-z]{1,10}", value in "[A-Za-z0-9@:/_.-]{1,20}", minute in 0u32..1440, mdns: bool,
    ) {
        let suffix = suffix.trim().to_owned();
        let mut draft = good();
        let expires = format!("2026-12-24T{:02}:{:02}:00Z", minute / 60, minute % 60);
        draft.set(&keys::DEVICE_NAME, &name);
        draft.set(&keys::ACTIVATION_CODE, &code);
        draft.set(&keys::ACTIVATION_EXPIRES, &expires);
        draft.set(&keys::WORKER_SUFFIX, &suffix);
        draft.set(&keys::ECS_ATTRIBUTES, &format!("{attribute}={value}"));
        draft.set(&keys::NETWORK_MDNS, &mdns.to_string());
        let config = read(draft.render().as_bytes(), "stayput.toml").map_err(|f| TestCaseError::fail(f.to_string()))?.config;
        prop_assert_eq!(config.device.name.as_str(), &name);
        prop_assert!(matches!(&config.activation.code, stayput_config::Code::Unused(read) if read.expose() == code));
        prop_assert_eq!(config.activation.expires, Some(expires.parse().unwrap()));
        prop_assert_eq!(config.worker.suffix.as_str(), &suffix);
        prop_assert_eq!(config.network.mdns, mdns);
        let (read_name, read_value) = config.ecs.attributes.iter().next().unwrap();
        prop_assert_eq!((read_name.as_str(), read_value.as_str()), (&attribute[..], &value[..]));
    }

    #[test]
    fn any_text_for_any_key_is_a_value_or_an_error_at_that_key(
        key in proptest::sample::select(keys::KEYS.to_vec()), text in "\\PC{0,30}|[ -~\\n\\t]{0,30}"
    ) {
        let mut draft = good();
        draft.set(key, &text);
        if let Err(findings) = read(draft.render().as_bytes(), "stayput.toml") {
            for finding in &findings {
                prop_assert!(!matches!(finding.problem, Problem::Syntax { .. } | Problem::UnknownKey { .. }), "{finding}");
            }
        }
    }
}
