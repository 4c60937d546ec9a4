//! The machine's own apt sources: which addresses could serve Debian's main and security archives.

use std::path::{Path, PathBuf};

use crate::control::paragraphs;

/// Addresses found, best first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// Candidates for the main archive.
    pub main: Vec<String>,
    /// Candidates for the security archive.
    pub security: Vec<String>,
}

/// Names that Debian's suites have had or will have; other distributions and third parties use others.
const CODENAMES: [&str; 16] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "rc-buggy",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
    "buzz",
    "stretch",
];

/// Reads `etc/apt/sources.list` and `etc/apt/sources.list.d` below a root directory ("/" but in tests).
/// A file that cannot be read or understood is passed over: apt itself complains about those.
pub fn read(root: &Path) -> Found {
    let apt = root.join("etc/apt");
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(apt.join("sources.list.d")) {
        let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    let mut found = Found::default();
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let entries = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => one_line(&text),
            Some("sources") => deb822(&text),
            _ => continue,
        };
        for entry in entries {
            entry.add_to(&mut found, root);
        }
    }
    found
}

/// One source of either format.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    addresses: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Entry {
    fn add_to(self, found: &mut Found, root: &Path) {
        if !self.components.iter().any(|component| component == "main") {
            return;
        }
        let kinds = self.suites.iter().filter_map(|suite| kind_of(suite));
        let (mut main, mut security) = (false, false);
        for kind in kinds {
            match kind {
                SuiteKind::Main => main = true,
                SuiteKind::Security => security = true,
            }
        }
        for address in self.addresses.iter().flat_map(|address| plain_addresses(address, root)) {
            for (wanted, list) in [(main, &mut found.main), (security, &mut found.security)] {
                if wanted && !list.contains(&address) {
                    list.push(address.clone());
                }
            }
        }
    }
}

enum SuiteKind {
    Main,
    Security,
}

/// `trixie`, `trixie-updates`, `trixie-security`, `buster/updates`; anything else is not Debian's.
fn kind_of(suite: &str) -> Option<SuiteKind> {
    let end = suite.find(['/', '-']).filter(|_| suite != "rc-buggy").unwrap_or(suite.len());
    let (codename, rest) = suite.split_at(end);
    if !CODENAMES.contains(&codename) {
        return None;
    }
    match rest {
        "" | "-updates" | "-proposed-updates" => Some(SuiteKind::Main),
        "-security" | "/updates" => Some(SuiteKind::Security),
        _ => None,
    }
}

/// apt's `mirror+file:` names a file with a mirror per line (Debian's cloud images are set up so).
fn plain_addresses(address: &str, root: &Path) -> Vec<String> {
    if let Some(list) = address.strip_prefix("mirror+file:") {
        let path = root.join(list.trim_start_matches('/'));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        return text
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().next())
            .filter(|word| !word.starts_with('#') && is_usable(word))
            .map(tidy)
            .collect();
    }
    if is_usable(address) { vec![tidy(address)] } else { Vec::new() }
}

fn is_usable(address: &str) -> bool {
    ["http://", "https://", "file:/"].iter().any(|scheme| address.starts_with(scheme))
}

fn tidy(address: &str) -> String {
    address.trim_end_matches('/').to_string()
}

/// `deb [options] URI suite component…`
fn one_line(text: &str) -> Vec<Entry> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim_start_matches('\u{feff}').split('#').next().unwrap_or("").trim();
            let rest =
                line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => rest,
            };
            let mut words = rest.split_ascii_whitespace().map(str::to_string);
            Some(Entry {
                addresses: vec![words.next()?],
                suites: vec![words.next()?],
                components: words.collect(),
            })
        })
        .collect()
}

/// `Types: deb` paragraphs, `Enabled: no` left out.
fn deb822(text: &str) -> Vec<Entry> {
    let words = |value: Option<&str>| -> Vec<String> {
        let lines = value.unwrap_or("").lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(str::split_ascii_whitespace).map(str::to_string).collect()
    };
    paragraphs(text)
        .map_while(Result::ok)
        .filter(|paragraph| words(paragraph.get("Types")).iter().any(|kind| kind == "deb"))
        .filter(|paragraph| {
            !matches!(paragraph.get("Enabled"), Some("no" | "false" | "0" | "off" | "without" | "disable"))
        })
        .map(|paragraph| Entry {
            addresses: words(paragraph.get("URIs")),
            suites: words(paragraph.get("Suites")),
            components: words(paragraph.get("Components")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_files(files: &[(&str, &str)]) -> Found {
        let root = tempfile::TempDir::new().unwrap();
        for (name, text) in files {
            let path = root.path().join("etc").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        read(root.path())
    }

    #[test]
    fn both_formats_are_read_and_archives_told_apart() {
        let found = read_files(&[
            (
                "apt/sources.list",
                "# deb http://no.example/debian trixie main\r\n\
                 deb http://a.example/debian/ trixie main contrib # ours\r\n\
                 deb [arch=amd64 signed-by=/x] http://sec.example/debian-security trixie-security main\r\n\
                 deb-src http://src.example/debian trixie main\r\n",
            ),
            (
                "apt/sources.list.d/debian.sources",
                "Types: deb deb-src\nURIs: http://b.example/debian\n  http://c.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                 Types: deb\nURIs: http://b.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
                 Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\n\n\
                 Types: deb-src\nURIs: http://src.example/debian\nSuites: trixie\nComponents: main\n",
            ),
        ]);
        assert_eq!(
            found.main,
            ["http://a.example/debian", "http://b.example/debian", "http://c.example/debian"]
        );
        assert_eq!(
            found.security,
            ["http://sec.example/debian-security", "http://b.example/debian-security"]
        );
    }

    #[test]
    fn third_parties_and_other_distributions_are_passed_over() {
        let found = read_files(&[
            (
                "apt/sources.list",
                "deb https://p.example/apt cloud-sdk-bookworm main\n\
                 deb https://d.example/linux/debian bookworm stable\n\
                 deb https://u.example/ubuntu noble main\n\
                 deb https://pg.example/pub bookworm-pgdg main\n\
                 deb https://b.example/debian bookworm-backports main\n\
                 deb https://l.example/flat ./\n\
                 deb cdrom:[Debian]/ trixie main\n\
                 debris http://x.example/debian trixie main\n",
            ),
            (
                "apt/sources.list.d/node.sources",
                "Types: deb\nURIs: https://n.example\nSuites: nodistro\nComponents: main\n",
            ),
            ("apt/sources.list.d/old.list.save", "deb http://old.example/debian trixie main\n"),
        ]);
        assert_eq!(found, Found::default());
    }

    #[test]
    fn a_file_of_mirrors_is_opened() {
        let found = read_files(&[
            (
                "apt/sources.list.d/x.sources",
                "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\nComponents: main\n",
            ),
            (
                "apt/mirrors/debian.list",
                "# ours\nhttps://m.example/debian/ priority:1\n\nhttps://n.example/debian\n",
            ),
        ]);
        assert_eq!(found.main, ["https://m.example/debian", "https://n.example/debian"]);
    }

    #[test]
    fn a_broken_file_does_not_hide_the_good_ones() {
        let found = read_files(&[
            (
                "apt/sources.list",
                "deb\ndeb [unclosed http://x.example trixie main\ndeb http://y.example\n\u{0}\u{1}\n",
            ),
            ("apt/sources.list.d/a.sources", "nonsense\n"),
            (
                "apt/sources.list.d/b.sources",
                "\u{feff}Types: deb\r\nURIs: http://b.example/debian\r\nSuites: trixie\r\nComponents: main\r\n",
            ),
        ]);
        assert_eq!(found.main, ["http://b.example/debian"]);
    }

    #[test]
    fn a_machine_without_apt_has_nothing() {
        assert_eq!(read(Path::new("/nowhere")), Found::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in any::<String>()) {
            let _ = (one_line(&text), deb822(&text));
        }
    }
}
