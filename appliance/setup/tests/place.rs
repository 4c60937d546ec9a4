//! Plans put into folders of a test.

#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

mod around;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use around::{Made, PEM};
use stayput_setup::intake::from_card;
use stayput_setup::place::{Places, place};
use stayput_setup::plan::{Plan, plan};

const FULL: &str = include_str!("plans/the_box_itself_with_everything.toml");

fn places(folder: &Path) -> Places {
    let at = |name: &str| folder.join(name);
    fs::create_dir_all(at("data")).unwrap();
    fs::create_dir_all(at("run")).unwrap();
    fs::write(at("public.pem"), "public\n").unwrap();
    Places {
        run: at("run"),
        root: folder.to_owned(),
        zones: at("zones"),
        authorities: at("public.pem"),
        give: false,
    }
}

fn full() -> Plan {
    plan(Some(&from_card(&Made::with(FULL).and("company-ca.pem", PEM)).unwrap()))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_links_and_folders_are_where_the_plan_says() {
    // As the unit has it: what others shall read must not depend on it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let failed = place(&full(), &places);
    assert!(failed.is_empty(), "{failed:?}");
    let run = |name: &str| places.run.join(name);
    assert!(
        fs::read_to_string(run("systemd/network/10-stayput.network"))
            .unwrap()
            .contains("Address=192.168.1.20/24")
    );
    assert_eq!(
        (mode(&run("systemd/network/10-stayput.network")), mode(&run("systemd/network"))),
        (0o644, 0o755)
    );
    assert_eq!(mode(&run("stayput/courier.env")), 0o600);
    assert_eq!(mode(&run("stayput/identity/stayput.toml")), 0o600);
    assert_eq!(mode(&run("stayput/door/keys/drop")), 0o640);
    // Whoever it is for gets to it, through every folder that was made on the way.
    assert_eq!((mode(&run("stayput/door")), mode(&run("stayput/door/keys"))), (0o755, 0o755));
    assert_eq!(fs::read_link(run("stayput/door/source")).unwrap(), Path::new("/data/in/files"));
    assert_eq!(fs::read_link(run("stayput/localtime")).unwrap(), places.zones.join("Europe/Berlin"));
    assert_eq!(fs::read_to_string(run("stayput/ca.pem")).unwrap(), format!("public\n{PEM}"));
    let data = |name: &str| folder.path().join("data").join(name);
    assert_eq!((mode(&data("in/files")), mode(&data("in"))), (0o1730, 0o755));
    assert_eq!((mode(&data("out")), mode(&data("ledger"))), (0o2770, 0o700));
}

#[test]
fn what_the_settings_do_not_want_any_more_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    assert!(place(&full(), &places).is_empty());
    assert!(place(&plan(None), &places).is_empty());
    for gone in [
        "systemd/network/10-stayput.network",
        "stayput/worker.env",
        "stayput/identity/stayput.toml",
        "stayput/firewall/20-door.nft",
        "stayput/door/keys/drop",
    ] {
        assert!(!places.run.join(gone).exists(), "{gone}");
    }
    assert_eq!(fs::read_link(places.run.join("stayput/ca.pem")).unwrap(), places.authorities);
    assert_eq!(fs::read_link(places.run.join("stayput/localtime")).unwrap(), places.zones.join("Etc/UTC"));
    assert!(folder.path().join("data/in/files").is_dir(), "folders of files are never taken away");
}

#[test]
fn folders_are_made_through_no_link_and_the_rest_is_done_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), folder.path().join("data/in")).unwrap();
    let failed = place(&full(), &places);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].to_string().contains("data/in/files"), "{}", failed[0]);
    assert_eq!(fs::read_dir(folder.path().join("elsewhere")).unwrap().count(), 0);
    assert!(folder.path().join("data/out").is_dir());
}

#[test]
fn a_folder_that_is_there_keeps_its_files_and_gets_its_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    fs::create_dir(folder.path().join("data/out")).unwrap();
    fs::write(folder.path().join("data/out/file"), "precious").unwrap();
    assert!(place(&full(), &places).is_empty());
    assert_eq!(mode(&folder.path().join("data/out")), 0o2770);
    assert_eq!(fs::read_to_string(folder.path().join("data/out/file")).unwrap(), "precious");
}
