//! A small box put together from small packages, and each way to spoil it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use stayput_packages::deb::{Entry, EntryKind};
use stayput_rootfs::{Error, Finding, Generated, Kind, Release, Result, Rules, Tree, assemble};

const RULES: &str = r#"
version = 1
[[drop]]
paths = ["usr/share/doc", "usr/lib/sysusers.d"]
why = "not needed"
[[keep]]
paths = ["usr/share/doc/*/copyright"]
why = "licence"
[[symlink]]
path = "usr/sbin/iptables"
to = "xtables-nft-multi"
why = "alternatives"
[[directory]]
path = "state"
mode = "0755"
why = "mount point"
[[strip]]
path = "usr/bin/mount"
why = "root only"
[[user]]
name = "root"
uid = 0
home = "/root"
why = "root"
[[user]]
name = "messagebus"
uid = 995
why = "bus"
[[mask]]
unit = "ctrl-alt-del.target"
why = "keys"
[[runtime]]
path = "run"
why = "boot"
[[runtime]]
path = "dev"
why = "devtmpfs"
"#;

const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

struct Bench {
    packages: Vec<(String, Vec<Entry>)>,
    overlay: tempfile::TempDir,
    generated: Vec<Generated>,
    rules: String,
}

fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
    Entry { path: path.to_owned(), kind, mode, uid: 0, gid: 0 }
}

fn file(path: &str, content: &str, mode: u32) -> Entry {
    entry(path, EntryKind::File(content.as_bytes().to_vec()), mode)
}

impl Bench {
    fn new() -> Self {
        let link = |path: &str, target: &str| entry(path, EntryKind::Symlink(target.to_owned()), 0o777);
        let base = vec![
            entry("./", EntryKind::Directory, 0o755),
            link("./bin", "usr/bin"),
            link("./sbin", "usr/sbin"),
            link("./lib", "usr/lib"),
            link("./etc/os-release", "../usr/lib/os-release"),
            entry("./root", EntryKind::Directory, 0o700),
            entry("./var", EntryKind::Directory, 0o755),
            entry("./var/log", EntryKind::Directory, 0o755),
            file("./usr/bin/mount", "\x7fELF", 0o4755),
            file("./usr/sbin/xtables-nft-multi", "\x7fELF", 0o755),
            file("./usr/share/ca-certificates/mozilla/a.crt", PEM, 0o644),
            file("./usr/share/doc/base/README", "x", 0o644),
            file("./usr/share/doc/base/copyright", "x", 0o644),
        ];
        let systemd = vec![
            file("./usr/lib/systemd/systemd", "\x7fELF", 0o755),
            file("./usr/bin/bus", "\x7fELF", 0o755),
            file("./usr/sbin/mke2fs", "\x7fELF", 0o755),
            file("./usr/sbin/tune2fs", "\x7fELF", 0o755),
            file("./usr/sbin/e2fsck", "\x7fELF", 0o755),
            file("./usr/lib/systemd/system/multi-user.target", "[Unit]\n", 0o644),
            file(
                "./usr/lib/systemd/system/bus.service",
                "[Service]\nUser=messagebus\nExecStart=/usr/bin/bus\n[Install]\nWantedBy=multi-user.target\n",
                0o644,
            ),
            file("./usr/lib/sysusers.d/bus.conf", "u messagebus - \"Bus\"\n", 0o644),
        ];
        let bench = Self {
            packages: vec![("base".into(), base), ("systemd".into(), systemd)],
            overlay: tempfile::tempdir().unwrap(),
            generated: vec![Generated {
                path: "usr/libexec/stayput/part".into(),
                content: b"\x7fELF".to_vec(),
                mode: 0o755,
                origin: "programs".into(),
            }],
            rules: RULES.to_owned(),
        };
        bench.overlay(
            "usr/lib/systemd/system-preset/00.preset",
            "enable bus.service\nenable stayput-part.service\ndisable *\n",
        );
        bench.overlay(
            "usr/lib/systemd/system/stayput-part.service",
            "[Unit]\nAfter=bus.service\n[Service]\nExecStart=/usr/libexec/stayput/part\n[Install]\nWantedBy=multi-user.target\n",
        );
        bench.overlay("usr/lib/systemd/system/default.target", "-> multi-user.target");
        bench.overlay("etc/machine-id", "");
        bench.overlay("usr/share/stayput/persist.toml", "version = 1\n");
        bench.overlay("etc/resolv.conf", "-> ../run/systemd/resolve/stub-resolv.conf");
        bench
    }

    fn overlay(&self, path: &str, text: &str) {
        let at = self.overlay.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, at).unwrap(),
            None => fs::write(at, text).unwrap(),
        }
    }

    fn add(&mut self, entry: Entry) {
        self.packages[1].1.push(entry);
    }

    fn build(self) -> Result<Tree> {
        let rules = Rules::parse(&self.rules, "rootfs.toml")?;
        let release = Release { version: "0.1.0".into(), toolchain: "pinned".into() };
        assemble(&rules, self.packages, self.overlay.path(), self.generated, &release)
    }

    /// What the build says when it refuses.
    fn refusal(self) -> String {
        self.build().expect_err("the build should have failed").to_string()
    }
}

fn link<'a>(tree: &'a Tree, path: &str) -> &'a str {
    match &tree.get(path).unwrap_or_else(|| panic!("no {path}")).kind {
        Kind::Symlink(target) => target,
        other => panic!("{path} is a {}", other.name()),
    }
}

#[test]
fn packages_overlay_and_tables_become_one_tree() {
    let tree = Bench::new().build().unwrap();
    assert_eq!(link(&tree, "usr/sbin/iptables"), "xtables-nft-multi");
    assert_eq!(link(&tree, "etc/systemd/system/ctrl-alt-del.target"), "/dev/null");
    let wants = "etc/systemd/system/multi-user.target.wants";
    assert_eq!(link(&tree, &format!("{wants}/bus.service")), "/usr/lib/systemd/system/bus.service");
    assert_eq!(
        link(&tree, &format!("{wants}/stayput-part.service")),
        "/usr/lib/systemd/system/stayput-part.service"
    );
    assert_eq!(tree.get("usr/bin/mount").unwrap().mode, 0o755);
    assert_eq!(tree.get("root").unwrap().mode, 0o700);
    assert!(tree.text("etc/passwd").unwrap().contains("messagebus:x:995:995:"));
    assert!(tree.text("usr/lib/os-release").unwrap().contains("VERSION_ID=\"0.1.0\""));
    assert_eq!(tree.text("etc/ssl/certs/ca-certificates.crt").unwrap(), PEM);
    assert!(tree.text("usr/lib/tmpfiles.d/stayput-var.conf").unwrap().contains("d /var/log 0755 0 0 -"));
    assert!(tree.get("usr/share/doc/base/copyright").is_some());
    for gone in ["usr/share/doc/base/README", "usr/lib/sysusers.d", "usr/share/ca-certificates", "var/log"] {
        assert!(tree.get(gone).is_none(), "{gone}");
    }
}

#[test]
fn the_same_input_gives_the_same_tree() {
    assert_eq!(Bench::new().build().unwrap(), Bench::new().build().unwrap());
}

#[test]
fn two_packages_that_ship_one_file_are_both_named() {
    let mut bench = Bench::new();
    bench.add(file("usr/bin/mount", "other", 0o755));
    let message = bench.refusal();
    assert!(message.contains("usr/bin/mount") && message.contains("base and systemd"), "{message}");
}

#[test]
fn an_overlay_file_over_a_packages_file_is_refused() {
    let bench = Bench::new();
    bench.overlay("usr/bin/bus", "mine");
    let message = bench.refusal();
    assert!(message.contains("usr/bin/bus") && message.contains("systemd and overlay"), "{message}");
}

#[test]
fn a_setuid_file_that_is_on_no_list_stops_the_build() {
    let mut bench = Bench::new();
    bench.add(file("usr/bin/su", "\x7fELF", 0o4755));
    assert!(bench.refusal().contains("usr/bin/su (systemd) has mode 4755"));
}

#[test]
fn a_preset_for_a_unit_that_is_not_there_stops_the_build() {
    let bench = Bench::new();
    bench.overlay("usr/lib/systemd/system-preset/01.preset", "enable ghost.service\n");
    assert!(bench.refusal().contains("01.preset:1 names ghost.service"));
}

#[test]
fn a_unit_that_runs_as_an_unknown_user_stops_the_build() {
    let bench = Bench::new();
    bench.overlay("usr/lib/systemd/system/a.service", "[Service]\nUser=ghost\n");
    assert!(bench.refusal().contains("a.service:2 names the user \"ghost\""));
}

#[test]
fn a_packages_own_account_that_nobody_pinned_stops_the_build_even_where_its_file_is_dropped() {
    let mut bench = Bench::new();
    bench.add(file("usr/lib/sysusers.d/new.conf", "u _new - \"New\"\n", 0o644));
    assert!(bench.refusal().contains("new.conf:1 names the user \"_new\""));
}

#[test]
fn a_unit_of_ours_for_a_program_that_was_not_built_stops_the_build() {
    let mut bench = Bench::new();
    bench.generated.clear();
    assert!(bench.refusal().contains("stayput-part.service:4: ExecStart= starts /usr/libexec/stayput/part"));
}

#[test]
fn a_link_to_nowhere_stops_the_build() {
    let bench = Bench::new();
    bench.overlay("etc/localtime", "-> ../usr/share/zoneinfo/Etc/UTC");
    assert!(bench.refusal().contains("etc/localtime (overlay) links to ../usr/share/zoneinfo/Etc/UTC"));
}

#[test]
fn a_shell_script_stops_the_build() {
    let mut bench = Bench::new();
    bench.add(file("usr/sbin/helper", "#!/bin/sh\n", 0o755));
    assert!(bench.refusal().contains("usr/sbin/helper (systemd) is a script for /bin/sh"));
}

#[test]
fn a_rule_that_has_nothing_to_do_stops_the_build() {
    let mut bench = Bench::new();
    bench.rules.push_str("[[drop]]\npaths = [\"usr/bin/gone\"]\nwhy = \"w\"\n");
    assert!(bench.refusal().contains("\"usr/bin/gone\" (w) matches nothing"));
}

#[test]
fn a_certificate_that_is_none_stops_the_build_by_name() {
    let mut bench = Bench::new();
    bench.add(file("usr/share/ca-certificates/mozilla/b.crt", "garbage", 0o644));
    assert!(bench.refusal().contains("mozilla/b.crt is no PEM certificate"));
}

#[test]
fn a_missing_systemd_is_found_at_the_desk() {
    let mut bench = Bench::new();
    bench.packages.remove(1);
    bench.rules = bench.rules.replace("\"usr/share/doc\", \"usr/lib/sysusers.d\"", "\"usr/share/doc\"");
    assert!(bench.refusal().contains("usr/lib/systemd/systemd is not in the tree"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let mut bench = Bench::new();
    bench.add(file("usr/bin/su", "\x7fELF", 0o6755));
    bench.overlay("etc/dead", "-> nowhere");
    bench.overlay("usr/lib/systemd/system/a.service", "[Unit]\nWants=ghost.service\n");
    match bench.build() {
        Err(Error::Refused(findings)) => {
            let kinds = |test: fn(&Finding) -> bool| findings.iter().filter(|finding| test(finding)).count();
            assert_eq!(kinds(|f| matches!(f, Finding::Setuid { .. })), 1, "{findings:?}");
            assert_eq!(kinds(|f| matches!(f, Finding::DanglingLink { .. })), 1, "{findings:?}");
            assert_eq!(kinds(|f| matches!(f, Finding::UnitReference { .. })), 1, "{findings:?}");
            assert_eq!(findings.len(), 3, "{findings:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_overlay_folder_that_is_not_there_is_an_error() {
    let rules = Rules::parse(RULES, "t").unwrap();
    let release = Release { version: "1".into(), toolchain: "pinned".into() };
    let error = assemble(&rules, Bench::new().packages, Path::new("gone"), vec![], &release).unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}
