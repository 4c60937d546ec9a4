//! The tables in `docs/worker.md` are those of the program.
//!
//! `STAYPUT_WRITE_DOCS=1 cargo test -p stayput-worker --test documents` writes them anew.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::Path;

use stayput_worker::{Disposition, Outcome, variables};

/// What the page says between the marks of that name.
fn holds(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/worker.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("STAYPUT_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(
        found, table,
        "docs/worker.md is stale; run: STAYPUT_WRITE_DOCS=1 cargo test -p stayput-worker --test documents -- --test-threads 1"
    );
}

#[test]
fn the_manual_lists_every_variable() {
    holds("variables", &variables::manual());
}

#[test]
fn the_manual_lists_every_outcome() {
    let mut table = String::from("| outcome | number | meaning | the message |\n|---|---|---|---|\n");
    for outcome in Outcome::ALL {
        let message = match outcome.disposition() {
            Disposition::Delete => "delete",
            Disposition::Later => "stays, and is delayed",
            Disposition::Leave => "stays, for the dead-letter queue",
            Disposition::Pause => "stays, and nothing more is received",
        };
        table +=
            &format!("| `{}` | {} | {} | {message} |\n", outcome.word(), outcome.number(), outcome.meaning());
    }
    holds("outcomes", &table);
}
