//! Feeds damaged input to the reader of `stayput.toml`.
//!
//! `cargo run --release -p stayput-config --example fuzz_config -- [config] [RUNS | SECONDSs] [SEED]`; see `stayput_damage`.

use std::process::ExitCode;

use stayput_config::{Code, mark_used, read};
use stayput_damage::Target;

const TARGETS: &[Target] = &[Target { name: "config", inputs: files, check: file }];

/// No finding and no `Debug` may show it.
const SECRET: &str = "CanaryCode/Of20Chars";
const PASSWORD: &str = "CanaryPassword";

/// Pieces of such files.
const WORDS: &[&[u8]] = &[
    b"[activation]\n",
    b"[[worker]]\n",
    b"[network]\n",
    b"code = ",
    b"code = \"used:2026-11-20T17:05\"\n",
    b"queue = \"https://sqs.eu-central-1.amazonaws.com/123456789012/orders\"\n",
    b"proxy = \"http://a:b@c:1\"\n",
    b"\\U0010ffff",
    b"\\x41",
    b"1979-05-27T07:32:00Z",
    b"0xffffffffffffffffff",
    b"nan",
    b"a.b.c = 1\n",
    b"{ x = [ { y = '",
];

fn main() -> ExitCode {
    stayput_damage::main(TARGETS, WORDS)
}

fn files() -> Vec<Vec<u8>> {
    let short = format!(
        "version = 1\n[device]\nname = \"box-1\"\n[network]\nproxy = \"http://me:{PASSWORD}@proxy.example.com:3128\"\n\
         [activation]\nid = \"5fea7756-0ea4-451a-a703-a558b933e274\"\ncode = \"{SECRET}\"\nregion = \"eu-central-1\"\n\
         [ecs]\ncluster = \"c\"\n"
    );
    let dos = format!("\u{feff}{}", short.replace('\n', "\r\n"));
    vec![short.into_bytes(), dos.into_bytes(), stayput_config::example().into_bytes()]
}

fn file(input: &[u8]) {
    match read(input, "stayput.toml") {
        Ok(checked) => {
            let shown = format!("{:?}", checked.config);
            assert!(!shown.contains(SECRET) && !shown.contains(PASSWORD), "{shown}");
            // Once used it is marked so, at the same length, and nothing else about it has changed.
            if let Some(marked) = mark_used(input, "2026-11-20T17:05:00Z") {
                assert_eq!(marked.len(), input.len());
                let again =
                    read(&marked, "stayput.toml").unwrap_or_else(|wrong| panic!("marked, and then: {wrong}"));
                assert_eq!(again.config.activation.code, Code::Used);
                assert_eq!(again.config.activation.id, checked.config.activation.id);
            }
        }
        Err(findings) => {
            let said = findings.to_string();
            assert!(said.contains("stayput.toml"), "{said}");
            assert!(!said.contains(SECRET), "{said}");
            // A password alone, which damage has put into another value, looks like any word.
            let text = String::from_utf8_lossy(input);
            let in_its_place =
                text.matches(PASSWORD).count() == text.matches(&format!("://me:{PASSWORD}")).count();
            assert!(!in_its_place || !said.contains(PASSWORD), "{said}");
        }
    }
    let _ = mark_used(input, "2026-11-20T17:05:00Z");
}
