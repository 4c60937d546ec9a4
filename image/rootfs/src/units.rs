//! The units of the tree, and the links that `systemctl preset-all` would make for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Finding;
use crate::ini::{self, Setting};
use crate::tree::{Kind, Tree};

/// Where the builder (like `systemctl enable`) puts its links.
pub const CONFIG: &str = "etc/systemd/system";

/// Where units are looked up, the stronger folder first.
pub const FOLDERS: [&str; 3] = [CONFIG, "usr/local/lib/systemd/system", "usr/lib/systemd/system"];

const PRESET_FOLDERS: [&str; 3] =
    ["etc/systemd/system-preset", "usr/local/lib/systemd/system-preset", "usr/lib/systemd/system-preset"];

/// The kinds of units that have files.
const SUFFIXES: [&str; 9] =
    [".service", ".socket", ".target", ".mount", ".automount", ".timer", ".path", ".slice", ".swap"];

/// What the strongest file of a unit's name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// A unit file at this path with these settings, drop-ins included.
    File {
        /// Where it lies.
        path: String,
        /// What it says.
        settings: Vec<Setting>,
    },
    /// Another name for this unit.
    Alias(String),
    /// Masked: a link to /dev/null or an empty file.
    Masked,
}

/// All units by name.
#[derive(Debug, Default)]
pub struct Units {
    by_name: BTreeMap<String, Unit>,
}

/// One link that enabling makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Enabled {
    /// The link, relative to the root: `etc/systemd/system/multi-user.target.wants/x.service`.
    pub path: String,
    /// Where it points: `/usr/lib/systemd/system/x.service`.
    pub target: String,
}

impl Units {
    /// Reads every unit and drop-in of the tree.
    pub fn read(tree: &Tree) -> Self {
        let mut by_name: BTreeMap<String, Unit> = BTreeMap::new();
        for folder in FOLDERS {
            for (path, node) in tree.below(folder) {
                let name = &path[folder.len() + 1..];
                if name.contains('/') || !is_unit_name(name) || by_name.contains_key(name) {
                    continue;
                }
                let unit = match &node.kind {
                    Kind::Directory => continue,
                    Kind::Symlink(target) if target == "/dev/null" => Unit::Masked,
                    Kind::Symlink(target) => {
                        let target = target.rsplit('/').next().unwrap_or_default();
                        // A link of the same name leads to the unit elsewhere; take that as the unit.
                        match (target == name, tree.file(path)) {
                            (true, Some(file)) => from_file(tree, name, path, &file.kind),
                            _ => Unit::Alias(target.to_owned()),
                        }
                    }
                    file => from_file(tree, name, path, file),
                };
                by_name.insert(name.to_owned(), unit);
            }
        }
        Self { by_name }
    }

    /// Whether systemd would find something for this name: itself, an alias that leads somewhere, or its template.
    pub fn exists(&self, name: &str) -> bool {
        let mut name = name.to_owned();
        for _ in 0..8 {
            let template = template_of(&name);
            match self.by_name.get(&name).or_else(|| self.by_name.get(template.as_deref()?)) {
                Some(Unit::Alias(target)) => name.clone_from(target),
                Some(_) => return true,
                None => return false,
            }
        }
        false
    }

    /// All names with what they are.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Unit)> {
        self.by_name.iter().map(|(name, unit)| (name.as_str(), unit))
    }

    fn settings(&self, name: &str) -> Option<(&str, &[Setting])> {
        match self.by_name.get(name)? {
            Unit::File { path, settings } => Some((path, settings)),
            _ => None,
        }
    }
}

fn from_file(tree: &Tree, name: &str, path: &str, kind: &Kind) -> Unit {
    let Kind::File(content) = kind else { return Unit::Masked };
    if content.is_empty() {
        return Unit::Masked;
    }
    let (mut settings, _) = ini::parse(&String::from_utf8_lossy(content));
    // Drop-ins by file name, a stronger folder's file hiding a weaker one's.
    let mut dropins: BTreeMap<&str, &str> = BTreeMap::new();
    for folder in FOLDERS {
        for (path, _) in tree.below(&format!("{folder}/{name}.d")).filter(|(path, _)| path.ends_with(".conf"))
        {
            let file = path.rsplit('/').next().unwrap_or(path);
            dropins.entry(file).or_insert(path);
        }
    }
    for path in dropins.into_values() {
        settings.extend(ini::parse(&tree.text(path).unwrap_or_default()).0);
    }
    Unit::File { path: path.to_owned(), settings }
}

/// Whether a file of this name is a unit.
pub fn is_unit_name(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(|stem| !stem.is_empty()))
}

/// `getty@tty1.service` is made from `getty@.service`.
pub fn template_of(name: &str) -> Option<String> {
    let (stem, rest) = name.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{stem}@.{suffix}"))
}

fn with_instance(template: &str, instance: &str) -> Option<String> {
    let (stem, suffix) = template.split_once("@.")?;
    Some(format!("{stem}@{instance}.{suffix}"))
}

/// One line of a preset file.
struct Preset {
    enable: bool,
    pattern: String,
    instances: Vec<String>,
    place: String,
}

/// Reads the presets in the order systemd does: all files by name, a stronger folder's file hiding a weaker one's.
fn presets(tree: &Tree, findings: &mut Vec<Finding>) -> Vec<Preset> {
    let mut files: BTreeMap<&str, &str> = BTreeMap::new();
    for folder in PRESET_FOLDERS {
        for (path, node) in tree.below(folder) {
            let name = &path[folder.len() + 1..];
            if name.ends_with(".preset") && !name.contains('/') && matches!(node.kind, Kind::File(_)) {
                files.entry(name).or_insert(path);
            }
        }
    }
    let mut presets = Vec::new();
    for path in files.into_values() {
        let text = tree.text(path).unwrap_or_default();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let place = format!("{path}:{}", index + 1);
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some(verb @ ("enable" | "disable")), Some(pattern)) => presets.push(Preset {
                    enable: verb == "enable",
                    pattern: pattern.to_owned(),
                    instances: words.map(str::to_owned).collect(),
                    place,
                }),
                _ => findings.push(Finding::PresetLine { place, line: line.to_owned() }),
            }
        }
    }
    presets
}

/// The links that make the presets true, sorted, and what is wrong with the presets.
pub fn enabled(tree: &Tree) -> (Vec<Enabled>, Vec<Finding>) {
    let mut findings = Vec::new();
    let units = Units::read(tree);
    let presets = presets(tree, &mut findings);
    if !presets.iter().any(|preset| !preset.enable && preset.pattern == "*") {
        findings.push(Finding::PresetOpenEnded);
    }
    for preset in presets.iter().filter(|preset| !preset.pattern.contains(['*', '?', '['])) {
        if !units.exists(&preset.pattern) {
            findings.push(Finding::PresetWithoutUnit {
                place: preset.place.clone(),
                unit: preset.pattern.clone(),
            });
        }
    }
    let mut todo: Vec<String> = Vec::new();
    for (name, unit) in units.iter() {
        // Aliases follow their unit, masked units stay masked.
        if !matches!(unit, Unit::File { .. }) {
            continue;
        }
        let verdict = presets.iter().find(|preset| matches_glob(&preset.pattern, name));
        match verdict {
            Some(preset) if !preset.enable => {}
            Some(preset) if !preset.instances.is_empty() => {
                todo.extend(preset.instances.iter().filter_map(|instance| with_instance(name, instance)));
            }
            _ => todo.push(name.to_owned()),
        }
    }
    let mut links = BTreeSet::new();
    let mut done = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if done.insert(name.clone()) {
            enable(&units, &name, &mut links, &mut todo, &mut findings);
        }
    }
    (links.into_iter().collect(), findings)
}

/// Makes the links of one unit's [Install] section; what it names in `Also=` comes along.
fn enable(
    units: &Units,
    name: &str,
    links: &mut BTreeSet<Enabled>,
    todo: &mut Vec<String>,
    findings: &mut Vec<Finding>,
) {
    let template = template_of(name);
    let found = units.settings(name).or_else(|| units.settings(template.as_deref()?));
    let Some((path, settings)) = found else { return };
    let install = |key: &str| {
        let mut values: Vec<(String, usize)> = Vec::new();
        for setting in settings.iter().filter(|s| s.section == "Install" && s.key == key) {
            if setting.value.is_empty() {
                values.clear();
            }
            values.extend(setting.value.split_whitespace().map(|word| (word.to_owned(), setting.line)));
        }
        values
    };
    // A template by itself is enabled as its default instance, or not at all.
    let mut name = name.to_owned();
    if name.contains("@.") {
        match install("DefaultInstance").pop().and_then(|(instance, _)| with_instance(&name, &instance)) {
            Some(instance) => name = instance,
            None => return,
        }
    }
    let target = format!("/{path}");
    let wanted = [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")];
    for (key, folder) in wanted {
        for (by, line) in install(key) {
            if by.contains('%') || !is_unit_name(&by) {
                findings.push(bad_install(path, line, key, &by));
                continue;
            }
            links.insert(Enabled { path: format!("{CONFIG}/{by}.{folder}/{name}"), target: target.clone() });
        }
    }
    for (alias, line) in install("Alias") {
        if alias.contains(['%', '/']) || !is_unit_name(&alias) {
            findings.push(bad_install(path, line, "Alias", &alias));
        } else if alias != name {
            links.insert(Enabled { path: format!("{CONFIG}/{alias}"), target: target.clone() });
        }
    }
    // As with systemctl, what `Also=` names and nobody ships is passed over; `references` looks at our own units.
    todo.extend(install("Also").into_iter().map(|(also, _)| also));
}

fn bad_install(path: &str, line: usize, key: &str, value: &str) -> Finding {
    Finding::UnitSyntax {
        place: format!("{path}:{line}"),
        problem: format!("{key}={value} names no plain unit (this builder expands no specifiers there)"),
    }
}

/// fnmatch(3) without character classes: `*` and `?` over the whole name, which is all that presets use.
fn matches_glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some('?') => (p, n) = (p + 1, n + 1),
            Some(c) if *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                // Let the last star take one character more.
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    (p, n) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    const LIB: &str = "usr/lib/systemd/system";
    const ALL_OFF: (&str, &str) = ("usr/lib/systemd/system-preset/99.preset", "disable *\n");

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, text) in files {
            let node = match text.strip_prefix("-> ") {
                Some(target) => Node::symlink(target, "p"),
                None => Node::file(*text, 0o644, "p"),
            };
            tree.insert(path, node).unwrap();
        }
        tree
    }

    fn links(files: &[(&str, &str)]) -> Vec<String> {
        let (links, findings) = enabled(&tree(files));
        assert_eq!(findings, []);
        links.into_iter().map(|link| format!("{} {}", &link.path[CONFIG.len() + 1..], link.target)).collect()
    }

    #[test]
    fn an_enabled_unit_gets_every_link_of_its_install_section() {
        let unit = "[Install]\nWantedBy=a.target b.target\nRequiredBy=c.target\nUpheldBy=d.target\nAlias=z.service\n";
        let found = links(&[
            (&format!("{LIB}/x.service"), unit),
            ("usr/lib/systemd/system-preset/00.preset", "# ours\nenable x.service\ndisable *\n"),
        ]);
        let target = "/usr/lib/systemd/system/x.service";
        let want: Vec<String> = [
            "a.target.wants/x.service",
            "b.target.wants/x.service",
            "c.target.requires/x.service",
            "d.target.upholds/x.service",
            "z.service",
        ]
        .iter()
        .map(|path| format!("{path} {target}"))
        .collect();
        assert_eq!(found, want);
    }

    #[test]
    fn the_first_preset_that_matches_decides_and_files_go_by_name() {
        let unit = "[Install]\nWantedBy=a.target\n";
        let found = links(&[
            (&format!("{LIB}/x.service"), unit),
            (&format!("{LIB}/y.service"), unit),
            ("etc/systemd/system-preset/50.preset", "disable x.service\n"),
            ("usr/lib/systemd/system-preset/60.preset", "enable x.service\nenable y.*\ndisable *\n"),
            ("usr/lib/systemd/system-preset/50.preset", "enable x.service\n"),
        ]);
        assert_eq!(found, ["a.target.wants/y.service /usr/lib/systemd/system/y.service"]);
    }

    #[test]
    fn also_brings_units_along_that_the_presets_would_not_enable() {
        let found = links(&[
            (&format!("{LIB}/x.service"), "[Install]\nAlso=x.socket gone.service\n"),
            (&format!("{LIB}/x.socket"), "[Install]\nWantedBy=sockets.target\n"),
            ("usr/lib/systemd/system-preset/00.preset", "enable x.service\ndisable *\n"),
        ]);
        assert_eq!(found, ["sockets.target.wants/x.socket /usr/lib/systemd/system/x.socket"]);
    }

    #[test]
    fn a_template_is_enabled_as_its_instances_or_its_default() {
        let unit = "[Install]\nWantedBy=a.target\nDefaultInstance=one\n";
        let at = format!("{LIB}/x@.service");
        let preset = "usr/lib/systemd/system-preset/00.preset";
        let target = "/usr/lib/systemd/system/x@.service";
        let found = links(&[(&at, unit), (preset, "enable x@.service\ndisable *\n")]);
        assert_eq!(found, [format!("a.target.wants/x@one.service {target}")]);
        let found = links(&[(&at, unit), (preset, "enable x@.service two three\ndisable *\n")]);
        let want = ["three", "two"].map(|instance| format!("a.target.wants/x@{instance}.service {target}"));
        assert_eq!(found, want);
    }

    #[test]
    fn masked_units_and_aliases_are_left_alone() {
        let unit = "[Install]\nWantedBy=a.target\n";
        let found = links(&[
            (&format!("{LIB}/x.service"), unit),
            (&format!("{CONFIG}/x.service"), "-> /dev/null"),
            (&format!("{LIB}/y.service"), "-> x.service"),
            (&format!("{LIB}/z.service"), ""),
            ("usr/lib/systemd/system-preset/00.preset", "enable *\ndisable *\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_drop_in_adds_to_the_install_section_and_an_empty_value_clears_it() {
        let found = links(&[
            (&format!("{LIB}/x.service"), "[Install]\nWantedBy=a.target\n"),
            (&format!("{LIB}/x.service.d/10.conf"), "[Install]\nWantedBy=\nWantedBy=b.target\n"),
            ("usr/lib/systemd/system-preset/00.preset", "enable x.service\ndisable *\n"),
        ]);
        assert_eq!(found, ["b.target.wants/x.service /usr/lib/systemd/system/x.service"]);
    }

    #[test]
    fn a_preset_for_a_unit_that_does_not_exist_is_found_with_its_line() {
        let preset =
            ("usr/lib/systemd/system-preset/00.preset", "\nenable nothing.service\nmaybe x\ndisable *\n");
        let (_, findings) = enabled(&tree(&[preset]));
        let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), 2, "{text:?}");
        assert!(text.iter().any(|text| text.contains("00.preset:2") && text.contains("nothing.service")));
        assert!(text.iter().any(|text| text.contains("00.preset:3") && text.contains("maybe x")));
    }

    #[test]
    fn presets_that_leave_the_end_open_are_found() {
        let (_, findings) = enabled(&tree(&[("usr/lib/systemd/system-preset/00.preset", "disable x.*\n")]));
        assert_eq!(findings, [Finding::PresetOpenEnded]);
    }

    #[test]
    fn an_alias_that_leads_to_itself_is_no_unit() {
        let units = Units::read(&tree(&[
            (&format!("{LIB}/a.service"), "-> b.service"),
            (&format!("{LIB}/b.service"), "-> a.service"),
            ALL_OFF,
        ]));
        assert!(!units.exists("a.service"));
    }

    proptest::proptest! {
        #[test]
        fn globs_agree_with_globset(pattern in "[ab*?.]{0,6}", name in "[ab.]{0,6}") {
            let glob = globset::Glob::new(&pattern).unwrap().compile_matcher();
            proptest::prop_assert_eq!(matches_glob(&pattern, &name), glob.is_match(&name));
        }
    }
}
