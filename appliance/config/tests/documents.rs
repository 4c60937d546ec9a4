//! The reference page and the commented example in `docs/` are those of the table of keys.
//!
//! `STAYPUT_WRITE_DOCS=1 cargo test -p stayput-config --test documents` writes them anew.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::path::Path;

fn is_what_the_table_gives(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("STAYPUT_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        text,
        "docs/{name} is stale; run: STAYPUT_WRITE_DOCS=1 cargo test -p stayput-config --test documents"
    );
}

#[test]
fn the_reference_page_is_that_of_the_table() {
    is_what_the_table_gives("config.md", &stayput_config::reference_page());
}

#[test]
fn the_commented_example_is_that_of_the_table() {
    is_what_the_table_gives("stayput.toml.example", &stayput_config::example());
}
