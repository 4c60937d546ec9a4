//! What follows from each of the files in `tests/plans`: whole, beside them, to be read. After a change that is meant:
//! `STAYPUT_WRITE_DOCS=1 cargo test -p stayput-setup --test plans`, and read what git shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

mod around;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use around::{Made, PEM};
use proptest::prelude::*;
use stayput_health::persist::PersistTable;
use stayput_setup::host_key;
use stayput_setup::intake::{Settings, from_card};
use stayput_setup::plan::{Plan, Readers, account, plan};

fn settings(text: &str) -> Settings {
    from_card(&Made::with(text).and("company-ca.pem", PEM)).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    found.sort();
    assert!(found.len() >= 3, "the fixtures are gone");
    found
}

fn shown(plan: &Plan) -> String {
    let mut out = format!("name: {}\nzone: {}\n", plan.name.as_deref().unwrap_or("-"), plan.zone);
    for folder in &plan.folders {
        let (user, group) = folder.owner;
        writeln!(out, "folder: {} {:04o} {user}:{group}", folder.path, folder.mode).unwrap();
    }
    for link in &plan.links {
        writeln!(out, "link: /run/{} -> {}", link.path, link.to).unwrap();
    }
    writeln!(out, "further certificates: {} bytes", plan.authorities.len()).unwrap();
    for file in &plan.files {
        let (mode, (user, group)) = file.readers.access();
        match &file.text {
            Some(text) => {
                writeln!(out, "\n==> /run/{} {mode:04o} {user}:{group}\n{text}", file.path).unwrap()
            }
            None => writeln!(out, "\n==> /run/{}: not there", file.path).unwrap(),
        }
    }
    out
}

#[test]
fn each_file_of_settings_makes_what_lies_beside_it() {
    for path in fixtures() {
        let shown = shown(&plan(Some(&settings(&fs::read_to_string(&path).unwrap()))));
        let beside = path.with_extension("txt");
        if std::env::var_os("STAYPUT_WRITE_DOCS").is_some() {
            fs::write(&beside, &shown).unwrap();
        }
        assert_eq!(fs::read_to_string(&beside).unwrap_or_default(), shown, "{}", beside.display());
    }
}

#[test]
fn a_box_without_settings_gets_no_file_of_theirs_and_starts_no_part_that_needs_them() {
    let plan = plan(None);
    assert!(plan.files.iter().all(|file| file.text.is_none()) && plan.folders.is_empty());
    assert_eq!((plan.name, plan.zone.as_str()), (None, "Etc/UTC"));
}

#[test]
fn what_the_lights_read_says_the_same_of_lights_and_screen_as_the_persons_file() {
    for path in fixtures() {
        let settings = settings(&fs::read_to_string(&path).unwrap());
        let plan = plan(Some(&settings));
        let public = plan.files.iter().find(|file| file.path == "stayput/setup/stayput.toml").unwrap();
        let public = public.text.as_deref().unwrap();
        let read = stayput_config::read(public.as_bytes(), "public").unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(read.config.status, settings.config.status, "{}", path.display());
        assert_eq!(read.config.device.name, settings.config.device.name);
    }
}

/// The values in a file for `EnvironmentFile=`, read as systemd reads them.
fn variables(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (name, quoted) = line.split_once("=\"").unwrap();
        let (mut value, mut rest) = (String::new(), quoted.strip_suffix('"').unwrap().chars());
        while let Some(c) = rest.next() {
            assert!(!matches!(c, '"' | '`' | '$'), "{line}");
            value.push(if c == '\\' { rest.next().unwrap() } else { c });
        }
        (name.to_owned(), value)
    };
    text.lines().map(line).collect()
}

const HOST: &str = "version = 1\n[device]\nname = \"box\"\n[activation]\nregion = \"eu-central-1\"\n\
    id = \"01234567-89ab-cdef-0123-456789abcdef\"\ncode = 'CODE'\n[worker]\nruntime = \"host\"\n\
    queue = \"https://sqs.eu-central-1.amazonaws.com/123456789012/orders\"\nsuffix = 'SUFFIX'\n\
    [network]\nproxy = \"http://robot:PASSWORD@proxy.example.com:3128\"\n";

const DOOR: &str = "[drop]\nkeys = ['ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f front desk']\n";

fn file<'a>(plan: &'a Plan, path: &str) -> &'a str {
    plan.files.iter().find(|file| file.path == path).unwrap().text.as_deref().unwrap()
}

proptest! {
    #[test]
    fn no_secret_is_in_a_file_that_others_may_read(code in "[A-Za-z0-9+/]{20,40}", password in "[A-Za-z0-9]{8,20}") {
        let of_the_box = HOST.replace("CODE", &code).replace("PASSWORD", &password);
        let of_the_cluster = of_the_box.replace("\"host\"", "\"ecs\"") + "[ecs]\ncluster = 'here'\n";
        for text in [of_the_box, of_the_cluster] {
            let plan = plan(Some(&settings(&text)));
            let mut held = [0, 0];
            for file in &plan.files {
                let text = file.text.as_deref().unwrap_or_default();
                for (held, secret) in held.iter_mut().zip([&code, &password]) {
                    let here = text.contains(secret.as_str());
                    prop_assert!(!here || file.readers != Readers::Everyone, "{}", file.path);
                    *held += usize::from(here);
                }
            }
            // The code is the identity's alone; the password the clock's as well, and that of whoever calls for the worker: the
            // courier or the agent. Where else they were, is a leak.
            prop_assert_eq!(held, [1, 3]);
        }
    }

    #[test]
    fn whatever_a_suffix_holds_reaches_the_worker_as_it_was_written(suffix in "[ -~]{0,20}") {
        prop_assume!(suffix.trim() == suffix && !suffix.contains(['/', '\'']));
        let text = HOST.replace("CODE", "EXAMPLE/CodeOf20Char").replace("SUFFIX", &suffix);
        let plan = plan(Some(&settings(&text)));
        let variables = variables(file(&plan, "stayput/worker.env"));
        prop_assert!(variables.contains(&("STAYPUT_SUFFIX".to_owned(), suffix)), "{variables:?}");
    }
}

#[test]
fn the_mover_is_told_nothing_of_the_network() {
    let text = HOST.replace("CODE", "EXAMPLE/CodeOf20Char");
    let plan = plan(Some(&settings(&text)));
    let names: Vec<_> =
        variables(file(&plan, "stayput/worker.env")).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "EFS_SOURCE_FOLDER",
        "EFS_DESTINATION_FOLDER",
        "STAYPUT_LEDGER_FOLDER",
        "STAYPUT_SUFFIX",
        "STAYPUT_SUBFOLDERS",
    ];
    assert_eq!(names, expected);
}

#[test]
fn without_a_key_nothing_of_the_door_is_there_and_with_one_nothing_beyond_it() {
    let of_the_door = |plan: &Plan| -> Vec<String> {
        let files = plan.files.iter().filter(|file| file.text.is_some()).map(|file| file.path);
        let all = files.chain(plan.links.iter().map(|link| link.path)).map(str::to_owned);
        all.filter(|path| path.contains("door")).collect()
    };
    let closed = HOST.replace("CODE", "EXAMPLE/CodeOf20Char");
    assert_eq!(of_the_door(&plan(Some(&settings(&closed)))), Vec::<String>::new());
    assert_eq!(
        of_the_door(&plan(Some(&settings(&format!("{closed}[drop]\nfrom = ['10.0.0.0/8']\n"))))),
        Vec::<String>::new()
    );
    let adding = plan(Some(&settings(&(closed + DOOR))));
    assert_eq!(
        of_the_door(&adding),
        [
            "stayput/firewall/20-door.nft",
            "stayput/door/keys/drop",
            "stayput/door/source",
            "stayput/door/destination"
        ]
    );
    // Nobody may collect, so nobody's key is there for it.
    let keys = file(&adding, "stayput/door/keys/drop");
    assert!(keys.starts_with("restrict ssh-ed25519 AAAA") && keys.ends_with(" front desk\n"), "{keys}");
}

#[test]
fn networks_that_overlap_and_the_whole_world_are_rules_of_their_own() {
    let from = "from = ['10.0.0.0/8', '10.1.0.0/16', '0.0.0.0/0', '::/0', 'fd00::/8']\n";
    let text = HOST.replace("CODE", "EXAMPLE/CodeOf20Char") + DOOR + from;
    let rules = plan(Some(&settings(&text)));
    assert_eq!(
        file(&rules, "stayput/firewall/20-door.nft"),
        "ip saddr 10.0.0.0/8 tcp dport 22 accept\nip saddr 10.1.0.0/16 tcp dport 22 accept\n\
         meta nfproto ipv4 tcp dport 22 accept\nmeta nfproto ipv6 tcp dport 22 accept\n\
         ip6 saddr fd00::/8 tcp dport 22 accept\n"
    );
    assert!(!file(&rules, "systemd/network/10-stayput.network").contains("NFTSet"));
}

#[test]
fn the_sets_that_networkd_fills_are_those_of_the_firewall() {
    let text = HOST.replace("CODE", "EXAMPLE/CodeOf20Char") + DOOR;
    let plan = plan(Some(&settings(&text)));
    let (link, firewall) =
        (file(&plan, "systemd/network/10-stayput.network"), tree("overlay/etc/nftables.conf"));
    let sets: Vec<_> =
        link.lines().filter_map(|line| line.strip_prefix("NFTSet=prefix:inet:stayput:")).collect();
    assert_eq!(sets, ["here", "here6"]);
    for set in sets {
        assert!(firewall.contains(&format!("    set {set} {{")), "{set}");
        assert!(file(&plan, "stayput/firewall/20-door.nft").contains(&format!("@{set} tcp dport 22 accept")));
    }
}

#[test]
fn sshd_looks_where_the_set_up_has_put_keys_and_folders() {
    let sshd = tree("overlay/etc/ssh/sshd_config");
    assert!(sshd.contains("\nAuthorizedKeysFile /run/stayput/door/keys/%u\n"), "{sshd}");
    assert!(sshd.contains(&format!("\nHostKey /var/lib/stayput/door/{}\n", host_key::NAME)), "{sshd}");
    let unit = tree("overlay/usr/lib/systemd/system/stayput-door@.service");
    for folder in ["source:/srv/door/drop", "destination:/srv/door/collect"] {
        assert!(unit.contains(&format!("\nBindPaths=/run/stayput/door/{folder}/files\n")), "{unit}");
    }
}

/// A file of the tree.
fn tree(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

#[test]
fn the_accounts_are_those_of_the_images_table() {
    let table: toml::Table = tree("image/rootfs.toml").parse().unwrap();
    let number = |name: &str| {
        let users = table["user"].as_array().unwrap();
        let user = users.iter().find(|user| user["name"].as_str() == Some(name)).unwrap();
        u32::try_from(user["uid"].as_integer().unwrap()).unwrap()
    };
    assert_eq!(number("stayput-mover"), account::MOVER);
    assert_eq!(number("drop"), account::DROP);
    assert_eq!(number("collect"), account::COLLECT);
    assert_eq!(number("stayput-identity"), account::IDENTITY);
    assert_eq!(number("stayput-clock"), account::CLOCK);
}

#[test]
fn the_usual_folders_are_as_the_table_of_persistent_paths_has_them() {
    let table =
        PersistTable::parse(tree("overlay/usr/share/stayput/persist.toml").as_bytes(), "persist").unwrap();
    let plan = plan(Some(&settings(&HOST.replace("CODE", "EXAMPLE/CodeOf20Char"))));
    for row in &table.folders {
        let path = format!("/data/{}", row.data);
        let planned = plan.folders.iter().find(|folder| folder.path == path).expect("a folder of the table");
        assert_eq!((planned.mode, planned.owner), (row.permissions(), (row.uid, row.gid)), "{path}");
    }
    assert_eq!(table.folders.len(), plan.folders.len());
}

#[test]
fn whatever_a_unit_waits_for_is_a_file_of_the_plan() {
    let plan = plan(Some(&settings(&(HOST.replace("CODE", "EXAMPLE/CodeOf20Char") + DOOR))));
    for unit in [
        "stayput-courier.service",
        "stayput-mover.socket",
        "stayput-identity.service",
        "stayput-clock.service",
        "stayput-door.socket",
    ] {
        let text = tree(&format!("overlay/usr/lib/systemd/system/{unit}"));
        let waits = text.lines().find_map(|line| line.strip_prefix("ConditionPathExists=/run/")).unwrap();
        assert!(plan.files.iter().any(|file| file.path == waits && file.text.is_some()), "{unit}: {waits}");
        assert!(text.contains("stayput-setup.service"), "{unit} does not come after the set-up");
    }
}
