//! A file for each mistake: its name says what is wrong, the text beside it is all that a person reads.
//!
//! `STAYPUT_WRITE_EXPECTED=1 cargo test -p stayput-config --test wrong` writes the texts anew, to be read before they
//! are taken.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::{Path, PathBuf};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_mistake_is_refused_with_exactly_the_words_beside_it() {
    let rewrite = std::env::var_os("STAYPUT_WRITE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for path in fixtures() {
        let Err(findings) = stayput_config::read(&std::fs::read(&path).unwrap(), "stayput.toml") else {
            wrong.push(format!("{} was taken", path.display()));
            continue;
        };
        let said = format!("{findings}\n");
        let beside = path.with_extension("txt");
        if rewrite {
            std::fs::write(&beside, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(fixtures().len() > 80, "the folder is read");
}

#[test]
fn every_finding_has_a_line_something_expected_and_a_remedy() {
    for path in fixtures() {
        let bytes = std::fs::read(&path).unwrap();
        let findings = stayput_config::read(&bytes, "stayput.toml").unwrap_err();
        assert!(findings.first().is_some(), "{}", path.display());
        for finding in &findings {
            assert!(finding.place.line >= 1 && finding.place.column >= 1);
            assert!(!finding.expected.is_empty() && !finding.remedy.is_empty(), "{finding}");
        }
        let lines: Vec<_> =
            findings.iter().map(|finding| (finding.place.line, finding.place.column)).collect();
        assert!(lines.is_sorted(), "{}: {lines:?}", path.display());
    }
}

#[test]
fn no_message_repeats_a_secret_of_its_file() {
    for path in fixtures() {
        let bytes = std::fs::read(&path).unwrap();
        let said = stayput_config::read(&bytes, "stayput.toml").unwrap_err().to_string();
        for secret in ["Kx7Pq2", "Rs9Tu4", "S3cretPass", "w0rd", "Fjz3", "b3BlbnNz", "MIIEvQ", "6f1c2d3e"] {
            assert!(!said.contains(secret), "{} says {secret}:\n{said}", path.display());
        }
    }
}
