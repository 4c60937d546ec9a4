//! The manual: `docs/states.md` and its pictures are what the table says now.
//!
//! `STAYPUT_WRITE_DOCS=1 cargo test -p stayput-status --test manual` writes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use stayput_health::Code;
use stayput_status::{manual, row};

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_manual_of_states_is_not_stale() {
    let (docs, files) = (docs(), manual::files());
    if std::env::var_os("STAYPUT_WRITE_DOCS").is_some() {
        let _ = fs::remove_dir_all(docs.join("states"));
        fs::create_dir_all(docs.join("states")).unwrap();
        for (path, text) in &files {
            fs::write(docs.join(path), text).unwrap();
        }
    }
    let remedy = "write it anew with: STAYPUT_WRITE_DOCS=1 cargo test -p stayput-status --test manual";
    for (path, text) in &files {
        let found = fs::read_to_string(docs.join(path)).unwrap_or_default();
        assert!(found == *text, "docs/{path} is not what the table says; {remedy}");
    }
    let there: BTreeSet<_> = fs::read_dir(docs.join("states"))
        .unwrap()
        .map(|entry| format!("states/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    let left_over: Vec<_> = there.iter().filter(|path| !files.contains_key(*path)).collect();
    assert!(left_over.is_empty(), "no state has these pictures any more: {left_over:?}; {remedy}");
}

#[test]
fn the_readmes_lights_and_troubles_are_the_tables() {
    for (name, table) in [("lights", manual::first_day()), ("trouble", manual::troubles())] {
        let path = docs().join("../README.md");
        let page = fs::read_to_string(&path).unwrap();
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
        let (before, rest) = page.split_once(&begin).unwrap();
        let (found, after) = rest.split_once(&end).unwrap();
        if std::env::var_os("STAYPUT_WRITE_DOCS").is_some() {
            fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        } else {
            let remedy =
                "write it anew with: STAYPUT_WRITE_DOCS=1 cargo test -p stayput-status --test manual";
            assert_eq!(found, table, "the README's {name} are not the table's; {remedy}");
        }
    }
}

#[test]
fn every_code_that_a_page_names_is_a_states() {
    let known: BTreeSet<_> = Code::ALL.iter().map(ToString::to_string).collect();
    let groups: BTreeSet<_> = known.iter().map(|code| &code[..3]).collect();
    let pages = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let mut seen = 0;
    for path in pages.chain([docs().join("../README.md")]) {
        let page = fs::read_to_string(&path).unwrap();
        for word in page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            let is_code = |(group, number): (&str, &str)| {
                groups.contains(group)
                    && number.len() == 2
                    && number.bytes().all(|byte| byte.is_ascii_digit())
            };
            if word.split_once('-').is_some_and(is_code) {
                seen += 1;
                assert!(known.contains(word), "{} names {word}, which no state has", path.display());
            }
        }
    }
    assert!(seen > 200, "only {seen} codes were found: are the pages where they were?");
}

#[test]
fn every_state_stands_in_the_manual_with_its_picture_words_and_remedy() {
    let files = manual::files();
    let page = &files["states.md"];
    for code in Code::ALL {
        let row = row(*code);
        assert_eq!(page.matches(&format!("\n### {code} {}\n", row.verdict())).count(), 1, "{code}");
        assert!(page.contains(&format!("](states/{code}.svg)")), "{code}");
        for words in [row.remedy()[0], row.remedy()[1], row.verdict()] {
            assert!(page.contains(words), "{code}: {words}");
        }
    }
}

#[test]
fn every_link_inside_the_manual_leads_to_a_heading() {
    let files = manual::files();
    let page = &files["states.md"];
    let plain = |heading: &str| {
        let lower = heading.trim_start_matches(['#', ' ']).to_lowercase();
        let kept = lower.chars().filter(|c| c.is_alphanumeric() || " -".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    let anchors: BTreeSet<_> = page.lines().filter(|line| line.starts_with('#')).map(plain).collect();
    let links: Vec<_> = page.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() >= 3);
    for link in links {
        assert!(anchors.contains(link), "#{link}");
    }
}

#[test]
fn a_picture_is_well_formed_and_small() {
    for (path, text) in manual::files().iter().filter(|(path, _)| path.ends_with(".svg")) {
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{path}");
        assert!(text.len() < 8 * 1024, "{path} has {} bytes", text.len());
        for tag in ["text", "circle", "animate", "path", "rect", "style", "title", "svg"] {
            let opened =
                text.matches(&format!("<{tag} ")).count() + text.matches(&format!("<{tag}>")).count();
            let closed = text.matches(&format!("</{tag}>")).count();
            let at_once = text.split('<').filter(|it| it.starts_with(tag) && it.contains("/>")).count();
            assert_eq!(opened, closed + at_once, "{path}: <{tag}>");
        }
        assert_eq!(text.matches('"').count() % 2, 0, "{path}");
        assert!(!text.contains("<script"), "{path}");
    }
}
